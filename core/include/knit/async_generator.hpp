/// AsyncGenerator<T>: a coroutine that gives several values, one after the other, and awaits in between.
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "knit/detail/promise.hpp"
#include "knit/error.hpp"

namespace knit {

template <class T>
class AsyncGenerator;

/// Thrown at the co_yield where a generator is suspended, when it is closed by aclose(). To be let through, or
/// answered by co_return; after a catch handler for it the generator may still await.
struct GeneratorExit : BaseException {
    const char* what() const noexcept override { return "GeneratorExit"; }
};

namespace detail {

/// What next() gives a T in: a reference is given as a pointer.
template <class T>
using yielded_t = std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*, std::optional<T>>;

/// The part of a generator's promise that does not depend on the type.
///
///   [generator.turn] end_step: release  ->  begin_step: acquire     whoever steps next, on whatever loop, sees all
class GeneratorPromiseBase : public PromiseBase {
public:
    /// One step at a time: throws RuntimeError "`what`(): asynchronous generator is already running".
    void begin_step(const char* what) {
        if (is_running_.exchange(true, std::memory_order_acquire)) [[unlikely]] {  // [generator.turn]
            throw_running(what);
        }
    }
    void end_step() noexcept { is_running_.store(false, std::memory_order_release); }  // [generator.turn]

    // Between begin_step() and end_step().
    bool is_closed() const noexcept { return is_closed_; }
    bool is_begun() const noexcept { return is_begun_; }
    void close() noexcept { is_closed_ = true; }
    /// At the generator's next resumption, which must be one from a co_yield.
    void throw_in(std::exception_ptr error) noexcept { thrown_in_ = std::move(error); }
    /// Runs on, as part of `task`, until the next co_yield or the end. Gives what to resume.
    std::coroutine_handle<> step(TaskCore& task, std::coroutine_handle<> consumer,
                                 std::coroutine_handle<> self) noexcept {
        is_begun_ = true;
        consumer_ = consumer;
        start_inline(task, consumer);
        return transfer(task, self);
    }
    /// Rethrows what ended the generator, once.
    void rethrow_error() {
        if (error_ != nullptr) [[unlikely]] {
            std::rethrow_exception(std::exchange(error_, nullptr));
        }
    }

    // The generator's side.
    void unhandled_exception() noexcept {
        is_closed_ = true;
        error_ = std::current_exception();
    }
    void return_void() noexcept { is_closed_ = true; }

    struct YieldAwaiter {
        bool await_ready() const noexcept { return false; }
        template <class P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> handle) noexcept {
            promise = &handle.promise();
            return transfer(promise->task(), promise->consumer_);
        }
        void await_resume() const {
            if (promise->thrown_in_ != nullptr) [[unlikely]] {
                std::rethrow_exception(std::exchange(promise->thrown_in_, nullptr));
            }
        }
        GeneratorPromiseBase* promise = nullptr;
    };

    /// Whoever takes the last step goes on, and destroys the generator in the end.
    struct FinalAwaiter {
        GeneratorPromiseBase& promise;

        bool await_ready() const noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept {
            return transfer(promise.task(), promise.consumer_);
        }
        void await_resume() const noexcept {}
    };
    FinalAwaiter final_suspend() noexcept { return {*this}; }

private:
    [[noreturn]] KNIT_NOINLINE static void throw_running(const char* what) {
        throw RuntimeError(std::string(what) + "(): asynchronous generator is already running");
    }

    std::coroutine_handle<> consumer_;
    std::exception_ptr error_;
    std::exception_ptr thrown_in_;
    Atomic<bool> is_running_{false};  ///< set and cleared by whoever steps; publishes the generator [generator.turn]
    bool is_begun_ = false;
    bool is_closed_ = false;  ///< nothing comes any more: it has ended, or has been closed
};

template <class T>
class GeneratorPromise : public GeneratorPromiseBase {
public:
    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* memory, std::size_t size) noexcept { free_frame(memory, size); }

    AsyncGenerator<T> get_return_object(std::source_location function = std::source_location::current()) noexcept;

    /// Straight into the place of the consumer.
    template <class U>
    requires(!std::is_reference_v<T> && std::is_convertible_v<U&&, T>) YieldAwaiter yield_value(U&& value) {
        place_->emplace(std::forward<U>(value));
        return {};
    }
    YieldAwaiter yield_value(std::remove_reference_t<T>& value) noexcept requires std::is_lvalue_reference_v<T> {
        *place_ = std::addressof(value);
        return {};
    }
    void set_place(yielded_t<T>& place) noexcept { place_ = &place; }

private:
    yielded_t<T>* place_ = nullptr;  ///< in the awaiter of the step that is being made
};

/// One step of a generator, inline in the consumer's task.
template <class T>
class GeneratorStep {
public:
    using knit_awaiter = void;
    using Handle = std::coroutine_handle<GeneratorPromise<T>>;
    enum class Kind : std::uint8_t { next, athrow, aclose };

    GeneratorStep(Handle handle, Kind kind, std::exception_ptr error = nullptr) noexcept
        : handle_(handle), error_(std::move(error)), kind_(kind) {}

