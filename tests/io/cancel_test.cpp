// Cancelling and closing what is in flight: nothing leaks and nothing is lost.

#include <string>
#include <vector>

#include "io_test.hpp"

namespace knit::test {
namespace {

using io::TcpListener;
using io::TcpStream;

/// Awaits a task that has been cancelled.
template <class T>
Coro<> expect_cancelled(Task<T> task) {
    try {
        co_await task;
        ADD_FAILURE() << "not cancelled";
    } catch (const CancelledError&) {
    }
}

/// What loop 1 has been given before is under way, and what it has done is seen here.
Coro<> turns_of_loop_1() {
    Task<> last = get_runtime().loop(1).create_task(turns());
    co_await last;
}

TEST(Cancel, EndsAReadAndTheStreamGoesOn) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        std::string buffer(8, '\0');
        auto reading = create_task(pair.near.read_some(buffer));
        co_await turns();
        reading.cancel();
        co_await expect_cancelled(reading);
        co_await pair.far.write("hello");
        EXPECT_EQ(5U, co_await pair.near.read_some(buffer));
        EXPECT_EQ("hello", buffer.substr(0, 5));
    });
}

TEST(Cancel, EndsAReadThatHasNotReachedTheKernel) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        std::string buffer(8, '\0');
        auto reading = create_task(pair.near.read_some(buffer));
        co_await yield();
        reading.cancel();
        co_await expect_cancelled(reading);
    });
}

TEST(Cancel, EndsAnAcceptAndTheListenerGoesOn) {
    run_io([]() -> Coro<> {
        TcpListener listener = TcpListener::bind("127.0.0.1:0");
        const std::size_t before = open_descriptors();
        for (int i = 0; i < 10; ++i) {
            auto accepting = create_task(listener.accept());
            co_await turns(i);
            accepting.cancel();
            co_await expect_cancelled(accepting);
        }
        EXPECT_EQ(before, open_descriptors());
        TcpStream near = co_await TcpStream::connect(listener.local_endpoint());
        TcpStream far = co_await listener.accept();
        EXPECT_EQ(near.local_endpoint(), far.peer_endpoint());
    });
}

TEST(Cancel, EndsAWriteThatIsStuck) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const std::vector<char> much(64 << 20);
        auto writing = create_task(pair.near.write(much));
        co_await turns(20);
        EXPECT_FALSE(writing.done());
        writing.cancel();
        co_await expect_cancelled(writing);
    });
}

TEST(Cancel, EndsAConnectThatIsStuckAndLeavesNoDescriptor) {
    run_io([]() -> Coro<> {
        // A full queue: the kernel drops the next connections' first packets.
        TcpListener listener = TcpListener::bind("127.0.0.1:0", {.backlog = 0});
        const std::size_t before = open_descriptors();
        {
            std::vector<Task<TcpStream>> connects;
            for (int i = 0; i < 8; ++i) {
                connects.push_back(create_task(TcpStream::connect(listener.local_endpoint())));
            }
            co_await turns(20);
            EXPECT_FALSE(connects.back().done());
            for (auto& task : connects) {
                task.cancel();
            }
            for (auto& task : connects) {
                try {
                    co_await task;
                } catch (const CancelledError&) {
                }
            }
            EXPECT_TRUE(connects.back().cancelled());
        }
        EXPECT_EQ(before, open_descriptors());
    });
}

// The whole of it in one task, so that the order is fixed: data has arrived, then the cancellation, then the
// resumption.
Coro<std::string> read_twice(TcpStream& stream) {
    std::string buffer(8, '\0');
    const std::size_t count = co_await stream.read_some(buffer);
    buffer.resize(count);
    try {
        std::string more(8, '\0');
        co_await stream.read_some(more);
        co_return "the second read was not cancelled";
    } catch (const CancelledError&) {
        co_return buffer;
    }
}

TEST(Cancel, AfterCompletionStillGivesTheBytesAndIsDueAtTheNextAwait) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto reading = create_task(read_twice(pair.near));
        co_await turns();
        // Sent past the ring: the read is completed by the time that the loop looks, and its cancel comes too late or
        // not.
        EXPECT_EQ(5, send(pair.far.native_handle(), "hello", 5, 0));
        reading.cancel();
        std::string got;
        try {
            got = co_await reading;
        } catch (const CancelledError&) {
            got.clear();  // the cancel was first: then the bytes are still there
        }
        if (got.empty()) {
            std::string buffer(8, '\0');
            buffer.resize(co_await pair.near.read_some(buffer));
            got = buffer;
        }
        EXPECT_EQ("hello", got);
    });
}

/// A ring reads a cached file as soon as it hears of it, which is before it hears of the cancellation.
TEST(Cancel, ThatComesTooLateForAnOperationIsDueAtTheNextAwait) {
    run_io([]() -> Coro<> {
        io::File file = co_await io::File::open("/proc/self/exe");
        char first[1];
        bool is_read = false;
        bool goes_on = false;
        Task<> task = create_task([&]() -> Coro<> {
            is_read = co_await file.read_at(first, 0) == 1;
            co_await turns();
            goes_on = true;
        });
        co_await yield();  // behind its first step: the request is made, and not heard of
        task.cancel();
        EXPECT_FALSE(is_read);
        co_await expect_cancelled(std::move(task));
        EXPECT_FALSE(goes_on);
    });
}

