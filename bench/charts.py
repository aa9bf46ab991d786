"""The plots of the report, as Vega-Lite specifications. Works on the JSON of tools/bench."""
import math

import stats
import tables

ROLES = {"knit": "knit", "serial": "floor", "uring": "floor", "epoll": "floor"}
WIDTH = 370


def role(result):
    return ROLES.get(result["runtime"], "peer")


def datum(result, value, **more):
    return {"name": result["name"], "on": tables.label(result), "runtime": result["runtime"], "role": role(result),
            "loops": result["loops"], "value": value, **more}


ROLE_COLOR = {"field": "role", "type": "nominal", "legend": None, "scale": {
    "domain": ["knit", "peer", "floor"], "range": ["#e4572e", "#4c78a8", "#9aa5b1"]}}


def line_color(rows):
    """knit always in its own colour, the others each in one that stays."""
    order = ["knit", "liburing by hand", "epoll by hand", "Asio", "libuv", "Go", "tokio", "asyncio", "uvloop", "oneTBB",
             "rayon", "nginx"]
    palette = ["#e4572e", "#6b7280", "#a3aab5", "#4c78a8", "#72b7b2", "#3a9e5c", "#b279a2", "#d6a419", "#9d755d",
               "#54a24b", "#f58518", "#ff9da6"]
    names = list(dict.fromkeys(row["on"] for row in rows))

    def color(name):
        base = name.split(",")[0]
        return palette[order.index(base)] if base in order else "#888888"

    return {"field": "on", "type": "nominal", "title": None, "legend": {"orient": "bottom", "columns": 5},
            "scale": {"domain": names, "range": [color(name) for name in names]}}


def speed_up(run):
    """The first figure: what more loops give to CPU-bound work, and to work that waits or is up to the kernel."""
    panels = {"cpu": "CPU-bound: each loop adds its share", "io": "waiting: one loop overlaps it all",
              "server": "serving: beside the load, on all CPUs"}
    rows = []
    for result in run["results"]:
        if result["runtime"] != "knit" or result["form"] in ("both", "tasks") or result["size"] is not None:
            continue
        # Of the servers only the one that has the same CPUs on one loop and on several.
        if result["kind"] not in panels or (result["kind"] == "server") != (result["workload"] == "scaling"):
            continue
        if result["workload"] in ("files", "million"):
            continue
        found = stats.gain(result, run["results"])
        is_base = result["loops"] == min(run["loops"])
        if found is not None or is_base:
            on = result["name"] if result["kind"] == "server" else result["name"].split(",")[0]
            rows.append({"panel": panels[result["kind"]], "on": on, "loops": result["loops"],
                         "value": 1.0 if is_base else found})
    lines = {(row["panel"], row["on"]) for row in rows if row["loops"] != min(run["loops"])}
    rows = [row for row in rows if (row["panel"], row["on"]) in lines]
    ideal = [{"loops": count, "value": count, "panel": panels["cpu"]} for count in run["loops"]]
    if not rows or len(run["loops"]) < 2:
        return None
    shown = [panel for panel in panels.values() if any(row["panel"] == panel for row in rows)]
    x = {"field": "loops", "type": "quantitative", "title": "loops",
         "axis": {"values": run["loops"], "format": "d", "grid": False},
         "scale": {"domain": [min(run["loops"]), max(run["loops"])]}}
    y = {"field": "value", "type": "quantitative", "title": "times as fast as one loop",
         "scale": {"domain": [0, max(2.0, *(row["value"] for row in rows), max(run["loops"]))]}}
    legend = {"orient": "bottom", "columns": 1, "labelLimit": 280}
    parts = []
    for panel in shown:
        own = [row for row in rows if row["panel"] == panel]
        color = {"field": "on", "type": "nominal", "title": None, "legend": legend}
        mark = {"type": "line", "point": {"filled": True, "size": 60}, "strokeWidth": 2.5}
        layers = [{"data": {"values": own}, "mark": mark,
                   "encoding": {"x": x, "y": y, "color": color,
                                "tooltip": [{"field": "on"}, {"field": "loops"}, {"field": "value", "format": ".2f"}]}}]
        if panel == panels["cpu"]:
            layers.insert(0, {"data": {"values": ideal}, "mark": {"type": "line", "strokeDash": [4, 4], "opacity": 0.5},
                              "encoding": {"x": x, "y": y}})
        parts.append({"title": panel, "width": 290, "height": 250, "layer": layers})
    return {"hconcat": parts, "resolve": {"scale": {"color": "independent"}}}


def domain_of(rows):
    """(domain, whether it is logarithmic): so that the charts of one workload have the same axis."""
    least, most = min(row["low"] for row in rows), max(row["high"] for row in rows)
    if most <= 12 * least:
        return [0, most * 1.15], False
    return [10 ** math.floor(math.log10(least / 1.5)), most * 4], True


