"""call_soon, call_later, call_at, call_soon_threadsafe, and sleep."""
from support import *


@program
async def soon_in_order_never_inline():  # CALL-01
    loop().call_soon(log, 1)
    loop().call_soon(log, 2, "argument")
    log("now")
    await tick()


@program
async def scheduled_by_a_callback():  # CALL-02
    def a():
        log("a")
        loop().call_soon(log, "a2")

    loop().call_soon(a)
    loop().call_soon(log, "b")
    await tick()
    log("--")
    await tick()


@program
async def a_cancelled_handle():  # CALL-03
    h = loop().call_soon(log, "never")
    log(h.cancelled())
    h.cancel()
    h.cancel()
    log(h.cancelled())
    await tick()
    g = loop().call_soon(log, "ran")
    await tick()
    g.cancel()
    log(g.cancelled())


@program
async def cancelled_by_an_earlier_callback():  # CALL-04
    h = None
    loop().call_soon(lambda: h.cancel())
    h = loop().call_soon(log, "never")
    loop().call_soon(log, "third")
    await tick(2)


@program
async def later_in_order_of_deadline():  # CALL-05
    loop().call_later(15, lambda: log("b", now()))
    h = loop().call_later(3, lambda: log("a", now()))
    log(h.when() > loop().time())
    await sleep(40)


@program
async def negative_delays():  # CALL-06
    loop().call_later(-1, log, "a")
    loop().call_later(-2, log, "b")
    loop().call_later(0, log, "zero")
    loop().call_soon(log, "soon")
    await tick(2)
    log("end")


@program
async def equal_deadlines():  # CALL-07
    when = loop().time() + 3
    for i in range(6):
        loop().call_at(when, log, i)
    await sleep(2)
    loop().call_later(1, log, "later")
    loop().call_at(when, log, 6)
    await sleep(10)


@program
async def a_time_in_the_past():  # CALL-08
    loop().call_at(loop().time() - 5, log, "past")
    loop().call_soon(log, "soon")
    await tick(2)
    log("end")


@program
async def a_cancelled_timer():  # CALL-09
    h = loop().call_later(2, log, "never")
    loop().call_later(1, h.cancel)
    loop().call_later(3, lambda: log("last", h.cancelled(), now()))
    await sleep(5)


@program
async def a_timer_cancelled_in_its_own_turn():
    handles = []
    loop().call_later(1, lambda: handles[0].cancel())
    handles.append(loop().call_later(1, log, "never"))
    loop().call_later(1, log, "third")
    await sleep(3)


@program
async def a_timer_cancelled_by_what_is_ready():
    h = loop().call_later(1, log, "never")
    await sleep(1)
    log("awake")
    g = loop().call_later(0, log, "never either")
    loop().call_soon(g.cancel)
    await tick(3)
    log(h.cancelled(), g.cancelled())


@program
async def timers_that_schedule_timers():
    def chain(n):
        log("timer", n, now())
        if n:
            loop().call_later(n, chain, n - 1)
            loop().call_later(0, log, "zero of", n)

    loop().call_later(1, chain, 3)
    await sleep(20)


@program
async def an_error_in_a_callback():  # CALL-12
    on_error()

    def bad():
        raise Err("bad")

    loop().call_soon(bad)
    loop().call_soon(log, "next")
    loop().call_later(1, bad)
    loop().call_later(1, log, "next timer")
    await sleep(2)


@program
async def threadsafe_from_the_loop_itself():
    loop().call_soon(log, 1)
    loop().call_soon_threadsafe(log, 2)
    loop().call_soon(log, 3)
    h = loop().call_soon_threadsafe(log, "never")
    h.cancel()
    await tick(2)
    log("end")


@program
async def sleep_of_zero_is_one_turn():  # SLEEP-01
    loop().call_soon(log, "scheduled before")
    log("a")
    await sleep(0)
    log("b")


@program
async def sleep_of_less_than_zero():  # SLEEP-02
    loop().call_soon(log, "soon")
    loop().call_soon(lambda: loop().call_soon(log, "next turn"))
    await sleep(-1)
    log("awake", now())
    await tick(2)


@program
async def sleep_gives_a_value():  # SLEEP-05
    log(await sleep(1, "value"), await sleep(0, 2))


@program
async def sleepers_wake_by_deadline():  # SLEEP-03
    async def f(d):
        await sleep(d)
        log(d, now())

    await gather(f(30), f(10), f(20), f(10))


@program
async def equal_sleepers_in_order():  # SLEEP-04
    async def f(n):
        await sleep(5)
        log(n)

    await gather(*[f(n) for n in range(8)])


@program
async def a_cancelled_sleep():  # SLEEP-07
    async def f():
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("woken", now())
            raise

    t = create_task(f())
    await sleep(2)
    t.cancel()
    log("requested")
    log(await got(t), now())


@program
async def a_sleep_cancelled_when_it_is_over():
    async def f():
        await sleep(1)
        log("not reached")

    t = create_task(f())
    await tick()
    loop().call_at(loop().time() + 1, t.cancel)
    log(await got(t), now())


@program
async def a_sleep_cancelled_just_before():
    async def f():
        await sleep(1)
        log("slept")

    loop().call_later(1, lambda: log(t.cancel()))
    t = create_task(f())
    log(await got(t), now())


@program
async def a_sleep_cancelled_between_its_deadline_and_its_turn():
    async def f(name):
        try:
            await sleep(1)
            log(name, "slept")
        except CancelledError:
            log(name, "cancelled", me().cancelling())

    tasks = []
    loop().call_later(1, lambda: log(tasks[1].cancel(), tasks[3].cancel(), tasks[3].uncancel()))
    tasks += [create_task(f(name)) for name in "abcd"]
    await gather(*tasks)


@program
async def sleeps_overlap():  # SLEEP-09
    await gather(*[sleep(20) for _ in range(50)])
    log(now())


@program
async def zero_sleeps_and_timers():
    async def spins():
        for n in range(4):
            log("spin", n)
            await sleep(0)

    async def sleeps():
        for n in range(3):
            await sleep(1)
            log("slept", now())

    loop().call_later(1, log, "timer 1")
    loop().call_later(2, log, "timer 2")
    await gather(spins(), sleeps(), spins())
