/// Input: bytes that have come and have not been read. In a buffer that the loop lends, as long as one is enough, so
/// that a connection that waits holds none; or in its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "knit/io/receive.hpp"

namespace knit::http::detail {

class Input {
public:
    std::string_view rest() const noexcept { return rest_; }
    void consume(std::size_t count) noexcept { rest_.remove_prefix(count); }
    /// Gives back what has been read.
    void release() noexcept {
        lent_.release();
        if (capacity() > kKept) {
            own_.reset();
        }
    }

    /// The same, and all memory.
    void drop() noexcept { *this = Input(); }

    /// Adds what was received. Views of what was there are good no more, unless nothing was.
    void take(io::Received received) {
        if (rest_.empty()) {
            lent_ = std::move(received);
            rest_ = lent_.text();
        } else {
            const std::span<std::byte> room = make_room(received.size());
            std::memcpy(room.data(), received.data(), received.size());
            grow(received.size());
        }
    }
    /// Room for more behind what is there, for a stream that lends nothing; then grow().
    std::span<std::byte> make_room(std::size_t size) {
        const std::size_t kept = rest_.size();
        const std::size_t needed = kept + size;
        if (capacity() < needed) {
            // What comes in small pieces is not moved for each of them.
            const std::size_t larger = kept == 0 ? needed : std::max(needed, 2 * capacity());
            auto own = std::make_unique_for_overwrite<char[]>(larger);
            std::copy(rest_.begin(), rest_.end(), own.get());
            own_ = std::move(own);
            capacity_ = larger;
        } else if (kept != 0 && rest_.data() != own_.get()) {
            std::memmove(own_.get(), rest_.data(), kept);
        }
        lent_.release();
        rest_ = {own_.get(), kept};
        return std::as_writable_bytes(std::span(own_.get() + kept, size));
    }
    void grow(std::size_t size) noexcept { rest_ = {rest_.data(), rest_.size() + size}; }

private:
    static constexpr std::size_t kKept = 16 << 10;

    std::size_t capacity() const noexcept { return own_ != nullptr ? capacity_ : 0; }

    io::Received lent_;
    std::unique_ptr<char[]> own_;  ///< on the heap, so a move keeps the views
    std::size_t capacity_ = 0;     ///< of own_, as long as there is one: a move leaves it
    std::string_view rest_;
};

}  // namespace knit::http::detail