    bool await_ready() {
        if (!handle_) {
            return true;
        }
        static constexpr const char* kNames[] = {"anext", "athrow", "aclose"};
        GeneratorPromise<T>& promise = handle_.promise();
        promise.begin_step(kNames[static_cast<int>(kind_)]);
        is_stepping_ = true;
        if (promise.is_closed()) {
            return true;
        }
        if (kind_ == Kind::next) {
            return false;
        }
        if (kind_ == Kind::aclose) {
            promise.close();
        }
        if (!promise.is_begun()) {
            promise.close();  // it never runs
            is_unstarted_ = true;
            return true;
        }
        promise.throw_in(kind_ == Kind::aclose ? std::make_exception_ptr(GeneratorExit())
                                               : std::exchange(error_, nullptr));
        return false;
    }
    template <KnitPromise P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> consumer) noexcept {
        handle_.promise().set_place(place_);
        return handle_.promise().step(consumer.promise().task(), consumer, handle_);
    }

protected:
    /// Ends the step; rethrows what came out of the generator.
    void finish() {
        if (!is_stepping_) {
            return;
        }
        GeneratorPromise<T>& promise = handle_.promise();
        const StepEnd end{promise};
        if (is_unstarted_ && kind_ == Kind::athrow) {
            std::rethrow_exception(std::exchange(error_, nullptr));
        }
        promise.rethrow_error();
    }
    yielded_t<T>& place() noexcept { return place_; }

private:
    struct StepEnd {
        explicit StepEnd(GeneratorPromiseBase& which) noexcept : promise(which) {}
        StepEnd(const StepEnd&) = delete;
        StepEnd& operator=(const StepEnd&) = delete;
        ~StepEnd() { promise.end_step(); }
        GeneratorPromiseBase& promise;
    };

    Handle handle_;
    yielded_t<T> place_{};
    std::exception_ptr error_;
    Kind kind_;
    bool is_stepping_ = false;
    bool is_unstarted_ = false;
};

template <class T>
class [[nodiscard]] NextAwaiter : public GeneratorStep<T> {
public:
    using GeneratorStep<T>::GeneratorStep;
    yielded_t<T> await_resume() {
        this->finish();
        return std::move(this->place());
    }
};

template <class T>
class [[nodiscard]] CloseAwaiter : public GeneratorStep<T> {
public:
    using GeneratorStep<T>::GeneratorStep;
    void await_resume() {
        try {
            this->finish();
        } catch (const GeneratorExit&) {
            return;  // the answer that was expected
        }
        if (this->place()) {
            throw RuntimeError("async generator ignored GeneratorExit");
        }
    }
};

}  // namespace detail

/// A generator: `co_yield` and `co_await` in one coroutine.
///
///     AsyncGenerator<int> count(int limit) {
///         for (int i = 0; i < limit; ++i) { co_await sleep(1ms); co_yield i; }
///     }
///     auto numbers = count(3);
///     while (auto number = co_await numbers.next()) { use(*number); }
///
/// It is lazy and runs inline in the task that awaits next(), without a turn of the loop; one step may be made by one
/// task and the next by another, on another loop. Two at once: RuntimeError "anext(): asynchronous generator is already
/// running". T may be move-only; for a T& the step gives a T*.
///
/// An exception leaves the generator through the step and ends it. Dropped while it is suspended at a co_yield, or
/// before its start, it is destroyed, and with it its locals; cleanup that awaits needs aclose(). It must not be
/// destroyed while a step is under way.
template <class T>
class [[nodiscard]] AsyncGenerator {
    static_assert(!std::is_void_v<T> && !std::is_rvalue_reference_v<T>,
                  "AsyncGenerator<T>: T is an object type or an lvalue reference");

public:
    using promise_type = detail::GeneratorPromise<T>;
    using value_type = T;

    AsyncGenerator() noexcept = default;
    explicit AsyncGenerator(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
    AsyncGenerator(AsyncGenerator&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    AsyncGenerator& operator=(AsyncGenerator&& other) noexcept {
        if (this != &other) {
            destroy();
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~AsyncGenerator() { destroy(); }

    /// Awaited: the next value, as std::optional<T>, or T* for a T&; none after the end.
    /// Cancelled: CancelledError is thrown at the await where the generator is suspended; what leaves the generator
    /// ends it.
    detail::NextAwaiter<T> next() { return {handle_, Kind::next}; }
    /// Awaited: throws `error` (an exception, or a std::exception_ptr) at the co_yield where the generator is suspended
    /// and gives the next value, or none. A generator that has not started ends, and `error` comes out.
    template <class E>
    detail::NextAwaiter<T> athrow(E error) {
        if constexpr (std::is_same_v<E, std::exception_ptr>) {
            return {handle_, Kind::athrow, std::move(error)};
        } else {
            return {handle_, Kind::athrow, std::make_exception_ptr(std::move(error))};
        }
    }
    /// Awaited: ends the generator, by GeneratorExit at the co_yield where it is suspended, and waits for that. Any
    /// number of times. RuntimeError "async generator ignored GeneratorExit" when it yields instead.
    /// Cancelled: as next().
    detail::CloseAwaiter<T> aclose() { return {handle_, Kind::aclose}; }
    explicit operator bool() const noexcept { return static_cast<bool>(handle_); }

private:
    using Kind = typename detail::GeneratorStep<T>::Kind;

    void destroy() noexcept {
        if (handle_) {
            std::exchange(handle_, nullptr).destroy();
        }
    }

    std::coroutine_handle<promise_type> handle_;
};

template <class T>
AsyncGenerator<T> detail::GeneratorPromise<T>::get_return_object(std::source_location function) noexcept {
    this->function_ = this->where_ = function;
    return AsyncGenerator<T>(std::coroutine_handle<GeneratorPromise<T>>::from_promise(*this));
}

}  // namespace knit
