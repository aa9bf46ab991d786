"""Cancellation: what the task makes of it."""
from support import *


@program
async def of_the_current_task():  # CANCEL-11
    async def f():
        me().cancel()
        log("still running")
        await sleep(FOREVER)
        log("never")

    t = create_task(f())
    log(await got(t), t.cancelled())


@program
async def of_the_current_task_before_a_turn():
    async def f():
        me().cancel("now")
        loop().call_soon(log, "turn")
        await sleep(0)

    log(await got_message(create_task(f())))


@program
async def of_the_current_task_before_a_done_future():
    f = fut()
    f.set_result(5)

    async def g():
        me().cancel()
        log(await f)
        log(await got(sleep(0)))
        return "end"

    log(await got(create_task(g())))


@program
async def of_the_current_task_at_its_end():  # CANCEL-12
    async def f():
        me().cancel("late")
        return 12

    t = create_task(f())
    log(await got_message(t), t.cancelled())


@program
async def an_error_wins_over_a_pending_request():  # CANCEL-13
    async def f():
        me().cancel()
        raise Err("wins")

    t = create_task(f())
    log(await got_message(t), t.cancelled())


@program
async def an_error_instead_of_the_cancellation():  # CANCEL-14
    async def f():
        try:
            await sleep(FOREVER)
        except CancelledError:
            raise Err("instead")

    t = create_task(f())
    await tick()
    t.cancel()
    log(await got_message(t), t.cancelled(), t.cancelling())


@program
async def a_value_instead_of_the_cancellation():  # CANCEL-15
    async def f():
        try:
            await sleep(FOREVER)
        except CancelledError:
            return "value"

    t = create_task(f())
    await tick()
    log(t.cancel())
    log(await t, t.cancelled(), t.cancelling())


@program
async def is_no_ordinary_error():  # CANCEL-16
    async def f():
        try:
            await sleep(FOREVER)
        except Exception:
            log("swallowed")

    t = create_task(f())
    await tick()
    t.cancel()
    log(await got(t))


@program
async def raised_by_the_coroutine_itself():  # CANCEL-17
    async def f():
        raise CancelledError("own")

    t = create_task(f())
    log(await got_message(t), t.cancelled(), t.cancelling())


@program
async def the_value_of_a_settled_future_is_lost():  # CANCEL-19
    f = fut()

    async def waits():
        return await f

    t = create_task(waits())
    await tick()
    f.set_result(1)
    log(t.cancel())
    log(await got(t), f.result())


@program
async def the_error_of_a_settled_future_is_replaced():  # CANCEL-20
    f = fut()

    async def waits():
        await f

    t = create_task(waits())
    await tick()
    f.set_exception(Err("f"))
    t.cancel()
    log(await got(t), f.exception())


@program
async def frame_by_frame():  # CANCEL-21
    async def inner():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("inner")
            raise

    async def outer():
        try:
            await inner()
        except CancelledError:
            log("outer absorbs")
            return 1

    t = create_task(outer())
    await tick()
    t.cancel()
    log(await t)


@program
async def a_child_task_that_absorbs_it():  # CANCEL-22
    async def child():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("absorbed")
            return "child's value"

    async def parent():
        value = await create_task(child())
        log("parent gets", value, me().cancelling())
        await sleep(1)
        return "parent's end"

    t = create_task(parent())
    await tick(2)
    t.cancel()
    log(await got(t), t.cancelled())


@program
async def task_and_future_both():  # CANCEL-23
    f = fut()

    async def waits():
        try:
            await f
        except CancelledError:
            log("hit")
            raise

    for order in (0, 1):
        f = fut()
        t = create_task(waits())
        await tick()
        if order:
            log(f.cancel(), t.cancel())
        else:
            log(t.cancel(), f.cancel())
        log(await got(t), t.cancelled(), f.cancelled())
