"""Random programs: a generator decides what each task does next, so that the first event out of order shows."""
from support import *

ACTS = 16
POKES = 12
TASKS_MAX = 40


class World:
    def __init__(self, seed):
        self.random = Random(seed)
        self.budget = 60 + seed % 60
        self.is_closing = False
        self.tasks = []
        self.futures = []
        self.gathers = []  # (lowest task in it, the gather)
        self.handles = []
        self.values = 0

    def next_value(self):
        self.values += 1
        return self.values

    def spend(self):
        """Whether there is anything left to be done."""
        self.budget -= 1
        return self.budget >= 0 and not self.is_closing


def failure_text(error):
    # No message of a CancelledError: CPython gives it to the first who asks alone.
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


def add_task(world, depth):
    who = len(world.tasks)
    world.tasks.append(None)  # until an eager start is over
    world.tasks[who] = create_task(worker(world, who, depth))
    log("  made", who)
    return world.tasks[who]


async def worker(world, who, depth):
    log(who, "starts")
    failure = None
    try:
        for _ in range(1 + world.random(5)):
            await act(world, who, depth)
        if world.random(6) == 0:
            raise Err(f"e{who}")
    except BaseException as error:
        failure = error
    if failure is not None:
        log(who, "hit by", failure_text(failure), now())
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


def poke(world, who, depth):
    """Something that does not wait; also done by callbacks."""
    if not world.spend():
        return
    choice = world.random(POKES)
    task = world.random(len(world.tasks))
    future = world.random(len(world.futures))
    log(" ", who, "pokes", choice)
    if world.tasks[task] is None:
        log("  starting", task)
    elif choice in (0, 1):
        log("  cancel", task, world.tasks[task].cancel())
    elif choice in (2, 3):
        settle(world, future)
    elif choice == 4:
        if len(world.tasks) < TASKS_MAX:
            add_task(world, depth + 1)
    elif choice == 5:
        world.handles.append(loop().call_soon(poke, world, f"soon{world.next_value()}", depth))
    elif choice == 6:
        delay = world.random(3)
        world.handles.append(loop().call_later(delay, poke, world, f"later{world.next_value()}", depth))
    elif choice == 7:
        if world.handles:
            handle = world.random(len(world.handles))
            log("  drop", handle, world.handles[handle].cancelled())
            world.handles[handle].cancel()
    elif choice == 8:
        if world.gathers:
            which = world.random(len(world.gathers))
            log("  cancel gather", which, world.gathers[which][1].cancel())
    elif choice == 9:
        log("  state", task, state(world.tasks[task]), world.tasks[task].cancelling())
        if world.random(4) == 0:
            log("  uncancel", task, world.tasks[task].uncancel())
    elif choice == 10:
        add_callback(world, world.tasks[task] if world.random(2) == 0 else world.futures[future], depth)
    else:
        log("  tasks", len(all_tasks()), now())


def settle(world, which):
    future = world.futures[which]
    how = world.random(4)
    log("  settle", which, how, future.done())
    if future.done():
        world.futures[which] = fut()
    elif how == 0:
        log("  cancelled", future.cancel())
    elif how == 1:
        future.set_exception(Err(f"f{which}"))
    else:
        future.set_result(world.next_value())


def add_callback(world, future, depth):
    name = f"cb{world.next_value()}"

    def called(settled):
        if world.is_closing:
            return
        log(" ", name, state(settled))
        poke(world, name, depth)

    future.add_done_callback(called)


def pick(world, who):
    """A task that cannot await this one, or a future."""
    later = len(world.tasks) - who - 1
    which = world.random(later + len(world.futures))
    if which < later:
        log("  takes task", who + 1 + which)
        return who + 1 + which, world.tasks[who + 1 + which]
    log("  takes future", which - later)
    return TASKS_MAX, world.futures[which - later]


def pick_some(world, who, depth):
    count = 1 + world.random(3)
    lowest, picked = TASKS_MAX, []
    for _ in range(count):
        if world.random(2) == 0 and len(world.tasks) < TASKS_MAX:
            lowest = min(lowest, len(world.tasks))
            picked.append(add_task(world, depth + 1))
        else:
            which, future = pick(world, who)
            lowest = min(lowest, which)
            picked.append(future)
    return lowest, picked


async def act(world, who, depth):
    if not world.spend() or depth > 4:
        return
    choice = world.random(ACTS)
    log(who, "act", choice, now())
    if choice <= 1:
        await sleep(0)
        log(who, "turned")
    elif choice == 2:
        await sleep(1 + world.random(3))
        log(who, "slept", now())
    elif choice == 3:
        _, future = pick(world, who)
        log(who, "got", await outcome(future))
    elif choice == 4:
        _, future = pick(world, who)
        log(who, "value", await future)
    elif choice == 5:
        which = world.random(len(world.futures))
        log(who, "awaits future", which)
        log(who, "future", await world.futures[which])
    elif choice == 6:
        _, picked = pick_some(world, who, depth)
        log(who, "gathered", await gather(*picked))
    elif choice == 7:
        _, picked = pick_some(world, who, depth)
        log(who, "all", [show(one) if isinstance(one, int) else failure_text(one)
                         for one in await gather(*picked, return_exceptions=True)])
    elif choice == 8:
        lowest, picked = pick_some(world, who, depth)
        world.gathers.append((lowest, gather(*picked)))
        if world.random(2) == 0:
            log(who, "gather", await outcome(world.gathers[-1][1]))
    elif choice == 9:
        await act_on_gather(world, who)
    elif choice == 10:
        log(who, "inline", await outcome(nested(world, who, depth)))
    elif choice == 11:
        await nested(world, who, depth)
    elif choice == 12 and len(world.tasks) < TASKS_MAX:
        log(who, "child", await add_task(world, depth + 1))
    else:
        poke(world, who, depth)


async def act_on_gather(world, who):
    if not world.gathers:
        return
    which = world.random(len(world.gathers))
    lowest, future = world.gathers[which]
    log(who, "gather", which, state(future))
    if lowest > who:
        log(who, "awaited", await outcome(future))


async def nested(world, who, depth):
    await act(world, who, depth + 1)
    poke(world, who, depth)
    await act(world, who, depth + 1)
    return who


async def main(world, is_eager=False):
    set_eager_start(is_eager)
    for _ in range(3):
        world.futures.append(fut())
    for _ in range(3):
        add_task(world, 0)
    if world.random(2) == 0:
        await tick(5 + world.random(20))
    else:
        await sleep(3 + world.random(6))
    ending = world.random(3)
    log("main ends", ending, now())
    world.is_closing = True
    if ending == 0:
        log([task.cancel() for task in world.tasks])
        await outcome(gather(*world.tasks))
    elif ending == 1:
        for future in world.futures:
            future.cancel()
        await tick(10)
        log(len(all_tasks()))


def run_seeds(is_eager):
    for seed in seeds():
        log("seed", seed)
        world = World(seed)
        run(main(world, is_eager))
        log([state(task) for task in world.tasks])
        log([state(gather) for _, gather in world.gathers])


@program
def core():
    run_seeds(False)


@program
def eager():
    run_seeds(True)
