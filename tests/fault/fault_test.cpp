// Programs at a ring's edge that fails, by a seed. See program.hpp for what must hold; and a loop goes on after each
// fault.

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iostream>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include "../io/raw_op.hpp"
#include "epoll_driver.hpp"
#include "program.hpp"
#include "knit/testing.hpp"
#include "uring_driver.hpp"

namespace knit::test {
namespace {

/// Runs `test` for each seed, prints what happened in all, gives it.
template <class F>
fault::Counts over_seeds(std::uint64_t seeds, F test) {
    fault::Counts sum;
    testing::for_each_seed(1, seeds, [&](std::uint64_t seed) {
        sum += test(seed);
        if (::testing::Test::HasFailure()) {
            throw std::logic_error("not as it must be");
        }
    });
    std::cout << sum.to_string() << '\n';
    return sum;
}

fault::Plan everything(std::uint64_t seed) {
    return {.seed = seed, .errors = seed % 3 == 0 ? 0U : 10U, .shortened = 300, .held = 100, .ended = 300,
            .swapped = 200, .enters = 50, .short_enters = 100, .bells_failed = 100, .bells_doubled = 100,
            .bells_late = 100};
}

TEST(Edge, WithoutFaultsEverythingIsWhole) {
    for (const bool is_epoll : {false, true}) {
        Seen seen;
        static_cast<void>(run_with({.is_epoll = is_epoll}, seen));
        EXPECT_GE(seen.whole, kClients - 1);  // clients whose sender is cancelled may be broken
    }
}

TEST(Edge, EachFaultReachesItsAwaiterAndNobodyElse) {
    int whole = 0;
    int seeds = 0;
    const fault::Counts counts = over_seeds(60, [&](std::uint64_t seed) {
        ++seeds;
        Seen seen;
        const fault::Counts given = run_with(everything(seed), seen, 1 + static_cast<unsigned>(seed % 2));
        whole += seen.whole;
        return given;
    });
    EXPECT_GT(whole, 0);
    if (seeds >= 60) {
        for (const std::uint64_t count : {counts.errors, counts.shortened, counts.held, counts.ended, counts.swapped,
                                          counts.enters, counts.short_enters, counts.bells_failed,
                                          counts.bells_doubled, counts.bells_late}) {
            EXPECT_GT(count, 0U);
        }
    }
}

TEST(Edge, OnEpollEachFaultReachesItsAwaiterAndNobodyElse) {
    int whole = 0;
    int seeds = 0;
    const fault::Counts counts = over_seeds(60, [&](std::uint64_t seed) {
        ++seeds;
        fault::Plan plan = everything(seed);
        plan.is_epoll = true;
        plan.doubled = 100;
        plan.refused = seed % 3 == 0 ? 0 : 50;
        Seen seen;
        const fault::Counts given = run_with(plan, seen, 1 + static_cast<unsigned>(seed % 2));
        whole += seen.whole;
        return given;
    });
    EXPECT_GT(whole, 0);
    if (seeds >= 60) {
        for (const std::uint64_t count : {counts.errors, counts.shortened, counts.held, counts.swapped, counts.enters,
                                          counts.short_enters, counts.doubled, counts.refused, counts.bells_failed,
                                          counts.bells_doubled, counts.bells_late}) {
            EXPECT_GT(count, 0U);
        }
    }
}

TEST(Edge, TinyQueues) {
    const fault::Counts counts = over_seeds(10, [](std::uint64_t seed) {
        Seen seen;
        const fault::Counts given = run_with({.seed = seed, .held = 50, .ended = 300, .enters = 50,
                                              .short_enters = 300, .sq_entries = 2, .cq_entries = 4}, seen);
        EXPECT_GE(seen.whole, kClients / 2);
        return given;
    });
    EXPECT_GT(counts.overflows, 0U);
}

/// The lower rungs of the ladder, each with what a kernel of that age lacks.
TEST(Edge, EveryRungOfTheLadderCarriesTheSameProgram) {
    const unsigned rungs[] = {
        IORING_SETUP_DEFER_TASKRUN,
        IORING_SETUP_SINGLE_ISSUER,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
    };
    std::uint64_t seed = 0;
    for (const unsigned denied : rungs) {
        for (const bool denies_registered : {false, true}) {
            Seen seen;
            const fault::Counts counts = run_with({.seed = ++seed, .shortened = 200, .denied_flags = denied,
                                                   .denies_registered = denies_registered}, seen);
            EXPECT_GT(counts.denied, 0U);
            EXPECT_GE(seen.whole, kClients / 2);
        }
    }
}

/// One end of a conversation between loops: each item is a wake of a loop that sleeps.
Coro<> pass_on(Queue<int>& from, Queue<int>& to, int rounds) {
    for (int round = 0; round < rounds; ++round) {
        const int item = co_await from.get();
        co_await to.put(item + 1);
    }
}

Coro<> converse(int rounds, bool& is_whole) {
    Queue<int> here;
    Queue<int> there;
    TaskOptions elsewhere;
    elsewhere.loop = &get_runtime().loop(1);
    Task<> other = create_task(pass_on(here, there, rounds), elsewhere);
    co_await here.put(0);
    Task<> mine = create_task(pass_on(there, here, rounds));
    co_await with_timeout(20s, mine);
    co_await with_timeout(20s, other);
    const int last = co_await here.get();
    is_whole = last == 2 * rounds;
}

TEST(Edge, NoWakeIsLostWhateverHappensToTheDoorbell) {
    for (const bool is_epoll : {false, true}) {
        const fault::Counts counts = over_seeds(20, [is_epoll](std::uint64_t seed) {
            bool is_whole = false;
            run_at_edge({.seed = seed, .held = 200, .enters = 100, .bells_failed = 300, .bells_doubled = 300,
                         .bells_late = 100, .is_epoll = is_epoll},
                        2, converse(100, is_whole));
            EXPECT_TRUE(is_whole);
            return fault::counts();
        });
        EXPECT_GT(counts.bells_failed, 0U);
        EXPECT_GT(counts.bells_doubled, 0U);
        EXPECT_GT(counts.bells_late, 0U);
    }
    fault::set_plan({});
}

/// A driver that closes while another thread rings, and whose memory is somebody else's at once. The ringer must not
/// write to a descriptor that is closed by then, nor to that memory.
template <class D, class... Arguments>
void close_under_a_ringer(const fault::Plan& plan, Arguments... arguments) {
    alignas(D) std::array<std::byte, sizeof(D)> memory;
    fault::set_plan(plan);
    D* const driver = new (memory.data()) D(arguments...);
    std::thread ringer([driver] { driver->wake(); });
    while (fault::counts().bells_late == 0) {
        std::this_thread::yield();
    }
    driver->close();
    std::destroy_at(driver);
    memory.fill(std::byte{0x5a});
    ringer.join();
    EXPECT_TRUE(std::ranges::all_of(memory, [](std::byte each) { return each == std::byte{0x5a}; }));
}

TEST(Edge, ADriverThatClosesHearsTheDoorbellThoughItsReadFails) {
    static_cast<void>(over_seeds(20, [](std::uint64_t seed) {
        fault::Counts sum;
        for (const bool is_slow : {false, true}) {
            fault::Plan plan{.seed = seed, .bells_failed = 500};
            (is_slow ? plan.bells_slow : plan.bells_late) = 1000;
            close_under_a_ringer<knit::detail::UringDriver>(plan, 8U);
            sum += fault::counts();
            plan.is_epoll = true;
            close_under_a_ringer<knit::detail::EpollDriver>(plan, nullptr, "a test");
            sum += fault::counts();
        }
        return sum;
    }));
    fault::set_plan({});
}

/// The timer has woken the loop, and the message was found, before the thread that posted it comes to the doorbell.
Coro<> end_before_the_ring(std::thread& thread) {
    Future<int> future;
    Task<> ticker = create_task([](Future<int> awaited) -> Coro<> {
        while (!awaited.done()) {
            co_await sleep(10us);
        }
    }(future));
    thread = std::thread([future]() mutable { future.set_result(1); });
    co_await future;
    co_await ticker;
}

TEST(Edge, ARunThatEndsWaitsForTheThreadThatIsAboutToWakeIt) {
    static_cast<void>(over_seeds(20, [](std::uint64_t seed) {
        std::thread thread;
        run_at_edge({.seed = seed, .rings_late = 1000}, 1, end_before_the_ring(thread));
        thread.join();
        EXPECT_EQ(0U, fault::counts().rings_in_vain);
        return fault::counts();
    }));
    fault::set_plan({});
}

Coro<> end_multishots() {
    const std::size_t descriptors = open_descriptors();
    {
        io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
        DescriptorOwner owner = own(dup(listener.native_handle()));
        Task<int> accepting = create_task(perform(owner, [](io_uring_sqe& sqe, int number) {
            io_uring_prep_multishot_accept(&sqe, number, nullptr, nullptr, SOCK_CLOEXEC);
        }));
        io::TcpStream near = co_await io::TcpStream::connect(listener.local_endpoint());
        const int number = co_await accepting;
        DescriptorOwner far = own(number);
        char letter = 0;
        Task<int> receiving = create_task(perform(far, [&letter](io_uring_sqe& sqe, int socket) {
            io_uring_prep_recv_multishot(&sqe, socket, &letter, 1, 0);  // -EINVAL, were it one: it has a buffer
        }));
        Task<int> polling = create_task(perform(far, [](io_uring_sqe& sqe, int socket) {
            io_uring_prep_poll_multishot(&sqe, socket, POLLOUT);
        }));
        const int events = co_await polling;
        EXPECT_EQ(events, POLLOUT);
        co_await near.write("x");
        const int received = co_await receiving;
        EXPECT_EQ(received, 1);
        EXPECT_EQ(letter, 'x');
    }
    EXPECT_EQ(open_descriptors(), descriptors);
}

TEST(Edge, AMultishotRequestEndsWithTheCompletionWithoutMore) {
    run_at_edge({.seed = 1, .ended = 1000}, 1, end_multishots());
    EXPECT_EQ(fault::counts().ended, 3U);
    fault::set_plan({});
}

Coro<> write_without_copy(std::size_t& sent) {
    Pair pair = co_await connected_pair();
    pair.near.zero_copy_threshold(1);
    const std::string text(10'000, 'x');
    co_await pair.near.write(text);
    pair.near.shutdown();
    char buffer[4096];
    for (;;) {
        const std::size_t count = co_await pair.far.read_some(buffer);
        if (count == 0) {
            break;
        }
        sent += count;
    }
}

TEST(Edge, AZeroCopyWriteEndsWithoutItsNotification) {
    std::size_t sent = 0;
    run_at_edge({.seed = 1, .ended = 1000}, 1, write_without_copy(sent));
    EXPECT_GT(fault::counts().ended, 0U);
    EXPECT_EQ(sent, 10'000U);
    fault::set_plan({});
}

}  // namespace
}  // namespace knit::test
