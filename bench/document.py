# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes what bench/results holds into docs/benchmarks.md, between the lines <!-- bench:NAME --> and <!-- /bench:NAME -->, and its curves
into docs/plots as PNG and SVG.  The words around stay as they are; a figure without such lines is added at the end."""
import json
import os
import re
import sys

from harness import RESULTS, TOP, number, quantity

PAGE = os.path.join(TOP, "docs/benchmarks.md")
PLOTS = os.path.join(TOP, "docs/plots")
# Goals in the order of a replica's life; figures that are not named here follow.
ORDER = ("initial", "cycle", "floor", "guest", "engines", "resync", "store", "merge", "open", "failover", "view", "commit", "api", "fleet")
VERDICT = {True: "reached", False: "**missed**", None: "not shown"}


def measured(s):
    cpu = f"; CPU {quantity(s['cpu_s'], 's')}" if "cpu_s" in s else ""
    return f"{s['name']}: {quantity(s['median'], s['unit'])} ({quantity(s['min'], s['unit'])} to {quantity(s['max'], s['unit'])}{cpu})"


def ratio(peer):
    r = peer["ratio"]
    spread = f" ({number(r['min'])} to {number(r['max'])})" if r["n"] > 1 else ""
    return number(r["median"]) + spread


def row_lines(row):
    goal = row["goal"] or ""
    if goal and row["reached"] is not None:
        goal += ": reached" if row["reached"] else ": missed"
    peers = [(measured(p), ratio(p)) for p in row["peers"]]
    peers += [(measured(b) + " (bound)", ratio(b) if "ratio" in b else "") for b in row["bounds"]]
    peers = peers or [("", "")]
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


def worst(goals):
    """The missed one where several results answer to one goal."""
    return min(goals, key=lambda g: {False: 0, None: 1, True: 2}[g["reached"]])


def goals(results):
    """The table at the top: every goal that a figure has, once."""
    yield "| goal | measured | | figure |"
    yield "|---|---|---|---|"
    for name in sorted(results, key=lambda n: (ORDER.index(n) if n in ORDER else len(ORDER), n)):
        of = results[name].get("goals", [])
        for text in dict.fromkeys(g["goal"] for g in of):
            g = worst([g for g in of if g["goal"] == text])
            yield f"| {text} | {g['measured']} | {VERDICT[g['reached']]} | `{name}` |"


def load():
    results = {}
    for file in sorted(os.listdir(RESULTS)) if os.path.isdir(RESULTS) else []:
        with open(os.path.join(RESULTS, file), encoding="utf-8") as f:
            results[file.removesuffix(".json")] = json.load(f)
    return results


def put(page, name, title, text):
    """The page with the text between the lines of that name, which are made at its end where there are none."""
    begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    if begin not in page:
        page = page.rstrip() + f"\n\n## {title}\n\n{begin}\n{end}\n"
    return re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: f"{begin}\n{text}{end}", page, flags=re.S)


def write():
    results = load()
    with open(PAGE, encoding="utf-8") as f:
        page = f.read()
    for name, result in results.items():
        page = put(page, name, result["title"], section(name, result))
    page = put(page, "goals", "Goals", "\n".join(goals(results)) + "\n")
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(page)


if __name__ == "__main__":
    write()
