"""Medians over the rounds, spreads, and ratios that are taken within a round. Works on the JSON of tools/bench."""
import statistics

# What is no runtime that one could choose instead: the work without one.
FLOORS = ("serial", "uring", "epoll")


def median(result, figure=None):
    values = result["figures"].get(figure or result["figure"])
    return statistics.median(values) if values else None


def spread(result, figure=None):
    """Half the way from the least to the most, in percent of the median."""
    values = result["figures"][figure or result["figure"]]
    middle = statistics.median(values)
    return 50 * (max(values) - min(values)) / middle if middle else 0.0


def ratio(result, base, figure):
    """Median of the ratios round by round: what disturbed a whole round does not count. None without rounds."""
    pairs = zip(result["figures"].get(figure, ()), base["figures"].get(figure, ()))
    found = [own / other for own, other in pairs if other]
    return statistics.median(found) if found else None


def comparable(result, results):
    """What stands beside the result: the same work on as many loops."""
    return [other for other in results if other["name"] == result["name"] and other["loops"] == result["loops"]]


def ratio_to_best(result, results):
    """How many times as much as the best runtime of the same round, floors left out; None where nothing compares."""
    figure = result["figure"]
    rivals = [other["figures"][figure] for other in comparable(result, results) if other["runtime"] not in FLOORS]
    if len(rivals) < 2:
        return None
    found = [own / min(best) for own, best in zip(result["figures"][figure], zip(*rivals)) if min(best) > 0]
    return statistics.median(found) if found else None


def speed_figure(result):
    """(figure, whether more is better) of what more loops are meant to improve: a rate, or the time."""
    if "requests_per_second" in result["figures"]:
        return "requests_per_second", True
    return ("seconds", False) if result["workload"] in ("sleepers", "million") else ("ns_per_task", False)


def to_tbb(result, results):
    """Time as a share of oneTBB's in the same round; None where oneTBB does not take part."""
    base = [other for other in comparable(result, results) if other["runtime"] == "tbb" and not other["form"]]
    return ratio(result, base[0], result["figure"]) if base and result["runtime"] != "serial" else None


def split(result):
    """(user, system, finest) of a server's CPU time in us: as the kernel's ticks say, which are coarse, so those of all
    rounds are summed up. `finest` is what two ticks are: less than that is not seen."""
    user, system = sum(result["figures"]["user_ticks"]), sum(result["figures"]["system_ticks"])
    whole = median(result, "cpu_us")
    if user + system == 0:
        return None, None, whole
    return whole * user / (user + system), whole * system / (user + system), whole * 2 / (user + system)


def gain(result, results):
    """How many times as fast as the same on the fewest loops; None if this is that, or there is no other, or if that
    had CPUs of its own and this shares them with the load."""
    keys = ("name", "runtime", "form", "placing")
    same = [other for other in results if all(other[key] == result[key] for key in keys)]
    base = min(same, key=lambda other: other["loops"])
    if base is result or result["runtime"] == "serial":
        return None
    figure, more_is_better = speed_figure(result)
    return ratio(result, base, figure) if more_is_better else ratio(base, result, figure)


def known(values):
    return [value for value in values if value]


def drift(calibration):
    """How far the machine went apart over the rounds, in percent, by calibration program."""
    return {name: 100 * (max(known(values)) / min(known(values)) - 1) for name, values in calibration.items()
            if known(values)}


# What `compare` looks at: figure, percent of change that is no change whatever the spread says, whether more is better,
# and whether it is a time that a slower machine makes longer.
COMPARED = (("p99_us", 10.0, False, False), ("requests_per_second", 3.0, True, True), ("max_rss_kib", 5.0, False, False),
            ("bytes_per_task", 5.0, False, False))


def key_of(result):
    return tuple(result[key] for key in ("name", "runtime", "form", "loops")) + (result.get("placing", ""),)


def machine_values(run, result):
    """What the calibration took in each round, for the kind of work that the result is; ones if it is not known."""
    name = "sockets" if result.get("kind") == "server" else "calls"
    values = run.get("calibration", {}).get(name, ())
    return values if values and all(values) else None


def leveled(run, result, figure, is_time, is_rate):
    """The figure of each round as if the machine had been as fast in every one, and in the other run."""
    values = result["figures"][figure]
    machine = machine_values(run, result) if is_time else None
    if machine is None:
        return values
    return [value * slow if is_rate else value / slow for value, slow in zip(values, machine)]


def spread_of(values):
    middle = statistics.median(values)
    return 50 * (max(values) - min(values)) / middle if middle else 0.0


def compared_figures(result):
    """(figure, least noise, more is better, is a time): the main one first."""
    is_time = result["figure"] not in ("p99_us", "bytes_per_connection")
    yield result["figure"], 3.0 if is_time else 10.0, False, is_time
    for figure, *rest in COMPARED:
        # At a fixed rate the rate says nothing; the memory of a program that runs for a moment neither.
        if figure in result["figures"] and figure != result["figure"] and not (
                result["figure"] == "p99_us" and figure == "requests_per_second"):
            yield (figure, *rest)


def regressions(before, after):
    """(result before, result after, figure, change in percent, noise in percent, verdict) of what both runs have.

    Each round is divided by what the calibration took in it, so that a machine that is slower as a whole does not count.
    The noise is what both spreads together say, or a least for the figure: a change within it is none.
    """
    olds = {key_of(row): row for row in before["results"]}
    for row in after["results"]:
        old = olds.get(key_of(row))
        for figure, least, is_rate, is_time in compared_figures(row) if old else ():
            if figure not in old["figures"]:
                continue
            has_both = is_time and machine_values(before, old) and machine_values(after, row)
            was, now = (leveled(run, result, figure, has_both, is_rate) for run, result in ((before, old), (after, row)))
            if not statistics.median(was):
                continue
            change = 100 * (statistics.median(now) / statistics.median(was) - 1)
            noise = max(least, spread_of(was) + spread_of(now))
            is_worse = change < 0 if is_rate else change > 0
            yield old, row, figure, change, noise, "same" if abs(change) <= noise else "WORSE" if is_worse else "better"


def vanished(before, after):
    """knit's cases that only the first run has."""
    left = {key_of(row) for row in after["results"]}
    return [row for row in before["results"] if row["runtime"] == "knit" and key_of(row) not in left]


def machine_shift(before, after):
    """How much slower or faster the machine itself was in one of two runs, in percent, as the calibration says."""
    pairs = [(before.get("calibration", {}).get(name, ()), values) for name, values in after.get("calibration", {}).items()]
    changes = [100 * abs(statistics.median(known(new)) / statistics.median(known(old)) - 1)
               for old, new in pairs if known(old) and known(new)]
    return max(changes, default=0.0)
