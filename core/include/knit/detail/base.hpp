/// What every file of knit stands on: assertions, compiler quirks, fences, the cache line.
/// The six macros of knit are here and nowhere else.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#if defined(KNIT_MODEL)
#include "model_atomic.hpp"  // tests/model alone: atomics and fences that an explorer of interleavings stands behind
#endif

/// Checked in every build. For what only a bug in knit can break; users' mistakes throw instead.
#define KNIT_ASSERT(condition)                         \
    (__builtin_expect(static_cast<bool>(condition), 1) \
         ? void()                                      \
         : ::knit::detail::assert_failed(#condition, __FILE__, __LINE__))

#define KNIT_NOINLINE __attribute__((noinline))
#define KNIT_INLINE __attribute__((always_inline)) inline

/// 1 under ThreadSanitizer, which does not model fences.
#if defined(__SANITIZE_THREAD__)
#define KNIT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KNIT_TSAN 1
#endif
#endif
#ifndef KNIT_TSAN
#define KNIT_TSAN 0
#endif

/// 1 under AddressSanitizer: coroutine frames then come straight from the heap, so that it sees each one's life.
#if defined(__SANITIZE_ADDRESS__)
#define KNIT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KNIT_ASAN 1
#endif
#endif
#ifndef KNIT_ASAN
#define KNIT_ASAN 0
#endif

/// 1 where a symmetric transfer is a tail call at every optimisation level. GCC makes it one only with -O2 and without
/// sanitizers (bug 100897), and no macro tells -O1 from -O2, so with GCC the depth of the stack is looked at instead.
#if defined(__clang__)
#define KNIT_TAIL_CALLS 1
#else
#define KNIT_TAIL_CALLS 0
#endif

namespace knit::detail {

#if defined(KNIT_MODEL)
using model::Atomic;
#else
template <class T>
using Atomic = std::atomic<T>;
#endif

/// What await_transform() gives by reference GCC keeps in the frame once more, by value.
inline constexpr bool kCopiesAwaiters = KNIT_TAIL_CALLS == 0;

inline constexpr std::size_t kCacheLine = 64;

/// Has the caches fetch what will be needed soon, `offset` bytes behind `place`, which may be any address.
inline void prefetch(const void* place, std::size_t offset = 0) noexcept {
    __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(place) + offset), 1);
}

[[noreturn]] KNIT_NOINLINE void assert_failed(const char* condition, const char* file, int line) noexcept;
/// Where nothing can be thrown: ends a process that was forked while loops were open, and says what to do instead.
KNIT_NOINLINE void die_if_fork_child() noexcept;

/// A full barrier. On x86-64 a locked no-op on the stack, which costs a quarter of the `mfence` that Clang would emit.
KNIT_INLINE void full_fence() noexcept {
#if defined(KNIT_MODEL)
    model::full_fence();
#elif defined(__x86_64__) && !KNIT_TSAN
    asm volatile("lock; orl $0, -8(%%rsp)" ::: "memory", "cc");
#else
    std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

/// Keeps the compiler, not the processor, from moving loads and stores across it. Orders only together with
/// `heavy_fence()` (platform.hpp) on the other side.
KNIT_INLINE void light_fence() noexcept {
#if defined(KNIT_MODEL)
    model::light_fence();
#else
    std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

/// Where the stack is now.
KNIT_INLINE std::uintptr_t stack_pointer() noexcept {
#if defined(__x86_64__)
    std::uintptr_t pointer;
    asm("mov %%rsp, %0" : "=r"(pointer));
    return pointer;
#elif defined(__aarch64__)
    std::uintptr_t pointer;
    asm("mov %0, sp" : "=r"(pointer));
    return pointer;
#else
    return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
#endif
}

/// The same pointer, of which the compiler no longer knows where it came from.
KNIT_INLINE void* hide(void* pointer) noexcept {
    asm("" : "+r"(pointer));
    return pointer;
}

/// Tells the processor that this is a spin.
KNIT_INLINE void cpu_relax() noexcept {
#if defined(KNIT_MODEL)
    model::relax();
#elif defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");
#endif
}

}  // namespace knit::detail
