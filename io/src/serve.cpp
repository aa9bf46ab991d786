// serve(): the handler of each connection is a task of its own.

#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "connection_end.hpp"
#include "knit/context_var.hpp"
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

/// False when there is no memory to say so.
bool report_handler(std::exception_ptr error, const ServerState& state, Worker& loop,
                    std::optional<TaskRef> task) noexcept {
    try {
        ExceptionContext context;
        context.message = "Unhandled exception in the handler of a connection to " + state.name();
        context.exception = std::move(error);
        context.task = std::move(task);
        context.loop = &loop.loop();
        loop.loop().call_exception_handler(context);
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

/// A connection whose handler is to run, or runs. The handler's coroutine is the task itself, and this, which waits for
/// the end of that, a block of its own: a coroutine around the handler's would cost three times as much memory. Every
/// byte here is one for each connection that is idle.
class HandledConnection final : public Connection, private Waiter {
public:
    HandledConnection(Admission admission, Accepted accepted)
        : Connection(std::move(admission)),
          Waiter(&HandledConnection::ended),
          stream_(new SocketDescriptor(std::move(accepted.fd), accepted.peer)),
          socket_(stream_.native_handle()) {}
    HandledConnection(const HandledConnection&) = delete;
    HandledConnection& operator=(const HandledConnection&) = delete;
    ~HandledConnection() { end(); }

    /// Makes the handler's task, in a context of its own, of which it takes over a reference; null: no variable is set.
    /// On the loop that the connection counts for.
    static void begin(std::unique_ptr<HandledConnection> connection, Worker& here, ContextState* context) noexcept;

private:
    static void ended(Waiter& waiter, FutureCore& task) noexcept;

    Ender ender() override { return ender_of(task(), socket_); }

    io::TcpStream stream_;  ///< until the handler gets it
    const TaskSocket socket_;
};

/// On its way to another loop.
struct ArrivingConnection : Work {
    explicit ArrivingConnection(std::unique_ptr<HandledConnection> what)
        : connection(std::move(what)), context(copy_of_current_context()) {
        run = [](Worker& worker, Work& work) noexcept {
            const std::unique_ptr<ArrivingConnection> self(static_cast<ArrivingConnection*>(&work));
            // While the run is ending this loop may have said that it has no task any more.
            if (!worker.is_discarding() && !worker.is_draining()) {
                HandledConnection::begin(std::move(self->connection), worker, std::exchange(self->context, nullptr));
            }
        };
    }
    ArrivingConnection(const ArrivingConnection&) = delete;
    ArrivingConnection& operator=(const ArrivingConnection&) = delete;
    ~ArrivingConnection() {
        if (context != nullptr) {
            context->drop_ref();
        }
    }

    std::unique_ptr<HandledConnection> connection;
    ContextState* context;
};

/// What runs meanwhile sees, and sets, the variables of `context`, and takes over a reference of it.
class ContextGuard {
public:
    explicit ContextGuard(ContextState* context) noexcept : before_(std::exchange(context_slot(), context)) {}
    ContextGuard(const ContextGuard&) = delete;
    ContextGuard& operator=(const ContextGuard&) = delete;
    ~ContextGuard() {
        if (ContextState* const own = std::exchange(context_slot(), before_)) {
            own->drop_ref();
        }
    }

private:
    ContextState* const before_;
};

Coro<> fail(std::exception_ptr error) {
    std::rethrow_exception(std::move(error));
    co_return;
}

class HandlerService final : public Service {
public:
    explicit HandlerService(ConnectionHandler handler) : handler_(std::move(handler)) {}

    void begin(Admission admission, Accepted accepted) override {
        Worker& loop = admission.loop();
        auto connection = std::make_unique<HandledConnection>(std::move(admission), std::move(accepted));
        if (&loop == Worker::current()) {
            HandledConnection::begin(std::move(connection), loop, copy_of_current_context());
            return;
        }
        auto arriving = std::make_unique<ArrivingConnection>(std::move(connection));
        if (loop.post(*arriving)) {
            static_cast<void>(arriving.release());
        }
    }
    void out_of_resources(const std::system_error& error) override {
        log(LogLevel::warning, std::string("knit: serve: ") + error.what() + "; trying again");
    }
    /// What the handler throws before there is a coroutine, its task throws.
    Coro<> handle(io::TcpStream stream) const {
        try {
            Coro<> body = handler_(std::move(stream));
            body.expect_valid();
            return body;
        } catch (...) {
            return fail(std::current_exception());
        }
    }

private:
    const ConnectionHandler handler_;  ///< called on several loops at once
};

void HandledConnection::begin(std::unique_ptr<HandledConnection> connection, Worker& here,
                              ContextState* context) noexcept {
    const ContextGuard guard(context);
    HandledConnection& self = *connection;
    if (self.is_outdated()) {
        return;
    }
    try {
        Coro<> body = static_cast<HandlerService&>(*self.state().service).handle(std::move(self.stream_));
        TaskOptions options;
        options.eager_start = false;  // whoever ends all connections has to find it first
        const Task<> task = create_task(std::move(body), options);
        const bool is_wanted = self.list_task(task);
        task.ref()->subscribe(self, here);
        static_cast<void>(connection.release());  // ended() deletes it
        if (!is_wanted) {
            TaskRef(task).cancel(kEnded);
        }
    } catch (...) {
        static_cast<void>(report_handler(std::current_exception(), self.state(), here, std::nullopt));
    }
}

/// The task has ended, and with it the connection. On the loop that made it.
void HandledConnection::ended(Waiter& waiter, FutureCore& core) noexcept {
    const std::unique_ptr<HandledConnection> self(&static_cast<HandledConnection&>(waiter));
    auto& task = static_cast<TaskCore&>(core);
    if (task.state() == State::error && !task.is_fatal() && !task.is_retrieved() &&
        report_handler(task.slot().error, self->state(), task.keeper(), self->task())) {
        task.mark_retrieved();
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
