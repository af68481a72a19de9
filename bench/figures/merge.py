# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether merging keeps up with what arrives"""
import re
import subprocess

import bounds
from harness import MIB, RUNS, Samples, built, folder

NEEDS = set()
LONG = False
PIECE = 64 * MIB
COUNTS = (32, 64)
LINE = re.compile(r"(\d+) points: received +([\d.]+) MiB/s, into the base +([\d.]+) MiB/s \([\d.]+\), with one another +([\d.]+) MiB/s")


def speeds():
    """Of the disk and of unpacking and packing alone, MiB/s of pages."""
    with folder("merge") as top:
        parts = bounds.disk(top, PIECE), bounds.zstd(bounds.pages(PIECE)), bounds.zstd(bounds.pages(PIECE), unpack=True)
        for s in parts:
            s.values, s.cpu, s.unit = [PIECE / MIB / v for v in s.values], [], "MiB/s"
        return parts


def measure(figure):
    limits = speeds()
    rates = {"received": [], "into the base": [], "with one another": []}
    for count in COUNTS:
        ours = {n: Samples(f"{n}, {count} points of 1,000 random pages", "MiB/s") for n in rates}
        for _ in range(min(RUNS, 3)):
            with folder("merge") as top:
                out = subprocess.run([built("bench/merge"), top, str(count)], check=True, text=True, stdout=subprocess.PIPE).stdout
            for name, value in zip(rates, LINE.search(out).groups()[1:]):
                ours[name].add(float(value))
        for name in ("into the base", "with one another"):
            keeps_up = ours[name].median() >= ours["received"].median()
            figure.row(ours[name], ours["received"], bounds=limits, goal="merging keeps up with what arrives at full speed", reached=keeps_up)
        for name, line in rates.items():
            line.append((count, ours[name].median()))
    lines = {n.replace(" ", "_"): line for n, line in rates.items()}
    figure.curve("Receiving and merging", "points", "MiB of changed pages per s", **lines)
