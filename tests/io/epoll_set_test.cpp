// The invariant at the head of epoll_set.hpp, clause by clause.

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "deny.hpp"
#include "epoll_set.hpp"
#include "io_test.hpp"

namespace knit::test {
namespace {

using detail::Descriptor;
using detail::EpollRequest;
using detail::EpollSet;
using detail::Fd;
using detail::Want;

class End final : public Descriptor {
public:
    explicit End(int number) : Descriptor(Fd(number)) {}
    std::string describe() const override { return "an end of a pipe"; }
};

class EpollSetTest : public testing::Test {
protected:
    EpollSetTest() : bell_(eventfd(0, EFD_CLOEXEC)), set_(bell_.get()) { make_pipe(); }

    /// A fresh pipe; the reading end's number is the lowest that is free, so the one that was closed before.
    void make_pipe() {
        reader_.reset();
        writer_ = Fd();
        std::array<int, 2> ends{};
        ASSERT_EQ(0, pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK));
        reader_ = std::make_unique<End>(ends[0]);
        writer_ = Fd(ends[1]);
    }
    int watch(Descriptor& descriptor) { return set_.watch(descriptor.number(), &descriptor, EPOLLIN); }
    void write_byte() { ASSERT_EQ(1, write(writer_.get(), "x", 1)); }
    /// Numbers whose waiters are to be tried again.
    std::vector<int> heard() {
        std::vector<int> numbers;
        for (const epoll_event& event : set_.wait(Duration::zero())) {
            EXPECT_FALSE(EpollSet::is_bell(event));
            if (const int number = set_.take(event); number >= 0) {
                numbers.push_back(number);
            }
        }
        return numbers;
    }

    Fd bell_;
    EpollSet set_;
    std::unique_ptr<End> reader_;
    Fd writer_;
    EpollRequest request_;
};

using EpollSetClause = EpollSetTest;

TEST_F(EpollSetClause, ABusyDescriptorNeedsNoSystemCall) {
    ASSERT_EQ(0, watch(*reader_));
    const auto before = set_.control_count();
    for (int i = 0; i < 10; ++i) {
        ASSERT_EQ(0, watch(*reader_));
    }
    EXPECT_EQ(before, set_.control_count());
}

TEST_F(EpollSetClause, WhatIsThereBeforeTheRegistrationIsTold) {
    write_byte();
    ASSERT_EQ(0, watch(*reader_));
    set_.waiters(reader_->number(), Want::input).push(request_);
    EXPECT_EQ(std::vector<int>{reader_->number()}, heard());
    EXPECT_TRUE(heard().empty());  // one edge, one event
    write_byte();
    EXPECT_EQ(std::vector<int>{reader_->number()}, heard());
}

TEST_F(EpollSetClause, AnotherFileOfTheSameNumberIsRegisteredAnew) {
    ASSERT_EQ(0, watch(*reader_));
    const int number = reader_->number();
    make_pipe();
    ASSERT_EQ(number, reader_->number());
    EXPECT_FALSE(set_.is_watched(number, reader_.get()));
    ASSERT_EQ(0, watch(*reader_));
    set_.waiters(number, Want::input).push(request_);
    write_byte();
    EXPECT_EQ(std::vector<int>{number}, heard());
}

TEST_F(EpollSetClause, AFileThatHasBeenWithAnotherSetIsToldOfWhatCameMeanwhile) {
    const Fd other_bell(eventfd(0, EFD_CLOEXEC));
    EpollSet other(other_bell.get());
    ASSERT_EQ(0, watch(*reader_));
    ASSERT_EQ(0, other.watch(reader_->number(), reader_.get(), EPOLLIN));
    EXPECT_FALSE(set_.is_watched(reader_->number(), reader_.get()));
    write_byte();
    EXPECT_TRUE(heard().empty());  // the edge, for nobody
    ASSERT_EQ(0, watch(*reader_));
    set_.waiters(reader_->number(), Want::input).push(request_);
    EXPECT_EQ(std::vector<int>{reader_->number()}, heard());
}

TEST_F(EpollSetClause, EdgesForNobodyEndTheRegistration) {
    ASSERT_EQ(0, watch(*reader_));
    EXPECT_EQ(1U, set_.size());
    for (int i = 0; i < 2; ++i) {
        write_byte();
        EXPECT_TRUE(heard().empty());
    }
    EXPECT_EQ(0U, set_.size());
    EXPECT_FALSE(set_.is_watched(reader_->number(), reader_.get()));
    write_byte();
    EXPECT_TRUE(set_.wait(Duration::zero()).empty());
    ASSERT_EQ(0, watch(*reader_));  // and it comes back
    set_.waiters(reader_->number(), Want::input).push(request_);
    EXPECT_EQ(std::vector<int>{reader_->number()}, heard());
}

TEST_F(EpollSetClause, FilesThatOutliveTheirNumberWakeABoundedNumberOfTimes) {
    ASSERT_EQ(0, watch(*reader_));
    const int number = reader_->number();
    const Fd kept(dup(number));
    const Fd stray(writer_.release());
    make_pipe();
    ASSERT_EQ(number, reader_->number());
    ASSERT_EQ(0, watch(*reader_));
    set_.waiters(number, Want::input).push(request_);
    int wakes = 0;
    for (int i = 0; i < 200; ++i) {
        ASSERT_EQ(1, write(stray.get(), "x", 1));
        const auto events = set_.wait(Duration::zero());
        for (const epoll_event& event : events) {
            ++wakes;
            EXPECT_EQ(-1, set_.take(event));
        }
    }
    EXPECT_GT(wakes, 0);
    EXPECT_LE(wakes, 16);
    EXPECT_EQ(1U, set_.rebuilds());
    write_byte();  // who waits has not lost its registration
    EXPECT_EQ(std::vector<int>{number}, heard());
    EXPECT_EQ(0, watch(*reader_));
}

TEST_F(EpollSetClause, WhoWaitsAtANumberThatHasBeenClosedIsTriedAgainByTheNewSet) {
    std::array<int, 2> ends{};
    ASSERT_EQ(0, pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK));
    auto other = std::make_unique<End>(ends[0]);
    const Fd stray(ends[1]);
    ASSERT_EQ(0, watch(*reader_));
    ASSERT_EQ(0, watch(*other));
    set_.waiters(reader_->number(), Want::input).push(request_);
    // Both live on under other numbers; the first was closed behind our back.
    const Fd kept(dup(reader_->number()));
    const Fd kept_too(dup(other->number()));
    ASSERT_EQ(0, ::close(reader_->number()));
    reader_->forget_number();
    other.reset();
    EXPECT_EQ(nullptr, set_.take_orphan());
    for (int i = 0; i < 200 && set_.rebuilds() == 0; ++i) {
        ASSERT_EQ(1, write(stray.get(), "x", 1));
        EXPECT_TRUE(heard().empty());
    }
    EXPECT_EQ(1U, set_.rebuilds());
    EXPECT_EQ(&request_, set_.take_orphan());
    EXPECT_EQ(nullptr, set_.take_orphan());
}

