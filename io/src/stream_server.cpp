#include "knit/io/stream_server.hpp"

#include <sys/socket.h>

#include <any>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

#include "connection_end.hpp"
#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/io/unix.hpp"
#include "knit/loop.hpp"
#include "server_state.hpp"
#include "unix_descriptor.hpp"

namespace knit::detail {
namespace {

void end_stream(StreamCore& core, Connection::End how) {
    if (how == Connection::End::close) {
        core.close();
        return;
    }
    const std::any socket = core.extra_info("socket");
    if (const int* const number = std::any_cast<int>(&socket); number != nullptr && how == Connection::End::abort) {
        const linger now{1, 0};
        static_cast<void>(setsockopt(*number, SOL_SOCKET, SO_LINGER, &now, sizeof now));  // fails: a Unix socket's
    }
    core.abort();
}

/// A stream that is not closed yet: belongs to its core.
class StreamConnection final : public StreamToken, public Connection {
public:
    StreamConnection(Admission admission, StreamCore& core) noexcept : Connection(std::move(admission)), core_(core) {}
    ~StreamConnection() override { end(); }
    using Connection::begin;

private:
    Ender ender() override {
        if (!core_.try_add_ref()) {
            return [](End) {};  // it is being destroyed, which waits for us in end()
        }
        return [core = StreamCoreRef(&core_)](End how) {
            try {
                core->home().loop().call_soon_threadsafe([core, how] { end_stream(*core, how); });
            } catch (const RuntimeError&) {
                return;  // the loop is closed, and with it the connection
            }
        };
    }

    StreamCore& core_;
};

void report(const char* message, std::exception_ptr error) {
    Loop& loop = get_running_loop();
    ExceptionContext context;
    context.message = message;
    context.exception = std::move(error);
    context.task = current_task();
    context.loop = &loop;
    loop.call_exception_handler(context);
}

constexpr const char* kHandlerFailed = "Unhandled exception in client_connected_cb";

Coro<std::exception_ptr> failure_of(Coro<> given) {
    Coro<> body = std::move(given);  // ends here, and with it what the handler was given
    try {
        co_await body;
    } catch (...) {
        co_return std::current_exception();
    }
    co_return nullptr;
}

/// `state` keeps the handler, whose captures the coroutine may use.
Coro<> run_handler([[maybe_unused]] std::shared_ptr<ServerState> state, StreamCoreRef core, Coro<> body) {
    co_await NameAfter(body.promise());
    Coro<std::exception_ptr> running = failure_of(std::move(body));
    const std::exception_ptr failure = co_await std::move(running);
    core->end_handler(failure == nullptr);
    if (failure == nullptr) {
        co_return;
    }
    try {
        std::rethrow_exception(failure);
    } catch (const BaseException&) {
        throw;  // cancelled, or meant for run()
    } catch (...) {
        report(kHandlerFailed, failure);
    }
}

void handler_failed(StreamCore& core) {
    core.end_handler(false);
    report(kHandlerFailed, std::current_exception());
}

/// A connection whose stream is being made: a task.
class OpeningConnection final : public Connection {
public:
    OpeningConnection(Admission admission, int socket) : Connection(std::move(admission)), socket_(socket) {}
    ~OpeningConnection() { end(); }
    using Connection::list_task;

    /// It has got its stream. Whoever ends all connections before that begins has ended it too.
    Admission leave() noexcept {
        end();
        return take_admission();
    }

private:
    Ender ender() override { return ender_of(task(), socket_); }

    const TaskSocket socket_;
};

template <class S>
S stream_of(Accepted accepted) {
    if constexpr (std::is_same_v<S, io::TcpStream>) {
        return io::TcpStream(new SocketDescriptor(std::move(accepted.fd), accepted.peer));
    } else {
        return S(std::move(accepted.fd));
    }
}

template <class S>
class StreamService final : public Service {
public:
    StreamService(StreamHandler handler, StreamOpener<S> opener, std::size_t limit)
        : handler_(std::move(handler)), opener_(std::move(opener)), limit_(limit) {}

    void begin(Admission admission, Accepted accepted) override {
        S stream = stream_of<S>(std::move(accepted));
        if (opener_) {
            begin_opening(std::move(admission), std::move(stream));
        } else {
            const auto core = make_stream_core(std::move(stream), limit_, true, true);
            begin_stream(std::move(admission), StreamCoreRef::share(*core));
        }
    }
    void out_of_resources(const std::system_error& error) override {
        report("socket.accept() out of system resource", std::make_exception_ptr(error));
    }

private:
    void begin_opening(Admission admission, S stream) {
        std::shared_ptr<ServerState> state = admission.state().shared_from_this();
        auto connection = std::make_unique<OpeningConnection>(std::move(admission), stream.native_handle());
        OpeningConnection& listed = *connection;
        TaskOptions options;
        options.name = "handshake on " + state->name();
        options.eager_start = false;  // whoever ends all connections has to find it first
        const Task<> task = create_task(open(std::move(state), std::move(connection), std::move(stream)), options);
        if (!listed.list_task(task)) {
            TaskRef(task).cancel(kEnded);
        }
    }

