# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cycles cost a guest that writes as fast as it can"""
import time

from harness import RUNS, Samples, beside
from lab import GUEST, enable, forget, guest, in_world

NEEDS = {"lab"}
LONG = True
CYCLES = ((5000, 0.99), (1000, 0.95))
SECONDS = 5


def rate(w, seconds):
    """Records per second that the guest's writer reaches in the next `seconds`."""
    begun, first = time.monotonic(), w.writer_at()
    w.until(lambda: time.monotonic() - begun > seconds, seconds + 1)
    return (w.writer_at() - first) / (time.monotonic() - begun)


def paired(w, alone, cycles):
    """In turn, so that what else this machine does falls on both."""
    for _ in range(RUNS):
        w.cli("A", "suspend", GUEST)
        alone.add(rate(w, SECONDS))
        w.cli("A", "resume", GUEST)
        w.points_grow(1)  # the changes of the pause go first
        cycles.add(rate(w, SECONDS))


def measure_in(figure, w):
    guest(w, 512, writer="max")
    w.until(lambda: w.writer_at() > 0)
    for interval_ms, least in CYCLES:
        enable(w, interval_ms)
        w.cli("A", "start", GUEST)
        w.points_grow(2)
        alone, cycles = Samples("replication paused", "rec/s"), Samples(f"{interval_ms // 1000} s cycles", "rec/s")
        paired(w, alone, cycles)
        forget(w)
        figure.row(cycles, alone, goal=f"{interval_ms // 1000} s cycles leave a guest >= {least:.0%} of its writes",
                   reached=beside(cycles, alone)["median"] >= least)


def measure(figure):
    in_world(figure, measure_in)
