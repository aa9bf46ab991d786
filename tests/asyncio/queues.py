"""Queue, LifoQueue, PriorityQueue: who gets what, and when."""
from support import *


@program
async def first_in_first_out():  # QUEUE-01
    q = Queue()
    for i in range(3):
        q.put_nowait(i)
    log(q.qsize(), q.empty(), q.full())
    log([q.get_nowait() for _ in range(3)], q.empty())
    log(call(q.get_nowait))


@program
async def put_waits_for_room():  # QUEUE-02
    q = Queue(2)

    async def puts():
        for i in range(4):
            await q.put(i)
            log("put", i, q.qsize(), q.full())

    t = create_task(puts())
    await tick(2)
    log(call(q.put_nowait, 9))
    log(await q.get())
    await tick()
    log(await q.get(), q.qsize())
    await tick(2)
    log(t.done(), q.qsize(), q.maxsize)


@program
async def get_waits_for_an_item():  # QUEUE-03
    q = Queue()

    async def gets(n):
        log(n, "got", await q.get())

    tasks = [create_task(gets(n)) for n in "abc"]
    await tick()
    q.put_nowait(1)
    log("put 1")
    await tick(2)
    q.put_nowait(2)
    q.put_nowait(3)
    log("put 2 and 3", q.qsize())
    await gather(*tasks)


@program
async def no_turn_when_nobody_waits():  # QUEUE-05
    q = Queue(1)
    loop().call_soon(log, "loop ran")
    await q.put(1)
    log(await q.get())
    await q.put(2)
    log(await q.get())
    await tick()


@program
async def a_cancelled_getter_is_skipped():  # QUEUE-08
    q = Queue()

    async def gets(n):
        log(n, "got", await q.get())

    a, b = create_task(gets("a")), create_task(gets("b"))
    await tick()
    a.cancel()
    await tick()
    q.put_nowait(1)
    log(await gather(a, b, return_exceptions=True))


@program
async def a_getter_cancelled_after_it_was_woken():  # QUEUE-09, QUEUE-10
    q = Queue()

    async def gets(n):
        log(n, "got", await q.get())

    a, b = create_task(gets("a")), create_task(gets("b"))
    await tick()
    q.put_nowait(1)
    a.cancel()
    await tick(3)
    log(a.cancelled(), b.done(), q.qsize())
    b.cancel()
    t = create_task(gets("c"))
    await tick()
    q.put_nowait(2)
    q.put_nowait(3)
    t.cancel()
    log(await got(t), q.qsize(), q.get_nowait(), q.get_nowait())


@program
async def a_putter_cancelled():  # QUEUE-11
    q = Queue(1)
    await q.put(0)

    async def puts(i):
        await q.put(i)
        log("put", i)

    a, b = create_task(puts(1)), create_task(puts(2))
    await tick()
    a.cancel()
    await tick()
    log(q.get_nowait())
    log(await gather(a, b, return_exceptions=True))
    log(q.get_nowait(), q.empty())


@program
async def a_putter_cancelled_after_it_was_woken():  # QUEUE-12
    q = Queue(1)
    await q.put(0)

    async def puts(i):
        await q.put(i)
        log("put", i)

    a, b = create_task(puts(1)), create_task(puts(2))
    await tick()
    log(q.get_nowait())
    a.cancel()
    log(await gather(a, b, return_exceptions=True))
    log(q.get_nowait(), q.empty())


@program
async def join_waits_for_every_task_done():  # QUEUE-14
    q = Queue()

    async def works():
        while True:
            item = await q.get()
            await sleep(item)
            log("done", item, now())
            q.task_done()

    async def joins(n):
        await q.join()
        log(n, "joined", now())

    for item in (2, 1, 3):
        q.put_nowait(item)
    workers = [create_task(works()) for _ in range(2)]
    await gather(joins("a"), joins("b"))
    for worker in workers:
        worker.cancel()
    await gather(*workers, return_exceptions=True)
    log(call_message(q.task_done))
    await q.join()


@program
async def join_of_an_empty_queue_takes_no_turn():
    q = Queue()
    loop().call_soon(log, "loop ran")
    await q.join()
    log("joined")
    await tick()


@program
async def producer_and_consumer_of_one_place():  # QUEUE-16
    q = Queue(1)

    async def produces():
        for i in range(5):
            await q.put(i)
            log("put", i)
        await q.put(-1)

    async def consumes():
        while (item := await q.get()) >= 0:
            log("got", item)

    await gather(produces(), consumes())


@program
async def several_producers_and_one_consumer():
    q = Queue(2)

    async def produces(name, pause):
        for i in range(3):
            await q.put(name * 10 + i)
            log("put", name * 10 + i)
            await sleep(pause)

    async def consumes():
        await sleep(5)  # never in one turn with a producer: nobody overtakes a woken one in knit
        for _ in range(9):
            log("got", await q.get(), now())
            await sleep(10)

    await gather(produces(1, 3), produces(2, 4), produces(3, 7), consumes())


@program
async def one_producer_and_several_consumers():
    q = Queue()

    async def consumes(name):
        while True:
            item = await q.get()
            log(name, "got", item, now())
            q.task_done()
            await sleep(item % 3 * 2 + 3)

    consumers = [create_task(consumes(name)) for name in "abc"]
    await tick()
    for i in range(9):
        await q.put(i)
        await sleep(1)
        await q.join()
        await sleep(1)
    await sleep(5)
    for consumer in consumers:
        consumer.cancel()
    log(await gather(*consumers, return_exceptions=True))


@program
async def smallest_first():  # PRIORITY-01
    q = PriorityQueue()
    for item in (5, 1, 4, 2, 3, 1):
        q.put_nowait(item)
    log([q.get_nowait() for _ in range(6)])
    t = create_task(q.get())
    await tick()
    q.put_nowait(7)
    q.put_nowait(6)
    log(await t, q.get_nowait())


@program
async def last_first():  # LIFO-01
    q = LifoQueue(3)
    for item in range(3):
        await q.put(item)
    t = create_task(q.put(9))
    await tick()
    log(q.full(), q.get_nowait())
    await t
    log([q.get_nowait() for _ in range(3)], q.empty())


@program
async def get_with_a_limit():  # WAITFOR-17
    q = Queue()
    log(await got(wait_for(q.get(), 2)))
    q.put_nowait("kept")
    log(await q.get())


@program(since=(3, 13), expected=["a !QueueShutDown", "b !QueueShutDown", "!QueueShutDown", "!QueueShutDown",
                                  "!QueueShutDown", "joined"])
async def shutdown_of_an_empty_one():  # QSHUTDOWN-01
    q = Queue()

    async def gets(n):
        log(n, await got(q.get()))

    a, b = create_task(gets("a")), create_task(gets("b"))
    await tick()
    q.shutdown()
    await gather(a, b)
    log(call(q.get_nowait))
    log(call(q.put_nowait, 1))
    log(await got(q.put(1)))
    await q.join()
    log("joined")


@program(since=(3, 13), expected=["!QueueShutDown", "1", "2", "!QueueShutDown", "False", "True"])
async def shutdown_lets_the_items_be_taken():  # QSHUTDOWN-02
    q = Queue()
    q.put_nowait(1)
    q.put_nowait(2)
    q.shutdown()
    log(call(q.put_nowait, 3))
    log(await q.get())
    log(q.get_nowait())
    log(call(q.get_nowait))
    t = create_task(q.join())
    await tick()
    log(t.done())
    q.task_done()
    q.task_done()
    await tick(2)
    log(t.done())
