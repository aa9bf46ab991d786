/// The whole of knit in one program: a task on this loop, a task that any loop may take, and both awaited together.
/// In Python, where nothing can be taken by another core:
///
///     async def say(what, delay):
///         await asyncio.sleep(delay)
///         return what
///
///     async def fib(n):
///         if n < 2:
///             return n
///         a, b = await asyncio.gather(asyncio.create_task(fib(n - 1)), fib(n - 2))
///         return a + b
///
///     async def main():
///         start = asyncio.get_running_loop().time()
///         hello = asyncio.create_task(say("hello", 1))
///         world, number = await asyncio.gather(say("world", 1), fib(20))
///         print(await hello, world)
///         print("fib(20) is", number)
///         print(f"in {asyncio.get_running_loop().time() - start:.1f} s")
///
///     asyncio.run(main())
#include <chrono>
#include <cstdio>
#include <string>

#include <knit/core.hpp>

using namespace std::chrono_literals;

knit::Coro<std::string> say(std::string what, knit::Duration delay) {
    co_await knit::sleep(delay);
    co_return what;
}

// CPU-bound: spread over every loop.
knit::Coro<long> fib(int n) {
    if (n < 2) {
        co_return n;
    }
    auto [a, b] = co_await knit::gather(knit::spawn(fib(n - 1)), fib(n - 2));
    co_return a + b;
}

knit::Coro<> main_coro() {
    knit::Loop& loop = knit::get_running_loop();
    const knit::TimePoint start = loop.time();
    auto hello = knit::create_task(say("hello", 1s));  // same loop: no data race with us, as in asyncio
    auto [world, number] = co_await knit::gather(say("world", 1s), knit::spawn(fib(20)));
    std::puts((co_await hello + " " + world).c_str());
    std::printf("fib(20) is %ld\n", number);
    std::printf("in %.1f s\n", std::chrono::duration<double>(loop.time() - start).count());
}

int main() { knit::run(main_coro()); }
