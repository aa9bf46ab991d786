/// Queue, LifoQueue, PriorityQueue: asyncio's queues, shared by tasks on any loops and by plain threads.
#pragma once

#include <bit>
#include <coroutine>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include "knit/detail/awaitable.hpp"
#include "knit/detail/queue_core.hpp"
#include "knit/detail/queue_items.hpp"

namespace knit {

/// First in, first out. Producers wait while it holds `maxsize` items (0: no limit), consumers while it is empty.
///
/// Everything but awaiting may be called from any thread; put(), get() and join() are awaited in any task. A waiter
/// resumes on its own loop, at the end of its run queue. Waiters are served in the order of asking, and nobody
/// overtakes a waiter that has been woken: the item, or the slot, is kept for it. An operation that needs not wait
/// suspends nobody and, once the queue has grown, allocates nothing.
///
/// Items are moved while a mutex of the queue is held; a moved-from item is also destroyed there, so that its
/// destructor must not use this queue. A T whose move may throw, or that can only be copied, is kept on the heap, and
/// none of its code runs under the mutex; one whose move throws on its way out is lost. What shutdown() or the
/// destructor drops is dropped outside.
///
///     knit::Queue<std::string> lines(100);
///     ...                                     // in one task
///     co_await lines.put("text");
///     ...                                     // in another, on whatever loop
///     std::string line = co_await lines.get();
///     lines.task_done();
template <class T>
class Queue : detail::QueueCore {
    static_assert(std::is_object_v<T> && std::is_move_constructible_v<T>, "a queue holds objects that can be moved");

    using Outcome = QueueCore::Outcome;

protected:
    using Item = detail::QueueItem<T>;
    using Items = detail::QueueItems<Item>;

private:
    class Put;
    class Get;

public:
    /// Anywhere, with or without a loop. It must outlive the operations on it; one that is still waited in when it is
    /// destroyed leaves its waiters waiting until they are cancelled.
    explicit Queue(std::size_t maxsize = 0) noexcept : Queue(maxsize, Order::first_in_first_out) {}
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;
    virtual ~Queue() { drop_items(); }

    /// Awaited: adds `value`, when there is room. Cancelled: the value is not put. Throws QueueShutDown.
    Put put(T value) { return Put(*this, std::move(value)); }
    /// Awaited: takes the next item, when there is one. Cancelled: no item is taken; one that was kept for this task
    /// stays where it was, for the next. Throws QueueShutDown when there is none and never will be.
    Get get() { return Get(*this); }
    /// Throws QueueFull, QueueShutDown.
    void put_nowait(T value) {
        Item item(std::move(value));
        check_put(try_put(item));
    }
    /// Throws QueueEmpty, also when every item is kept for a waiter that has been woken; QueueShutDown.
    T get_nowait() {
        std::optional<Item> item;
        check_got(try_get(item));
        return item->take();
    }

    /// What was taken has been dealt with. ValueError when that has been said of every item ever put.
    using QueueCore::task_done;
    /// Awaited: until task_done() has been said of every item. Cancelled: nothing is lost.
    detail::QueueCore::Join join() { return Join(*this); }

    /// From now on nothing can be put, and get() fails once the queue is empty: with QueueShutDown, as does whoever
    /// waits. Joiners wake first, then getters, then putters. With `immediate` the items are dropped, as if each had
    /// been taken and task_done() been said of it.
    void shutdown(bool immediate = false) {
        Released released{};
        {
            Items dropped_arrivals;
            Items dropped;
            const Hold hold(take_mutex(), put_mutex());
            if (immediate) {
                arrivals_.swap(dropped_arrivals);
                items_.swap(dropped);
                note_moved();
                note_dropped(dropped.size() + dropped_arrivals.size());
            }
            released = release_waiters();
        }
        wake(released);  // last: one of them may destroy the queue
    }

    /// How many items there are, those kept for woken getters included; at one moment, where others use it too.
    using QueueCore::empty;
    using QueueCore::qsize;
    /// Whether it holds maxsize items. put_nowait() may throw QueueFull before: a slot may be kept for a woken putter.
    using QueueCore::full;
    /// 0: no limit.
    using QueueCore::maxsize;

protected:
    using Order = QueueCore::Order;

    Queue(std::size_t maxsize, Order order) noexcept : QueueCore(maxsize, order) {}

    /// The items in the order in which they are taken; an order of its own: as insert() and remove() please.
    Items& items() noexcept { return items_; }

private:
    /// For an order of its own. Nothing has happened when it throws.
    virtual void insert(Item& item) { items_.push_back(item); }
    virtual Item remove() { return items_.pop_front(); }

