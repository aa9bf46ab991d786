"""Random producers and consumers. One of each at a time at a queue: in knit nobody overtakes a woken one, in CPython a
third may."""
from support import *


class World:
    def __init__(self, seed):
        self.random = Random(seed)
        self.queues = [Queue(), Queue(1), LifoQueue(2), PriorityQueue(2)]
        self.tasks = []
        self.items = 0
        self.is_closing = False


async def produces(world, which):
    queue = world.queues[which]
    for _ in range(2 + world.random(5)):
        world.items += 1
        item = world.random(5) * 100 + world.items
        limit = [None, 1, 2][world.random(3)]
        try:
            await wait_for(queue.put(item), limit)
            log("put", which, item, queue.qsize(), now())
        except TimeoutError:
            log("no room", which, item, queue.full(), now())
        await pause(world)
    log("producer ends", which)


async def consumes(world, which):
    queue = world.queues[which]
    while True:
        limit = [None, 1, 3][world.random(3)]
        try:
            item = await wait_for(queue.get(), limit)
            log("got", which, item, queue.qsize(), now())
            if world.random(4):
                await pause(world)
            queue.task_done()
        except TimeoutError:
            log("nothing", which, queue.empty(), now())


async def joins(world, which):
    log("joins", which)
    await world.queues[which].join()
    log("joined", which, now())


async def pause(world):
    choice = world.random(4)
    if choice == 1:
        await tick()
    elif choice > 1:
        await sleep(choice - 1)


async def keeps(world, role, which):
    """Starts the role again each time that it has ended."""
    for _ in range(3):
        if world.is_closing:
            return
        task = create_task(role(world, which))
        world.tasks.append(task)
        log(role.__name__, which, await got(task))


def disturb(world):
    which = world.random(len(world.tasks))
    log("cancel", which, world.tasks[which].cancel())


async def main(world):
    keepers = [create_task(keeps(world, role, which)) for which in range(4) for role in (produces, consumes, joins)]
    for _ in range(8):
        await sleep(world.random(3))
        disturb(world)
    await sleep(5)
    world.is_closing = True
    for task in world.tasks + keepers:
        task.cancel()
    await gather(*keepers, return_exceptions=True)
    log([queue.qsize() for queue in world.queues], now())


@program
def producers_and_consumers():
    for seed in seeds():
        log("seed", seed)
        run(main(World(seed)))
