/// run() inside run() is an error, told at once; the outer loop goes on. Inside a coroutine, await. In Python:
///
///     async def inner():
///         print("inner runs")
///
///     async def main():
///         try:
///             asyncio.run(inner())
///         except RuntimeError as error:
///             print("refused:", error)
///         await inner()
///
///     asyncio.run(main())
#include <cstdio>

#include <knit/core.hpp>

knit::Coro<> inner() {
    std::puts("inner runs");
    co_return;
}

knit::Coro<> main_coro() {
    try {
        knit::run(inner());
    } catch (const knit::RuntimeError& error) {
        std::printf("refused: %s\n", error.what());
    }
    co_await inner();
}

int main() { knit::run(main_coro()); }
