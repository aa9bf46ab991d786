#!/usr/bin/env python3
"""HTTP/2 of knit-serve against curl, nghttp and h2load, where they are, and of knit-get against knit-serve.
usage: ... KNIT_SERVE KNIT_GET"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

SECONDS_MAX = 60
PLAIN = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def expect(condition, what):
    if not condition:
        raise SystemExit(f"failed: {what}")


def run(*command):
    return subprocess.run(command, capture_output=True, timeout=SECONDS_MAX, env=PLAIN)


class Server:
    """knit-serve of a folder, until the end of the block."""

    def __init__(self, program, folder, *arguments):
        self.process = subprocess.Popen([program, "--folder", folder, "--port", "0", "--loops", "2", *arguments],
                                        stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        self.port = int(self.process.stdout.readline().split()[1])
        return self

    def __exit__(self, *error):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.communicate(timeout=SECONDS_MAX)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        if error[0] is None:
            expect(self.process.returncode == 0, f"SIGTERM ends the server with 0, not {self.process.returncode}")


def curl(*arguments):
    """(version, status, body) of the answer."""
    with tempfile.NamedTemporaryFile() as body:
        done = run("curl", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--insecure",
                   "-o", body.name, "-w", "%{http_version} %{http_code}", *arguments)
        expect(done.returncode == 0, f"curl {arguments}: {done.returncode} {done.stderr}")
        version, status = done.stdout.decode().split()
        return version, int(status), pathlib.Path(body.name).read_bytes()


def check_curl(base, how, file):
    large = file.read_bytes()
    expect(curl(how, f"{base}/large.bin") == ("2", 200, large), "a large file is whole")
    expect(curl(how, f"{base}/large.bin", "-r", "1000-1999") == ("2", 206, large[1000:2000]), "a range")
    expect(curl(how, f"{base}/large.bin", "-r", "99999999-")[:2] == ("2", 416), "a range beyond the end")
    expect(curl(how, f"{base}/small.txt", "-I")[:2] == ("2", 200), "HEAD")
    expect(curl(how, f"{base}/nobody")[:2] == ("2", 404), "nothing there")
    expect(curl(how, f"{base}/small.txt", "--data-binary", f"@{file}")[:2] == ("2", 405), "a body that nobody wants")
    expect(curl(how, f"{base}/small.txt", "--data-binary", f"@{file}", "-H", "Expect: 100-continue")[:2] == ("2", 405),
           "and is not sent")
    expect(curl(how, f"{base}/small.txt", "-H", "X: " + "y" * 20_000)[:2] == ("2", 431), "a large head")
    expect(curl(how, "--limit-rate", "3M", f"{base}/large.bin") == ("2", 200, large), "a slow reader gets all of it")
    expect(curl(how, f"{base}/.knit/metrics.json")[2].startswith(b"{"), "the metrics are JSON")


def check_nghttp(base, large):
    """Forty at a time over one connection, each checked by its size."""
    done = run("nghttp", "--no-verify-peer", "-n", "-s", *[f"{base}/large.bin?{i}" for i in range(40)])
    answers = re.findall(r" 200 +(\S+) /large\.bin", done.stdout.decode())
    expect(len(answers) == 40, f"nghttp gets 40 answers: {done.stdout.decode()} {done.stderr.decode()}")


def check_h2load(base):
    done = run("h2load", "-n", "2000", "-c", "4", "-m", "32", f"{base}/small.txt")
    expect(b"2000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout.decode())


def check_get(program, base, large):
    done = run(program, "--http2", "-i", *[f"{base}/small.txt?{i}" for i in range(30)])
    expect(done.stdout.count(b"HTTP/2 200") == 30, f"knit-get speaks HTTP/2: {done.stdout[:200]} {done.stderr[:200]}")
    expect(run(program, "--http2", f"{base}/large.bin").stdout == large, "knit-get gets a large file")
    expect(run(program, "-i", f"{base}/small.txt").stdout.startswith(b"HTTP/1.1 200"), "in clear text only when told")


def main():
    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work) / "site"
        folder.mkdir()
        large = os.urandom(3_000_000)
        (folder / "large.bin").write_bytes(large)
        (folder / "small.txt").write_text("0123456789")
        log = pathlib.Path(work) / "access.log"
        with Server(sys.argv[1], folder, "--access-log", log) as server:
            base = f"http://127.0.0.1:{server.port}"
            if shutil.which("curl"):
                check_curl(base, "--http2-prior-knowledge", folder / "large.bin")
                expect(curl(f"{base}/small.txt")[0] == "1.1", "and HTTP/1.1 on the same port")
            if shutil.which("nghttp"):
                check_nghttp(base, large)
            if shutil.which("h2load"):
                check_h2load(base)
            check_get(sys.argv[2], base, large)
        expect('"GET /small.txt?7 HTTP/2.0" 200 10 ' in log.read_text(), "the access log tells of HTTP/2")
        key, certificate = pathlib.Path(work) / "key.pem", pathlib.Path(work) / "certificate.pem"
        made = run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                   "-days", "2", "-subj", "/CN=localhost") if shutil.which("openssl") else None
        if made is None or made.returncode != 0 or not shutil.which("curl"):
            return
        for flag, version in ((), "2"), (("--http1",), "1.1"):
            with Server(sys.argv[1], folder, "--cert", certificate, "--key", key, *flag) as server:
                base = f"https://localhost:{server.port}"
                expect(curl("-4", f"{base}/large.bin") == (version, 200, large), f"ALPN chooses {version}")
                if version == "2":
                    check_curl(base, "--http2", folder / "large.bin")
                    expect(curl("--http1.1", f"{base}/small.txt")[0] == "1.1", "the client's wish decides")


main()
