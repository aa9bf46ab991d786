"""Cancellation: request, delivery, messages, counts; what is lost and what is kept."""
from support import *


async def leaf(name="leaf"):
    try:
        await sleep(FOREVER)
    except CancelledError as error:
        log(name, "cancelled", error_text(error, True))
        raise


@program
async def before_the_first_step():  # CANCEL-01
    async def f():
        log("never")

    t = create_task(f())
    log(t.cancel("m"), t.cancelled())
    log(await got_message(t), t.cancelled())


@program
async def is_a_request():  # CANCEL-02
    t = create_task(leaf())
    await tick()
    log(t.cancel(), t.cancelled(), t.done(), t.cancelling())
    log("requester continues")
    log(await got(t))
    log(t.cancelled(), t.done(), t.cancel(), t.cancelling())


@program
async def innermost_first():  # CANCEL-03
    async def parent():
        try:
            await create_task(leaf("child"))
        finally:
            log("parent")

    t = create_task(parent())
    await tick(2)
    t.cancel()
    log(await got(t))


@program
async def the_message_travels():  # CANCEL-04
    async def parent():
        try:
            await create_task(leaf("child"))
        except CancelledError as error:
            log("parent", error_text(error, True))
            raise

    t = create_task(parent())
    await tick(2)
    t.cancel("reason")
    log(await got_message(t))


@program
async def a_later_message_replaces_an_earlier_one():
    async def f():
        me().cancel("first")
        me().cancel("second")
        await sleep(FOREVER)

    log(await got_message(create_task(f())))
    t = create_task(leaf())
    t.cancel("first")
    t.cancel("second")
    log(await got_message(t), t.cancelling())


@program
async def a_later_message_comes_too_late():
    t = create_task(leaf())
    await tick()
    t.cancel("first")
    t.cancel("second")
    log(await got_message(t), t.cancelling())

    async def parent():
        await create_task(leaf("child"))

    t = create_task(parent())
    await tick(2)
    t.cancel("first")
    t.cancel("second")
    log(await got_message(t), t.cancelling())


@program
async def once_per_request():  # CANCEL-05
    async def f():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("caught", me().cancelling())
        await sleep(1)
        log("later awaits are fine", now())
        return 1

    t = create_task(f())
    await tick()
    t.cancel()
    log(await t, t.cancelling(), t.cancelled())


@program
async def cleanup_that_awaits():  # CANCEL-06
    async def f():
        try:
            await sleep(FOREVER)
        finally:
            await sleep(2)
            log("cleaned", now())

    t = create_task(f())
    await tick()
    t.cancel()
    log(await got(t), now())


@program
async def a_second_request_interrupts_the_cleanup():  # CANCEL-07
    async def f():
        try:
            await sleep(FOREVER)
        finally:
            log("cleanup begins")
            await sleep(FOREVER)
            log("never")

    t = create_task(f())
    await tick()
    t.cancel()
    await tick(2)
    t.cancel()
    log(await got(t), t.cancelling())


@program
async def counts():  # CANCEL-08
    async def f():
        for _ in range(3):
            try:
                await sleep(FOREVER)
            except CancelledError:
                log("hit", me().cancelling())
        log(me().uncancel(), me().uncancel(), me().uncancel(), me().uncancel())
        await sleep(1)
        log("undisturbed", me().cancelling())

    t = create_task(f())
    for _ in range(3):
        await tick(2)
        t.cancel()
    await t
    log(t.cancelled(), t.cancelling())


@program
async def two_requests_in_one_turn_hit_once():
    async def f():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("hit", me().cancelling())
        await sleep(1)
        log("not hit again")

    t = create_task(f())
    await tick()
    t.cancel()
    t.cancel()
    await t


@program(since=(3, 13), expected=["1 0", "42"])
async def withdrawn_before_delivery():  # CANCEL-10
    f = fut()

    async def waits():
        await f
        return 42

    t = create_task(waits())
    await tick()
    f.set_result(None)
    t.cancel()
    log(t.cancelling(), t.uncancel())
    log(await t)


@program
async def uncancel_keeps_the_request_while_others_are_left():
    f = fut()

    async def waits():
        return await f

    t = create_task(waits())
    await tick()
    f.set_result(1)
    t.cancel()
    t.cancel()
    log(t.cancelling(), t.uncancel())
    log(await got(t), t.cancelling())


@program
async def uncancel_after_the_wait_was_undone_is_too_late():
    t = create_task(leaf())
    await tick()
    t.cancel()
    log(t.uncancel())
    log(await got(t), t.cancelled())
