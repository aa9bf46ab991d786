#!/usr/bin/env python3
"""Starts a server on a free port, lets the load generator hit it, stops it by SIGTERM and checks what both say.

usage: smoke.py LOAD [load's arguments] -- SERVER [server's arguments]
"""
import signal
import subprocess
import sys

SECONDS_MAX = 45


def fields(line):
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


def main():
    split = sys.argv.index("--")
    load, server_command = sys.argv[1:split], sys.argv[split + 1:]
    server = subprocess.Popen(server_command, stdout=subprocess.PIPE, text=True)
    try:
        words = server.stdout.readline().split()
        if len(words) != 2 or words[0] != "listening":
            sys.exit(f"{server_command[0]} does not say \"listening PORT\" but {words}")
        sent = subprocess.run([*load, "--port", words[1]], stdout=subprocess.PIPE, text=True, timeout=SECONDS_MAX)
        print(sent.stdout, end="")
        if sent.returncode != 0:
            sys.exit(f"{load[0]} ended with {sent.returncode}")
        server.send_signal(signal.SIGTERM)
        rest, _ = server.communicate(timeout=SECONDS_MAX)
        print(rest, end="")
        if server.returncode != 0:
            sys.exit(f"{server_command[0]} ended with {server.returncode} after SIGTERM")
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    sent_requests = int(fields(sent.stdout)["requests"])
    seen_requests = int(fields(rest.splitlines()[-1])["requests"])
    # An HTTP connection asks once beforehand, and a long echo arrives in several pieces.
    if sent_requests < 200 or seen_requests < sent_requests:
        sys.exit(f"{sent_requests} requests were sent, the server counts {seen_requests}")


main()
