/// Counts what the program asks the heap for. To be included by the one source of a program of its own, because it
/// replaces operator new.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

#include "knit/detail/base.hpp"

namespace knit::test {

/// Any thread counts up, the tests read; it publishes nothing.
inline detail::Atomic<std::size_t> g_news{0};

inline std::size_t news_now() { return g_news.load(std::memory_order_relaxed); }  // relaxed: a count

}  // namespace knit::test

// The sanitizers bring their own, and the tests are skipped there.
#if !KNIT_ASAN && !KNIT_TSAN
// Not inlined, else GCC pairs what it sees of malloc with delete and warns.
KNIT_NOINLINE void* operator new(std::size_t size) {
    knit::test::g_news.fetch_add(1, std::memory_order_relaxed);  // relaxed: a count
    if (void* const memory = std::malloc(size != 0 ? size : 1)) {
        return memory;
    }
    throw std::bad_alloc();
}
KNIT_NOINLINE void operator delete(void* memory) noexcept { std::free(memory); }
KNIT_NOINLINE void operator delete(void* memory, std::size_t) noexcept { ::operator delete(memory); }
#endif
