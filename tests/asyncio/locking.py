"""Lock, Event, Semaphore: who gets in, and in which order."""
from support import *


@program
async def lock_in_the_order_of_asking():  # LOCK-01
    lk = Lock()

    async def uses(n):
        log(n, "asks")
        async with lk:
            log(n, "has it", lk.locked())
            await sleep(n % 2)
        log(n, "gave it back")

    await gather(*[uses(n) for n in range(5)])
    log(lk.locked())


@program
async def lock_that_is_free_takes_no_turn():
    lk = Lock()
    loop().call_soon(log, "loop ran")
    log(await lk.acquire(), lk.locked())
    lk.release()
    log(lk.locked(), call_message(lk.release))  # LOCK-02
    await tick()


@program
async def lock_waiter_cancelled():  # LOCK-04
    lk = Lock()

    async def uses(n):
        async with lk:
            log(n, "has it")

    await lk.acquire()
    a, b = create_task(uses("a")), create_task(uses("b"))
    await tick()
    a.cancel()
    await tick()
    lk.release()
    log(await gather(a, b, return_exceptions=True))


@program
async def lock_release_and_cancel_in_one_turn():  # LOCK-05
    lk = Lock()

    async def uses(n):
        async with lk:
            log(n, "has it")

    for first in ("release", "cancel"):
        await lk.acquire()
        a, b, c = [create_task(uses(n)) for n in "abc"]
        await tick()
        if first == "release":
            lk.release()
            a.cancel()
        else:
            a.cancel()
            lk.release()
        log(first, lk.locked())
        log(await gather(a, b, c, return_exceptions=True), lk.locked())


@program
async def lock_without_barging():  # LOCK-07
    lk = Lock()

    async def uses(n):
        async with lk:
            log(n, "has it")
            await tick()

    await lk.acquire()
    a = create_task(uses("waiter"))
    await tick()
    lk.release()
    log(lk.locked())
    await uses("newcomer")
    await a


@program
async def lock_asked_again_at_once():
    lk = Lock()

    async def uses(n):
        for turn in range(3):
            async with lk:
                log(n, turn)

    await gather(uses("a"), uses("b"), uses("c"))

    async def holds(n):
        for turn in range(3):
            async with lk:
                log(n, turn)
                await tick()

    await gather(holds("d"), holds("e"))


@program
async def lock_released_by_another():  # LOCK-08
    lk = Lock()
    await lk.acquire()
    loop().call_later(2, lk.release)
    log(await lk.acquire(), now())
    log(await got(wait_for(lk.acquire(), 1)), lk.locked())
    lk.release()


@program
async def lock_all_waiters_cancelled():
    lk = Lock()
    await lk.acquire()
    tasks = [create_task(lk.acquire()) for _ in range(3)]
    await tick()
    for t in tasks:
        t.cancel()
    lk.release()
    log(lk.locked(), await lk.acquire(), lk.locked())
    log(await gather(*tasks, return_exceptions=True))


@program
async def event_wakes_all_in_order():  # EVENT-01
    ev = Event()

    async def waits(n):
        log(n, await ev.wait())

    tasks = [create_task(waits(n)) for n in range(3)]
    await tick()
    ev.set()
    log("set", ev.is_set())
    await waits("latecomer")
    await gather(*tasks)


@program
async def event_cleared_before_the_waiters_ran():
    ev = Event()

    async def waits(n):
        await ev.wait()
        log(n, "woken", ev.is_set())

    tasks = [create_task(waits(n)) for n in range(2)]
    await tick()
    ev.set()
    ev.clear()
    t = create_task(waits("next"))
    log(ev.is_set())
    await gather(*tasks)
    await tick(2)
    log(t.done())
    ev.set()
    ev.set()
    await t


@program
async def event_waiter_cancelled():
    ev = Event()

    async def waits(n):
        try:
            await ev.wait()
            log(n, "woken")
        except CancelledError:
            log(n, "cancelled")
            raise

    a, b, c = [create_task(waits(n)) for n in "abc"]
    await tick()
    b.cancel()
    ev.set()
    a.cancel()
    log(await gather(a, b, c, return_exceptions=True))


@program
async def semaphore_lets_so_many_in():  # SEMAPHORE-01
    s = Semaphore(2)

    async def uses(n):
        async with s:
            log(n, "in", s.locked())
            await sleep(1 + n % 3)
        log(n, "out", now())

    await gather(*[uses(n) for n in range(6)])
    log(s.locked())


@program
async def semaphore_released_in_a_burst():  # SEMAPHORE-09
    s = Semaphore(0)

    async def uses(n):
        await s.acquire()
        log(n, s.locked())

    tasks = [create_task(uses(n)) for n in range(5)]
    await tick()
    for _ in range(3):
        s.release()
    log(s.locked())
    late = create_task(uses("late"))
    await tick(2)
    log([t.done() for t in tasks], late.done())
    for _ in range(3):
        s.release()
    await gather(*tasks, late)
    log(s.locked())


@program
async def semaphore_waiter_cancelled_after_its_grant():  # SEMAPHORE-07
    s = Semaphore(0)

    async def uses(n):
        await s.acquire()
        log(n, "in")

    a, b, c = [create_task(uses(n)) for n in "abc"]
    await tick()
    s.release()
    a.cancel()
    log(s.locked())
    await tick(3)
    log(a.cancelled(), b.done(), c.done(), s.locked())
    c.cancel()
    s.release()
    await tick(3)
    log(c.cancelled(), s.locked())


@program
async def semaphore_bounds():  # SEMAPHORE-02
    log(call_message(Semaphore, -1))
    s = Semaphore(1)
    s.release()
    await s.acquire()
    log(s.locked())
    await s.acquire()
    log(s.locked())
    b = BoundedSemaphore(1)
    log(call_message(b.release))


@program
async def semaphore_asked_again_while_others_wait():  # SEMAPHORE-04
    s = Semaphore(1)

    async def uses(n):
        for turn in range(3):
            await s.acquire()
            log(n, turn)
            s.release()
            if turn == 1:
                await tick()

    await gather(uses("a"), uses("b"))

    async def holds(n):
        for turn in range(2):
            async with s:
                log(n, turn)
                await tick()

    await gather(holds("c"), holds("d"), holds("e"))


@program
async def wake_ups_take_a_turn():  # ORDER-08
    lk, ev, s, q = Lock(), Event(), Semaphore(0), Queue()
    await lk.acquire()
    results = []
    for start, go in ((lk.acquire, lk.release), (ev.wait, ev.set), (s.acquire, s.release),
                      (q.get, lambda: q.put_nowait(1))):
        t = create_task(start())
        await tick(2)
        go()
        results.append(await turns_until_done(t))
    log(results)
