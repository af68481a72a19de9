# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether merging keeps up with what arrives"""
import re
import statistics
import subprocess

import bounds
from harness import MIB, RUNS, Samples, built, folder

NEEDS = set()
LONG = False
PIECE = 64 * MIB
COUNTS = (64, 256)
NAMES = ("received", "into the base", "with one another")
RATES = " +([\\d.]+) MiB/s[^,]*, ".join(NAMES) + " +([\\d.]+) MiB/s"
WALL = re.compile(r"points: " + RATES)
CPU = re.compile(r"processor time: " + RATES)
PLAIN = re.compile(r"once: +([\d.]+) MiB/s, by processor time +([\d.]+) MiB/s")
DAY = re.compile(r"([\d.]+) MiB: received in ([\d.]+) s, ([\d.]+) s of a processor; merged as they come in ([\d.]+) s, ([\d.]+) s")
CYCLE_S, DAY_POINTS = 30, 2880


def speeds():
    """Of the disk and of unpacking and packing alone, MiB/s of pages."""
    with folder("merge") as top:
        parts = bounds.disk(top, PIECE), bounds.zstd(bounds.pages(PIECE)), bounds.zstd(bounds.pages(PIECE), unpack=True)
        for s in parts:
            s.values, s.cpu, s.unit = [PIECE / MIB / v for v in s.values], [], "MiB/s"
        return parts


def run(top, *args):
    return subprocess.run([built("bench/merge"), top, *map(str, args)], check=True, text=True, stdout=subprocess.PIPE).stdout


def one_count(figure, count, limits):
    """Rates by wall time; beside them those by processor time, and what plain writing reaches."""
    ours = {n: Samples(f"{n}, {count} points of 1,000 random pages", "MiB/s") for n in (*NAMES, "plain")}
    ours["plain"].name = "as many pages written to a file in order and made durable"
    by_cpu = {n: [] for n in (*NAMES, "plain")}
    for _ in range(min(RUNS, 3)):
        with folder("merge") as top:
            out = run(top, count)
        plain = PLAIN.search(out).groups()
        for name, wall, cpu in zip(by_cpu, (*WALL.search(out).groups(), plain[0]), (*CPU.search(out).groups(), plain[1])):
            ours[name].add(float(wall))
            by_cpu[name].append(float(cpu))
    for name in NAMES[1:]:
        keeps_up = ours[name].median() >= ours["received"].median()
        figure.row(ours[name], ours["received"], bounds=[ours["plain"], *limits], goal="merging keeps up with what arrives at full speed",
                   reached=keeps_up)
    return ours, [f"{count} points", *(f"{statistics.median(v):.0f}" for v in by_cpu.values())]


def one_day(figure):
    """Merged as it comes, two logs a minute; nobody waits for the next one here."""
    merged, arrives = Samples("merging a day as it comes", "s"), Samples("the day", "s")
    for _ in range(min(RUNS, 3)):
        with folder("merge") as top:
            mib, got, got_cpu, wall, cpu = map(float, DAY.search(run(top, "day", DAY_POINTS)).groups())
        merged.add(wall, cpu)
        arrives.add(DAY_POINTS * CYCLE_S)
    figure.row(merged, arrives, goal="merging keeps up with a day of points", reached=merged.median() <= arrives.median())
    share = 100 * cpu / (DAY_POINTS * CYCLE_S)
    figure.note(f"A day of {DAY_POINTS} points of 1,000 pages, {mib:.0f} MiB: received in {got:.1f} s ({got_cpu:.1f} s of a processor), "
                f"merged in {wall:.1f} s ({cpu:.1f} s of a processor, {share:.2f} % of one all day).")


def measure(figure):
    limits, lines, rows = speeds(), {n: [] for n in NAMES}, []
    for count in COUNTS:
        ours, row = one_count(figure, count, limits)
        rows.append(row)
        for name, line in lines.items():
            line.append((count, ours[name].median()))
    figure.table("MiB of changed pages per second of processor time, all threads", ["", *NAMES, "plain writing"], rows)
    lines = {n.replace(" ", "_"): line for n, line in lines.items()}
    figure.curve("Receiving and merging", "points", "MiB of changed pages per s", **lines)
    one_day(figure)
