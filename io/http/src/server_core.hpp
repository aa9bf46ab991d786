/// ServerCore: what all connections of a server share.
#pragma once

#include <array>
#include <cstddef>
#include <ctime>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knit/detail/base.hpp"
#include "knit/event.hpp"
#include "knit/http/fields.hpp"
#include "knit/http/detail/head.hpp"
#include "knit/http/detail/server_connection.hpp"
#include "knit/http/server_options.hpp"
#include "router_core.hpp"

namespace knit::http::detail {

/// The Date line of answers, written at most once a second.
class DateLine {
public:
    std::string_view text() noexcept {
        const std::time_t now = std::time(nullptr);
        if (now != second_) [[unlikely]] {
            write(now);
        }
        return {text_.data(), length_};
    }

private:
    void write(std::time_t now) noexcept;

    std::time_t second_ = -1;
    std::size_t length_ = 0;
    std::array<char, 48> text_{};
};

class Handshake;

/// What connections that are idle have left, for the next that has a request: the newest first, which is in the caches.
template <class T>
class Spares {
public:
    void keep(T&& spare) noexcept {
        if (kept_.size() < kMost) {
            try {
                kept_.push_back(std::move(spare));
            } catch (const std::bad_alloc&) {
                return;
            }
        }
    }
    T take() noexcept {
        T spare;
        if (!kept_.empty()) {
            spare = std::move(kept_.back());
            kept_.pop_back();
        }
        return spare;
    }

private:
    static constexpr std::size_t kMost = 256;  // requests under way at one time: those of a turn, as a rule

    std::vector<T> kept_;
};

/// What one loop has of a server. Only that loop touches it.
struct alignas(64) Shard {
    DateLine date;
    ConnectionBase* connections = nullptr;
    Handshake* handshakes = nullptr;
    Spares<std::string> outs;
    Spares<Fields> fields;
};

class ServerCore : public std::enable_shared_from_this<ServerCore> {
public:
    ServerCore(std::shared_ptr<const RouterCore> router, const ServerOptions& options);

    /// Any loop: connections end as soon as they are between two requests.
    void close();
    bool is_closing() const noexcept { return is_closing_.load(std::memory_order_relaxed); }  // relaxed: a flag alone

    const std::shared_ptr<const RouterCore> router;
    const ServerOptions options;
    const HeadLimits limits;
    std::vector<Shard> shards;  ///< by the loop's number
    Event closing;              ///< set by close()

private:
    void end_idle(std::size_t loop) noexcept;

    knit::detail::Atomic<bool> is_closing_{false};  ///< close() sets it, every loop asks; publishes nothing
};

}  // namespace knit::http::detail
