"""pingpong on asyncio or uvloop: two tasks and two queues that hold one item."""
import asyncio
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2] / "support")
import bench  # noqa: E402


async def answer_all(source, target, trips):
    for _ in range(trips):
        await target.put(await source.get() + 1)


async def play(trips):
    there, back = asyncio.Queue(1), asyncio.Queue(1)
    other = asyncio.create_task(answer_all(there, back, trips))
    value = 0
    for _ in range(trips):
        await there.put(value + 1)
        value = await back.get()
    await other
    return value


chosen = bench.options(__doc__, trips=1_000_000)
answer, seconds = bench.run(play(chosen.trips), chosen)
bench.report("pingpong", chosen.trips, answer, 2 * chosen.trips, seconds)
