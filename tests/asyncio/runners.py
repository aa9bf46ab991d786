"""Runner, the loop between runs, run_in_executor() and to_thread()."""
import threading

from support import *


@program
def runs_again_on_the_same_loop():  # RUN-12
    loops = []

    async def main(n):
        loops.append(loop())
        await tick()
        return n

    with new_runner() as runner:
        log(runner.run(main(1)), runner.run(main(2)))
    log(loops[0] is loops[1], loops[0].is_closed())


@program
def tasks_freeze_between_runs():  # RUN-15
    tasks, events = [], []

    async def background():
        log("starts")
        await events[0].wait()
        log("resumed")
        try:
            await sleep(FOREVER)
        except CancelledError:
            log("cancelled")
            raise

    async def first():
        events.append(Event())
        tasks.append(create_task(background()))
        await tick(2)

    async def second():
        events[0].set()
        await tick(3)
        log("second ends", tasks[0].done())

    with new_runner() as runner:
        runner.run(first())
        log("between")
        runner.run(second())
    log(tasks[0].cancelled())


@program
def timers_and_spinners_between_runs():
    async def spins():
        for n in range(6):
            log("spin", n)
            await tick()

    async def first():
        create_task(spins())
        loop().call_later(2, lambda: log("timer", now()))
        await tick(2)
        log("first ends")

    async def second():
        log("second")
        await sleep(5)

    with new_runner() as runner:
        runner.run(first())
        log("between")
        runner.run(second())


@program
def misuse():  # RUN-13, RUN-14
    async def never():
        log("never")

    async def main():
        c = never()
        log(call_message(runner.run, c))
        c.close()

    with new_runner() as runner:
        runner.run(main())
    c = never()
    log(call_message(runner.run, c))
    c.close()
    log(call_message(runner.get_loop))
    runner.close()


@program
def an_error_leaves_the_runner_usable():
    async def fails():
        await tick()
        raise Err("x")

    async def works():
        await sleep(1)
        return now()

    with new_runner() as runner:
        log(call_message(runner.run, fails()), runner.run(works()), runner.run(works()))


@program
async def a_thread_gives_a_value():  # TOTHREAD-01, TOTHREAD-02
    def fails():
        raise Err("test")

    here = threading.get_ident()
    log(await to_thread(lambda: 42), await to_thread(lambda: threading.get_ident() != here))
    log(await got_message(to_thread(fails)))


@program
async def a_thread_starts_when_awaited():  # TOTHREAD-05
    c = to_thread(lambda: log("ran"))
    await tick(3)
    log("not yet")
    await c


@program
async def an_executor_starts_at_the_call():  # TOTHREAD-10
    has_run = threading.Event()
    executor = thread_pool(1)

    def job():
        has_run.set()
        return "value"

    f = loop().run_in_executor(executor, job)
    has_run.wait()
    log("ran")
    log(await f)
    executor.shutdown()
    log(call(loop().run_in_executor, executor, job))


@program
async def a_thread_sees_the_context():  # TOTHREAD-03
    cv = contextvars.ContextVar("cv", default=0)
    cv.set(1)

    def job():
        seen = cv.get()
        cv.set(2)
        return seen

    log(await to_thread(job), cv.get())


@program
async def threads_in_a_gather():
    log(await gather(*[to_thread(lambda n=n: n * n) for n in range(5)]))


@program
async def a_thread_calls_the_loop():  # CALL-10
    f = fut()
    here = loop()
    await to_thread(lambda: here.call_soon_threadsafe(f.set_result, "from thread"))
    log(await f)
