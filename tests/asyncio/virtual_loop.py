"""An asyncio loop whose clock is virtual: integers, in milliseconds; it jumps to the next deadline when nothing is ready.

So a sleep of an hour costs nothing, and times can be printed and compared. What asyncio leaves to chance is fixed as
knit fixes it: equal deadlines fire in the order of insertion (CPython's heap is not stable), all_tasks() and TaskGroup
go through the tasks in the order of creation (CPython's sets are in none). What newer Pythons do otherwise than the one
that runs is restated in newer.py.
"""
import asyncio
import asyncio.base_events
import asyncio.events
import asyncio.runners
import asyncio.taskgroups
import asyncio.tasks
import heapq
import selectors
import weakref

import newer

# How long nothing may happen in real time: a thread may still bring something.
PATIENCE = 20

asyncio.base_events.MAXIMUM_SELECT_TIMEOUT = 10**15


class OrderedSet(dict):
    """A set that is gone through in the order of insertion."""

    def add(self, item):
        self[item] = None

    def discard(self, item):
        self.pop(item, None)


class FifoTimerHandle(asyncio.TimerHandle):
    """Equal deadlines in the order of insertion."""

    made = 0

    def __init__(self, *arguments):
        super().__init__(*arguments)
        FifoTimerHandle.made += 1
        self.sequence = FifoTimerHandle.made

    def __lt__(self, other):
        return (self._when, self.sequence) < (other._when, other.sequence)


class VirtualSelector(selectors.DefaultSelector):
    """Instead of waiting for a deadline it turns the clock to it."""

    clock = 0

    def select(self, timeout=None):
        if timeout is None:
            events = super().select(PATIENCE)
            if not events:
                raise RuntimeError("deadlock: nothing can run and nothing is due")
            return events
        if timeout <= 0:
            return super().select(0)
        events = super().select(0)
        if not events:
            self.clock += timeout
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.made = []  # weak references to the tasks
        self.selector = VirtualSelector()
        self.starts_eagerly = False
        super().__init__(self.selector)
        self._clock_resolution = 0.5

    def time(self):
        return self.selector.clock

    def call_at(self, when, callback, *arguments, context=None):
        if when is None:
            raise TypeError("when cannot be None")
        self._check_closed()
        timer = FifoTimerHandle(when, callback, arguments, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    def create_task(self, coro, **options):
        if self.starts_eagerly:
            self._check_closed()
            task = newer.EagerTask(coro, loop=self, **options)
        elif newer.Task is None:
            task = super().create_task(coro, **options)
        else:
            self._check_closed()
            task = newer.Task(coro, loop=self, **options)
        self.made.append(weakref.ref(task))
        return task


def all_tasks(loop=None):
    """asyncio.all_tasks(), in the order of creation."""
    loop = loop if loop is not None else asyncio.get_running_loop()
    loop.made = [made for made in loop.made if made() is not None and not made().done()]
    return OrderedSet.fromkeys(made() for made in loop.made)  # each once


def install():
    """Puts the virtual loop, and what goes with it, in the place of asyncio's own."""
    enter_group = asyncio.TaskGroup.__init__

    def enter_ordered_group(group):
        enter_group(group)
        group._tasks = OrderedSet()

    asyncio.TaskGroup.__init__ = enter_ordered_group
    asyncio.tasks.all_tasks = all_tasks
    newer.install()


install()


def run(main, *, debug=None):
    """asyncio.run() on a virtual loop."""
    if asyncio.events._get_running_loop() is not None:
        raise RuntimeError("run() cannot be called from a running event loop")
    with asyncio.Runner(debug=debug, loop_factory=VirtualLoop) as runner:
        return runner.run(main)
