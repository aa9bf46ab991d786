#include "jobs.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <system_error>
#include <utility>

namespace soak {
namespace {

using namespace std::chrono_literals;
using knit::Coro;
using knit::Task;

constexpr std::size_t kMessageMost = 16 << 10;
constexpr std::size_t kFileMost = 256 << 10;

/// A client's connection that is given up in one of the ways that clients have.
Coro<> leave(knit::io::TcpStream& stream, Random& random) {
    std::array<char, 64> buffer;
    switch (random.below(4)) {
        case 0: stream.linger(0s); break;  // close() resets then
        case 1: {
            Task<std::size_t> reading = knit::create_task(stream.read_some(std::span<char>(buffer)));
            co_await knit::yield();
            reading.cancel();
            knit::Result<std::size_t> result = co_await knit::as_result(reading);
            break;
        }
        case 2: {
            stream.shutdown();
            co_await stream.read_some(std::span<char>(buffer));
            break;
        }
        default: break;
    }
    stream.close();
}

Coro<> echo_job(Soak& soak, std::uint64_t seed) {
    Random random(seed);
    while (soak.goes_on()) {
        knit::io::TcpStream stream = co_await knit::io::TcpStream::connect(soak.echo_server);
        for (std::uint64_t left = random.below(100) + 1; left > 0 && soak.goes_on(); --left) {
            const std::string message = random.bytes(1 + random.below(kMessageMost));
            const auto start = Clock::now();
            co_await stream.write(message);
            std::string answer(message.size(), '\0');
            co_await stream.read_exactly(std::span<char>(answer));
            soak.note_latency(static_cast<std::uint64_t>((Clock::now() - start).count()));
            if (answer != message) {
                soak.fail("echo: the answer is not what was sent");
            }
            soak.count(kEcho);
        }
        co_await leave(stream, random);
    }
}

Coro<> timer_job(Soak& soak, std::uint64_t seed) {
    Random random(seed);
    while (soak.goes_on()) {
        const auto delay = std::chrono::microseconds(random.below(5000));
        knit::Handle never = knit::get_running_loop().call_later(1h, [] {});
        const auto start = Clock::now();
        constexpr auto kSleep = 2500us;
        bool has_slept = false;
        try {
            co_await knit::with_timeout(delay, knit::sleep(kSleep));
            has_slept = true;
        } catch (const knit::TimeoutError&) {
            soak.count(kTimer);
        }
        never.cancel();
        if (Clock::now() - start < (has_slept ? kSleep : delay)) {
            soak.fail("timers: one came before its time");
        }
        soak.count(kTimer);
    }
}

Coro<> file_job(Soak& soak, std::uint64_t seed) {
    Random random(seed);
    const std::filesystem::path path = soak.folder() / ("file-" + std::to_string(seed));
    while (soak.goes_on()) {
        const std::string content = random.bytes(1 + random.below(kFileMost));
        knit::io::File file = co_await knit::io::File::open(path, O_RDWR | O_CREAT | O_TRUNC);
        co_await file.write_at(content, 0);
        std::string read(content.size(), '\0');
        std::size_t done = 0;
        while (done < read.size()) {
            const std::size_t count = co_await file.read_at(std::span<char>(read).subspan(done), done);
            if (count == 0) {
                break;
            }
            done += count;
        }
        if (read != content) {
            soak.fail("files: what was read is not what was written");
        }
        co_await file.close();
        std::filesystem::remove(path);
        soak.count(kFile);
        co_await knit::sleep(1ms);
    }
}

Coro<int> fib(int n) {
    if (n < 2) {
        co_return n;
    }
    const auto [a, b] = co_await knit::gather(knit::spawn(fib(n - 1)), knit::spawn(fib(n - 2)));
    co_return a + b;
}
Coro<int> forked_fib(int n) {
    if (n < 2) {
        co_return n;
    }
    const auto [a, b] = co_await knit::fork_join(forked_fib(n - 1), forked_fib(n - 2));
    co_return a + b;
}

Coro<> task_job(Soak& soak, std::uint64_t seed) {
    Random random(seed);
    while (soak.goes_on()) {
        const bool forks = random.below(2) == 0;
        Coro<int> coroutine = forks ? forked_fib(14) : fib(12);
        const int answer = co_await knit::spawn(std::move(coroutine));
        if (answer != (forks ? 377 : 144)) {
            soak.fail("tasks: fib is wrong");
        }
        const int square = co_await knit::to_thread([](int number) { return number * number; }, answer);
        if (square != answer * answer) {
            soak.fail("tasks: a thread's answer is wrong");
        }
        soak.count(kTask);
        co_await knit::sleep(std::chrono::microseconds(random.below(2000)));
    }
}

Coro<> wait_deep(int depth, int& ended) {
    struct Count {
        int& ended;
        ~Count() { ++ended; }
    };
    const Count count{ended};
    if (depth == 0) {
        co_await knit::sleep(1h);
    } else {
        co_await knit::create_task(wait_deep(depth - 1, ended));
    }
}

/// A tree of tasks that wait is cancelled at any moment: each ends once.
Coro<> cancel_job(Soak& soak, std::uint64_t seed) {
    Random random(seed);
    constexpr int kDepth = 5;
    while (soak.goes_on()) {
        int ended = 0;
        Task<> task = knit::create_task(wait_deep(kDepth, ended));
        for (std::uint64_t turns = random.below(kDepth + 3); turns > 0; --turns) {
            co_await knit::yield();
        }
        task.cancel();
        const knit::Result<void> result = co_await knit::as_result(task);
        if (!task.cancelled()) {
            soak.fail("cancels: a task that was cancelled has not ended so");
        }
        soak.count(kCancel);
        co_await knit::sleep(std::chrono::microseconds(random.below(1000)));
    }
}

Coro<std::uint64_t> take_all(knit::Queue<std::uint64_t>& queue, std::uint64_t seed) {
    Random random(seed);
    std::uint64_t sum = 0;
    for (;;) {
        std::uint64_t item = 1;
        try {
            item = co_await knit::with_timeout(std::chrono::microseconds(random.below(200)), queue.get());
        } catch (const knit::TimeoutError&) {
            continue;
        }
        if (item == 0) {
            co_return sum;
        }
        sum += item;
    }
}

/// Two loops, mostly, and getters that give up: no item is lost.
Coro<> queue_job(Soak& soak, std::uint64_t seed) {
    Random random(seed);
    while (soak.goes_on()) {
        knit::Queue<std::uint64_t> queue(16);
        Task<std::uint64_t> taking = knit::spawn(take_all(queue, random.seed()));
        std::uint64_t sum = 0;
        for (std::uint64_t item = 1; item <= 200; ++item) {
            co_await queue.put(item);
            sum += item;
        }
        co_await queue.put(0);
        if (co_await taking != sum) {
            soak.fail("queue: items were lost or came twice");
        }
        soak.count(kQueue);
        co_await knit::sleep(std::chrono::microseconds(random.below(2000)));
    }
}

Coro<> process_job(Soak& soak, std::uint64_t) {
    while (soak.goes_on()) {
        const std::vector<std::string> argv = {"cat"};
        knit::ProcessOptions options = {.in = knit::PIPE, .out = knit::PIPE};
        knit::Process process = co_await knit::create_subprocess_exec(argv, options);
        const std::string text = "a child's life";
        const knit::ProcessOutput output = co_await process.communicate(text);
        if (output.out != text || process.returncode() != 0) {
            soak.fail("processes: cat has not given what it got");
        }
        soak.count(kProcess);
        co_await knit::sleep(250ms);
    }
}

using Job = Coro<> (*)(Soak&, std::uint64_t);

Coro<> guarded(Soak& soak, Job job, Kind kind, std::uint64_t seed) {
    try {
        Coro<> running = job(soak, seed);
        co_await std::move(running);
    } catch (const std::exception& error) {
        soak.fail(std::string(kKindNames[kind]) + ", seed " + std::to_string(seed) + ": " + error.what());
    }
}

}  // namespace

void Soak::note_latency(std::uint64_t nanoseconds) {
    const std::lock_guard lock(mutex_);
    latency_.add(nanoseconds);
}

bench::Histogram Soak::take_latency() {
    const std::lock_guard lock(mutex_);
    return std::exchange(latency_, bench::Histogram());
}

void Soak::fail(const std::string& what) {
    const std::lock_guard lock(mutex_);
    if (!has_failed_.exchange(true, std::memory_order_relaxed)) {
        failure_ = what;
    }
}

std::string Soak::failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
}

