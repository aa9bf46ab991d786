/// QueueItems: what a queue keeps its items in. A ring that grows and never shrinks; touched under the queue's mutex.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include "knit/detail/base.hpp"

namespace knit::detail {

/// Converts to what a move constructor takes and to what a copy constructor takes: ambiguous where T has both.
template <class T>
struct MoveProbe {
    operator T&&() const noexcept;
    operator const T&() const noexcept;
};

/// Whether an item lies in the ring itself. One whose move may throw, or is a copy in truth and leaves behind a T that
/// is alive, lies on the heap, so that the ring moves a mere pointer and no code of the user's runs under the mutex.
template <class T>
inline constexpr bool kItemInPlace = std::is_trivially_copyable_v<T> || (std::is_nothrow_move_constructible_v<T> &&
                                                                         !std::is_constructible_v<T, MoveProbe<T>>);

template <class T>
class QueueItem {
public:
    explicit QueueItem(T&& value) noexcept(kItemInPlace<T>) : content_(make(std::move(value))) {}
    QueueItem(QueueItem&&) noexcept = default;

    const T& value() const noexcept {
        if constexpr (kItemInPlace<T>) {
            return content_;
        } else {
            return *content_;
        }
    }
    T take() {
        if constexpr (kItemInPlace<T>) {
            return std::move(content_);
        } else {
            const Content content = std::move(content_);
            return std::move(*content);
        }
    }

private:
    using Content = std::conditional_t<kItemInPlace<T>, T, std::unique_ptr<T>>;

    static Content make(T&& value) {
        if constexpr (kItemInPlace<T>) {
            return std::move(value);
        } else {
            return std::make_unique<T>(std::move(value));
        }
    }

    Content content_;
};

template <class Item>
class QueueItems {
    static_assert(std::is_nothrow_move_constructible_v<Item>);

public:
    QueueItems() = default;
    QueueItems(const QueueItems&) = delete;
    QueueItems& operator=(const QueueItems&) = delete;
    ~QueueItems() {
        while (size_ > 0) {
            close_front();
        }
        if (places_ != nullptr) {
            std::allocator<Item>().deallocate(places_, capacity_);
        }
    }
    void swap(QueueItems& other) noexcept {
        std::swap(places_, other.places_);
        std::swap(capacity_, other.capacity_);
        std::swap(first_, other.first_);
        std::swap(size_, other.size_);
    }

    std::size_t size() const noexcept { return size_; }
    Item& operator[](std::size_t index) noexcept { return places_[(first_ + index) & (capacity_ - 1)]; }

    /// Moves from `item` only if it succeeds; throws std::bad_alloc.
    void push_back(Item& item) {
        open_back();
        fill(size_ - 1, item);
    }
    void reserve(std::size_t size) {
        while (capacity_ < size) {
            grow();
        }
    }
    Item pop_front() noexcept {
        KNIT_ASSERT(size_ > 0);
        const Front front(*this);
        return std::move((*this)[0]);
    }
    Item pop_back() noexcept {
        KNIT_ASSERT(size_ > 0);
        const Back back(*this);
        return std::move((*this)[size_ - 1]);
    }

    // Place by place; between two calls some of them are empty.

    /// One more place at the end, empty.
    void open_back() {
        if (size_ == capacity_) [[unlikely]] {
            grow();
        }
        ++size_;
    }
    void fill(std::size_t place, Item& item) noexcept { std::construct_at(&(*this)[place], std::move(item)); }
    /// From a place, which is empty afterwards, to an empty one.
    void shift(std::size_t from, std::size_t to) noexcept {
        fill(to, (*this)[from]);
        std::destroy_at(&(*this)[from]);
    }
    Item empty_place(std::size_t place) noexcept {
        Item item = std::move((*this)[place]);
        std::destroy_at(&(*this)[place]);
        return item;
    }
    /// Drops the last place, which is empty.
    void drop_back() noexcept { --size_; }

private:
    struct Front {
        explicit Front(QueueItems& of) noexcept : items(of) {}
        ~Front() { items.close_front(); }
        QueueItems& items;
    };
    struct Back {
        explicit Back(QueueItems& of) noexcept : items(of) {}
        ~Back() {
            std::destroy_at(&items[items.size_ - 1]);
            --items.size_;
        }
        QueueItems& items;
    };

    void close_front() noexcept {
        std::destroy_at(&(*this)[0]);
        first_ = (first_ + 1) & (capacity_ - 1);
        --size_;
    }
    KNIT_NOINLINE void grow() {
        constexpr std::size_t kCapacityMin = 16;
        const std::size_t capacity = capacity_ == 0 ? kCapacityMin : capacity_ * 2;
        Item* const places = std::allocator<Item>().allocate(capacity);
        for (std::size_t index = 0; index < size_; ++index) {
            std::construct_at(places + index, std::move((*this)[index]));
            std::destroy_at(&(*this)[index]);
        }
        if (places_ != nullptr) {
            std::allocator<Item>().deallocate(places_, capacity_);
        }
        places_ = places;
        capacity_ = capacity;
        first_ = 0;
    }

    Item* places_ = nullptr;
    std::size_t capacity_ = 0;  ///< a power of two
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

}  // namespace knit::detail
