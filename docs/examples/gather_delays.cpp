/// gather() waits for all at once: the time of the slowest, the results in the order of the arguments. In Python:
///
///     async def fetch(delay):
///         await asyncio.sleep(delay)
///         print(f"{delay} s are over")
///         return delay * 10
///
///     async def main():
///         start = asyncio.get_running_loop().time()
///         results = await asyncio.gather(fetch(2), fetch(1), fetch(3))
///         print(*results)
///         print(f"in {asyncio.get_running_loop().time() - start:.1f} s")
///
///     asyncio.run(main())
#include <chrono>
#include <cstdio>

#include <knit/core.hpp>

knit::Coro<int> fetch(int delay) {
    co_await knit::sleep(std::chrono::seconds(delay));
    std::printf("%d s are over\n", delay);
    co_return delay * 10;
}

knit::Coro<> main_coro() {
    knit::Loop& loop = knit::get_running_loop();
    const knit::TimePoint start = loop.time();
    auto [first, second, third] = co_await knit::gather(fetch(2), fetch(1), fetch(3));
    std::printf("%d %d %d\n", first, second, third);
    std::printf("in %.1f s\n", std::chrono::duration<double>(loop.time() - start).count());
}

int main() { knit::run(main_coro()); }
