// The driver by itself: parking, waking, set-up errors. What it does for operations is tested through sockets.

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>

#include "epoll_driver.hpp"
#include "uring_driver.hpp"

namespace {

using knit::detail::EpollDriver;
using knit::detail::kNever;
using knit::detail::UringDriver;
using namespace std::chrono_literals;

struct MakeUring {
    static std::unique_ptr<UringDriver> make() { return std::make_unique<UringDriver>(8U); }
};
struct MakeEpoll {
    static std::unique_ptr<EpollDriver> make() { return std::make_unique<EpollDriver>(nullptr, "a test"); }
};
template <class Make>
class EachDriver : public ::testing::Test {};
struct DriverNames {
    template <class Make>
    static std::string GetName(int) {
        return std::is_same_v<Make, MakeUring> ? "Uring" : "Epoll";
    }
};
using Makes = ::testing::Types<MakeUring, MakeEpoll>;
TYPED_TEST_SUITE(EachDriver, Makes, DriverNames);

TYPED_TEST(EachDriver, ParkEndsWhenAnotherThreadWakesIt) {
    auto owner = TypeParam::make();
    knit::detail::IoDriver& driver = *owner;
    std::thread waker([&driver] { driver.wake(); });
    driver.park(kNever);  // would hang
    waker.join();
    driver.close();
}

TYPED_TEST(EachDriver, AWakeBeforeTheParkIsNotLost) {
    auto owner = TypeParam::make();
    knit::detail::IoDriver& driver = *owner;
    driver.wake();
    driver.park(kNever);
    driver.close();
}

TYPED_TEST(EachDriver, WakesAreHeardAgainAndAgain) {
    auto owner = TypeParam::make();
    knit::detail::IoDriver& driver = *owner;
    for (int i = 0; i < 100; ++i) {
        driver.wake();
        driver.wake();
        driver.park(kNever);
    }
    driver.close();
}

TYPED_TEST(EachDriver, ParkEndsAtItsDeadline) {
    auto owner = TypeParam::make();
    knit::detail::IoDriver& driver = *owner;
    const auto deadline = driver.now() + 5ms;
    while (driver.now() < deadline) {
        driver.park(deadline);
    }
    EXPECT_GE(driver.now(), deadline);
    driver.close();
}

TYPED_TEST(EachDriver, ParkWithADeadlineInThePastDoesNotWait) {
    auto owner = TypeParam::make();
    knit::detail::IoDriver& driver = *owner;
    driver.park(driver.now() - 1h);
    driver.park(knit::TimePoint::min());
    driver.close();
}

TYPED_TEST(EachDriver, HasNothingToPollWhenNothingIsUnderWay) {
    auto owner = TypeParam::make();
    knit::detail::IoDriver& driver = *owner;
    EXPECT_FALSE(driver.wants_poll());
    driver.wake();
    driver.park(kNever);
    EXPECT_FALSE(driver.wants_poll());
    EXPECT_EQ(0U, driver.in_flight());
    driver.close();
}

TYPED_TEST(EachDriver, WakersMayComeWhileItCloses) {
    for (int round = 0; round < 50; ++round) {
        auto owner = TypeParam::make();
        knit::detail::IoDriver& driver = *owner;
        std::thread waker([&driver] { driver.wake(); });
        driver.park(driver.now());
        driver.close();
        waker.join();
    }
}

TEST(UringDriver, MoreRequestsThanSlotsAreSubmittedInBetween) {
    UringDriver driver(8);
    for (int i = 0; i < 1000; ++i) {
        io_uring_sqe& sqe = driver.next_sqe();
        io_uring_prep_nop(&sqe);
        sqe.user_data = 0;  // a completion that nobody wants
    }
    while (driver.wants_poll()) {  // ends: each poll collects what has completed
        driver.poll();
    }
    EXPECT_FALSE(driver.wants_poll());
    driver.close();
}

TEST(UringDriver, ReportsTheRing) {
    UringDriver driver(64);
    const knit::DriverReport report = driver.report();
    EXPECT_EQ("io_uring", report.name);
    EXPECT_EQ(64U, report.entries);
    EXPECT_NE(report.flags_granted.end(), std::ranges::find(report.flags_granted, "CQSIZE"));
    for (const std::string& flag : report.flags_stripped) {
        EXPECT_EQ(report.flags_granted.end(), std::ranges::find(report.flags_granted, flag)) << flag;
    }
    driver.close();
}

/// Makes a driver in a child process that has been prepared so that it fails; gives what() and the code, or "made".
struct Refusal {
    int code = 0;
    std::string text;
};
Refusal refusal_in_child(const std::function<void()>& prepare) {
    std::array<int, 2> ends{};
    EXPECT_EQ(0, pipe(ends.data()));
    const pid_t child = fork();
    if (child == 0) {
        prepare();
        std::string text = "0 made";
        try {
            UringDriver driver(8);
            driver.close();
        } catch (const std::system_error& error) {
            text = std::to_string(error.code().value()) + " " + error.what();
        }
        _exit(write(ends[1], text.data(), text.size()) > 0 ? 0 : 1);
    }
    close(ends[1]);
    std::array<char, 2048> text{};
    const ssize_t size = read(ends[0], text.data(), text.size());
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(0, status);
    const std::string line(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    const std::size_t space = line.find(' ');
    return {std::atoi(line.c_str()), space == std::string::npos ? "" : line.substr(space + 1)};
}

/// From now on `number` fails with `error` in this process.
void deny(long number, int error) {
    std::array<sock_filter, 4> filter = {{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        _exit(2);
    }
}

TEST(UringDriver, SaysThatASeccompFilterDeniesTheRing) {
    const Refusal refusal = refusal_in_child([] { deny(SYS_io_uring_setup, EPERM); });
    EXPECT_EQ(EPERM, refusal.code);
    EXPECT_NE(std::string::npos, refusal.text.find("knit cannot use io_uring")) << refusal.text;
    EXPECT_NE(std::string::npos, refusal.text.find("seccomp")) << refusal.text;
    EXPECT_NE(std::string::npos, refusal.text.find("allow io_uring_setup")) << refusal.text;
}

TEST(UringDriver, SaysThatTheKernelHasNoRings) {
    const Refusal refusal = refusal_in_child([] { deny(SYS_io_uring_setup, ENOSYS); });
    EXPECT_EQ(ENOSYS, refusal.code);
    EXPECT_NE(std::string::npos, refusal.text.find("Linux 5.11 or later")) << refusal.text;
}

TEST(UringDriver, FindsOutAtOnceThatOnlyTheSetUpIsAllowed) {
    const Refusal refusal = refusal_in_child([] { deny(SYS_io_uring_enter, EPERM); });
    EXPECT_EQ(EPERM, refusal.code);
    EXPECT_NE(std::string::npos, refusal.text.find("io_uring_enter fails")) << refusal.text;
}

TEST(UringDriver, SaysHowManyDescriptorsTheProcessMayHave) {
    // By a filter, because the sanitizers need descriptors too.
    const Refusal refusal = refusal_in_child([] { deny(SYS_io_uring_setup, EMFILE); });
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    EXPECT_EQ(EMFILE, refusal.code);
    const std::string figure = "the process may have " + std::to_string(limit.rlim_cur);
    EXPECT_NE(std::string::npos, refusal.text.find(figure)) << refusal.text;
}

TEST(UringDriver, WorksWithoutARegisteredRing) {
    const Refusal refusal = refusal_in_child([] { deny(SYS_io_uring_register, EINVAL); });
    EXPECT_EQ("made", refusal.text);
}

}  // namespace
