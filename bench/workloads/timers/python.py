"""timers on asyncio or uvloop: call_later() and the handle's cancel()."""
import asyncio
import pathlib
import sys
import time

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2] / "support")
import bench  # noqa: E402

wrong = 0


def fire():
    global wrong
    wrong += 1


async def churn(outstanding, operations):
    global wrong
    loop = asyncio.get_running_loop()

    def set_timer(number):
        return loop.call_later(3600 + number * 2_654_435_761 % 3_600_000_000 / 1e6, fire)

    timers = [set_timer(number) for number in range(outstanding)]
    started = time.perf_counter()
    for number in range(operations):
        oldest = number % outstanding
        timers[oldest].cancel()
        wrong += not timers[oldest].cancelled()
        timers[oldest] = set_timer(outstanding + number)
        if number % 64 == 0:
            await asyncio.sleep(0)
    return time.perf_counter() - started


chosen = bench.options(__doc__, outstanding=10_000, operations=100_000)
taken, _ = bench.run(churn(chosen.outstanding, chosen.operations), chosen)
bench.report("timers", chosen.operations, wrong, 0, taken)
