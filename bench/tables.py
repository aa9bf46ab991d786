"""The tables of tools/bench: medians over the rounds, ratios within a round, text and JSON."""
import statistics


def median(runs, figure):
    return statistics.median(run[figure] for run in runs)


def ratio(runs, base, figure):
    """Median of the ratios round by round: what disturbed a whole round does not count."""
    return statistics.median(base_run[figure] and run[figure] / base_run[figure] for run, base_run in zip(runs, base))


def spread(runs, figure):
    """Half the way from the least to the most, in percent of the median."""
    values = [run[figure] for run in runs]
    middle = statistics.median(values)
    return 50 * (max(values) - min(values)) / middle if middle else 0.0


def layout(rows):
    """Columns as wide as their widest cell; the first two to the left, figures to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  " + "  ".join(cells).rstrip())
        if number == 0:
            lines.append("  " + "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def by_name(cases, group):
    """The cases of a group, those that compare together: [(name, [case, ...]), ...] in order."""
    names = {}
    for case in cases:
        if case.group == group:
            names.setdefault(case.name, []).append(case)
    return list(names.items())


def first_on_knit(cases):
    """What speed-ups are relative to: the one with the fewest loops."""
    return min((case for case in cases if case.loops > 0), key=lambda case: case.loops)


def gain_over_base(case, base, runs, figure):
    """How many times faster than `base`, from times; empty for what is no knit case."""
    if case.loops == 0:
        return ""
    return f"x {ratio(runs[base.key], runs[case.key], figure):.2f}"


def render_cpu(cases, runs):
    rows = [["workload", "", "seconds", "+-%", "ns/task", "gain"]]
    for name, group in by_name(cases, "cpu"):
        base = first_on_knit(group)
        for case in group:
            own = runs[case.key]
            rows.append([name, case.variant, f"{median(own, 'seconds'):.3f}", f"{spread(own, 'seconds'):.0f}",
                         f"{median(own, 'ns_per_task'):.2f}", gain_over_base(case, base, runs, "seconds")])
            name = ""
    return "CPU-bound: gains only from more loops\n" + layout(rows)


def render_sleep(cases, runs):
    rows = [["workload", "", "seconds", "+-%", "sum of delays", "overlap", "gain"]]
    for name, group in by_name(cases, "sleep"):
        base = first_on_knit(group)
        for case in group:
            own = runs[case.key]
            rows.append([name, case.variant, f"{median(own, 'seconds'):.4f}", f"{spread(own, 'seconds'):.0f}",
                         f"{median(own, 'sum_seconds'):.2f} s", f"x {median(own, 'overlap'):.0f}",
                         gain_over_base(case, base, runs, "seconds")])
            name = ""
    return "I/O-bound, waiting: overlaps on one loop, more loops add nothing\n" + layout(rows)


def render_servers(cases, runs, group_name, title):
    rows = [["requests", "server", "CPU us/request", "user", "system", "+-%", "requests/s", "p50 us", "p99 us", "CPUs",
             "CPU, to liburing"]]
    for name, group in by_name(cases, group_name):
        baseline = next((case for case in group if case.variant == "echo_uring"), None)
        for case in group:
            own = runs[case.key]
            # On CPUs that the load shares, the server's figure holds other costs than the baseline's.
            is_comparable = baseline is not None and case.details["placing"] == baseline.details["placing"]
            against = f"x {ratio(own, runs[baseline.key], 'cpu_us'):.3f}" if is_comparable else ""
            server = case.variant if case.loops == 0 else f"knit, {case.variant}"
            rows.append([name, server, f"{median(own, 'cpu_us'):.2f}", f"{median(own, 'user_us'):.2f}",
                         f"{median(own, 'system_us'):.2f}", f"{spread(own, 'cpu_us'):.0f}",
                         f"{median(own, 'requests_per_second'):,.0f}", f"{median(own, 'p50_us'):.0f}",
                         f"{median(own, 'p99_us'):.0f}", case.details["placing"], against])
            name = ""
    return title + "\n" + layout(rows)


def describe_echo(cases, runs):
    """What many connections gain over one, on the fewest loops; no line where there is nothing to compare."""
    fewest = [first_on_knit(group) for _, group in by_name(cases, "echo")]
    rates = [median(runs[case.key], "requests_per_second") for case in fewest]
    if len(rates) < 2 or not rates[0]:
        return []
    return [f"  echo: many connections get {max(rates) / rates[0]:.1f} times the requests/s of one, "
            f"on {fewest[0].variant}"]


def summary(cases, runs):
    lines = []
    for name, group in by_name(cases, "cpu"):
        most = max(group, key=lambda case: case.loops)
        if most.loops > 1:
            gain = ratio(runs[first_on_knit(group).key], runs[most.key], "seconds")
            lines.append(f"  {name}: {most.loops} loops are {gain:.2f} times as fast as {first_on_knit(group).loops}")
    for name, group in by_name(cases, "sleep"):
        base = first_on_knit(group)
        lines.append(f"  {name}: {median(runs[base.key], 'sum_seconds'):.1f} s of waiting take "
                     f"{median(runs[base.key], 'seconds'):.3f} s on {base.variant}")
    lines += describe_echo(cases, runs)
    return "In short\n" + "\n".join(lines) if lines else ""


def render(about, cases, runs):
    parts = [f"knit on {about['cpu']}, {about['cpus']} CPUs, Linux {about['kernel']}, {about['compiler']}\n"
             "Medians over the rounds; +-% is half the range; gains and ratios are taken round by round."]
    groups = {case.group for case in cases}
    if "cpu" in groups:
        parts.append(render_cpu(cases, runs))
    if "sleep" in groups:
        parts.append(render_sleep(cases, runs))
    if "echo" in groups:
        parts.append(render_servers(cases, runs, "echo", "I/O-bound, TCP echo: the server's CPU time for a request"))
    if "http" in groups:
        parts.append(render_servers(cases, runs, "http", "I/O-bound, HTTP/1.1 hello: the server's CPU time for a request"))
    parts.append(summary(cases, runs))
    return "\n\n".join(part for part in parts if part)


def to_json(about, sizes, rounds, cases, runs):
    results = []
    for case in cases:
        own = runs[case.key]
        figures = {figure: {"median": median(own, figure), "values": [run[figure] for run in own]} for figure in own[0]}
        results.append({"group": case.group, "name": case.name, "variant": case.variant, "loops": case.loops,
                        **case.details, "figures": figures})
    return {"machine": about, "sizes": sizes.name, "rounds": rounds, "results": results}
