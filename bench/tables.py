"""The tables of tools/bench, in plain text for a terminal and as Markdown. Works on the JSON of tools/bench."""
import peers
import stats

PROGRAM_HEAD = ["", "on", "loops", "{unit}", "+-%", "to best", "gain", "MiB"]
SERVER_HEAD = ["", "on", "loops", "{unit}", "+-%", "to best", "user", "system", "requests/s", "p50 us", "p99 us",
               "p99.9 us", "MiB", "CPUs"]


def number(value, digits=3):
    """With as many digits as mean something."""
    if value is None:
        return ""
    if value >= 10 ** digits:
        return f"{value:,.0f}"
    decimals = max(0, digits - len(str(int(value)))) if value >= 1 else digits
    return f"{value:.{decimals}f}"


def label(result):
    title = peers.RUNTIMES[result["runtime"]].title
    return f"{title}, {result['form']}" if result["form"] else title


def times(value):
    return "" if value is None else f"x {value:.2f}"


def is_server(result):
    return "requests_per_second" in result["figures"]


def program_row(result, results):
    row = [result["name"], label(result), str(result["loops"]), number(stats.median(result)),
           f"{stats.spread(result):.0f}", times(stats.ratio_to_best(result, results)),
           times(stats.gain(result, results)), number(stats.median(result, "max_rss_kib") / 1024)]
    return row


def server_row(result, results):
    figures = ("user_us", "system_us", "requests_per_second", "p50_us", "p99_us", "p999_us")
    cells = [number(stats.median(result, figure)) for figure in figures]
    return [result["name"], label(result), str(result["loops"]), number(stats.median(result)),
            f"{stats.spread(result):.0f}", times(stats.ratio_to_best(result, results)), *cells,
            number(stats.median(result, "max_rss_kib") / 1024), result["placing"]]


def groups(results):
    """Results of one workload each, in order: [(key, [result, ...]), ...]."""
    found = {}
    for result in results:
        found.setdefault(result["workload"], []).append(result)
    return list(found.items())


def table_of(rows_of, results):
    """(head, rows) of a workload; `instructions` has a column if valgrind counted any."""
    is_of_servers = is_server(rows_of[0])
    head = [cell.format(unit=rows_of[0]["unit"]) for cell in (SERVER_HEAD if is_of_servers else PROGRAM_HEAD)]
    rows = [(server_row if is_of_servers else program_row)(result, results) for result in rows_of]
    if any("instructions" in result for result in rows_of):
        head.append("instructions")
        rows = [[*row, number(result.get("instructions"))] for row, result in zip(rows, rows_of)]
    return head, rows


def layout(head, rows):
    """Columns as wide as their widest cell; the first two to the left, figures to the right; a name once."""
    shown, before = [head], None
    for row in rows:
        shown.append(["" if row[0] == before else row[0], *row[1:]])
        before = row[0]
    widths = [max(len(row[i]) for row in shown) for i in range(len(head))]
    lines = []
    for place, row in enumerate(shown):
        cells = [cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        lines.append("  " + "  ".join(cells).rstrip())
        if place == 0:
            lines.append("  " + "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" if i < 2 else "---:" for i in range(len(head))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def headline(run):
    about = run["machine"]
    drift = ", ".join(f"{name} {percent:.0f} %" for name, percent in stats.drift(run["calibration"]).items())
    return (f"knit on {about['cpu']}, {about['cpus']} CPUs, Linux {about['kernel']}, {about['compiler']}; "
            f"{run['scale']}, {run['rounds']} rounds. Drift of the machine over the rounds: {drift or 'not measured'}.")


EXPLAIN = ("Medians over the rounds; +-% is half the range. `to best`: times the cost of the best runtime of the same "
           "round on as many loops, those written by hand and serial ones left out. `gain`: times as fast as on the "
           "fewest loops. MiB: most memory held resident. CPUs: whether the server had its own (apart) or shared them "
           "with the load.")


def knit_gains(run, kinds):
    """(name, loops, gain) of knit on the most loops, for workloads of the kinds."""
    for result in run["results"]:
        if result["runtime"] == "knit" and result["kind"] in kinds and result["size"] is None:
            found = stats.gain(result, run["results"])
            if found is not None and result["loops"] == max(run["loops"]):
                yield f"{result['name']}{', ' + result['form'] if result['form'] else ''}", result["loops"], found


def summary(run):
    lines = [f"  {name}: {loops} loops are {found:.2f} times as fast as {min(run['loops'])}"
             for name, loops, found in knit_gains(run, ("cpu",))]
    for result in run["results"]:
        if result["runtime"] == "knit" and not result["form"].startswith("steal off"):
            best = stats.ratio_to_best(result, run["results"])
            if best is not None and best > 1.03:
                lines.append(f"  behind the best: {result['name']}, {label(result)}, on {result['loops']}: x {best:.2f}")
    return "In short\n" + "\n".join(lines) if lines else ""


def notes(run):
    return "\n".join(f"left out: {text}" for text in run["skipped"])


def render(run, as_markdown=False):
    """Everything, as text for a terminal or as Markdown."""
    draw, title = (markdown, "### {}\n\n") if as_markdown else (layout, "{}\n")
    parts = [headline(run), EXPLAIN]
    for key, rows_of in groups(run["results"]):
        parts.append(title.format(key) + draw(*table_of(rows_of, run["results"])))
    return "\n\n".join(part for part in [*parts, summary(run), notes(run)] if part)


def render_comparison(before, after):
    """(text, whether anything is worse) of two runs."""
    head = ["", "on", "loops", "before", "after", "change", "noise", ""]
    rows = [[new["name"], label(new), str(new["loops"]), number(stats.median(old)), number(stats.median(new)),
             f"{change:+.1f} %", f"{noise:.1f} %", verdict]
            for old, new, change, noise, verdict in stats.regressions(before, after)]
    if not rows:
        return "The two runs have no case in common.", False
    worse = [row for row in rows if row[-1] == "WORSE"]
    moved = [row for row in rows if row[-1] != "same"]
    said = (f"{len(rows)} cases compared: {len(worse)} worse, {len(moved) - len(worse)} better, the others within the "
            "noise.")

    said += f"\nThe machine itself differed by {stats.machine_shift(before, after):.0f} %, which counts as noise."
    if min(before["rounds"], after["rounds"]) < 3:
        said += "\nNote: fewer than 3 rounds show little of the noise; take --rounds 5 or more."

    def conditions(run):
        return [run["machine"].get(key) for key in ("cpu", "cpus", "kernel", "compiler")] + [run["scale"]]

    if conditions(before) != conditions(after):
        said += "\nNote: the runs are of different machines, kernels, compilers or sizes."
    return (layout(head, moved) + "\n\n" if moved else "") + said, bool(worse)
