#include "knit/io/stream_server.hpp"

#include <sys/socket.h>

#include <any>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

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

class StreamService final : public Service {
public:
    StreamService(StreamHandler handler, std::size_t limit, bool is_unix)
        : handler_(std::move(handler)), limit_(limit), is_unix_(is_unix) {}

    void begin(Admission admission, Accepted accepted) override {
        if (is_unix_) {
            begin_stream(std::move(admission), io::UnixStream(std::move(accepted.fd)));
        } else {
            auto* const socket = new SocketDescriptor(std::move(accepted.fd), accepted.peer);
            begin_stream(std::move(admission), io::TcpStream(socket));
        }
    }
    void out_of_resources(const std::system_error& error) override {
        report("socket.accept() out of system resource", std::make_exception_ptr(error));
    }

private:
    template <class S>
    void begin_stream(Admission admission, S stream) {
        std::shared_ptr<ServerState> state = admission.state().shared_from_this();
        const auto core = make_stream_core(std::move(stream), limit_, true, true);
        auto connection = std::make_unique<StreamConnection>(std::move(admission), *core);
        if (connection->begin()) {
            core->set_token(std::move(connection));
            call_handler(std::move(state), StreamCoreRef::share(*core));
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
    const std::size_t limit_;
    const bool is_unix_;
};

std::shared_ptr<ServerState> make_server(std::vector<BoundSocket> sockets, StreamHandler handler,
                                         const io::ServeOptions& options, bool is_unix) {
    if (options.limit == 0) {
        throw ValueError("Limit cannot be <= 0");
    }
    auto service = std::make_unique<StreamService>(std::move(handler), options.limit, is_unix);
    std::vector<Loop*> loops;
    loops.push_back(&get_running_loop());
    return std::make_shared<ServerState>(std::move(sockets), std::move(service), options, std::move(loops));
}

}  // namespace

Coro<io::Server> serve_streams(io::Endpoint endpoint, StreamHandler handler, io::ServeOptions options) {
    if (!options.cleanup_socket) {
        throw ValueError("start_server() makes no file: cleanup_socket is for start_unix_server()");
    }
    Coro<std::vector<BoundSocket>> binding = bind_everywhere(std::move(endpoint), options);
    std::vector<BoundSocket> sockets = co_await std::move(binding);
    io::Server server(make_server(std::move(sockets), std::move(handler), options, false));
    if (options.start_serving) {
        server.start_serving();
    }
    co_return server;
}

Coro<io::Server> serve_unix_streams(std::filesystem::path path, StreamHandler handler, io::ServeOptions options) {
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
    std::shared_ptr<ServerState> state = make_server(std::move(sockets), std::move(handler), options, true);
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
