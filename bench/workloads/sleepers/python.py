"""sleepers on asyncio or uvloop: a task each."""
import asyncio
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2] / "support")
import bench  # noqa: E402


async def sleep_once(delay):
    await asyncio.sleep(delay)
    return 1


async def sleep_all(tasks, shortest):
    return sum(await asyncio.gather(*(sleep_once(shortest * (1 + index / tasks)) for index in range(tasks))))


chosen = bench.options(__doc__, tasks=1000, ms=10)
answer, seconds = bench.run(sleep_all(chosen.tasks, chosen.ms / 1000), chosen)
bench.report("sleepers", chosen.tasks, answer, chosen.tasks, seconds)
