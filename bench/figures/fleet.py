# SPDX-License-Identifier: LGPL-2.1-or-later
"""A fleet: relationships with synthetic NBD disks between two services"""
import json
import os
import subprocess

from harness import built, folder, served

NEEDS = {"nbdkit"}
LONG = True
SECONDS = max(int(os.environ.get("BENCH_FLEET_SECONDS", "60")), 30)  # each guest has a cycle in them
CASES = ((100, 30000), (300, 30000), (1000, 30000), (1000, 900000))
PAGES = 4


def fleet(top, mib, count, interval_ms, pages, seconds=SECONDS):
    """What bench/fleet says about guests with one disk of that size each."""
    socket = os.path.join(top, "nbd")
    with served(["nbdkit", "-f", "-U", socket, "pattern", f"size={mib}M"], socket):
        out = subprocess.run([built("bench/fleet"), str(count), str(interval_ms), str(seconds), str(pages), socket], check=True, text=True,
                             stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": top}).stdout
    return json.loads(out[out.rindex("{\"cycles\""):])


def row(count, interval_ms, r):
    late, a, b = r.get("late_ms"), r["primary"], r["replica"]
    return [f"{count:,}, {interval_ms // 1000} s", f"{r['cycles'] / SECONDS:.1f}", f"{r['missed']}",
            f"{late['median']:.1f} / {late['p99']:.1f} / {late['max']:.1f}" if late else "", f"{r['saves'] / SECONDS:.1f}",
            f"{a['cpu_percent']:.1f} / {b['cpu_percent']:.1f}", f"{a['rss_mib']:.0f} / {b['rss_mib']:.0f}",
            f"{a['descriptors']} / {b['descriptors']}", f"{a['threads']} / {b['threads']}"]


def judge(figure, results):
    busy, calm = results[1000, 30000], results[1000, 900000]
    worst = max(busy["late_ms"]["max"], calm.get("late_ms", {}).get("max", 0))
    memory, cpu = max(busy["primary"]["rss_mib"], busy["replica"]["rss_mib"]), calm["primary"]["cpu_percent"]
    figure.goal("1,000 relationships at 30 s: every cycle begins within 1 s of its due time",
                f"{worst:.0f} ms at worst, {busy['missed']} missed", worst <= 1000 and busy["missed"] == 0)
    figure.goal("1,000 relationships: RSS < 300 MiB", f"{memory:.0f} MiB", memory < 300)
    figure.goal("1,000 relationships that wait (15 min): CPU < 2 % of a core", f"{cpu:.2f} %", cpu < 2)
    busy_cpu = busy["primary"]["cpu_percent"]
    figure.goal("1,000 relationships with 33 cycles a second: CPU < 2 % of a core", f"{busy_cpu:.1f} %", busy_cpu < 2)


def extrapolate(figure, some, many):
    """Ten thousand on paper: what does not depend on guests stays, the rest grows as from 300 to 1,000."""
    rows = []
    for host in ("primary", "replica"):
        for key, name in (("rss_mib", "RSS, MiB"), ("descriptors", "descriptors"), ("threads", "threads")):
            each = (many[host][key] - some[host][key]) / 700
            rows.append([f"{host}: {name}", f"{many[host][key]:,.0f}", f"{each:.3f}", f"{many[host][key] + 9000 * each:,.0f}", ""])
        each = many[host]["cpu_percent"] * SECONDS / 100 / many["cycles"]
        rows.append([f"{host}: CPU, % of a core", f"{many[host]['cpu_percent']:.1f}", f"{each * 1000:.2f} ms a cycle",
                     f"{each * 10000 / 30 * 100:.0f} at 30 s", f"{each * 10000 / 300 * 100:.0f} at 5 min"])
    saves = many["saves"] / many["cycles"]
    rows.append(["SQLite: records a second (one transaction)", f"{many['saves'] / SECONDS:.0f}", f"{saves:.2f} a cycle",
                 f"{saves * 10000 / 30:.0f} at 30 s", f"{saves * 10000 / 300:.0f} at 5 min"])
    figure.table("10,000 relationships, on paper", ["", "1,000 at 30 s, measured", "each more", "10,000", ""], rows)


def measure(figure):
    rows, results, cpu, memory = [], {}, {"primary": [], "replica": []}, {"primary": [], "replica": []}
    for count, interval_ms in CASES:
        with folder("fleet") as top:
            result = results[count, interval_ms] = fleet(top, 4, count, interval_ms, PAGES)
        rows.append(row(count, interval_ms, result))
        print("fleet:", *rows[-1], flush=True)
        for host in cpu if interval_ms == CASES[0][1] else ():
            cpu[host].append((count, result[host]["cpu_percent"]))
            memory[host].append((count, result[host]["rss_mib"]))
    figure.table(f"During {SECONDS} s; {PAGES} pages change per guest and cycle; primary / replica",
                 ["guests, interval", "cycles/s", "missed", "start after due, ms: median / p99 / max", "records saved/s (primary)",
                  "CPU, % of a core", "RSS, MiB", "descriptors", "threads"], rows)
    figure.curve("CPU by number of guests, 30 s interval", "guests", "% of one core", **cpu)
    figure.curve("Memory by number of guests", "guests", "RSS, MiB", **memory)
    judge(figure, results)
    extrapolate(figure, results[300, 30000], results[1000, 30000])
