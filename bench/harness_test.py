#!/usr/bin/env python3
"""Tests what tools/bench computes, without building or measuring anything. usage: harness_test.py TOOLS_BENCH"""
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import building  # noqa: E402
import cases  # noqa: E402
import charts  # noqa: E402
import matrix  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import rounds  # noqa: E402
import servers  # noqa: E402
import stats  # noqa: E402
import tables  # noqa: E402
import targets  # noqa: E402

TOOL = sys.argv.pop(1)


def figures_of(case, rounds):
    """Made-up figures, slower from round to round; twice the loops are twice as fast, peers take twice the time."""
    slow = 1.0 if case.runtime in ("knit", *stats.FLOORS) else 2.0
    figures = {"max_rss_kib": 2048.0, "tasks": 100.0, "seconds": slow * 8 / case.loops, "requests_per_second": 1000.0,
               "p50_us": 1.0, "p99_us": slow, "p999_us": 3.0, "cpu_us": 4.0, "user_ticks": 20.0, "system_ticks": 140.0,
               "load_cpu_us": 2.0, "load_busy": 0.5, "bytes_per_task": 200.0 * slow}
    figures[case.figure] = slow * 8 / case.loops
    if case.kind != "server":
        del figures["requests_per_second"]
    return {name: [value * (1 + number) for number in range(rounds)] for name, value in figures.items()}


def made_up_run(scale="full"):
    chosen = matrix.make_cases("/nowhere", scale, [1, 2], [0, 1], matrix.GROUPS, list(peers.RUNTIMES))
    results = [{"workload": case.workload, "name": case.name, "runtime": case.runtime, "form": case.form,
                "loops": case.loops, "kind": case.kind, "figure": case.figure,
                "unit": case.unit, "size": case.size, "placing": case.placing, "figures": figures_of(case, 3)}
               for case in chosen]
    return {"format": 3, "machine": {"cpus": 2, "cpu": "test", "kernel": "0", "compiler": "none"}, "scale": scale,
            "rounds": 3, "loops": [1, 2], "versions": {}, "calibration": {"calls": [1.0, 1.1]}, "skipped": ["nginx: <none>"],
            "results": results}


