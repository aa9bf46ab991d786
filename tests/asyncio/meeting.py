"""Condition and Barrier."""
from support import *


@program
async def notified_in_the_order_of_waiting():  # CONDITION-02
    cond = Condition()

    async def waits(n):
        async with cond:
            await cond.wait()
            log(n, "notified", cond.locked())

    tasks = [create_task(waits(n)) for n in range(5)]
    await tick(2)
    async with cond:
        cond.notify(2)
        log("notify 2")
    await tick(4)
    log([t.done() for t in tasks])
    async with cond:
        cond.notify()
    await tick(4)
    log([t.done() for t in tasks])
    async with cond:
        cond.notify_all()  # CONDITION-03
    await gather(*tasks)


@program
async def not_without_the_lock():  # CONDITION-04
    cond = Condition()
    log(await got_message(cond.wait()), call_message(cond.notify), call_message(cond.notify_all))


@program
async def waits_for_a_predicate():  # CONDITION-05
    cond = Condition()
    items = []

    async def consumes(n):
        async with cond:
            log(n, "sees", await cond.wait_for(lambda: len(items)))
            items.pop()

    tasks = [create_task(consumes(n)) for n in range(2)]
    await tick(2)
    for item in (7, 8):
        async with cond:
            items.append(item)
            cond.notify_all()
        await tick(4)
    await gather(*tasks)
    log(items)


@program
async def cancelled_in_wait():  # CONDITION-06
    cond = Condition()

    async def waits():
        async with cond:
            try:
                await cond.wait()
            except CancelledError as error:
                log(error_text(error, True), cond.locked())
                raise

    t = create_task(waits())
    await tick()
    t.cancel("why")
    log(await got(t), cond.locked())


@program
async def cancelled_while_another_has_the_lock():  # CONDITION-07
    cond = Condition()

    async def waits():
        async with cond:
            try:
                await cond.wait()
            except CancelledError:
                log("cancelled", now())
                raise

    t = create_task(waits())
    await tick()
    async with cond:
        t.cancel()
        await sleep(3)
        log("gives the lock back", now())
    log(await got(t))


@program(since=(3, 13), expected=["a cancelled", "b notified", "[!CancelledError, None]"])
async def cancelled_after_the_notification():  # CONDITION-08
    cond = Condition()

    async def waits(n):
        async with cond:
            try:
                await cond.wait()
                log(n, "notified")
            except CancelledError:
                log(n, "cancelled")
                raise

    a, b = create_task(waits("a")), create_task(waits("b"))
    await tick(2)
    async with cond:
        cond.notify()
        a.cancel()
    log(await gather(a, b, return_exceptions=True))


@program
async def cancelled_while_it_asks_for_the_lock():  # CONDITION-09
    cond = Condition()

    async def waits():
        async with cond:
            try:
                await cond.wait()
                log("never")
            finally:
                log("has the lock", cond.locked(), now())

    t = create_task(waits())
    await tick()
    await cond.acquire()
    cond.notify()
    await tick(2)
    t.cancel()
    await sleep(2)
    cond.release()
    log(await got(t), cond.locked())


@program
async def shares_a_lock():  # CONDITION-10
    lk = Lock()
    a, b = Condition(lk), Condition(lk)

    async def waits(cond, name):
        async with cond:
            await cond.wait()
            log(name, a.locked(), b.locked())

    tasks = [create_task(waits(a, "a")), create_task(waits(b, "b"))]
    await tick(2)
    async with lk:
        log(a.locked(), b.locked())
        b.notify_all()
        a.notify_all()
    await gather(*tasks)


@program
async def wait_with_a_limit():  # CONDITION-11
    cond = Condition()
    async with cond:
        log(await got(wait_for(cond.wait(), 3)), cond.locked(), now())
    log(cond.locked())


@program
async def all_meet():  # BARRIER-01
    barrier = Barrier(3)

    async def comes(n):
        await sleep(n)
        index = await barrier.wait()
        log(n, "passes", index, barrier.n_waiting, now())
        return index

    tasks = [create_task(comes(n)) for n in range(3)]
    await sleep(1)
    await tick()
    log(barrier.n_waiting, barrier.parties, barrier.broken)
    log(await gather(*tasks))


@program
async def of_one_never_waits():  # BARRIER-02
    barrier = Barrier(1)
    loop().call_soon(log, "loop ran")
    log(await barrier.wait(), await barrier.wait())
    log(call_message(Barrier, 0))
    await tick()


@program
async def round_after_round():  # BARRIER-03
    barrier = Barrier(2)

    async def comes(name):
        for turn in range(3):
            await barrier.wait()
            log(name, turn)

    await gather(comes("a"), comes("b"))
    log(barrier.n_waiting)


@program
async def a_cancelled_one_leaves():  # BARRIER-04
    barrier = Barrier(2)

    async def comes(name):
        await barrier.wait()
        log(name, "passes")

    a = create_task(comes("a"))
    await tick()
    a.cancel()
    log(await got(a), barrier.n_waiting, barrier.broken)
    await gather(comes("b"), comes("c"))


@program
async def reset():  # BARRIER-05
    barrier = Barrier(3)

    async def comes(name):
        log(name, await got(barrier.wait()))

    a, b = create_task(comes("a")), create_task(comes("b"))
    await tick()
    await barrier.reset()
    log(barrier.broken, barrier.n_waiting)
    await gather(a, b)
    log(barrier.broken, barrier.n_waiting)
    await gather(comes("c"), comes("d"), comes("e"))


@program
async def aborted():  # BARRIER-06
    barrier = Barrier(3)

    async def comes(name):
        log(name, await got(barrier.wait()))

    a, b = create_task(comes("a")), create_task(comes("b"))
    await tick()
    await barrier.abort()
    log(barrier.broken)
    await comes("latecomer")
    await gather(a, b)
    await barrier.reset()
    log(barrier.broken)


@program
async def newcomers_wait_for_the_next_round():  # BARRIER-08
    barrier = Barrier(2)

    async def comes(name, turns):
        for _ in range(turns):
            log(name, "passes", await barrier.wait())

    await gather(comes("a", 1), comes("b", 1), comes("c", 2), comes("d", 2))
    log(barrier.n_waiting)
