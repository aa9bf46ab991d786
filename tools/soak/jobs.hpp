/// The jobs of soak: what a server's life is made of, each again and again until the time is over, each answer checked.
#pragma once

#include <knit/knit.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "support/histogram.hpp"

namespace soak {

using Clock = std::chrono::steady_clock;

enum Kind : std::size_t { kEcho, kHttp, kTimer, kFile, kTask, kCancel, kQueue, kProcess, kKinds };
inline constexpr std::array<const char*, kKinds> kKindNames = {"echo", "http",   "timers", "files",
                                                               "tasks", "cancels", "queue",  "processes"};

/// What the jobs share. Any thread.
class Soak {
public:
    Soak(Clock::time_point end, std::filesystem::path folder) : end_(end), folder_(std::move(folder)) {}

    bool goes_on() const { return Clock::now() < end_ && !has_failed(); }
    const std::filesystem::path& folder() const { return folder_; }

    void count(Kind kind) { counts_[kind].fetch_add(1, std::memory_order_relaxed); }
    std::uint64_t count_of(Kind kind) const { return counts_[kind].load(std::memory_order_relaxed); }
    void note_latency(std::uint64_t nanoseconds);
    /// What was noted since the last call.
    bench::Histogram take_latency();

    /// A wrong answer: the soak ends.
    void fail(const std::string& what);
    bool has_failed() const { return has_failed_.load(std::memory_order_relaxed); }
    std::string failure() const;

    knit::io::Endpoint echo_server;
    knit::io::Endpoint http_server;

private:
    const Clock::time_point end_;
    const std::filesystem::path folder_;
    std::array<std::atomic<std::uint64_t>, kKinds> counts_{};
    std::atomic<bool> has_failed_{false};
    mutable std::mutex mutex_;  ///< guards what follows
    bench::Histogram latency_;
    std::string failure_;
};

/// Of one job.
class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    std::uint64_t below(std::uint64_t end) { return std::uniform_int_distribution<std::uint64_t>(0, end - 1)(engine_); }
    std::string bytes(std::size_t size);
    std::uint64_t seed() { return engine_(); }

private:
    std::mt19937_64 engine_;
};

/// The servers; they run until they are cancelled.
knit::Coro<> echo_back(knit::io::TcpStream stream);

/// All jobs, `scale` of each kind; ends when they have.
knit::Coro<> run_jobs(Soak& soak, std::uint64_t seed, unsigned scale);

/// With HTTP, where knit has it; without, nothing is served and no job is run.
knit::Coro<> serve_http(Soak& soak, knit::Event& is_up, knit::Event& is_over);
knit::Coro<> http_job(Soak& soak, std::uint64_t seed);
bool has_http();

}  // namespace soak
