"""gather(): results, errors, cancellation of children, of the gather and of who awaits it."""
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
async def results_in_the_order_of_the_arguments():  # GATHER-01
    log(await gather(value_after(3, 1), value_after(1, 2), value_after(2, 3)), now())


@program
async def first_error_is_raised_and_the_others_go_on():  # GATHER-02
    log(await got_message(gather(value_after(10, 1), fail_after(1, "x"))))
    log("awaiter goes on", now())
    await sleep(30)


@program
async def later_errors_are_dropped():  # GATHER-11
    on_error()
    log(await got_message(gather(fail_after(1, "a"), fail_after(2, "b"), fail_after(1, "c"))))
    await sleep(5)
    gc.collect()
    log("end")


@program
async def errors_as_results():  # GATHER-03
    log(await gather(value_after(2, 3), fail_after(1, "x"), value_after(0, 1), return_exceptions=True), now())


@program
async def of_nothing():  # GATHER-05
    g = gather()
    log(g.done(), g.result())
    loop().call_soon(log, "loop ran")
    log(await g)
    log(await gather())
    await sleep(0)


@program
async def the_same_task_at_each_place():  # GATHER-06
    t = create_task(value_after(1, 5))
    log(await gather(t, t, t))


@program
async def a_child_that_is_cancelled_alone():  # GATHER-07
    a, b, c = fut(), fut(), fut()
    g = gather(a, b, c)
    a.set_result(1)
    b.cancel()
    log(g.done())
    await tick()
    log(g.done())
    await tick()
    log(g.done(), g.cancelled(), g.exception(), c.done())


@program
async def a_cancelled_child_as_a_result():  # GATHER-08
    t = create_task(leaf("t"))
    loop().call_soon(t.cancel)
    log(await gather(t, value_after(0, 1), return_exceptions=True))
    u = create_task(leaf("u"))
    loop().call_later(1, u.cancel)
    log(await gather(u, value_after(2, 1), return_exceptions=True), now())


@program
async def cancel_is_refused_when_all_are_done():  # GATHER-10
    f = fut()

    async def child():
        return await f

    g = gather(child())
    await tick()
    f.add_done_callback(lambda _: loop().call_soon(lambda: log(g.cancel())))
    f.set_result(42)
    log(await g)
