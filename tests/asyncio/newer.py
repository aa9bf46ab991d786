"""What newer Pythons do otherwise than older ones, restated, so that the programs show the newest behaviour (3.13 and
later bug fixes) on the interpreter that is there. Each piece says since when it is not needed."""
import asyncio
import asyncio.locks
import asyncio.taskgroups
import asyncio.tasks
import collections
import sys
import weakref

# Below 3.13: uncancel() to zero takes back the request that has not been delivered yet.
if sys.version_info < (3, 13):

    class Task(asyncio.tasks._PyTask):
        def uncancel(self):
            if self._num_cancels_requested > 0:
                self._num_cancels_requested -= 1
                if self._num_cancels_requested == 0:
                    self._must_cancel = False
            return self._num_cancels_requested

        def result(self):
            if not self.done():
                raise asyncio.InvalidStateError("Result is not set.")  # the text of the C implementation
            return super().result()

else:
    Task = None


# Below 3.12: a task that starts in create_task(), not at the next turn.
class EagerTask(Task or asyncio.Task):
    def __init__(self, coro, *, loop, **options):
        if sys.version_info >= (3, 12):
            super().__init__(coro, loop=loop, eager_start=True, **options)
            return
        first_step = []
        gathers = vars(loop).pop("call_soon", None)  # gather()'s, below
        loop.call_soon = lambda step, *arguments, context: first_step.extend((context.run, step, *arguments))
        try:
            super().__init__(coro, loop=loop, **options)
        finally:
            del loop.call_soon
        loop.made.append(weakref.ref(self))  # for all_tasks(); it is listed while it starts
        creator = asyncio.current_task(loop)
        if creator is not None:
            asyncio.tasks._leave_task(loop, creator)
        try:
            first_step[0](*first_step[1:])
        finally:
            if creator is not None:
                asyncio.tasks._enter_task(loop, creator)
            if gathers is not None:
                loop.call_soon = gathers


# Below 3.12: gather() counts children that are done already at once, not in a callback of the next turn.
if sys.version_info < (3, 12):
    later_gather = asyncio.gather

    def gather(*awaitables, return_exceptions=False):
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return later_gather(*awaitables, return_exceptions=return_exceptions)
        at_once = []

        def call_soon(callback, *arguments, context=None):
            if getattr(callback, "__name__", "") == "_done_callback":
                at_once.append((callback, arguments))
                return None
            return type(loop).call_soon(loop, callback, *arguments, context=context)

        loop.call_soon = call_soon
        try:
            outer = later_gather(*awaitables, return_exceptions=return_exceptions)
        finally:
            del loop.call_soon
        for callback, arguments in at_once:
            callback(*arguments)
        return outer

else:
    gather = asyncio.gather


# Below 3.12: a deadline gives back its own request only, whatever the task was asked before; wait_for() runs what it
# awaits in the current task.
if sys.version_info < (3, 12):

    class Timeout:
        def __init__(self, when):
            self.deadline = when
            self.state = "created"
            self.handle = None

        def when(self):
            return self.deadline

        def expired(self):
            return self.state in ("expiring", "expired")

        def reschedule(self, when):
            if self.state == "created":
                raise RuntimeError("Timeout has not been entered")
            if self.state != "active":
                raise RuntimeError(f"Cannot change state of {self.state} Timeout")
            self.deadline = when
            if self.handle is not None:
                self.handle.cancel()
                self.handle = None
            if when is not None:
                loop = asyncio.get_running_loop()
                if when <= loop.time():
                    self.handle = loop.call_soon(self.fire)
                else:
                    self.handle = loop.call_at(when, self.fire)

        def fire(self):
            self.task.cancel()
            self.state = "expiring"
            self.handle = None

        async def __aenter__(self):
            if self.state != "created":
                raise RuntimeError("Timeout has already been entered")
            self.task = asyncio.current_task()
            if self.task is None:
                raise RuntimeError("Timeout should be used inside a task")
            self.requests = self.task.cancelling()
            self.state = "active"
            self.reschedule(self.deadline)
            return self

        async def __aexit__(self, kind, error, _):
            if self.handle is not None:
                self.handle.cancel()
                self.handle = None
            if self.state == "active":
                self.state = "finished"
            elif self.state == "expiring":
                self.state = "expired"
                own_alone = self.task.uncancel() <= self.requests
                if own_alone and kind is not None and issubclass(kind, asyncio.CancelledError):
                    raise TimeoutError from error

    def timeout(delay):
        return Timeout(None if delay is None else asyncio.get_running_loop().time() + delay)

    async def wait_for(awaitable, limit):
        if limit is None or limit > 0:
            async with timeout(limit):
                return await awaitable
        future = asyncio.ensure_future(awaitable)
        if future.done():
            return future.result()
        await asyncio.tasks._cancel_and_wait(future, loop=asyncio.get_running_loop())
        try:
            return future.result()
        except asyncio.CancelledError as error:
            raise TimeoutError from error

    asyncio.timeout, asyncio.timeout_at, asyncio.wait_for = timeout, Timeout, wait_for


