/// Requests by hand, for tests of what a driver makes of them.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>
#include <utility>

#include "io_test.hpp"
#include "ring.hpp"

namespace knit::test {

using detail::Descriptor;
using detail::DescriptorOwner;
using detail::Fd;

class NumberDescriptor final : public Descriptor {
public:
    explicit NumberDescriptor(int number, bool is_shared = false) : Descriptor(Fd(number)), is_shared_(is_shared) {}
    std::string describe() const override { return "a test's descriptor"; }
    bool is_shared() const noexcept override { return is_shared_; }

private:
    bool is_shared_;
};

inline DescriptorOwner own(int number) {
    EXPECT_GE(number, 0);
    return DescriptorOwner(new NumberDescriptor(number));
}

/// Whatever `prepare` writes; awaited, gives what the completion says.
template <class Prepare>
class [[nodiscard]] RawOp final : public detail::Op {
public:
    RawOp(const DescriptorOwner& owner, Prepare prepare) : Op(owner), prepare_(prepare) {}
    bool await_ready() { return !attach(); }
    int await_resume() {
        try {
            return take_result("raw");
        } catch (const std::system_error& error) {
            return -error.code().value();
        }
    }

private:
    void prepare(io_uring_sqe& sqe) noexcept override { prepare_(sqe, descriptor().number()); }
    bool absorb(int result) noexcept override {
        EXPECT_FALSE(std::exchange(is_absorbed_, true)) << "a second result: " << result;
        result_ = result;
        return true;
    }
    Prepare prepare_;
    bool is_absorbed_ = false;
};

template <class Prepare>
Coro<int> perform(const DescriptorOwner& owner, Prepare prepare) {
    RawOp<Prepare> op(owner, prepare);
    const int result = co_await op;
    co_return result;
}

inline Coro<int> read_from(const DescriptorOwner& owner, char* to, unsigned size, std::uint64_t offset = UINT64_MAX) {
    return perform(owner,
                   [=](io_uring_sqe& sqe, int number) { io_uring_prep_read(&sqe, number, to, size, offset); });
}

inline Coro<int> write_to(const DescriptorOwner& owner, const char* from, unsigned size,
                          std::uint64_t offset = UINT64_MAX) {
    return perform(owner,
                   [=](io_uring_sqe& sqe, int number) { io_uring_prep_write(&sqe, number, from, size, offset); });
}

inline Coro<int> poll_for(const DescriptorOwner& owner, unsigned events) {
    return perform(owner, [=](io_uring_sqe& sqe, int number) { io_uring_prep_poll_add(&sqe, number, events); });
}

/// Two ends of a pipe.
struct Pipe {
    Pipe() {
        std::array<int, 2> ends{};
        EXPECT_EQ(0, pipe2(ends.data(), O_CLOEXEC));
        reader = own(ends[0]);
        writer = own(ends[1]);
    }
    DescriptorOwner reader;
    DescriptorOwner writer;
};

}  // namespace knit::test
