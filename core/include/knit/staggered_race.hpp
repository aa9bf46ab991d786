/// staggered_race(): attempts that start one after the other until one succeeds ("happy eyeballs").
#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "knit/as_result.hpp"
#include "knit/coro.hpp"
#include "knit/error.hpp"
#include "knit/gather.hpp"
#include "knit/loop.hpp"
#include "knit/task.hpp"
#include "knit/time.hpp"
#include "knit/timeout.hpp"

namespace knit {

template <class T>
struct StaggeredResult {
    std::optional<detail::Nv<T>> winner;
    std::optional<std::size_t> index;            ///< whose result it is
    std::vector<std::exception_ptr> exceptions;  ///< of each attempt that started, null for the winner
};

namespace detail {

/// One race; all of it lives on the loop that it was started on.
template <class T>
class StaggeredRace {
public:
    StaggeredRace(std::vector<std::function<Coro<T>()>> attempts, std::optional<Duration> delay, Loop& loop)
        : attempts_(std::move(attempts)), delay_(delay), loop_(loop) {}
    StaggeredRace(const StaggeredRace&) = delete;
    StaggeredRace& operator=(const StaggeredRace&) = delete;

    Coro<StaggeredResult<T>> run() {
        start_runner(Future<>());
        std::exception_ptr cancelled;
        while (!running_.empty()) {
            all_ended_.emplace();
            try {
                co_await *all_ended_;
            } catch (const CancelledError& error) {
                cancelled = std::current_exception();
                cancel_others(nullptr, error.message());
            }
            all_ended_.reset();
        }
        // A KeyboardInterrupt has reached run(), which cancels: it is thrown once.
        if (const std::exception_ptr& error = cancelled != nullptr ? cancelled : fatal_; error != nullptr) {
            std::rethrow_exception(error);
        }
        co_return std::move(result_);
    }

private:
    /// Starts the task that runs the next attempt, once `previous_failed` is set or the delay has passed.
    void start_runner(Future<> previous_failed) {
        Task<> runner = create_task(run_one(std::move(previous_failed)));
        running_.push_back(runner);
        runner.add_done_callback([this](Task<> ended) { note_end(ended); });
    }

    Coro<> run_one(Future<> previous_failed) {
        if (next_ > 0) {
            try {
                co_await wait_for(as_coro(previous_failed), delay_);
            } catch (const TimeoutError&) {
                // It takes long: the next one starts beside it.
            }
        }
        if (next_ == attempts_.size()) {
            co_return;
        }
        const std::size_t index = next_++;
        Future<> this_failed;
        start_runner(this_failed);
        result_.exceptions.emplace_back();
        Result<T> outcome = co_await as_result(keep_callable(attempts_[index]));
        if (&get_running_loop() != &loop_) {
            // The attempt went elsewhere.
            const Result<void> moved = co_await as_result(resume_on(loop_));
            if (outcome.has_value() && !moved.has_value()) {
                outcome = moved.error();
            }
        }
        if (outcome.has_value() && result_.index) {
            outcome = std::make_exception_ptr(CancelledError());  // another one has won; this one's end crossed that
        }
        if (outcome.has_value()) {
            win(index, std::move(outcome));
            co_return;
        }
        rethrow_interrupt(outcome.error());
        result_.exceptions[index] = outcome.error();
        if (!this_failed.done()) {
            this_failed.set_result();
        }
    }

    void win(std::size_t index, Result<T> outcome) {
        result_.index = index;
        if constexpr (std::is_void_v<T>) {
            result_.winner.emplace();
        } else {
            result_.winner.emplace(std::move(outcome).value());
        }
        const std::optional<TaskRef> self = current_task();
        cancel_others(&*self, {});
    }

    /// A KeyboardInterrupt is no failure of an attempt.
    static void rethrow_interrupt(const std::exception_ptr& error) {
        try {
            std::rethrow_exception(error);
        } catch (const KeyboardInterrupt&) {
            throw;
        } catch (...) {
            // One of the results.
        }
    }

    void cancel_others(const TaskRef* self, const std::string& message) {
        for (Task<>& task : running_) {
            if (self == nullptr || *self != task) {
                task.cancel(message);
            }
        }
    }

    void note_end(const Task<>& ended) {
        std::erase(running_, ended);
        if (all_ended_ && !all_ended_->done() && running_.empty()) {
            all_ended_->set_result();
        }
        if (!ended.cancelled() && ended.exception() != nullptr && fatal_ == nullptr) {
            fatal_ = ended.exception();
        }
    }

    std::vector<std::function<Coro<T>()>> attempts_;
    std::optional<Duration> delay_;
    Loop& loop_;
    std::size_t next_ = 0;
    StaggeredResult<T> result_;
    std::vector<Task<>> running_;
    std::optional<Future<>> all_ended_;  ///< set while run() waits
    std::exception_ptr fatal_;
};

template <class T>
Coro<StaggeredResult<T>> run_staggered_race(std::vector<std::function<Coro<T>()>> attempts,
                                            std::optional<Duration> delay) {
    StaggeredRace<T> race(std::move(attempts), delay, get_running_loop());
    co_return co_await race.run();
}

}  // namespace detail

/// Starts the attempts one after the other, the next when the one before fails or `delay` has passed; without a delay,
/// only when it fails. The first to succeed wins, the others are cancelled and waited for. Each runs in a task of its
/// own on the current loop. When none succeeds there is no winner; what they failed with is in the result, not thrown.
/// Cancelled: so are the attempts; CancelledError once they have ended.
template <class T>
Coro<StaggeredResult<T>> staggered_race(std::vector<std::function<Coro<T>()>> attempts,
                                        std::optional<Duration> delay = {}) {
    return detail::run_staggered_race<T>(std::move(attempts), delay);
}

}  // namespace knit
