/// Which tasks there are: of one loop, and of all at once.
///
///   [run.snapshot]  a loop's answer: release  ->  who asked: acquire     the loop's list is seen

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "knit/detail/worker.hpp"
#include "knit/loop.hpp"
#include "knit/task.hpp"
#include "runtime_core.hpp"

namespace knit::detail {

std::vector<TaskRef> tasks_of(Worker& worker) {
    std::vector<TaskRef> tasks;
    const auto add = [&](TaskCore& task) {
        if (!task.is_hidden()) {
            task.add_ref();
            tasks.emplace_back(CoreRef(&task));
        }
    };
    for (TaskCore* task = worker.first_task(); task != nullptr; task = task->registry_next) {
        add(*task);
    }
    TaskCore* const current = worker.current_task();
    if (current != nullptr && !current->is_registered() && !current->is_done()) {
        add(*current);
    }
    std::ranges::sort(tasks, {}, &TaskRef::id);
    return tasks;
}

namespace {

// A thread that asks looks so often for an answer before it sleeps between the looks.
constexpr unsigned kQuickRounds = 64;
constexpr std::chrono::microseconds kPause{200};

/// One loop's part of a snapshot. Shared with the message: who asked may have given up when the loop answers.
struct Part {
    std::vector<TaskRef> tasks;
    Atomic<bool> is_there{false};  ///< the loop sets it, who asked reads it; publishes the tasks [run.snapshot]
};

struct Request : Work {
    explicit Request(std::shared_ptr<Part> whose) noexcept : part(std::move(whose)) { run = &Request::answer; }
    static void answer(Worker& worker, Work& work) noexcept {
        const std::unique_ptr<Request> self(static_cast<Request*>(&work));
        if (self->part.use_count() > 1) {  // somebody still waits
            self->part->tasks = tasks_of(worker);
            self->part->is_there.store(true, std::memory_order_release);  // [run.snapshot]
        }
    }
    std::shared_ptr<Part> part;
};

/// Waits for a loop's part; false when the loop is not run any more, or stands still until this one does.
bool wait_for_part(const Part& part, Worker& worker) {
    unsigned round = 0;
    while (!part.is_there.load(std::memory_order_acquire)) {  // [run.snapshot]
        if (!worker.loop().is_running() || worker.runtime().is_halting()) {
            return part.is_there.load(std::memory_order_acquire);  // [run.snapshot]
        }
        if (Worker* const here = Worker::current()) {
            here->answer_messages(&Request::answer);  // others may be waiting for this loop meanwhile
            std::this_thread::yield();
        } else if (++round < kQuickRounds) {
            std::this_thread::yield();
        } else {
            std::this_thread::sleep_for(kPause);  // it computes, perhaps for long
        }
    }
    return true;
}

}  // namespace

std::vector<TaskRef> RuntimeCore::all_tasks() {
    std::vector<std::pair<std::shared_ptr<Part>, Worker*>> asked;
    std::vector<TaskRef> tasks;
    for (Worker* const each : workers_) {
        if (each->is_owned_here()) {
            std::ranges::move(tasks_of(*each), std::back_inserter(tasks));
        } else if (each->loop().is_running()) {
            auto part = std::make_shared<Part>();
            auto request = std::make_unique<Request>(part);
            asked.emplace_back(std::move(part), each);
            if (each->post(*request)) {
                static_cast<void>(request.release());
            } else {
                asked.pop_back();
            }
        }
    }
    for (const auto& [part, worker] : asked) {
        if (wait_for_part(*part, *worker)) {
            std::ranges::move(part->tasks, std::back_inserter(tasks));
        }
    }
    std::ranges::sort(tasks, {}, &TaskRef::id);
    return tasks;
}

}  // namespace knit::detail
