"""Random trees of what waits for others: gathers in deadlines in groups in shields ..., and cancellations from outside."""
from support import *

KINDS = 20


class World:
    def __init__(self, seed, is_eager):
        self.random = Random(seed)
        self.is_eager = is_eager
        self.nodes = 0
        self.tasks = []
        self.futures = []
        self.lock = Lock()


def failure_text(error):
    return "!CancelledError" if isinstance(error, CancelledError) else error_text(error, True)


async def outcome(awaitable):
    try:
        return show(await awaitable)
    except BaseException as error:
        return failure_text(error)


def result_text(result):
    return failure_text(result) if isinstance(result, BaseException) else result


async def node(world, name):
    """One node and what is below it."""
    world.nodes += 1
    depth = len(name)
    kind = world.random(KINDS) if depth < 5 and world.nodes < 60 else world.random(5)
    if world.is_eager and kind == 15:
        kind = 5  # as_completed() of tasks that are done takes them in no order
    log(name, kind, now())
    try:
        value = await LEAVES[kind](world, name) if kind < 5 else await BRANCHES[kind - 5](world, name)
    except BaseException as error:
        log(name, "ends by", failure_text(error), me().cancelling(), now())
        raise
    log(name, "gives", value, now())
    return value


def children(world, name, most=3):
    return [node(world, name + str(place)) for place in range(1 + world.random(most))]


def start(world, coro, group=None):
    world.tasks.append((group or loop()).create_task(coro))
    return world.tasks[-1]


async def sleeps(world, name):
    await sleep(world.random(4))
    return name


async def turns(world, name):
    await tick(1 + world.random(3))
    return name


async def awaits_future(world, name):
    which = world.random(len(world.futures))
    return name + show(await world.futures[which])


async def fails(world, name):
    await sleep(world.random(2))
    raise Err(name)


async def returns(world, name):
    return name


async def gathers(world, name):
    return "+".join(await gather(*children(world, name)))


async def gathers_errors(world, name):
    return "+".join([result_text(one) for one in await gather(*children(world, name), return_exceptions=True)])


async def waits_for(world, name):
    limit = world.random(5)
    return await wait_for(node(world, name + "w"), limit)


async def shields(world, name):
    return await shield(node(world, name + "s"))


async def limits(world, name):
    try:
        async with timeout(world.random(5)):
            first = await node(world, name + "a")
            return first + await node(world, name + "b")
    except TimeoutError:
        return name + "late"


async def groups(world, name):
    async with TaskGroup() as group:
        tasks = [start(world, child, group) for child in children(world, name)]
        value = await node(world, name + "g")
    return value + "".join([task.result() for task in tasks if not task.cancelled()])


async def catches(world, name):
    return await outcome(node(world, name + "c"))


async def awaits_task(world, name):
    return await start(world, node(world, name + "t"))


async def cleans(world, name):
    try:
        return await node(world, name + "f")
    finally:
        await sleep(world.random(2))
        log(name, "cleaned")


async def waits_some(world, name):
    tasks = [start(world, child) for child in children(world, name)]
    how = [FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED][world.random(3)]
    limit = [None, 1, 3][world.random(3)]
    done, pending = await wait(tasks, timeout=limit, return_when=how)
    log(name, [task in done for task in tasks])
    for task in tasks:
        if task in pending:
            task.cancel()
    return "+".join([result_text(one) for one in await gather(*tasks, return_exceptions=True)])


async def completes(world, name):
    tasks = [start(world, child) for child in children(world, name)]
    values = []
    for next_one in as_completed(tasks, timeout=[None, 2][world.random(2)]):
        values.append(await outcome(next_one))
    return "+".join(values)


async def locks(world, name):
    async with world.lock:
        return await node(world, name + "l")


async def swallows(world, name):
    try:
        return await node(world, name + "x")
    except CancelledError:
        log(name, "swallows", me().uncancel())
        return name


async def limited_group(world, name):
    async def body():
        async with TaskGroup() as group:
            for child in children(world, name, 2):
                start(world, child, group)
        return name

    return await wait_for(body(), 1 + world.random(3))


async def limited_shield(world, name):
    return await outcome(wait_for(shield(start(world, node(world, name + "z"))), world.random(3)))


LEAVES = (sleeps, turns, awaits_future, fails, returns)
BRANCHES = (gathers, gathers_errors, waits_for, shields, limits, groups, catches, awaits_task, cleans, waits_some,
            completes, locks, swallows, limited_group, limited_shield)


def disturb(world):
    """Something from outside: a task is cancelled or a future is settled."""
    which = world.random(len(world.tasks))
    if world.random(2):
        log("disturb", which, world.tasks[which].cancel())
        return
    future = world.futures[which % 3]
    log("settle", which % 3, future.done())
    if not future.done():
        future.set_result(which)


async def main(world):
    set_eager_start(world.is_eager)
    world.futures = [fut() for _ in range(3)]
    roots = [start(world, node(world, name)) for name in "PQR"]
    for _ in range(5):
        loop().call_later(world.random(6), disturb, world)
    await sleep(4)
    await tick(world.random(3))
    if world.random(3) == 0:
        log("main leaves", now())
        return
    for future in world.futures:
        if not future.done():
            future.set_result(9)
    done, pending = await wait(roots, timeout=20)
    log(len(done), len(pending), now())  # a tree may wait for itself at the lock


def run_seeds(is_eager):
    for seed in seeds():
        log("seed", seed)
        world = World(seed, is_eager)
        run(main(world))
        log([result_text(task.exception() or task.result()) if not task.cancelled() else "cancelled"
             for task in world.tasks])


@program
def trees():
    run_seeds(False)


@program
def eager_trees():
    run_seeds(True)
