// All tasks as a tree, as text.

#include "co_test.hpp"
#include "dump_signal.hpp"

#include <csignal>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace knit::test {
namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// The first line that begins, after its indentation, with `start`; with the indentation.
std::string line_of(const std::string& text, std::string_view start) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        const std::size_t begin = line.find_first_not_of(' ');
        if (begin != std::string::npos && std::string_view(line).substr(begin).starts_with(start)) {
            return line;
        }
    }
    return "no line '" + std::string(start) + "' in:\n" + text;
}

/// Each task as "(T) name" and its coroutines, the outermost first, as asyncio's pstree does.
std::string tree(const std::string& dump) {
    std::istringstream lines(dump);
    std::string text;
    std::string stack;
    for (std::string line; std::getline(lines, line);) {
        const std::size_t at = line.find("    at ");
        if (at != std::string::npos) {
            const std::string name = line.substr(at + 7, line.find("()", at) - at - 7);
            stack = " " + name.substr(name.rfind(':') + 1) + stack;
        } else if (has(line, "coro=<")) {
            const std::size_t begin = line.find_first_not_of(' ');
            text += stack + " (T) " + line.substr(begin, line.find(':') - begin);
            stack.clear();
        }
    }
    return text + stack;
}

Coro<> play() { co_await sleep(kForever); }
Coro<> album() {
    co_await TaskGroup::run([](TaskGroup& group) -> Coro<> {
        group.create_task(play(), {.name = "track"});
        co_return;
    });
}
Coro<> record_shop(std::string& dump) {
    current_task()->set_name("main");
    const Task<> task = create_task(album(), {.name = "album"});
    co_await sleep(0s);
    co_await sleep(0s);
    dump = dump_tasks();
}

// GRAPH-05
TEST(Dump, IsATreeOfTasksUnderTheTasksThatAwaitThem) {
    std::string dump;
    run(record_shop(dump), on_loops(1));
    const std::string shown = tree(dump);
    EXPECT_TRUE(shown.starts_with(" (T) main record_shop (T) album album")) << dump;
    EXPECT_TRUE(shown.ends_with("leave (T) track play")) << dump;
    EXPECT_TRUE(line_of(dump, "track:").starts_with("  track: waiting for sleep since 0 ms, loop 0, coro=<")) << dump;
    EXPECT_TRUE(has(line_of(dump, "track:"), "play()>, created at ")) << dump;
    EXPECT_TRUE(has(line_of(dump, "album:"), "waiting for TaskGroup since 0 ms")) << dump;
    EXPECT_TRUE(dump.starts_with("3 tasks on 1 loop\nloop 0: 3 tasks, 1 timer\n")) << dump;
}

Coro<> await_future(Future<> future) { co_await future; }
Coro<> await_task(Task<> task) { co_await task; }

CO_TEST(Dump, TellsTheStateOfEachTask) {
    Future<> go;
    Task<> waiting = create_task(await_future(go), {.name = "for a future"});
    Task<> behind = create_task(await_task(waiting), {.name = "for a task"});
    Lock lock;
    static_cast<void>(co_await lock.acquire());
    Task<> locked = create_task([&]() -> Coro<> { auto guard = co_await lock.scoped(); }, {.name = "for a lock"});
    Task<> yielding = create_task(tick(100), {.name = "yielding"});
    co_await tick(2);
    const Task<> fresh = create_task(sleep(0s), {.name = "fresh"});
    const Task<> gathering = create_task([&]() -> Coro<> { co_await gather(go, go); }, {.name = "gathering"});
    current_task()->set_name("me");
    std::string dump = dump_tasks();
    EXPECT_TRUE(line_of(dump, "for a future:").starts_with("  for a future: waiting for a future since ")) << dump;
    EXPECT_TRUE(line_of(dump, "for a task:").starts_with("for a task: waiting for for a future since ")) << dump;
    EXPECT_TRUE(has(line_of(dump, "for a lock:"), ": waiting for Lock.acquire since ")) << dump;
    EXPECT_TRUE(has(line_of(dump, "yielding:"), ": ready, loop 0")) << dump;
    EXPECT_TRUE(has(line_of(dump, "fresh:"), ": not started, loop 0")) << dump;
    EXPECT_TRUE(has(line_of(dump, "me:"), ": running, loop 0")) << dump;
    co_await tick();
    dump = dump_tasks();
    EXPECT_TRUE(has(line_of(dump, "gathering:"), ": waiting for gather of 2 since ")) << dump;
    go.set_result();
    dump = dump_tasks();
    EXPECT_TRUE(has(line_of(dump, "for a future:"), ": ready")) << dump;
    lock.release();
    yielding.cancel();
    co_await gather(behind, locked);
}

CO_TEST(Dump, TellsForHowLongATaskHasWaited) {
    Task<> task = create_task(sleep(kForever), {.name = "sleeper"});
    co_await sleep(1500ms);
    EXPECT_TRUE(has(line_of(dump_tasks(), "sleeper:"), " waiting for sleep since 1500 ms")) << dump_tasks();
    co_await sleep(1h);
    EXPECT_TRUE(has(line_of(dump_tasks(), "sleeper:"), " since 3601500 ms")) << dump_tasks();
    task.cancel();
}

