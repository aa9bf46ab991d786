"""The targets that knit is built to, each with what a run gave for it: met or missed. Works on the JSON of tools/bench."""
import stats

# Time of the best coroutine libraries that Debian does not have, as a share of oneTBB's in the same rounds on another
# machine, by name: fib by libfork, citor, TooManyCooks; and so on. On 1 loop and on 2.
LIBRARIES = ("libfork 3.8", "citor 0.4", "TooManyCooks 1.7")
TO_TBB = {("fib", 1): (0.18, 0.25, 0.33), ("fib", 2): (0.18, 0.36, 0.32), ("skynet", 1): (0.43, 0.27, 0.51),
          ("skynet", 2): (0.43, 0.76, 0.49), ("nqueens", 1): (0.75, 0.77, 0.80), ("nqueens", 2): (0.72, 0.84, 0.79)}
NOT_MEASURED = ("not measured", None)


class Run:
    """Finds single results of a run."""

    def __init__(self, run):
        self.results = run["results"]
        self.compiler = run["machine"]["compiler"]

    def find(self, workload, runtime="knit", form="", loops=1, size=None, name=""):
        for result in self.results:
            is_same = (result["workload"], result["runtime"], result["form"]) == (workload, runtime, form)
            if is_same and result["loops"] == loops and name in result["name"] and (size is None or size == result["size"]):
                if size is not None or result["size"] is None or result["kind"] == "server":
                    return result
        return None

    def sizes(self, workload, runtime="knit", form=""):
        """{size: median} of a curve, on one loop."""
        return {result["size"]: stats.median(result) for result in self.results
                if (result["workload"], result["runtime"], result["form"], result["loops"]) == (workload, runtime, form, 1)
                and result["size"] is not None}


def most(value, limit, unit, digits=2):
    """(what was measured, whether it is met) of a value that may be the limit at most."""
    if value is None:
        return NOT_MEASURED
    return f"{value:.{digits}f}{unit}", value <= limit


def least(value, limit, unit):
    return NOT_MEASURED if value is None else (f"{value:.2f}{unit}", value >= limit)


def ratio(own, base, figure=None):
    return stats.ratio(own, base, figure or own["figure"]) if own and base else None


def figure_of(result, figure=None):
    return stats.median(result, figure) if result else None


def fork_join(run):
    limit = 7.0 if "clang" in run.compiler.lower() else 8.5
    yield (f"fib: at most {limit} ns a task (7 with Clang 19 -O3, 8.5 with GCC 12 -O3)",
           *most(figure_of(run.find("fib", form="fork")), limit, " ns"))
    for key in ("fib", "skynet", "nqueens"):
        for loops in (1, 2):
            known = TO_TBB[key, loops]
            beaten = min(known)
            own = ratio(run.find(key, form="fork", loops=loops), run.find(key, "tbb", loops=loops))
            told = ", ".join(f"{name} {share}" for name, share in zip(LIBRARIES, known))
            yield f"{key}, {loops} loop{'s' * (loops > 1)}: share of oneTBB's time below {beaten} ({told})", *most(own, beaten, "")
    for loops in (1, 2):
        own = run.find("matmul", loops=loops)
        yield (f"matmul, {loops} loop{'s' * (loops > 1)}: level with the best, within 3 %",
               *most(stats.ratio_to_best(own, run.results) if own else None, 1.03, " times the best"))
    for key, form in (("fib", "fork"), ("skynet", "fork"), ("nqueens", "fork"), ("matmul", "")):
        two = run.find(key, form=form, loops=2)
        yield (f"{key}: two loops at least 1.9 times one",
               *least(stats.gain(two, run.results) if two else None, 1.9, " times"))


def switching(run):
    for form, limit in (("yield", 4), ("inline await", 4.5), ("create_task, await", 30), ("lock", 10)):
        yield f"{form}: under {limit} ns", *most(figure_of(run.find("switching", form=form)), limit, " ns")
    yield "ping-pong of two loops awake: under 400 ns there and back", *most(
        figure_of(run.find("pingpong", loops=2)), 400, " ns", 0)
    asleep = ratio(run.find("wake", form="asleep", loops=2), run.find("wake", "uring", loops=2))
    yield "ping-pong of two loops asleep: at most 1.15 times two bare io_uring wakes", *most(asleep, 1.15, " times")


def ring(run):
    yield "an awaited NOP, 64 at a time: at most 1.25 times the loop by hand", *most(
        ratio(run.find("nop"), run.find("nop", "uring")), 1.25, " times")
    for size in (64, 1000):
        own, hand = run.find("echo", size=size), run.find("echo", "uring", size=size)
        yield f"echo, {size} connections: CPU time at most 1.05 times the server by hand", *most(ratio(own, hand), 1.05, " times")
        yield f"echo, {size} connections: ahead of every peer", *most(to_peers(own, run), 1.0, " times the best peer")
    for size in (64, 512):
        for form, text in (("library", "by knit::http"), ("bare", "on the bare parser")):
            own = run.find("http", name=f"{size} connections", form=form)
            yield (f"HTTP hello {text}, {size} connections: ahead of every peer, nginx too",
                   *most(to_peers(own, run), 1.0, " times the best peer"))


def to_peers(own, run):
    """Times the cost of the best other runtime of the same round."""
    rivals = [other for other in stats.comparable(own, run.results)
              if other["runtime"] not in (*stats.FLOORS, "knit")] if own else []
    found = [value for value in (ratio(own, rival) for rival in rivals) if value is not None]
    # The best peer is the one against which the ratio is worst.
    return max(found, default=None)


def latency(run):
    own = run.find("mixed", form="steal on", loops=2)
    for form, text in (("steal off", "one loop serves"), ("steal off, every loop serves", "each loop serves its share")):
        share = ratio(own, run.find("mixed", form=form, loops=2))
        yield f"echo while 1 % burns: p99 at most 0.2 of that without stealing, {text}", *most(share, 0.2, "")


def memory(run):
    million = run.find("million")
    yield "a sleeping task: under 250 bytes", *most(figure_of(million, "bytes_per_task"), 250, " bytes", 0)
    yield "an idle connection: under 500 bytes", *most(figure_of(run.find("idle", form="receive")), 500, " bytes", 0)
    yield "1,000,000 sleeping tasks made, slept and joined: under 1 s", *most(figure_of(million), 1.0, " s")


def flat(run):
    for key, form, text in (("local", "create", "task"), ("timers", "", "timer")):
        found = run.sizes(key, form=form)
        yield flat_row(f"a {text}'s cost", found, {size: 1.0 for size in found})
    own, hand = run.sizes("echo"), run.sizes("echo", "uring")
    served = {size: value for size, value in own.items() if size >= 64 and size in hand}
    yield flat_row("a request's cost, as a multiple of the server by hand", served, hand)


def flat_row(text, found, base):
    values = [value / base[size] for size, value in found.items() if value and base.get(size)]
    if len(values) < 2:
        return f"{text}: flat, at most 1.3 times the least", *NOT_MEASURED
    reach = f"{min(found):,.0f} to {max(found):,.0f}"
    return f"{text} from {reach}: at most 1.3 times the least", *most(max(values) / min(values), 1.3, " times")


GROUPS = (("fork-join", fork_join), ("switching", switching), ("ring", ring), ("latency", latency), ("memory", memory),
          ("flat", flat))


def judge(run):
    """[(group, target, measured, "met", "MISSED" or "")] of each target, in order."""
    found = Run(run)
    return [(name, target, measured, {True: "met", False: "MISSED", None: ""}[is_met])
            for name, group in GROUPS for target, measured, is_met in group(found)]