def bars(rows, unit, domain, is_log, title):
    """Horizontal bars, the best on top, with the range over the rounds and the figure written behind."""
    y = {"field": "on", "type": "nominal", "sort": {"field": "high", "op": "max"}, "title": None}
    axis = {"tickCount": 6, "labelOverlap": "greedy", "format": "~s" if is_log else ",~r", "gridOpacity": 0.6}
    x = {"field": "start", "type": "quantitative", "title": unit + (", logarithmic" if is_log else ""), "axis": axis,
         "scale": {"type": "log" if is_log else "linear", "domain": domain, "nice": False, "clamp": True}}
    tip = [{"field": "on"}, {"field": "part"}, {"field": "value", "format": ",.3~r"}]
    parts = [part for row in rows for part in parts_of(row, domain[0])]
    shade = {"condition": {"test": "datum.part == 'system'", "value": 0.5}, "value": 1}
    return {"title": title, "width": WIDTH, "height": {"step": 19}, "layer": [
        {"data": {"values": parts}, "mark": {"type": "bar", "cornerRadiusEnd": 2}, "encoding": {
            "y": y, "x": x, "x2": {"field": "end"}, "color": ROLE_COLOR, "fillOpacity": shade, "tooltip": tip}},
        {"data": {"values": rows}, "mark": {"type": "rule", "strokeWidth": 1.5, "opacity": 0.6}, "encoding": {
            "y": y, "x": {"field": "low", "type": "quantitative"}, "x2": {"field": "high"}}},
        {"data": {"values": rows}, "mark": {"type": "text", "align": "left", "dx": 5, "fontSize": 11}, "encoding": {
            "y": y, "x": {"field": "high", "type": "quantitative"}, "text": {"field": "text"}}}]}


def parts_of(row, start):
    """The bar of a row; a server's CPU time in two parts, first what it spends in user space."""
    if "user" not in row:
        return [{**row, "part": "all", "start": start, "end": row["value"]}]
    user = row["user"] / (row["user"] + row["system"]) * row["value"]
    return [{**row, "part": "user", "start": start, "end": user, "value": user},
            {**row, "part": "system", "start": user, "end": row["value"], "value": row["value"] - user}]


def bar_rows(results, is_stacked):
    rows = []
    for result in results:
        values = result["figures"][result["figure"]]
        middle = stats.median(result)
        if middle and min(values) > 0:
            more = {}
            if result["figure"] == "cpu_us" and is_stacked:
                user, system, _ = stats.split(result)
                more = {"user": user, "system": system} if user is not None else {}
            rows.append(datum(result, middle, low=min(values), high=max(values), text=tables.number(middle), **more))
    return rows


def bar_charts(run, kinds):
    """One chart for each workload and number of loops: [(title of the workload, [spec, ...]), ...]."""
    names = {}
    for result in run["results"]:
        is_point = result["size"] is not None and result["workload"] != "echo"
        if result["kind"] in kinds and not is_point and result["workload"] != "scaling":
            names.setdefault(result["name"], {}).setdefault(result["loops"], []).append(result)
    made = []
    for name, by_loops in names.items():
        plain = {loops: bar_rows(found, False) for loops, found in sorted(by_loops.items())}
        if not any(plain.values()):
            continue
        domain, is_log = domain_of([row for rows in plain.values() for row in rows])
        specs = []
        for loops, rows in plain.items():
            first = by_loops[loops][0]
            placing = {"apart": ", CPUs apart", "shared": ", CPUs shared with the load"}.get(first["placing"], "")
            if rows:
                specs.append(bars(rows if is_log else bar_rows(by_loops[loops], True), first["unit"], domain, is_log,
                                  f"{loops} loop{'s' if loops > 1 else ''}{placing}"))
        if specs:
            made.append((name, specs))
    return made


def latency(run):
    """How long the slowest hundredth of the requests takes at least, by how many are sent: a line for each server."""
    rows = [datum(result, stats.median(result), rate=result["size"]) for result in run["results"]
            if result["workload"] == "latency" and stats.median(result)]
    x = {"field": "rate", "type": "quantitative", "title": "requests a second, due at fixed times",
         "axis": {"values": sorted({row["rate"] for row in rows}), "format": "~s"}}
    return line_chart(rows, x, "99 % are answered within, us") if rows else None


def line_chart(rows, x, title):
    values = [row["value"] for row in rows]
    is_log = max(values) > 12 * min(values)
    y = {"field": "value", "type": "quantitative", "title": title + (", logarithmic" if is_log else ""),
         "axis": {"labelOverlap": "greedy", "tickCount": 6},
         "scale": {"zero": True}}
    if is_log:
        y["scale"] = {"type": "log", "nice": False, "domain": [min(values) / 1.5, max(values) * 1.5]}
    tip = [{"field": "on"}, {"field": x["field"]}, {"field": "value", "format": ",.3~r"}]
    width = {"condition": {"test": "datum.role == 'knit'", "value": 3.5}, "value": 1.6}
    return {"width": 440, "height": 260, "data": {"values": rows}, "mark": {"type": "line", "point": {"size": 40}},
            "encoding": {"x": x, "y": y, "color": line_color(rows), "strokeWidth": width, "tooltip": tip,
                         "detail": {"field": "on"}}}


def flat_charts(run):
    """Cost of one against the number of all: level lines are what is wanted. [(title, spec), ...]"""
    titles = {"local": "a task, by how many there are", "timers": "cancel and set a timer, by how many are set",
              "echo": "an echo, by connections"}
    made = []
    for key, title in titles.items():
        rows = [datum(result, stats.median(result), size=result["size"]) for result in run["results"]
                if result["workload"] == key and result["size"] is not None and result["loops"] == min(run["loops"])]
        sizes = {row["size"] for row in rows}
        if len(sizes) > 1:
            unit = next(result["unit"] for result in run["results"] if result["workload"] == key)
            x = {"field": "size", "type": "quantitative", "scale": {"type": "log"}, "title": "how many",
                 "axis": {"values": sorted(sizes), "format": "~s"}}
            made.append((title, line_chart(rows, x, unit)))
    return made


def memory(run):
    """Bytes resident for each sleeping task, without what the same process holds for one."""
    rows = []
    for result in run["results"]:
        if result["workload"] == "sleepers" and result["loops"] == min(run["loops"]):
            value = stats.median(result, "bytes_per_task")
            if value:
                rows.append(datum(result, value, low=value, high=value, text=tables.number(value)))
    return bars(rows, "bytes", *domain_of(rows), "sleeping tasks") if rows else None
