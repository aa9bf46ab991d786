"""channel on asyncio or uvloop: a Queue, four tasks on either side."""
import asyncio
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2] / "support")
import bench  # noqa: E402

SIDES = 4


async def produce(channel, first, items):
    for item in range(first, items + 1, SIDES):
        await channel.put(item)


async def consume(channel):
    total = 0
    while item := await channel.get():
        total += item
    return total


async def carry(items):
    channel = asyncio.Queue(64)
    producers = [asyncio.create_task(produce(channel, side + 1, items)) for side in range(SIDES)]
    consumers = [asyncio.create_task(consume(channel)) for _ in range(SIDES)]
    await asyncio.gather(*producers)
    for _ in range(SIDES):
        await channel.put(0)
    return sum(await asyncio.gather(*consumers))


chosen = bench.options(__doc__, items=1_000_000)
answer, seconds = bench.run(carry(chosen.items), chosen)
bench.report("channel", chosen.items, answer, chosen.items * (chosen.items + 1) // 2, seconds)
