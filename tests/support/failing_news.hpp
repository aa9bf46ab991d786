/// A heap that has no memory when the test says so. To be included by the one source of a program of its own, because
/// it replaces operator new.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

#include "knit/detail/base.hpp"

namespace knit::test {

/// Whether the present allocation of the calling thread is to fail: the including source defines it.
bool refuses_memory() noexcept;

}  // namespace knit::test

// The sanitizers bring their own, and the tests are skipped there.
#if !KNIT_ASAN && !KNIT_TSAN
// Not inlined, else GCC pairs what it sees of malloc with delete and warns.
KNIT_NOINLINE void* operator new(std::size_t size) {
    if (!knit::test::refuses_memory()) {
        if (void* const memory = std::malloc(size != 0 ? size : 1)) {
            return memory;
        }
    }
    throw std::bad_alloc();
}
KNIT_NOINLINE void operator delete(void* memory) noexcept { std::free(memory); }
KNIT_NOINLINE void operator delete(void* memory, std::size_t) noexcept { ::operator delete(memory); }
#endif
