// Programs at a kernel's edge that fails, by a seed: echo over TCP, streams that are cancelled, files. What must hold:
// nothing crashes or hangs, no descriptor is left, whoever sees an error sees one that was given, connections that saw
// none carried every byte, and a loop goes on after each fault.

#include <gtest/gtest.h>
#include <liburing.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include "edge.hpp"
#include "io_test.hpp"
#include "knit/io/file.hpp"
#include "knit/io/tcp.hpp"

namespace knit::test {
namespace {

constexpr std::size_t kBytes = 20'000;
constexpr int kClients = 6;

/// What the tasks of one program saw.
struct Seen {
    void note(const std::system_error& error) { codes.insert(error.code().value()); }
    std::set<int> codes;
    int whole = 0;   ///< connections and files that carried everything
    int broken = 0;
    std::string fault;
};

Coro<> echo(io::TcpStream stream, Seen& seen) {
    try {
        std::vector<std::byte> buffer(3000);
        for (;;) {
            const std::size_t count = co_await stream.read_some(std::span(buffer));
            if (count == 0) {
                break;
            }
            co_await stream.write(std::span<const std::byte>(buffer).first(count));
        }
        stream.shutdown();
    } catch (const std::system_error& error) {
        seen.note(error);
    }
}

Coro<> serve(io::TcpListener& listener, Seen& seen) {
    std::vector<Task<>> tasks;
    for (;;) {
        try {
            io::TcpStream stream = co_await listener.accept();
            tasks.push_back(create_task(echo(std::move(stream), seen)));
        } catch (const std::system_error& error) {
            seen.note(error);
        }
    }
}

Coro<> send(io::TcpStream& stream, const std::vector<std::byte>& bytes) {
    std::exception_ptr error;
    try {
        co_await stream.write(std::span<const std::byte>(bytes));
    } catch (const std::system_error&) {
        error = std::current_exception();
    }
    stream.shutdown();  // in any case: else the other end would wait for the rest
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
}

Coro<> ask(io::Endpoint endpoint, Seen& seen, bool is_cancelled) {
    std::vector<std::byte> sent(kBytes);
    for (std::size_t index = 0; index < kBytes; ++index) {
        sent[index] = static_cast<std::byte>(index % 251);
    }
    std::vector<std::byte> got(kBytes);
    std::size_t count = 0;
    bool has_failed = false;
    try {
        io::TcpStream stream = co_await io::TcpStream::connect(endpoint);
        Task<> sender = create_task(send(stream, sent));
        try {
            while (count < kBytes) {
                const std::size_t more = co_await stream.read_some(std::span(got).subspan(count));
                if (more == 0) {
                    break;
                }
                count += more;
                if (is_cancelled && count > kBytes / 2) {
                    sender.cancel();
                }
            }
        } catch (const std::system_error& error) {
            seen.note(error);
            has_failed = true;
        }
        if (count < kBytes) {
            sender.cancel();  // the other end may not read any more
        }
        const Result<void> outcome = co_await as_result(sender);
        has_failed = has_failed || !outcome.has_value();
    } catch (const std::system_error& error) {
        seen.note(error);
        has_failed = true;
    }
    if (std::memcmp(got.data(), sent.data(), count) != 0) {
        seen.fault = "a wrong byte came back";
    }
    (count == kBytes && !has_failed ? seen.whole : seen.broken) += 1;
}

Coro<> copy_file(std::string path, Seen& seen) {
    try {
        io::File file = co_await io::File::open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        const std::string text(kBytes, 'x');
        std::size_t written = 0;
        while (written < text.size()) {
            written += co_await file.write_at(std::as_bytes(std::span(text)).subspan(written), written);
        }
        co_await file.fsync();
        std::string back(kBytes, '\0');
        std::size_t count = 0;
        while (count < back.size()) {
            const std::span<std::byte> rest = std::as_writable_bytes(std::span(back)).subspan(count);
            const std::size_t more = co_await file.read_at(rest, count);
            if (more == 0) {
                break;
            }
            count += more;
        }
        if (back != text) {
            seen.fault = "a file has lost something";
        }
        ++seen.whole;
        co_await file.close();
    } catch (const std::system_error& error) {
        seen.note(error);
        ++seen.broken;
    }
}

Coro<> program(Seen& seen, std::uint64_t seed) {
    io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
    Task<> server = create_task(serve(listener, seen));
    const io::Endpoint endpoint = listener.local_endpoint();
    std::vector<Task<>> tasks;
    for (int count = 0; count < kClients; ++count) {
        tasks.push_back(create_task(ask(endpoint, seen, (seed + static_cast<std::uint64_t>(count)) % 4 == 0)));
    }
    const std::string path = std::filesystem::temp_directory_path() / ("knit_fault_" + std::to_string(::getpid()));
    tasks.push_back(create_task(copy_file(path, seen)));
    for (Task<>& task : tasks) {
        try {
            co_await with_timeout(20s, task);
        } catch (const TimeoutError&) {
            seen.fault = "somebody waits in vain";
        }
    }
    ::unlink(path.c_str());
    // The loop is as good as ever: a reader that is cancelled while it waits.
    server.cancel();
    const Result<void> outcome = co_await as_result(server);
    static_cast<void>(outcome);
}

fault::Counts run_with(const fault::Plan& plan, Seen& seen, unsigned ring_entries = 64) {
    const std::size_t descriptors = open_descriptors();
    fault::set_plan(plan);
    run_io([&] { return program(seen, plan.seed); }, 1, ring_entries);
    const fault::Counts counts = fault::counts();
    const std::set<int> given = fault::errors_given();
    for (const int code : seen.codes) {
        // What the other end's death brings is nobody's injection.
        const bool follows = code == ECONNRESET || code == EPIPE || code == ENOTCONN;
        EXPECT_TRUE(follows || given.contains(code)) << "seed " << plan.seed << ": " << std::strerror(code);
    }
    fault::set_plan({});
    EXPECT_EQ(seen.fault, "") << "seed " << plan.seed;
    EXPECT_EQ(seen.whole + seen.broken, kClients + 1) << "seed " << plan.seed;
    EXPECT_EQ(open_descriptors(), descriptors) << "seed " << plan.seed;
    return counts;
}

std::uint64_t seed_count(std::uint64_t otherwise) {
    const char* const text = std::getenv("FAULT_SEEDS");
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

TEST(Edge, WithoutFaultsEverythingIsWhole) {
    Seen seen;
    static_cast<void>(run_with({}, seen));
    EXPECT_GE(seen.whole, kClients - 1);  // clients whose sender is cancelled may be broken
}

TEST(Edge, EachFaultReachesItsAwaiterAndNobodyElse) {
    std::uint64_t faults = 0;
    int whole = 0;
    for (std::uint64_t seed = 1; seed <= seed_count(60) && !HasFailure(); ++seed) {
        fault::Plan plan{.seed = seed, .errors = 10, .shortened = 300, .held = 100, .ended = 300, .swapped = 200,
                         .enters = 50, .short_enters = 100};
        plan.errors = seed % 3 == 0 ? 0 : 10;
        Seen seen;
        faults += run_with(plan, seen).total();
        whole += seen.whole;
    }
    EXPECT_GT(whole, 0);
    std::cout << faults << " faults\n";
}

TEST(Edge, TinyQueues) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        Seen seen;
        static_cast<void>(run_with({.seed = seed, .held = 50, .enters = 50, .short_enters = 300, .sq_entries = 2,
                                    .cq_entries = 4}, seen));
        EXPECT_GE(seen.whole, kClients / 2);
    }
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

/// A page of its own, which can be taken from the kernel and from everybody.
class Page {
public:
    Page() : bytes_(::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
    ~Page() { ::munmap(bytes_, kSize); }
    Page(const Page&) = delete;
    Page& operator=(const Page&) = delete;
    std::span<std::byte> bytes() { return {static_cast<std::byte*>(bytes_), kSize}; }
    void poison() {
        std::memset(bytes_, 0x5a, kSize);
        ::mprotect(bytes_, kSize, PROT_NONE);
    }
    bool is_untouched() {
        ::mprotect(bytes_, kSize, PROT_READ | PROT_WRITE);
        const auto all = bytes();
        return std::all_of(all.begin(), all.end(), [](std::byte each) { return each == std::byte{0x5a}; });
    }

private:
    static constexpr std::size_t kSize = 4096;
    void* const bytes_;
};

/// The count outlives the task, whose result a cancellation that comes too late takes away, as in asyncio.
Coro<> read_into(io::TcpStream& stream, std::span<std::byte> bytes, std::size_t& count) {
    count = co_await stream.read_some(bytes);
}

Coro<> cancel_reads(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    Pair pair = co_await connected_pair();
    for (int round = 0; round < 20; ++round) {
        Page page;
        std::size_t given = 0;
        Task<> reader = create_task(read_into(pair.near, page.bytes(), given));
        co_await turns(static_cast<int>(random() % 4));
        const bool is_early = random() % 2 == 0;
        if (is_early) {
            const std::size_t sent = co_await pair.far.write_some("early");
            EXPECT_GT(sent, 0U);
        }
        reader.cancel();
        const Result<void> outcome = co_await as_result(reader);
        static_cast<void>(outcome);
        EXPECT_FALSE(fault::is_owned_by_kernel(page.bytes().data(), page.bytes().size()));
        page.poison();
        co_await pair.far.write("late");
        co_await turns(4);
        EXPECT_TRUE(page.is_untouched());
        // Nothing was lost either: what the cancelled read did not give is still there.
        std::string text(64, '\0');
        const std::size_t expected = 4 + (is_early ? 5 - given : 0);
        std::size_t count = 0;
        while (count < expected) {
            count += co_await pair.near.read_some(std::as_writable_bytes(std::span(text)).subspan(count));
        }
        EXPECT_EQ(count, expected);
    }
}

TEST(Ownership, TheKernelNeverWritesToTheBufferOfACancelledRead) {
    for (std::uint64_t seed = 1; seed <= seed_count(20); ++seed) {
        fault::set_plan({.seed = seed, .held = 200, .swapped = 200, .enters = 50, .short_enters = 100});
        run_io([&] { return cancel_reads(seed); });
    }
    fault::set_plan({});
}

TEST(Ownership, IsSeenWhileAReadIsInTheKernel) {
    fault::set_plan({});
    run_io([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        Page page;
        Task<std::size_t> reader = create_task(pair.near.read_some(page.bytes()));
        co_await turns();
        EXPECT_TRUE(fault::is_owned_by_kernel(page.bytes().data(), 1));
        reader.cancel();
        const Result<std::size_t> outcome = co_await as_result(reader);
        EXPECT_FALSE(outcome.has_value());
        EXPECT_FALSE(fault::is_owned_by_kernel(page.bytes().data(), 1));
    });
}

}  // namespace
}  // namespace knit::test
