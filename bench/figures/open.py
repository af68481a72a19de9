# SPDX-License-Identifier: LGPL-2.1-or-later
"""Opening a recovery point: any point, any size of disk"""
import os
import statistics
import subprocess

from harness import MIB, RUNS, Samples, built, folder

NEEDS = set()
LONG = False
GOAL = "opening any of 2,880 points x 1,000 extents takes <= 1 s"
CASES = ((100, 100), (720, 100), (2880, 100), (2880, 10))


def opened(path, which):
    samples = Samples(which)
    out = subprocess.run([built("bench/view"), "open", path, str(RUNS), which], check=True, text=True, stdout=subprocess.PIPE).stdout
    for line in out.splitlines():
        wall, cpu = line.split()
        samples.add(float(wall) / 1000, float(cpu) / 1000)
    return samples


def saved(path):
    """Files, bytes and CPU seconds of the saved indexes."""
    return subprocess.run([built("bench/view"), "index", path], check=True, text=True, stdout=subprocess.PIPE).stdout.split()


def measure(figure):
    saves = []
    lines = {"oldest point": [], "newest point": [], "newest point, no index saved": []}  # CPU: other work on the machine counts little
    for logs, gib in CASES:
        with folder("open") as top:
            path = os.path.join(top, "store")
            subprocess.run([built("bench/view"), "points", path, str(logs), "1000", str(gib)], check=True)
            bare = opened(path, "last")
            bare.name = f"newest of {logs} points x 1,000 extents, {gib} GiB, no index saved"
            files, size, cpu = saved(path)
            saves.append([f"{logs:,} points, {gib} GiB", files, f"{int(size) / MIB:.1f}", f"{int(size) / logs / 1000:.1f}", cpu])
            first, middle, last = (opened(path, which) for which in ("first", "middle", "last"))
            for samples, name in ((first, "oldest"), (middle, "middle"), (last, "newest")):
                samples.name = f"{name} of {logs} points x 1,000 extents, {gib} GiB"
                figure.row(samples, goal=GOAL if logs == 2880 else None, reached=samples.median() <= 1)
            figure.row(bare)
            if gib == 100:
                for name, samples in (("oldest point", first), ("newest point", last), ("newest point, no index saved", bare)):
                    lines[name].append((logs, statistics.median(samples.cpu) * 1000))
    figure.curve("Opening a point of a 100 GiB disk, 1,000 extents each", "points", "ms of one processor", **lines)
    figure.table("Saved indexes, made in the background", ["store", "files", "MiB", "bytes per extent", "CPU s to make them all"], saves)
