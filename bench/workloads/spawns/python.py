"""spawns on asyncio or uvloop: the tasks are awaited in turn."""
import asyncio
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2] / "support")
import bench  # noqa: E402


async def small(index):
    return index % 10


async def start_all(count):
    tasks = [asyncio.create_task(small(index)) for index in range(count)]
    total = 0
    for task in tasks:
        total += await task
    return total


chosen = bench.options(__doc__, tasks=1_000_000)
answer, seconds = bench.run(start_all(chosen.tasks), chosen)
rest = chosen.tasks % 10
bench.report("spawns", chosen.tasks, answer, chosen.tasks // 10 * 45 + rest * (rest - 1) // 2, seconds)
