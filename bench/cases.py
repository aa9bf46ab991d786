"""The cases of tools/bench: which programs run, with what arguments, and which figures a run gives."""
import dataclasses
import os
import pathlib
import signal
import subprocess
import tempfile
import typing

GROUPS = ["cpu", "sleep", "echo", "http"]
SECONDS_MAX = 180


class RunError(Exception):
    """A program failed; the text says which and how."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    name: str
    rounds: int
    fib: int
    leaves: int
    queens: int
    seconds: int  # of load on a server
    connections: typing.Tuple[int, ...]


QUICK = Sizes("quick", 3, fib=35, leaves=1_000_000, queens=12, seconds=1, connections=(1, 64))
FULL = Sizes("full", 5, fib=37, leaves=10_000_000, queens=14, seconds=3, connections=(1, 64, 1000))


@dataclasses.dataclass
class Case:
    """One line of the tables. `loops` is 0 for programs without knit; cases that differ only in `variant` compare."""

    group: str
    name: str
    variant: str
    loops: int
    targets: typing.List[str]
    run: typing.Callable[[], dict]
    details: dict = dataclasses.field(default_factory=dict)

    @property
    def key(self):
        return (self.group, self.name, self.variant)

    @property
    def title(self):
        return f"{self.name}, {self.variant}"


def loop_counts(cpus):
    """All of 1..N while they are few, then the powers of two and N."""
    if cpus <= 4:
        return list(range(1, cpus + 1))
    return sorted({1 << bit for bit in range(cpus.bit_length()) if 1 << bit <= cpus} | {cpus})


def plural(count):
    return f"{count} loop" if count == 1 else f"{count} loops"


def fields(line):
    """The numbers of a line of key=value words."""
    found = {}
    for word in line.split():
        key, equals, value = word.partition("=")
        if equals:
            try:
                found[key] = float(value)
            except ValueError:
                pass  # a word such as workload=fib, which is no figure
    return found


def environment():
    """Ours without KNIT_ variables: what the cases set by options is what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KNIT_")}


def on_cpus(cpus):
    return (lambda: os.sched_setaffinity(0, cpus)) if cpus else None


def run_program(command, cpus=()):
    """Runs a program to its end and gives the figures of its last line."""
    try:
        ended = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               timeout=SECONDS_MAX, env=environment(), preexec_fn=on_cpus(cpus), check=False)
    except subprocess.TimeoutExpired:
        raise RunError(f"{' '.join(map(str, command))} did not end within {SECONDS_MAX} s") from None
    lines = ended.stdout.splitlines()
    if ended.returncode != 0 or not lines:
        raise RunError(f"{' '.join(map(str, command))} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return fields(lines[-1])


class RunningServer:
    """A server program from "listening PORT" to SIGTERM; stop() gives the figures of its last line."""

    def __init__(self, command, cpus):
        self.command = [str(word) for word in command]
        self.errors = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env=environment(), preexec_fn=on_cpus(cpus))
        words = self.process.stdout.readline().split()
        if len(words) != 2 or words[0] != "listening":
            self.process.kill()
            self.process.wait()
            error = self.failure("did not start")
            self.__exit__()
            raise error
        self.port = int(words[1])

    def failure(self, what):
        self.errors.seek(0)
        return RunError(f"{' '.join(self.command)} {what} (status {self.process.returncode}):\n{self.errors.read()}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            output, _ = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            raise self.failure("does not end at SIGTERM") from None
        if self.process.returncode != 0 or not output.splitlines():
            raise self.failure("failed")
        return fields(output.splitlines()[-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def place(cpus, loops):
    """CPUs for a server with so many loops and for the load, and how that is called in the table."""
    if len(cpus) > loops:
        return cpus[:loops], cpus[loops:], "apart"
    return cpus, cpus, "shared"


def run_server(server, load, server_cpus, load_cpus):
    with RunningServer(server, server_cpus) as running:
        seen = run_program([*load, "--port", running.port], load_cpus)
        used = running.stop()
    requests = used["requests"]
    if requests <= 0:
        raise RunError(f"{server[0]} counts no requests")
    return {"requests_per_second": seen["requests_per_second"], "p50_us": seen["p50_us"], "p99_us": seen["p99_us"],
            "user_us": used["user_us"] / requests, "system_us": used["system_us"] / requests,
            "cpu_us": (used["user_us"] + used["system_us"]) / requests}


def cpu_cases(build, sizes, loops):
    bench = pathlib.Path(build) / "bench"
    workloads = [("fib", f"fib({sizes.fib}), forked", ["--n", sizes.fib], ["--form", "fork"]),
                 ("fib", f"fib({sizes.fib}), both spawned", ["--n", sizes.fib], ["--form", "both"]),
                 ("fib", f"fib({sizes.fib}), one spawned", ["--n", sizes.fib], ["--form", "one"]),
                 ("skynet", f"skynet({sizes.leaves}), forked", ["--leaves", sizes.leaves], ["--form", "fork"]),
                 ("skynet", f"skynet({sizes.leaves}), spawned", ["--leaves", sizes.leaves], ["--form", "tasks"]),
                 ("nqueens", f"nqueens({sizes.queens}), forked", ["--n", sizes.queens], ["--form", "fork"]),
                 ("nqueens", f"nqueens({sizes.queens}), spawned", ["--n", sizes.queens], ["--form", "tasks"])]
    for program, name, size, form in workloads:
        command = [bench / f"{program}_serial", *size]
        yield Case("cpu", name, "serial", 0, [f"{program}_serial"], lambda command=command: run_program(command))
        for count in loops:
            command = [bench / f"{program}_knit", *size, *form, "--loops", count]
            yield Case("cpu", name, plural(count), count, [f"{program}_knit"],
                       lambda command=command: run_program(command))


def sleep_cases(build, loops):
    for count in loops:
        command = [pathlib.Path(build) / "bench" / "sleepers_knit", "--tasks", 1000, "--ms", 10, "--loops", count]
        yield Case("sleep", "1,000 tasks that sleep 10 to 20 ms", plural(count), count, ["sleepers_knit"],
                   lambda command=command: run_program(command))


def server_case(build, sizes, cpus, group, connections, server, count):
    """`server`: a hand-written one (count 0) or one on knit with so many loops."""
    build = pathlib.Path(build)
    server_cpus, load_cpus, placing = place(cpus, max(count, 1))
    command = [build / "tools" / server, "--loops", count] if count else [build / "bench" / server]
    load = [build / "tools" / "load", "--mode", group, "--connections", connections, "--seconds", sizes.seconds]
    size = ", 64 B" if group == "echo" else ""
    clients = "1 connection" if connections == 1 else f"{connections:,} connections"
    return Case(group, f"{group}, {clients}{size}", plural(count) if count else server, count, [server, "load"],
                lambda: run_server(command, load, server_cpus, load_cpus), {"placing": placing})


def make_cases(build, sizes, loops, cpus, groups):
    cases = []
    if "cpu" in groups:
        cases.extend(cpu_cases(build, sizes, loops))
    if "sleep" in groups:
        cases.extend(sleep_cases(build, loops))
    for connections in sizes.connections if "echo" in groups else ():
        for server in ("echo_uring", "echo_epoll"):
            cases.append(server_case(build, sizes, cpus, "echo", connections, server, 0))
        cases.extend(server_case(build, sizes, cpus, "echo", connections, "echo_server", count) for count in loops)
    for connections in sizes.connections[1:2] if "http" in groups else ():
        cases.extend(server_case(build, sizes, cpus, "http", connections, "http_hello", count) for count in loops)
    return cases
