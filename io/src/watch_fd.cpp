// Loop::add_reader() and its kin: for each registration a task that no list shows, which polls and calls.

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "knit/as_result.hpp"
#include "knit/context_var.hpp"
#include "knit/error.hpp"
#include "knit/io/detail/descriptor.hpp"
#include "knit/loop.hpp"
#include "knit/sleep.hpp"
#include "knit/task.hpp"
#include "poll_op.hpp"

namespace knit {
namespace detail {
namespace {

/// A number that stays the user's.
class WatchedDescriptor final : public Descriptor {
public:
    explicit WatchedDescriptor(int number) : Descriptor(Fd(number)), number_(number) {}
    ~WatchedDescriptor() override { forget_number(); }
    std::string describe() const override { return "descriptor " + std::to_string(number_); }

private:
    int number_;
};

struct Watch {
    explicit Watch(int number) : owner(new WatchedDescriptor(number)) {}

    DescriptorOwner owner;
    std::function<void()> function;
    Context context = copy_context();
    unsigned generation = 0;  ///< changes with the function, and when the watch ends: what is due is void then
    bool is_removed = false;
};

struct Entry {
    std::shared_ptr<Watch> watch;
    Task<> task;
};

/// By descriptor, and whether it is the writer's.
using Watches = std::map<std::pair<int, bool>, Entry>;

/// One turn for what has been found ready, after which it is looked at again.
void call_once(Loop& loop, const std::shared_ptr<Watch>& watch) {
    loop.call_soon([watch, generation = watch->generation] {
        if (watch->generation == generation) {
            const std::function<void()> function = watch->function;  // it may replace itself
            watch->context.run(function);
        }
    });
}

Coro<> keep_watching(Loop& loop, std::shared_ptr<Watches> all, std::pair<int, bool> key, std::shared_ptr<Watch> watch) {
    const unsigned events = key.second ? POLLOUT : POLLIN;
    Result<void> ended;
    while (!watch->is_removed) {
        PollOp ready(watch->owner, events);
        Result<int> polled = co_await as_result(std::move(ready));
        if (watch->is_removed) {
            co_return;
        }
        if (!polled) {
            ended = Result<void>(polled.error());
            break;
        }
        call_once(loop, watch);
        ended = co_await as_result(yield());
        if (!ended) {
            break;
        }
    }
    if (watch->is_removed) {
        co_return;
    }
    watch->is_removed = true;
    ++watch->generation;
    all->erase(key);
    try {
        ended.rethrow();
    } catch (const std::exception&) {
        // No CancelledError, which the end of the run brings: the descriptor cannot be polled.
        ExceptionContext context;
        context.message = "a descriptor of add_reader() or add_writer() is watched no more";
        context.exception = std::current_exception();
        context.loop = &loop;
        loop.call_exception_handler(context);
    }
}

}  // namespace
}  // namespace detail

using detail::Watch;
using detail::Watches;

void Loop::watch_descriptor(int fd, bool is_writer, std::function<void()> function) {
    if (fd < 0) {
        throw ValueError("Invalid file descriptor: " + std::to_string(fd));
    }
    if (fcntl(fd, F_GETFD) < 0) {
        throw std::system_error(errno, std::generic_category(), "watch descriptor " + std::to_string(fd));
    }
    if (watches_ == nullptr) {
        watches_ = std::make_shared<Watches>();
    }
    const auto all = std::static_pointer_cast<Watches>(watches_);
    const std::pair key(fd, is_writer);
    if (const auto found = all->find(key); found != all->end()) {
        Watch& watch = *found->second.watch;
        watch.function = std::move(function);
        watch.context = copy_context();
        ++watch.generation;
        return;
    }
    auto watch = std::make_shared<Watch>(fd);
    watch->function = std::move(function);
    TaskOptions options;
    options.name = (is_writer ? "add_writer " : "add_reader ") + std::to_string(fd);
    Task<> task = create_task(detail::keep_watching(*this, all, key, watch), std::move(options));
    static_cast<detail::TaskCore&>(*task.ref()).mark_hidden();
    all->emplace(key, detail::Entry{std::move(watch), std::move(task)});
}

bool Loop::unwatch_descriptor(int fd, bool is_writer) {
    if (is_closed()) {
        return false;
    }
    check_thread();
    const auto all = std::static_pointer_cast<Watches>(watches_);
    const auto found = all != nullptr ? all->find({fd, is_writer}) : Watches::iterator();
    if (all == nullptr || found == all->end()) {
        return false;
    }
    detail::Entry entry = std::move(found->second);
    all->erase(found);
    entry.watch->is_removed = true;
    ++entry.watch->generation;
    entry.task.cancel();
    return true;
}

bool Loop::remove_reader(int fd) { return unwatch_descriptor(fd, false); }
bool Loop::remove_writer(int fd) { return unwatch_descriptor(fd, true); }

}  // namespace knit
