"""What newer Pythons do otherwise than older ones, restated, so that the programs show the newest behaviour (3.13 and
later bug fixes) on the interpreter that is there. Each piece says since when it is not needed."""
import asyncio
import asyncio.tasks
import sys

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


def install():
    """Puts all this in the place of asyncio's own."""
    if Task is not None:
        asyncio.tasks.Task = asyncio.Task = Task
    asyncio.tasks.gather = asyncio.gather = gather
