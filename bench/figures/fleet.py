# SPDX-License-Identifier: LGPL-2.1-or-later
"""A fleet: relationships with synthetic NBD disks between two services"""
import json
import os
import subprocess

from harness import built, folder, served

NEEDS = {"nbdkit"}
LONG = True
SECONDS = int(os.environ.get("BENCH_FLEET_SECONDS", "60"))
CASES = ((100, 30000), (300, 30000), (1000, 30000), (1000, 900000))
PAGES = 4


def one(top, count, interval_ms):
    socket = os.path.join(top, "nbd")
    with served(["nbdkit", "-f", "-U", socket, "pattern", "size=4M"], socket):
        out = subprocess.run([built("bench/fleet"), str(count), str(interval_ms), str(SECONDS), str(PAGES), socket], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
    return json.loads(out[out.rindex("{\"cycles\""):])


def row(count, interval_ms, r):
    late, a, b = r.get("late_ms"), r["primary"], r["replica"]
    return [f"{count:,}, {interval_ms // 1000} s", f"{r['cycles'] / SECONDS:.1f}", f"{r['missed']}",
            f"{late['median']:.1f} / {late['p99']:.1f} / {late['max']:.1f}" if late else "", f"{r['saves'] / SECONDS:.1f}",
            f"{a['cpu_percent']:.1f} / {b['cpu_percent']:.1f}", f"{a['rss_mib']:.0f} / {b['rss_mib']:.0f}",
            f"{a['descriptors']} / {b['descriptors']}", f"{a['threads']} / {b['threads']}"]


def measure(figure):
    rows, cpu, memory = [], {"primary": [], "replica": []}, {"primary": [], "replica": []}
    for count, interval_ms in CASES:
        with folder("fleet") as top:
            result = one(top, count, interval_ms)
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
