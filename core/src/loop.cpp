#include "knit/loop.hpp"

#include "knit/error.hpp"
#include "knit/log.hpp"
#include "report.hpp"
#include "runtime_core.hpp"
#include "runtime_life.hpp"
#include "signals.hpp"
#include "stack.hpp"

namespace knit {

using detail::Worker;

unsigned Loop::id() const noexcept { return worker_.id(); }

TimePoint Loop::time() const noexcept {
    // The loop's driver may go at any moment, and all that are no simulation have this clock.
    return worker_.life().is_simulated() || worker_.is_owned_here() ? worker_.now() : std::chrono::steady_clock::now();
}

bool Loop::is_closed() const noexcept { return is_closed_.load(std::memory_order_acquire); }  // [loop.closed]

bool Loop::is_running() const noexcept { return !is_closed() && (worker_.id() != 0 || worker_.life().is_running()); }

void Loop::check_open() const {
    if (is_closed()) {
        throw RuntimeError("Event loop is closed");
    }
}

void Loop::check_thread() const {
    check_open();
    if (!worker_.is_owned_here()) {
        throw RuntimeError(
            "Non-thread-safe operation invoked on an event loop other than the current one: use "
            "call_soon_threadsafe()");
    }
}

Runtime& Loop::runtime() const {
    check_open();
    return worker_.life().face();
}

Handle Loop::schedule(detail::Callback* callback) {
    callback->add_ref();
    Handle handle(callback);
    callback->schedule(worker_);
    return handle;
}

Handle Loop::schedule_at(TimePoint when, detail::Callback* callback) {
    callback->add_ref();
    Handle handle(callback);
    try {
        callback->schedule_at(worker_, when);
    } catch (...) {
        callback->drop_ref();
        throw;
    }
    return handle;
}

Handle Loop::send(detail::Callback* callback) {
    if (!is_closed() && worker_.is_owned_here()) {
        worker_.answer_messages(nullptr);  // what others have sent before stands before it in the run queue
        return schedule(callback);
    }
    callback->add_ref();
    Handle handle(callback);
    if (is_closed() || !callback->send(worker_)) {
        callback->drop_ref();
        throw RuntimeError("Event loop is closed");
    }
    return handle;
}

void Loop::stop() {
    check_open();
    worker_.life().stop_loop_0();
}

void Loop::add_signal_function(int signal, std::function<void()> function) {
    detail::set_signal_function(worker_, signal, std::move(function));
}

bool Loop::remove_signal_handler(int signal) {
    check_thread();
    return detail::remove_signal_function(worker_, signal);
}

void Loop::set_eager_start(bool on) {
    check_thread();
    worker_.set_starts_eagerly(on);
}

std::size_t Loop::timer_count() const noexcept { return worker_.timer_count(); }

void Loop::set_exception_handler(std::function<void(const ExceptionContext&)> handler) {
    check_thread();
    exception_handler_ = std::move(handler);
}

void Loop::set_exception_handler_threadsafe(std::function<void(const ExceptionContext&)> handler) {
    check_open();
    if (worker_.is_owned_here()) {
        exception_handler_ = std::move(handler);
        return;
    }
    call_soon_threadsafe([this, handler = std::move(handler)]() mutable { exception_handler_ = std::move(handler); });
}

std::function<void(const ExceptionContext&)> Loop::get_exception_handler() const { return exception_handler_; }

void Loop::default_exception_handler(const ExceptionContext& context) {
    std::string text = context.message;
    if (context.task) {
        const auto& task = static_cast<const detail::TaskCore&>(*context.task->ref());
        text += "\n  task: " + task.name();
        text += "\n  coroutine: " + std::string(detail::short_name(task.function().function_name())) + ", " +
                detail::place_text(task.function());
        text += "\n  created at: " + detail::place_text(task.created());
    }
    text += "\n  loop: " + std::to_string(id());
    if (context.exception != nullptr) {
        text += "\n  exception: " + detail::describe(context.exception);
    }
    detail::log(LogLevel::error, std::move(text));
}

void Loop::call_exception_handler(const ExceptionContext& context) noexcept {
    try {
        if (exception_handler_) {
            // A copy: the handler may replace itself.
            const auto handler = exception_handler_;
            handler(context);
        } else {
            default_exception_handler(context);
        }
    } catch (...) {
        detail::log(LogLevel::error,
                    "Unhandled error in exception handler: " + detail::describe(std::current_exception()) +
                        "\n  while handling: " + context.message);
    }
}

Loop& get_running_loop() { return detail::running_worker().loop(); }

namespace detail {

Callback::~Callback() {
    if (context_ != nullptr) {
        context_->drop_ref();
    }
}

void Callback::set_context(ContextState& context) noexcept {
    context.add_ref();
    if (context_ != nullptr) {
        context_->drop_ref();
    }
    context_ = &context;
}

void Callback::call(Worker& worker) noexcept {
    if (!is_cancelled() && !worker.is_discarding()) {
        ContextState* const context_before = std::exchange(t_context, context_);
        try {
            invoke();
        } catch (const CancelledError&) {
            report(worker, what_, std::current_exception(), nullptr);
        } catch (const BaseException&) {
            worker.runtime().fail(std::current_exception());
        } catch (...) {
            report(worker, what_, std::current_exception(), nullptr);
        }
        context_ = std::exchange(t_context, context_before);
    }
    drop_ref();
}

void Callback::run_timer(Worker& worker, Work& work) noexcept {
    static_cast<OwnedTimer&>(static_cast<Timer&>(work)).callback->call(worker);
}

const Callback* Callback::of(const Work& work) noexcept {
    if (work.run == &Callback::run_now) {
        return static_cast<const Callback*>(&work);
    }
    return work.run == &Callback::run_timer ? static_cast<const OwnedTimer&>(static_cast<const Timer&>(work)).callback
                                            : nullptr;
}

void Callback::cancel() noexcept {
    is_cancelled_.store(true, std::memory_order_relaxed);  // relaxed: a flag alone
    if (timer_owner_ != nullptr && timer_owner_->cancel_timer(timer_)) {
        drop_ref();
    }
}

namespace {

Atomic<std::uint64_t> g_next_callback_id{0};  // any thread takes from it; publishes nothing

}  // namespace

DoneCallback::DoneCallback(FutureCore& future)
    : Callback("Exception in callback"),
      Waiter(&DoneCallback::settled),
      future_(future),
      id_(g_next_callback_id.fetch_add(1, std::memory_order_relaxed) + 1) {  // relaxed: a counter
    future_.add_ref();
    is_callback = true;
}

DoneCallback::~DoneCallback() { future_.drop_ref(); }

void DoneCallback::settled(Waiter& waiter, FutureCore& future) noexcept {
    static_cast<DoneCallback&>(waiter).schedule(future.keeper());
}

void DoneCallback::attach() noexcept {
    Worker& keeper = future_.keeper();
    if (keeper.loop().is_closed()) {
        drop_ref();
        return;
    }
    if (keeper.is_owned_here()) {
        link_or_schedule(keeper);
        return;
    }
    struct Message : detail::Work {
        DoneCallback* callback;
    };
    auto* const message = new Message;
    message->callback = this;
    message->run = [](Worker& worker, detail::Work& work) noexcept {
        auto* const self = static_cast<Message*>(&work);
        self->callback->link_or_schedule(worker);
        delete self;
    };
    if (!keeper.post(*message)) {
        delete message;
        drop_ref();  // the loop has closed: nothing is called on it any more
    }
}

void DoneCallback::link_or_schedule(Worker& keeper) noexcept {
    if (keeper.is_discarding()) {
        drop_ref();
    } else if (future_.is_done()) {
        schedule(keeper);
    } else {
        future_.link(*this);
    }
}

std::size_t DoneCallback::remove(FutureCore& future, std::uint64_t id) noexcept {
    std::size_t removed = 0;
    future.for_each_waiter([&](Waiter& waiter) {
        if (waiter.is_callback && static_cast<DoneCallback&>(waiter).id_ == id) {
            future.unlink(waiter);
            static_cast<DoneCallback&>(waiter).drop_ref();
            ++removed;
        }
    });
    return removed;
}

std::size_t DoneCallback::count(FutureCore& future) noexcept {
    std::size_t count = 0;
    future.for_each_waiter([&](Waiter& waiter) { count += waiter.is_callback ? 1 : 0; });
    return count;
}

bool MoveAwaiter::go(Worker& here, std::coroutine_handle<> handle) {
    if (target_ == &here) {
        return false;
    }
    if (target_->runtime_id() != here.runtime_id()) {
        throw ValueError("resume_on(): that loop belongs to another runtime");
    }
    TaskCore& task = *task_;
    Worker& target = *target_;
    task.suspend(handle, nullptr);
    task.move_home(target);
    if (!target.post(task.work())) {
        task.come_back(here);
        throw RuntimeError("Event loop is closed");
    }
    return true;
}

bool MoveAwaiter::offer(Worker& here, std::coroutine_handle<> handle) {
    TaskCore& task = *task_;
    task.suspend(handle, nullptr);
    if (here.runtime().size() < 2) {
        task.wake();
    } else {
        task.leave_home();
        try {
            here.offer(task.work());
        } catch (...) {
            // No memory for the deque to grow: nobody else takes it, so it goes on here, with what came in between.
            static_cast<void>(task.begin(here));
            return false;
        }
    }
    return true;
}

}  // namespace detail
}  // namespace knit
