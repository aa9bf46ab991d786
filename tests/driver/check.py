#!/usr/bin/env python3
"""check.py DENY PROGRAM: which driver the program gets where io_uring is allowed, denied, forced, and what it says."""
import json
import os
import subprocess
import sys

deny, program = sys.argv[1:]


def run(*prefix, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KNIT_")}
    environment.update(variables)
    return subprocess.run([*prefix, program], env=environment, capture_output=True, text=True, timeout=50)


def expect(what, condition, done):
    if not condition:
        print(f"FAILED: {what}\nexit {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}")
        sys.exit(1)
    print(f"ok: {what}")


def driver(done):
    return json.loads(done.stdout)[0]["driver"]


def setting(done, variable):
    return next(row for row in json.loads(done.stdout)[0]["settings"] if row["variable"] == variable)


def check_allowed():
    done = run()
    if done.returncode == 0 and driver(done)["name"] == "epoll":
        print("skipped: io_uring is denied where this test runs:", driver(done)["reason"])
        return
    expect("io_uring is taken where it is allowed", driver(done)["name"] == "io_uring", done)
    expect("nothing is said about it", done.stderr == "", done)
    expect("the ring's flags are told", "CQSIZE" in driver(done)["flags_granted"], done)
    done = run(KNIT_DRIVER="epoll")
    expect("KNIT_DRIVER=epoll takes epoll", driver(done)["name"] == "epoll", done)
    expect("without a warning", done.stderr == "", done)
    row = setting(done, "KNIT_DRIVER")
    expect("the report says who asked for it", row["value"] == "epoll" and row["source"] == "environment", done)


def check_denied(error, cause):
    done = run(deny, error)
    expect(f"{error}: the program works", done.returncode == 0, done)
    reports = json.loads(done.stdout)
    expect(f"{error}: on epoll, both times", [one["driver"]["name"] for one in reports] == ["epoll", "epoll"], done)
    expect(f"{error}: the report says why", cause in driver(done)["reason"], done)
    expect(f"{error}: one line of warning", len(done.stderr.strip().splitlines()) == 1, done)
    expect(f"{error}: which says why too", "wait with epoll" in done.stderr and cause in done.stderr, done)

    done = run(deny, error, KNIT_REPORT="1")
    expect(f"{error}: KNIT_REPORT=1 says it in words", "\ndriver         epoll: " in done.stderr, done)
    expect(f"{error}: with the setting", "KNIT_DRIVER             auto            default" in done.stderr, done)

    done = run(deny, error, KNIT_DRIVER="epoll")
    expect(f"{error}: KNIT_DRIVER=epoll is silent", done.returncode == 0 and done.stderr == "", done)

    done = run(deny, error, KNIT_DRIVER="uring")
    expect(f"{error}: KNIT_DRIVER=uring is an error", done.returncode == 3, done)
    expect(f"{error}: a clear one", "knit cannot use io_uring" in done.stderr and cause in done.stderr, done)


check_allowed()
check_denied("EPERM", "seccomp")
check_denied("ENOSYS", "this kernel has no io_uring")
