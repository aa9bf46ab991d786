#!/usr/bin/env python3
"""Tests what tools/bench computes, without building or measuring anything. usage: harness_test.py TOOLS_BENCH"""
import json
import pathlib
import subprocess
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cases  # noqa: E402
import tables  # noqa: E402

ABOUT = {"cpus": 2, "cpu": "test", "kernel": "0", "compiler": "none"}
TOOL = sys.argv.pop(1)


def figures_of(case, number):
    """Made-up figures of round `number`, slower from round to round; twice the loops are twice as fast."""
    seconds = 8.0 * (1 + number) / max(case.loops, 1)
    return {"seconds": seconds, "ns_per_task": seconds, "sum_seconds": 15.0, "overlap": 15.0 / seconds,
            "requests_per_second": 1000.0, "p50_us": 1.0, "p99_us": 2.0, "user_us": 0.5, "system_us": 3.5,
            "cpu_us": 4.0 if case.variant == "echo_uring" else 4.2}


class HarnessTest(unittest.TestCase):
    def setUp(self):
        self.cases = cases.make_cases("/nowhere", cases.QUICK, [1, 2], [0, 1], cases.GROUPS)
        self.runs = {case.key: [figures_of(case, number) for number in range(3)] for case in self.cases}

    def test_every_case_has_a_key_of_its_own(self):
        self.assertEqual(len(self.runs), len(self.cases))

    def test_loop_counts_end_with_the_number_of_cpus(self):
        self.assertEqual(cases.loop_counts(1), [1])
        self.assertEqual(cases.loop_counts(3), [1, 2, 3])
        self.assertEqual(cases.loop_counts(12), [1, 2, 4, 8, 12])
        self.assertEqual(cases.loop_counts(16), [1, 2, 4, 8, 16])

    def test_a_server_has_cpus_of_its_own_while_there_are_enough(self):
        self.assertEqual(cases.place([0, 1, 2], 1), ([0], [1, 2], "apart"))
        self.assertEqual(cases.place([0, 1], 2), ([0, 1], [0, 1], "shared"))

    def test_gains_are_taken_round_by_round(self):
        base = [{"seconds": 1.0}, {"seconds": 10.0}, {"seconds": 3.0}]
        own = [{"seconds": 2.0}, {"seconds": 20.0}, {"seconds": 6.0}]
        self.assertEqual(tables.ratio(own, base, "seconds"), 2.0)

    def test_the_tables_say_gain_and_ratio(self):
        text = tables.render(ABOUT, self.cases, self.runs)
        self.assertIn("x 2.00", text)
        self.assertIn("x 1.050", text)
        self.assertIn("fib(35), both spawned: 2 loops are 2.00 times as fast as 1", text)

    def test_the_json_holds_every_value(self):
        made = json.loads(json.dumps(tables.to_json(ABOUT, cases.QUICK, 3, self.cases, self.runs)))
        self.assertEqual(len(made["results"]), len(self.cases))
        self.assertEqual(made["results"][0]["figures"]["seconds"]["values"], [8.0, 16.0, 24.0])
        self.assertEqual(made["results"][0]["figures"]["seconds"]["median"], 16.0)

    def test_words_that_are_no_figures_are_left_out(self):
        self.assertEqual(cases.fields("workload=fib seconds=0.5 listening 1"), {"seconds": 0.5})

    def test_a_program_that_fails_is_named_with_its_output(self):
        with self.assertRaisesRegex(cases.RunError, "(?s)sh -c.*ended with 3.*words"):
            cases.run_program(["sh", "-c", "echo words >&2; exit 3"])

    def test_a_server_that_does_not_start_is_named_with_its_output(self):
        with self.assertRaisesRegex(cases.RunError, "(?s)did not start.*words"):
            cases.RunningServer(["sh", "-c", "echo words >&2; exit 3"], ())

    def test_wrong_arguments_are_refused(self):
        for arguments in (["--rounds", "0"], ["--only", "nothing"], ["--loops", "x"], ["--output", "/no/such/dir/x"]):
            ended = subprocess.run([TOOL, *arguments], stderr=subprocess.PIPE, text=True, check=False)
            self.assertNotEqual(ended.returncode, 0)
            self.assertIn("error:", ended.stderr)


unittest.main(argv=["harness_test", "-v"])