std::string Random::bytes(std::size_t size) {
    std::string result(size, '\0');
    std::uint64_t state = engine_() | 1;
    for (char& letter : result) {
        state = state * 6364136223846793005 + 1442695040888963407;
        letter = static_cast<char>(state >> 56);
    }
    return result;
}

Coro<> echo_back(knit::io::TcpStream stream) {
    try {
        for (;;) {
            const knit::io::Received received = co_await stream.receive();
            if (received.empty()) {
                co_return;
            }
            co_await stream.write(received);
            co_await knit::rebalance();
        }
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::connection_reset && error.code() != std::errc::broken_pipe) {
            throw;
        }
    }
}

Coro<> run_jobs(Soak& soak, std::uint64_t seed, unsigned scale) {
    struct Kin {
        Job job;
        Kind kind;
        unsigned share;  // times the scale
    };
    const std::array<Kin, kKinds> kin = {{{echo_job, kEcho, 8},
                                          {http_job, kHttp, has_http() ? 4U : 0U},
                                          {timer_job, kTimer, 8},
                                          {file_job, kFile, 2},
                                          {task_job, kTask, 1},
                                          {cancel_job, kCancel, 2},
                                          {queue_job, kQueue, 1},
                                          {process_job, kProcess, 1}}};
    Random random(seed);
    std::vector<Task<>> tasks;
    for (const Kin& each : kin) {
        for (unsigned i = 0; i < each.share * scale; ++i) {
            tasks.push_back(knit::spawn(guarded(soak, each.job, each.kind, random.seed())));
        }
    }
    co_await knit::gather(std::move(tasks));
}

}  // namespace soak
