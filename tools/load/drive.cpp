// The load itself, on knit: each connection is a task that sends, awaits the answer, checks it and notes the time.
#include <knit/core.hpp>
#include <knit/io/tcp.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "load/http_answer.hpp"
#include "load/plan.hpp"
#include "load/progress.hpp"
#include "workloads/mixed/case.hpp"

namespace load {

namespace {

constexpr char kLight = 'k';

using Clock = std::chrono::steady_clock;
using knit::io::TcpStream;

/// Whether the next request is heavy: by chance, so that several may meet. The same for every server, by the seed.
class HeavyChoice {
public:
    HeavyChoice(const Plan& plan, std::uint64_t connection)
        : share_(plan.heavy_share), state_(mix(plan.seed) ^ mix(~connection)) {}

    bool next() {
        state_ += kStep;
        constexpr double kUnit = 0x1p-53;
        return static_cast<double>(mix(state_) >> 11) * kUnit < share_;
    }

private:
    static constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15;

    static std::uint64_t mix(std::uint64_t word) {
        word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
        word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
        return word ^ (word >> 31);
    }

    double share_;
    std::uint64_t state_;
};

/// When the requests of one connection are due: at a fixed distance, whatever the answers do.
class Schedule {
public:
    Schedule(const Plan& plan, std::uint64_t connection, Clock::time_point start)
        : start_(start),
          number_(connection),
          step_(plan.connections),
          distance_(plan.rate > 0 ? 1e9 * static_cast<double>(plan.pipeline) / plan.rate : 0) {}

    bool is_open() const { return distance_ > 0; }

    Clock::time_point next() {
        const auto offset =
            std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(number_) * distance_));
        number_ += step_;
        return start_ + offset;
    }

private:
    Clock::time_point start_;
    std::uint64_t number_;
    std::uint64_t step_;
    double distance_;
};

/// One connection's dealings with the server.
class Talker {
public:
    Talker(const Plan& plan, Shard& shard, std::uint64_t number)
        : plan_(plan), shard_(shard), request_(plan.request), number_(number) {}

    knit::Coro<> connect() {
        stream_ = co_await TcpStream::connect(plan_.endpoint);
        if (plan_.is_reconnecting) {
            stream_.linger(std::chrono::seconds(0));  // or the ports would be used up by connections in TIME_WAIT
        }
    }

    knit::Coro<> trip(bool is_heavy) {
        if (plan_.is_reconnecting) {
            co_await connect();
        }
        if (!plan_.is_http) {
            sign(is_heavy);
        }
        co_await stream_.write(std::string_view(request_));
        if (plan_.is_http) {
            co_await read_answers();
        } else {
            answer_.resize(request_.size());
            co_await stream_.read_exactly(std::span<char>(answer_));
            if (answer_ != request_) {
                throw std::runtime_error("what came back is not what was sent");
            }
        }
        shard_.bytes += answer_.size();
        if (plan_.is_reconnecting) {
            stream_.close();
        }
    }

    void close() { stream_.close(); }

private:
    /// Each message that has room for it bears the connection's number and its own: an answer that belongs to another
    /// connection, or to an earlier message, does not go unseen.
    void sign(bool is_heavy) {
        request_.front() = is_heavy ? bench::mixed::kHeavy : kLight;
        const std::array<std::uint64_t, 2> signature{number_, ++sent_};
        for (std::size_t start = 1; start + sizeof signature <= request_.size(); start += plan_.size) {
            if (plan_.size > sizeof signature) {
                std::memcpy(request_.data() + start, signature.data(), sizeof signature);
            }
        }
    }

    /// Answers are as long as the one before as a rule, so that one read takes them; else their heads are looked at.
    knit::Coro<> read_answers() {
        std::size_t count = 0;
        std::size_t start = 0;
        std::uint64_t answers = 0;
        answer_.resize(std::max(expected_ + 1, kBufferLeast));
        while (answers < plan_.pipeline) {
            if (count == answer_.size()) {
                answer_.resize(2 * count);
            }
            const std::size_t more = co_await stream_.read_some(std::span<char>(answer_).subspan(count));
            if (more == 0) {
                throw std::runtime_error("the server closed the connection before its answer was complete");
            }
            count += more;
            while (answers < plan_.pipeline && start < count) {
                const std::size_t length = http_answer_length(std::string_view(answer_).substr(start, count - start));
                if (length == 0 || start + length > count) {
                    break;
                }
                if (!std::string_view(answer_).substr(start, length).ends_with(plan_.expected_end)) {
                    throw std::runtime_error("the HTTP answer has another body than --expect says");
                }
                start += length;
                ++answers;
            }
        }
        if (start != count) {
            throw std::runtime_error("the HTTP answer is longer than it says");
        }
        expected_ = count;
        answer_.resize(count);
    }

    static constexpr std::size_t kBufferLeast = 512;

    const Plan& plan_;
    Shard& shard_;
    std::string request_;
    std::uint64_t number_;
    std::uint64_t sent_ = 0;
    TcpStream stream_;
    std::string answer_;
    std::size_t expected_ = 0;
};

void note(const Plan& plan, Shard& shard, bool is_heavy, Clock::time_point due, Clock::time_point end) {
    const auto taken = static_cast<std::uint64_t>(std::max<std::int64_t>((end - due).count(), 0));
    (is_heavy ? shard.heavy_latency : shard.latency).add(taken);
    shard.requests += plan.pipeline;
    shard.shown_requests.store(shard.requests, std::memory_order_relaxed);
}

