/// StreamOf: a StreamCore with its stream, and the pumps that know the stream's type.
#pragma once

#include <any>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "knit/io/byte_stream.hpp"
#include "knit/io/detail/stream_core.hpp"
#include "knit/io/endpoint.hpp"

namespace knit::detail {

// While a connection waits for its peer it has a small buffer only. When that comes back full, and more is there, the
// next read gets a large one, which is given back at once.
inline constexpr std::size_t kIdleBuffer = 256;
inline constexpr std::size_t kBusyBuffer = std::size_t{64} << 10;
using BusyBuffer = std::array<std::byte, kBusyBuffer>;

/// One of the calling thread's, or a new one.
std::unique_ptr<BusyBuffer> borrow_buffer();
/// Whether a read of `descriptor` would not wait; true also when the kernel does not say.
bool has_bytes_waiting(int descriptor) noexcept;

template <class S>
bool has_more(const S& stream) {
    if constexpr (requires { { stream.available() } -> std::convertible_to<std::size_t>; }) {
        return stream.available() != 0;
    } else if constexpr (requires { { stream.native_handle() } -> std::convertible_to<int>; }) {
        return has_bytes_waiting(stream.native_handle());
    } else {
        return true;
    }
}

template <class S>
class StreamOf final : public StreamCore {
public:
    static constexpr bool kReads = io::ReadableStream<S>;
    static constexpr bool kWrites = io::WritableStream<S>;

    StreamOf(Worker& home, S stream, std::size_t limit, bool reads, bool writes)
        : StreamCore(home, limit, reads, writes), stream_(std::move(stream)) {}

private:
    using Ref = StateRef<StreamOf>;

    Coro<> pump_reading() override {
        if constexpr (kReads) {
            return read_on(Ref::share(*this));
        } else {
            return {};
        }
    }
    Coro<> pump_writing() override {
        if constexpr (kWrites) {
            return write_on(Ref::share(*this));
        } else {
            return {};
        }
    }

    static Coro<> read_on(Ref core) {
        std::exception_ptr error;
        try {
            std::array<std::byte, kIdleBuffer> small;
            while (core->wants_data()) {
                const std::size_t count = co_await core->stream_.read_some(std::span<std::byte>(small));
                core->take_data(std::span(small).first(count));
                if (count == small.size() && core->wants_data() && has_more(core->stream_)) {
                    Coro<> reading = read_much(*core);
                    co_await std::move(reading);
                }
            }
        } catch (...) {
            error = std::current_exception();
        }
        core->end_reading(std::move(error));
    }

    static Coro<> read_much(StreamOf& core) {
        const auto buffer = borrow_buffer();
        std::size_t count = 0;
        do {
            count = co_await core.stream_.read_some(std::span<std::byte>(*buffer));
            core.take_data(std::span(*buffer).first(count));
        } while (count == buffer->size() && core.wants_data() && has_more(core.stream_));
    }

    static Coro<> write_on(Ref core) {
        std::exception_ptr error;
        try {
            bool goes_on = true;
            while (goes_on) {
                const std::span<const std::byte> bytes = core->next_to_send();
                if (!bytes.empty()) {
                    if constexpr (kCountsWrites) {
                        const std::size_t count = co_await core->stream_.write_some(bytes);
                        core->take_sent(count);
                    } else {
                        co_await core->stream_.write(bytes);
                        core->take_sent(bytes.size());
                    }
                } else if (core->take_shutdown()) {
                    if constexpr (Awaitable<decltype(core->stream_.shutdown())>) {
                        co_await core->stream_.shutdown();
                    } else {
                        core->stream_.shutdown();
                    }
                } else {
                    goes_on = false;
                }
            }
        } catch (...) {
            error = std::current_exception();
        }
        core->end_writing(std::move(error), kCountsWrites);
    }

    void close_stream() noexcept override { stream_.close(); }

    bool can_write_eof() const noexcept override {
        if constexpr (requires { S::kCanShutdown; }) {
            return S::kCanShutdown;
        } else {
            return kWrites;
        }
    }

    std::any stream_info(Info which) const override {
        try {
            if constexpr (requires { stream_.native_handle(); }) {
                if (which == Info::socket) {
                    return std::any(stream_.native_handle());
                }
            }
            if constexpr (requires { stream_.peer_endpoint(); stream_.local_endpoint(); }) {
                if (which == Info::peer) {
                    return std::any(stream_.peer_endpoint());
                }
                if (which == Info::local) {
                    return std::any(stream_.local_endpoint());
                }
            }
        } catch (const std::exception&) {
            return {};  // the peer is gone already: as asyncio, no name
        }
        return {};
    }

    std::string describe() const override {
        const std::any local = stream_info(Info::local);
        const std::any peer = stream_info(Info::peer);
        const auto* const from = std::any_cast<io::Endpoint>(&local);
        const auto* const to = std::any_cast<io::Endpoint>(&peer);
        return from != nullptr && to != nullptr ? from->to_string() + " -> " + to->to_string() : "stream";
    }

    static constexpr bool kCountsWrites = requires(S& stream, std::span<const std::byte> bytes) {
        requires std::convertible_to<await_result_t<decltype(stream.write_some(bytes))>, std::size_t>;
    };

    S stream_;
};

}  // namespace knit::detail
