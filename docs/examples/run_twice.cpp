/// run() may be called again and again: each call makes its loops and closes them, and what main left running is
/// cancelled. In Python:
///
///     async def forever(number):
///         try:
///             await asyncio.sleep(3600)
///         finally:
///             print(f"run {number}: the task that was left is cancelled")
///
///     async def main(number):
///         asyncio.create_task(forever(number))
///         start = asyncio.get_running_loop().time()
///         await asyncio.sleep(number)
///         print(f"run {number}: in {asyncio.get_running_loop().time() - start:.1f} s")
///         return number * 100
///
///     print(asyncio.run(main(1)))
///     print(asyncio.run(main(2)))
#include <chrono>
#include <cstdio>

#include <knit/core.hpp>

using namespace std::chrono_literals;

knit::Coro<> forever(int number) {
    try {
        co_await knit::sleep(1h);
    } catch (const knit::CancelledError&) {
        std::printf("run %d: the task that was left is cancelled\n", number);
        throw;
    }
}

knit::Coro<int> main_coro(int number) {
    knit::create_task(forever(number));
    knit::Loop& loop = knit::get_running_loop();
    const knit::TimePoint start = loop.time();
    co_await knit::sleep(std::chrono::seconds(number));
    std::printf("run %d: in %.1f s\n", number, std::chrono::duration<double>(loop.time() - start).count());
    co_return number * 100;
}

int main() {
    std::printf("%d\n", knit::run(main_coro(1)));
    std::printf("%d\n", knit::run(main_coro(2)));
}
