#include "knit/io/server.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <system_error>

#include "knit/error.hpp"
#include "knit/loop.hpp"
#include "listen.hpp"
#include "resolve.hpp"
#include "server_state.hpp"

namespace knit::detail {
namespace {

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

/// One serve_forever() at a time.
class ForeverGuard {
public:
    explicit ForeverGuard(ServerState& state) : state_(state) { state_.begin_forever(); }
    ForeverGuard(const ForeverGuard&) = delete;
    ForeverGuard& operator=(const ForeverGuard&) = delete;
    ~ForeverGuard() { state_.end_forever(); }

private:
    ServerState& state_;
};

Coro<> wait_until_ended(std::shared_ptr<ServerState> state) {
    Future<> closing = state->when_closing();
    co_await closing;
    Future<> ended = state->when_ended();
    const TimerGuard timer(get_running_loop().call_later(
        state->options.shutdown_timeout, [state] { state->end_connections(Connection::End::give_up); }));
    co_await ended;
}

/// As asyncio, where close() cancels what serve_forever() waits for.
Coro<> serve_until_closed(std::shared_ptr<ServerState> state) {
    const ForeverGuard only_one(*state);
    state->start_serving();
    std::exception_ptr cancelled;
    try {
        Future<> closing = state->when_closing();
        co_await closing;
    } catch (const CancelledError&) {
        cancelled = std::current_exception();
    }
    Coro<> end = end_scope(state);
    co_await std::move(end);
    if (cancelled != nullptr) {
        std::rethrow_exception(cancelled);
    }
    throw CancelledError();
}

}  // namespace

Coro<> end_scope(std::shared_ptr<ServerState> state) {
    state->close();
    Coro<> end = wait_until_ended(std::move(state));
    co_await std::move(end);
}

Coro<std::vector<BoundSocket>> bind_everywhere(io::Endpoint endpoint, io::ServeOptions options) {
    Coro<std::vector<SocketAddress>> looking_up = resolve_off_loop(endpoint, Purpose::listen);
    const std::vector<SocketAddress> addresses = co_await std::move(looking_up);
    co_return bind_all(addresses, endpoint, options);
}

std::vector<BoundSocket> bind_all(const std::vector<SocketAddress>& addresses, const io::Endpoint& endpoint,
                                  const io::ServeOptions& options) {
    std::vector<BoundSocket> sockets;
    std::optional<std::system_error> failure;
    Listening how;
    how.reuse_port = options.reuse_port;
    how.ipv6_only = options.ipv6_only;
    how.both_families = endpoint.host().empty();  // then one socket takes both families
    std::uint16_t port = endpoint.port();
    for (SocketAddress address : addresses) {
        address.set_port(port);
        try {
            BoundSocket socket;
            socket.fd = bind_at(address, endpoint, how);
            const SocketAddress bound = bound_address(socket.fd);
            socket.endpoint.emplace(bound.host(), bound.port());
            socket.name = bound.to_string();
            port = bound.port();
            sockets.push_back(std::move(socket));
        } catch (const std::system_error& error) {
            const int code = error.code().value();
            if (code != EADDRNOTAVAIL && code != EAFNOSUPPORT) {
                throw;
            }
            failure = error;  // a name may have an address of a family that this machine has not
            continue;
        }
        if (how.both_families) {
            break;
        }
    }
    if (sockets.empty()) {
        throw std::system_error(*failure);
    }
    return sockets;
}

}  // namespace knit::detail

namespace knit::io {

using End = knit::detail::Connection::End;

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

knit::detail::Ready Server::start_serving() {
    state().start_serving();
    return {};
}

void Server::close() { state().close(); }
void Server::close_clients() { state().end_connections(End::close); }
void Server::abort_clients() { state().end_connections(End::abort); }
bool Server::is_serving() const noexcept { return state_ != nullptr && state_->is_serving(); }

Coro<> Server::wait_closed() {
    static_cast<void>(state());
    return knit::detail::wait_until_ended(state_);
}

Coro<> Server::serve_forever() {
    static_cast<void>(state());
    return knit::detail::serve_until_closed(state_);
}

Endpoint Server::local_endpoint() const { return state().first_endpoint(); }
std::vector<Endpoint> Server::endpoints() const { return state().endpoints(); }
std::size_t Server::connection_count() const { return state().connection_count(); }

}  // namespace knit::io