# Below 3.13: the end of a group takes its own request back after the tasks have ended, and keeps one from outside due.
if sys.version_info < (3, 13):

    class TaskGroup(asyncio.TaskGroup):
        def create_task(self, coro, **options):
            task = super().create_task(coro, **options)
            if task.done() and not task.cancelled() and task.exception() is None:
                self._tasks.discard(task)  # over in its eager first step: no turn is spent on it (3.12, 3.13)
            return task

        async def __aexit__(self, kind, error, _):
            self._exiting = True
            if error is not None and self._is_base_error(error) and self._base_error is None:
                self._base_error = error
            cancelled = error if isinstance(error, asyncio.CancelledError) else None
            if error is not None and not self._aborting:
                self._abort()
            while self._tasks:
                self._on_completed_fut = self._on_completed_fut or self._loop.create_future()
                try:
                    await self._on_completed_fut
                except asyncio.CancelledError as request:
                    if not self._aborting:
                        cancelled = request
                        self._abort()
                self._on_completed_fut = None
            if self._base_error is not None:
                raise self._base_error
            parent = self._parent_task
            if self._parent_cancel_requested and parent.uncancel() == 0:
                cancelled = None
            if cancelled is not None and not self._errors:
                raise cancelled
            if error is not None and not isinstance(error, asyncio.CancelledError):
                self._errors.append(error)
            if self._errors:
                if parent.cancelling():
                    parent.uncancel()
                    parent.cancel()
                raise BaseExceptionGroup("unhandled errors in a TaskGroup", self._errors) from None

    asyncio.TaskGroup = asyncio.taskgroups.TaskGroup = TaskGroup

    class Condition(asyncio.Condition):
        # A waiter that was notified and leaves by an error passes the notification on, and the error keeps its message.
        async def wait(self):
            if not self.locked():
                raise RuntimeError("cannot wait on un-acquired lock")
            turn = self._get_loop().create_future()
            self.release()
            error = None
            self._waiters.append(turn)
            try:
                await turn
            except BaseException as raised:
                error = raised
            self._waiters.remove(turn)
            while True:
                try:
                    await self.acquire()
                    break
                except asyncio.CancelledError as raised:
                    error = raised
            if error is not None:
                self.pass_on()
                raise error
            return True

        def pass_on(self):
            for turn in self._waiters:
                if not turn.done():
                    turn.set_result(False)
                    break

    class Semaphore(asyncio.Semaphore):
        # Whoever leaves the line lets as many in as may come.
        async def acquire(self):
            if not self.locked():
                self._value -= 1
                return True
            if self._waiters is None:
                self._waiters = collections.deque()
            turn = self._get_loop().create_future()
            self._waiters.append(turn)
            try:
                try:
                    await turn
                finally:
                    self._waiters.remove(turn)
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._value += 1
                raise
            finally:
                while self._value > 0 and any(not waiting.done() for waiting in self._waiters):
                    self._wake_up_next()
            return True

    class BoundedSemaphore(Semaphore):
        def __init__(self, value=1):
            super().__init__(value)
            self._bound_value = value

        def release(self):
            if self._value >= self._bound_value:
                raise ValueError("BoundedSemaphore released too many times")
            super().release()

    asyncio.Condition = asyncio.locks.Condition = Condition
    asyncio.Semaphore, asyncio.BoundedSemaphore = Semaphore, BoundedSemaphore


def install():
    """Puts all this in the place of asyncio's own."""
    if Task is not None:
        asyncio.tasks.Task = asyncio.Task = Task
    asyncio.tasks.gather = asyncio.gather = gather
