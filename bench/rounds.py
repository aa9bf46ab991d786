"""The rounds of tools/bench: every case in turn, again and again. Whatever fails is left out with one line, and what has
been measured is kept whenever the run ends."""
import time

import cases
import matrix


class Rounds:
    """`runs` has the figures of each case, round by round; `notes` what was left out and why the run ended early."""

    def __init__(self, chosen, build, notes):
        self.chosen = chosen
        self.build = build
        self.notes = notes
        self.runs = {case.key: [] for case in chosen}
        self.calibration = {name: [] for name in matrix.CALIBRATION}
        self.failed = set()
        self.own_failed = False  # one of knit's
        self.is_whole = True

    def run(self, progress, rounds, seconds_most, save):
        """Every case once a round, so that whatever disturbs the machine disturbs all of them alike. `save` is called
        after each workload. No round begins that would end after `seconds_most`."""
        begin, longest = time.monotonic(), 0.0
        try:
            for number in range(rounds):
                started = time.monotonic()
                if number > 0 and started - begin + longest > seconds_most:
                    self.notes.append(f"{number} rounds of {rounds} were run: another would have taken the run past "
                                      f"{seconds_most / 60:.0f} minutes")
                    break
                self.run_round(progress, number, rounds, save)
                longest = max(longest, time.monotonic() - started)
                if number == 0:
                    progress.note(f"a round takes {longest:.0f} s")
        except KeyboardInterrupt:
            self.is_whole = False
            self.notes.append(f"interrupted in round {number + 1} of {rounds}: the figures are of what was run by then")
        save()
        progress.clear()

    def run_round(self, progress, number, rounds, save):
        self.calibrate()
        before = None
        for index, case in enumerate(self.chosen):
            if before not in (None, case.workload):
                save()
            before = case.workload
            progress.step(number * len(self.chosen) + index, rounds * len(self.chosen),
                          f"round {number + 1}/{rounds}: {case.title}")
            if case.key not in self.failed:
                self.run_case(progress, case)

    def run_case(self, progress, case):
        try:
            self.runs[case.key].append(case.run())
        except (cases.RunError, OSError, ValueError, KeyError) as error:
            self.failed.add(case.key)
            self.own_failed |= case.runtime == "knit"
            why = " ".join(str(error).split())[:300] or type(error).__name__
            self.notes.append(f"{case.title}, from round {len(self.runs[case.key]) + 1} on: {why}")
            progress.note(f"left out: {self.notes[-1]}")

    def calibrate(self):
        """Seconds that fixed programs take: what the machine alone does from round to round."""
        for name, words in matrix.CALIBRATION.items():
            try:
                found = cases.run_program([self.build / "bench" / words[0], *words[1:]])["seconds"]
            except (cases.RunError, KeyError):
                found = None
            self.calibration[name].append(found)
