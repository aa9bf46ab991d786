/// A handler that the loop calls, not inside whatever the signal interrupts; and a signal that is awaited, for which
/// asyncio has no word. In Python:
///
///     def ask_exit(name, stop):
///         print(f"got {name}: exit")
///         stop.set()
///
///     async def main():
///         loop = asyncio.get_running_loop()
///         stop = asyncio.Event()
///         for name in "SIGINT", "SIGTERM":
///             loop.add_signal_handler(getattr(signal, name), ask_exit, name, stop)
///         os.kill(os.getpid(), signal.SIGTERM)
///         await stop.wait()
///         reloaded = asyncio.Event()
///         loop.add_signal_handler(signal.SIGHUP, reloaded.set)
///         os.kill(os.getpid(), signal.SIGHUP)
///         await reloaded.wait()
///         print("got SIGHUP")
///
///     asyncio.run(main())
#include <csignal>
#include <cstdio>
#include <utility>

#include <unistd.h>

#include <knit/knit.hpp>

void ask_exit(const char* name, knit::Event& stop) {
    std::printf("got %s: exit\n", name);
    stop.set();
}

knit::Coro<> main_coro() {
    knit::Loop& loop = knit::get_running_loop();
    knit::Event stop;
    loop.add_signal_handler(SIGINT, [&stop] { ask_exit("SIGINT", stop); });
    loop.add_signal_handler(SIGTERM, [&stop] { ask_exit("SIGTERM", stop); });
    kill(getpid(), SIGTERM);
    co_await stop.wait();

    auto reload = knit::io::signal_wait(SIGHUP);  // from here on SIGHUP is ours
    kill(getpid(), SIGHUP);
    const int number = co_await std::move(reload);
    std::printf("got %s\n", number == SIGHUP ? "SIGHUP" : "another");
}

int main() { knit::run(main_coro()); }
