"""How tools/bench runs things: programs to their end, servers under load, where on the CPUs, and what a run gives."""
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import typing

SECONDS_MAX = 180
TICKS = os.sysconf("SC_CLK_TCK")


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
    targets: typing.List[str] = dataclasses.field(default_factory=list)
    size: typing.Optional[float] = None  # how many of what grows, for the curves
    placing: str = ""
    probe: typing.Optional[typing.Tuple[list, list]] = None  # two commands that differ in the number of operations

    @property
    def key(self):
        return (self.name, self.runtime, self.form, self.loops)

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
    """Ours without KNIT_ variables: what the cases set by options is what is measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KNIT_")}


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


class Server:
    """A server from the moment it listens to SIGTERM, with what it and its children use."""

    def __init__(self, command, cpus):
        self.command = [str(word) for word in command]
        self.errors = tempfile.TemporaryFile(mode="w+")
        try:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                            env=environment(), preexec_fn=on_cpus(cpus))
        except OSError as error:
            self.errors.close()
            raise RunError(f"{self.command[0]}: {error.strerror}") from None
        try:
            self.port = self.wait_listening()
        except RunError:
            self.__exit__()
            raise

    def wait_listening(self):
        words = self.process.stdout.readline().split()
        if len(words) != 2 or words[0] != "listening":
            self.kill()
            raise self.failure("did not start")
        return int(words[1])

    def failure(self, what):
        self.errors.seek(0)
        return RunError(f"{' '.join(self.command)} {what} (status {self.process.returncode}):\n{self.errors.read()}")

    def processes(self):
        found = [self.process.pid]
        for pid in found:
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                found.extend(int(word) for word in children.read_text().split())
        return found

    def usage(self):
        """CPU time so far in us, (total, user ticks, system ticks), and the most memory held, in KiB."""
        total = user = system = memory = 0
        for pid in self.processes():
            folder = pathlib.Path(f"/proc/{pid}")
            try:
                # Nanoseconds that each thread has run: the ticks of `stat` alone are too coarse for a short run.
                nanoseconds = sum(int(path.read_text().split()[0]) for path in folder.glob("task/*/schedstat"))
                ticks = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                held = int(re.search(r"VmHWM:\s*(\d+)", (folder / "status").read_text()).group(1))
            except (OSError, AttributeError):
                raise self.failure("has lost a process or a thread while it was measured") from None
            total, memory = total + nanoseconds / 1000, memory + held
            user, system = user + int(ticks[11]), system + int(ticks[12])
        return total, user, system, memory

    def stop(self):
        """An orderly end is part of what is checked."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            raise self.failure("does not end at SIGTERM") from None
        if self.process.returncode != 0:
            raise self.failure("failed")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.stdout.close()
        self.errors.close()


NGINX = """
daemon off; master_process on; worker_processes {loops}; pid {folder}/pid; error_log stderr error; {user}
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off; keepalive_requests 1000000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; default_type text/plain;
    server {{ listen 127.0.0.1:{port} reuseport backlog=4096; location / {{ return 200 "Hello, world!\\n"; }} }}
}}
"""


class NginxServer(Server):
    """nginx does not say when it listens, so it is asked; its workers are children."""

    def __init__(self, program, loops, cpus):
        self.folder = tempfile.mkdtemp(prefix="knit-bench-nginx-")
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.wanted_port = found.getsockname()[1]
        user = "user root;" if os.geteuid() == 0 else ""
        path = pathlib.Path(self.folder) / "nginx.conf"
        path.write_text(NGINX.format(loops=loops, folder=self.folder, port=self.wanted_port, user=user))
        super().__init__([program, "-c", str(path), "-p", self.folder], cpus)

    def wait_listening(self):
        end = time.monotonic() + 10
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.wanted_port), timeout=1).close()
                return self.wanted_port
            except OSError:
                time.sleep(0.01)
        self.kill()
        raise self.failure("did not start")

    def __exit__(self, *_):
        super().__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)


def place(cpus, loops):
    """CPUs for a server with so many loops and for the load, and how that is called in the table."""
    if len(cpus) > loops:
        return cpus[:loops], cpus[loops:], "apart"
    return cpus, cpus, "shared"


def run_server(start, load, load_cpus):
    """`start` gives a Server. What it used while the load ran, divided by the requests that were answered."""
    with start() as running:
        before = running.usage()
        text = run_text([*load, "--quiet", "--json", "-", "--port", running.port], load_cpus)
        after = running.usage()
        running.stop()
    seen = json.loads(text)
    requests = seen["requests"]
    total, user, system = (later - earlier for later, earlier in zip(after[:3], before[:3]))
    share = user / (user + system) if user + system else 0.0
    figures = {"cpu_us": total / requests, "user_us": share * total / requests,
               "system_us": (1 - share) * total / requests, "max_rss_kib": after[3],
               "load_cpu_us": seen["own_cpu_us_per_request"], "seconds": seen["seconds"], "requests": requests}
    figures.update({key: value for key, value in seen.items() if key.endswith(("p50_us", "p99_us", "p999_us"))})
    figures["requests_per_second"] = seen["requests_per_second"]
    return figures
