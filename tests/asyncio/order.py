"""Who runs when: turns from cause to effect, and first in, first out."""
from support import *


@program
async def future_to_waiter():  # ORDER-01
    f = fut()

    async def waits():
        await f

    t = create_task(waits())
    await tick()
    f.set_result(1)
    log(await turns_until_done(t))


@program
async def task_to_awaiter():  # ORDER-02
    f = fut()

    async def child():
        await f

    async def parent():
        await c

    c = create_task(child())
    t = create_task(parent())
    await tick()
    f.set_result(1)
    log(await turns_until_done(t))


@program
async def chain_of_tasks():
    f = fut()

    async def first():
        return await f

    async def next_one(previous):
        value = await previous + 1
        log("link", value)
        return value

    t = create_task(first())
    for _ in range(4):
        t = create_task(next_one(t))
    await tick(2)
    f.set_result(1)
    log(await turns_until_done(t), t.result())


@program
async def gather_to_awaiter():  # ORDER-03
    f = fut()

    async def child():
        return await f

    async def parent():
        await gather(child(), child())

    t = create_task(parent())
    await tick(2)
    f.set_result(1)
    log(await turns_until_done(t))


@program
async def gather_of_futures_to_awaiter():
    f, g = fut(), fut()

    async def parent():
        await gather(f, g)

    t = create_task(parent())
    await tick(2)
    g.set_result(1)
    f.set_result(1)
    log(await turns_until_done(t))


@program
async def nested_gathers_to_awaiter():
    f = fut()

    async def leaf():
        return await f

    async def parent():
        await gather(gather(leaf(), leaf()), gather(gather(leaf())))

    t = create_task(parent())
    await tick(2)
    f.set_result(1)
    log(await turns_until_done(t))


@program
async def cancel_through_tasks():  # ORDER-09
    async def leaf():
        await sleep(FOREVER)

    async def parent():
        await c

    c = create_task(leaf())
    t = create_task(parent())
    await tick(2)
    t.cancel()
    log(await turns_until_done(t), c.cancelled())


@program
async def cancel_through_a_gather():
    async def leaf():
        await sleep(FOREVER)

    async def parent():
        await gather(leaf(), leaf())

    t = create_task(parent())
    await tick(3)
    t.cancel()
    log(await turns_until_done(t))


@program
async def cancel_of_an_unstarted_task():
    async def never():
        log("never")

    t = create_task(never())
    t.cancel()
    log(await turns_until_done(t))


@program
async def call_soon_and_create_task_share_a_queue():  # ORDER-10
    async def f(n):
        log(n)

    loop().call_soon(log, 1)
    a = create_task(f(2))
    loop().call_soon(log, 3)
    b = create_task(f(4))
    await sleep(0)
    log(a.done(), b.done())


@program
async def sleepers_and_yielders_interleave():
    async def turns(name, count):
        for turn in range(count):
            log(name, turn)
            await sleep(0)

    async def sleeps(name, delay):
        for turn in range(3):
            await sleep(delay)
            log(name, turn, now())

    await gather(turns("a", 3), sleeps("x", 2), turns("b", 4), sleeps("y", 1), turns("c", 2), sleeps("z", 2))


@program
async def timers_join_the_queue_behind_what_is_ready():
    loop().call_later(1, log, "timer")
    await sleep(1)
    log("sleeper")
    loop().call_later(0, log, "timer of zero")
    loop().call_soon(log, "soon")
    await sleep(0)
    log("--")
    await sleep(0)
    log("end")


@program
async def a_callback_chain_takes_a_turn_a_link():
    def link(n):
        log("link", n)
        if n:
            loop().call_soon(link, n - 1)

    loop().call_soon(link, 3)
    for turn in range(5):
        log("turn", turn)
        await sleep(0)


@program
async def waiters_of_a_task_in_the_order_of_waiting():
    async def child():
        await sleep(1)
        log("child")

    async def waits(n):
        await c
        log("waiter", n)

    c = create_task(child())
    first = create_task(waits(1))
    await tick()
    c.add_done_callback(lambda _: log("callback 2"))
    second = create_task(waits(3))
    await tick()
    both = gather(c, c)
    c.add_done_callback(lambda _: loop().call_soon(log, "soon of 4"))
    both.add_done_callback(lambda _: log("gather"))
    await gather(first, second)
    log("end")


@program
async def set_result_in_a_callback_beside_timers():
    f, g = fut(), fut()

    async def waits(name, future):
        log(name, await future, now())

    a, b = create_task(waits("a", f)), create_task(waits("b", g))
    loop().call_later(2, g.set_result, "g")
    loop().call_later(2, f.set_result, "f")
    loop().call_later(2, log, "third")
    loop().call_at(loop().time() + 1, log, "earlier")
    await gather(a, b)


@program
async def ping_pong():
    async def player(name, mine, other):
        for hit in range(3):
            await mine[hit]
            log(name, hit)
            other[hit].set_result(None)

    ping, pong = [fut() for _ in range(4)], [fut() for _ in range(4)]
    a = create_task(player("ping", ping, pong))
    b = create_task(player("pong", pong, ping[1:] + [fut()]))
    ping[0].set_result(None)
    await gather(a, b)


@program
async def producers_and_consumers_by_futures():
    items, waiting = [], []

    async def consume(name):
        for _ in range(3):
            while not items:
                f = fut()
                waiting.append(f)
                await f
            log(name, items.pop(0))

    async def produce(name, pause):
        for number in range(3):
            await sleep(pause)
            items.append(name * 10 + number)
            if waiting:
                waiting.pop(0).set_result(None)
            log("produced", name * 10 + number)

    await gather(consume("a"), consume("b"), produce(1, 1), produce(2, 0))