    // Who holds what: an order of its own needs both sides for every item.

    Hold hold_to_put() noexcept { return is_ordered() ? Hold(take_mutex(), put_mutex()) : Hold(put_mutex()); }
    Hold hold_to_get() noexcept { return is_ordered() ? Hold(take_mutex(), put_mutex()) : Hold(take_mutex()); }

    Outcome try_put(Item& item) {
        Hold hold = hold_to_put();
        return put_held(item, hold);
    }
    Outcome put_held(Item& item, Hold& hold) {
        const Outcome outcome = may_put();
        if (outcome == Outcome::done) [[likely]] {
            add(item, hold);
        }
        return outcome;
    }
    /// The putter has been woken, and a slot was kept for it unless the queue has been shut down.
    Outcome put_by_grant(Item& item) {
        Hold hold = hold_to_put();
        if (is_shutdown()) {
            return Outcome::shut_down;
        }
        add(item, hold);
        note_put_by_grant();
        return Outcome::done;
    }
    void add(Item& item, Hold& hold) {
        if (is_ordered()) {
            insert(item);
        } else {
            arrivals_.push_back(item);
        }
        hold.wake(note_put());
    }

    Outcome try_get(std::optional<Item>& item) {
        Hold hold = hold_to_get();
        if (items_.size() == reserved() && has_arrivals()) {
            const Hold other(put_mutex());
            move_arrivals();
        }
        return get_held(item, hold);
    }
    /// The same without a look at the put side.
    Outcome try_get_moved(std::optional<Item>& item) {
        Hold hold = hold_to_get();
        return items_.size() == reserved() ? Outcome::would_wait : get_held(item, hold);
    }
    Outcome get_held(std::optional<Item>& item, Hold& hold) {
        if (items_.size() == reserved()) {
            return is_shutdown() ? Outcome::shut_down : Outcome::would_wait;
        }
        take(item, hold);
        return Outcome::done;
    }
    /// The getter has been woken, and an item was kept for it unless the queue has been shut down.
    Outcome get_by_grant(std::optional<Item>& item, bool is_released) {
        Hold hold = hold_to_get();
        if (!has_reserved() && has_arrivals()) {
            const Hold other(put_mutex());
            move_arrivals();
        }
        if (is_released || !has_reserved()) {
            return get_held(item, hold);
        }
        take(item, hold);
        note_taken_by_grant();
        return Outcome::done;
    }
    void take(std::optional<Item>& item, Hold& hold) {
        item.emplace(is_ordered() ? remove() : items_.pop_front());
        hold.wake(note_taken());
    }
    /// With both mutexes.
    void move_arrivals() {
        if (items_.size() == 0) {
            items_.swap(arrivals_);
        } else {
            items_.reserve(items_.size() + arrivals_.size());
            while (arrivals_.size() > 0) {
                Item item = arrivals_.pop_front();
                items_.push_back(item);
            }
        }
        note_moved();
    }
    /// While the queue still is one: what an item's destructor does may reach it.
    void drop_items() noexcept {
        Items dropped;
        dropped.swap(items_);
        Items dropped_arrivals;
        dropped_arrivals.swap(arrivals_);
    }

    static void check_put(Outcome outcome) {
        if (outcome != Outcome::done) [[unlikely]] {
            outcome == Outcome::shut_down ? throw_shut_down() : throw_full();
        }
    }
    static void check_got(Outcome outcome) {
        if (outcome != Outcome::done) [[unlikely]] {
            outcome == Outcome::shut_down ? throw_shut_down() : throw_empty();
        }
    }

    Items arrivals_;  ///< the put side's; empty in a queue with an order of its own
    detail::Apart apart_;
    Items items_;  ///< the take side's
};

/// `co_await queue.put(value)`.
template <class T>
class [[nodiscard]] Queue<T>::Put : QueueCore::Waiting {
public:
    using knit_awaiter = void;

    Put(Queue& queue, T&& value)
        : QueueCore::Waiting(queue, QueueCore::Role::putter, "Queue.put"), queue_(&queue), item_(std::move(value)) {}

    bool await_ready() {
        outcome_ = queue_->try_put(item_);
        return outcome_ != Outcome::would_wait;
    }
    template <detail::KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) {
        {
            Hold hold(queue_->take_mutex(), queue_->put_mutex());
            outcome_ = queue_->put_held(item_, hold);
            if (outcome_ != Outcome::would_wait) {
                return false;
            }
            this->enter(handle.promise().task());
        }
        this->suspend(handle);
        return true;
    }
    void await_resume() {
        if (this->has_waited()) {
            const typename QueueCore::Waiting::Turn turn(*this);
            this->resumed();
            outcome_ = queue_->put_by_grant(item_);
            this->finish();
        }
        check_put(outcome_);
    }

private:
    Queue* queue_;
    Item item_;
    Outcome outcome_ = Outcome::would_wait;
};

