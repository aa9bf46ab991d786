#include "epoll_driver.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <new>
#include <utility>

#include "knit/detail/blocking_job.hpp"
#include "knit/detail/worker.hpp"

namespace knit::detail {
namespace {

// How long what nobody tells about is left alone before it is tried again.
constexpr std::chrono::milliseconds kDelay{2};

}  // namespace

bool EpollRequestPool::grow() noexcept {
    try {
        blocks_.push_back(std::make_unique<EpollRequest[]>(kBlock));
    } catch (const std::bad_alloc&) {
        return false;
    }
    for (std::size_t index = 0; index < kBlock; ++index) {
        free_.push(blocks_.back()[index]);
    }
    return true;
}

EpollDriver::EpollDriver(Worker* worker, std::string reason)
    : IoDriver(Kind::epoll, nullptr), worker_(worker), reason_(std::move(reason)), set_(bell_.number()) {}

EpollDriver::~EpollDriver() {
    if (!is_closed_) {
        close();
    }
}

DriverReport EpollDriver::report() const { return {"epoll", reason_, 0, {}, {}}; }

void EpollDriver::poll() noexcept {
    check_not_parents();
    static_cast<void>(run_queue());
    collect(Duration::zero());
}

void EpollDriver::park(TimePoint deadline) noexcept {
    check_not_parents();
    const bool has_completed = run_queue();
    Duration timeout = Duration::max();
    if (has_completed) {
        timeout = Duration::zero();
    } else if (deadline != kNever) {
        const TimePoint start = now();
        timeout = deadline > start ? deadline - start : Duration::zero();
    }
    if (!delayed_.empty() || !opens_.empty()) {
        timeout = std::min<Duration>(timeout, kDelay);
    }
    collect(timeout);
}

void EpollDriver::close() noexcept {
    KNIT_ASSERT(in_flight_ == 0);
    // Rung and heard once more: a waker that has set the flag but not written yet would otherwise write to a descriptor
    // that is somebody else's by then.
    bell_.ring();
    bell_.listen();
    bell_.wait_for_ringers();
    is_closed_ = true;
}

void EpollDriver::begin(Op& op) noexcept {
    ++in_flight_;
    EpollRequest* const request = pool_.take();
    if (request == nullptr) [[unlikely]] {
        --in_flight_;
        refuse(op, -ENOMEM);
        return;
    }
    request->sqe() = {};
    prepare(op, request->sqe());
    request->op = &op;
    request->driver = this;
    request->state = EpollRequest::State::queued;
    request->is_connecting = false;
    request->is_cancelled = false;
    slot(op) = request;
    queue_.push(*request);
    ++queued_;
}

void EpollDriver::end(Op& op) noexcept {
    EpollRequest& request = request_of(op);
    switch (request.state) {
        case EpollRequest::State::queued: request.is_cancelled = true; return;
        case EpollRequest::State::waiting: set_.waiters(request.number, request.want).remove(request); break;
        case EpollRequest::State::delayed: delayed_.remove(request); break;
        case EpollRequest::State::pooled:
            request.is_unwanted.store(true, std::memory_order_relaxed);  // relaxed: a hint
            if (request.sqe().opcode == IORING_OP_OPENAT && release_open(request.sqe())) {
                request.is_cancelled = true;
                opens_.push(request);
            }
            return;
        case EpollRequest::State::ended: return;
        case EpollRequest::State::free: KNIT_ASSERT(false && "the end of an operation that has completed"); return;
    }
    request.state = EpollRequest::State::ended;
    queue_.push(request);
    ++queued_;
}

/// What is queued or delayed now; ends, because only a task queues more, and none runs. Whether any completed.
bool EpollDriver::run_queue() noexcept {
    EpollRequestList batch = queue_.take_all();
    while (EpollRequest* const request = delayed_.pop()) {
        batch.push(*request);
    }
    for (const EpollRequest* open = opens_.first(); open != nullptr; open = open->later) {
        static_cast<void>(release_open(open->sqe()));
    }
    queued_ = 0;
    const std::size_t before = in_flight_;
    while (EpollRequest* const request = batch.pop()) {
        handle(*request);
    }
    return in_flight_ != before;
}

void EpollDriver::handle(EpollRequest& request) noexcept {
    if (request.state == EpollRequest::State::ended) {
        finish(request, -ECANCELED);
        return;
    }
    if (request.sqe().opcode == IORING_OP_ACCEPT) {
        if (const int error = prepare_accept(request); error != 0) {
            finish(request, -error);
            return;
        }
    }
    const Attempt result = attempt(request, descriptor(*request.op), buffers_nowait());
    if (result.outcome != Attempt::Outcome::done && request.is_cancelled) {
        finish(request, -ECANCELED);
        return;
    }
    settle(request, result);
}

/// accept(2) has no flag that says "do not wait": the listener is made non-blocking, once, when it is registered.
int EpollDriver::prepare_accept(const EpollRequest& request) noexcept {
    Descriptor* const owner = descriptor(*request.op);
    if (set_.is_watched(request.sqe().fd, owner)) {
        return 0;
    }
    const int result = set_nonblocking(request.sqe().fd);
    return result != 0 ? -result : set_.watch(request.sqe().fd, owner, EPOLLIN);
}

void EpollDriver::settle(EpollRequest& request, const Attempt& attempt) noexcept {
    switch (attempt.outcome) {
        case Attempt::Outcome::done: finish(request, attempt.result, attempt.flags); return;
        case Attempt::Outcome::wait: wait_for(request, attempt); return;
        case Attempt::Outcome::later:
            request.state = EpollRequest::State::delayed;
            delayed_.push(request);
            return;
        case Attempt::Outcome::block: run_elsewhere(request); return;
    }
}

void EpollDriver::wait_for(EpollRequest& request, const Attempt& attempt) noexcept {
    const int error = set_.watch(attempt.number, descriptor(*request.op), events_for(request, attempt.want));
    if (error == EPERM) {
        run_elsewhere(request);  // a file that is never waited for
        return;
    }
    if (error != 0) {
        finish(request, -error);
        return;
    }
    request.number = attempt.number;
    request.want = attempt.want;
    request.state = EpollRequest::State::waiting;
    set_.waiters(request.number, request.want).push(request);
}

void EpollDriver::collect(Duration timeout) noexcept {
    count_enter();
    for (const epoll_event& event : set_.wait(timeout)) {
        if (EpollSet::is_bell(event)) {
            bell_.listen();
            continue;
        }
        const int number = set_.take(event);
        if (number < 0) {
            continue;
        }
        for (const Want want : {Want::input, Want::output, Want::any}) {
            // A copy of the list, because a request may come to wait in it again.
            EpollRequestList waiters = set_.waiters(number, want).take_all();
            serve(waiters, want, number);
        }
    }
    while (EpollRequest* const request = set_.take_orphan()) {  // it is tried again, and told what is wrong
        request->state = EpollRequest::State::queued;
        queue_.push(*request);
        ++queued_;
    }
    queued_ += set_.is_full() ? 1 : 0;  // more may have happened than fits: the next turn polls again
}

/// In the order of asking; the first that has to wait on makes the others wait on, unless each waits for something of
/// its own.
void EpollDriver::serve(EpollRequestList& waiters, Want want, int number) noexcept {
    bool is_exhausted = false;
    while (EpollRequest* const request = waiters.pop()) {
        Attempt result = Attempt::wait(number, want);
        if (!is_exhausted || want == Want::any) {
            result = attempt(*request, descriptor(*request->op), buffers_nowait());
        }
        is_exhausted = is_exhausted || result.outcome == Attempt::Outcome::wait;
        if (result.outcome == Attempt::Outcome::wait && result.number == number && result.want == want) {
            set_.waiters(number, want).push(*request);  // still registered
        } else {
            settle(*request, result);
        }
    }
}

/// On the drivers' pool. Where there is none any more, on the spot: late is better than never.
void EpollDriver::run_elsewhere(EpollRequest& request) noexcept {
    request.state = EpollRequest::State::pooled;
    request.is_unwanted.store(false, std::memory_order_relaxed);  // relaxed: a hint
    request.run = &EpollDriver::come_back;
    try {
        if (worker_ != nullptr) {
            submit_for_driver(*worker_, [&request](bool) noexcept {
                const bool is_wanted = !request.is_unwanted.load(std::memory_order_relaxed);  // relaxed: a hint
                request.result = is_wanted ? run_blocking(request.sqe()) : -ECANCELED;
                // A closed loop has abandoned the operation, and its memory with it.
                static_cast<void>(request.driver->worker_->post(request));
            });
            return;
        }
    } catch (const std::exception&) {
        // The pool has been shut down, or there is no memory.
    }
    finish(request, run_blocking(request.sqe()));
}

void EpollDriver::come_back(Worker&, Work& work) noexcept {
    auto& request = static_cast<EpollRequest&>(work);
    if (request.is_cancelled) {  // an open that has been released: what it opened has no other end
        request.driver->opens_.remove(request);
        if (request.result >= 0) {
            ::close(std::exchange(request.result, -ECANCELED));
        }
    }
    request.driver->finish(request, request.result);
}

void EpollDriver::finish(EpollRequest& request, int result, std::uint32_t flags) noexcept {
    Op& op = *request.op;
    slot(op) = nullptr;
    --in_flight_;
    pool_.give(request);
    complete(op, result, flags);
}

}  // namespace knit::detail
