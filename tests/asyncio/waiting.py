"""wait(), as_completed(), shield()."""
from support import *


async def value_after(delay, value):
    await sleep(delay)
    log("done", value)
    return value


async def fail_after(delay, text):
    await sleep(delay)
    raise Err(text)


def places(tasks, among):
    return [place for place, task in enumerate(tasks) if task in among]


@program
async def wait_for_all():  # WAIT-01
    tasks = [create_task(value_after(d, d)) for d in (3, 1, 2)]
    done, pending = await wait(tasks)
    log(places(tasks, done), places(tasks, pending), now())


@program
async def wait_for_the_first():  # WAIT-02
    tasks = [create_task(value_after(d, d)) for d in (3, 1, 2)]
    done, pending = await wait(tasks, return_when=FIRST_COMPLETED)
    log(places(tasks, done), places(tasks, pending), now())
    done, pending = await wait(pending, return_when=FIRST_COMPLETED)
    log(places(tasks, done), places(tasks, pending), now())
    await wait(tasks)


@program
async def wait_tells_what_is_done_when_it_resumes():  # WAIT-03
    tasks = [create_task(tick(n)) for n in (1, 2, 3, 4)]
    done, pending = await create_task(wait(tasks, return_when=FIRST_COMPLETED))
    log(places(tasks, done), places(tasks, pending))
    done, pending = await wait(tasks)
    log(places(tasks, done), places(tasks, pending))


@program
async def wait_for_the_first_error():  # WAIT-04
    tasks = [create_task(value_after(1, 1)), create_task(fail_after(2, "x")), create_task(value_after(5, 5))]
    done, pending = await wait(tasks, return_when=FIRST_EXCEPTION)
    log(places(tasks, done), places(tasks, pending), now())
    log(show(tasks[1].exception()))
    tasks[2].cancel()
    done, pending = await wait([tasks[0], tasks[2]], return_when=FIRST_EXCEPTION)
    log(places(tasks, done), places(tasks, pending), now())


@program
async def wait_with_a_limit():  # WAIT-05
    tasks = [create_task(value_after(2, 2)), create_task(value_after(FOREVER, 0))]
    done, pending = await wait(tasks, timeout=15)
    log(places(tasks, done), places(tasks, pending), tasks[1].cancelling(), now())
    done, pending = await wait(tasks, timeout=0)
    log(places(tasks, done), places(tasks, pending), now())
    tasks[1].cancel()
    done, pending = await wait(tasks, timeout=FOREVER)
    log(places(tasks, done), places(tasks, pending), now())


@program
async def wait_for_what_is_done():  # WAIT-11
    tasks = [create_task(value_after(0, n)) for n in range(2)]
    await tick(3)
    loop().call_soon(log, "loop ran")
    done, pending = await wait(tasks)
    log(places(tasks, done), places(tasks, pending))


@program
async def wait_and_be_cancelled():  # WAIT-10
    async def outer():
        try:
            await wait([c])
        except CancelledError:
            log("cancelled")
            raise

    c = create_task(value_after(5, "child"))
    o = create_task(outer())
    await tick(2)
    o.cancel()
    log(await got(o), c.done())
    log(await c)


@program
async def wait_limit_and_completion_in_one_turn():
    tasks = [create_task(value_after(2, n)) for n in range(2)]
    await tick()
    done, pending = await wait(tasks, timeout=2)
    log(places(tasks, done), places(tasks, pending), now())
    await wait(tasks)


@program
async def completed_in_their_order():  # ASCOMPLETED-01
    tasks = [create_task(value_after(d, n)) for d, n in ((3, "c"), (1, "a"), (2, "b"))]
    for next_one in as_completed(tasks):
        log(await next_one, now())


@program
async def completed_with_an_error():  # ASCOMPLETED-02
    tasks = [create_task(value_after(1, "a")), create_task(fail_after(2, "bad")), create_task(value_after(3, "c"))]
    for next_one in as_completed(tasks):
        log(await got_message(next_one))


@program
async def completed_within_a_limit():  # ASCOMPLETED-03
    a, b = create_task(value_after(2, "a")), create_task(value_after(60, "b"))
    for next_one in as_completed([a, b], timeout=20):
        log(await got(next_one), now())
    log(b.done(), b.cancelling())
    log(await b)


@program
async def completed_and_awaited_by_others():  # ASCOMPLETED-09
    tasks = [create_task(value_after(d, d)) for d in (2, 1, 3)]
    log(await gather(*list(as_completed(tasks))))


@program
async def shield_passes_the_result():  # SHIELD-01
    log(await shield(value_after(1, "value")), await got_message(shield(fail_after(1, "x"))))
    f = fut()
    f.set_result(1)
    log(shield(f) is f)  # SHIELD-04
    t = create_task(value_after(0, 2))
    log(await turns_until_done(shield(t)), t.done())


@program
async def shield_keeps_a_cancellation_off():  # SHIELD-02
    async def outer():
        try:
            await shield(t)
        except CancelledError:
            log("outer cancelled")
            raise

    t = create_task(value_after(5, "inner"))
    o = create_task(outer())
    await tick(2)
    o.cancel()
    log(await got(o), t.done())
    log(await t, now())


@program
async def shield_of_a_cancelled_one():  # SHIELD-03
    t = create_task(value_after(FOREVER, 0))
    s = shield(t)
    await tick()
    t.cancel()
    log(await got(s), s.cancelled(), t.cancelled())


@program
async def shield_of_a_gather():  # SHIELD-08
    a, b = fut(), fut()
    p = gather(a, b)
    s = shield(p)
    await tick()
    s.cancel()
    await tick()
    a.set_result(1)
    b.set_result(2)
    await tick(2)
    log(s.cancelled(), p.result())


@program
async def shield_starts_at_the_call():  # SHIELD-10
    s = shield(value_after(0, "inner"))
    await tick(2)
    log("not awaited yet", s.done())
    log(await s)


@program
async def shield_inner_ends_in_the_turn_of_the_cancellation():
    async def outer():
        return await shield(f)

    f = fut()
    o = create_task(outer())
    await tick()
    f.set_result(1)
    o.cancel()
    log(await got(o), f.result())
    f = fut()
    o = create_task(outer())
    await tick()
    f.set_result(2)
    await tick()
    o.cancel()
    log(await got(o), f.result())
