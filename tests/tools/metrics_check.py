#!/usr/bin/env python3
"""Starts an echo server with KNIT_METRICS, asks it as Prometheus, curl and knit-top do, and checks what they get.

usage: metrics_check.py ECHO_SERVER KNIT_TOP
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

SECONDS_MAX = 45
LOOPS = 2
MESSAGES = 500

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(\w+)=\"([^\"\\\n]*)\"\}})? (-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)")


def parse(text):
    """Prometheus's text format 0.0.4, as far as knit uses it, strictly: {(name, label's value): number}."""
    types, helps, samples, order = {}, {}, {}, []
    assert text.endswith("\n"), "the last line has no end"
    for line in text.splitlines():
        if found := re.fullmatch(rf"# HELP ({NAME}) (.+)", line):
            assert found[1] not in helps, f"two HELP lines: {line}"
            helps[found[1]] = found[2]
        elif found := re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge)", line):
            assert found[1] not in types and found[1] in helps, f"TYPE twice or before HELP: {line}"
            types[found[1]] = found[2]
            order.append(found[1])
        else:
            found = SAMPLE.fullmatch(line)
            assert found, f"no sample: {line!r}"
            name, label, value = found[1], found[2], found[3]
            assert order and order[-1] == name, f"samples of {name} stand apart from its TYPE"
            assert label in (None, "loop"), line
            assert (name, value) not in samples, f"twice: {line}"
            samples[name, value] = float(found[4])
    for name, kind in types.items():
        assert name.startswith("knit_") and name == name.lower(), name
        assert name.endswith("_total") == (kind == "counter"), f"{name} is a {kind}"
        assert not re.search(r"(_ms|_ns|_us|_millis|_kb)(_|$)", name), f"{name}: base units only"
        assert any(key[0] == name for key in samples), f"{name} has no sample"
    return samples


def ask(place, question):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(SECONDS_MAX)
    with client:
        client.connect(place)
        client.sendall(question)
        text = b""
        while piece := client.recv(65536):
            text += piece
    return text.decode()


def make_traffic(port):
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MAX) as client:
        for _ in range(MESSAGES):
            client.sendall(b"knit")
            assert client.recv(4, socket.MSG_WAITALL) == b"knit"


def check_texts(place, port):
    before = parse(ask(place, b"metrics\n"))
    make_traffic(port)
    after = parse(ask(place, b"metrics\n"))
    assert before.keys() == after.keys()
    for key, value in after.items():
        assert not key[0].endswith("_total") or value >= before[key], f"{key} went back"
    for number in range(LOOPS):
        assert ("knit_loop_turns_total", str(number)) in after, number

    def growth(name):
        return sum(after[key] - before[key] for key in after if key[0] == name)
    assert growth("knit_loop_operations_ended_total") >= MESSAGES, growth("knit_loop_operations_ended_total")
    assert growth("knit_loop_enters_total") >= MESSAGES / 2, growth("knit_loop_enters_total")
    assert 0 < growth("knit_loop_busy_seconds_total") < LOOPS * (after["knit_uptime_seconds", None] + 1)

    head, body = ask(place, b"GET /metrics HTTP/1.1\r\nHost: knit\r\n\r\n").split("\r\n\r\n", 1)
    assert head.startswith("HTTP/1.1 200 OK\r\n"), head
    assert "text/plain; version=0.0.4" in head, head
    assert parse(body).keys() == after.keys()
    line = ask(place, b"json\n")
    assert line.count("\n") == 1 and line.endswith("\n")
    assert len(json.loads(line)["loops"]) == LOOPS


def run_top(top, *arguments):
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run([sys.executable, top, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=SECONDS_MAX, env=environment)


def check_top(top, place, pid):
    for target in (place, str(pid)):
        shown = run_top(top, "--once", "--interval", "0.2", target)
        assert shown.returncode == 0, shown.stderr
        lines = shown.stdout.splitlines()
        assert all(len(line) <= 80 for line in lines), shown.stdout
        assert place in lines[0] and f"{LOOPS} loops" in lines[0], shown.stdout
        rows = [line for line in lines if re.match(r" *(\d+|all) \[[#.]{12}\] +\d+%( +[0-9.]+[kMGTP]?){8}$", line)]
        assert len(rows) == LOOPS + 1, shown.stdout
    print(shown.stdout)


def check_top_complains(top, folder):
    nobody = run_top(top, "--once", os.path.join(folder, "nobody"))
    assert nobody.returncode == 1 and nobody.stderr.startswith("knit-top: nothing listens on "), nobody.stderr
    without = run_top(top, "--once", str(os.getpid()))
    assert without.returncode == 1 and "was started without KNIT_METRICS" in without.stderr, without.stderr
    absent = run_top(top, "--once", "999999999")
    assert absent.returncode == 1 and "there is no process 999999999" in absent.stderr, absent.stderr


def main():
    server_program, top = sys.argv[1:]
    os.environ.pop("KNIT_METRICS", None)
    with tempfile.TemporaryDirectory() as folder:
        place = os.path.join(folder, "metrics")
        server = subprocess.Popen([server_program, "--loops", str(LOOPS)], stdout=subprocess.PIPE, text=True,
                                  env={**os.environ, "KNIT_METRICS": place})
        try:
            words = server.stdout.readline().split()
            assert words[:1] == ["listening"], words
            check_texts(place, int(words[1]))
            check_top(top, place, server.pid)
            check_top_complains(top, folder)
            server.send_signal(signal.SIGTERM)
            server.communicate(timeout=SECONDS_MAX)
            assert server.returncode == 0, server.returncode
            assert not os.path.exists(place), "the socket is left behind"
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()


main()
