/// Task::wait(): a thread that is no loop waits for a task.
///
/// The wait subscribes by a message to the task's keeper, as a loop does. It also stands in one list of the process,
/// for the end of a runtime that abandons tasks: that closes its loops, then ends the waits of the list that are its
/// own. A wait that comes into the list later finds the keeper closed.

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <vector>

#include "knit/error.hpp"
#include "knit/task.hpp"
#include "runtime_core.hpp"

namespace knit::detail {
namespace {

constexpr std::chrono::hours kLongest{24 * 365};  // what the clock can still add up

struct ThreadWait {
    struct Entry : Waiter {
        explicit Entry(ThreadWait& owner) noexcept : Waiter(&Entry::settled), wait(owner) {}
        static void settled(Waiter& waiter, FutureCore&) noexcept {
            // Unlocked only when nothing of this is used any more: the thread may leave at once.
            const std::shared_ptr<ThreadWait> wait = std::move(static_cast<Entry&>(waiter).wait.self);
            wait->finish();
        }
        ThreadWait& wait;
    };
    struct Message : Work {
        std::shared_ptr<ThreadWait> wait;
    };

    explicit ThreadWait(FutureCore& future) : core(&future), entry(*this) { future.add_ref(); }

    static void arrive(Worker&, Work& work) noexcept {
        auto* const arrived = static_cast<Message*>(&work);
        ThreadWait& wait = *arrived->wait;
        if (wait.core->is_done()) {
            wait.finish();
        } else {
            wait.self = arrived->wait;
            wait.core->link(wait.entry);
        }
        delete arrived;
    }
    void finish() noexcept {
        const std::lock_guard lock(mutex);
        is_over = true;
        changed.notify_all();
    }
    void block(std::optional<Duration> limit) {
        std::unique_lock lock(mutex);
        if (limit) {
            changed.wait_for(lock, std::min<Duration>(*limit, kLongest), [&] { return is_over; });
        } else {
            changed.wait(lock, [&] { return is_over; });
        }
    }

    CoreRef core;
    Entry entry;
    std::shared_ptr<ThreadWait> self;  ///< set while the keeper's loop holds the entry
    std::mutex mutex;
    std::condition_variable changed;
    bool is_over = false;  ///< the task is done, or its loops have closed
};

/// The waits of the process. Kept for good: threads may wait while static objects are destroyed.
struct WaitList {
    std::mutex mutex;
    std::vector<std::shared_ptr<ThreadWait>> waits;
};

WaitList& wait_list() {
    alignas(WaitList) static std::byte memory[sizeof(WaitList)];  // the end of a run has none to ask for
    static WaitList* const list = new (memory) WaitList;
    return *list;
}

/// Stands in the list for as long as the thread waits.
class ListedWait {
public:
    explicit ListedWait(std::shared_ptr<ThreadWait> wait) : wait_(std::move(wait)) {
        WaitList& list = wait_list();
        const std::lock_guard lock(list.mutex);
        list.waits.push_back(wait_);
    }
    ~ListedWait() {
        WaitList& list = wait_list();
        const std::lock_guard lock(list.mutex);
        std::erase(list.waits, wait_);
    }
    ListedWait(const ListedWait&) = delete;
    ListedWait& operator=(const ListedWait&) = delete;

private:
    std::shared_ptr<ThreadWait> wait_;
};

/// Whether the task is done; false also when it never will be.
bool wait_until(FutureCore& core, std::optional<Duration> limit) {
    if (Worker::current() != nullptr) {
        throw RuntimeError("Task::wait() would block the loop: co_await the task");
    }
    if (core.is_done()) {
        return true;
    }
    const auto wait = std::make_shared<ThreadWait>(core);
    const ListedWait listed(wait);
    auto message = std::make_unique<ThreadWait::Message>();
    message->wait = wait;
    message->run = &ThreadWait::arrive;
    if (core.keeper().post(*message)) {
        static_cast<void>(message.release());
        wait->block(limit);
    }
    return core.is_done();
}

}  // namespace

void end_thread_waits(std::uint64_t runtime_id) noexcept {
    WaitList& list = wait_list();
    const std::lock_guard lock(list.mutex);
    for (const std::shared_ptr<ThreadWait>& wait : list.waits) {
        if (wait->core->keeper().runtime_id() == runtime_id) {
            wait->finish();
        }
    }
}

void wait_in_thread(FutureCore& core) {
    if (!wait_until(core, std::nullopt)) {
        throw RuntimeError("Event loop is closed");
    }
}

bool wait_in_thread(FutureCore& core, Duration limit) { return wait_until(core, limit); }

}  // namespace knit::detail