/// `co_await queue.get()`.
template <class T>
class [[nodiscard]] Queue<T>::Get : QueueCore::Waiting {
public:
    using knit_awaiter = void;

    explicit Get(Queue& queue) noexcept
        : QueueCore::Waiting(queue, QueueCore::Role::getter, "Queue.get"), queue_(&queue) {}

    bool await_ready() {
        if (queue_->is_fed_from_elsewhere()) {
            outcome_ = queue_->try_get_moved(item_);
            if (outcome_ != Outcome::would_wait) {
                return true;
            }
            QueueCore::pause_for_arrivals();
        }
        outcome_ = queue_->try_get(item_);
        return outcome_ != Outcome::would_wait;
    }
    template <detail::KnitPromise P>
    bool await_suspend(std::coroutine_handle<P> handle) {
        {
            Hold hold(queue_->take_mutex(), queue_->put_mutex());
            if (queue_->has_arrivals()) {
                queue_->move_arrivals();
            }
            outcome_ = queue_->get_held(item_, hold);
            if (outcome_ != Outcome::would_wait) {
                return false;
            }
            this->enter(handle.promise().task());
        }
        this->suspend(handle);
        return true;
    }
    T await_resume() {
        if (this->has_waited()) {
            const typename QueueCore::Waiting::Turn turn(*this);
            this->resumed();
            outcome_ = queue_->get_by_grant(item_, this->is_released());
            this->finish();
        }
        check_got(outcome_);
        return item_->take();
    }

private:
    Queue* queue_;
    std::optional<Item> item_;
    Outcome outcome_ = Outcome::would_wait;
};

/// Last in, first out; otherwise as Queue.
template <class T>
class LifoQueue : public Queue<T> {
public:
    explicit LifoQueue(std::size_t maxsize = 0) noexcept : Queue<T>(maxsize, Queue<T>::Order::other) {}

private:
    using Item = typename Queue<T>::Item;

    Item remove() override { return this->items().pop_back(); }
};

/// The smallest comes first, of equal ones the one that heapq would give; otherwise as Queue. `less` is called while
/// the queue's mutexes are held: it must not use the queue. What it throws comes out of put() and get(), and nothing
/// has happened.
template <class T, class Less = std::less<T>>
class PriorityQueue : public Queue<T> {
public:
    explicit PriorityQueue(std::size_t maxsize = 0, Less less = {})
        : Queue<T>(maxsize, Queue<T>::Order::other), less_(std::move(less)) {}

private:
    using Item = typename Queue<T>::Item;

    bool is_less(const Item& left, const Item& right) { return less_(left.value(), right.value()); }
    static std::size_t parent(std::size_t place) noexcept { return (place - 1) / 2; }

    // A binary heap. Both look for the new item's place first and only then move anything, because `less` may throw.

    void insert(Item& item) override {
        auto& heap = this->items();
        std::size_t place = heap.size();
        while (place > 0 && is_less(item, heap[parent(place)])) {
            place = parent(place);
        }
        heap.open_back();
        for (std::size_t hole = heap.size() - 1; hole != place; hole = parent(hole)) {
            heap.shift(parent(hole), hole);
        }
        heap.fill(place, item);
    }
    Item remove() override {
        auto& heap = this->items();
        const std::size_t last = heap.size() - 1;
        const std::size_t place = last > 0 ? place_for_last(last) : 0;
        Item smallest = heap.empty_place(0);
        if (last > 0) {
            // Down the path to the place everything moves up by one.
            for (auto level = std::bit_width(place + 1) - 1; level > 0; --level) {
                const std::size_t child = ((place + 1) >> (level - 1)) - 1;
                heap.shift(child, parent(child));
            }
            heap.shift(last, place);
        }
        heap.drop_back();
        return smallest;
    }
    /// Where the last item goes when the smallest has left: as heapq does, down along the smaller children to a leaf,
    /// then up again past what is greater.
    std::size_t place_for_last(std::size_t last) {
        auto& heap = this->items();
        std::size_t place = 0;
        for (std::size_t child = 1; child < last; child = 2 * place + 1) {
            const std::size_t right = child + 1;
            place = right < last && !is_less(heap[child], heap[right]) ? right : child;
        }
        while (place > 0 && is_less(heap[last], heap[place])) {
            place = parent(place);
        }
        return place;
    }

    [[no_unique_address]] Less less_;
};

}  // namespace knit