CO_TEST(Dump, ShowsATaskOnceThoughManyAwaitIt) {
    Task<> task = create_task(sleep(kForever), {.name = "awaited"});
    Task<> one = create_task(await_task(task), {.name = "one"});
    Task<> other = create_task(await_task(task), {.name = "other"});
    co_await tick(2);
    const std::string dump = dump_tasks();
    EXPECT_TRUE(has(dump, "  awaited: waiting for sleep")) << dump;
    EXPECT_TRUE(has(dump, "  awaited: see above")) << dump;
    task.cancel();
    co_await tick(2);
}

CO_TEST_ON_LOOPS(Dump, HasTheTasksOfEveryLoop) {
    Runtime& runtime = get_runtime();
    Future<> go;
    std::vector<Task<>> tasks;
    for (std::size_t index = 0; index < runtime.size(); ++index) {
        tasks.push_back(create_task(await_future(go),
                                    {.name = "on " + std::to_string(index), .loop = &runtime.loop(index)}));
    }
    while (go.ref()->waiter_count() < tasks.size()) {
        co_await yield();
    }
    const std::string later = co_await dump_tasks_async();  // named first: see docs/gcc12.md
    for (const std::string& dump : {dump_tasks(), later}) {
        for (std::size_t index = 0; index < runtime.size(); ++index) {
            const std::string number = std::to_string(index);
            EXPECT_TRUE(has(line_of(dump, "on " + number + ":"), ", loop " + number + ",")) << dump;
        }
    }
    go.set_result();
    co_await gather(std::move(tasks));
}

CO_TEST(Dump, CountsWhatNoLoopHasBegun) {
    Task<> one = spawn(tick());
    Task<> other = spawn(tick());
    EXPECT_TRUE(has(dump_tasks(), ", and 2 for whichever loop is free\n")) << dump_tasks();
    co_await gather(one, other);
}

CO_TEST(Dump, OfAnotherThreadIsAnsweredByTheLoops) {
    Future<> go;
    Task<> task = create_task(await_future(go), {.name = "awaiter"});
    co_await tick();
    const std::string dump = co_await to_thread([] { return dump_tasks(); });
    EXPECT_TRUE(has(dump, "\nawaiter: waiting for a future since ")) << dump;
    EXPECT_TRUE(has(dump, "    at knit::detail::run_in_thread() ")) << dump;
    go.set_result();
    co_await task;
}

TEST(Dump, WithoutARuntimeSaysSo) {
    EXPECT_EQ(dump_tasks(), "no runtime\n");
    std::ostringstream out;
    dump_tasks(out);
    EXPECT_EQ(out.str(), "no runtime\n");
}

TEST(Dump, OfALoopThatNobodyRunsSaysSo) {
    Runtime runtime(on_loops(1));
    const Task<> task = runtime.loop(0).create_task(tick(), {.name = "early"});
    EXPECT_TRUE(has(dump_tasks(), "\nearly: not started, loop 0")) << dump_tasks();
    std::string dump;
    std::thread thread([&] { dump = dump_tasks(); });
    thread.join();
    EXPECT_TRUE(has(dump, "loop 0: nobody runs it\n")) << dump;
}

TEST(Dump, FromAThreadHasEveryRuntime) {
    Runtime one(on_loops(1));
    Runtime other(on_loops(2));
    const std::string dump = dump_tasks();
    EXPECT_TRUE(has(dump, "0 tasks on 1 loop\n")) << dump;
    EXPECT_TRUE(has(dump, "0 tasks on 2 loops\n")) << dump;
}

/// Whether the bell has been rung since the last time.
bool has_rung(detail::Bell& bell) {
    bool has = false;
    while (sem_trywait(&bell.semaphore) == 0) {
        has = true;
    }
    return has;
}

/// The one watchdog's runtime ends, and it has not looked.
TEST(DumpSignal, ARequestThatOneWatchdogHasNotTakenIsTheNextOnes) {
    detail::Bell& first = *detail::take_bell();
    detail::Bell& second = *detail::take_bell();
    detail::watch_dump_signal(SIGUSR1, first);
    detail::watch_dump_signal(SIGUSR1, second);
    has_rung(second);  // whoever had it before
    std::raise(SIGUSR1);
    EXPECT_TRUE(has_rung(first));
    EXPECT_FALSE(has_rung(second));
    detail::unwatch_dump_signal(SIGUSR1, first);
    EXPECT_TRUE(has_rung(second));
    EXPECT_TRUE(detail::take_dump_request());
    std::raise(SIGUSR1);
    EXPECT_TRUE(has_rung(second));
    EXPECT_FALSE(has_rung(first));
    EXPECT_TRUE(detail::take_dump_request());
    detail::unwatch_dump_signal(SIGUSR1, second);
    detail::give_back_bell(second);
    detail::give_back_bell(first);
}

CO_TEST(Dump, OfAVeryLongChainNeedsNoStack) {
    Future<> go;
    Task<> last = create_task(await_future(go));
    for (int count = 0; count < 20000; ++count) {
        last = create_task(await_task(last));
    }
    co_await tick(2);
    const std::string dump = dump_tasks();
    EXPECT_TRUE(has(dump, "20002 tasks on 1 loop")) << dump.substr(0, 100);
    go.set_result();
    co_await last;
}

}  // namespace
}  // namespace knit::test
