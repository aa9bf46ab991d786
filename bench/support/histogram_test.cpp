// Tests Histogram: ranks, the buckets' width, and that several together are as one.
#include "support/histogram.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

void check(bool is_right, const char* what) {
    if (!is_right) {
        std::fprintf(stderr, "error: %s\n", what);
        std::exit(1);
    }
}

void ranks_are_rounded_up() {
    bench::Histogram histogram;
    check(histogram.quantile(0.99) == 0, "an empty histogram gives 0");
    for (std::uint64_t value = 1; value <= 50; ++value) {
        histogram.add(value);
    }
    check(histogram.quantile(0.5) == 25, "25 of 50 values do not exceed the median");
    check(histogram.quantile(0.99) == 50, "49 of 50 are not yet 99 %");
    check(histogram.quantile(0) == 1, "a share of nothing is the least value");
    check(histogram.quantile(1) == 50, "all is the largest");
}

void a_bucket_is_no_wider_than_a_thirtieth() {
    for (std::uint64_t value = 1; value < (std::uint64_t{1} << 62); value += value / 4 + 1) {
        bench::Histogram histogram;
        histogram.add(value);
        histogram.add(UINT64_MAX);
        const std::uint64_t upper = histogram.quantile(0.5);
        check(upper >= value && upper - value <= value / 30, "a value is at most 3 % below its bucket's end");
        check(histogram.count_up_to(upper) == 1, "its bucket ends there");
    }
}

void merged_ones_are_as_one() {
    bench::Histogram one;
    bench::Histogram other;
    bench::Histogram all;
    for (std::uint64_t value = 1; value < 1'000'000; value += value / 2 + 1) {
        (value % 2 == 0 ? one : other).add(value);
        all.add(value);
    }
    one.merge(other);
    check(one.total() == all.total(), "totals add up");
    for (const double share : {0.1, 0.5, 0.9, 0.999, 1.0}) {
        check(one.quantile(share) == all.quantile(share), "so do the shares");
    }
    std::uint64_t sum = 0;
    one.for_each([&sum](std::uint64_t, std::uint64_t count) { sum += count; });
    check(sum == one.total(), "and the buckets");
}

}  // namespace

int main() {
    ranks_are_rounded_up();
    a_bucket_is_no_wider_than_a_thirtieth();
    merged_ones_are_as_one();
}
