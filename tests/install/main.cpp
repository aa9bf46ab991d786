// A program that has only the installed package: two loops, a task of each kind, and the clock.
#include <chrono>
#include <cstdio>

#include <knit/knit.hpp>

using namespace std::chrono_literals;

knit::Coro<int> twice(int number) {
    co_await knit::sleep(1ms);
    co_return 2 * number;
}

knit::Coro<int> main_coro() {
    auto here = knit::create_task(twice(10));
    auto [anywhere, inlined] = co_await knit::gather(knit::spawn(twice(5)), twice(3));
    co_return co_await here + anywhere + inlined;
}

int main() {
    const int sum = knit::run(main_coro(), {.loops = 2});
    std::printf("sum %d\n", sum);
    return sum == 36 ? 0 : 1;
}
