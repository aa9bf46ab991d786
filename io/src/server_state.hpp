/// ServerState: what the loops share of one server. Everything stands under one mutex, taken a few times for each
/// connection and never for a byte.
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "knit/future.hpp"
#include "knit/io/server.hpp"
#include "knit/task.hpp"

namespace knit::detail {

class Connection;

class ServerState {
public:
    ServerState(ConnectionHandler function, const io::ServeOptions& how)
        : handler(std::move(function)), options(how) {}

    // Any thread.

    /// Stops accepting: the acceptors are cancelled.
    void close();
    bool is_closing() const;
    /// Whether the handlers have been told to end: new ones do not begin.
    bool is_cancelling() const;
    std::size_t connection_count() const;
    /// Cancels every handler, once.
    void cancel_connections();
    void add_acceptor(Task<> task);
    /// A future of the calling loop that is settled once the server is closing, or has nothing left to do.
    Future<> when_closing();
    Future<> when_ended();

    // The tokens'.

    void acceptor_begins();
    void acceptor_ends() noexcept;
    /// Nothing: there is room, and the connection counts from now on. A future: none, try again when it is settled.
    std::optional<Future<>> enter();
    void leave() noexcept;
    /// False when handlers are not to begin any more.
    bool link(Connection& connection);
    void unlink(Connection& connection) noexcept;

    const ConnectionHandler handler;  ///< called on several loops at once
    const io::ServeOptions options;
    std::vector<io::Endpoint> endpoints;  ///< written before the acceptors begin

private:
    bool has_ended() const noexcept { return is_closing_ && acceptor_count_ == 0 && connection_count_ == 0; }
    std::vector<Future<>> take_ended_waiters();

    mutable std::mutex mutex_;
    bool is_closing_ = false;
    bool is_cancelling_ = false;
    std::size_t acceptor_count_ = 0;
    std::size_t connection_count_ = 0;
    Connection* first_ = nullptr;
    std::vector<Task<>> acceptors_;
    std::deque<Future<>> room_waiters_;
    std::vector<Future<>> closing_waiters_;
    std::vector<Future<>> ended_waiters_;
};

/// An accept loop counts as long as this lives, even if its task is cancelled before it starts.
class Acceptor {
public:
    explicit Acceptor(std::shared_ptr<ServerState> state) : state_(std::move(state)) { state_->acceptor_begins(); }
    Acceptor(Acceptor&&) noexcept = default;
    Acceptor& operator=(Acceptor&&) = delete;
    ~Acceptor() {
        if (state_ != nullptr) {
            state_->acceptor_ends();
        }
    }
    const std::shared_ptr<ServerState>& state() const noexcept { return state_; }

private:
    std::shared_ptr<ServerState> state_;
};

/// A connection that has room counts as long as this lives; from begin() on its task can be found and cancelled.
class Connection {
public:
    /// ServerState::enter() has said that there is room.
    explicit Connection(std::shared_ptr<ServerState> state) noexcept : state_(std::move(state)) {}
    Connection(Connection&& other) noexcept : state_(std::move(other.state_)) { KNIT_ASSERT(!other.is_linked_); }
    Connection& operator=(Connection&&) = delete;
    ~Connection() {
        if (is_linked_) {
            state_->unlink(*this);
        }
        if (state_ != nullptr) {
            state_->leave();
        }
    }
    /// In the connection's task. False when it is not to begin any more.
    bool begin() {
        task_ = current_task();
        is_linked_ = state_->link(*this);
        return is_linked_;
    }
    ServerState& state() const noexcept { return *state_; }

private:
    friend class ServerState;

    std::shared_ptr<ServerState> state_;
    std::optional<TaskRef> task_;
    Connection* next_ = nullptr;
    Connection* previous_ = nullptr;
    bool is_linked_ = false;
};

}  // namespace knit::detail
