"""create_task() and Task: states, names, callbacks, reports."""
from support import *


async def value(x):
    return x


async def fails(text):
    raise Err(text)


@program
async def starts_at_the_next_turn():  # TASK-01
    async def f(n):
        log("starts", n)

    tasks = [create_task(f(n)) for n in range(3)]
    log("created")
    await tick()
    log([t.done() for t in tasks])


@program
async def states():  # TASK-03
    t = create_task(value("ok"))
    log(t.done(), call_message(t.result), call_message(t.exception))
    await t
    log(t.done(), t.result(), t.exception(), t.cancelled())


@program
async def a_failed_one():  # TASK-04
    t = create_task(fails("x"))
    await tick()
    log(show(t.exception()), call_message(t.result), await got_message(t), t.cancelled())


@program
async def names():  # TASK-06
    a = create_task(value(1), name="one")
    b = create_task(value(2))
    b.set_name("two")
    log(a.get_name(), b.get_name())
    await gather(a, b)
    log(a.get_name(), b.get_name())


@program
async def callbacks_and_awaiters_in_order():  # TASK-07
    async def f():
        log("body")
        await tick()
        log("end")

    async def waits():
        await t
        log("waiter")

    t = create_task(f())
    t.add_done_callback(lambda x: log("callback 1", x is t))
    u = create_task(waits())
    await tick()
    t.add_done_callback(lambda x: log("callback 2"))
    await u


@program
async def awaited_twice():  # TASK-09
    async def f():
        log("body")
        return 5

    t = create_task(f())
    log(await t, await t)


@program
async def never_retrieved():  # TASK-10
    on_error()
    t = create_task(fails("lost"))
    await tick(2)
    log("before")
    del t
    gc.collect()
    log("after")


@program
async def retrieved_by_a_look():  # TASK-11
    on_error()
    for look in (lambda t: t.exception(), lambda t: call(t.result), lambda t: t.cancel()):
        t = create_task(fails("seen"))
        await tick(2)
        look(t)
        del t
        gc.collect()
    log("silent")


@program
async def a_cancelled_one_is_not_reported():
    on_error()

    async def f():
        await sleep(FOREVER)

    t = create_task(f())
    await tick()
    t.cancel()
    await tick(2)
    del t
    gc.collect()
    log("silent")


@program
async def the_current_one():  # TASK-13
    async def f(name):
        mine = me()
        await tick()
        log(name, me() is mine, mine.get_name() == name)

    tasks = [create_task(f(name), name=name) for name in ("x", "y")]
    loop().call_soon(lambda: log("callback", current_task()))
    await gather(*tasks)


@program
async def all_of_them():  # TASK-14
    async def f():
        await tick(2)

    a, b = create_task(f(), name="a"), create_task(f(), name="b")
    me().set_name("main")
    log([t.get_name() for t in all_tasks()])
    await a
    log([t.get_name() for t in all_tasks()])
    await b


@program
def without_a_loop():  # TASK-16
    c = value(1)
    log(call_message(create_task, c))
    c.close()
    log(call_message(asyncio.get_running_loop))


@program
async def a_dropped_handle_stops_nothing():  # TASK-19
    async def f():
        await sleep(2)
        log("still ran")

    create_task(f())
    gc.collect()
    await sleep(10)


@program
async def a_callback_that_throws():  # TASK-25
    on_error()

    def bad(_):
        raise Err("bad")

    t = create_task(value(1))
    t.add_done_callback(bad)
    t.add_done_callback(lambda _: log("good"))
    log(await t)


@program
async def the_end_shows_a_turn_later():  # TASK-27
    async def child():
        log("child ends")
        loop().call_soon(log, "queued by child")

    async def parent():
        await create_task(child())
        log("parent resumes")

    t = create_task(parent())
    await tick()
    loop().call_soon(log, "queued meanwhile")
    await t


@program
async def set_result_is_refused():
    t = create_task(value(1))
    log(call_message(t.set_result, 5), call_message(t.set_exception, Err()))
    log(await t)


@program
async def awaiting_oneself():
    async def f():
        log(await got(me()))
        return "goes on"

    log(await create_task(f()))


@program
async def removed_callbacks():
    def a(_):
        log("a")

    t = create_task(value(1))
    t.add_done_callback(a)
    t.add_done_callback(lambda _: log("b"))
    log(t.remove_done_callback(a))
    await t
    log(t.remove_done_callback(a))


@program
async def a_tree_of_tasks():
    async def node(name, depth):
        log("enter", name)
        total = 1
        if depth:
            left = create_task(node(name + "l", depth - 1))
            right = create_task(node(name + "r", depth - 1))
            total += await right
            total += await left
        log("leave", name, total)
        return total

    log(await node("n", 3))


@program
async def tasks_that_make_tasks_from_callbacks():
    async def f(n):
        log("runs", n)
        if n:
            loop().call_soon(lambda: made.append(create_task(f(n - 1))))
        await tick()
        log("ends", n)

    made = []
    await create_task(f(3))
    await tick(12)
    log(len(made), all(t.done() for t in made))
