"""gather(): cancelled children, cancelled gathers, cancelled awaiters."""
from support import *


async def value_after(delay, value):
    await sleep(delay)
    log("done", value)
    return value


async def fail_after(delay, text):
    await sleep(delay)
    log("fails", text)
    raise Err(text)


async def leaf(name):
    try:
        await sleep(FOREVER)
    except CancelledError:
        log(name, "cancelled")
        raise


@program
async def cancelling_the_awaiter_cancels_the_children():  # GATHER-12
    async def outer():
        await gather(leaf("a"), leaf("b"), value_after(2, "c"))

    t = create_task(outer())
    await sleep(1)
    t.cancel()
    log("requested")
    log(await got(t), now())


@program
async def a_child_that_swallows_the_cancellation():  # GATHER-13
    async def stubborn():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("swallowed")
        await sleep(5)
        log("stubborn returns")
        return 1

    async def outer():
        return await gather(stubborn(), leaf("other"))

    t = create_task(outer())
    await tick(3)
    t.cancel()
    log(await got(t), now())


@program
async def all_children_swallow_the_cancellation():
    async def stubborn(n):
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("swallowed", n)
        await sleep(n)
        return n

    async def outer():
        return await gather(stubborn(2), stubborn(1))

    t = create_task(outer())
    await tick(3)
    t.cancel()
    log(await got(t), now())


@program
async def a_child_answers_the_cancellation_with_an_error():
    async def broken():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("broken")
            raise Err("cleanup")

    async def outer():
        return await gather(broken(), leaf("other"))

    t = create_task(outer())
    await tick(3)
    t.cancel()
    log(await got_message(t), t.cancelled())
    await tick(2)


@program
async def errors_as_results_and_the_awaiter_is_cancelled():
    async def stubborn():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("swallowed")
        return 1

    async def outer():
        return await gather(leaf("a"), stubborn(), return_exceptions=True)

    t = create_task(outer())
    await tick(3)
    t.cancel()
    log(await got(t), t.cancelled())


@program
async def cancellation_goes_through_nested_gathers():  # GATHER-15
    t = create_task(got(gather(gather(leaf("a"), leaf("b")), leaf("c"))))
    await tick(2)
    t.cancel()
    log(await t)


@program
async def children_that_never_started():  # GATHER-16
    async def f(n):
        log(n)

    async def outer():
        await gather(f(1), f(2))

    t = create_task(outer())
    await sleep(0)
    t.cancel()
    log(await got(t))


@program
async def cancel_after_the_error_was_told():  # GATHER-18
    g = gather(value_after(2, "slow"), fail_after(0, "x"))
    log(await got(g))
    log(g.cancel(), g.done())
    await sleep(5)


@program
async def cancel_of_the_handle():  # GATHER-09
    g = gather(leaf("a"), leaf("b"))
    await tick()
    log(g.cancel(), g.done(), g.cancelled())
    log(await got(g))
    log(g.done(), g.cancelled(), g.cancel())


@program
async def two_tasks_await_one_gather():
    g = gather(value_after(1, 1), value_after(2, 2))

    async def waits(name):
        log(name, await got(g))

    a, b = create_task(waits("a")), create_task(waits("b"))
    await tick(2)
    await gather(a, b)


@program
async def one_of_two_awaiters_is_cancelled():
    g = gather(leaf("x"), leaf("y"))

    async def waits(name):
        try:
            await g
        except CancelledError:
            log(name, "cancelled")
            raise

    a, b = create_task(waits("a")), create_task(waits("b"))
    await tick(2)
    a.cancel()
    log(await gather(a, b, return_exceptions=True))


@program
async def done_children_are_counted_at_once():
    t = create_task(value_after(0, 1))
    f = fut()
    f.set_result(2)
    await tick(2)
    g = gather(t, f)
    log(g.done())
    loop().call_soon(log, "loop ran")
    log(await g)
    await tick()


@program
async def a_failed_child_among_pending_ones():
    f = fut()
    f.set_exception(Err("early"))

    async def child():
        log("child runs")

    loop().call_soon(log, "soon")
    log(await got_message(gather(child(), f)))
    log("after")
    await tick(2)


@program
async def a_cancelled_child_among_pending_ones_with_results():
    f = fut()
    f.cancel()
    log(await gather(f, value_after(1, 1), return_exceptions=True))


@program
async def children_end_in_the_same_turn():
    f = fut()

    async def child(n):
        await f
        if n % 2:
            raise Err(f"child {n}")
        return n

    g = gather(*[child(n) for n in range(4)])
    h = gather(*[child(n) for n in (2, 3, 1)], return_exceptions=True)
    await tick()
    f.set_result(None)
    log(await got_message(g))
    log([type(x).__name__ if isinstance(x, Exception) else "value" for x in await h])


@program
async def cancel_and_failure_meet():
    async def outer():
        await gather(leaf("a"), f)

    f = fut()
    t = create_task(outer())
    await tick(2)
    f.set_exception(Err("f"))
    t.cancel()
    log(await got_message(t))
    await tick(2)


@program
async def failure_then_cancel_of_the_awaiter():
    async def outer():
        try:
            await gather(leaf("a"), f)
        except Err:
            log("error first")
            await sleep(FOREVER)

    f = fut()
    t = create_task(outer())
    await tick(2)
    f.set_exception(Err("f"))
    await tick(3)
    t.cancel()
    log(await got(t))


@program
async def cancelled_twice_while_children_clean_up():
    async def slow(n):
        try:
            await sleep(FOREVER)
        finally:
            log(n, "cleans")
            await sleep(3)
            log(n, "cleaned")

    async def outer():
        await gather(slow(1), slow(2))

    t = create_task(outer())
    await tick(3)
    t.cancel()
    await sleep(1)
    t.cancel()
    log(await got(t), now())


@program
async def cancelled_again_before_the_outcome_shows():
    async def broken():
        try:
            await sleep(FOREVER)
        except CancelledError:
            raise Err("broken")

    async def waits(g):
        log(await got(g), me().cancelling())

    child = create_task(broken())
    g = gather(child)
    t = create_task(waits(g))
    await tick(3)
    t.cancel()
    await tick()
    log(child.done(), g.done(), t.cancel())
    await t
    log(show(g.exception()))


@program
async def many_children():
    async def child(n):
        await sleep(n % 3)
        return n * n

    values = await gather(*[child(n) for n in range(50)])
    log(sum(values), now())
