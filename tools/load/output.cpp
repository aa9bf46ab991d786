#include "load/output.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>
#include <system_error>

namespace load {

namespace {

struct Sum {
    bench::Histogram latency;
    bench::Histogram heavy_latency;
    std::uint64_t requests = 0;
    std::uint64_t errors = 0;
    std::uint64_t bytes = 0;
    std::string first_error;
};

Sum sum_up(const Outcome& outcome) {
    Sum sum;
    for (const auto& shard : outcome.shards) {
        sum.latency.merge(shard->latency);
        sum.heavy_latency.merge(shard->heavy_latency);
        sum.requests += shard->requests;
        sum.errors += shard->errors;
        sum.bytes += shard->bytes;
        if (sum.first_error.empty()) {
            sum.first_error = shard->first_error;
        }
    }
    return sum;
}

using Json = nlohmann::ordered_json;

/// In tenths of a microsecond, which is finer than any bucket.
double microseconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds / 100) / 10; }

void add_percentiles(Json& json, const bench::Histogram& histogram, const std::string& prefix) {
    for (const auto& [name, share] : {std::pair("p50_us", 0.5), std::pair("p90_us", 0.9), std::pair("p99_us", 0.99),
                                      std::pair("p999_us", 0.999), std::pair("max_us", 1.0)}) {
        json[prefix + name] = microseconds(histogram.quantile(share));
    }
}

Json describe(const Plan& plan, const Outcome& outcome, const Sum& sum) {
    const auto count = static_cast<double>(std::max<std::uint64_t>(sum.requests, 1));
    Json json;
    json["mode"] = plan.is_http ? "http" : "echo";
    json["loop"] = plan.rate > 0 ? "open" : "closed";
    json["connections"] = plan.connections;
    if (plan.heavy_share > 0) {
        json["seed"] = plan.seed;
    }
    json["loops"] = plan.loops;
    json["seconds"] = outcome.seconds;
    json["requests"] = sum.requests;
    json["errors"] = sum.errors;
    json["requests_per_second"] = static_cast<std::uint64_t>(static_cast<double>(sum.requests) / outcome.seconds + 0.5);
    json["answer_bytes_per_second"] =
        static_cast<std::uint64_t>(static_cast<double>(sum.bytes) / outcome.seconds + 0.5);
    add_percentiles(json, sum.latency, "");
    if (plan.heavy_share > 0) {
        add_percentiles(json, sum.heavy_latency, "heavy_");
    }
    json["user_us"] = outcome.user_us;
    json["system_us"] = outcome.system_us;
    json["own_cpu_us_per_request"] = static_cast<double>(outcome.user_us + outcome.system_us) / count;
    return json;
}

void print_line(const Json& json) {
    const char* separator = "";
    for (const auto& [key, value] : json.items()) {
        if (value.is_number_float()) {
            std::printf("%s%s=%.*f", separator, key.c_str(), key == "seconds" ? 6 : 2, value.get<double>());
        } else {
            std::printf("%s%s=%s", separator, key.c_str(),
                        value.is_string() ? value.get<std::string>().c_str() : value.dump().c_str());
        }
        separator = " ";
    }
    std::putchar('\n');
}

/// A line for each doubling of the latency, with the share of all requests up to it.
void print_histogram(const bench::Histogram& histogram) {
    constexpr int kWidth = 50;
    std::uint64_t seen = 0;
    std::printf("%14s %12s %9s\n", "up to us", "requests", "sum %");
    for (std::uint64_t upper = 1024; seen < histogram.total(); upper *= 2) {
        const std::uint64_t count = histogram.count_up_to(upper) - seen;
        seen += count;
        const double share = static_cast<double>(count) / static_cast<double>(histogram.total());
        if (count != 0) {
            std::printf("%14.1f %12llu %9.4f %s\n", microseconds(upper), static_cast<unsigned long long>(count),
                        100 * static_cast<double>(seen) / static_cast<double>(histogram.total()),
                        std::string(static_cast<std::size_t>(share * kWidth + 0.5), '#').c_str());
        }
    }
}

Json buckets_of(const bench::Histogram& histogram) {
    Json buckets = Json::array();
    histogram.for_each([&buckets](std::uint64_t upper, std::uint64_t count) {
        buckets.push_back({microseconds(upper), count});
    });
    return buckets;
}

void write_json(Json json, const Sum& sum, const std::string& path) {
    json["histogram_us"] = buckets_of(sum.latency);
    if (sum.heavy_latency.total() != 0) {
        json["heavy_histogram_us"] = buckets_of(sum.heavy_latency);
    }
    const std::string text = json.dump(1) + "\n";
    if (path == "-") {
        std::fputs(text.c_str(), stdout);
        return;
    }
    std::ofstream file(path);
    file << text;
    file.close();
    if (!file) {
        throw std::system_error(errno, std::generic_category(), "--json: writing " + path);
    }
}

}  // namespace

int print_outcome(const Plan& plan, const Outcome& outcome, const OutputOptions& options) {
    const Sum sum = sum_up(outcome);
    const Json json = describe(plan, outcome, sum);
    if (options.json != "-") {
        if (options.shows_histogram) {
            print_histogram(sum.latency);
            if (sum.heavy_latency.total() != 0) {
                std::printf("heavy\n");
                print_histogram(sum.heavy_latency);
            }
        }
        print_line(json);
    }
    if (!options.json.empty()) {
        write_json(json, sum, options.json);
    }
    if (sum.errors != 0) {
        std::fprintf(stderr, "error: %llu of %llu connections failed, the first one: %s\n",
                     static_cast<unsigned long long>(sum.errors), static_cast<unsigned long long>(plan.connections),
                     sum.first_error.c_str());
    } else if (sum.requests == 0) {
        std::fprintf(stderr, "error: no request was answered in time\n");
    }
    return sum.errors == 0 && sum.requests != 0 ? 0 : 1;
}

}  // namespace load
