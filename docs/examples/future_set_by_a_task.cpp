/// A Future is a result that somebody else brings: here another task, a second later. In Python:
///
///     async def bring(answer, delay, value):
///         await asyncio.sleep(delay)
///         answer.set_result(value)
///
///     async def main():
///         loop = asyncio.get_running_loop()
///         start = loop.time()
///         answer = loop.create_future()
///         bringing = asyncio.create_task(bring(answer, 1, "here it is"))
///         print("waiting, done:", answer.done())
///         print(await answer)
///         print("done:", answer.done())
///         try:
///             answer.set_result("once more")
///         except asyncio.InvalidStateError:
///             print("it can be set once")
///         await bringing
///         print(f"in {loop.time() - start:.1f} s")
///
///     asyncio.run(main())
#include <chrono>
#include <cstdio>
#include <string>

#include <knit/core.hpp>

using namespace std::chrono_literals;

// A Future is a cheap handle: copies share the result. It may be set from any loop or thread.
knit::Coro<> bring(knit::Future<std::string> answer, knit::Duration delay, std::string value) {
    co_await knit::sleep(delay);
    answer.set_result(value);
}

const char* yes_or_no(bool is) { return is ? "yes" : "no"; }

knit::Coro<> main_coro() {
    knit::Loop& loop = knit::get_running_loop();
    const knit::TimePoint start = loop.time();
    auto answer = loop.create_future<std::string>();
    auto bringing = knit::create_task(bring(answer, 1s, "here it is"));
    std::printf("waiting, done: %s\n", yes_or_no(answer.done()));
    std::puts((co_await answer).c_str());
    std::printf("done: %s\n", yes_or_no(answer.done()));
    try {
        answer.set_result("once more");
    } catch (const knit::InvalidStateError&) {
        std::puts("it can be set once");
    }
    co_await bringing;
    std::printf("in %.1f s\n", std::chrono::duration<double>(loop.time() - start).count());
}

int main() { knit::run(main_coro()); }
