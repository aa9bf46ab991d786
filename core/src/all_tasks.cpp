/// Which tasks there are: of one loop, and of all at once.
///
///   [run.snapshot]  a loop's answer: release  ->  who asked: acquire     the loop's list is seen

#include <algorithm>
#include <iterator>
#include <thread>

#include "knit/detail/worker.hpp"
#include "knit/loop.hpp"
#include "knit/task.hpp"
#include "runtime_core.hpp"

namespace knit::detail {

std::vector<TaskRef> tasks_of(Worker& worker) {
    std::vector<TaskRef> tasks;
    const auto add = [&](TaskCore& task) {
        task.add_ref();
        tasks.emplace_back(CoreRef(&task));
    };
    for (TaskCore* task = worker.first_task(); task != nullptr; task = task->registry_next) {
        add(*task);
    }
    TaskCore* const current = worker.current_task();
    if (current != nullptr && !current->is_registered()) {
        add(*current);
    }
    std::ranges::sort(tasks, {}, &TaskRef::id);
    return tasks;
}

std::vector<TaskRef> RuntimeCore::all_tasks() {
    struct Request : Work {
        std::vector<TaskRef>* tasks = nullptr;
        Atomic<std::size_t>* answered = nullptr;
    };
    const Work::Run answer = [](Worker& worker, Work& work) noexcept {
        auto& request = static_cast<Request&>(work);
        *request.tasks = tasks_of(worker);
        request.answered->fetch_add(1, std::memory_order_release);  // [run.snapshot]
    };
    Worker* const here = Worker::current();
    Atomic<std::size_t> answered{0};  // every asked loop adds one, this thread waits for all [run.snapshot]
    std::vector<std::vector<TaskRef>> answers(size());
    std::vector<Request> requests(size());
    std::size_t asked = 0;
    for (std::size_t index = 0; index < size(); ++index) {
        requests[index].run = answer;
        requests[index].tasks = &answers[index];
        requests[index].answered = &answered;
        if (is_owned_here(worker(index))) {
            answers[index] = tasks_of(worker(index));
        } else if (worker(index).loop().is_running() && worker(index).post(requests[index])) {
            ++asked;
        }
    }
    while (answered.load(std::memory_order_acquire) != asked) {  // [run.snapshot]
        if (here != nullptr) {
            here->answer_messages(answer);  // others may be waiting for this loop meanwhile
        }
        std::this_thread::yield();
    }
    std::vector<TaskRef> tasks;
    for (std::vector<TaskRef>& part : answers) {
        std::ranges::move(part, std::back_inserter(tasks));
    }
    std::ranges::sort(tasks, {}, &TaskRef::id);
    return tasks;
}

}  // namespace knit::detail
