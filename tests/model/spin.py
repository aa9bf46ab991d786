#!/usr/bin/env python3
"""Has Spin prove parking.pml, and find each fault that can be put into it.

    tests/model/spin.py [--cc cc]
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

MODEL = pathlib.Path(__file__).resolve().parent / "parking.pml"
MODELS = [], ["-DMESSAGE"]
FAULTS = ["-DNO_RECHECK"], ["-DNO_PASS_ON"], ["-DMESSAGE", "-DNO_DUTY"]
# Dead ends and assertions; then the claim, where everybody who can go on does so at some time.
CHECKS = (("-DSAFETY", "-DNOCLAIM"), ()), (("-DNFAIR=3",), ("-a", "-f", "-N", "nothing_stays"))


def errors(compiler, defines):
    """How many errors the checks of the model find; stops at the first."""
    for flags, arguments in CHECKS:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["spin", *defines, "-a", MODEL], cwd=folder, check=True, capture_output=True)
            subprocess.run([compiler, "-w", "-O2", *flags, "-o", "pan", "pan.c"], cwd=folder, check=True)
            out = subprocess.run(["./pan", "-m100000", *arguments], cwd=folder, capture_output=True, text=True).stdout
            found = [line for line in out.splitlines() if "errors:" in line]
            if not found or "max search depth too small" in out:
                sys.exit(f"spin.py: no verdict:\n{out}")
            if "errors: 0" not in found[0]:
                return out
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cc", default="cc")
    options = parser.parse_args()
    for defines in MODELS:
        out = errors(options.cc, defines)
        if out:
            print(f"parking.pml does not hold {' '.join(defines)}:\n{out}")
            return 1
    missed = [fault[-1] for fault in FAULTS if not errors(options.cc, fault)]
    print(f"proved; {len(FAULTS) - len(missed)} of {len(FAULTS)} faults found" + "".join(f"; not found: {one}" for one in missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