class MatrixTest(unittest.TestCase):
    def test_every_case_has_a_key_of_its_own(self):
        for scale in ("quick", "full"):
            chosen = matrix.make_cases("/nowhere", scale, [1, 2], [0, 1], matrix.GROUPS, list(peers.RUNTIMES))
            self.assertEqual(len({case.key for case in chosen}), len(chosen))

    def test_every_workload_that_is_stated_for_a_runtime_has_a_file(self):
        for key, workload in matrix.WORKLOADS.items():
            for name, _ in workload.runtimes if workload.measures != "micro" else ():
                path = peers.source(workload.program or key, peers.RUNTIMES[name])
                self.assertTrue(path.exists(), f"{key} on {name}: {path}")
        for workload in matrix.SERVERS.values():
            for name, _ in workload.runtimes:
                if peers.RUNTIMES[name].kind in ("c++", "go", "rust", "python"):
                    path = peers.source(workload.program, peers.RUNTIMES[name])
                    self.assertTrue(path.exists(), path)

    def test_only_the_runtimes_allowed_are_run(self):
        chosen = matrix.make_cases("/nowhere", "quick", [1], [0, 1], ["echo", "fib"], ["knit", "tokio"])
        self.assertEqual({case.runtime for case in chosen}, {"knit", "tokio"})

    def test_loop_counts_end_with_the_number_of_cpus(self):
        self.assertEqual(cases.loop_counts(1), [1])
        self.assertEqual(cases.loop_counts(3), [1, 2, 3])
        self.assertEqual(cases.loop_counts(12), [1, 2, 4, 8, 12])
        self.assertEqual(cases.loop_counts(16), [1, 2, 4, 8, 16])

    def test_a_server_has_cpus_of_its_own_while_there_are_enough(self):
        def alone(cpu):
            return {cpu}

        def pairs(cpu):
            return {cpu // 2 * 2, cpu // 2 * 2 + 1}
        self.assertEqual(servers.place([0, 1, 2], 1, alone), ([0], [1, 2], "apart"))
        self.assertEqual(servers.place([0, 1], 2, alone), ([0, 1], [0, 1], "shared"))
        self.assertEqual(servers.place([0, 1, 2, 3], 1, pairs), ([0], [2, 3], "apart"))
        self.assertEqual(servers.place([0, 1, 2, 3], 2, pairs), ([0, 2], [1, 3], "siblings"))
        self.assertEqual(servers.place([0, 1], 1, pairs), ([0], [1], "siblings"))


class StatsTest(unittest.TestCase):
    @staticmethod
    def result(runtime, values, loops=1):
        return {"name": "x", "workload": "fib", "runtime": runtime, "form": "", "loops": loops, "figure": "ns_per_task",
                "kind": "cpu", "placing": "", "figures": {"ns_per_task": values}}

    def test_ratios_are_taken_round_by_round(self):
        base = self.result("tbb", [1.0, 10.0, 3.0])
        own = self.result("knit", [2.0, 20.0, 6.0])
        self.assertEqual(stats.ratio_to_best(own, [own, base]), 2.0)
        self.assertEqual(stats.ratio_to_best(base, [own, base]), 1.0)

    def test_what_is_written_by_hand_is_not_the_best_runtime(self):
        own, peer, floor = self.result("knit", [4.0]), self.result("tbb", [5.0]), self.result("serial", [1.0])
        self.assertEqual(stats.ratio_to_best(own, [own, peer, floor]), 1.0)
        self.assertEqual(stats.ratio_to_best(floor, [own, peer, floor]), 0.25)

    def test_a_gain_compares_with_the_fewest_loops(self):
        one, two = self.result("knit", [8.0, 6.0]), self.result("knit", [4.0, 3.0], 2)
        self.assertEqual(stats.gain(two, [one, two]), 2.0)
        self.assertIsNone(stats.gain(one, [one, two]))

    def test_a_change_within_the_spread_is_none(self):
        before = {"results": [self.result("knit", [10.0, 11.0, 12.0]), self.result("tbb", [10.0, 10.0, 10.0])]}
        after = {"results": [self.result("knit", [11.0, 12.0, 13.0]), self.result("tbb", [11.0, 11.0, 11.0])]}
        self.assertEqual([row[5] for row in stats.regressions(before, after)], ["same", "WORSE"])

    def test_a_machine_that_is_slower_itself_is_no_regression(self):
        before = {"results": [self.result("knit", [10.0, 10.0])], "calibration": {"calls": [1.0, 1.0]}}
        after = {"results": [self.result("knit", [11.0, 11.0])], "calibration": {"calls": [1.1, 1.1]}}
        self.assertEqual([row[5] for row in stats.regressions(before, after)], ["same"])

    def test_a_faster_machine_does_not_hide_a_regression(self):
        before = {"results": [self.result("knit", [10.0, 10.0])], "calibration": {"calls": [1.0, 1.0]}}
        after = {"results": [self.result("knit", [9.8, 9.8])], "calibration": {"calls": [0.85, 0.85]}}
        self.assertEqual([row[5] for row in stats.regressions(before, after)], ["WORSE"])

    def test_a_lower_rate_is_worse_though_the_cost_is_the_same(self):
        old, new = self.result("knit", [4.0]), self.result("knit", [4.0])
        old["figures"]["requests_per_second"], new["figures"]["requests_per_second"] = [100.0], [50.0]
        self.assertEqual([(row[2], row[5]) for row in stats.regressions({"results": [old]}, {"results": [new]})],
                         [("ns_per_task", "same"), ("requests_per_second", "WORSE")])

    def test_a_case_that_vanished_is_named(self):
        text, is_worse = tables.render_comparison({**made_up_run(), "results": [*made_up_run()["results"],
                                                                               {**self.result("knit", [1.0]), "size": None}]},
                                                  made_up_run())
        self.assertTrue(is_worse)
        self.assertIn("Gone: x, knit, on 1", text)

    def test_a_gain_compares_only_what_has_the_same_cpus(self):
        one, two = self.result("knit", [8.0]), self.result("knit", [4.0], 2)
        one["placing"], two["placing"] = "apart", "shared"
        self.assertIsNone(stats.gain(two, [one, two]))

    def test_ticks_of_all_rounds_make_the_split(self):
        row = {"figure": "cpu_us", "figures": {"cpu_us": [4.0, 4.0], "user_ticks": [0, 1], "system_ticks": [40, 39]}}
        self.assertEqual(stats.split(row), (0.05, 3.95, 0.1))

    def test_drift_is_how_far_the_calibration_went_apart(self):
        self.assertAlmostEqual(stats.drift({"calls": [1.0, 1.2, 1.1]})["calls"], 20.0)


class TargetsTest(unittest.TestCase):
    def test_each_is_met_or_missed_by_what_was_measured(self):
        verdicts = {target: (measured, verdict) for _, target, measured, verdict in targets.judge(made_up_run())}
        said = {words: row for target, row in verdicts.items() for words in
                ("a sleeping task", "fib: two loops", "an idle connection", "echo, 64 connections: ahead") if words in target}
        self.assertEqual(said["a sleeping task"], ("400 bytes", "MISSED"))
        self.assertEqual(said["fib: two loops"], ("2.00 times", "met"))
        self.assertEqual(said["echo, 64 connections: ahead"], ("0.50 times the best peer", "met"))
        self.assertEqual({verdict for _, verdict in verdicts.values()}, {"met", "MISSED"})

    def test_what_was_not_measured_is_neither(self):
        verdicts = targets.judge({**made_up_run(), "results": []})
        self.assertEqual({(measured, verdict) for _, _, measured, verdict in verdicts}, {("not measured", "")})


def quiet_progress():
    class Quiet:
        is_terminal = False

        def __getattr__(self, _):
            return lambda *_: None
    return Quiet()


def made_up_case(runtime, run):
    return cases.Case("fib", f"case of {runtime}", runtime, "", 1, "seconds", "s", run)


class RoundsTest(unittest.TestCase):
    @staticmethod
    def of(chosen):
        measured = rounds.Rounds(chosen, pathlib.Path("/nowhere"), [])
        measured.calibrate = lambda: None
        return measured

    def test_what_fails_is_a_line_and_the_others_go_on(self):
        def fail():
            raise cases.RunError("broken")
        measured = self.of([made_up_case("knit", fail), made_up_case("go", lambda: {"seconds": 1.0})])
        measured.run(quiet_progress(), 3, 1000, lambda: None)
        self.assertEqual([len(found) for found in measured.runs.values()], [0, 3])
        self.assertEqual(measured.notes, ["case of knit: knit, 1 loop, from round 1 on: broken"])
        self.assertTrue(measured.own_failed and measured.is_whole)

    def test_an_interruption_keeps_what_there_is(self):
        saved, answers = [], iter([1.0, 2.0])

        def run():
            try:
                return {"seconds": next(answers)}
            except StopIteration:
                raise KeyboardInterrupt from None
        measured = self.of([made_up_case("knit", run)])
        measured.run(quiet_progress(), 5, 1000, lambda: saved.append(len(measured.runs[measured.chosen[0].key])))
        self.assertEqual(saved[-1], 2)
        self.assertFalse(measured.is_whole)
        self.assertIn("interrupted in round 3 of 5", measured.notes[0])

    def test_no_round_begins_that_would_end_too_late(self):
        measured = self.of([made_up_case("knit", lambda: {"seconds": 1.0})])
        measured.run(quiet_progress(), 5, 0, lambda: None)
        self.assertEqual(len(measured.runs[measured.chosen[0].key]), 1)
        self.assertIn("1 rounds of 5 were run", measured.notes[0])


class BuildingTest(unittest.TestCase):
    def test_a_peer_that_does_not_build_takes_only_its_own_cases_away(self):
        with tempfile.TemporaryDirectory() as folder:
            good, bad = pathlib.Path(folder) / "good", pathlib.Path(folder) / "bad"
            good.touch()
            kept, other = made_up_case("knit", dict), made_up_case("go", dict)
            kept.programs, other.programs = [good], [good, bad]
            notes, broken = [], {}
            steps = [peers.Step("all", ("false",), None, None, (good, bad),
                                (peers.Step("good", ("true",), None, None, (good,)),
                                 peers.Step("bad", ("sh", "-c", "echo 'x.rs: error: no such crate'; exit 1"), None, None,
                                            (bad,))))]
            for step in steps:
                building.build_peer(quiet_progress(), step, broken)
            self.assertEqual(building.without_broken([kept, other], broken, notes), [kept])
            self.assertEqual(notes, ["bad: x.rs: error: no such crate"])


class ReportTest(unittest.TestCase):
    def test_tables_say_gain_and_ratio(self):
        text = tables.render(made_up_run())
        self.assertIn("x 2.00", text)
        self.assertIn("fib, a task for each call, fork: 2 loops are 2.00 times as fast as 1", text)
        self.assertIn("left out: nginx", text)

    def test_the_page_has_a_plot_for_every_workload(self):
        run = made_up_run()
        for kinds in (("cpu",), ("tasks",), ("io",), ("server",)):
            names = {row["name"] for row in run["results"] if row["kind"] in kinds and row["workload"] != "scaling" and
                     (row["size"] is None or row["workload"] == "echo")}
            self.assertEqual({name for name, _ in charts.bar_charts(run, kinds)}, names)
        self.assertEqual(len(charts.flat_charts(run)), 3)
        json.dumps([charts.speed_up(run), charts.latency(run), charts.memory(run)], allow_nan=False)

    def test_without_the_plotting_library_the_page_has_the_tables_and_says_so(self):
        nothing = replaced(report, "fetch_libraries", lambda _: (None, "no plots <here>"))
        with tempfile.TemporaryDirectory() as folder, nothing:
            page = pathlib.Path(folder) / "page.html"
            self.assertEqual(report.write(made_up_run(), page, None), "no plots <here>")
            text = page.read_text()
        self.assertIn("no plots &lt;here&gt;", text)
        self.assertIn("<details open>", text)
        self.assertNotIn("<script", text)


@contextlib.contextmanager
def replaced(module, name, value):
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


class RunTest(unittest.TestCase):
    def test_words_that_are_no_figures_are_left_out(self):
        self.assertEqual(cases.fields("workload=fib seconds=0.5 listening 1"), {"seconds": 0.5})

    def test_a_program_that_fails_is_named_with_its_output(self):
        with self.assertRaisesRegex(cases.RunError, "(?s)sh -c.*ended with 3.*words"):
            cases.run_program(["sh", "-c", "echo words >&2; exit 3"])

    def test_a_program_that_is_missing_is_named(self):
        with self.assertRaisesRegex(cases.RunError, "/no/such/program"):
            cases.run_program(["/no/such/program"])

    def test_a_server_that_does_not_start_is_named_with_its_output(self):
        with self.assertRaisesRegex(cases.RunError, "(?s)did not start.*words"):
            servers.Server(["sh", "-c", "echo words >&2; exit 3"], ())

    def test_a_server_is_charged_for_its_children(self):
        busy = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True); time.sleep(60)"
        child = "import subprocess, sys; " \
                f"p = subprocess.Popen([sys.executable, '-c', {busy!r}], stdout=subprocess.PIPE); " \
                "p.stdout.readline(); print('listening 1', flush=True); p.wait()"
        with servers.Server([sys.executable, "-c", child], ()) as server:
            self.assertGreater(server.usage()[0], 200_000)
            for pid in server.processes()[1:]:
                subprocess.run(["kill", str(pid)], check=True)

    def test_wrong_arguments_are_refused(self):
        for arguments in (["--rounds", "0"], ["--only", "nothing"], ["--loops", "x"], ["--output", "/no/such/dir/x"],
                          ["--runtimes", "nothing"], ["compare", "a"], ["report", "/no/such/file"]):
            ended = subprocess.run([TOOL, *arguments], stderr=subprocess.PIPE, text=True, check=False)
            self.assertNotEqual(ended.returncode, 0, arguments)
            self.assertIn("error:", ended.stderr)

    def test_compare_fails_when_something_is_slower(self):
        with tempfile.TemporaryDirectory() as folder:
            old, new = pathlib.Path(folder) / "old.json", pathlib.Path(folder) / "new.json"
            run = made_up_run("quick")
            for result in run["results"]:
                result["figures"][result["figure"]] = [1.0, 1.0, 1.0]
            old.write_text(json.dumps(run))
            run["results"][0]["figures"][run["results"][0]["figure"]] = [1.5, 1.5, 1.5]
            new.write_text(json.dumps(run))
            for pair, status, words in (((old, new), 1, "1 worse, 0 better"), ((new, old), 0, "0 worse, 1 better"),
                                        ((old, old), 0, "0 worse, 0 better")):
                ended = subprocess.run([TOOL, "compare", *pair], stdout=subprocess.PIPE, text=True, check=False)
                self.assertEqual(ended.returncode, status)
                self.assertIn(words, ended.stdout)


unittest.main(argv=["harness_test", "-v"])
