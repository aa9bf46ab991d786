// serve(): a handler in a task of its own for each connection.

#include <sys/socket.h>

#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/io/server.hpp"
#include "knit/io/socket.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"
#include "knit/runtime.hpp"
#include "server_state.hpp"

namespace knit::detail {
namespace {

/// The kernel's name for a socket, never given to a second one; 0 when it tells none.
std::uint64_t cookie_of(int number) noexcept {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return getsockopt(number, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

/// Closing the socket will reset the connection, if `number` is still that socket. On the loop of the handler, whose
/// the socket is: elsewhere it could be closed between the two calls, and the number be a stranger's.
void reset_on_close(int number, std::uint64_t cookie) noexcept {
    if (cookie != 0 && cookie_of(number) == cookie) {
        const linger now{1, 0};
        static_cast<void>(setsockopt(number, SOL_SOCKET, SO_LINGER, &now, sizeof now));  // fails: no connection left
    }
}

constexpr const char* kEnded = "the server ends its connections";

/// On the task's loop, which it is sent after: a connection may move. Ends: it does not do so again and again.
void abort_handler(TaskRef task, int number, std::uint64_t cookie) {
    Loop& home = task.get_loop();
    if (task.done()) {
        return;
    }
    if (&home.worker() == Worker::current()) {
        reset_on_close(number, cookie);
        task.cancel(kEnded);
        return;
    }
    try {
        home.call_soon_threadsafe([task, number, cookie] { abort_handler(task, number, cookie); });
    } catch (const RuntimeError&) {
        return;  // the loop is closed, and with it the connection
    }
}

/// A handler that is to run, or runs.
class HandledConnection final : public Connection {
public:
    HandledConnection(Admission admission, io::TcpStream stream) noexcept
        : Connection(std::move(admission)),
          stream_(std::move(stream)),
          number_(stream_.native_handle()),
          cookie_(cookie_of(number_)) {}
    HandledConnection(HandledConnection&&) noexcept = default;
    ~HandledConnection() { end(); }

    using Connection::begin_task;
    io::TcpStream take_stream() noexcept { return std::move(stream_); }

private:
    Ender ender() override {
        return [task = task(), number = number_, cookie = cookie_](End how) mutable {
            if (how == End::abort) {
                abort_handler(task, number, cookie);
            } else {
                task.cancel(kEnded);
            }
        };
    }

    io::TcpStream stream_;  ///< until the handler gets it
    int number_;            ///< the handler's own, and perhaps closed long since
    std::uint64_t cookie_;
};

void report_handler(std::exception_ptr error, const ServerState& state) {
    Loop& loop = get_running_loop();
    ExceptionContext context;
    context.message = "Unhandled exception in the handler of a connection to " + state.name();
    context.exception = std::move(error);
    context.task = current_task();
    context.loop = &loop;
    loop.call_exception_handler(context);
}

class HandlerService final : public Service {
public:
    explicit HandlerService(ConnectionHandler handler) : handler_(std::move(handler)) {}

    void begin(Admission admission, Accepted accepted) override;
    void out_of_resources(const std::system_error& error) override {
        log(LogLevel::warning, std::string("knit: serve: ") + error.what() + "; trying again");
    }
    Coro<> handle(io::TcpStream stream) const { return handler_(std::move(stream)); }

private:
    const ConnectionHandler handler_;  ///< called on several loops at once
};

/// One connection, in a task of its own. Every byte of its frame is one for each connection that is idle.
Coro<> run_connection(HandledConnection connection) {
    if (!connection.begin_task()) {
        co_return;
    }
    try {
        Coro<> body = static_cast<HandlerService&>(*connection.state().service).handle(connection.take_stream());
        co_await std::move(body);
    } catch (const BaseException&) {
        throw;  // cancelled, or meant for run()
    } catch (...) {
        report_handler(std::current_exception(), connection.state());
    }
}

void HandlerService::begin(Admission admission, Accepted accepted) {
    Worker& loop = admission.loop();
    auto* const socket = new SocketDescriptor(std::move(accepted.fd), accepted.peer);
    Coro<> body = run_connection(HandledConnection(std::move(admission), io::TcpStream(socket)));
    if (&loop == Worker::current()) {
        create_task(std::move(body));
    } else {
        TaskOptions options;
        options.loop = &loop.loop();
        create_task(std::move(body), options);
    }
}

}  // namespace

std::unique_ptr<Service> make_handler_service(ConnectionHandler handler) {
    return std::make_unique<HandlerService>(std::move(handler));
}

Coro<io::Server> serve_on_every_loop(io::Endpoint endpoint, ConnectionHandler handler, io::ServeOptions options) {
    const io::ServeOptions defaults;
    if (options.limit != defaults.limit || options.cleanup_socket != defaults.cleanup_socket) {
        throw ValueError("serve() has no readers and makes no file: ServeOptions::limit and cleanup_socket are for "
                         "start_server() and start_unix_server()");
    }
    Runtime& runtime = get_runtime();
    std::vector<Loop*> loops;
    for (std::size_t index = 0; index < runtime.size(); ++index) {
        loops.push_back(&runtime.loop(index));
    }
    Coro<std::vector<BoundSocket>> binding = bind_everywhere(std::move(endpoint), options);
    std::vector<BoundSocket> sockets = co_await std::move(binding);
    auto state = std::make_shared<ServerState>(std::move(sockets), make_handler_service(std::move(handler)), options,
                                               std::move(loops));
    io::Server server(std::move(state));  // closes what has begun when something below throws
    if (options.start_serving) {
        server.start_serving();
    }
    co_return server;
}

}  // namespace knit::detail
