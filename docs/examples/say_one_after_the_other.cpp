/// Awaiting a coroutine runs it here and now: two of them take the sum of their times. In Python:
///
///     async def say(what, delay):
///         await asyncio.sleep(delay)
///         print(what)
///
///     async def main():
///         start = asyncio.get_running_loop().time()
///         await say("hello", 1)
///         await say("world", 2)
///         print(f"in {asyncio.get_running_loop().time() - start:.1f} s")
///
///     asyncio.run(main())
#include <chrono>
#include <cstdio>
#include <string>

#include <knit/core.hpp>

using namespace std::chrono_literals;

knit::Coro<> say(std::string what, knit::Duration delay) {
    co_await knit::sleep(delay);
    std::puts(what.c_str());
}

knit::Coro<> main_coro() {
    knit::Loop& loop = knit::get_running_loop();
    const knit::TimePoint start = loop.time();
    co_await say("hello", 1s);
    co_await say("world", 2s);
    std::printf("in %.1f s\n", std::chrono::duration<double>(loop.time() - start).count());
}

int main() { knit::run(main_coro()); }
