/// ReaderState: what a StreamReader reads from. A buffer that somebody feeds, and at most one read that waits for it.
///
///   [reader.refs]  a handle or a read gives up its reference: release  ->  the last one: acquire, and destroys
#pragma once

#include <coroutine>
#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/detail/base.hpp"
#include "knit/detail/task_core.hpp"

namespace knit::detail {

class ReaderState;

/// Waits until the reader is fed, ends or fails. What has come stays in the buffer, so a cancelled wait loses nothing.
class [[nodiscard]] DataWait : Wait {
public:
    using knit_awaiter = void;

    DataWait(ReaderState& reader, bool is_over, bool is_failed) noexcept
        : Wait(&DataWait::cancel_wait, "StreamReader"), reader_(reader), is_over_(is_over), is_failed_(is_failed) {}

    bool await_ready() const noexcept { return is_over_; }
    template <KnitPromise P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
        start(handle.promise().task(), handle);
    }
    void await_resume();

    void wake(bool by_error) noexcept;
    const Worker* home() const noexcept { return task_->home(); }

private:
    void start(TaskCore& task, std::coroutine_handle<> handle) noexcept;
    static bool cancel_wait(Wait& wait) noexcept;

    ReaderState& reader_;
    TaskCore* task_ = nullptr;
    bool is_over_;
    bool is_failed_;
    bool is_cancelled_ = false;
};

/// Where a search for separators stands. Positions count from the first byte of the buffer.
struct SeparatorSearch {
    std::span<const std::string> separators;  ///< shorter ones first: of two matches with the same end theirs counts
    std::size_t shortest = 0;
    std::size_t longest = 0;
    std::size_t offset = 0;  ///< no match begins before it
    std::size_t start = 0;   ///< of the match
    std::size_t end = 0;

    /// Sorts them. ValueError when there is none, or an empty one.
    explicit SeparatorSearch(std::span<std::string> wanted);
};

enum class Found { yes, not_yet, not_at_all, too_far, too_long };

/// Used by one loop at a time; handles to it may be destroyed on any thread.
class ReaderState {
public:
    /// ValueError when the limit is 0.
    explicit ReaderState(std::size_t limit);
    ReaderState(const ReaderState&) = delete;
    ReaderState& operator=(const ReaderState&) = delete;

    void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }  // relaxed: the caller has one already
    /// False when the last reference has gone, and the state is being destroyed.
    [[nodiscard]] bool try_add_ref() noexcept {
        std::uint32_t count = refs_.load(std::memory_order_relaxed);  // relaxed: the exchange decides
        while (count != 0 &&
               !refs_.compare_exchange_weak(count, count + 1, std::memory_order_acquire)) {  // [reader.refs]
        }
        return count != 0;
    }
    void drop_ref() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // [reader.refs]
            delete this;
        }
    }

    // Who feeds.

    void feed_data(std::string_view data);
    void feed_eof();
    void set_exception(std::exception_ptr error);
    const std::exception_ptr& exception() const noexcept { return error_; }
    bool has_ended() const noexcept { return has_ended_; }
    bool is_paused() const noexcept { return is_paused_; }

    // Who reads.

    /// RuntimeError on another loop than the stream's.
    virtual void check_loop() const {}
    /// The first thing that a read does: RuntimeError on another loop than the stream's; the exception, if one is set.
    void begin_read() const;
    /// To be awaited at once. Throws RuntimeError when a read waits already, and the exception, if one is set.
    DataWait wait_for_data(const char* function);
    std::size_t size() const noexcept { return buffer_.size() - begin_; }
    std::string_view data() const noexcept { return std::string_view(buffer_).substr(begin_); }
    /// The first `count` bytes, or all that there are; feeding goes on when few are left.
    std::string take(std::size_t count);
    void skip(std::size_t count);
    Found find(SeparatorSearch& search) const;
    std::size_t limit() const noexcept { return limit_; }
    bool at_eof() const noexcept { return has_ended_ && size() == 0; }
    /// The handle to read with has gone. Any thread.
    virtual void drop_reader() noexcept {}

protected:
    virtual ~ReaderState();

    /// The buffer has grown above twice the limit. False: nobody is there to be paused.
    virtual bool pause_feeding() = 0;
    virtual void resume_feeding() = 0;
    /// A read is about to wait. May feed at once.
    virtual void prepare_wait() {}
    bool has_waiter() const noexcept { return waiter_ != nullptr; }

private:
    friend class DataWait;

    void check_feeder() const;
    void wake_waiter(bool by_error) noexcept;
    void resume_if_small();
    void drop_front(std::size_t count) noexcept;

    Atomic<std::uint32_t> refs_{1};  ///< handles, reads and pumps; any thread [reader.refs]
    bool has_ended_ = false;
    bool is_paused_ = false;
    std::size_t limit_;
    std::string buffer_;
    std::size_t begin_ = 0;  ///< what lies before has been read
    DataWait* waiter_ = nullptr;
    std::exception_ptr error_;
};

/// A counted reference to a ReaderState, or to what derives from it.
template <class State>
class StateRef {
public:
    StateRef() noexcept = default;
    /// Takes over one reference.
    explicit StateRef(State* state) noexcept : state_(state) {}
    static StateRef share(State& state) noexcept {
        state.add_ref();
        return StateRef(&state);
    }
    StateRef(const StateRef& other) noexcept : state_(other.state_) {
        if (state_ != nullptr) {
            state_->add_ref();
        }
    }
    StateRef(StateRef&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
    StateRef& operator=(StateRef other) noexcept {
        std::swap(state_, other.state_);
        return *this;
    }
    ~StateRef() {
        if (state_ != nullptr) {
            state_->drop_ref();
        }
    }
    State* get() const noexcept { return state_; }
    State* operator->() const noexcept { return state_; }
    State& operator*() const noexcept { return *state_; }
    explicit operator bool() const noexcept { return state_ != nullptr; }

private:
    State* state_ = nullptr;
};

using ReaderRef = StateRef<ReaderState>;

}  // namespace knit::detail