/// With a rate, the time of a request begins when it was due, not when it was sent: a server that stalls is charged for
/// those too that it kept from being sent.
knit::Coro<> drive_connection(const Plan& plan, Shard& shard, Talker& talker, std::uint64_t number, std::uint64_t trips,
                              Clock::time_point begin) {
    const Clock::time_point deadline = begin + plan.time;
    HeavyChoice heavy(plan, number);
    Schedule schedule(plan, number, begin);
    Clock::time_point due = Clock::now();
    for (std::uint64_t trip = 0; trips == 0 || trip < trips; ++trip) {
        if (schedule.is_open()) {
            due = schedule.next();
        }
        if (trips == 0 && due >= deadline) {
            break;
        }
        if (schedule.is_open() && due > Clock::now()) {
            co_await knit::sleep_until(due);
        }
        const bool is_heavy = heavy.next();
        co_await talker.trip(is_heavy);
        const Clock::time_point end = Clock::now();
        note(plan, shard, is_heavy, due, end);
        due = end;
    }
}

/// A connection that fails is counted and given up; the others go on.
knit::Coro<> guard_connection(const Plan& plan, Shard& shard, Talker& talker, std::uint64_t number,
                              Clock::time_point begin) {
    const std::uint64_t trips = plan.trips / plan.connections + (number < plan.trips % plan.connections ? 1 : 0);
    if (plan.trips != 0 && trips == 0) {
        co_return;
    }
    try {
        co_await drive_connection(plan, shard, talker, number, trips, begin);
    } catch (const std::exception& error) {
        ++shard.errors;
        if (shard.first_error.empty()) {
            shard.first_error = error.what();
        }
    }
}

using Talkers = std::vector<std::unique_ptr<Talker>>;

knit::Coro<Talkers> connect_shard(const Plan& plan, Shard& shard) {
    Talkers talkers;
    for (std::uint64_t number = shard.number; number < plan.connections; number += plan.loops) {
        talkers.push_back(std::make_unique<Talker>(plan, shard, number));
        if (!plan.is_reconnecting) {
            co_await talkers.back()->connect();
        }
    }
    co_return talkers;
}

knit::Coro<> drive_shard(const Plan& plan, Shard& shard, const Talkers& talkers, Clock::time_point begin) {
    std::vector<knit::Coro<>> connections;
    for (std::size_t index = 0; index < talkers.size(); ++index) {
        const std::uint64_t number = shard.number + index * plan.loops;
        connections.push_back(guard_connection(plan, shard, *talkers[index], number, begin));
    }
    co_await knit::gather(std::move(connections));
}

knit::Coro<> close_shard(const Talkers& talkers) {
    for (const auto& talker : talkers) {
        talker->close();
    }
    co_return;
}

/// Says how far the load is and waits to be told to go on: whoever measures the server looks at it meanwhile.
void wait_at_gate(const Plan& plan, const char* name) {
    if (plan.is_gated) {
        std::printf("%s\n", name);
        std::fflush(stdout);
        if (std::getchar() == EOF) {
            throw std::runtime_error("--gate: stdin ended before the run");
        }
    }
}

/// Connects on every loop, sends on every loop, closes on every loop; only the second part is measured.
knit::Coro<> run_plan(const Plan& plan, Outcome& outcome) {
    const std::vector<std::unique_ptr<Shard>>& shards = outcome.shards;
    knit::Runtime& runtime = knit::get_runtime();
    std::vector<knit::Task<Talkers>> connecting;
    for (const auto& shard : shards) {
        connecting.push_back(knit::create_task(connect_shard(plan, *shard), {.loop = &runtime.loop(shard->number)}));
    }
    const std::vector<Talkers> talkers = co_await knit::gather(std::move(connecting));
    wait_at_gate(plan, "begin");
    const bench::CpuTime before = bench::CpuTime::now();
    const Clock::time_point begin = Clock::now();
    std::optional<knit::Task<>> progress;
    if (plan.shows_progress) {
        progress = knit::create_task(show_progress(plan, shards));
    }
    std::vector<knit::Task<>> driving;
    for (const auto& shard : shards) {
        driving.push_back(knit::create_task(drive_shard(plan, *shard, talkers[shard->number], begin),
                                            {.loop = &runtime.loop(shard->number)}));
    }
    co_await knit::gather(std::move(driving));
    outcome.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const bench::CpuTime after = bench::CpuTime::now();
    outcome.user_us = after.user_us - before.user_us;
    outcome.system_us = after.system_us - before.system_us;
    if (progress) {
        progress->cancel();
    }
    wait_at_gate(plan, "end");
    std::vector<knit::Task<>> closing;
    for (const auto& shard : shards) {
        closing.push_back(
            knit::create_task(close_shard(talkers[shard->number]), {.loop = &runtime.loop(shard->number)}));
    }
    co_await knit::gather(std::move(closing));
}

/// run_plan, but for no longer than the limit: a server that hangs must not hang the load.
knit::Coro<> run_limited(const Plan& plan, Outcome& outcome) {
    bool is_late = false;
    try {
        co_await knit::wait_for(run_plan(plan, outcome), plan.limit);
    } catch (const knit::TimeoutError&) {
        is_late = true;
    }
    if (is_late) {
        throw std::runtime_error("the run did not end within its limit: does the server answer?");
    }
}

}  // namespace

Outcome drive(const Plan& plan) {
    Outcome outcome;
    for (unsigned i = 0; i < plan.loops; ++i) {
        outcome.shards.push_back(std::make_unique<Shard>());
        outcome.shards.back()->number = i;
    }
    knit::run(run_limited(plan, outcome), {.loops = plan.loops});
    return outcome;
}

}  // namespace load
