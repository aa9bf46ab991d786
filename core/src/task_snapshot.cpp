///   [snapshot.answer]  a loop's answer: release  ->  who asked: acquire     what the loop wrote is seen

#include "task_snapshot.hpp"

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <thread>
#include <unordered_set>
#include <utility>

#include "await_chain.hpp"
#include "knit/as_completed.hpp"
#include "knit/detail/fork.hpp"
#include "knit/detail/future_wait.hpp"
#include "knit/detail/join.hpp"
#include "knit/detail/wait_core.hpp"
#include "knit/loop.hpp"
#include "runtime_core.hpp"
#include "stack.hpp"
#include "task_group_parts.hpp"
#include "watchdog.hpp"

namespace knit::detail {
namespace {

// How many futures that wait for futures are looked through: a gather of gathers, a shield of a shield.
constexpr int kFuturesDeep = 16;

/// Collects what one task awaits: tasks, and what bare futures of its loop wait for in turn.
class EdgeCollector final : public AwaitVisitor {
public:
    EdgeCollector(SeenTask& seen, const Worker& home) noexcept : seen_(seen), home_(home) {}
    void visit(FutureCore& awaited, const void* via) override {
        ++count;
        if (awaited.is_done()) {
            return;
        }
        if (awaited.is_task()) {
            seen_.awaits.push_back({static_cast<TaskCore&>(awaited).id(), nullptr, via});
            return;
        }
        seen_.awaits.push_back({0, &awaited, via});
        if (&awaited.keeper() == &home_ && depth_ < kFuturesDeep) {
            ++depth_;
            static_cast<FutureState&>(awaited).show_awaited(*this);
            --depth_;
        }
    }
    std::size_t count = 0;

private:
    SeenTask& seen_;
    const Worker& home_;
    int depth_ = 0;
};

void note_wait(SeenTask& seen, const TaskCore& task, const Worker& home) {
    const Wait* const wait = wait_of(task);
    if (wait == nullptr) {
        seen.waits_for = "something that is not knit's";
        return;
    }
    EdgeCollector collector(seen, home);
    seen.waits_for = wait->name;
    if (FutureWait::show_awaited(*wait, collector)) {
        const FutureCore& awaited = *awaited_by(task);
        seen.waits_for = awaited.is_task() ? static_cast<const TaskCore&>(awaited).name() : "a future";
    } else if (GatherWait::show_awaited(*wait, collector) || ForkBase::show_awaited(*wait, collector)) {
        seen.waits_for += " of " + std::to_string(collector.count);
    } else if (!WaitCore::show_awaited(*wait, collector) && !show_group(*wait, collector)) {
        AsCompletedTake::show_awaited(*wait, collector);
    }
}

using Queued = std::unordered_set<const Work*>;

/// Everything that stands in the loop's run queue.
Queued queued_of(const Worker& worker) {
    Queued queued;
    for (const Work* first : {worker.batch_rest(), worker.ready().first(), worker.paused().first()}) {
        for (const Work* work = first; work != nullptr; work = work->next) {
            queued.insert(work);
        }
    }
    return queued;
}

SeenTask look_at_task(TaskCore& task, Worker& worker, const Queued& queued) {
    SeenTask seen;
    seen.id = task.id();
    seen.name = task.name();
    seen.function = task.function();
    seen.created = task.created();
    seen.loop = worker.id();
    seen.stack = frames_from(task.leaf());
    if (&task == worker.current_task()) {
        seen.status = SeenTask::Status::running;
    } else if (!task.is_started()) {
        seen.status = SeenTask::Status::not_started;
    } else if (queued.contains(&task.work())) {
        seen.status = SeenTask::Status::ready;
    } else {
        seen.waiting = std::chrono::milliseconds(Worker::milliseconds_of(worker.now()) - task.suspended_ms());
        note_wait(seen, task, worker);
    }
    if (&task.keeper() == &worker) {
        seen.waiters = waiters_of(task);
        task.for_each_waiter([&](Waiter& waiter) {
            if (const TaskCore* const parent = group_parent(waiter)) {
                seen.group_parents.push_back(parent->id());
            }
        });
    }
    return seen;
}

}  // namespace

std::vector<const void*> waiters_of(FutureCore& core) {
    std::vector<const void*> waiters;
    core.for_each_waiter([&](Waiter& waiter) {
        const void* via = &waiter;
        if (waiter.notify == &GatherBase::child_settled) {
            via = static_cast<JoinWaiter&>(waiter).gather;
        } else if (waiter.notify == &WaitCore::settled) {
            via = static_cast<WaitPlace&>(waiter).wait;
        }
        waiters.push_back(via);
    });
    return waiters;
}

SeenLoop look_at_loop(Worker& worker) {
    SeenLoop seen;
    seen.id = worker.id();
    seen.is_there = true;
    seen.offered_count = worker.offered_count();
    seen.timer_count = worker.timer_count();
    const Queued queued = queued_of(worker);
    for (TaskCore* task = worker.first_task(); task != nullptr; task = task->registry_next) {
        seen.tasks.push_back(look_at_task(*task, worker, queued));
    }
    TaskCore* const current = worker.current_task();
    if (current != nullptr && !current->is_registered() && !current->is_done()) {
        seen.tasks.push_back(look_at_task(*current, worker, queued));
    }
    std::ranges::sort(seen.tasks, {}, &SeenTask::id);
    return seen;
}

/// One loop's part. Shared with the message: who asked may have given up when the loop answers.
struct Survey::Answer {
    SeenLoop seen;
    Atomic<bool> is_there{false};  ///< the loop sets it, who asked reads it; publishes `seen` [snapshot.answer]
};

struct Survey::Request : Work {
    explicit Request(std::shared_ptr<Answer> whose) noexcept : answer(std::move(whose)) { run = &Request::arrive; }
    static void arrive(Worker& worker, Work& work) noexcept {
        const std::unique_ptr<Request> self(static_cast<Request*>(&work));
        if (self->answer.use_count() > 1) {  // somebody still waits
            self->answer->seen = look_at_loop(worker);
            self->answer->is_there.store(true, std::memory_order_release);  // [snapshot.answer]
        }
    }
    std::shared_ptr<Answer> answer;
};

Survey::Survey(RuntimeCore& runtime) : runtime_(runtime), answers_(runtime.size()) {
    seen_.submitted_count = runtime.injector().size_hint();
    const bool is_simulated = runtime.is_simulated_here();
    for (std::size_t index = 0; index < runtime.size(); ++index) {
        Worker& worker = runtime.worker(index);
        SeenLoop& seen = seen_.loops.emplace_back();
        seen.id = worker.id();
        if (is_simulated || worker.is_owned_here()) {
            seen = look_at_loop(worker);
        } else if (!worker.loop().is_running()) {
            seen.trouble = "nobody runs it";
        } else {
            auto answer = std::make_shared<Answer>();
            auto request = std::make_unique<Request>(answer);
            if (worker.post(*request)) {
                static_cast<void>(request.release());
                answers_[index] = std::move(answer);
            } else {
                seen.trouble = "has closed";
            }
        }
    }
}

Survey::~Survey() = default;

bool Survey::is_complete() {
    bool is_complete = true;
    for (std::size_t index = 0; index < answers_.size(); ++index) {
        std::shared_ptr<Answer>& answer = answers_[index];
        if (answer != nullptr && answer->is_there.load(std::memory_order_acquire)) {  // [snapshot.answer]
            seen_.loops[index] = std::move(answer->seen);
            answer.reset();
        }
        is_complete = is_complete && answer == nullptr;
    }
    return is_complete;
}

void Survey::wait(Duration limit) {
    const TimePoint end = after(std::chrono::steady_clock::now(), limit);
    while (!is_complete() && std::chrono::steady_clock::now() < end) {
        if (Worker* const here = Worker::current()) {
            here->answer_messages(&Request::arrive);  // others may be waiting for this loop meanwhile
            std::this_thread::yield();
        } else {
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
    }
}

SeenRuntime Survey::take() {
    is_complete();
    for (std::size_t index = 0; index < answers_.size(); ++index) {
        if (answers_[index] != nullptr) {
            seen_.loops[index].trouble = "does not answer: " + describe_step(runtime_.worker(index));
        }
    }
    return std::move(seen_);
}

namespace {

struct RuntimeList {
    std::shared_mutex mutex;  // shared by those who look
    std::vector<RuntimeCore*> runtimes;
};

// Leaked on purpose: a runtime may be a static object.
RuntimeList& runtime_list() {
    static RuntimeList* const list = new RuntimeList;
    return *list;
}

}  // namespace

void enlist_runtime(RuntimeCore& runtime) {
    const std::unique_lock lock(runtime_list().mutex);
    runtime_list().runtimes.push_back(&runtime);
}

void delist_runtime(RuntimeCore& runtime) noexcept {
    const std::unique_lock lock(runtime_list().mutex);
    std::erase(runtime_list().runtimes, &runtime);
}

std::vector<SeenRuntime> look_at_tasks(Duration on_loop, Duration elsewhere) {
    std::vector<SeenRuntime> seen;
    if (Worker* const here = Worker::current()) {
        Survey survey(here->runtime());
        survey.wait(on_loop);
        seen.push_back(survey.take());
        return seen;
    }
    const std::shared_lock lock(runtime_list().mutex);
    std::vector<std::unique_ptr<Survey>> surveys;
    for (RuntimeCore* const runtime : runtime_list().runtimes) {
        surveys.push_back(std::make_unique<Survey>(*runtime));
    }
    const TimePoint end = after(std::chrono::steady_clock::now(), elsewhere);
    for (const auto& survey : surveys) {
        survey->wait(end - std::chrono::steady_clock::now());
        seen.push_back(survey->take());
    }
    return seen;
}

}  // namespace knit::detail
