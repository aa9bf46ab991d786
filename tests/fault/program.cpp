#include "program.hpp"

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "io_test.hpp"
#include "knit/dump.hpp"
#include "knit/io/file.hpp"
#include "knit/io/tcp.hpp"

namespace knit::test {
namespace {

constexpr std::size_t kBytes = 20'000;

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
            stream.zero_copy_threshold(1500);
            tasks.push_back(spawn(echo(std::move(stream), seen)));
        } catch (const std::system_error& error) {
            seen.note(error);
        }
    }
}

Coro<> send_all(io::TcpStream& stream, const std::vector<std::byte>& bytes) {
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
        stream.zero_copy_threshold(4000);
        Task<> sender = create_task(send_all(stream, sent));
        try {
            while (count < kBytes) {
                const std::size_t more = co_await stream.read_some(std::span(got).subspan(count));
                if (more == 0) {
                    break;
                }
                count += more;
                if (is_cancelled && count > kBytes / 2) {
                    is_cancelled = false;
                    sender.cancel();
                    const Result<void> outcome = co_await as_result(sender);
                    static_cast<void>(outcome);
                    stream.shutdown();  // else the other end would wait for the rest
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
        seen.blame("a wrong byte came back");
    }
    seen.count(count == kBytes && !has_failed);
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
            seen.blame("a file has lost something");
        }
        seen.count(true);
        co_await file.close();
    } catch (const std::system_error& error) {
        seen.note(error);
        seen.count(false);
    }
}

/// Shows the tasks while they still wait.
Coro<> watch(Seen& seen) {
    co_await sleep(15s);
    seen.blame("somebody waits in vain: " + dump_tasks());
}

Coro<> program(Seen& seen, std::uint64_t seed) {
    io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
    Task<> watcher = create_task(watch(seen));
    Task<> server = create_task(serve(listener, seen));
    const io::Endpoint endpoint = listener.local_endpoint();
    std::vector<Task<>> tasks;
    for (int count = 0; count < kClients; ++count) {
        tasks.push_back(spawn(ask(endpoint, seen, (seed + static_cast<std::uint64_t>(count)) % 4 == 0)));
    }
    const std::string path = std::filesystem::temp_directory_path() / ("knit_fault_" + std::to_string(::getpid()));
    tasks.push_back(spawn(copy_file(path, seen)));
    for (Task<>& task : tasks) {
        try {
            co_await with_timeout(20s, task);
        } catch (const TimeoutError&) {
            break;  // watch() has said it
        }
    }
    ::unlink(path.c_str());
    watcher.cancel();
    // The loop is as good as ever: a reader that is cancelled while it waits.
    server.cancel();
    const Result<void> outcome = co_await as_result(server);
    static_cast<void>(outcome);
}

}  // namespace

void run_at_edge(const fault::Plan& plan, unsigned loops, Coro<> main) {
    RunOptions options;
    options.loops = loops;
    options.ring_entries = 64;
    options.spin = Duration::zero();  // so that loops do sleep, and are woken
    options.driver = plan.is_epoll ? DriverKind::epoll : DriverKind::uring;
    fault::set_plan(plan);
    run(std::move(main), std::move(options));
}

fault::Counts run_with(const fault::Plan& plan, Seen& seen, unsigned loops) {
    const std::size_t descriptors = open_descriptors();
    run_at_edge(plan, loops, program(seen, plan.seed));
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

}  // namespace knit::test
