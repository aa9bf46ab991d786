"""What tools/bench measures: workloads, the runtimes that each is stated for, sizes, and the cases that follow."""
import dataclasses
import pathlib
import typing

import cases
import peers
import servers

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
    loops_least: int = 1
    program: str = ""  # whose sources state it; empty: of the workload's own name
    measures: str = "tasks"  # a program's line; against_one: its memory too; micro: Google Benchmark's JSON
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
    "spawns": Workload("spawns from one task, for any loop", "tasks",
                       on("knit:spawn", "tbb", "rayon", "asio", "go", "tokio"),
                       {"full": {"fast": ["--tasks", 10**6]}, "quick": {"fast": ["--tasks", 10**6]}},
                       probe=(["--tasks", 1_000], ["--tasks", 11_000], 10_000)),
    "local": Workload("tasks of one loop from one task", "tasks",
                      on("knit:create", "go", "tokio:local", "asyncio", "uvloop"),
                      {"full": {"fast": ["--tasks", 10**6], "slow": ["--tasks", 10**5]},
                       "quick": {"fast": ["--tasks", 10**6], "slow": ["--tasks", 10**4]}},
                      program="spawns", loops_most=1,
                      points={"full": {n: ["--tasks", n, "--rounds", max(1, 10**6 // n)] for n in
                                       (10**3, 10**4, 10**5, 10**6, 10**7)},
                              "quick": {n: ["--tasks", n, "--rounds", max(1, 10**5 // n)] for n in
                                        (10**3, 10**5, 10**6)},
                              "runtimes": on("knit:create", "go", "tokio:local")}),
    "pingpong": Workload("ping-pong of two tasks", "tasks", on("knit", "asio", "go", "tokio", "asyncio", "uvloop"),
                         {"full": {"fast": ["--trips", 100_000], "middle": ["--trips", 20_000], "slow": ["--trips", 20_000]},
                          "quick": {"fast": ["--trips", 20_000], "slow": ["--trips", 2_000]}},
                         unit="ns/trip", loops_most=2, probe=(["--trips", 1_000], ["--trips", 11_000], 10_000)),
    "wake": Workload("ping-pong of two loops that sleep", "tasks", on("knit:asleep", "uring"),
                     {"full": {"fast": ["--trips", 10_000]}, "quick": {"fast": ["--trips", 2_000]}},
                     unit="ns/trip", program="pingpong", loops_least=2, loops_most=2),
    "switching": Workload("one operation", "tasks",
                          on("knit:yield", "knit:inline await", "knit:create_task, await", "knit:lock"),
                          {"full": {"fast": []}, "quick": {"fast": []}}, unit="ns", loops_most=1, measures="micro"),
    "nop": Workload("awaited NOPs of the ring, 64 at a time", "tasks", on("knit", "uring"),
                    {"full": {"fast": ["--operations", 2 * 10**6]}, "quick": {"fast": ["--operations", 2 * 10**5]}},
                    unit="ns/NOP", loops_most=1),
    "sleepers": Workload("sleeping tasks", "io", on("knit", "asio", "uv", "go", "tokio", "asyncio", "uvloop"),
                         {"full": {"fast": ["--tasks", 10**5, "--ms", 200], "slow": ["--tasks", 10**5, "--ms", 1000]},
                          "quick": {"fast": ["--tasks", 10**5, "--ms", 50], "slow": ["--tasks", 10**4, "--ms", 50]}},
                         unit="CPU ns/task", figure="cpu_ns_per_task", single=("uv",), measures="against_one"),
    "million": Workload("1,000,000 tasks made, asleep for 100 to 200 ms, joined", "io",
                        on("knit", "asio", "uv", "go", "tokio"),
                        {size: {"fast": ["--tasks", 10**6, "--ms", 100]} for size in ("full", "quick")},
                        unit="s", figure="seconds", program="sleepers", loops_most=1, measures="against_one"),
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
                               "runtimes": on("knit", "asio", "uv", "go", "tokio")},
                       probe=(["--outstanding", 1_000, "--operations", 1_000],
                              ["--outstanding", 1_000, "--operations", 11_000], 10_000)),
    "channel": Workload("channel, four put and four take", "tasks", on("knit", "asio", "go", "tokio", "asyncio", "uvloop"),
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


# Forms that are options other than `--form FORM`.
FORM_OPTIONS = {"asleep": ["--spin", 0], "steal on": ["--steal", "on"], "steal off": ["--steal", "off"],
                "steal off, every loop serves": ["--steal", "off", "--serve", "all"], "in place": ["--form", "place"]}
MICRO = {"yield": "yield_one_task", "inline await": "inline_await", "create_task, await": "create_task_await",
         "lock": "lock_uncontended"}
MICRO_SECONDS = {"full": 0.3, "quick": 0.05}


@dataclasses.dataclass(frozen=True)
class Row:
    """One load on a server: options of tools/load; `size`: what grows, for the curves; `only`: not all runtimes."""

    title: str
    options: tuple
    size: typing.Optional[float] = None
    only: typing.Optional[typing.Tuple[str, ...]] = None


@dataclasses.dataclass(frozen=True)
class ServerWorkload:
    program: str
    runtimes: typing.Tuple[typing.Tuple[str, str], ...]
    rows: dict  # by size of run
    figure: str = "cpu_us"
    unit: str = "CPU us/request"
    only_loops: typing.Optional[int] = None
    kind: str = "server"
    is_shared: bool = False  # always on all CPUs, beside the load


def echo(connections, size=64, only=None):
    name = "1 connection" if connections == 1 else f"{connections:,} connections"
    text = "64 B" if size == 64 else "1 KiB"
    return Row(f"TCP echo, {text}, {name}", ("--connections", connections, "--size", size),
               connections if size == 64 else None, only)


def hello(connections):
    return Row(f"HTTP hello, {connections} connections",
               ("--mode", "http", "--connections", connections, "--expect", "Hello, world!\n"))


def churn(only=None):
    return Row("connect, one echo, close; 16 at a time", ("--reconnect", "--connections", 16), None, only)


def at_rate(rate):
    return Row(f"TCP echo, 64 B, 64 connections, {rate:,}/s", ("--connections", 64, "--rate", rate), rate)


NATIVE = ("knit", "uring", "epoll", "asio", "uv", "go", "tokio")
MIXED = (Row("echo, 1 % burns 1 ms, 8,000/s", ("--connections", 64, "--rate", 8000, "--heavy", 1)),)
SHARED = (Row("TCP echo, 64 B, 64 connections, CPUs shared with the load", ("--connections", 64)),)

SERVERS = {
    "echo": ServerWorkload("echo", on(*EVERY_SERVER), {
        "full": (echo(1), echo(64), echo(1000), echo(64, 1024), echo(10_000, only=NATIVE)),
        "quick": (echo(1, only=("knit", "uring", "tokio")), echo(64),
                  echo(1000, only=("knit", "uring", "epoll", "asio", "tokio")))}),
    "http": ServerWorkload("http", on("knit:library", "knit:bare", *EVERY_SERVER[1:], "nginx"), {
        "full": (hello(64), hello(512)), "quick": (hello(64),)}),
    "connect": ServerWorkload("echo", on(*EVERY_SERVER), {
        "full": (churn(),), "quick": (churn(("knit", "uring", "epoll", "asio", "go", "tokio")),)},
        unit="CPU us/connection"),
    "scaling": ServerWorkload("echo", on("knit", "uring", "epoll", "go", "tokio"), {"full": SHARED, "quick": SHARED},
                              is_shared=True),
    "latency": ServerWorkload("echo", on(*NATIVE), {
        "full": tuple(at_rate(rate) for rate in (10_000, 25_000, 50_000, 75_000)), "quick": ()},
        figure="p99_us", unit="p99 us", only_loops=1),
    "mixed": ServerWorkload("mixed", on("knit:steal on", "knit:steal off", "knit:steal off, every loop serves", "asio:pool",
                                        "asio:in place", "go", "tokio:spawn_blocking", "tokio:in place"),
                            {"full": MIXED, "quick": MIXED}, figure="p99_us", unit="p99 us", only_loops=2),
    "idle": ServerWorkload("echo", on("knit:receive", "knit:own buffer", "knit:http", *EVERY_SERVER[1:], "nginx"), {
        "full": (Row("idle connections, 10,000 held", (10_000,)),),
        "quick": (Row("idle connections, 2,000 held", (2_000,)),)},
        figure="bytes_per_connection", unit="bytes/connection", only_loops=1, kind="memory"),
}
GROUPS = [*WORKLOADS, *SERVERS]
ROUNDS = {"full": 5, "quick": 2}
MINUTES_MOST = {"full": 38, "quick": 3}
LOAD_SECONDS = {"full": 1.0, "quick": 0.4}
# What runs at the start of each round to show how the machine drifts: plain calls, and the kernel's sockets.
CALIBRATION = {"calls": ["fib_serial", "--n", 38], "sockets": ["echo_serial", "--connections", 64, "--messages", 100]}


def options_for(workload, scale, runtime, form):
    by_speed = workload.options[scale]
    return by_speed.get(form) or by_speed.get(SPEEDS.get(runtime.key, "fast"), by_speed["fast"])


def loops_for(runtime, loops, least, most):
    return [count for count in loops if least <= count <= min(runtime.loops_most, most)]


def form_options(form):
    return FORM_OPTIONS.get(form, ["--form", form] if form else [])


def micro_case(build, key, form, scale):
    workload = WORKLOADS[key]
    command = [build / "bench" / "knit_micro", f"--benchmark_filter=^{MICRO[form]}/", "--benchmark_format=json",
               f"--benchmark_min_time={MICRO_SECONDS[scale]}"]
    return cases.Case(key, f"{workload.title}: {form}", "knit", form, 1, workload.figure, workload.unit,
                      lambda: cases.run_micro(command), ["knit_micro"], command[:1], workload.kind)


def program_case(build, key, runtime, form, count, options, size):
    workload = WORKLOADS[key]
    program = workload.program or key
    start = peers.command(build, program, runtime)
    tail = [*form_options(form), *(["--loops", count] if runtime.key != "serial" else [])]
    command, alone = [*start, *options, *tail], [*start, "--tasks", 1, "--ms", 1, *tail]

    def run():
        return cases.run_against_one(command, alone) if workload.measures == "against_one" else cases.run_program(command)
    probe = None
    if workload.probe and count == 1 and size is None and runtime.kind in ("knit", "c++", "rust"):
        probe = ([*start, *workload.probe[0], *tail], [*start, *workload.probe[1], *tail])
    is_cmake = runtime.kind in ("knit", "c++")
    return cases.Case(key, workload.title + (f", {size:,}" if size is not None else ""), runtime.key, form, count,
                      workload.figure, workload.unit, run, [f"{program}_{runtime.key}"] if is_cmake else [],
                      [] if runtime.kind == "python" else start[:1], workload.kind, size, "", probe)


def program_cases(build, key, scale, loops, allowed):
    workload = WORKLOADS[key]
    for name, form in workload.runtimes:
        runtime = peers.RUNTIMES[name]
        most = 1 if name in workload.single else workload.loops_most
        for count in loops_for(runtime, loops, workload.loops_least, most) if name in allowed else ():
            if workload.measures == "micro":
                yield micro_case(build, key, form, scale)
            else:
                yield program_case(build, key, runtime, form, count, options_for(workload, scale, runtime, form), None)
    points = workload.points or {"runtimes": (), scale: {}}
    for size, options in points[scale].items():
        for name, form in points["runtimes"]:
            if name in allowed and loops[0] == 1:
                yield program_case(build, key, peers.RUNTIMES[name], form, 1, options, size)


def knit_server(build, program, form):
    target = {"receive": "idle_knit", "http": "http_knit", "bare": "http_hello"}.get(
        form, {"echo": "echo_server"}.get(program, f"{program}_knit"))
    return [build / ("bench" if target.endswith("_knit") else "tools") / target]


def server_command(build, program, runtime, form, count):
    if runtime.key == "knit":
        words = knit_server(build, program, form)
    elif runtime.key in ("uring", "epoll"):
        words = [build / "bench" / f"{runtime.key}_server", "--mode", program]
    else:
        words = peers.command(build, program, runtime)
    return [*words, *(form_options(form) if program == "mixed" else ()), "--loops", count]


def server_start(build, key, runtime, form, count, cpus):
    """(what starts the server, its program or None)."""
    if runtime.key == "nginx":
        return (lambda: servers.NginxServer(runtime.needs[0], count, cpus)), []
    command = server_command(build, SERVERS[key].program, runtime, form, count)
    return (lambda: servers.Server(command, cpus)), [] if runtime.kind == "python" else command[:1]


def server_case(build, key, row, runtime, form, count, cpus, seconds):
    workload = SERVERS[key]
    server_cpus, load_cpus, placing = (cpus, cpus, "shared") if workload.is_shared else servers.place(cpus, count)
    start, programs = server_start(build, key, runtime, form, count, server_cpus)
    load_loops = len(load_cpus) if placing != "shared" else max(1, len(cpus) // 2)
    load = [build / "tools" / "load", "--duration", seconds, "--loops", load_loops, *row.options]

    is_http = form == "http" or runtime.key == "nginx"
    title = row.title.replace("idle", "idle HTTP") if key == "idle" and is_http else row.title

    def run():
        if key == "idle":
            return servers.run_idle(start, "http" if is_http else "echo", row.options[0])
        return servers.run_server(start, load, load_cpus)
    targets = [program.name for program in programs if runtime.kind in ("knit", "c++")]
    if key != "idle":
        targets, programs = [*targets, "load"], [*programs, load[0]]
    return cases.Case(key, title, runtime.key, form, count, workload.figure, workload.unit, run, targets, programs,
                      workload.kind, row.size, placing if key != "idle" else "")


def server_loops(key, row, scale, loops, runtime):
    """On more loops not what cannot use them or would only take long; quick: no more than shows how servers share CPUs
    with the load."""
    workload = SERVERS[key]
    if workload.only_loops:
        return [workload.only_loops]
    counts = loops_for(runtime, loops, 1, 1024)
    if key == "echo" and row.size in (1, 10_000):
        return counts[:1]
    if scale == "quick" and not workload.is_shared and (key != "echo" or row.size != 64):
        return counts[:1]
    return sorted({*counts[:2], counts[-1]}) if scale == "quick" and counts else counts


def server_cases(build, key, scale, loops, cpus, allowed):
    for row in SERVERS[key].rows[scale]:
        for name, form in SERVERS[key].runtimes:
            if name in allowed and (row.only is None or name in row.only):
                runtime = peers.RUNTIMES[name]
                for count in server_loops(key, row, scale, loops, runtime):
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


def program_name(workload):
    """Of which workload the sources are."""
    return SERVERS[workload].program if workload in SERVERS else WORKLOADS[workload].program or workload


def programs_of(chosen):
    """(workload, runtime) of what peers.py has to build."""
    pairs = {(program_name(case.workload), case.runtime) for case in chosen}
    return [(workload, peers.RUNTIMES[key]) for workload, key in sorted(pairs)
            if peers.RUNTIMES[key].kind in ("go", "rust")]
