"""wait_for(): deadlines for one awaitable."""
from support import *


async def forever(name):
    try:
        await sleep(FOREVER)
    except CancelledError:
        log(name, "cancelled")
        raise


@program
async def wait_for_in_time():  # WAITFOR-01
    log(await wait_for(sleep(1, "a"), 10), await wait_for(sleep(1, "b"), None), now())
    t = create_task(sleep(1, "task"))
    log(await wait_for(t, 10))
    f = fut()
    f.set_result("future")
    loop().call_soon(log, "loop ran")
    log(await wait_for(f, 1))
    await tick()


@program
async def wait_for_waits_for_the_cleanup():  # WAITFOR-02
    async def f():
        try:
            await sleep(FOREVER)
        finally:
            log("cleanup")
            await sleep(10)
            log("cleanup is over")

    t = create_task(f())
    log(await got(wait_for(t, 5)), t.cancelled(), now())


@program
async def wait_for_and_a_failing_cleanup():  # WAITFOR-04
    async def f():
        try:
            await sleep(FOREVER)
        finally:
            raise Err("cleanup failed")

    log(await got_message(wait_for(f(), 5)))
    log(await got_message(wait_for(create_task(f()), 5)))


@program
async def wait_for_nothing():  # WAITFOR-05
    async def f():
        log("never")

    log(await got(wait_for(f(), 0)), await got(wait_for(f(), -1)))
    t = create_task(forever("task"))
    await tick()
    log(await got(wait_for(t, 0)), t.cancelled())
    f = fut()
    f.set_result(1)
    log(await wait_for(f, 0))


@program
async def wait_for_swallowed_by_the_task():  # WAITFOR-03
    async def f():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("swallowed")
        return "value"

    log(await got(wait_for(create_task(f()), 2)), me().cancelling())
    log(await got(wait_for(f(), 2)), me().cancelling())


@program
async def wait_for_cancelled_from_outside():  # WAITFOR-08
    i = create_task(forever("inner"))
    o = create_task(wait_for(i, 60))
    await tick(2)
    o.cancel()
    log(await got(o), i.cancelled())


@program
async def wait_for_a_shield():  # WAITFOR-10
    t = create_task(sleep(20, "done"))
    log(await got(wait_for(shield(t), 3)), t.done(), now())
    log(await t, now())


@program
async def wait_for_in_the_current_task():  # WAITFOR-12
    async def f():
        return me()

    log(await wait_for(f(), 10) is me())
    log(await wait_for(create_task(f()), 10) is me())


@program
async def wait_for_completion_in_the_turn_of_the_deadline():
    async def f(n):
        await sleep(2)
        return n

    log(await got(wait_for(f("inline"), 2)), now())
    t = create_task(f("task"))
    log(await got(wait_for(t, 2)), t.cancelled(), now())
    t = create_task(f("earlier task"))
    await tick()
    log(await got(wait_for(t, 2)), t.cancelled(), now())
    g = fut()
    loop().call_later(2, lambda: g.done() or g.set_result("future"))
    log(await got(wait_for(g, 2)), g.cancelled(), now())


@program
async def many_deadlines():
    async def f(n):
        try:
            async with timeout(n % 4):
                await sleep(n % 3 + 1)
            log(n, "in time", now())
        except TimeoutError:
            log(n, "too late", now())

    await gather(*[f(n) for n in range(12)])
