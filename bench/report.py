"""The page that tools/bench writes: one file with everything in it, readable without a network, in light and dark."""
import html
import json
import shutil
import subprocess
import tarfile

import charts
import tables
import targets

# Name, version, and the file of the package that a page needs. Fetched once into build/plots, never committed.
LIBRARIES = (("vega", "5.33.0", "package/build/vega.min.js"), ("vega-lite", "5.23.0", "package/build/vega-lite.min.js"),
             ("vega-embed", "6.29.0", "package/build/vega-embed.min.js"))
SECONDS_MAX = 120

STYLE = """
:root { --paper: #ffffff; --ink: #1c2430; --soft: #5d6878; --line: #dfe4ea; --accent: #e4572e; --card: #f7f8fa; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12161c; --ink: #e3e8ef; --soft: #98a3b3; --line: #2a323d; --card: #191f27; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1180px; padding: 2.5rem 1.5rem 5rem; background: var(--paper); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.9rem; margin: 0 0 .3rem; letter-spacing: -.01em; } h1 b { color: var(--accent); }
h2 { font-size: 1.3rem; margin: 3rem 0 .3rem; padding-top: 1.2rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; } p { margin: .3rem 0 .8rem; max-width: 48rem; } .soft { color: var(--soft); }
.row { display: flex; flex-wrap: wrap; gap: 1.2rem; margin: 0 0 1.1rem; } .plot { background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: .9rem 1rem .5rem; max-width: 100%; overflow-x: auto; }
.plot h3 { margin: 0 0 .4rem; font-size: .92rem; }
details { margin: 1rem 0; } summary { cursor: pointer; color: var(--soft); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .2rem .65rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; } th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
tr.knit td { color: var(--accent); font-weight: 600; } .key span { margin-right: 1.1rem; }
.key i { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .35em; }
"""

SCRIPT = """
const dark = matchMedia('(prefers-color-scheme: dark)');
function draw() {
  const ink = dark.matches ? '#e3e8ef' : '#1c2430', soft = dark.matches ? '#98a3b3' : '#5d6878';
  const line = dark.matches ? '#2a323d' : '#e3e7ec';
  const axis = {labelColor: ink, titleColor: soft, gridColor: line, domainColor: line, tickColor: line, labelLimit: 220,
                titleFontWeight: 'normal'};
  const config = {background: 'transparent', font: 'system-ui, DejaVu Sans, sans-serif', view: {stroke: null}, axis,
                  axisY: {grid: true}, legend: {labelColor: ink, titleColor: soft, labelLimit: 260}, rule: {color: ink},
                  title: {color: soft, fontWeight: 'normal', fontSize: 12, anchor: 'start'}, text: {color: ink},
                  line: {color: soft}, range: {category: ['#e4572e', '#4c78a8', '#3a9e5c', '#b279a2', '#d6a419', '#72b7b2']}};
  for (const [id, spec] of Object.entries(SPECS)) {
    vegaEmbed('#' + id, {$schema: 'https://vega.github.io/schema/vega-lite/v5.json', ...spec, config},
              {renderer: 'svg', actions: false});
  }
}
draw();
dark.addEventListener('change', draw);
"""


def fetch_libraries(cache):
    """The scripts' texts, from the cache or else from npm; or None and one line that says why there are none."""
    cache.mkdir(parents=True, exist_ok=True)
    texts = []
    for name, version, member in LIBRARIES:
        kept = cache / f"{name}-{version}.min.js"
        if not kept.exists():
            if shutil.which("npm") is None:
                return None, ("The page has tables instead of plots: npm, which fetches the plotting library, is missing. "
                              "Install it (apt install npm), then: tools/bench report RUN.json")
            packed = subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=cache, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, text=True, check=False, timeout=SECONDS_MAX)
            if packed.returncode != 0:
                return None, f"The page has tables instead of plots: npm could not fetch {name} {version}."
            kept.write_bytes(member_of(cache / packed.stdout.split()[-1], member))
        texts.append(kept.read_text(encoding="utf-8").replace("</script", "<\\/script"))
    return texts, ""


def member_of(archive, name):
    with tarfile.open(archive) as package:
        source = package.extractfile(name)
        if source is None:
            raise KeyError(name)
        return source.read()


