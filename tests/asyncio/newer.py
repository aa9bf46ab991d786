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

else:
    Task = None


def install():
    if Task is not None:
        asyncio.tasks.Task = asyncio.Task = Task
