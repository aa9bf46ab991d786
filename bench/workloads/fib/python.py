"""fib on asyncio or uvloop: one child as a task, the other awaited in place."""
import asyncio
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2] / "support")
import bench  # noqa: E402


async def fib(n):
    if n < 2:
        return n
    left = asyncio.create_task(fib(n - 1))
    right = await fib(n - 2)
    return await left + right


def expected(n):
    current, following = 0, 1
    for _ in range(n):
        current, following = following, current + following
    return current


chosen = bench.options(__doc__, n=37)
answer, seconds = bench.run(fib(chosen.n), chosen)
bench.report("fib", 2 * expected(chosen.n + 1) - 1, answer, expected(chosen.n), seconds)