class Page:
    """Collects the parts; a plot gets a number and leaves its specification."""

    def __init__(self, run, has_plots):
        self.run = run
        self.has_plots = has_plots
        self.parts = []
        self.specs = {}

    def heading(self, title, text):
        self.parts.append(f"<h2>{html.escape(title)}</h2><p>{html.escape(text)}</p>")

    def plots(self, titled):
        """[(title, spec), ...] side by side."""
        cells = []
        for title, spec in titled if self.has_plots else ():
            key = f"plot{len(self.specs)}"
            self.specs[key] = spec
            head = f"<h3>{html.escape(title)}</h3>" if title else ""
            cells.append(f'<div class="plot">{head}<div id="{key}"></div></div>')
        if cells:
            self.parts.append(f'<div class="row">{"".join(cells)}</div>')

    def tables(self, keys):
        """The workloads' tables, folded away under plots."""
        texts = []
        for key, rows_of in tables.groups(self.run["results"]):
            if key in keys:
                texts.append(f"<h3>{key}</h3>" + self.table(rows_of))
        if texts:
            is_open = "" if self.has_plots else " open"
            self.parts.append(f"<details{is_open}><summary>the figures</summary>{''.join(texts)}</details>")

    def targets(self):
        self.heading("The targets", "What knit is built to, and what this run gave.")
        lines = ["<tr><th></th><th>target</th><th>measured</th><th></th></tr>"]
        for group, target, measured, verdict in targets.judge(self.run):
            mark = ' class="knit"' if verdict == "MISSED" else ""
            cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in (group, target, measured, verdict))
            lines.append(f"<tr{mark}>{cells}</tr>")
        self.parts.append(f'<div class="scroll"><table>{"".join(lines)}</table></div>')

    def table(self, rows_of):
        head, rows = tables.table_of(rows_of, self.run["results"])
        lines = ["<tr>" + "".join(f"<th>{html.escape(cell)}</th>" for cell in head) + "</tr>"]
        for result, row in zip(rows_of, rows):
            mark = ' class="knit"' if result["runtime"] == "knit" else ""
            lines.append(f"<tr{mark}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>")
        return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


KEY = ('<p class="key"><span><i style="background:#e4572e"></i>knit</span><span><i style="background:#4c78a8"></i>other '
       'runtimes</span><span><i style="background:#9aa5b1"></i>floors: serial, or written by hand on the kernel\'s interface'
       '</span></p>')


def fill(page, run):
    kinds = {}
    for result in run["results"]:
        kinds.setdefault(result["kind"], set()).add(result["workload"])
    page.targets()
    first = charts.speed_up(run)
    if first:
        page.heading("What more loops give", "CPU-bound work is spread over the loops and gains with each. Work that "
                     "waits is overlapped by one loop already, so more loops add nothing to it. The servers have all CPUs on "
                 "any number of loops, and so has the load beside them.")
        page.plots([("", first)])
    sections = (("CPU-bound", "cpu", "Time for a task. Less is better; the thin line is the range over the rounds."),
                ("Tasks and what they wait for", "tasks", "Starting, switching, timers, channels."),
                ("Waiting and files", "io", "CPU time of a task that sleeps, time of a read from the page cache."),
                ("Servers", "server", "The server's CPU time for a request: in user space, and pale in the kernel; for "
                 "the mixed load, how long the light requests take while 1 % of all burn 1 ms of CPU."),
                ("Memory", "memory", "Bytes resident that a server holds for a connection on which nothing happens."))
    for title, kind, text in sections:
        if kind in kinds:
            page.heading(title, text)
            page.parts.append(KEY if page.has_plots else "")
            for name, specs in charts.bar_charts(run, (kind,)):
                page.plots([(name, {"hconcat": specs, "spacing": 30} if len(specs) > 1 else specs[0])])
            page.tables(kinds[kind])
    curve = charts.latency(run)
    if curve:
        page.heading("Latency", "Requests are due at fixed times, whatever the answers do, and their time counts from "
                     "there: a server that falls behind is charged for all that were due meanwhile.")
        page.plots([("TCP echo, 64 B, 64 connections, one loop", curve)])
    flat = charts.flat_charts(run)
    if flat:
        page.heading("Cost against size", "A level line: the cost of one does not depend on how many there are.")
        page.plots(flat)
    resident = charts.memory(run)
    if resident:
        page.heading("Sleeping tasks", "Bytes resident for each, without what the same process holds for a single one.")
        page.plots([("", resident)])


def write(run, page_path, cache):
    """Writes the page; gives a line for the user if it has no plots, else an empty text."""
    try:
        libraries, note = fetch_libraries(cache)
    except (OSError, KeyError, IndexError, tarfile.TarError, subprocess.SubprocessError) as error:
        libraries, note = None, f"The page has tables instead of plots: fetching the plotting library failed ({error})."
    page = Page(run, libraries is not None)
    fill(page, run)
    explain = tables.EXPLAIN.replace("`", "")
    versions = ", ".join(f"{key} {version}" for key, version in run["versions"].items())
    notes = "".join(f"<li>{html.escape(text)}</li>" for text in run["skipped"])
    scripts = "".join(f"<script>{text}</script>" for text in libraries or ())
    specs = json.dumps(page.specs).replace("</", "<\\/")
    drawing = f"<script>const SPECS = {specs};{SCRIPT}</script>" if libraries else ""
    page_path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, '
        f'initial-scale=1"><title>knit: benchmarks</title><style>{STYLE}</style></head><body><h1><b>knit</b> beside other '
        f'runtimes</h1><p class="soft">{html.escape(tables.headline(run))} {html.escape(explain)}</p>'
        f'<p class="soft">{html.escape(note)}</p>{"".join(page.parts)}<h2>Versions and what was left out</h2>'
        f'<p class="soft">{html.escape(versions)}</p><ul class="soft">{notes}</ul>{scripts}{drawing}</body></html>\n',
        encoding="utf-8")
    return note
