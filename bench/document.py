# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes what bench/results holds into docs/benchmarks.md, between the lines <!-- bench:NAME --> and <!-- /bench:NAME -->, and its curves
into docs/plots as PNG and SVG.  The words around stay as they are; a figure without such lines is added at the end."""
import json
import os
import re
import sys

from harness import RESULTS, TOP

PAGE = os.path.join(TOP, "docs/benchmarks.md")
PLOTS = os.path.join(TOP, "docs/plots")
UNITS = {"B": (1, ("B", "KiB", "MiB", "GiB"), 1024), "s": (1e-6, ("us", "ms", "s"), 1000)}


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def quantity(value, unit):
    """1536, B -> 1.5 KiB"""
    if unit not in UNITS:
        return f"{number(value)} {unit}".strip()
    scale, names, step = UNITS[unit]
    value, names = value / scale, list(names)
    while value >= step and len(names) > 1:
        value /= step
        names.pop(0)
    return f"{number(value)} {names[0]}"


def measured(s):
    cpu = f"; CPU {quantity(s['cpu_s'], 's')}" if "cpu_s" in s else ""
    return f"{s['name']}: {quantity(s['median'], s['unit'])} ({quantity(s['min'], s['unit'])} to {quantity(s['max'], s['unit'])}{cpu})"


def ratio(peer):
    r = peer["ratio"]
    return f"{number(r['median'])} ({number(r['min'])} to {number(r['max'])})"


def row_lines(row):
    goal = row["goal"] or ""
    if goal and row["reached"] is not None:
        goal += ": reached" if row["reached"] else ": missed"
    peers = [(measured(p), ratio(p)) for p in row["peers"]] + [(measured(b) + " (bound)", "") for b in row["bounds"]] or [("", "")]
    yield f"| {measured(row['ours'])} | {peers[0][0]} | {peers[0][1]} | {goal} |"
    for peer, share in peers[1:]:
        yield f"| | {peer} | {share} | |"


def plot(name, index, curve):
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "vmreplica"
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for label, points in curve["series"].items():
        axes.plot([p[0] for p in points], [p[1] for p in points], marker="o", label=label)
    xs = [p[0] for points in curve["series"].values() for p in points]
    if min(xs) > 0 and max(xs) / min(xs) >= 30:
        axes.set_xscale("log")
    axes.set(title=curve["title"], xlabel=curve["x"], ylabel=curve["y"], ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    os.makedirs(PLOTS, exist_ok=True)
    file = f"{name}-{index + 1}"
    figure.savefig(os.path.join(PLOTS, file + ".svg"), metadata={"Date": None})
    figure.savefig(os.path.join(PLOTS, file + ".png"), dpi=100)
    pyplot.close(figure)
    return file


def plots(name, curves):
    """Links to the plots of a figure; without matplotlib those that there were stay."""
    try:
        files = [plot(name, i, c) for i, c in enumerate(curves)]
    except ImportError:
        print("bench/run: no plots without python3-matplotlib", file=sys.stderr)
        files = [f for f in (f"{name}-{i + 1}" for i in range(len(curves))) if os.path.exists(os.path.join(PLOTS, f + ".png"))]
    return [f"![{c['title']}](plots/{f}.png) ([SVG](plots/{f}.svg))" for c, f in zip(curves, files)]


def table(t):
    yield f"{t['title']}:"
    yield ""
    yield "| " + " | ".join(t["head"]) + " |"
    yield "|" + "---|" * len(t["head"])
    yield from ("| " + " | ".join(row) + " |" for row in t["rows"])
    yield ""


def section(name, r):
    m = r["machine"]
    lines = [f"`bench/run {name}`, {r['when']}, {m['cpus']} x {m['cpu']}, {m['memory_gib']} GiB, Linux {m['kernel']}; load average before "
             f"{r['load_before'][0]:.1f}, after {r['load_after'][0]:.1f}.", ""]
    if r["rows"]:
        lines += [f"| {r['title']} | beside | ours / that | goal |", "|---|---|---|---|"]
        lines += [line for row in r["rows"] for line in row_lines(row)] + [""]
    for t in r.get("tables", []):
        lines += table(t)
    for link in plots(name, r["curves"]):
        lines += [link, ""]
    lines += [line for n in r["notes"] for line in (n, "")]
    return "\n".join(lines).rstrip() + "\n"


def write():
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    for file in sorted(os.listdir(RESULTS)) if os.path.isdir(RESULTS) else []:
        name = file.removesuffix(".json")
        with open(os.path.join(RESULTS, file), encoding="utf-8") as f:
            result = json.load(f)
        begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
        text = f"{begin}\n{section(name, result)}{end}"
        if begin not in page:
            page = page.rstrip() + f"\n\n## {result['title']}\n\n{begin}\n{end}\n"
        page = re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: text, page, flags=re.S)
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(page)


if __name__ == "__main__":
    write()
