"""TaskGroup: what ends, what is cancelled, which errors come out."""
from support import *


async def child(delay, value):
    try:
        await sleep(delay)
    except CancelledError:
        log(value, "cancelled")
        raise
    log(value, "ends", now())
    return value


async def bad(delay, text="bad"):
    await sleep(delay)
    log(text, "fails", now())
    raise Err(text)


@program
async def waits_for_all():  # TASKGROUP-01
    async with TaskGroup() as tg:
        tasks = [tg.create_task(child(10, "a")), tg.create_task(child(1, "b"))]

        async def adds():
            await sleep(2)
            tasks.append(tg.create_task(child(5, "late")))

        tg.create_task(adds())
        log("body ends")
    log([t.result() for t in tasks], now())


@program
async def of_nothing_takes_no_turn():
    loop().call_soon(log, "loop ran")
    async with TaskGroup():
        log("body")
    log("after")
    await tick()


@program
async def a_failing_task_cancels_the_others():  # TASKGROUP-02
    async def f():
        async with TaskGroup() as tg:
            tg.create_task(child(FOREVER, "a"))
            tg.create_task(bad(2))
            tg.create_task(child(FOREVER, "b"))
            tg.create_task(child(1, "c"))
            try:
                await sleep(FOREVER)
            except CancelledError:
                log("body cancelled")
                raise

    log(await got_message(f()), me().cancelling(), now())


@program
async def a_failing_task_after_the_body():
    async def f():
        async with TaskGroup() as tg:
            tg.create_task(child(FOREVER, "a"))
            tg.create_task(bad(2))
            log("body ends")

    log(await got_message(f()), me().cancelling(), now())


@program
async def several_errors_in_the_order_of_failing():  # TASKGROUP-04
    async def late():
        try:
            await sleep(FOREVER)
        finally:
            await sleep(2)
            raise Err2("late")

    async def f():
        async with TaskGroup() as tg:
            tg.create_task(late())
            tg.create_task(bad(2, "first"))
            tg.create_task(bad(2, "second"))

    log(await got_message(f()), now())


@program
async def cancelled_from_outside_at_the_end():  # TASKGROUP-05
    async def f():
        async with TaskGroup() as tg:
            for n in range(3):
                tg.create_task(child(FOREVER, n))

    t = create_task(f())
    await tick(2)
    t.cancel("test")
    log(await got_message(t), t.cancelled())


@program
async def cancelled_from_outside_in_the_body():  # TASKGROUP-06
    async def f():
        async with TaskGroup() as tg:
            tg.create_task(child(FOREVER, "a"))
            try:
                await sleep(FOREVER)
            except CancelledError:
                log("body cancelled")
                raise

    t = create_task(f())
    await tick(2)
    t.cancel()
    log(await got(t), t.cancelling())


@program
async def an_error_of_the_body():  # TASKGROUP-07
    async def f():
        async with TaskGroup() as tg:
            tg.create_task(child(FOREVER, "a"))
            tg.create_task(child(FOREVER, "b"))
            await tick()
            raise Err("body")

    log(await got_message(f()))


@program
async def nested_and_cancelled():  # TASKGROUP-08
    async def f():
        async with TaskGroup() as outer:
            outer.create_task(child(FOREVER, "outer child"))
            async with TaskGroup() as inner:
                inner.create_task(child(FOREVER, "inner child"))
                await sleep(FOREVER)

    t = create_task(f())
    await tick(2)
    t.cancel()
    log(await got(t))


@program
async def nested_and_the_outer_one_fails():  # TASKGROUP-09
    async def f():
        async with TaskGroup() as outer:
            outer.create_task(bad(2))
            async with TaskGroup() as inner:
                inner.create_task(child(FOREVER, "inner child"))

    log(await got_message(f()))


@program
async def nested_and_the_inner_one_fails():  # TASKGROUP-10
    async def f():
        async with TaskGroup() as outer:
            outer.create_task(child(FOREVER, "outer child"))
            async with TaskGroup() as inner:
                inner.create_task(bad(2))

    log(await got_message(f()))


@program
async def body_and_task_fail():  # TASKGROUP-13
    async def f():
        async with TaskGroup() as tg:
            tg.create_task(bad(2))
            try:
                await sleep(FOREVER)
            finally:
                raise Err2("body")

    log(await got_message(f()), me().cancelling())


@program
async def no_task_once_it_shuts_down():  # TASKGROUP-19
    async def f():
        async with TaskGroup() as tg:

            async def tries():
                try:
                    await sleep(FOREVER)
                except CancelledError:
                    c = bad(0)
                    log(call(tg.create_task, c))
                    c.close()
                    raise

            tg.create_task(tries())
            tg.create_task(bad(0))

    log(await got_message(f()))


@program
async def a_task_that_delays_its_end():  # TASKGROUP-26
    async def slow():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("slow")
        await sleep(5)
        log("slow ends", now())

    async def f():
        async with TaskGroup() as tg:
            tg.create_task(slow())
            await tick()
            tg.create_task(bad(0))

    log(await got_message(f()), now())


@program
async def a_task_that_is_cancelled_alone():  # TASKGROUP-28
    async def raises():
        raise CancelledError

    async with TaskGroup() as tg:
        a = tg.create_task(raises())
        b = tg.create_task(child(2, "b"))
        c = tg.create_task(child(3, "c"))
        await sleep(1)
        c.cancel()
    log(a.cancelled(), b.result(), c.cancelled())


@program
async def leaving_takes_a_turn():  # ORDER-05
    f = fut()

    async def waits():
        await f

    async def parent():
        async with TaskGroup() as tg:
            tg.create_task(waits())
            tg.create_task(waits())

    t = create_task(parent())
    await tick(2)
    f.set_result(1)
    log(await turns_until_done(t))


@program
async def in_a_timeout():  # TIMEOUT-23
    async def f():
        async with timeout(3):
            async with TaskGroup() as tg:
                tg.create_task(child(FOREVER, "a"))
                tg.create_task(child(FOREVER, "b"))

    log(await got_message(f()), me().cancelling(), now())


@program
async def a_timeout_in_a_task():
    async def limited():
        async with timeout(2):
            await sleep(FOREVER)

    async def f():
        async with TaskGroup() as tg:
            tg.create_task(limited())
            tg.create_task(child(FOREVER, "a"))

    log(await got(f()), now())


@program(since=(3, 13), expected=["inner !ExceptionGroup[!Err(1)] 1", "outer !ExceptionGroup[!Err2(2)] 0"])
async def nested_and_both_fail():  # TASKGROUP-24
    async def fails(error):
        raise error

    async def inner(outer_group):
        async with TaskGroup() as tg:
            tg.create_task(fails(Err("1")))
            outer_group.create_task(fails(Err2("2")))

    async def outer():
        async with TaskGroup() as tg:
            log("inner", await got_message(inner(tg)), me().cancelling())
            await tick()
            log("never")

    log("outer", await got_message(outer()), me().cancelling())


@program
async def a_failure_while_the_parent_is_cancelled():  # TASKGROUP-11
    async def f():
        async with TaskGroup() as tg:
            tg.create_task(bad(15))
            try:
                await sleep(FOREVER)
            except CancelledError:
                log("cleanup")
            await sleep(FOREVER)

    t = create_task(f())
    await sleep(5)
    t.cancel()
    log(await got_message(t), t.cancelling())
