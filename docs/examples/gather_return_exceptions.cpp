/// With return_exceptions a gather waits for every child and gives each one's value or exception. In Python:
///
///     async def divide(a, b):
///         await asyncio.sleep(1)
///         if b == 0:
///             raise ValueError("division by zero")
///         return a // b
///
///     async def main():
///         start = asyncio.get_running_loop().time()
///         results = await asyncio.gather(divide(6, 3), divide(1, 0), divide(8, 2), return_exceptions=True)
///         for result in results:
///             print("failed:" if isinstance(result, Exception) else "value:", result)
///         try:
///             await asyncio.gather(divide(6, 3), divide(1, 0))
///         except ValueError as error:
///             print("without it:", error)
///         print(f"in {asyncio.get_running_loop().time() - start:.1f} s")
///
///     asyncio.run(main())
#include <chrono>
#include <cstdio>
#include <exception>
#include <utility>
#include <vector>

#include <knit/core.hpp>

using namespace std::chrono_literals;

knit::Coro<int> divide(int a, int b) {
    co_await knit::sleep(1s);
    if (b == 0) {
        throw knit::ValueError("division by zero");
    }
    co_return a / b;
}

void print(const knit::Result<int>& result) {
    try {
        std::printf("value: %d\n", result.value());
    } catch (const std::exception& error) {
        std::printf("failed: %s\n", error.what());
    }
}

knit::Coro<> main_coro() {
    knit::Loop& loop = knit::get_running_loop();
    const knit::TimePoint start = loop.time();

    std::vector<knit::Coro<int>> divisions;
    divisions.push_back(divide(6, 3));
    divisions.push_back(divide(1, 0));
    divisions.push_back(divide(8, 2));
    const std::vector<knit::Result<int>> results =
        co_await knit::gather(knit::return_exceptions, std::move(divisions));
    for (const knit::Result<int>& result : results) {
        print(result);
    }

    try {
        co_await knit::gather(divide(6, 3), divide(1, 0));
    } catch (const knit::ValueError& error) {
        std::printf("without it: %s\n", error.what());
    }
    std::printf("in %.1f s\n", std::chrono::duration<double>(loop.time() - start).count());
}

int main() { knit::run(main_coro()); }
