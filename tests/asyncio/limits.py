"""timeout(), timeout_at(), wait_for(): deadlines, what they cancel and what comes out."""
from support import *


async def forever(name):
    try:
        await sleep(FOREVER)
    except CancelledError:
        log(name, "cancelled")
        raise


@program
async def a_deadline_that_passes():  # TIMEOUT-01
    try:
        async with timeout(5) as cm:
            await forever("body")
    except TimeoutError:
        log("TimeoutError", cm.expired(), now(), me().cancelling())


@program
async def a_body_in_time():  # TIMEOUT-02
    async with timeout(10) as cm:
        await sleep(1)
    log(cm.expired(), cm.when())
    async with timeout(None) as cm:  # TIMEOUT-03
        await sleep(1)
    log(cm.expired(), cm.when())
    async with timeout_at(now() + 3) as cm:  # TIMEOUT-04
        log(cm.when())


@program
async def a_deadline_in_the_past():  # TIMEOUT-05
    loop().call_soon(log, "loop ran")
    try:
        async with timeout(-1) as cm:
            log("body starts")
            await tick()
            log("after one turn")
            await sleep(1)
            log("never")
    except TimeoutError:
        log("TimeoutError", cm.expired())
    async with timeout(0) as cm:
        log("no await")
    log(cm.expired())


@program
async def nested_the_inner_one_first():  # TIMEOUT-08
    try:
        async with timeout(10) as a:
            try:
                async with timeout(2) as b:
                    await forever("body")
            except TimeoutError:
                log("inner", a.expired(), b.expired(), now())
            await sleep(20)
    except TimeoutError:
        log("outer", a.expired(), now())


@program
async def nested_the_outer_one_first():  # TIMEOUT-09
    try:
        async with timeout(2) as a:
            try:
                async with timeout(10) as b:
                    await forever("body")
            except TimeoutError:
                log("never")
    except TimeoutError:
        log("outer", a.expired(), b.expired(), now())


@program
async def nested_with_equal_deadlines():  # TIMEOUT-10
    try:
        async with timeout_at(3) as a:
            try:
                async with timeout_at(3) as b:
                    await forever("body")
            except BaseException as error:
                log(error_text(error), me().cancelling())
                raise
    except TimeoutError:
        log("outer", a.expired(), b.expired(), me().cancelling())


@program
async def rescheduled():  # TIMEOUT-11
    async with timeout(2) as a:
        a.reschedule(now() + 100)
        await sleep(10)
        a.reschedule(None)
        log(a.when(), a.expired())
    try:
        async with timeout(None) as b:
            b.reschedule(now() - 1)
            log("moved")
            await forever("body")
    except TimeoutError:
        log("fired", now())


@program
async def errors_pass():  # TIMEOUT-15
    try:
        async with timeout(10) as a:
            raise Err("body")
    except Err:
        log("Err", a.expired())
    try:
        async with timeout(2) as b:
            try:
                await sleep(FOREVER)
            finally:
                raise Err2("cleanup")
    except Err2:
        log("Err2", b.expired(), me().cancelling())


@program
async def cancelled_from_outside():  # TIMEOUT-16
    async def f():
        async with timeout(10) as cm:
            scopes.append(cm)
            await forever("body")

    scopes = []
    t = create_task(f())
    await tick()
    t.cancel()
    log(await got(t), scopes[0].expired())


@program
async def cancelled_from_outside_in_the_turn_of_the_deadline():  # TIMEOUT-18
    async def f(later):
        async with timeout(2):
            await forever("body")

    t = create_task(f(0))
    await tick()
    loop().call_later(2, t.cancel)
    log(await got(t), t.cancelling(), t.cancelled())
    u = None
    loop().call_later(2, lambda: u.cancel())
    u = create_task(f(1))
    log(await got(u), u.cancelling(), u.cancelled())


@program(since=(3, 12), expected=["!TimeoutError 1"])
async def entered_by_a_task_that_was_cancelled_before():
    async def f():
        try:
            await sleep(FOREVER)
        except CancelledError:
            pass
        try:
            async with timeout(2):
                await sleep(FOREVER)
        except TimeoutError:
            log("!TimeoutError", me().cancelling())

    t = create_task(f())
    await tick()
    t.cancel()
    await t


@program
async def a_body_that_swallows():  # TIMEOUT-17
    async with timeout(2) as cm:
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("swallowed", me().cancelling())
        await sleep(1)
    log(cm.expired(), me().cancelling(), now())
