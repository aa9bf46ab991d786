/// TlsCore: a TlsEngine and the stream below it, whose type only TlsCoreOf knows.
///
/// Each call under way holds the core, so a TlsStream may be moved, closed or destroyed while one is. One task at a
/// time fills the engine and one empties it; a reader that has to send something (the answer to a KeyUpdate, an alert)
/// leaves that to a task of its own, since a peer that does not read must not keep it from reading.
///
/// The owner may end the stream on any thread, as HTTP's client does with a connection that it has kept. A task of
/// TlsCore's own may be at work then, with what a write has left or with close-notify: its loop is told, and ends the
/// stream, once or, where abort() follows close(), twice.
///
///   [tls.aside]         the last such task ends: aside_ = null, release  ->  an end on any thread: aside_ acquire
///                       who ends the stream there sees it as the task left it
///   [tls.told]          run_end: end_ = none, release  ->  abort() after close(): end_ acquire
///                       who finds that no message is on its way sees what the last one has done, aside_ among it
///   is_closed_          set by close(), abort(), a failed handshake; what is called or under way then throws
///   is_lower_closed_    at the same time, or after close-notify has been sent; the stream is not touched after it
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "knit/coro.hpp"
#include "knit/detail/awaitable.hpp"
#include "knit/detail/base.hpp"
#include "knit/detail/work.hpp"
#include "knit/event.hpp"
#include "knit/io/byte_stream.hpp"
#include "knit/lock.hpp"
#include "knit/time.hpp"
#include "knit/tls/detail/engine.hpp"

namespace knit::detail {

class Worker;

class TlsCore : public std::enable_shared_from_this<TlsCore>, private Work {
public:
    using Ref = std::shared_ptr<TlsCore>;

    TlsCore(const TlsCore&) = delete;
    TlsCore& operator=(const TlsCore&) = delete;
    virtual ~TlsCore() = default;

    const TlsEngine& engine() const noexcept { return engine_; }
    bool is_closed() const noexcept { return is_closed_; }
    /// Before the handshake.
    void offer(std::string_view protocols, bool overrides) { engine_.offer_alpn(protocols, overrides); }

    /// Closes the stream when it fails, or when it is cancelled. A server's that refuses its client waits for that.
    static Coro<> handshake(Ref core, Duration limit);
    static Coro<std::size_t> read_some(Ref core, std::span<std::byte> buffer);
    static Coro<std::size_t> write(Ref core, std::span<const std::byte> bytes, bool is_all);
    static Coro<> shutdown(Ref core);
    static Coro<> wait_closed(Ref core);
    // Any thread, the stream's owner.
    void close() noexcept;
    void abort() noexcept;
    /// Its owner has gone: abort(), unless close() has been called.
    void leave() noexcept;

protected:
    TlsCore(std::shared_ptr<TlsContextState> context, std::string host, std::string session_key,
            Duration shutdown_timeout)
        : engine_(std::move(context), std::move(host), std::move(session_key)), shutdown_timeout_(shutdown_timeout) {}

private:
    class CallersWrite;
    class Aside;

    virtual Coro<std::size_t> read_lower(std::span<std::byte> buffer) = 0;
    virtual Coro<std::size_t> write_lower(std::span<const std::byte> bytes) = 0;
    virtual Coro<> shutdown_lower() = 0;
    virtual void close_lower() noexcept = 0;
    /// Whether a cancelled write_lower() has sent nothing.
    virtual bool is_exact() const noexcept = 0;

    void check_open(const char* what) const;
    void check_lower() const;
    void cut_lower() noexcept;
    /// What a loop is told.
    enum class End : unsigned char { none, close, abort };

    bool is_told_to_end(End how) noexcept;
    void end_here(End how) noexcept;
    static void run_end(Worker& worker, Work& work) noexcept;
    void close_here() noexcept;
    void abort_here() noexcept;
    Coro<> shake_hands();
    Coro<> fill();
    Coro<> flush();
    Coro<> send_output();
    Coro<std::size_t> encrypt(std::span<const std::byte> bytes);
    void flush_aside() noexcept;
    void end_in_background(Coro<> (*talk)(Ref core)) noexcept;
    static Coro<> say_goodbye(Ref core);
    static Coro<> part(Ref core);
    Coro<> send_close_notify();
    Coro<> await_close_notify();
    Coro<> await_end();
    static Coro<> flush_task(Aside here);
    static Coro<> end_task(Aside here, Coro<> talking);

    TlsEngine engine_;
    Lock reading_;  ///< who reads from the stream below
    Lock sending_;  ///< who writes to it
    Event lower_closed_;
    std::size_t fills_ = 0;
    Duration shutdown_timeout_;
    int writers_ = 0;  ///< calls of write() under way
    int asides_ = 0;  ///< tasks of TlsCore's own
    /// The loop that these are on, which alone writes; an end on another thread reads [tls.aside].
    Atomic<Worker*> aside_{nullptr};
    Ref self_;  ///< as long as that loop is being told
    /// What it is told: the owner writes where it is none, or makes a close an abort; the loop clears it [tls.told].
    Atomic<End> end_{End::none};
    bool is_told_ = false;  ///< the owner's alone: a loop has been told
    bool is_closed_ = false;
    bool is_lower_closed_ = false;
};

template <class S>
class TlsCoreOf final : public TlsCore {
public:
    TlsCoreOf(S lower, std::shared_ptr<TlsContextState> context, std::string host, std::string session_key,
              Duration shutdown_timeout)
        : TlsCore(std::move(context), std::move(host), std::move(session_key), shutdown_timeout),
          lower_(std::move(lower)) {}

    S& lower() noexcept { return lower_; }
    const S& lower() const noexcept { return lower_; }

private:
    static constexpr bool kIsExact = requires(S & stream, std::span<const std::byte> bytes) {
        requires std::convertible_to<await_result_t<decltype(stream.write_some(bytes))>, std::size_t>;
    };

    Coro<std::size_t> read_lower(std::span<std::byte> buffer) override { co_return co_await lower_.read_some(buffer); }
    Coro<std::size_t> write_lower(std::span<const std::byte> bytes) override {
        if constexpr (kIsExact) {
            co_return co_await lower_.write_some(bytes);
        } else {
            co_await lower_.write(bytes);
            co_return bytes.size();
        }
    }
    Coro<> shutdown_lower() override {
        if constexpr (Awaitable<decltype(lower_.shutdown())>) {
            co_await lower_.shutdown();
        } else {
            lower_.shutdown();
            co_return;
        }
    }
    void close_lower() noexcept override { lower_.close(); }
    bool is_exact() const noexcept override { return kIsExact; }

    S lower_;
};

}  // namespace knit::detail
