/// StreamOf: a StreamCore with its stream, and the pumps that know the stream's type.
#pragma once

#include <algorithm>
#include <any>
#include <array>
#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "knit/io/byte_stream.hpp"
#include "knit/io/detail/stream_core.hpp"
#include "knit/io/endpoint.hpp"

namespace knit::detail {

// While a connection waits for its peer it holds no buffer where the stream can receive() into a lent one, and else
// this small one. When that comes back full, the next read gets one for what is there, which is given back at once.
inline constexpr std::size_t kIdleBuffer = 128;
inline constexpr std::size_t kBusyBuffer = std::size_t{64} << 10;
// What a lent buffer that may hide more has in it.
inline constexpr std::size_t kLentBuffer = std::size_t{4} << 10;

/// How many bytes a read of `descriptor` finds; many when the kernel does not say.
std::size_t bytes_waiting_at(int descriptor) noexcept;

template <class S>
std::size_t bytes_waiting(const S& stream) {
    if constexpr (requires { { stream.available() } -> std::convertible_to<std::size_t>; }) {
        return stream.available();
    } else if constexpr (requires { { stream.native_handle() } -> std::convertible_to<int>; }) {
        return bytes_waiting_at(stream.native_handle());
    } else {
        return kBusyBuffer;
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
            while (core->wants_data()) {
                bool is_full = false;
                if constexpr (requires { core->stream_.receive(); }) {
                    const auto received = co_await core->stream_.receive();
                    core->take_data(received.bytes());
                    is_full = received.size() >= kLentBuffer;
                } else {
                    std::array<std::byte, kIdleBuffer> small;
                    const std::size_t count = co_await core->stream_.read_some(std::span<std::byte>(small));
                    core->take_data(std::span(small).first(count));
                    is_full = count == small.size();
                }
                if (is_full && core->wants_data()) {
                    Coro<> reading = read_waiting(*core);
                    co_await std::move(reading);
                }
            }
        } catch (...) {
            error = std::current_exception();
        }
        core->end_reading(std::move(error));
    }

    /// What is there already.
    static Coro<> read_waiting(StreamOf& core) {
        const std::size_t size = std::min(bytes_waiting(core.stream_), kBusyBuffer);
        if (size == 0) {
            co_return;
        }
        const std::unique_ptr<std::byte[]> buffer(new std::byte[size]);  // make_unique would fill it with zeros
        std::size_t count = 0;
        do {
            count = co_await core.stream_.read_some(std::span<std::byte>(buffer.get(), size));
            core.take_data(std::span<const std::byte>(buffer.get(), count));
        } while (count == kBusyBuffer && core.wants_data() && bytes_waiting(core.stream_) != 0);
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

    Coro<> pump_closing() override {
        if constexpr (requires { { stream_.wait_closed() } -> Awaitable; }) {
            return wait_on(Ref::share(*this));
        } else {
            return {};
        }
    }

    static Coro<> wait_on(Ref core) {
        std::exception_ptr error;
        try {
            co_await core->stream_.wait_closed();
        } catch (...) {
            error = std::current_exception();
        }
        core->end_token();
        if (error != nullptr) {
            std::rethrow_exception(error);
        }
    }

    void close_stream(bool is_broken) noexcept override {
        if constexpr (requires { stream_.abort(); }) {
            if (is_broken) {
                stream_.abort();
                return;
            }
        }
        stream_.close();
    }

    /// Its close() may still be at work.
    void abort_closed_stream() noexcept override {
        if constexpr (requires { stream_.abort(); { stream_.wait_closed() } -> Awaitable; }) {
            stream_.abort();
        }
    }

    bool can_write_eof() const noexcept override {
        if constexpr (requires { S::kCanShutdown; }) {
            return S::kCanShutdown;
        } else {
            return kWrites;
        }
    }

    std::any stream_info(Info which) const override {
        try {
            switch (which) {
                case Info::socket:
                    if constexpr (requires { stream_.native_handle(); }) {
                        return stream_.native_handle();
                    }
                    break;
                case Info::peer:
                    if constexpr (requires { stream_.peer_path(); }) {
                        return stream_.peer_path();
                    } else if constexpr (requires { stream_.peer_endpoint(); }) {
                        return stream_.peer_endpoint();
                    }
                    break;
                case Info::local:
                    if constexpr (requires { stream_.local_path(); }) {
                        return stream_.local_path();
                    } else if constexpr (requires { stream_.local_endpoint(); }) {
                        return stream_.local_endpoint();
                    }
                    break;
            }
        } catch (const std::exception&) {
            return {};  // the peer is gone already: as asyncio, no name
        }
        return {};
    }

    std::any stream_extra([[maybe_unused]] std::string_view name) const override {
        if constexpr (requires { { stream_.extra_info(name) } -> std::same_as<std::any>; }) {
            return stream_.extra_info(name);
        } else {
            return {};
        }
    }

    static constexpr bool kCountsWrites = requires(S& stream, std::span<const std::byte> bytes) {
        requires std::convertible_to<await_result_t<decltype(stream.write_some(bytes))>, std::size_t>;
    };

    S stream_;
};

}  // namespace knit::detail
