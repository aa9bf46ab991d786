#!/usr/bin/env python3
"""Breaks the real code in one place at a time and expects a model to notice.

    tests/model/mutate.py --cxx clang++-19 [--all] [--only TEXT] [--core libknit_core.a] [--check]

Of every source in FILES each memory order that is stronger than relaxed is made relaxed, each fence is taken out, and
each of REWRITES is applied. What no model can notice stands in SPARED with the reason; one that is spared without need
is reported, and so is a rewrite whose text has gone. Without --all: a sample that takes half a minute. --check: only
whether the tables fit the sources.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TIMEOUT = 400

# The sources, and the model that each is mutated for; a pattern limits it to functions.
FILES = (
    ("core/include/knit/detail/deque.hpp", "deque", r"."),
    ("core/include/knit/detail/inbox.hpp", "inbox", r"."),
    ("core/include/knit/detail/mutex.hpp", "mutex", r"."),
    ("core/src/idle.hpp", "loops", r"."),
    ("core/src/idle.cpp", "loops", r"sleep|claim_sleeper"),
    ("core/src/worker.cpp", "loops", r"post"),
    ("core/src/runtime_core.cpp", "loops", r"wake_one|submit|fence_against_offers|live_tasks"),
    ("core/include/knit/detail/hot_paths.hpp", "loops", r"offer"),
    ("core/include/knit/detail/hot_paths.hpp", "tasks", r"begin"),
    ("core/src/cancel.cpp", "tasks", r"send_cancel|take_early_cancels"),
    ("core/src/fork_join.cpp", "tasks", r"wait_for_away|stop|adopt|child_settled|claim_outcome"),
)

OF_LOOPS = ("loops", "tasks")

# (source, function, label, text, what it becomes): rechecks dropped, read-modify-writes taken apart.
REWRITES = (
    ("core/include/knit/detail/deque.hpp", "pop", "dq.take",
     "        if (!top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst,\n"
     "                                          std::memory_order_relaxed)) {  // [dq.take] relaxed: nothing is read after it\n",
     "        if (top_.store(top + 1); false) {\n"),
    ("core/include/knit/detail/deque.hpp", "take_oldest", "dq.take",
     "top_.compare_exchange_strong(top, top + 1, std::memory_order_seq_cst,\n"
     "                                                       std::memory_order_relaxed);  // [dq.take] relaxed: it is over",
     "(top_.store(top + 1), true);"),
    ("core/include/knit/detail/deque.hpp", "steal", "dq.last",
     "    if (top >= bottom_.load(std::memory_order_acquire)) {  // [dq.last] [dq.slot]\n        return nullptr;\n    }\n", ""),
    ("core/include/knit/detail/deque.hpp", "steal", "dq.mode", "if (unfenced_.load(std::memory_order_acquire)) {", "if (false) {"),
    ("core/include/knit/detail/deque.hpp", "take_back", "dq.last",
     "    if (top_.load(std::memory_order_relaxed) < bottom) [[likely]] {  // relaxed: the fence orders it\n", "    if (true) {\n"),
    ("core/include/knit/detail/deque.hpp", "pop", "dq.last", "if (top < bottom) [[likely]] {", "if (top <= bottom) [[likely]] {"),
    ("core/include/knit/detail/deque.hpp", "make_room", "dq.grow", "if (bottom - top == capacity) {", "if (false) {"),
    ("core/include/knit/detail/inbox.hpp", "refill", "in.item",
     "oldest_first(head_.exchange(nullptr, std::memory_order_acquire))",
     "oldest_first((head_.load(std::memory_order_acquire), head_.store(nullptr), head))"),
    ("core/include/knit/detail/inbox.hpp", "push", "in.end",
     "            if (head == &closed_) {\n                return Push::closed;\n            }\n", ""),
    ("core/include/knit/detail/inbox.hpp", "push", "in.wake", "return head == nullptr ? Push::first", "return head != nullptr ? Push::first"),
    ("core/include/knit/detail/mutex.hpp", "lock_slow", "mutex.hold",
     "        while (word_.exchange(kAwaited, std::memory_order_acquire) != kFree) {  // [mutex.hold]\n",
     "        for (std::uint32_t free = kFree;\n"
     "             !word_.compare_exchange_strong(free, kHeld, std::memory_order_acquire); free = kFree) {\n"
     "            word_.compare_exchange_strong(free, kAwaited, std::memory_order_acquire);\n"),
    ("core/include/knit/detail/mutex.hpp", "unlock", "mutex.hold", "            word_.notify_one();", "            ;"),
    ("core/include/knit/detail/inbox.hpp", "close", "in.end", "head_.exchange(&closed_, std::memory_order_acq_rel)",
     "(head_.load(std::memory_order_acquire)); head_.store(&closed_)"),
)

REWRITES += (
    ("core/src/idle.cpp", "sleep", "idle.word", "const bool sees_work = runtime_.has_stealable();", "const bool sees_work = false;"),
    ("core/src/idle.cpp", "sleep", "worker.sleep", "if (!sees_work && !has_own_work()) {", "if (!sees_work) {"),
    ("core/src/idle.cpp", "stop_searching", "idle.word", "end_search() && runtime_.leaves_work_to_sleepers()", "end_search() && false"),
    ("core/src/idle.cpp", "sleep", "idle.word", "    runtime_.fence_against_offers();\n", ""),
    ("core/src/runtime_core.cpp", "wake_one", "idle.word", "end_search() && has_sleeper() && leaves_work_to_sleepers()", "end_search() && false"),
    ("core/src/runtime_core.cpp", "leaves_work_to_sleepers", "idle.word", "    fence_against_offers();\n    return has_stealable();",
     "    return has_stealable();"),
    ("core/src/runtime_core.cpp", "live_tasks", "worker.count",
     "        ended += each->ended();\n    }\n"
     "    std::uint64_t made = life_->made();\n"
     "    for (const Worker* each : workers_) {\n        made += each->made();\n    }\n",
     "        ended += 0;\n    }\n"
     "    std::uint64_t made = life_->made();\n"
     "    for (const Worker* each : workers_) {\n        made += each->made();\n    }\n"
     "    for (const Worker* each : workers_) {\n        ended += each->ended();\n    }\n"),
    ("core/src/worker.cpp", "turn", "idle.word",
     "    if (is_searching_ && (!ready_.empty() || deque_.size_hint() != 0)) [[unlikely]] {", "    if (false) {"),
    ("core/src/worker.cpp", "post", "worker.sleep", "case Inbox::Push::first: break;", "case Inbox::Push::first: return true;"),
    ("core/include/knit/detail/hot_paths.hpp", "begin", "task.home",
     "if (early_cancel_.load(std::memory_order_relaxed) != nullptr) [[unlikely]] {", "if (false) {"),
    ("core/src/fork_join.cpp", "adopt", "fork.word", "if ((before & ForkNode::kStopped) != 0) {", "if (false) {"),
    ("core/src/fork_join.cpp", "stop", "fork.word", "if ((before & ForkNode::kBegun) != 0 && (again", "if (false && (again"),
)

# (source, function, label or "", order or fence, reason): what no model here can notice. "order: text" is meant of lines
# with that text alone.
DEQUE = "core/include/knit/detail/deque.hpp"
IDLE = "core/src/idle.hpp"
SPARED = (
    (DEQUE, "is_unfenced", "", "seq_cst", "a full fence comes before it wherever it is asked"),
    (DEQUE, "make_room", "dq.reuse", "acquire", "the explorer has no load that sees a store of its own future"),
    (DEQUE, "pop", "dq.slot", "release", "steal has read the item's own bottom before its fence"),
    (DEQUE, "take_back", "dq.slot", "release", "steal has read the item's own bottom before its fence"),
    (DEQUE, "pop", "dq.take", "seq_cst", "a read-modify-write has one winner in any order; the fence before it orders"),
    (DEQUE, "take_oldest", "dq.take", "seq_cst", "a read-modify-write has one winner in any order"),
    (DEQUE, "steal", "dq.last", "acquire: Index top =", "the full fence after it acquires too"),
    (DEQUE, "steal", "dq.take", "seq_cst", "one winner in any order; its release is [dq.reuse], see make_room"),
    (DEQUE, "size_hint", "dq.slot", "acquire", "a number alone: nothing is read through it"),
    (IDLE, "load", "", "seq_cst", "who asks has a fence before it"),
    (IDLE, "begin_search", "", "seq_cst", "what must be seen of it, is seen through the claim that follows"),
    (IDLE, "end_search", "", "seq_cst", "the full fence after it orders"),
    (IDLE, "announce_sleep", "", "seq_cst", "the full fence after it orders"),
    (IDLE, "end_sleep", "", "seq_cst", "a count alone"),
    ("core/src/idle.cpp", "sleep", "worker.sleep", "seq_cst", "the full fence of announce_sleep orders; else the word alone tells"),
    ("core/src/idle.cpp", "claim_sleeper", "worker.sleep", "seq_cst", "the word alone tells: one winner in any order"),
    ("core/src/idle.cpp", "claim_sleeper", "worker.wakes", "release", "the end of a run is not explored"),
    ("core/include/knit/detail/hot_paths.hpp", "offer", "idle.word", "seq_cst", "the push before it ends with a fence of either kind"),
    ("core/src/worker.cpp", "post", "worker.sleep", "seq_cst: compare_exchange",
     "one winner in any order; the item is seen through the inbox, at the latest when the bell, rung after it, is heard"),
    ("core/src/worker.cpp", "post", "worker.wakes", "release", "the end of a run is not explored"),
    ("core/src/fork_join.cpp", "stop", "fork.word", "acquire", "plain memory, which is never stale here: the fork storm under TSan sees it"),
    ("core/src/fork_join.cpp", "adopt", "fork.word", "release", "plain memory, which is never stale here: the fork storm under TSan sees it"),
    ("core/src/cancel.cpp", "send_cancel", "task.home", "acquire", "what comes between the other's fence and its exchange: two preemptions"),
    ("core/src/runtime_core.cpp", "submit", "", "full_fence", "the injector's own atomics are not the explorer's"),
)

ORDER = re.compile(r"memory_order_(acquire|release|acq_rel|seq_cst)")
FENCE = re.compile(r"^(\s*)((?:full|light|heavy)_fence\(\);)")
LABEL = re.compile(r"\[([a-z]+\.[a-z0-9]+)\]")


class Mutation:
    """`what` becomes of the line `code`; `text` is the whole source then."""

    def __init__(self, source, model, function, label, what, code, text):
        self.source, self.model, self.function, self.label = source, model, function, label
        self.what, self.code, self.text = what, code, text
        self.name = f"{pathlib.Path(source).name} {function} [{label}] {what}"


def functions_of(lines):
    """The function that each line is in; by indentation, as clang-format leaves it."""
    current, found = "", []
    for line in lines:
        stripped = line.strip()
        if stripped and not stripped.startswith(("//", "#", "}", "return", "if", "while", "for", "case", "do ", "else")):
            match = re.match(r"^( {4})?(?! )[\w\[\]:<>*&, ~]*?(~?\w+)\((?!\))?.*[{,)(]?\s*$", line)
            if match and not stripped.endswith(";") and ("{" in line or line.rstrip().endswith((",", ")", "{"))) and "= " not in line.split("(")[0]:
                current = match.group(2)
        found.append(current)
    return found


def mutations_of(source, model, pattern):
    text = (ROOT / source).read_text()
    lines = text.split("\n")
    functions = functions_of(lines)
    for number, line in enumerate(lines):
        code = line.split("//")[0]
        if not re.search(pattern, functions[number]) or line.lstrip().startswith("//"):
            continue
        near = " ".join(lines[number:number + 3])
        label = (LABEL.findall(line) or LABEL.findall(near) or [""])[0]

        def changed(new):
            return "\n".join(lines[:number] + [new] + lines[number + 1:])

        for match in ORDER.finditer(code):
            new = line[:match.start()] + "memory_order_relaxed" + line[match.end():]
            yield Mutation(source, model, functions[number], label, f"line {number + 1}: {match.group(1)} -> relaxed", code, changed(new))
        fence = FENCE.match(code)
        if fence:
            yield Mutation(source, model, functions[number], label, f"line {number + 1}: no {fence.group(2)}", code,
                           changed(fence.group(1) + ";"))


def all_mutations():
    models = {source: model for source, model, _ in FILES}
    for source, model, pattern in FILES:
        yield from mutations_of(source, model, pattern)
    for source, function, label, old, new in REWRITES:
        text = (ROOT / source).read_text()
        if text.count(old) != 1:
            sys.exit(f"mutate.py: the text of a rewrite of {source} {function} [{label}] is there {text.count(old)} times:\n{old}")
        yield Mutation(source, models[source], function, label, "rewritten: " + (new.strip() or "dropped").split("\n")[0], old,
                       text.replace(old, new))


def is_meant(entry, mutation):
    source, function, label, what, _ = entry
    order, _, code = what.partition(": ")
    return (source == mutation.source and function == mutation.function and label in ("", mutation.label)
            and order in mutation.what and code in mutation.code)


def spared(mutation):
    return next((entry[-1] for entry in SPARED if is_meant(entry, mutation)), None)


def check_tables():
    """Nothing is built: REWRITES and SPARED must be about the sources as they are."""
    mutations = list(all_mutations())  # which ends at a rewrite whose text has gone
    stale = [entry for entry in SPARED if not any(is_meant(entry, one) for one in mutations)]
    for source, function, label, what, _ in stale:
        print(f"mutate.py: SPARED has {what} in {function} [{label}] of {source}: there is none")
    print(f"{len(mutations)} mutations, {len(stale)} stale entries")
    return 1 if stale else 0


class Workshop:
    """Compiles and runs one mutated model."""

    def __init__(self, cxx, core, folder, is_deep):
        self.core, self.folder = core, folder
        self.environment = {**os.environ, **({"MODEL_DEEP": "1"} if is_deep else {})}
        self.flags = [cxx, "-std=c++20", "-O1", "-w", "-DKNIT_MODEL", f"-I{HERE}", f"-I{ROOT}/tests/support"]
        self.explorer = [folder / "explorer.o", folder / "memory.o"]
        for made in self.explorer:
            subprocess.run([*self.flags, "-c", HERE / f"{made.stem}.cpp", "-o", made], check=True)
        self.header = []
        if "clang" in cxx:
            pch = folder / "explored_test.pch"
            subprocess.run([*self.flags, "-x", "c++-header", HERE / "explored_test.hpp", "-o", pch], check=True)
            self.header = ["-include-pch", pch]

    def is_noticed(self, model, source=None, text=None):
        place = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        try:
            shutil.copytree(ROOT / "core", place / "core")
            if source:
                (place / source).write_text(text)
            program = place / "model"
            command = [*self.flags, *self.header, f"-I{place}/core/include", f"-I{place}/core/src",
                       HERE / f"{model}_explored.cpp", *self.explorer, "-o", program]
            command += [self.core, "-Wl,-z,muldefs"] if model in OF_LOOPS else []
            built = subprocess.run([*command, "-lgtest", "-lgtest_main", "-lpthread"], capture_output=True, text=True)
            if built.returncode != 0:
                return None, built.stderr[:2000]
            try:
                ran = subprocess.run([program, "--gtest_brief=1", "--gtest_fail_fast"], capture_output=True, text=True, timeout=TIMEOUT, env=self.environment)
            except subprocess.TimeoutExpired:
                return True, "did not end"
            return ran.returncode != 0, (ran.stdout + ran.stderr)[:1500]
        finally:
            shutil.rmtree(place)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cxx", default="c++")
    parser.add_argument("--core", help="archive of core's objects, built without optimisation, for the models of whole loops")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--check", action="store_true", help="only whether the tables are about the sources as they are")
    parser.add_argument("--only", default="", help="mutations whose name has this text")
    parser.add_argument("--deep", action="store_true", help="two preemptions in the models of whole loops")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    if options.check:
        return check_tables()
    if options.core and "knit::detail::Worker::offer(" not in subprocess.run(["nm", "-C", options.core], capture_output=True, text=True).stdout:
        sys.exit(f"mutate.py: {options.core} was built with optimisation: what is inlined there is not explored. Give that of a build at -O0.")
    chosen = [one for one in all_mutations() if options.only in one.name and (options.core or one.model not in OF_LOOPS)]
    if not options.all and not options.only:
        chosen = [one for one in chosen if one.model not in OF_LOOPS and not spared(one)][::9]
    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(options.cxx, options.core, pathlib.Path(folder), options.deep)
        bad = 0
        for model in sorted({one.model for one in chosen}):
            noticed, text = workshop.is_noticed(model)
            if noticed is not False:
                print(f"the model {model} does not hold for the code as it is:\n{text}")
                return 1
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            results = pool.map(lambda one: workshop.is_noticed(one.model, one.source, one.text), chosen)
            for one, (noticed, text) in zip(chosen, results):
                reason = spared(one)
                verdict = "does not compile" if noticed is None else "noticed" if noticed else "SURVIVES"
                wrong = noticed is None or noticed == bool(reason)
                bad += wrong
                print(f"{'** ' if wrong else '   '}{verdict}: {one.name}{' (spared: ' + reason + ')' if reason else ''}", flush=True)
                if noticed is None:
                    print(text)
    print(f"{len(chosen)} mutations, {bad} not as expected")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