TEST_F(EpollSetClause, WhoWaitsForRoomGoesOnWaitingWhereAnotherComesToWaitForInput) {
    const std::string much(1 << 20, 'x');
    const ssize_t room = write(writer_.get(), much.data(), much.size());
    ASSERT_GT(room, 0);
    End writer(writer_.release());
    ASSERT_EQ(0, set_.watch(writer.number(), &writer, EPOLLOUT));
    set_.waiters(writer.number(), Want::output).push(request_);
    EXPECT_TRUE(heard().empty());
    ASSERT_EQ(0, set_.watch(writer.number(), nullptr, EPOLLIN));  // whose it is, nobody can say
    EXPECT_TRUE(heard().empty());
    std::string back(much.size(), '\0');
    ASSERT_EQ(room, read(reader_->number(), back.data(), back.size()));
    EXPECT_EQ(std::vector<int>{writer.number()}, heard());
}

TEST_F(EpollSetClause, AFileThatIsNeverWaitedForIsRefused) {
    End file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    EXPECT_EQ(EPERM, watch(file));
    EXPECT_EQ(EBADF, set_.watch(-1, nullptr, EPOLLIN));
}

TEST_F(EpollSetClause, WithoutNanosecondsTheTimeoutIsRoundedUp) {
    const pid_t child = fork();
    if (child == 0) {
        if (!deny({SYS_epoll_pwait2}, ENOSYS)) {
            _exit(2);
        }
        const auto start = std::chrono::steady_clock::now();
        for (int i = 0; i < 3; ++i) {
            static_cast<void>(set_.wait(1100us));
        }
        _exit(std::chrono::steady_clock::now() - start >= 6ms ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(0, status);
}

}  // namespace
}  // namespace knit::test
