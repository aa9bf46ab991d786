#!/usr/bin/env python3
"""knit-serve against curl and Python's client, knit-get against Python's server.
usage: ... KNIT_SERVE KNIT_GET [tls]"""
import concurrent.futures
import hashlib
import http.client
import http.server
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

SECONDS_MAX = 60
CURL = shutil.which("curl")


def expect(condition, what):
    if not condition:
        raise SystemExit(f"failed: {what}")


def curl(*arguments):
    """(status, head, body) of the last answer."""
    with tempfile.NamedTemporaryFile() as head, tempfile.NamedTemporaryFile() as body:
        done = subprocess.run([CURL, "--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "-D", head.name,
                               "-o", body.name, "-w", "%{http_code}", *arguments], capture_output=True, text=True,
                              timeout=SECONDS_MAX)
        expect(done.returncode == 0, f"curl {arguments}: {done.returncode} {done.stderr}")
        return int(done.stdout[-3:]), pathlib.Path(head.name).read_text(), pathlib.Path(body.name).read_bytes()


def make_folder(folder):
    (folder / "index.html").write_text("<p>index</p>")
    (folder / "small.txt").write_text("0123456789")
    (folder / "large.bin").write_bytes(os.urandom(3_000_000))
    (folder / "sub").mkdir()
    (folder / "sub" / "a&b <c>.txt").write_text("odd")


def check_curl(base, folder):
    large = (folder / "large.bin").read_bytes()
    status, head, body = curl(f"{base}/large.bin")
    expect(status == 200 and body == large and "ETag:" in head, "a large file is whole")
    expect(curl(f"{base}/large.bin", "--http1.0")[2] == large, "for HTTP/1.0 too")
    status, head, body = curl(f"{base}/large.bin", "-r", "1000-1999")
    expect(status == 206 and body == large[1000:2000], "a range")
    expect(curl(f"{base}/large.bin", "-r", "-5")[2] == large[-5:], "a range at the end")
    expect(curl(f"{base}/large.bin", "-r", "9999999-")[0] == 416, "a range beyond the end")
    expect(curl(f"{base}/small.txt", "-I")[1].count("Content-Length: 10") == 1, "HEAD")
    since = "If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT"
    expect(curl(f"{base}/small.txt", "-H", since)[0] == 304, "If-Modified-Since")
    etag = [line.split(": ")[1].strip() for line in curl(f"{base}/small.txt")[1].splitlines() if "ETag" in line][0]
    expect(curl(f"{base}/small.txt", "-H", f"If-None-Match: {etag}")[0] == 304, "If-None-Match")
    expect(curl(f"{base}/sub", "-L")[0] == 200, "a folder without its slash")
    expect(b"a&amp;b &lt;c&gt;.txt" in curl(f"{base}/sub/")[2], "a folder's list")
    expect(curl(f"{base}/sub/a%26b%20%3Cc%3E.txt")[2] == b"odd", "an odd name")
    for path in ("/../secret", "/%2e%2e/secret", "/sub/../../secret", "//etc/passwd", "/nobody"):
        expect(curl("--path-as-is", base + path)[0] == 404, f"{path} is not there")
    expect(curl(f"{base}/small.txt", "-X", "DELETE")[0] == 405, "another method")
    expect(curl(f"{base}/small.txt", "-d", "x" * 100_000)[0] == 405, "a body that nobody wants")
    expect(curl(f"{base}/small.txt", "-d", "x" * 100_000, "-H", "Expect: 100-continue")[0] == 405, "and is not sent")
    expect(curl(f"{base}/small.txt", "-H", "Transfer-Encoding: chunked", "-d", "x")[0] == 405, "a body in chunks")
    expect(curl(f"{base}/small.txt", "-H", "Host:")[0] == 400, "no Host")
    expect(curl(f"{base}/small.txt", "-H", "X: " + "y" * 20_000)[0] == 431, "a large head")
    expect(curl(f"{base}/small.txt", "-H", "Connection: close")[2] == b"0123456789", "Connection: close")
    expect(curl(f"{base}/small.txt", f"{base}/index.html", "-o", "/dev/null")[0] == 200, "two files, one connection")
    raw = "/small.txt?q={a|b}^`\\\"<>\u00e4"
    expect(curl("-g", base + raw)[2] == b"0123456789", "a target as browsers and curl send it")
    status, head, body = curl(f"{base}/small.txt", "-r", "0-1,8-9")
    expect(status == 206 and b"\r\n\r\n01\r\n--" in body and b"\r\n\r\n89\r\n--" in body, "two ranges")
    with tempfile.TemporaryDirectory() as work:
        part = pathlib.Path(work) / "part"
        part.write_bytes(large[:1_000_000])
        subprocess.run([CURL, "-s", "--max-time", "20", "-C", "-", "-o", part, f"{base}/large.bin"], check=True)
        expect(part.read_bytes() == large, "a download is taken up again")
        slow = subprocess.run([CURL, "-s", "--max-time", "20", "--limit-rate", "2M", f"{base}/large.bin"],
                              capture_output=True, check=True)
        expect(slow.stdout == large, "a slow reader gets all of it")


