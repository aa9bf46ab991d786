"""Random programs on what tasks share and wait by: locks, events, conditions, semaphores, barriers, deadlines, groups."""
from support import *

ACTS = 24
TASKS_MAX = 40


class World:
    def __init__(self, seed):
        self.random = Random(seed)
        self.budget = 70 + seed % 50
        self.is_closing = False
        self.tasks = []
        self.locks = [Lock(), Lock()]
        self.events = [Event(), Event()]
        self.semaphores = [Semaphore(1), Semaphore(2)]
        self.condition = Condition()
        self.barrier = Barrier(2)
        self.changes = 0

    def spend(self):
        self.budget -= 1
        return self.budget >= 0 and not self.is_closing


def failure_text(error):
    return "!CancelledError" if isinstance(error, CancelledError) else error_text(error, True)


async def outcome(awaitable):
    try:
        return show(await awaitable)
    except BaseException as error:
        return failure_text(error)


def state(future):
    if not future.done():
        return "pending"
    if future.cancelled():
        return "cancelled"
    if future.exception() is not None:
        return failure_text(future.exception())
    return show(future.result())


def add_task(world, depth, group=None):
    who = len(world.tasks)
    world.tasks.append((group or loop()).create_task(worker(world, who, depth)))
    log("  made", who)
    return world.tasks[who]


async def worker(world, who, depth):
    log(who, "starts")
    failure = None
    try:
        for _ in range(1 + world.random(5)):
            await act(world, who, depth)
        if world.random(8) == 0:
            raise Err(f"e{who}")
    except BaseException as error:
        failure = error
    if failure is not None:
        log(who, "hit by", failure_text(failure), me().cancelling(), now())
        await recover(world, who, failure)
    log(who, "returns")
    return who


async def recover(world, who, failure):
    choice = world.random(8)
    if choice == 0:
        log(who, "swallows")
        return
    if choice == 1:
        log(who, "uncancels", me().uncancel())
        return
    if choice == 2:
        await sleep(world.random(3))
        log(who, "cleaned up")
    if choice == 3:
        raise Err(f"other{who}")
    raise failure


async def act(world, who, depth):
    if not world.spend() or depth > 3:
        return
    choice = world.random(ACTS)
    log(who, "act", choice, now())
    if choice == 0:
        await sleep(0)
    elif choice == 1:
        await sleep(1 + world.random(3))
    elif choice <= 4:
        await use_lock(world, who, depth)
    elif choice <= 6:
        await use_semaphore(world, who, depth)
    elif choice <= 8:
        await use_event(world, who)
    elif choice <= 11:
        await use_condition(world, who)
    elif choice == 12:
        log(who, "barrier", world.barrier.n_waiting, await outcome(world.barrier.wait()))
    elif choice == 13:
        await limited(world, who, depth)
    elif choice == 14:
        await in_timeout(world, who, depth)
    elif choice <= 16:
        await in_group(world, who, depth)
    elif choice == 17:
        await shielded(world, who)
    elif choice == 18:
        await wait_some(world, who)
    else:
        poke(world, who, depth)


def poke(world, who, depth):
    if not world.spend():
        return
    task = world.random(len(world.tasks))
    choice = world.random(7)
    log(" ", who, "pokes", choice)
    if choice <= 1:
        log("  cancel", task, world.tasks[task].cancel())
    elif choice == 2:
        if len(world.tasks) < TASKS_MAX:
            add_task(world, depth + 1)
    elif choice == 3:
        world.events[0].set()
    elif choice == 4:
        world.events[1].clear()
    elif choice == 5:
        loop().call_later(world.random(3), poke, world, "later", depth)
    else:
        log("  look", world.locks[0].locked(), world.semaphores[1].locked(), world.condition.locked(),
            world.barrier.n_waiting, world.tasks[task].cancelling())


async def use_lock(world, who, depth):
    which = world.random(2)
    async with world.locks[which]:
        log(who, "has lock", which)
        await act(world, who, depth + 1)
        await sleep(world.random(2))
    log(who, "released lock", which)


async def use_semaphore(world, who, depth):
    which = world.random(2)
    async with world.semaphores[which]:
        log(who, "has semaphore", which)
        await act(world, who, depth + 1)
        await sleep(world.random(2))
    log(who, "released semaphore", which)


