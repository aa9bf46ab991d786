"""ContextVar and Context: who sees which value."""
from support import *


@program
async def a_task_has_a_copy():  # CONTEXT-01
    cv = contextvars.ContextVar("cv", default="nope")

    async def sub():
        await tick()
        value = cv.get()
        cv.set("inside")
        return value

    t = create_task(sub())
    cv.set("yes")
    log(await t, cv.get())


@program
async def an_inline_coroutine_shares_it():  # CONTEXT-02
    cv = contextvars.ContextVar("cv", default=0)

    async def sub():
        cv.set(1)
        await tick()
        cv.set(cv.get() + 1)

    await sub()
    log(cv.get())


@program
async def interleaved_tasks():  # CONTEXT-03
    cv = contextvars.ContextVar("cv", default=-1)

    async def sub(i):
        for k in range(4):
            cv.set(i * 10 + k)
            await sleep(i % 2)
            log(i, cv.get())

    await gather(*[sub(i) for i in range(4)])
    log(cv.get())


@program
async def callbacks_run_in_the_context_of_their_scheduling():  # CALL-16, CONTEXT-09
    cv = contextvars.ContextVar("cv", default=0)
    f = fut()
    cv.set(1)
    loop().call_soon(lambda: (log("soon", cv.get()), cv.set(99)))
    loop().call_later(1, lambda: log("later", cv.get()))
    f.add_done_callback(lambda _: log("done", cv.get()))
    cv.set(2)
    loop().call_soon(lambda: log("soon", cv.get()))
    cv.set(3)
    f.set_result(1)
    await sleep(2)
    log(cv.get())


@program
async def children_of_a_gather_and_a_group():  # CONTEXT-06
    cv = contextvars.ContextVar("cv", default=0)
    cv.set(1)

    async def f(v):
        before = cv.get()
        cv.set(v)
        await tick()
        log(before, cv.get())

    await gather(f(10), f(20))
    async with TaskGroup() as tg:
        cv.set(2)
        tg.create_task(f(30))
    log(cv.get())


@program
async def reset_by_a_token():  # CONTEXT-08
    cv = contextvars.ContextVar("cv", default="d")
    token = cv.set("x")
    await tick()
    cv.reset(token)
    log(cv.get())
    other_token = cv.set("y")

    async def other():
        return call(cv.reset, other_token)

    log(await create_task(other()), cv.get())


@program
async def without_a_value():  # CONTEXT-05
    cv = contextvars.ContextVar("cv")
    log(call(cv.get), cv.get("fallback"))
    cv.set("value")
    log(cv.get(), cv.get("fallback"))


@program
async def run_in_a_copy():
    cv = contextvars.ContextVar("cv", default=0)
    cv.set(1)
    context = contextvars.copy_context()
    cv.set(2)
    log(context.run(cv.get), cv.get())
    context.run(cv.set, 7)
    log(context.get(cv), context.run(cv.get), cv.get())


@program
async def in_a_deadline():  # WAITFOR-12
    cv = contextvars.ContextVar("cv", default=0)

    async def f():
        cv.set(1)
        await tick()

    await wait_for(f(), 10)
    log(cv.get())
    await wait_for(create_task(f()), 10)
    cv.set(5)
    await shield(f())
    log(cv.get())


@program(since=(3, 12), expected=["handler: in callback", "default"])
async def the_exception_handler_sees_it():  # CONTEXT-10
    cv = contextvars.ContextVar("cv", default="default")
    loop().set_exception_handler(lambda _, context: log("handler:", cv.get()))

    def bad():
        cv.set("in callback")
        raise Err

    loop().call_soon(bad)
    await tick(2)
    log(cv.get())
