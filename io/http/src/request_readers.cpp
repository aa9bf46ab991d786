// What becomes of a request that a task reads which its handler has left behind.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

#include "answers.hpp"
#include "knit/detail/base.hpp"
#include "knit/http/request.hpp"
#include "knit/loop.hpp"
#include "knit/task.hpp"

namespace knit::http {
namespace detail {
namespace {

/// What a request that is over has instead of its connection.
class Answered final : public Exchange {
public:
    Coro<std::string_view> read_body(std::uint16_t) final {
        throw_answered();
        co_return std::string_view();
    }
    Coro<> write_body(std::string_view) final {
        throw_answered();
        co_return;
    }
    io::Endpoint peer() const final { return {}; }
};

/// How many requests are kept for readers that were left. The loops of the process write it, when they keep one or let
/// it go; it publishes nothing.
constinit knit::detail::Atomic<std::size_t> kept_count{0};

/// A task that lives for long may leave one request after the other half read: no more of them than that, as then
/// memory matters more.
constexpr std::size_t kKeptMost = 4096;

}  // namespace

/// The tasks that have read a request beside its handler's own; and once it is over, the request itself, until those
/// are done.
struct RequestReaders {
    RequestReaders() = default;
    RequestReaders(const RequestReaders&) = delete;
    RequestReaders& operator=(const RequestReaders&) = delete;
    ~RequestReaders() {
        if (request != nullptr) {
            kept_count.fetch_sub(1, std::memory_order_relaxed);  // relaxed: a count alone
        }
    }

    std::vector<TaskRef> tasks;
    std::unique_ptr<Request> request;
    Head head;  ///< empty
    Answered exchange;
    std::shared_ptr<RequestReaders> self;  ///< there was no memory to hear of their ends: kept for good
};

namespace {

bool is_left(const RequestReaders* readers) noexcept {
    const auto is_under_way = [](const TaskRef& task) { return !task.done(); };
    return readers != nullptr && std::ranges::any_of(readers->tasks, is_under_way) &&
           kept_count.load(std::memory_order_relaxed) < kKeptMost;  // relaxed: a count alone
}

}  // namespace

void Exchange::note_reader(Request& request, Loop& loop) {
    if (request.readers_ == nullptr) {
        request.readers_ = std::make_shared<RequestReaders>();
    }
    std::vector<TaskRef>& tasks = request.readers_->tasks;
    const auto* const current = loop.worker().current_task();
    if (tasks.empty() || tasks.back().ref().get() != current) {
        std::erase_if(tasks, [current](const TaskRef& task) { return task.done() || task.ref().get() == current; });
        tasks.push_back(current_task(loop).value());
    }
}

void Exchange::note_reader_end(Request& request, Loop& loop) noexcept {
    const auto* const current = loop.worker().current_task();
    std::erase_if(request.readers_->tasks, [current](const TaskRef& task) { return task.ref().get() == current; });
}

void Exchange::replace(std::unique_ptr<Request>& request) {
    if (!is_left(request->readers_.get())) {
        request->readers_.reset();
        return;
    }
    auto fresh = std::make_unique<Request>();
    retire(std::exchange(request, std::move(fresh)));
}

void Exchange::retire(std::unique_ptr<Request> request) noexcept {
    if (request == nullptr || !is_left(request->readers_.get())) {
        return;
    }
    const std::shared_ptr<RequestReaders> kept = std::move(request->readers_);
    request->retire(kept->head, kept->exchange);
    kept->request = std::move(request);
    kept_count.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count alone
    try {
        for (TaskRef& task : std::exchange(kept->tasks, {})) {
            if (!task.done()) {
                task.add_done_callback([kept] {});
            }
        }
    } catch (const std::bad_alloc&) {
        kept->self = kept;
    }
}

}  // namespace detail

void Request::retire(const detail::Head& head, detail::Exchange& exchange) noexcept {
    head_ = &head;
    exchange_ = &exchange;
    forget();
    params_.clear();
}

}  // namespace knit::http