async def use_event(world, who):
    which = world.random(2)
    choice = world.random(4)
    log(who, "event", which, choice, world.events[which].is_set())
    if choice == 0:
        world.events[which].set()
    elif choice == 1:
        world.events[which].clear()
    else:
        await world.events[which].wait()
        log(who, "saw event", which, world.events[which].is_set())


async def use_condition(world, who):
    choice = world.random(5)
    async with world.condition:
        log(who, "in condition", choice)
        if choice <= 1:
            await world.condition.wait()
            log(who, "notified", world.changes, world.condition.locked())
        elif choice == 2:
            wanted = world.changes + 1
            await world.condition.wait_for(lambda: world.changes >= wanted)
            log(who, "saw change", world.changes)
        elif choice == 3:
            world.changes += 1
            world.condition.notify(1 + world.random(2))
        else:
            world.changes += 1
            world.condition.notify_all()
    log(who, "left condition")


async def limited(world, who, depth):
    limit = world.random(4) - 1
    choice = world.random(4)
    log(who, "limit", limit, choice)
    if choice == 0:
        text = await outcome(wait_for(world.events[world.random(2)].wait(), limit))
    elif choice == 1:
        text = await outcome(wait_for(nested(world, who, depth), limit))
    elif choice == 2 and len(world.tasks) > who + 1:
        text = await outcome(wait_for(later_task(world, who), limit))
    else:
        text = await outcome(wait_for(sleep(world.random(3), who), limit))
    log(who, "in time", text, me().cancelling(), now())


def later_task(world, who):
    """One that cannot await this one."""
    which = who + 1 + world.random(len(world.tasks) - who - 1)
    log("  takes", which)
    return world.tasks[which]


async def nested(world, who, depth):
    await act(world, who, depth + 1)
    await act(world, who, depth + 1)
    return who


async def in_timeout(world, who, depth):
    limit = world.random(5) - 1
    try:
        async with timeout(limit) as scope:
            await act(world, who, depth + 1)
            if world.random(3) == 0:
                scope.reschedule(now() + world.random(3))
            await nested(world, who, depth)
    except TimeoutError:
        log(who, "too late", me().cancelling(), now())
    log(who, "expired", scope.expired())


async def in_group(world, who, depth):
    log(who, "enters a group")

    async def block():
        async with TaskGroup() as group:
            for _ in range(1 + world.random(3)):
                if len(world.tasks) < TASKS_MAX:
                    add_task(world, depth + 1, group)
            await act(world, who, depth + 1)
            log(who, "body ends")
        return who

    if world.random(2):
        log(who, "group", await outcome(block()), me().cancelling())
    else:
        await block()
        log(who, "left the group")


async def shielded(world, who):
    if len(world.tasks) <= who + 1:
        return
    inner = later_task(world, who)
    if world.random(2):
        log(who, "shield", await outcome(wait_for(shield(inner), 1 + world.random(3))))
    else:
        log(who, "shield", await outcome(shield(inner)))


async def wait_some(world, who):
    later = range(who + 1, len(world.tasks))
    if not later:
        return
    picked = [world.tasks[which] for which in later][:3]
    how = [FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED][world.random(3)]
    limit = [None, 1, 2][world.random(3)]
    done, pending = await wait(picked, timeout=limit, return_when=how)
    log(who, "waited", len(done), len(pending), now())


async def main(world):
    for _ in range(4):
        add_task(world, 0)
    await sleep(4 + world.random(6))
    log("main ends", now())
    world.is_closing = True
    if world.random(2):
        return  # what is left, run() ends
    await tick(2)
    for _ in range(3):
        log([task.cancel() for task in world.tasks])
        await sleep(3)
    await outcome(gather(*world.tasks, return_exceptions=True))


@program
def shared():
    for seed in seeds():
        log("seed", seed)
        world = World(seed)
        run(main(world))
        log([state(task) for task in world.tasks])
        log(world.locks[0].locked(), world.locks[1].locked(), world.semaphores[0].locked(),
            world.semaphores[1].locked(), world.condition.locked())
