#include "server_state.hpp"

#include <utility>

#include "knit/error.hpp"

namespace knit::detail {
namespace {

/// Settles each; one whose waiter was cancelled is settled already.
void settle_all(std::vector<Future<>>& futures) {
    for (Future<>& future : futures) {
        try {
            future.set_result();
        } catch (const InvalidStateError&) {
            continue;
        }
    }
}

}  // namespace

void ServerState::close() {
    std::vector<Task<>> acceptors;
    std::vector<Future<>> waiters;
    std::vector<Future<>> ended;
    {
        const std::lock_guard lock(mutex_);
        is_closing_ = true;
        acceptors.swap(acceptors_);
        waiters.swap(closing_waiters_);
        ended = take_ended_waiters();
    }
    for (Task<>& task : acceptors) {
        task.cancel();
    }
    settle_all(waiters);
    settle_all(ended);
}

bool ServerState::is_closing() const {
    const std::lock_guard lock(mutex_);
    return is_closing_;
}

bool ServerState::is_cancelling() const {
    const std::lock_guard lock(mutex_);
    return is_cancelling_;
}

std::size_t ServerState::connection_count() const {
    const std::lock_guard lock(mutex_);
    return connection_count_;
}

void ServerState::cancel_connections() {
    std::vector<TaskRef> tasks;
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(is_cancelling_, true)) {
            return;
        }
        for (const Connection* connection = first_; connection != nullptr; connection = connection->next_) {
            tasks.push_back(*connection->task_);
        }
    }
    for (TaskRef& task : tasks) {
        task.cancel("the server is being closed");
    }
}

void ServerState::add_acceptor(Task<> task) {
    const std::lock_guard lock(mutex_);
    acceptors_.push_back(std::move(task));
}

Future<> ServerState::when_closing() {
    Future<> future;
    const std::lock_guard lock(mutex_);
    if (is_closing_) {
        future.set_result();
    } else {
        closing_waiters_.push_back(future);
    }
    return future;
}

Future<> ServerState::when_ended() {
    Future<> future;
    const std::lock_guard lock(mutex_);
    if (has_ended()) {
        future.set_result();
    } else {
        ended_waiters_.push_back(future);
    }
    return future;
}

void ServerState::acceptor_begins() {
    const std::lock_guard lock(mutex_);
    ++acceptor_count_;
}

void ServerState::acceptor_ends() noexcept {
    std::vector<Future<>> ended;
    std::vector<Future<>> waiters;
    {
        const std::lock_guard lock(mutex_);
        if (--acceptor_count_ == 0) {
            is_closing_ = true;  // the runtime ends, and cancelled the last acceptor without close()
            waiters.swap(closing_waiters_);
        }
        ended = take_ended_waiters();
    }
    settle_all(waiters);
    settle_all(ended);
}

std::optional<Future<>> ServerState::enter() {
    const std::lock_guard lock(mutex_);
    if (options.max_connections == 0 || connection_count_ < options.max_connections) {
        ++connection_count_;
        return std::nullopt;
    }
    return room_waiters_.emplace_back();
}

void ServerState::leave() noexcept {
    std::vector<Future<>> ended;
    std::optional<Future<>> room;
    {
        const std::lock_guard lock(mutex_);
        --connection_count_;
        while (!room_waiters_.empty() && (!room || room->done())) {  // passes over those that were cancelled
            room = std::move(room_waiters_.front());
            room_waiters_.pop_front();
        }
        ended = take_ended_waiters();
    }
    if (room) {
        ended.push_back(std::move(*room));
    }
    settle_all(ended);
}

bool ServerState::link(Connection& connection) {
    const std::lock_guard lock(mutex_);
    if (is_cancelling_) {
        return false;
    }
    connection.next_ = first_;
    if (first_ != nullptr) {
        first_->previous_ = &connection;
    }
    first_ = &connection;
    return true;
}

void ServerState::unlink(Connection& connection) noexcept {
    const std::lock_guard lock(mutex_);
    (connection.previous_ != nullptr ? connection.previous_->next_ : first_) = connection.next_;
    if (connection.next_ != nullptr) {
        connection.next_->previous_ = connection.previous_;
    }
}

std::vector<Future<>> ServerState::take_ended_waiters() {
    return has_ended() ? std::exchange(ended_waiters_, {}) : std::vector<Future<>>();
}

}  // namespace knit::detail
