#include "knit/io/server.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <system_error>

#include "knit/error.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"
#include "knit/runtime.hpp"
#include "knit/sleep.hpp"
#include "listen.hpp"
#include "resolve.hpp"
#include "server_state.hpp"

namespace knit::detail {
namespace {

/// What an acceptor does about errors. Out of descriptors the connection stays in the queue, so that the next accept
/// would fail at once too: without a pause this would be a loop at full speed.
class AcceptPause {
public:
    Duration next(const std::system_error& error, TimePoint now) {
        pause_ = std::clamp(pause_ * 2, kPauseMin, kPauseMax);
        if (now >= quiet_until_) {
            quiet_until_ = now + kLogEvery;
            log(LogLevel::warning, std::string("knit: serve: ") + error.what() + "; trying again");
        }
        return pause_;
    }
    void reset() noexcept { pause_ = {}; }

private:
    static constexpr Duration kPauseMin = std::chrono::milliseconds(10);
    static constexpr Duration kPauseMax = std::chrono::milliseconds(100);
    static constexpr Duration kLogEvery = std::chrono::seconds(1);

    Duration pause_{};
    TimePoint quiet_until_{};
};

void report_handler(std::exception_ptr error, const ServerState& state) {
    Loop& loop = get_running_loop();
    ExceptionContext context;
    context.message = "Unhandled exception in the handler of a connection to " + state.endpoints.front().to_string();
    context.exception = std::move(error);
    context.task = current_task();
    context.loop = &loop;
    loop.call_exception_handler(context);
}

/// One connection, in a task of its own. The parameters are moved on because they live as long as the task's handles.
Coro<> run_connection(Connection entered, io::TcpStream accepted) {
    Connection connection = std::move(entered);
    io::TcpStream stream = std::move(accepted);
    if (!connection.begin()) {
        co_return;
    }
    std::exception_ptr failure;
    try {
        Coro<> body = connection.state().handler(std::move(stream));
        co_await std::move(body);
    } catch (const BaseException&) {
        throw;  // cancelled, or meant for run()
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure != nullptr) {
        report_handler(std::move(failure), connection.state());
    }
}

/// Waits for room, then hands the connection to a task of this loop. Accepted first, so that the loop with a connection
/// is the one that waits.
Coro<> start_connection(std::shared_ptr<ServerState> state, io::TcpStream stream) {
    while (std::optional<Future<>> room = state->enter()) {
        co_await *room;
    }
    create_task(run_connection(Connection(std::move(state)), std::move(stream)));
}

Coro<> accept_until_cancelled(const std::shared_ptr<ServerState>& state, io::TcpListener& listener) {
    AcceptPause failures;
    while (!state->is_closing()) {
        Duration pause{};
        try {
            io::TcpStream stream = co_await listener.accept();
            failures.reset();
            Coro<> start = start_connection(state, std::move(stream));
            co_await std::move(start);
        } catch (const std::system_error& error) {
            pause = failures.next(error, get_running_loop().time());
        }
        if (pause > Duration::zero()) {
            co_await sleep(pause);
        }
    }
}

Coro<> run_acceptor(Acceptor begun, io::TcpListener bound) {
    const Acceptor acceptor = std::move(begun);
    io::TcpListener listener = std::move(bound);
    try {
        Coro<> accepting = accept_until_cancelled(acceptor.state(), listener);
        co_await std::move(accepting);
    } catch (const CancelledError&) {
        if (!acceptor.state()->is_closing()) {
            throw;
        }
    }
}

/// The listeners of one address, one for each loop; the first of them finds out whether the port is free.
std::vector<io::TcpListener> listen_on_every_loop(SocketAddress address, const io::Endpoint& endpoint,
                                                  std::size_t loops, Listening how) {
    std::vector<io::TcpListener> listeners;
    how.share = loops > 1 ? SharePort::later : SharePort::no;
    Fd first = listen_at(address, endpoint, how);
    address = bound_address(first);
    listeners.emplace_back(std::move(first));
    how.share = SharePort::yes;
    while (listeners.size() < loops) {
        listeners.emplace_back(listen_at(address, endpoint, how));
    }
    return listeners;
}

/// The listeners by address; at least one.
std::vector<std::vector<io::TcpListener>> listen_everywhere(const io::Endpoint& endpoint, std::size_t loops,
                                                            int backlog) {
    std::vector<std::vector<io::TcpListener>> groups;
    std::optional<std::system_error> failure;
    const bool any = endpoint.host().empty();  // then one socket takes both families
    std::uint16_t port = endpoint.port();
    for (SocketAddress address : resolve(endpoint, Purpose::listen)) {
        address.set_port(port);
        try {
            groups.push_back(listen_on_every_loop(address, endpoint, loops, {SharePort::no, backlog, any}));
        } catch (const std::system_error& error) {
            const int code = error.code().value();
            if (code != EADDRNOTAVAIL && code != EAFNOSUPPORT) {
                throw;
            }
            failure = error;  // a name may have an address of a family that this machine has not
            continue;
        }
        port = groups.front().front().local_endpoint().port();
        if (any) {
            break;
        }
    }
    if (groups.empty()) {
        throw std::system_error(*failure);
    }
    return groups;
}

/// Cancels a timer when the wait for what it limits is over.
class TimerGuard {
public:
    explicit TimerGuard(Handle handle) noexcept : handle_(std::move(handle)) {}
    TimerGuard(const TimerGuard&) = delete;
    TimerGuard& operator=(const TimerGuard&) = delete;
    ~TimerGuard() { handle_.cancel(); }

private:
    Handle handle_;
};

Coro<> wait_until_ended(std::shared_ptr<ServerState> state) {
    Future<> closing = state->when_closing();
    co_await closing;
    Future<> ended = state->when_ended();
    const TimerGuard timer(
        get_running_loop().call_later(state->options.shutdown_timeout, [state] { state->cancel_connections(); }));
    co_await ended;
}

Coro<> serve_until_closed(std::shared_ptr<ServerState> state) {
    std::exception_ptr cancelled;
    try {
        Future<> closing = state->when_closing();
        co_await closing;
    } catch (const CancelledError&) {
        cancelled = std::current_exception();
    }
    if (cancelled != nullptr) {
        state->close();
        Coro<> end = wait_until_ended(state);
        co_await std::move(end);
        std::rethrow_exception(cancelled);
    }
}

}  // namespace

Coro<io::Server> serve_on_every_loop(io::Endpoint endpoint, ConnectionHandler handler, io::ServeOptions options) {
    Runtime& runtime = get_runtime();
    auto groups = listen_everywhere(endpoint, runtime.size(), options.backlog);
    auto state = std::make_shared<ServerState>(std::move(handler), options);
    io::Server server(state);  // closes what has begun when something below throws
    for (const auto& listeners : groups) {
        state->endpoints.push_back(listeners.front().local_endpoint());
    }
    for (std::vector<io::TcpListener>& listeners : groups) {
        const std::string where = listeners.front().local_endpoint().to_string();
        for (std::size_t index = 0; index < listeners.size(); ++index) {
            Loop& loop = runtime.loop(index);
            TaskOptions how;
            how.name = "accept " + where + " on loop " + std::to_string(index);
            how.loop = &loop;
            Coro<> acceptor = run_acceptor(Acceptor(state), std::move(listeners[index]));
            state->add_acceptor(create_task(std::move(acceptor), std::move(how)));
        }
    }
    co_return server;
}

}  // namespace knit::detail

namespace knit::io {

Server& Server::operator=(Server&& other) noexcept {
    if (this != &other) {
        if (state_ != nullptr) {
            state_->close();
        }
        state_ = std::move(other.state_);
    }
    return *this;
}

Server::~Server() {
    if (state_ != nullptr) {
        state_->close();
    }
}

knit::detail::ServerState& Server::state() const {
    if (state_ == nullptr) {
        throw RuntimeError("there is no server: it was moved from or never started");
    }
    return *state_;
}

void Server::close() { state().close(); }
bool Server::is_serving() const noexcept { return state_ != nullptr && !state_->is_closing(); }

Coro<> Server::wait_closed() {
    static_cast<void>(state());
    return knit::detail::wait_until_ended(state_);
}

Coro<> Server::serve_forever() {
    static_cast<void>(state());
    return knit::detail::serve_until_closed(state_);
}

Endpoint Server::local_endpoint() const { return state().endpoints.front(); }
std::vector<Endpoint> Server::endpoints() const { return state().endpoints; }
std::size_t Server::connection_count() const { return state().connection_count(); }

}  // namespace knit::io
