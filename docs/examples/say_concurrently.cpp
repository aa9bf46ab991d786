/// create_task() starts a coroutine beside us on this loop: two of them take the time of the longer. In Python:
///
///     async def say(what, delay):
///         await asyncio.sleep(delay)
///         print(what)
///
///     async def main():
///         start = asyncio.get_running_loop().time()
///         hello = asyncio.create_task(say("hello", 1))
///         world = asyncio.create_task(say("world", 2))
///         await hello
///         await world
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
    auto hello = knit::create_task(say("hello", 1s));
    auto world = knit::create_task(say("world", 2s));
    co_await hello;
    co_await world;
    std::printf("in %.1f s\n", std::chrono::duration<double>(loop.time() - start).count());
}

int main() { knit::run(main_coro()); }
