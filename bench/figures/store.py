# SPDX-License-Identifier: LGPL-2.1-or-later
"""The store: what points cost, and merging them"""
import os
import subprocess
import time

from harness import MIB, PAGE, RUNS, Samples, built, folder

NEEDS = {"dd"}
LONG = False
COUNTS = (30, 120, 480)
EXTENTS = 1000


def made(path, logs):
    begun = time.monotonic()
    subprocess.run([built("bench/view"), "points", path, str(logs), str(EXTENTS), "4"], check=True)
    return time.monotonic() - begun


def size_of(path):
    return int(subprocess.run(["du", "-sB1", path], check=True, text=True, stdout=subprocess.PIPE).stdout.split()[0])


def merged(path, how):
    """Seconds and bytes of the store afterwards."""
    out = subprocess.run([built("bench/view"), how, path], check=True, text=True, stdout=subprocess.PIPE).stdout.split()
    return float(out[0]), int(out[1])


def bound(top, size):
    """The same bytes written in order and made durable."""
    samples, target = Samples("dd"), os.path.join(top, "dd")
    samples.run("dd", "if=/dev/zero", "of=" + target, "bs=1M", f"count={max(size // MIB, 1)}", "conv=fsync", stderr=subprocess.DEVNULL)
    os.unlink(target)
    return samples.values[0], samples.cpu[0]


def measure(figure):
    kept, after, cost = [], [], []
    for logs in COUNTS:
        with folder("store") as top:
            path = os.path.join(top, "store")
            made(path, logs)
            kept.append((logs, size_of(path) / MIB))
            seconds, size = merged(path, "consolidate")
            after.append((logs, size / MIB))
            cost.append((logs, seconds / logs * 1000))
    figure.curve("Store of a 4 GiB disk, 1,000 pages per point", "points kept", "MiB", kept=kept, merged_into_one=after)
    figure.curve("Merging neighbours", "points merged", "ms per point", consolidate=cost)
    applied, direct = Samples(f"applying 30 points of {EXTENTS} pages to the base"), Samples("dd of the same bytes with fsync")
    for _ in range(RUNS):
        with folder("store") as top:
            path = os.path.join(top, "store")
            made(path, 30)
            applied.add(merged(path, "apply")[0])
            direct.add(*bound(top, 30 * EXTENTS * PAGE))
    figure.row(applied, direct)
