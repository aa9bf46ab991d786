#!/usr/bin/env python3
"""Runs each program of a family twice, under CPython and under knit, and compares what they log, line by line.

    compare.py BINARY [FAMILY[.PROGRAM]]...   compares them; without names every family
    compare.py BINARY --seeds 1-1000 fuzz     with other seeds in the programs that take seeds
    compare.py - NAME...                      prints CPython's traces alone
    compare.py BINARY --list                  lists the programs

A family is FAMILY.py and FAMILY.cpp in this folder; a program is a function of the same name in both: `async def`, run by
run() on a virtual loop, or a plain `def`. BINARY is the executable made of the .cpp files. Ends with 1 on a difference.
"""
import argparse
import asyncio
import gc
import importlib
import inspect
import logging
import pathlib
import subprocess
import sys
import warnings

import support
import virtual_loop

FOLDER = pathlib.Path(__file__).parent
NOT_FAMILIES = ("compare", "newer", "support", "virtual_loop")
CONTEXT_LINES = 6


class Program:
    def __init__(self, family, function):
        self.name = f"{family}.{function.__name__}"
        self.function = function
        self.since = function.since
        self.expected = function.expected
        self.can_run = sys.version_info >= self.since

    def trace(self):
        """What CPython logs; None if only a newer one can tell and no trace of it is given."""
        if not self.can_run:
            return self.expected
        support.TRACE = []
        try:
            if inspect.iscoroutinefunction(self.function):
                virtual_loop.run(self.function())
            else:
                self.function()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            support.log("raised", support.error_text(error, True))
        trace = support.TRACE
        support.TRACE = []  # what the collector reports belongs to nobody
        gc.collect()
        return [line for entry in trace for line in entry.split("\n")]


def programs_of(family):
    module = importlib.import_module(family)
    return [Program(family, function) for name, function in vars(module).items()
            if inspect.isfunction(function) and function.__module__ == family and hasattr(function, "is_program")]


def families():
    return sorted(file.stem for file in FOLDER.glob("*.py") if file.stem not in NOT_FAMILIES)


def select(names):
    """The programs that the names stand for, in their order."""
    chosen = []
    for name in names or families():
        family, _, program = name.partition(".")
        if not (FOLDER / f"{family}.py").exists():
            sys.exit(f"compare.py: there is no family {family!r}; there are: {', '.join(families())}")
        found = [one for one in programs_of(family) if program in ("", one.name.partition(".")[2])]
        if not found:
            sys.exit(f"compare.py: there is no program {name!r}; {family} has: "
                     + ", ".join(one.name for one in programs_of(family)))
        chosen += found
    return chosen


def run_binary(binary, names, seeds):
    """{name: (lines, ending)} of the programs in one or, after a crash, more runs."""
    traces = {}
    rest = list(names)
    while rest:
        command = [binary, "--seeds", f"{seeds[0]}-{seeds[-1]}", *rest]
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=120)
            ending = f"exit status {result.returncode}: {result.stderr.strip()[-600:]}"
            output = result.stdout
        except subprocess.TimeoutExpired as error:
            ending = "did not end"
            output = (error.stdout or b"").decode()
        done = 0
        for text in output.split("\x01")[1:]:
            name, _, body = text.partition("\n")
            is_complete = body.endswith("\x02\n")
            traces[name] = (body.removesuffix("\x02\n").splitlines(), None if is_complete else ending)
            done += 1
        if done == 0:
            sys.exit(f"compare.py: {binary} did not start: {ending}")
        rest = rest[done:]
    return traces


def difference(program, expected, lines):
    """Both traces around the first difference, side by side."""
    first = next((place for place, pair in enumerate(zip(expected, lines)) if pair[0] != pair[1]),
                 min(len(expected), len(lines)))
    seed = next((line for line in reversed(expected[:first + 1]) if line.startswith("seed ")), "")
    begin = max(0, first - CONTEXT_LINES)
    width = max([len(line) for line in expected[begin:first + CONTEXT_LINES]] + [20])
    report = [f"{program.name}: line {first + 1} differs" + (f", {seed}" if seed else ""),
              f"      {'CPython'.ljust(width)}   knit"]
    for place in range(begin, min(max(len(expected), len(lines)), first + CONTEXT_LINES)):
        left = expected[place] if place < len(expected) else "(end)"
        right = lines[place] if place < len(lines) else "(end)"
        report.append(f"{place + 1:5} {left.ljust(width)} {' ' if left == right else '|'} {right}")
    return "\n".join(report)


def compare(program, expected, found):
    """What is wrong with the pair, or None."""
    if expected is None:
        return f"{program.name}: needs Python {program.since} and gives no expected trace"
    if program.expected is not None and expected != program.expected:
        return difference(program, program.expected, expected).replace("CPython", "expected", 1).replace("knit", "CPython", 1)
    if found is None:
        return f"{program.name}: the binary has no such program"
    lines, ending = found
    if ending is not None:
        return f"{program.name}: {ending}\n" + "\n".join(f"      {line}" for line in lines[-CONTEXT_LINES:])
    return None if expected == lines else difference(program, expected, lines)


def known_to(binary):
    return subprocess.run([binary, "--list"], capture_output=True, text=True, check=True).stdout.split()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", default="1-200")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_intermixed_args()
    seeds = [int(seed) for seed in arguments.seeds.split("-")]
    support.SEEDS = range(seeds[0], seeds[-1] + 1)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
    warnings.simplefilter("ignore")

    programs = select(arguments.names)
    if arguments.list:
        print("\n".join(program.name for program in programs))
        return 0
    if arguments.binary == "-":
        for program in programs:
            print(f"== {program.name}", *(program.trace() or ["(needs a newer Python)"]), sep="\n")
        return 0

    known = known_to(arguments.binary)
    found = run_binary(arguments.binary, [one.name for one in programs if one.name in known], seeds)
    faults = [fault for one in programs if (fault := compare(one, one.trace(), found.get(one.name))) is not None]
    named = {program.name for program in programs}
    for name in known:
        if name not in named and (not arguments.names or name.partition(".")[0] in arguments.names):
            faults.append(f"{name}: CPython's side has no such program")
    print("\n\n".join(faults))
    print(f"{len(programs)} pairs, {len(faults)} differ")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
