#include "server_state.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <new>
#include <utility>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"

namespace knit::detail {
namespace {

// Every new connection wakes all loops that wait for one, so that a loop that computes keeps none waiting: more of them
// make that less likely, but cost a turn each.
constexpr std::size_t kAcceptLoopsMost = 4;
constexpr std::chrono::seconds kReportEvery{1};

/// One whose waiter was cancelled is settled already.
void settle(Future<>& future) {
    try {
        future.set_result();
    } catch (const InvalidStateError&) {
        return;
    }
}

void settle_all(std::vector<Future<>>& futures) {
    for (Future<>& future : futures) {
        settle(future);
    }
}

Fd duplicate(const Fd& fd, const std::string& name) {
    Fd copy(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    if (!copy) {
        throw std::system_error(errno, std::generic_category(), "listen on " + name);
    }
    return copy;
}

}  // namespace

ServerState::ServerState(std::vector<BoundSocket> sockets, std::unique_ptr<Service> how, const io::ServeOptions& what,
                         std::vector<Loop*> loops)
    : options(what), service(std::move(how)), loops_(std::move(loops)), sockets_(std::move(sockets)) {
    for (Loop* const loop : loops_) {
        loads_.push_back(share_load_of(loop->worker()));
    }
    for (const BoundSocket& socket : sockets_) {
        // Several loops wait for one socket: who comes too late must not wait in accept(2).
        fcntl(socket.fd.get(), F_SETFL, O_NONBLOCK);
        name_ += (name_.empty() ? "" : ", ") + socket.name;
        if (socket.endpoint) {
            endpoints_.push_back(*socket.endpoint);
        }
    }
}

void ServerState::start_serving() {
    std::vector<Listener> listeners;
    {
        const std::lock_guard lock(mutex_);
        if (is_closing_) {
            throw RuntimeError("server on " + name_ + " is closed");
        }
        if (is_started_) {
            return;
        }
        listeners = listen_on_all();
        is_started_ = true;
        ++acceptor_count_;  // the making of them counts as one, so that they do not end the server before it is over
    }
    std::vector<Task<>> tasks;
    std::exception_ptr failure;
    try {
        make_acceptors(std::move(listeners), tasks);
    } catch (...) {
        failure = std::current_exception();
    }
    bool is_kept = false;
    {
        const std::lock_guard lock(mutex_);
        is_started_ = failure == nullptr;
        is_kept = is_started_ && !is_closing_;  // closing: another thread's close(), which the tasks could not hear of
        if (is_kept) {
            acceptors_.swap(tasks);
        }
    }
    for (Task<>& task : tasks) {
        task.cancel();
    }
    acceptor_ends();
    if (failure != nullptr) {
        std::rethrow_exception(failure);
    }
}

/// With the mutex: close() closes the sockets. Each acceptor gets a copy.
std::vector<ServerState::Listener> ServerState::listen_on_all() const {
    std::vector<Listener> listeners;
    for (const BoundSocket& socket : sockets_) {
        if (listen(socket.fd.get(), options.backlog) != 0) {
            throw std::system_error(errno, std::generic_category(), "listen on " + socket.name);
        }
    }
    const std::size_t count = std::min(loops_.size(), kAcceptLoopsMost);
    for (std::size_t index = 0; index < count; ++index) {
        for (const BoundSocket& socket : sockets_) {
            listeners.push_back({duplicate(socket.fd, socket.name), socket.name, loops_[index]});
        }
    }
    return listeners;
}

void ServerState::make_acceptors(std::vector<Listener> listeners, std::vector<Task<>>& tasks) {
    tasks.reserve(listeners.size());
    for (Listener& listener : listeners) {
        TaskOptions how;
        how.name = "accept " + listener.name + " on loop " + std::to_string(listener.loop->id());
        how.loop = listener.loop;
        Coro<> acceptor = run_acceptor(Acceptor(shared_from_this()), std::move(listener.fd));
        tasks.push_back(create_task(std::move(acceptor), how));
    }
}

void ServerState::close() {
    std::vector<Task<>> acceptors;
    std::vector<Future<>> waiters;
    std::vector<Future<>> ended;
    std::function<void()> at_close;
    {
        const std::lock_guard lock(mutex_);
        is_closing_ = true;
        for (const BoundSocket& socket : sockets_) {
            // The acceptors have copies of the descriptor, which they close a little later; the listening ends now.
            static_cast<void>(shutdown(socket.fd.get(), SHUT_RDWR));  // ENOTCONN: it did not listen yet
        }
        sockets_.clear();
        acceptors.swap(acceptors_);
        waiters.swap(closing_waiters_);
        at_close.swap(at_close_);
        ended = take_ended_waiters();
    }
    if (at_close) {
        at_close();
    }
    for (Task<>& task : acceptors) {
        try {
            task.cancel();
        } catch (const std::bad_alloc&) {
            continue;  // another loop's: it sees by itself that nothing listens any more
        }
    }
    settle_all(waiters);
    settle_all(ended);
}

bool ServerState::is_serving() const {
    const std::lock_guard lock(mutex_);
    return is_started_ && !is_closing_;
}

bool ServerState::is_closing() const {
    const std::lock_guard lock(mutex_);
    return is_closing_;
}

std::size_t ServerState::connection_count() const {
    const std::lock_guard lock(mutex_);
    return connection_count_;
}

std::vector<io::Endpoint> ServerState::endpoints() const {
    return is_closing() ? std::vector<io::Endpoint>() : endpoints_;
}

const io::Endpoint& ServerState::first_endpoint() const {
    if (endpoints_.empty()) {
        throw RuntimeError("the server on " + name_ + " has no host and port");
    }
    return endpoints_.front();
}

void ServerState::end_connections(Connection::End how) {
    std::vector<Connection::Ender> enders;
    epoch_.fetch_add(1, std::memory_order_release);  // [server.epoch]
    for (const std::shared_ptr<LoopLoad>& load : loads_) {
        const std::lock_guard lock(load->mutex);
        for (Connection* connection = load->first; connection != nullptr; connection = connection->next_) {
            if (&connection->state() == this) {
                enders.push_back(connection->ender());
            }
        }
    }
    for (const Connection::Ender& ender : enders) {
        ender(how);
    }
}

void ServerState::begin_forever() {
    const std::lock_guard lock(mutex_);
    if (is_forever_) {
        throw RuntimeError("server on " + name_ + " is already being awaited on serve_forever()");
    }
    is_forever_ = true;
}

void ServerState::end_forever() noexcept {
    const std::lock_guard lock(mutex_);
    is_forever_ = false;
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
    bool is_last = false;
    {
        const std::lock_guard lock(mutex_);
        is_last = --acceptor_count_ == 0 && (is_started_ || is_closing_);  // else: start_serving() has failed
    }
    if (!is_last) {
        return;
    }
    try {
        close();  // the runtime may have ended, and cancelled the last acceptor without close()
    } catch (const std::exception& error) {
        log(LogLevel::error, "knit: closing the server on " + name_ + ": " + error.what());
    }
}

LoopLoad& ServerState::load_at(const Worker& loop) const noexcept {
    const std::size_t index = loops_.size() == 1 ? 0 : loop.id();
    KNIT_ASSERT(&loops_[index]->worker() == &loop);
    return *loads_[index];
}

std::optional<Admission> ServerState::admit(Worker& here) {
    const std::lock_guard lock(mutex_);
    if (is_closing_ || (options.max_connections != 0 && connection_count_ >= options.max_connections)) {
        return std::nullopt;
    }
    ++connection_count_;
    Worker& loop = loops_.size() == 1 ? here : choose_loop(here);
    return Admission(shared_from_this(), loop, epoch_.load(std::memory_order_acquire));  // [server.epoch]
}

Future<> ServerState::when_room() {
    const std::lock_guard lock(mutex_);
    Future<> future;
    if (is_closing_ || connection_count_ < options.max_connections) {
        future.set_result();
    } else {
        room_waiters_.push_back(future);
    }
    return future;
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
    settle_all(ended);
    if (room) {
        settle(*room);
    }
}

std::vector<Future<>> ServerState::take_ended_waiters() {
    return has_ended() ? std::exchange(ended_waiters_, {}) : std::vector<Future<>>();
}

bool ServerState::may_report(TimePoint now) {
    const std::lock_guard lock(mutex_);
    if (now < quiet_until_) {
        return false;
    }
    quiet_until_ = now + kReportEvery;
    return true;
}

void ServerState::count_accept(bool is_failure) noexcept {
    accepts_tried_.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count
    if (is_failure) {
        accepts_failed_.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count
    }
}

Admission::Admission(std::shared_ptr<ServerState> state, Worker& loop, std::uint32_t epoch) noexcept
    : state_(std::move(state)), loop_(&loop), epoch_(epoch) {
    load().add();
}

Admission::~Admission() {
    if (loop_ != nullptr) {
        load().remove();
        state_->leave();
    }
}

LoopLoad& Admission::load() const noexcept { return state_->load_at(*loop_); }

void Admission::move_to(Worker& loop) noexcept {
    load().remove();
    loop_ = &loop;
    load().add();
}

bool Connection::begin() noexcept {
    const std::lock_guard lock(admission_.load().mutex);
    if (is_outdated()) {
        return false;
    }
    list();
    return true;
}

bool Connection::is_outdated() const noexcept {
    return state().epoch_.load(std::memory_order_acquire) != admission_.epoch_;  // [server.epoch]
}

void Connection::end() noexcept {
    if (is_listed_) {
        const std::lock_guard lock(admission_.load().mutex);
        unlist();
    }
}

void Connection::move_to(Worker& loop) noexcept {
    unlist();
    admission_.move_to(loop);
    list();
}

void Connection::list() noexcept {
    LoopLoad& load = admission_.load();
    previous_ = nullptr;
    next_ = load.first;
    if (next_ != nullptr) {
        next_->previous_ = this;
    }
    load.first = this;
    is_listed_ = true;
}

void Connection::unlist() noexcept {
    (previous_ != nullptr ? previous_->next_ : admission_.load().first) = next_;
    if (next_ != nullptr) {
        next_->previous_ = previous_;
    }
    is_listed_ = false;
}

}  // namespace knit::detail