TEST(Cancel, ATaskWhoseOperationsCompleteAtOnceIsCancelledAllTheSame) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto writing = create_task([&pair]() -> Coro<> {
            for (;;) {
                co_await pair.near.write("x");
            }
        });
        auto reading = create_task([&pair]() -> Coro<> {
            char buffer[4096];
            while (co_await pair.far.read_some(buffer) != 0) {
            }
        });
        co_await turns(50);
        writing.cancel();
        co_await expect_cancelled(writing);
        pair.near.close();
        co_await reading;
    });
}

TEST(Cancel, ReadExactlyKeepsWhatItHadReadForTheNextRead) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        std::string buffer(8, '\0');
        auto reading = create_task(pair.near.read_exactly(buffer));
        co_await turns();
        co_await pair.far.write("abc");
        co_await turns();
        reading.cancel();
        co_await expect_cancelled(reading);
        co_await pair.far.write("defgh");
        std::string whole(8, '\0');
        co_await pair.near.read_exactly(whole);
        EXPECT_EQ("abcdefgh", whole);
    });
}

enum class Reader { reads, cleans_up, is_clean };

/// Reads until it is cancelled, and cleans up.
Coro<> read_and_clean_up(Pair& pair, Reader& state) {
    std::string buffer(8, '\0');
    try {
        co_await pair.near.read_some(buffer);
    } catch (const CancelledError&) {
        state = Reader::cleans_up;
    }
    co_await turns();
    state = Reader::is_clean;
}

TEST(Cancel, MayBeAskedForTwiceAndIsOneError) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        for (int pause = 0; pause < 10; ++pause) {
            Reader state = Reader::reads;
            Task<> reading = create_task(read_and_clean_up(pair, state));
            co_await turns();
            reading.cancel();
            for (int turn = 0; turn < pause && state == Reader::reads; ++turn) {
                co_await yield();
            }
            if (state == Reader::reads) {
                reading.cancel();  // once in the turn in which the loop has heard of the end, before the reader has
            }
            static_cast<void>(co_await as_result(reading));
            EXPECT_EQ(state, Reader::is_clean) << pause;
        }
    });
}

TEST(Cancel, ReachesAReadOnAnotherLoop) {
    run_io(
        []() -> Coro<> {
            Pair pair = co_await connected_pair();
            auto reading = get_runtime().loop(1).create_task([&pair]() -> Coro<> {
                std::string buffer(8, '\0');
                co_await pair.near.read_some(buffer);
            });
            co_await turns_of_loop_1();
            reading.cancel();
            co_await expect_cancelled(reading);
        },
        2);
}

TEST(Cancel, TheEndOfRunEndsWhatIsInFlight) {
    const std::size_t before = open_descriptors();
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        create_task([](TcpStream stream) -> Coro<> {
            char buffer[8];
            co_await stream.read_some(buffer);
        }(std::move(pair.near)));
        co_await turns();
    });
    EXPECT_EQ(before, open_descriptors());
}

/// What a read throws whose stream is closed under it.
Coro<std::string> error_of_read(TcpStream& stream) {
    char buffer[8];
    try {
        co_await stream.read_some(buffer);
        co_return "no error";
    } catch (const std::system_error& error) {
        EXPECT_EQ(std::errc::operation_canceled, error.code());
        co_return error.what();
    }
}

TEST(Close, WakesAReaderOfTheSameLoop) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto reading = create_task(error_of_read(pair.near));
        co_await turns();
        pair.near.close();
        EXPECT_NE(std::string::npos, (co_await reading).find("closed by another task"));
    });
}

TEST(Close, WakesAReaderOnAnotherLoop) {
    run_io(
        []() -> Coro<> {
            Pair pair = co_await connected_pair();
            auto reading = get_runtime().loop(1).create_task(error_of_read(pair.near));
            co_await turns_of_loop_1();
            TcpStream closing = std::move(pair.near);
            closing.close();
            co_await reading;
            char buffer[8];
            EXPECT_EQ(0U, co_await pair.far.read_some(buffer));
        },
        2);
}

TEST(Close, KeepsTheNumberUntilTheReadHasEnded) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        const int number = pair.near.native_handle();
        auto reading = create_task(error_of_read(pair.near));
        co_await turns();
        pair.near.close();
        EXPECT_EQ(0, fcntl(number, F_GETFD) & ~FD_CLOEXEC);  // still ours
        co_await reading;
        EXPECT_EQ(-1, fcntl(number, F_GETFD));
    });
}

TEST(Close, OfAListenerWakesItsAcceptor) {
    run_io([]() -> Coro<> {
        TcpListener listener = TcpListener::bind("127.0.0.1:0");
        auto accepting = create_task(listener.accept());
        co_await turns();
        listener.close();
        try {
            co_await accepting;
            ADD_FAILURE() << "accepted";
        } catch (const std::system_error& error) {
            EXPECT_EQ(std::errc::operation_canceled, error.code());
        }
    });
}

TEST(Close, OfAMovedStreamWakesTheReader) {
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        auto reading = create_task(error_of_read(pair.near));
        co_await turns();
        {
            const TcpStream other = std::move(pair.near);
        }
        co_await reading;
    });
}

TEST(Close, AnOperationOnAnotherLoopThanTheOneInFlightIsRefused) {
    run_io(
        []() -> Coro<> {
            Pair pair = co_await connected_pair();
            auto reading = get_runtime().loop(1).create_task(error_of_read(pair.near));
            co_await turns_of_loop_1();
            char buffer[8];
            try {
                co_await pair.near.read_some(buffer);
                ADD_FAILURE() << "not refused";
            } catch (const RuntimeError& error) {
                EXPECT_NE(std::string::npos, std::string(error.what()).find("another loop"));
            }
            pair.near.close();
            co_await reading;
        },
        2);
}

}  // namespace
}  // namespace knit::test
