"""files on asyncio or uvloop: pread() by to_thread(), with one thread."""
import asyncio
import concurrent.futures
import os
import pathlib
import sys
import tempfile

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[2] / "support")
import bench  # noqa: E402

BLOCK = BLOCKS = 4096


def block_of(number):
    return number * 2_654_435_761 % BLOCKS


async def read_some(descriptor, numbers):
    total = 0
    for number in numbers:
        content = await asyncio.to_thread(os.pread, descriptor, BLOCK, block_of(number) * BLOCK)
        total += int.from_bytes(content[:8], "little") if len(content) == BLOCK else -1
    return total


async def read_all(descriptor, tasks, reads):
    asyncio.get_running_loop().set_default_executor(concurrent.futures.ThreadPoolExecutor(1))
    return sum(await asyncio.gather(*(read_some(descriptor, range(first, reads, tasks)) for first in range(tasks))))


chosen = bench.options(__doc__, reads=200_000, tasks=64)
with tempfile.TemporaryFile(buffering=0) as made:
    for block in range(BLOCKS):
        made.write(block.to_bytes(8, "little") + bytes(BLOCK - 8))
    answer, seconds = bench.run(read_all(made.fileno(), chosen.tasks, chosen.reads), chosen)
bench.report("files", chosen.reads, answer, sum(block_of(number) for number in range(chosen.reads)), seconds)