def check_python(port, folder):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    large = (folder / "large.bin").read_bytes()
    for path, wanted in (("/small.txt", b"0123456789"), ("/large.bin", large), ("/", b"<p>index</p>")):
        connection.request("GET", path)
        answer = connection.getresponse()
        expect(answer.status == 200 and answer.read() == wanted, f"Python reads {path}")
    connection.request("GET", "/.knit/metrics.json")
    numbers = json.loads(connection.getresponse().read())
    expect(len(numbers["loops"]) == 2, "the metrics are JSON")
    connection.request("GET", "/.knit/metrics")
    expect(b"knit_loop" in connection.getresponse().read(), "and Prometheus's text")
    connection.request("GET", "/.knit/events")
    events = connection.getresponse()
    event = events.fp.readline() and events.fp.readline()
    expect(b"data: {" in event and b"busy_seconds" in event, f"the page gets events, not {event[:60]}")
    connection.close()

    def fetch(_):
        other = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        other.request("GET", "/large.bin")
        return hashlib.md5(other.getresponse().read()).digest()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        expect(set(pool.map(fetch, range(16))) == {hashlib.md5(large).digest()}, "eight at a time")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/moved":
            self.answer(302, b"", Location="/number/7")
        elif self.path == "/slow":
            self.send_response(200)
            self.send_header("Content-Length", "11")
            self.end_headers()
            self.wfile.write(b"first\n")
            self.wfile.flush()
            time.sleep(0.3)  # the others have their answers meanwhile
            self.wfile.write(b"last\n")
        elif self.path.startswith("/number/"):
            self.answer(200, self.path.encode() + b"\n")
        else:
            self.answer(404, b"missing\n")

    def do_POST(self):
        self.answer(200, self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *arguments):
        pass


def check_get(program):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_address[1]}"

    def get(*arguments):
        plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=SECONDS_MAX, env=plain)

    expect(get(f"{base}/moved").stdout == "/number/7\n", "knit-get follows a redirect")
    urls = [f"{base}/number/{i}" for i in range(20)]
    expect(get(*urls).stdout == "".join(f"/number/{i}\n" for i in range(20)), "knit-get fetches many, in order")
    expect(get("-d", "a=b", f"{base}/x").stdout == "a=b", "knit-get posts")
    missing = get(f"{base}/nobody", "http://127.0.0.1:1/")
    expect(missing.returncode == 1 and missing.stdout == "missing\n" and "refused" in missing.stderr, "and tells errors")
    mixed = get(f"{base}/slow", "http://127.0.0.1:1/", f"{base}/number/1").stdout
    expect(mixed == "first\nlast\n/number/1\n", f"one that fails lets none before its turn, not {mixed}")
    expect(get("-i", f"{base}/number/1").stdout.startswith("HTTP/1.1 200 OK\n"), "and shows heads")
    expect(get("-X", "PUT", "-d", "a", f"{base}/x").returncode == 1, "-X is the method, whatever is sent")
    with open("/dev/full", "w") as full:
        plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        lost = subprocess.run([program, f"{base}/number/1"], stdout=full, stderr=subprocess.PIPE, timeout=SECONDS_MAX,
                              env=plain)
    expect(lost.returncode == 1 and b"cannot write" in lost.stderr, "output that is lost is an error")
    server.shutdown()


def check_tls(program, work):
    pem = work / "both.pem"
    made = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                           "-nodes", "-subj", "/CN=localhost", "-keyout", work / "key.pem", "-out", work / "cert.pem"],
                          capture_output=True, timeout=SECONDS_MAX)
    expect(made.returncode == 0, "a certificate is made")
    pem.write_bytes((work / "key.pem").read_bytes() + (work / "cert.pem").read_bytes())
    alone = subprocess.run([program, "--key", pem, "--port", "0"], capture_output=True, timeout=SECONDS_MAX)
    expect(alone.returncode == 2, "a key alone is no HTTPS, and no plain HTTP either")
    server = subprocess.Popen([program, "--folder", work / "site", "--port", "0", "--loops", "1", "--cert", pem,
                               "--key", pem], stdout=subprocess.PIPE, text=True)
    try:
        base = f"https://127.0.0.1:{server.stdout.readline().split()[1]}"
        for version in ("--http1.1", "--http1.0"):
            expect(curl("-k", version, f"{base}/small.txt")[2] == b"0123456789", f"{version} over TLS")
    finally:
        server.terminate()
        server.communicate(timeout=SECONDS_MAX)


def main():
    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work) / "site"
        folder.mkdir()
        (pathlib.Path(work) / "secret").write_text("secret")
        make_folder(folder)
        log = pathlib.Path(work) / "access.log"
        server = subprocess.Popen([sys.argv[1], "--folder", folder, "--port", "0", "--loops", "2", "--access-log", log],
                                  stdout=subprocess.PIPE, text=True)
        try:
            port = int(server.stdout.readline().split()[1])
            if CURL:
                check_curl(f"http://127.0.0.1:{port}", folder)
            check_python(port, folder)
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=SECONDS_MAX)
            expect(server.returncode == 0, f"SIGTERM ends the server with status 0, not {server.returncode}")
            expect('"GET /small.txt HTTP/1.1" 200 10 ' in log.read_text(), "the access log has the requests")
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()
        if CURL and shutil.which("openssl") and sys.argv[3:] == ["tls"]:
            check_tls(sys.argv[1], pathlib.Path(work))
    check_get(sys.argv[2])


main()
