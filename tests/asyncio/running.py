"""run(): results, errors, and what happens to the tasks that are left."""
from support import *


@program
def gives_the_value():  # RUN-01
    async def main():
        log("start")
        await tick()
        log("end")
        return 42

    log(run(main()))


@program
def rethrows():  # RUN-02
    async def main():
        await tick()
        raise Err("spam")

    log(call_message(run, main()))


@program
def not_from_a_running_loop():  # RUN-04
    async def inner():
        log("never")

    async def main():
        c = inner()
        log(call_message(run, c))
        c.close()
        await tick()
        return "outer is fine"

    log(run(main()))


@program
def again_and_again():  # RUN-05
    async def main(i):
        await sleep(1)
        return i

    log([run(main(i)) for i in range(3)])


@program
def cancels_what_is_left():  # RUN-06
    async def left():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("cancelled")
            raise
        finally:
            log("cleanup")

    async def main():
        tasks.append(create_task(left()))
        await tick()
        return 123

    tasks = []
    log(run(main()), tasks[0].cancelled())


@program
def reports_errors_of_what_is_left():  # RUN-07
    async def left():
        try:
            await sleep(FOREVER)
        except CancelledError:
            raise Err("left")

    async def main():
        on_error()
        create_task(left())
        await tick()
        return 123

    log(run(main()))


@program
def waits_for_cleanup_that_awaits():  # RUN-08
    async def left():
        try:
            await sleep(FOREVER)
        finally:
            await sleep(5)
            log("cleaned", now())

    async def main():
        create_task(left())
        await tick()
        log("main done")

    run(main())
    log("returned")


@program
def the_error_of_main_wins():  # RUN-09
    async def left():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("left is cancelled")
            raise Err2("left")

    async def main():
        on_error()
        create_task(left())
        await tick()
        raise Err("main")

    log(call_message(run, main()))


@program
def cancels_all_before_it_waits():  # RUN-10
    async def left(name, delay):
        try:
            await sleep(FOREVER)
        finally:
            log(name, "hit")
            await sleep(delay)
            log(name, "clean", now())

    async def main():
        create_task(left("a", 20))
        create_task(left("b", 5))
        await tick()

    run(main())


@program
def what_has_not_started_never_does():
    async def left():
        log("never")

    async def main():
        tasks.append(create_task(left()))

    tasks = []
    run(main())
    log(tasks[0].cancelled())


@program
def a_task_that_swallows_the_cancellation():
    async def left():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("swallowed")
        await sleep(3)
        log("goes on", now())
        return 5

    async def main():
        tasks.append(create_task(left()))
        await tick()

    tasks = []
    run(main())
    log(tasks[0].result())


@program
def what_is_left_in_a_chain():
    async def leaf():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("leaf")
            raise

    async def waits(name, on):
        try:
            await on
        except CancelledError:
            log(name)
            raise

    async def main():
        c = create_task(leaf())
        b = create_task(waits("b", c))
        a = create_task(waits("a", b))
        d = create_task(waits("d", gather(c, b)))
        tasks.extend([a, b, c, d])
        await tick(3)

    tasks = []
    run(main())
    log([t.cancelled() for t in tasks])


@program
def what_is_left_waits_for_younger_tasks():
    async def leaf():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("leaf")
            raise

    async def parent():
        child = create_task(leaf())
        tasks.append(child)
        try:
            await child
        except CancelledError:
            log("parent")
            raise

    async def main():
        tasks.append(create_task(parent()))
        await tick(3)

    tasks = []
    run(main())
    log([t.cancelling() for t in tasks])


@program
def main_that_is_cancelled():  # RUN-23
    async def main():
        me().cancel("bye")
        await tick()
        log("never")

    log(call_message(run, main()))


@program
def debug_flag():  # RUN-20
    async def main():
        return loop().get_debug()

    log(run(main(), debug=True), run(main(), debug=False), run(main()))


@program
def callbacks_that_are_left_are_dropped():
    async def main():
        loop().call_later(5, log, "never")
        f = fut()
        f.add_done_callback(lambda _: log("never either"))

    run(main())
    log("returned")


@program
def what_main_left_ready_runs_once_more():
    async def spins(name):
        try:
            for n in range(10):
                log(name, n)
                await tick()
        except CancelledError:
            log(name, "cancelled")
            raise

    async def main():
        create_task(spins("a"))
        create_task(spins("b"))
        await tick(2)
        log("main ends")

    run(main())


@program
def leftovers_await_a_future_that_others_settle():
    async def waits(f):
        try:
            await f
        except CancelledError:
            log("waits: cancelled", f.cancelled())
            raise

    async def settles(f):
        try:
            await sleep(FOREVER)
        finally:
            log("settles", f.done())

    async def main():
        f = fut()
        create_task(settles(f))
        create_task(waits(f))
        create_task(waits(f))
        await tick()

    run(main())
