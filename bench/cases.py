"""What tools/bench runs: cases, programs to their end, and what a run gives. Servers are in servers.py."""
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import tempfile
import typing

SECONDS_MAX = 180
# All else that a user has set, such as GOGC or MALLOC_ARENA_MAX, would change what one of the runtimes does.
ENVIRONMENT_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")


class RunError(Exception):
    """A program failed; the text says which and how."""


@dataclasses.dataclass
class Case:
    """One line of the tables. Cases of one `name` and one number of loops compare with each other."""

    workload: str
    name: str
    runtime: str  # a key of peers.RUNTIMES
    form: str  # which of several ways to say it on that runtime; or ""
    loops: int
    figure: str  # the one that counts, the less the better
    unit: str
    run: typing.Callable[[], dict]
    targets: typing.List[str] = dataclasses.field(default_factory=list)  # of CMake
    programs: typing.List[pathlib.Path] = dataclasses.field(default_factory=list)  # have to have been built
    kind: str = "server"
    size: typing.Optional[float] = None  # how many of what grows, for the curves
    placing: str = ""
    probe: typing.Optional[typing.Tuple[list, list]] = None  # two commands that differ in the number of operations

    @property
    def key(self):
        return (self.name, self.runtime, self.form, self.loops, self.placing)

    @property
    def title(self):
        return f"{self.name}: {self.runtime}{', ' + self.form if self.form else ''}, {plural(self.loops)}"


def plural(count):
    return f"{count} loop" if count == 1 else f"{count} loops"


def loop_counts(cpus):
    """All of 1..N while they are few, then the powers of two and N."""
    if cpus <= 4:
        return list(range(1, cpus + 1))
    return sorted({1 << bit for bit in range(cpus.bit_length()) if 1 << bit <= cpus} | {cpus})


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
    """What the cases set by options is what is measured, not what happens to be in the user's environment."""
    return {name: os.environ[name] for name in ENVIRONMENT_KEPT if name in os.environ}


def on_cpus(cpus):
    return (lambda: os.sched_setaffinity(0, cpus)) if cpus else None


def run_text(command, cpus=()):
    """Runs a program to its end and gives what it printed; RunError unless it ended with 0."""
    words = [str(word) for word in command]
    try:
        ended = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=SECONDS_MAX,
                               env=environment(), preexec_fn=on_cpus(cpus), check=False)
    except subprocess.TimeoutExpired:
        raise RunError(f"{' '.join(words)} did not end within {SECONDS_MAX} s") from None
    except OSError as error:
        raise RunError(f"{words[0]}: {error.strerror}") from None
    if ended.returncode != 0 or not ended.stdout.strip():
        raise RunError(f"{' '.join(words)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def run_program(command, cpus=()):
    """The figures of the last line that a program prints."""
    found = fields(run_text(command, cpus).splitlines()[-1])
    if "cpu_seconds" in found and found.get("tasks"):
        found["cpu_ns_per_task"] = found["cpu_seconds"] * 1e9 / found["tasks"]
    return found


def instructions(command):
    """How many instructions a program executes, as valgrind counts them; RunError where valgrind cannot run it."""
    with tempfile.NamedTemporaryFile("r", suffix=".out") as output:
        words = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={output.name}", *command]
        try:
            run_text(words)
        except RunError as error:
            raise RunError(f"valgrind: {str(error).splitlines()[0]}") from None
        found = re.search(r"^summary: *(\d+)", output.read(), re.M)
    if not found:
        raise RunError("valgrind gives no sum of instructions")
    return int(found.group(1))


def run_micro(command):
    """The one benchmark of Google's that a command runs: nanoseconds for each item."""
    found = json.loads(run_text(command))["benchmarks"]
    if len(found) != 1 or "per_item" not in found[0]:
        raise RunError(f"{' '.join(map(str, command))} gives {len(found)} benchmarks in place of one with per_item")
    return {"ns_per_task": found[0]["per_item"] * 1e9}


def run_against_one(command, alone):
    """Beside the figures the bytes resident for each task: without what the same program holds for a single one."""
    found, base = run_program(command), run_program(alone)
    found["bytes_per_task"] = 1024 * max(0.0, found["max_rss_kib"] - base["max_rss_kib"]) / (found["tasks"] - 1)
    return found
