"""Options, the line of figures and the choice of asyncio or uvloop for the Python peers, as in args.hpp, report.hpp."""
import argparse
import asyncio
import pathlib
import re
import resource
import signal
import sys
import time


def options(description, **numbers):
    """Whole-number options with their defaults, and those that every Python peer has."""
    parser = argparse.ArgumentParser(description=description)
    for name, fallback in numbers.items():
        parser.add_argument("--" + name, type=int, default=fallback)
    parser.add_argument("--loops", type=int, default=1, choices=[1], help="Python has one")
    parser.add_argument("--uvloop", action="store_true", help="on uvloop instead of asyncio's own loop")
    return parser.parse_args()


def resident_most():
    """Not ru_maxrss, which begins with what the process that started this one held."""
    return re.search(r"VmHWM:\s*(\d+)", pathlib.Path("/proc/self/status").read_text()).group(1)


def run(coroutine, chosen):
    """Runs it on the loop chosen and gives its result and the seconds taken."""
    if chosen.uvloop:
        import uvloop
        uvloop.install()
    started = time.perf_counter()
    return asyncio.run(coroutine), time.perf_counter() - started


def report(name, tasks, answer, expected, seconds):
    """Prints the line of a workload and ends the process, with status 1 when the answer is wrong."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"workload={name} loops=1 seconds={seconds:.6f} tasks={tasks} ns_per_task={seconds * 1e9 / tasks:.2f} "
          f"answer={answer} cpu_seconds={used.ru_utime + used.ru_stime:.6f} max_rss_kib={resident_most()}")
    if answer != expected:
        print(f"error: {name}: the answer is {answer}, it should be {expected}", file=sys.stderr)
    sys.exit(answer != expected)


def serve(protocol, chosen, counted):
    """Serves with protocols of asyncio until SIGTERM, then prints what was used; `counted` holds the requests."""
    async def until_stopped():
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopped.set)
        server = await loop.create_server(protocol, "127.0.0.1", chosen.port, backlog=4096)
        print("listening", server.sockets[0].getsockname()[1], flush=True)
        await stopped.wait()

    run(until_stopped(), chosen)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"user_us={used.ru_utime * 1e6:.0f} system_us={used.ru_stime * 1e6:.0f} max_rss_kib={resident_most()} "
          f"requests={counted[0]}")
