// What fails under an accept loop does not end it.

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <vector>

#include "hard.hpp"
#include "stream_pair.hpp"

// ThreadSanitizer has an epoll_ctl of its own, which has to be called.
#if !KNIT_TSAN

namespace {

std::atomic<int> g_refusals{0};  ///< of the next registrations with an epoll set

}  // namespace

/// In the place of the C library's: the system's limit of registrations is no test's to set.
extern "C" int epoll_ctl(int set, int operation, int number, epoll_event* event) noexcept {
    if (operation == EPOLL_CTL_ADD && g_refusals > 0) {
        --g_refusals;
        errno = ENOSPC;
        return -1;
    }
    return static_cast<int>(syscall(SYS_epoll_ctl, set, operation, number, event));
}

namespace knit::test {
namespace {

TEST(Acceptor, LetsOtherTasksHaveTheirTurnsInAStormOfConnections) {
    run_io([]() -> Coro<> {
        constexpr int kClients = 300;
        int begun = 0;
        int turn = 0;
        int first_turn = 0;
        io::Server server = co_await io::serve("127.0.0.1:0", [&](io::TcpStream) -> Coro<> {
            first_turn = begun++ == 0 ? turn : first_turn;
            co_return;
        });
        std::vector<detail::Fd> clients;  // all connected before the acceptor has its next turn
        for (int i = 0; i < kClients; ++i) {
            clients.push_back(plain_client(server.local_endpoint().port()));
        }
        while (begun < kClients) {
            ++turn;
            co_await yield();
        }
        EXPECT_GE(turn - first_turn, 3);
    });
}

TEST(Acceptor, OutlivesAnErrorOfItsWaitAndSaysSo) {
    RunOptions options;
    options.loops = 1;
    options.driver = DriverKind::epoll;
    std::vector<std::string> heard;
    auto main = [&heard]() -> Coro<> {
        get_running_loop().set_exception_handler(
            [&heard](const ExceptionContext& context) { heard.push_back(context.message); });
        auto handler = [](io::StreamReader, io::StreamWriter writer) { writer.close(); };
        io::Server server = co_await start_server(handler, "127.0.0.1:0");
        g_refusals = 1;
        co_await turns(20);
        EXPECT_EQ(0, g_refusals) << "the acceptor has begun to wait";
        const detail::Fd client = plain_client(server.local_endpoint().port());
        char byte = 0;
        while (recv(client.get(), &byte, 1, MSG_DONTWAIT) != 0) {  // until the handler has closed it
            co_await sleep(1ms);
        }
        EXPECT_TRUE(server.is_serving());
        server.close();
        co_await server.wait_closed();
    };
    run(main, options);
    EXPECT_EQ(std::vector<std::string>{"socket.accept() out of system resource"}, heard);
}

}  // namespace
}  // namespace knit::test

#endif
