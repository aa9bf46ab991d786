"""Future: states, errors, callbacks and who waits for it."""
from support import *


@program
async def a_new_one_is_pending():  # FUTURE-01
    f = fut()
    log(f.done(), f.cancelled(), f.get_loop() is loop())
    log(call_message(f.result), call_message(f.exception))  # FUTURE-04


@program
async def with_a_result():  # FUTURE-02
    f = fut()
    f.set_result(5)
    log(f.done(), f.cancelled(), f.result(), f.exception())
    log(call(f.set_result, 6), call(f.set_exception, Err()), f.cancel(), f.result())
    log(await f)


@program
async def with_an_error():  # FUTURE-03
    f = fut()
    f.set_exception(Err("x"))
    log(f.done(), f.cancelled(), call_message(f.result), show(f.exception()))
    log(call(f.set_result, 1), call(f.set_exception, Err()), f.cancel())
    log(await got_message(f), await got_message(f))


@program
async def cancelled():  # FUTURE-05
    f = fut()
    log(f.cancel(), f.cancelled(), f.done())
    log(call(f.result), call(f.exception), call(f.set_result, 1), call(f.set_exception, Err()), f.cancel())
    log(await got(f))


@program
async def cancelled_with_a_message():
    f = fut()
    f.cancel("why")
    log(await got_message(f))


@program
async def callbacks_in_order_through_the_loop():  # FUTURE-06
    f = fut()
    f.add_done_callback(lambda x: log("first", x.result()))
    f.add_done_callback(lambda x: log("second", x is f))
    loop().call_soon(log, "before")
    f.set_result(7)
    loop().call_soon(log, "behind")
    f.add_done_callback(lambda x: log("late"))
    log("nothing yet")
    await tick()
    log("turn")


@program
async def callbacks_of_failed_and_cancelled_ones():  # FUTURE-07
    f, g = fut(), fut()
    f.add_done_callback(lambda x: log("error", x.exception()))
    g.add_done_callback(lambda x: log("cancelled", x.cancelled()))
    f.set_exception(Err())
    g.cancel()
    log("nothing yet")
    await tick()


@program
async def a_callback_added_to_a_done_one():  # FUTURE-08
    f = fut()
    f.set_result(1)
    f.add_done_callback(lambda x: log("callback"))
    log("added")
    await tick()
    log("turn")


@program
async def a_callback_that_adds_a_callback():
    f = fut()

    def first(x):
        log("first")
        x.add_done_callback(lambda _: log("added by the first"))

    f.add_done_callback(first)
    f.add_done_callback(lambda _: log("second"))
    f.set_result(1)
    await tick()
    log("turn")
    await tick()


@program
async def a_callback_that_throws():
    f = fut()
    on_error()

    def bad(_):
        raise Err("bad")

    f.add_done_callback(bad)
    f.add_done_callback(lambda _: log("good"))
    f.set_result(3)
    log(await f)
    await tick()


@program
async def removed_callbacks():  # FUTURE-09
    f = fut()

    def a(_):
        log("a")

    def b(_):
        log("b")

    f.add_done_callback(a)
    f.add_done_callback(b)
    log(f.remove_done_callback(a), f.remove_done_callback(a))
    f.set_result(1)
    log(f.remove_done_callback(b))
    await tick()


@program
async def waiters_in_order():  # AWAIT-07
    f = fut()

    async def waits(n):
        log(n, await f)

    tasks = [create_task(waits(n)) for n in "abc"]
    await tick()
    f.set_result("value")
    await gather(*tasks)


@program
async def waiters_and_callbacks_share_a_list():  # FUTURE-20
    f = fut()

    async def waits(n):
        await f
        log(n)

    f.add_done_callback(lambda x: log("callback 1"))
    a = create_task(waits("waiter 1"))
    await tick()
    f.add_done_callback(lambda x: log("callback 2"))
    b = create_task(waits("waiter 2"))
    await tick()
    f.set_result(1)
    await gather(a, b)


@program
async def a_waiter_that_left_the_list():
    f = fut()

    async def waits(n):
        await f
        log(n)

    tasks = [create_task(waits(n)) for n in range(4)]
    await tick()
    g = gather(*tasks, return_exceptions=True)
    f.add_done_callback(lambda x: log("callback", x.cancelled()))
    tasks[1].cancel()
    log(f.cancelled())
    log(await g)


@program
async def cancelling_a_waiter_cancels_the_future():  # FUTURE-15
    f = fut()

    async def waits(n):
        try:
            await f
        except CancelledError:
            log(n, "cancelled")
            raise

    a, b = create_task(waits("a")), create_task(waits("b"))
    await tick()
    a.cancel()
    log(f.cancelled())
    log(await got(a), await got(b))
    log(b.cancelled(), b.cancelling())


@program
async def cancelling_the_future_cancels_the_waiters():  # FUTURE-16
    f = fut()

    async def waits():
        await f

    t = create_task(waits())
    await tick()
    f.cancel()
    log(await got(t))
    log(t.cancelled(), t.cancelling())


@program
async def a_producer_that_comes_too_late():  # FUTURE-17
    f = fut()

    async def waits():
        await f

    t = create_task(waits())
    await tick()
    t.cancel()
    log(call(f.set_result, 1))
    log(await got(t))


@program
async def never_retrieved():  # FUTURE-12
    on_error()
    f = fut()
    f.set_exception(Err("lost"))
    await tick(2)
    log("before")
    del f
    gc.collect()
    log("after")


@program
async def retrieved_by_a_look():  # FUTURE-13
    on_error()
    for look in (lambda x: x.exception(), lambda x: call(x.result), lambda x: x.cancel()):
        f = fut()
        f.set_exception(Err("seen"))
        look(f)
        del f
        gc.collect()
    log("silent")


@program
async def a_cancellation_as_an_error():
    f = fut()
    f.set_exception(CancelledError("x"))
    log(f.cancelled(), show(f.exception()))

    async def waits():
        await f

    t = create_task(waits())
    log(await got_message(t), t.cancelled())


@program
async def does_not_suspend_when_done():  # AWAIT-03
    f = fut()
    f.set_result(7)
    loop().call_soon(log, "loop ran")
    log(await f, await f)
    await tick()


@program
async def settled_between_turns():
    f = fut()

    async def waits():
        log("before")
        log("got", await f)
        loop().call_soon(log, "scheduled by the waiter")

    t = create_task(waits())
    loop().call_soon(f.set_result, 1)
    loop().call_soon(log, "behind the setter")
    await t
    log("end")
    await tick()


@program
async def a_result_that_is_an_error_object():  # TASK-22
    f = fut()
    f.set_result(Err("value"))
    log(show(await f), show(f.exception()))
