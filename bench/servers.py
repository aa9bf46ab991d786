"""How tools/bench runs servers: their life, the load beside them, where on the CPUs, and what they used."""
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import cases

START_SECONDS_MAX = 10
LOAD_SECONDS_MAX = 60
IDLE_FIRST = 200  # connections that are held before memory is first looked at: pools and buffers are there by then


def read_line(stream, seconds):
    """The next line; an empty text at the end, or when none came in time. For a writer that waits after each line."""
    return stream.readline() if select.select([stream], [], [], seconds)[0] else ""


class Server:
    """A server from the moment it listens to SIGTERM, with what it and its children use."""

    def __init__(self, command, cpus):
        self.command = [str(word) for word in command]
        self.errors = tempfile.TemporaryFile(mode="w+")
        try:
            self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                            env=cases.environment(), preexec_fn=cases.on_cpus(cpus))
        except OSError as error:
            self.errors.close()
            raise cases.RunError(f"{self.command[0]}: {error.strerror}") from None
        try:
            self.port = self.wait_listening()
        except cases.RunError:
            self.__exit__()
            raise

    def wait_listening(self):
        words = read_line(self.process.stdout, START_SECONDS_MAX).split()
        if len(words) != 2 or words[0] != "listening":
            self.kill()
            raise self.failure("did not start")
        return int(words[1])

    def failure(self, what):
        self.errors.seek(0)
        return cases.RunError(f"{' '.join(self.command)} {what} (status {self.process.returncode}):\n{self.errors.read()}")

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
                threads = [path.read_text().split()[0] for path in folder.glob("task/*/schedstat")]
                nanoseconds = sum(map(int, threads))
                ticks = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                held = int(re.search(r"VmHWM:\s*(\d+)", (folder / "status").read_text()).group(1))
            except (OSError, AttributeError):
                raise self.failure("has lost a process or a thread while it was measured") from None
            if not threads:
                raise cases.RunError("this kernel does not tell in /proc/PID/task/*/schedstat what a server has used")
            total, memory = total + nanoseconds / 1000, memory + held
            user, system = user + int(ticks[11]), system + int(ticks[12])
        return total, user, system, memory

    def resident(self):
        """Bytes held resident now. Summed up page by page by the kernel, which its running counters are not."""
        kib = 0
        for pid in self.processes():
            try:
                kib += int(re.search(r"Rss:\s*(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()).group(1))
            except (OSError, AttributeError):
                raise self.failure("does not tell its memory in /proc/PID/smaps_rollup") from None
        return 1024 * kib

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
events {{ worker_connections 32768; multi_accept on; }}
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


class Load:
    """tools/load: it says when it is connected and when all is answered, and goes on when it is told."""

    def __init__(self, command, cpus):
        self.command = [str(word) for word in command]
        self.errors = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, env=cases.environment(), preexec_fn=cases.on_cpus(cpus))

    def wait(self, word):
        if read_line(self.process.stdout, LOAD_SECONDS_MAX).strip() != word:
            raise self.failure(f"did not come to its {word}")

    def go_on(self):
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self.failure("ended too early") from None

    def result(self):
        try:
            text, _ = self.process.communicate("\n", timeout=LOAD_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise self.failure("does not end") from None
        if self.process.returncode != 0:
            raise self.failure("failed")
        return json.loads(text)

    def failure(self, what):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.errors.seek(0)
        return cases.RunError(f"{' '.join(self.command)} {what} (status {self.process.returncode}): {self.errors.read()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            try:
                stream.close()
            except BrokenPipeError:
                pass  # what was to be told to a load that is gone


def siblings_of(cpu):
    """The CPUs that are threads of the same core, itself among them."""
    try:
        text = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
    except OSError:
        return {cpu}
    found = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def place(cpus, loops, siblings=siblings_of):
    """CPUs for a server with so many loops and for the load, and how that is called in the table. Apart means other
    cores; `siblings`: other CPUs, but of the same cores, since there are no others."""
    by_core = sorted(cpus, key=lambda cpu: (min(siblings(cpu)), cpu))
    # One CPU of each core first, so that a server with few loops does not share a core with itself.
    first = [cpu for cpu in by_core if cpu == min(siblings(cpu) & set(cpus))]
    server = (first + [cpu for cpu in by_core if cpu not in first])[:loops]
    taken = set().union(*(siblings(cpu) for cpu in server))
    apart = [cpu for cpu in cpus if cpu not in taken]
    if apart:
        return sorted(server), apart, "apart"
    others = [cpu for cpu in cpus if cpu not in server]
    return (sorted(server), others, "siblings") if others else (list(cpus), list(cpus), "shared")


def run_server(start, load, load_cpus):
    """`start` gives a Server. What it used from the first request to the last answer, divided by the requests: neither
    connecting nor closing is part of it."""
    with start() as running:
        with Load([*load, "--quiet", "--gate", "--json", "-", "--port", running.port], load_cpus) as sending:
            sending.wait("begin")
            before = running.usage()
            sending.go_on()
            sending.wait("end")
            after = running.usage()
            seen = sending.result()
        running.stop()
    requests = seen["requests"]
    total, user, system = (later - earlier for later, earlier in zip(after[:3], before[:3]))
    own = seen["user_us"] + seen["system_us"]
    figures = {"cpu_us": total / requests, "user_ticks": user, "system_ticks": system, "max_rss_kib": after[3],
               "load_cpu_us": own / requests, "load_busy": own / (1e6 * seen["seconds"] * seen["loops"]),
               "seconds": seen["seconds"], "requests": requests}
    figures.update({key: value for key, value in seen.items() if key.endswith(("p50_us", "p99_us", "p999_us"))})
    figures["requests_per_second"] = seen["requests_per_second"]
    return figures


REQUESTS = {"echo": 64 * b"i", "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"}
HTTP_END = b"Hello, world!\n"


def hold(port, mode, count, held):
    """Opens connections, asks once on each and leaves them open, in `held`."""
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS_MAX)
        held.append(one)
        # They end by a reset, or the ports of many thousands would be in TIME_WAIT.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.sendall(REQUESTS[mode])
        answer = b""
        while not (len(answer) == len(REQUESTS[mode]) if mode == "echo" else answer.endswith(HTTP_END)):
            more = one.recv(4096)
            if not more:
                raise cases.RunError("the server closed a connection that was to be idle")
            answer += more


def run_idle(start, mode, count):
    """Bytes resident that a server holds for a connection on which nothing happens, after one request."""
    held = []
    with start() as running:
        try:
            hold(running.port, mode, IDLE_FIRST, held)
            before = running.resident()
            hold(running.port, mode, count, held)
            after, most = running.resident(), running.usage()[3]
        except OSError as error:
            raise cases.RunError(f"{len(held)} connections are held, another fails: {error}") from None
        finally:
            for one in held:
                one.close()
        running.stop()
    return {"bytes_per_connection": (after - before) / count, "max_rss_kib": most, "connections": count}
