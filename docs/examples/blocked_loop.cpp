/// A task that computes and does not await holds its own loop, and no other: here loop 0 computes until the ticker on
/// loop 1 has ticked five times. The ticker on loop 0 was made first and has its first turn only after that. In Python
/// each loop needs a thread that one makes oneself, and computes only while it holds the interpreter lock:
///
///     async def tick(ticks):
///         while True:
///             ticks.append(1)
///             await asyncio.sleep(0.001)
///
///     async def main(other_loop):
///         here, there = [], []
///         asyncio.create_task(tick(here))
///         asyncio.run_coroutine_threadsafe(tick(there), other_loop)
///         steps = 1
///         while len(there) < 5:                # computes and does not await
///             steps += 1
///         print("computed:", steps > 0)
///         print("ticks on the loop that was blocked:", len(here))
///         print("at least five ticks on the other:", len(there) >= 5)
///         while len(here) < 5:                 # awaits
///             await asyncio.sleep(0.001)
///         print("then the loop that was blocked goes on:", len(here) >= 5)
///
///     other_loop = asyncio.new_event_loop()
///     threading.Thread(target=other_loop.run_forever, daemon=True).start()
///     asyncio.run(main(other_loop))
#include <atomic>
#include <chrono>
#include <cstdio>

#include <knit/knit.hpp>

using namespace std::chrono_literals;

// Shared by two loops, hence atomic: only tasks of one loop may share plain variables.
std::atomic<int> ticks_here{0};
std::atomic<int> ticks_there{0};

knit::Coro<> tick(std::atomic<int>& ticks) {
    for (;;) {
        ++ticks;
        co_await knit::sleep(1ms);
    }
}

const char* yes_or_no(bool is) { return is ? "yes" : "no"; }

knit::Coro<> main_coro() {
    knit::create_task(tick(ticks_here));
    knit::create_task(tick(ticks_there), {.loop = &knit::get_runtime().loop(1)});

    long steps = 0;
    do {  // computes and does not await
        ++steps;
    } while (ticks_there < 5);
    std::printf("computed: %s\n", yes_or_no(steps > 0));
    std::printf("ticks on the loop that was blocked: %d\n", ticks_here.load());
    std::printf("at least five ticks on the other: %s\n", yes_or_no(ticks_there >= 5));

    while (ticks_here < 5) {  // awaits
        co_await knit::sleep(1ms);
    }
    std::printf("then the loop that was blocked goes on: %s\n", yes_or_no(ticks_here >= 5));
}

int main() { knit::run(main_coro(), {.loops = 2}); }
