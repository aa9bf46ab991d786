"""skynet on asyncio or uvloop: every node gathers ten tasks."""
import asyncio
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2] / "support")
import bench  # noqa: E402


async def skynet(number, leaves):
    if leaves == 1:
        return number
    share = leaves // 10
    return sum(await asyncio.gather(*(skynet(number + child * share, share) for child in range(10))))


chosen = bench.options(__doc__, leaves=1_000_000)
nodes, level = 0, chosen.leaves
while level > 0:
    nodes += level
    level //= 10
answer, seconds = bench.run(skynet(0, chosen.leaves), chosen)
bench.report("skynet", nodes, answer, chosen.leaves * (chosen.leaves - 1) // 2, seconds)
