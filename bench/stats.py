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
    return ("seconds", False) if result["workload"] == "sleepers" else ("ns_per_task", False)


def gain(result, results):
    """How many times as fast as the same on the fewest loops; None if this is that, or there is no other."""
    same = [other for other in results
            if (other["name"], other["runtime"], other["form"]) == (result["name"], result["runtime"], result["form"])]
    base = min(same, key=lambda other: other["loops"])
    if base is result or result["runtime"] == "serial":
        return None
    figure, more_is_better = speed_figure(result)
    return ratio(result, base, figure) if more_is_better else ratio(base, result, figure)


def drift(calibration):
    """How far the machine went apart over the rounds, in percent, by calibration program."""
    return {name: 100 * (max(values) / min(values) - 1) for name, values in calibration.items() if values}


def machine_shift(before, after):
    """How much slower or faster the machine itself was in one of two runs, in percent, as the calibration says."""
    pairs = [(before.get("calibration", {}).get(name), values) for name, values in after.get("calibration", {}).items()]
    changes = [100 * abs(statistics.median(new) / statistics.median(old) - 1) for old, new in pairs if old and new]
    return max(changes, default=0.0)


def regressions(before, after):
    """(result before, result after, change in percent, noise in percent, verdict) of each case that both runs have.

    The noise is what both spreads together say, 3 % at the least, and by how much the machine itself changed: a change
    within it is no change.
    """
    shift = machine_shift(before, after)
    known = {(row["name"], row["runtime"], row["form"], row["loops"]): row for row in before["results"]}
    for row in after["results"]:
        old = known.get((row["name"], row["runtime"], row["form"], row["loops"]))
        if old is None or not median(old):
            continue
        change = 100 * (median(row) / median(old) - 1)
        noise = max(3.0, spread(old) + spread(row)) + shift
        verdict = "same" if abs(change) <= noise else "WORSE" if change > 0 else "better"
        yield old, row, change, noise, verdict
