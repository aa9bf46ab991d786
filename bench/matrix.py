"""What tools/bench measures: workloads, the runtimes that each is stated for, sizes, and the cases that follow."""
import dataclasses
import pathlib
import typing

import cases
import peers

# How long a runtime takes for a task decides how many it gets; figures are per task, so they compare all the same.
SPEEDS = {"go": "middle", "tokio": "middle", "asyncio": "slow", "uvloop": "slow"}


@dataclasses.dataclass(frozen=True)
class Workload:
    """`options`: by size of run and speed of the runtime. `points`: more options, by what grows, for the curves."""

    title: str
    kind: str  # cpu (more loops are meant to help), tasks, io
    runtimes: typing.Tuple[typing.Tuple[str, str], ...]  # key, form
    options: dict
    unit: str = "ns/task"
    figure: str = "ns_per_task"
    loops_most: int = 1024
    single: typing.Tuple[str, ...] = ()  # runtimes that have but one loop for it
    points: typing.Optional[dict] = None
    probe: typing.Optional[typing.Tuple[list, list, int]] = None  # options, more of them, operations between


def on(*keys):
    return tuple(tuple(key.split(":")) if ":" in key else (key, "") for key in keys)


WORKLOADS = {
    "fib": Workload("fib, a task for each call", "cpu", on("knit:fork", "knit:both", "serial", "tbb", "rayon", "go",
                                                           "tokio", "asyncio", "uvloop"),
                    {"full": {"fast": ["--n", 37], "both": ["--n", 33], "middle": ["--n", 29], "slow": ["--n", 24]},
                     "quick": {"fast": ["--n", 32], "both": ["--n", 27], "middle": ["--n", 24], "slow": ["--n", 18]}},
                    probe=(["--n", 15], ["--n", 20], 19_918)),
    "skynet": Workload("skynet, ten children a node", "cpu", on("knit:fork", "knit:tasks", "serial", "tbb", "rayon",
                                                                "go", "tokio", "asyncio", "uvloop"),
                       {"full": {"fast": ["--leaves", 10**8], "tasks": ["--leaves", 10**7],
                                 "middle": ["--leaves", 10**6], "slow": ["--leaves", 10**5]},
                        "quick": {"fast": ["--leaves", 10**6], "middle": ["--leaves", 10**5],
                                  "slow": ["--leaves", 10**4]}},
                       probe=(["--leaves", 100], ["--leaves", 10_000], 11_000)),
    "nqueens": Workload("nqueens, a task for each board", "cpu",
                        on("knit:fork", "knit:tasks", "serial", "tbb", "rayon", "go"),
                        {"full": {"fast": ["--n", 14], "tasks": ["--n", 12], "middle": ["--n", 12]},
                         "quick": {"fast": ["--n", 11], "tasks": ["--n", 10], "middle": ["--n", 10]}},
                        probe=(["--n", 6], ["--n", 8], 1_904)),
    "matmul": Workload("matmul, blocks of 32", "cpu", on("knit", "serial", "tbb", "rayon"),
                       {"full": {"fast": ["--n", 2048]}, "quick": {"fast": ["--n", 512]}}),
    "uts": Workload("uts, a tree that nobody can divide", "cpu", on("knit", "serial", "tbb", "rayon", "go"),
                    {"full": {"fast": ["--depth", 11], "middle": ["--depth", 9]},
                     "quick": {"fast": ["--depth", 9], "middle": ["--depth", 8]}},
                    probe=(["--depth", 5], ["--depth", 7], 35_266)),
    "spawns": Workload("spawns from one task", "tasks", on("knit:spawn", "knit:create", "tbb", "rayon", "asio", "go",
                                                           "tokio", "asyncio", "uvloop"),
                       {"full": {"fast": ["--tasks", 10**6], "slow": ["--tasks", 10**5]},
                        "quick": {"fast": ["--tasks", 10**6], "slow": ["--tasks", 10**4]}},
                       points={"full": {n: ["--tasks", n, "--rounds", max(1, 10**6 // n)] for n in
                                        (10**3, 10**4, 10**5, 10**6, 10**7)},
                               "quick": {n: ["--tasks", n, "--rounds", max(1, 10**5 // n)] for n in
                                         (10**3, 10**5, 10**6)},
                               "runtimes": on("knit:create", "go", "tokio"), "loops": [1]},
                       probe=(["--tasks", 1_000], ["--tasks", 11_000], 10_000)),
    "pingpong": Workload("ping-pong of two tasks", "tasks", on("knit", "asio", "go", "tokio", "asyncio", "uvloop"),
                         {"full": {"fast": ["--trips", 100_000], "slow": ["--trips", 20_000]},
                          "quick": {"fast": ["--trips", 20_000], "slow": ["--trips", 2_000]}},
                         unit="ns/trip", loops_most=2, probe=(["--trips", 1_000], ["--trips", 11_000], 10_000)),
    "sleepers": Workload("sleeping tasks", "io", on("knit", "asio", "uv", "go", "tokio", "asyncio", "uvloop"),
                         {"full": {"fast": ["--tasks", 10**5, "--ms", 200], "slow": ["--tasks", 10**5, "--ms", 1000]},
                          "quick": {"fast": ["--tasks", 10**5, "--ms", 50], "slow": ["--tasks", 10**4, "--ms", 50]}},
                         unit="CPU ns/task", figure="cpu_ns_per_task", single=("uv",)),
    "timers": Workload("timers cancelled and set anew", "tasks",
                       on("knit", "asio", "uv", "go", "tokio", "asyncio", "uvloop"),
                       {"full": {"fast": ["--outstanding", 10**4, "--operations", 10**6],
                                 "slow": ["--outstanding", 10**4, "--operations", 10**5]},
                        "quick": {"fast": ["--outstanding", 10**4, "--operations", 2 * 10**5],
                                  "slow": ["--outstanding", 10**4, "--operations", 10**4]}},
                       loops_most=1,
                       points={"full": {n: ["--outstanding", n, "--operations", 10**6] for n in
                                        (10, 10**3, 10**5, 10**6)},
                               "quick": {n: ["--outstanding", n, "--operations", 10**5] for n in (10, 10**3, 10**6)},
                               "runtimes": on("knit", "asio", "uv", "go", "tokio"), "loops": [1]},
                       probe=(["--outstanding", 1_000, "--operations", 1_000],
                              ["--outstanding", 1_000, "--operations", 11_000], 10_000)),
    "channel": Workload("channel, four put and four take", "tasks", on("knit", "asio", "go", "asyncio", "uvloop"),
                        {"full": {"fast": ["--items", 10**6], "slow": ["--items", 10**5]},
                         "quick": {"fast": ["--items", 10**5], "slow": ["--items", 10**4]}},
                        unit="ns/item", probe=(["--items", 1_000], ["--items", 11_000], 10_000)),
    "files": Workload("file reads, 4 KiB from the page cache", "io", on("knit", "serial", "uring", "uv", "go", "tokio",
                                                                        "asyncio", "uvloop"),
                      {"full": {"fast": ["--reads", 200_000], "slow": ["--reads", 20_000]},
                       "quick": {"fast": ["--reads", 20_000], "slow": ["--reads", 2_000]}},
                      unit="ns/read", single=("uring",)),
}

EVERY_SERVER = ("knit", "uring", "epoll", "asio", "uv", "go", "tokio", "asyncio", "uvloop")


@dataclasses.dataclass(frozen=True)
class ServerWorkload:
    """`loads`: by size of run, (title, options of tools/load, connections, runtimes or None for all)."""

    program: str
    runtimes: typing.Tuple[typing.Tuple[str, str], ...]
    loads: dict
    figure: str = "cpu_us"
    unit: str = "CPU us/request"
    only_loops: typing.Optional[int] = None


def echo(connections, size=64):
    name = "1 connection" if connections == 1 else f"{connections:,} connections"
    text = "64 B" if size == 64 else "1 KiB"
    return f"TCP echo, {text}, {name}", ["--connections", connections, "--size", size], connections


SERVERS = {
    "echo": ServerWorkload("echo", on(*EVERY_SERVER), {
        "full": [(*echo(1), None), (*echo(64), None), (*echo(1000), None), (*echo(64, 1024), None),
                 (*echo(10_000), ("knit", "uring", "epoll", "asio", "uv", "go", "tokio"))],
        "quick": [(*echo(1), ("knit", "uring", "tokio")), (*echo(64), None),
                  (*echo(1000), ("knit", "uring", "epoll", "asio", "tokio"))]}),
    "http": ServerWorkload("http", on(*EVERY_SERVER, "nginx"), {
        "full": [("HTTP hello, 64 connections", ["--mode", "http", "--connections", 64], 64, None),
                 ("HTTP hello, 512 connections", ["--mode", "http", "--connections", 512], 512, None)],
        "quick": [("HTTP hello, 64 connections", ["--mode", "http", "--connections", 64], 64, None)]}),
    "connect": ServerWorkload("echo", on(*EVERY_SERVER), {
        "full": [("connect, one echo, close; 16 at a time", ["--reconnect", "--connections", 16], None, None)],
        "quick": [("connect, one echo, close; 16 at a time", ["--reconnect", "--connections", 16], None,
                   ("knit", "uring", "epoll", "asio", "go", "tokio"))]}, unit="CPU us/connection"),
    "mixed": ServerWorkload("mixed", on("knit:steal on", "knit:steal off", "asio", "go", "tokio"), {
        size: [("echo, 1 % burns 1 ms, 8,000/s", ["--connections", 64, "--rate", 8000, "--heavy", 1], None, None)]
        for size in ("full", "quick")}, figure="p99_us", unit="p99 us", only_loops=2),
}
GROUPS = [*WORKLOADS, *SERVERS]
ROUNDS = {"full": 5, "quick": 2}
LOAD_SECONDS = {"full": 1.5, "quick": 0.4}
# What runs at the start of each round to show how the machine drifts: plain calls, and the kernel's sockets.
CALIBRATION = {"calls": ["fib_serial", "--n", 38], "sockets": ["echo_serial", "--connections", 64, "--messages", 100]}


def options_for(workload, scale, runtime, form):
    by_speed = workload.options[scale]
    return by_speed.get(form) or by_speed.get(SPEEDS.get(runtime.key, "fast")) or by_speed.get("fast")


def loops_for(runtime, loops, most):
    return [count for count in loops if count <= min(runtime.loops_most, most)]


def program_case(build, key, workload, runtime, form, count, options, size):
    start = peers.command(build, key, runtime)
    command = [*start, *options]
    if form:
        command += ["--form", form]
    if runtime.key != "serial":
        command += ["--loops", count]
    grows = f", {size:,}" if size is not None else ""
    probe = None
    if workload.probe and count == 1 and size is None and runtime.kind in ("knit", "c++", "rust"):
        tail = command[len(start) + len(options):]
        probe = ([*start, *workload.probe[0], *tail], [*start, *workload.probe[1], *tail])
    targets = [f"{key}_{runtime.key}"] if runtime.kind in ("knit", "c++") else []
    return cases.Case(key, workload.title + grows, runtime.key, form, count, workload.figure, workload.unit,
                      lambda: cases.run_program(command), targets, size, "", probe)


def program_cases(build, key, scale, loops, allowed):
    workload = WORKLOADS[key]
    for name, form in workload.runtimes:
        runtime = peers.RUNTIMES[name]
        if name in allowed:
            for count in loops_for(runtime, loops, 1 if name in workload.single else workload.loops_most):
                yield program_case(build, key, workload, runtime, form, count,
                                   options_for(workload, scale, runtime, form), None)
    points = workload.points or {"runtimes": (), scale: {}}
    for size, options in points[scale].items():
        for name, form in points["runtimes"]:
            if name in allowed and loops[0] == 1:
                yield program_case(build, key, workload, peers.RUNTIMES[name], form, 1, options, size)


def server_command(build, program, runtime, form, count):
    if runtime.key == "knit":
        start = {"echo": build / "tools" / "echo_server", "http": build / "tools" / "http_hello"}.get(program)
        words = [start or build / "bench" / f"{program}_knit"]
    elif runtime.key in ("uring", "epoll"):
        words = [build / "bench" / f"{runtime.key}_server", "--mode", program]
    else:
        words = peers.command(build, program, runtime)
    steal = ["--steal", form.split()[1]] if form.startswith("steal") else []
    return [*words, *steal, "--loops", count]


def server_targets(program, runtime):
    if runtime.key == "knit":
        return ["load", {"echo": "echo_server", "http": "http_hello"}.get(program, f"{program}_knit")]
    if runtime.key in ("uring", "epoll"):
        return ["load", f"{runtime.key}_server"]
    return ["load", f"{program}_{runtime.key}"] if runtime.kind == "c++" else ["load"]


def server_case(build, key, row, runtime, form, count, cpus, seconds):
    title, options, connections, _ = row
    workload = SERVERS[key]
    server_cpus, load_cpus, placing = cases.place(cpus, count)
    load = [build / "tools" / "load", "--duration", seconds, *options]
    if runtime.key == "nginx":
        def start():
            return cases.NginxServer(runtime.needs[0], count, server_cpus)
    else:
        command = server_command(build, workload.program, runtime, form, count)

        def start():
            return cases.Server(command, server_cpus)
    is_curve = key == "echo" and "1 KiB" not in title
    return cases.Case(key, title, runtime.key, form, count, workload.figure, workload.unit,
                      lambda: cases.run_server(start, load, load_cpus), server_targets(workload.program, runtime),
                      connections if is_curve else None, placing)


def server_cases(build, key, scale, loops, cpus, allowed):
    workload = SERVERS[key]
    for row in workload.loads[scale]:
        for name, form in workload.runtimes:
            if name not in allowed or (row[3] is not None and name not in row[3]):
                continue
            runtime = peers.RUNTIMES[name]
            counts = [workload.only_loops] if workload.only_loops else loops_for(runtime, loops, 1024)
            # Quick: on more loops only what shows how servers share CPUs with the load.
            if scale == "quick" and (key != "echo" or row[2] != 64) and not workload.only_loops:
                counts = counts[:1]
            for count in counts:
                yield server_case(build, key, row, runtime, form, count, cpus, LOAD_SECONDS[scale])


def make_cases(build, scale, loops, cpus, groups, allowed):
    """Every case of the groups, for the runtimes allowed, in the order of the tables."""
    build = pathlib.Path(build)
    made = []
    for key in groups:
        if key in WORKLOADS:
            made.extend(program_cases(build, key, scale, loops, allowed))
        else:
            made.extend(server_cases(build, key, scale, loops, cpus, allowed))
    return made


def programs_of(chosen):
    """(workload, runtime) of what peers.py has to build."""
    pairs = {(SERVERS[case.workload].program if case.workload in SERVERS else case.workload, case.runtime)
             for case in chosen}
    return [(workload, peers.RUNTIMES[key]) for workload, key in sorted(pairs)
            if peers.RUNTIMES[key].kind in ("go", "rust")]
