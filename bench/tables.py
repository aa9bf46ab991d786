"""The tables of tools/bench, in plain text for a terminal and as Markdown. Works on the JSON of tools/bench."""
import peers
import stats
import targets

PROGRAM_HEAD = ["", "on", "loops", "{unit}", "+-%", "to best", "to oneTBB", "gain", "CPU s", "MiB"]
SERVER_HEAD = ["", "on", "loops", "{unit}", "+-%", "to best", "user", "system", "load", "requests/s", "p50 us", "p99 us",
               "p99.9 us", "MiB", "CPUs"]
# Each connection sends when it has its answer: the server is always behind, and latency is the other side of the rate.
SATURATED = ("echo", "http", "connect", "scaling")
LOAD_BUSY = 0.9  # from here on it may be the load that is measured


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
    resident = stats.median(result, "max_rss_kib")
    return [result["name"], label(result), str(result["loops"]), number(stats.median(result)),
            f"{stats.spread(result):.0f}", times(stats.ratio_to_best(result, results)),
            times(stats.to_tbb(result, results)), times(stats.gain(result, results)),
            number(stats.median(result, "cpu_seconds")),
            number(resident / 1024 if resident else None)]


def server_row(result, results):
    user, system, finest = stats.split(result)
    parts = ["" if part is None else f"< {number(finest)}" if part < finest else number(part) for part in (user, system)]
    figures = ("load_cpu_us", "requests_per_second", "p50_us", "p99_us", "p999_us")
    cells = [*parts, *(number(stats.median(result, figure)) for figure in figures)]
    placing = result["placing"] + (", load at its end" if stats.median(result, "load_busy") > LOAD_BUSY else "")
    return [result["name"], label(result), str(result["loops"]), number(stats.median(result)),
            f"{stats.spread(result):.0f}", times(stats.ratio_to_best(result, results)), *cells,
            number(stats.median(result, "max_rss_kib") / 1024), placing]


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
    if rows_of[0]["workload"] in SATURATED:
        head = [cell.replace(" us", " us, saturated") if cell.startswith("p") else cell for cell in head]
    if rows_of[0]["workload"] in ("sleepers", "million"):
        head.append("bytes/task")
        rows = [[*row, number(stats.median(result, "bytes_per_task"))] for row, result in zip(rows, rows_of)]
    empty = [place for place, cell in enumerate(head) if cell in ("to oneTBB", "gain", "CPU s", "MiB", "to best")
             and not any(row[place] for row in rows)]
    head, *rows = [[cell for place, cell in enumerate(row) if place not in empty] for row in (head, *rows)]
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
    return (f"knit {run.get('commit', '')} on {about['cpu']}, {about['cpus']} CPUs, Linux {about['kernel']}, {about['compiler']}; "
            f"{run['scale']}, {run['rounds']} rounds. `{run.get('command', '')}`. Drift of the machine over the rounds: {drift or 'not measured'}.")


EXPLAIN = ("Medians over the rounds; +-% is half the range. `to best`: times the cost of the best runtime of the same "
           "round on as many loops, those written by hand and serial ones left out. `to oneTBB`: the time as a share of "
           "oneTBB's. `gain`: times as fast as on the fewest loops. `CPU s`: CPU time of the whole process. MiB: most memory held resident. `user`, `system`, "
           "`load`: CPU us a request, of the server and of the load generator. CPUs: whether the server had cores of its "
           "own (apart), CPUs (siblings), or shared them with the load; `load at its end`: it used more than 90 % of its "
           "CPUs, so the rate may be the load's. `saturated`: each connection sends as soon as it may, so latency only "
           "tells the rate again; how long a request takes is told at fixed rates, in `latency` and `mixed`.")


def knit_gains(run, kinds):
    """(name, loops, gain) of knit on the most loops, for workloads of the kinds."""
    for result in run["results"]:
        if result["runtime"] == "knit" and result["kind"] in kinds and result["size"] is None:
            found = stats.gain(result, run["results"])
            if found is not None and result["loops"] == max(run["loops"]):
                yield f"{result['name']}{', ' + result['form'] if result['form'] else ''}", result["loops"], found


# Ways to say it on knit that are there to be compared with the one that is meant.
NOT_OURS = ("steal off", "steal off, every loop serves", "own buffer", "both", "tasks")


def summary(run):
    lines = [f"  {name}: {loops} loops are {found:.2f} times as fast as {min(run['loops'])}"
             for name, loops, found in knit_gains(run, ("cpu",))]
    for result in run["results"]:
        if result["runtime"] == "knit" and result["form"] not in NOT_OURS:
            best = stats.ratio_to_best(result, run["results"])
            if best is not None and best > 1.03:
                lines.append(f"  behind the best: {result['name']}, {label(result)}, on {result['loops']}: x {best:.2f}")
    return "In short\n" + "\n".join(lines) if lines else ""


TARGETS_HEAD = ["", "target", "measured", ""]


def targets_text(run, draw):
    rows = [list(row) for row in targets.judge(run)]
    met, missed = (sum(row[3] == word for row in rows) for word in ("met", "MISSED"))
    return (f"{draw(TARGETS_HEAD, rows)}\n\n{met} of {met + missed} targets that were measured are met, {missed} missed."
            " Shares of oneTBB's time: what stands in brackets was measured on another machine.")


def notes(run):
    return "\n".join(f"left out: {text}" for text in run["skipped"])


def render(run, as_markdown=False):
    """Everything, as text for a terminal or as Markdown."""
    draw, title = (markdown, "### {}\n\n") if as_markdown else (layout, "{}\n")
    parts = [headline(run), EXPLAIN]
    for key, rows_of in groups(run["results"]):
        parts.append(title.format(key) + draw(*table_of(rows_of, run["results"])))
    parts += [title.format("The targets") + targets_text(run, draw), summary(run), notes(run)]
    return "\n\n".join(part for part in parts if part)


def render_comparison(before, after):
    """(text, whether anything is worse) of two runs."""
    head = ["", "on", "loops", "figure", "before", "after", "change", "noise", ""]
    rows = [[new["name"], label(new), str(new["loops"]), figure, number(stats.median(old, figure)),
             number(stats.median(new, figure)), f"{change:+.1f} %", f"{noise:.1f} %", verdict]
            for old, new, figure, change, noise, verdict in stats.regressions(before, after)]
    if not rows:
        return "The two runs have no case in common.", True
    worse = [row for row in rows if row[-1] == "WORSE"]
    moved = [row for row in rows if row[-1] != "same"]
    gone = stats.vanished(before, after)
    said = (f"{len(rows)} figures compared: {len(worse)} worse, {len(moved) - len(worse)} better, the others within the "
            "noise.")
    said += "".join(f"\nGone: {row['name']}, {label(row)}, on {row['loops']}" for row in gone)
    said += (f"\nThe machine itself differed by {stats.machine_shift(before, after):.0f} %, which is taken out of `change`, "
             "round by round, where the figure is a time.")
    if min(before["rounds"], after["rounds"]) < 3:
        said += "\nNote: fewer than 3 rounds show little of the noise; take --rounds 5 or more."

    def conditions(run):
        return [run["machine"].get(key) for key in ("cpu", "cpus", "kernel", "compiler")] + [run["scale"]]

    if conditions(before) != conditions(after):
        said += "\nNote: the runs are of different machines, kernels, compilers or sizes."
    return (layout(head, moved) + "\n\n" if moved else "") + said, bool(worse or gone)
