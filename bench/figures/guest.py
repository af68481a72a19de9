# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cycles cost a guest that writes as fast as it can: single pages of 4 KiB all over its disks, each flushed"""
import os
import time

from harness import RUNS, Samples, beside
from lab import GUEST, enable, forget, guest, in_world

NEEDS = {"lab"}
LONG = True
CYCLES = ((5000, 0.99), (1000, 0.95))
SECONDS = int(os.environ.get("BENCH_GUEST_SECONDS", "20"))
SLOWER = 1.5  # the goal for the 99th percentile


def percentile(counts, share):
    """Seconds: of {microseconds: how many}, so many of which are not above it."""
    left = share * sum(counts.values())
    for us in sorted(counts):
        left -= counts[us]
        if left <= 0:
            return us / 1e6
    raise RuntimeError("the guest's writer said nothing of how long its writes took")


class Writes:
    """Samples of one way to run the guest: its records per second, and how long a write (with its flush) takes."""

    def __init__(self, name):
        self.rate = Samples(name, "rec/s")
        self.p50, self.p99 = Samples(f"median of a write, {name}"), Samples(f"p99 of a write, {name}")

    def take(self, w):
        """What the writer does in the next SECONDS."""
        begun, first, before = time.monotonic(), w.writer_at(), w.writer_took()
        w.until(lambda: time.monotonic() - begun > SECONDS, SECONDS + 1)
        self.rate.add((w.writer_at() - first) / (time.monotonic() - begun))
        took = {us: count - before.get(us, 0) for us, count in w.writer_took().items()}
        self.p50.add(percentile(took, 0.5))
        self.p99.add(percentile(took, 0.99))


def paired(w, alone, cycles):
    """In turn, so that what else this machine does falls on both."""
    for _ in range(RUNS):
        w.cli("A", "suspend", GUEST)
        alone.take(w)
        w.cli("A", "resume", GUEST)
        w.points_grow(1)  # the changes of the pause go first
        cycles.take(w)


def measure_in(figure, w):
    guest(w, 512, writer="max", define=("--spread",))
    w.until(lambda: w.writer_at() > 0)
    for interval_ms, least in CYCLES:
        name = f"{interval_ms // 1000} s cycles"
        enable(w, interval_ms)
        w.cli("A", "start", GUEST)
        w.points_grow(2)
        alone, cycles = Writes("replication paused"), Writes(name)
        paired(w, alone, cycles)
        forget(w)
        figure.row(cycles.rate, alone.rate, goal=f"{name} leave a guest >= {least:.0%} of its writes",
                   reached=beside(cycles.rate, alone.rate)["median"] >= least)
        figure.row(cycles.p50, alone.p50)
        figure.row(cycles.p99, alone.p99, goal=f"{name}: the 99th percentile of its writes takes <= {SLOWER} x as long",
                   reached=beside(cycles.p99, alone.p99)["median"] <= SLOWER)


def measure(figure):
    in_world(figure, measure_in)
