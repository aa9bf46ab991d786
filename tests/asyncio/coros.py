"""Coroutine objects and what awaiting them does."""
from support import *


@program
async def awaited_inline_takes_no_turn():  # AWAIT-01
    async def other():
        log("other")

    async def f():
        log("f")
        return 1

    t = create_task(other())
    log(await f())
    log("after f")
    await t


@program
async def awaited_twice():  # CORO-04
    async def f():
        return 1

    c = f()
    log(await c)
    log(await got_message(c))


@program
async def awaited_while_a_task_is_in_it():  # CORO-05
    async def f():
        await sleep(5)
        return 1

    async def awaits(coro):
        return await coro

    c = f()
    t = create_task(awaits(c))
    await tick()
    log(await got_message(c))
    log(await t)


@program
async def arguments_are_taken_at_the_call():  # CORO-06
    def argument():
        log("argument")
        return 1

    async def f(x):
        log("body", x)

    c = f(argument())
    log("called")
    await c


@program
async def an_error_passes_frame_by_frame():  # CORO-08
    async def inner(depth):
        if depth == 0:
            raise Err("deep")
        try:
            await inner(depth - 1)
        except Err:
            log("passes", depth)
            raise

    log(await got_message(inner(4)))
    log("continues")


@program
async def a_deep_chain():
    async def down(depth):
        return 0 if depth == 0 else 1 + await down(depth - 1)

    log(await down(300))
    log(await create_task(down(300)))


@program
async def awaits_that_do_not_suspend_keep_the_loop():
    f = fut()
    f.set_result(1)
    loop().call_soon(log, "loop ran")
    total = 0
    for _ in range(100):
        total += await f
    log(total)
    await tick()


@program
async def a_turn_in_the_middle_of_nested_ones():
    async def inner(name):
        log(name, "in")
        await tick()
        log(name, "out")

    async def outer(name):
        await inner(name + "1")
        await inner(name + "2")

    await gather(outer("a"), outer("b"))


@program
async def an_error_while_another_is_handled():
    async def cleanup():
        await tick()
        raise Err2("cleanup")

    async def f():
        try:
            raise Err("body")
        finally:
            await cleanup()

    log(await got_message(f()))