    /// `state` keeps the service. What an opener throws in the ordinary way ends this connection alone.
    Coro<> open(std::shared_ptr<ServerState> state, std::unique_ptr<OpeningConnection> connection, S stream) {
        const std::shared_ptr<ServerState> keep = std::move(state);
        const std::unique_ptr<OpeningConnection> opening = std::move(connection);  // ends with the coroutine
        StreamCoreRef core;
        try {
            Coro<StreamCoreRef> making = opener_(std::move(stream), limit_);
            core = co_await std::move(making);
            if (core) {
                begin_stream(opening->leave(), std::move(core));
            }
        } catch (const BaseException&) {
            throw;  // cancelled, or meant for run()
        } catch (...) {
            report("Error on transport creation for incoming connection", std::current_exception());
        }
    }

    void begin_stream(Admission admission, StreamCoreRef core) {
        std::shared_ptr<ServerState> state = admission.state().shared_from_this();
        auto connection = std::make_unique<StreamConnection>(std::move(admission), *core);
        if (connection->begin()) {
            core->set_token(std::move(connection));
            call_handler(std::move(state), std::move(core));
        }
    }

    void call_handler(std::shared_ptr<ServerState> state, StreamCoreRef core) {
        Coro<> body;
        io::Connection ends = open_streams(*core);
        core->begin_handler();
        try {
            body = handler_(std::move(ends.reader), std::move(ends.writer));
        } catch (const CancelledError&) {
            handler_failed(*core);  // of its own making: nobody cancels the server
            return;
        } catch (const BaseException&) {
            core->end_handler(false);
            throw;  // meant for run()
        } catch (...) {
            handler_failed(*core);
            return;
        }
        if (body.valid()) {
            create_task(run_handler(std::move(state), std::move(core), std::move(body)));
        } else {
            core->end_handler(true);
        }
    }

    const StreamHandler handler_;
    const StreamOpener<S> opener_;  ///< none: the socket is the stream
    const std::size_t limit_;
};

template <class S>
std::shared_ptr<ServerState> make_server(std::vector<BoundSocket> sockets, StreamHandler handler,
                                         const io::ServeOptions& options, StreamOpener<S> opener) {
    if (options.limit == 0) {
        throw ValueError("Limit cannot be <= 0");
    }
    auto service = std::make_unique<StreamService<S>>(std::move(handler), std::move(opener), options.limit);
    std::vector<Loop*> loops;
    loops.push_back(&get_running_loop());
    return std::make_shared<ServerState>(std::move(sockets), std::move(service), options, std::move(loops));
}

}  // namespace

Coro<io::Server> serve_streams(io::Endpoint endpoint, StreamHandler handler, io::ServeOptions options,
                               StreamOpener<io::TcpStream> opener) {
    if (!options.cleanup_socket) {
        throw ValueError("start_server() makes no file: cleanup_socket is for start_unix_server()");
    }
    Coro<std::vector<BoundSocket>> binding = bind_everywhere(std::move(endpoint), options);
    std::vector<BoundSocket> sockets = co_await std::move(binding);
    std::shared_ptr<ServerState> state =
        make_server(std::move(sockets), std::move(handler), options, std::move(opener));
    io::Server server(std::move(state));
    if (options.start_serving) {
        server.start_serving();
    }
    co_return server;
}

Coro<io::Server> serve_unix_streams(std::filesystem::path path, StreamHandler handler, io::ServeOptions options,
                                    StreamOpener<io::UnixStream> opener) {
    const UnixAddress address(path);
    if (address.is_unnamed()) {
        throw ValueError("start_unix_server() takes a path or an @name, and it is empty");
    }
    if (options.reuse_port || options.ipv6_only) {
        throw ValueError("a Unix socket has no port: start_unix_server() does not take reuse_port and ipv6_only");
    }
    BoundSocket socket;
    socket.fd = make_unix_socket(SOCK_STREAM, address.path());
    socket.name = "unix:" + address.path();
    bind_unix(socket.fd.get(), address);
    std::shared_ptr<SocketFile> file;
    if (options.cleanup_socket && address.is_file()) {
        file = std::make_shared<SocketFile>(path);
    }
    std::vector<BoundSocket> sockets;
    sockets.push_back(std::move(socket));
    std::shared_ptr<ServerState> state =
        make_server(std::move(sockets), std::move(handler), options, std::move(opener));
    if (file != nullptr) {
        state->set_at_close([file] { file->remove(); });
    }
    io::Server server(std::move(state));
    if (options.start_serving) {
        server.start_serving();
    }
    co_return server;
}

}  // namespace knit::detail
