/// Input: bytes that have come and have not been read. In a buffer that the loop lends, as long as one is enough, so
/// that a connection that waits holds none; or in its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "knit/io/receive.hpp"

namespace knit::http::detail {

class Input {
public:
    std::string_view rest() const noexcept { return rest_; }
    void consume(std::size_t count) noexcept { rest_.remove_prefix(count); }
    /// Gives back what has been read.
    void release() noexcept {
        lent_.release();
        if (own_.capacity() > kKept) {
            own_ = {};
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
        if (own_.size() < kept + size) {
            std::vector<char> larger(kept + size);
            std::copy(rest_.begin(), rest_.end(), larger.begin());
            own_ = std::move(larger);
        } else if (kept != 0) {
            std::memmove(own_.data(), rest_.data(), kept);
        }
        lent_.release();
        rest_ = {own_.data(), kept};
        return std::as_writable_bytes(std::span(own_).subspan(kept, size));
    }
    void grow(std::size_t size) noexcept { rest_ = {rest_.data(), rest_.size() + size}; }

private:
    static constexpr std::size_t kKept = 16 << 10;

    io::Received lent_;
    std::vector<char> own_;  ///< on the heap, so a move keeps the views
    std::string_view rest_;
};

}  // namespace knit::http::detail
