// Hard days of a server: no descriptors left.
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "descriptor_wait.hpp"
#include "hard.hpp"
#include "knit/io/server.hpp"
#include "server_state.hpp"

namespace knit::test {
namespace {

using io::Server;
using io::TcpStream;

/// While this lives the process gets no descriptor.
class NoDescriptors {
public:
    NoDescriptors() {
        look_at_error_types();
        getrlimit(RLIMIT_NOFILE, &before_);
        const rlimit none{0, before_.rlim_max};
        setrlimit(RLIMIT_NOFILE, &none);
    }
    ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

std::shared_ptr<detail::ServerState> make_state(detail::ConnectionHandler handler) {
    std::vector<Loop*> loops;
    for (std::size_t index = 0; index < get_runtime().size(); ++index) {
        loops.push_back(&get_runtime().loop(index));
    }
    return std::make_shared<detail::ServerState>(detail::bind_everywhere("127.0.0.1:0", {}),
                                                 detail::make_handler_service(std::move(handler)), io::ServeOptions(),
                                                 std::move(loops));
}

/// What is logged while this lives.
class Log {
public:
    Log() {
        set_log_sink([this](const LogRecord& record) {
            const std::lock_guard lock(mutex_);
            lines_.push_back(record.message);
        });
    }
    ~Log() { set_log_sink({}); }
    std::vector<std::string> lines() const {
        const std::lock_guard lock(mutex_);
        return lines_;
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

class HardLimits : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Loops, HardLimits, testing::Values(1U, 2U));

TEST_P(HardLimits, WithoutDescriptorsAcceptingDoesNotSpinAndSaysSoOnceASecond) {
    const Log log;
    run_io(
        [&log]() -> Coro<> {
            const auto state = make_state(echo);
            Server server(state);
            server.start_serving();
            const detail::Fd early = plain_client(server.local_endpoint().port());
            while (server.connection_count() == 0) {  // ends; all that opens a descriptor for good has done so
                co_await yield();
            }
            detail::Fd late(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            const auto start = std::chrono::steady_clock::now();
            std::size_t tried = 0;
            {
                const NoDescriptors none;
                const sockaddr_in address = [&] {
                    sockaddr_in where{};
                    where.sin_family = AF_INET;
                    where.sin_port = htons(server.local_endpoint().port());
                    where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                    return where;
                }();
                EXPECT_EQ(0, connect(late.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
                const std::size_t before = state->accepts_tried();
                co_await sleep(300ms);
                tried = state->accepts_tried() - before;
                EXPECT_EQ(1U, server.connection_count());
            }
            const auto passed = std::chrono::steady_clock::now() - start;
            EXPECT_GT(state->accepts_failed(), 0U);
            // Two tries for each pause of at least 10 ms, on each loop, each of which may wake the other.
            EXPECT_LE(tried, static_cast<std::size_t>(passed / 10ms) * 8);
            EXPECT_LE(log.lines().size(), static_cast<std::size_t>(passed / 1s) + 1);
            EXPECT_GE(log.lines().size(), 1U);
            while (server.connection_count() != 2) {  // ends: it was in the queue all the time
                co_await yield();
            }
        },
        GetParam());
    ASSERT_FALSE(log.lines().empty());
    EXPECT_NE(std::string::npos, log.lines()[0].find("Too many open files")) << log.lines()[0];
}

TEST(HardLimits, ADescriptorThatIsClosedEndsTheWaitAtOnce) {
    run_io([]() -> Coro<> {
        Future<> first = detail::when_descriptor_may_be_free(1h);
        Future<> second = detail::when_descriptor_may_be_free(1h);
        co_await turns();
        EXPECT_FALSE(first.done());
        detail::Fd some(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        some.close();
        co_await first;
        co_await second;
        EXPECT_EQ(nullptr, detail::g_descriptor_freed.load());
    });
}

TEST(HardLimits, AnotherThreadsCloseEndsTheWaitToo) {
    run_io([]() -> Coro<> {
        detail::Fd some(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        Future<> free = detail::when_descriptor_may_be_free(1h);
        co_await to_thread([&some] { some.close(); });
        co_await free;
    });
}

TEST(HardLimits, AWaitForADescriptorThatIsCancelledIsForgotten) {
    run_io([]() -> Coro<> {
        auto waits = []() -> Coro<> {
            Future<> free = detail::when_descriptor_may_be_free(1h);
            co_await free;
        };
        Task<> waiting = create_task(waits());
        co_await turns();
        waiting.cancel();
        co_await gather(return_exceptions, waiting);
        EXPECT_TRUE(waiting.cancelled());
        detail::Fd some(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        some.close();
    });
}

TEST(HardLimits, AConnectionOnItsWayToAnotherLoopDoesNotBeginWhenAllAreEnded) {
    const std::size_t before = open_descriptors();
    run_io(
        []() -> Coro<> {
            std::atomic<int> begun = 0;
            const auto state = make_state([&begun](TcpStream) -> Coro<> {
                ++begun;
                co_return;
            });
            Server server(state);
            server.start_serving();
            std::atomic<bool> is_over = false;
            std::atomic<bool> has_begun = false;
            auto stuck = get_runtime().loop(1).create_task([&]() -> Coro<> {
                has_begun = true;
                while (!is_over) {  // ends with this test; until then what comes to loop 1 stays on its way
                }
                co_return;
            });
            while (!has_begun) {
                co_await yield();
            }
            Pair pair = co_await connected_pair();
            detail::Accepted accepted;
            accepted.fd = detail::Fd(dup(pair.far.native_handle()));
            state->service->begin(*state->admit(get_runtime().loop(1).worker()), std::move(accepted));
            EXPECT_EQ(1U, server.connection_count());
            server.close();
            server.close_clients();
            EXPECT_EQ(1U, server.connection_count()) << "it counts until it is closed";
            is_over = true;
            co_await stuck;
            co_await server.wait_closed();
            EXPECT_EQ(0, begun);
        },
        2);
    EXPECT_EQ(before, open_descriptors());
}

}  // namespace
}  // namespace knit::test
