// soak: knit under mixed load for as long as is asked, and a verdict: whether memory or descriptors grow, whether every
// task and operation that began has ended, whether answers are right and do not come later and later.
#include <knit/knit.hpp>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "jobs.hpp"

#include "support/args.hpp"

namespace {

using namespace std::chrono_literals;
using soak::Clock;
using soak::Soak;

constexpr unsigned kSamples = 60;
// A shorter run says nothing of growth.
constexpr std::uint64_t kGrowthFrom = 60;
// What may come and go: pools that fill, the heap's own ways.
constexpr double kGrowthShare = 0.03;
constexpr double kGrowthBytes = 2 << 20;
constexpr double kSlowerTimes = 5;
constexpr double kSlowerFrom = 50e6;  // ns

std::uint64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    std::uint64_t size = 0;
    std::uint64_t resident = 0;
    file >> size >> resident;
    return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::size_t descriptor_count() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

struct Sample {
    double resident = 0;
    double descriptors = 0;
    double p99 = 0;
};

double mean(std::span<const Sample> samples, double Sample::*field) {
    return std::accumulate(samples.begin(), samples.end(), 0.0,
                           [field](double sum, const Sample& sample) { return sum + sample.*field; }) /
           static_cast<double>(std::max<std::size_t>(samples.size(), 1));
}

void print_sample(const Soak& soak, const Sample& sample, double seconds, std::uint64_t tasks) {
    std::printf("%7.0f s  %6.1f MiB  %4.0f descriptors  %5llu tasks  echo p99 %7.2f ms ", seconds,
                sample.resident / (1 << 20), sample.descriptors, static_cast<unsigned long long>(tasks),
                sample.p99 / 1e6);
    for (std::size_t kind = 0; kind < soak::kKinds; ++kind) {
        std::printf(" %s %llu", soak::kKindNames[kind],
                    static_cast<unsigned long long>(soak.count_of(static_cast<soak::Kind>(kind))));
    }
    std::puts("");
    std::fflush(stdout);
}

knit::Coro<> watch(Soak& soak, Clock::duration interval, std::vector<Sample>& samples) {
    const auto start = Clock::now();
    while (soak.goes_on()) {
        co_await knit::sleep(interval);
        const Sample sample{static_cast<double>(resident_bytes()), static_cast<double>(descriptor_count()),
                            static_cast<double>(soak.take_latency().quantile(0.99))};
        samples.push_back(sample);
        print_sample(soak, sample, std::chrono::duration<double>(Clock::now() - start).count(),
                     knit::get_runtime().metrics().tasks);
    }
}

knit::Coro<> soak_all(Soak& soak, std::uint64_t seed, unsigned scale, Clock::duration interval,
                      std::vector<Sample>& samples) {
    knit::Server echo = co_await knit::serve(knit::io::endpoint("127.0.0.1", 0), soak::echo_back);
    soak.echo_server = echo.local_endpoint();
    knit::Event is_up;
    knit::Event is_over;
    knit::Task<> http = knit::create_task(soak::serve_http(soak, is_up, is_over));
    co_await is_up.wait();
    knit::Task<> watching = knit::create_task(watch(soak, interval, samples));
    co_await soak::run_jobs(soak, seed, scale);
    watching.cancel();
    const knit::Result<void> watched = co_await knit::as_result(watching);
    is_over.set();
    co_await http;
    echo.close();
    co_await echo.wait_closed();
}

class Verdict {
public:
    void judge(bool is_good, const std::string& what) {
        std::printf("%s  %s\n", is_good ? "good" : "BAD ", what.c_str());
        is_good_ = is_good_ && is_good;
    }
    bool is_good() const { return is_good_; }

private:
    bool is_good_ = true;
};

void judge_growth(Verdict& verdict, const std::vector<Sample>& samples) {
    const std::size_t third = samples.size() / 3;
    if (third == 0) {
        return;
    }
    const std::span<const Sample> all(samples);
    const auto middle = all.subspan(third, third);
    const auto last = all.subspan(samples.size() - third);
    char text[160];
    const double before = mean(middle, &Sample::resident);
    const double after = mean(last, &Sample::resident);
    std::snprintf(text, sizeof text, "resident memory: %.2f MiB in the middle third, %.2f in the last",
                  before / (1 << 20), after / (1 << 20));
    verdict.judge(after - before < std::max(kGrowthBytes, before * kGrowthShare), text);
    const double p99_before = mean(middle, &Sample::p99);
    const double p99_after = mean(last, &Sample::p99);
    std::snprintf(text, sizeof text, "p99 of an echo: %.2f ms in the middle third, %.2f in the last", p99_before / 1e6,
                  p99_after / 1e6);
    verdict.judge(p99_after < std::max(kSlowerFrom, p99_before * kSlowerTimes), text);
}

void judge_end(Verdict& verdict, const knit::Metrics& metrics, std::size_t before, std::size_t after) {
    std::uint64_t submitted = 0;
    std::uint64_t ended = 0;
    std::uint64_t timers = 0;
    for (const knit::LoopMetrics& loop : metrics.loops) {
        submitted += loop.operations_submitted;
        ended += loop.operations_ended;
        timers += loop.timers;
    }
    verdict.judge(submitted == ended, "operations: " + std::to_string(submitted) + " submitted, " +
                                          std::to_string(ended) + " ended");
    verdict.judge(metrics.tasks == 0, "tasks that have not ended: " + std::to_string(metrics.tasks));
    verdict.judge(timers == 0, "timers left: " + std::to_string(timers));
    verdict.judge(before == after, "descriptors: " + std::to_string(before) + " before, " + std::to_string(after) +
                                       " after");
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv,
                     "usage: soak [--seconds N (default 60)] [--loops N (default: one for each CPU)] [--scale N (1)] "
                     "[--seed N (default 1)]\nEchoes, HTTP, timers, files, tasks, cancellations, queues and processes "
                     "at once, each answer checked.\n"
                     "Prints a line a sample and a verdict; ends with 0 when all is good.");
    const std::uint64_t seconds = args.number("--seconds", 60, 1, 10'000'000);
    const auto scale = static_cast<unsigned>(args.number("--scale", 1, 1, 1000));
    const std::uint64_t seed = args.number("--seed", 1);
    knit::RunOptions options;
    options.loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    args.finish();
    const auto folder = std::filesystem::temp_directory_path() / ("knit-soak-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder);
    Verdict verdict;
    try {
        const std::size_t descriptors = descriptor_count();
        Soak soak(Clock::now() + std::chrono::seconds(seconds), folder);
        std::vector<Sample> samples;
        const auto interval = std::max<Clock::duration>(std::chrono::seconds(seconds) / kSamples, 100ms);
        knit::Metrics metrics;
        {
            knit::Runtime runtime(options);
            runtime.run_until_complete(soak_all(soak, seed, scale, interval, samples));
            runtime.close();
            metrics = runtime.metrics();
        }
        verdict.judge(!soak.has_failed(), soak.has_failed() ? soak.failure() : "answers: all right");
        if (seconds >= kGrowthFrom) {
            judge_growth(verdict, samples);
        }
        judge_end(verdict, metrics, descriptors, descriptor_count());
    } catch (const std::exception& error) {
        verdict.judge(false, error.what());
    }
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return verdict.is_good() ? 0 : 1;
}
