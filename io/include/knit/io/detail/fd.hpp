/// Fd: an owned descriptor number.
///
///   [fd.freed]  a waiter sets the function, then tries once more  <->  close: close(2), then loads it
///               both system calls are barriers in practice; a close that is missed all the same costs the waiter its
///               pause, which is short
#pragma once

#include <utility>

#include "knit/detail/base.hpp"

namespace knit::detail {

/// Called after a descriptor has been closed, while somebody waits for one; else null. Whoever begins or ends to wait
/// sets it, every close reads it; the function is always the same one. [fd.freed]
extern Atomic<void (*)() noexcept> g_descriptor_freed;

/// Closes it in the end. Move-only.
class Fd {
public:
    Fd() noexcept = default;
    explicit Fd(int number) noexcept : number_(number) {}
    Fd(Fd&& other) noexcept : number_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            close();
            number_ = other.release();
        }
        return *this;
    }
    ~Fd() { close(); }

    int get() const noexcept { return number_; }
    explicit operator bool() const noexcept { return number_ >= 0; }
    int release() noexcept { return std::exchange(number_, -1); }
    void close() noexcept;

private:
    int number_ = -1;
};

}  // namespace knit::detail
