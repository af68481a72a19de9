# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cycles cost a guest that writes as fast as it can"""
import time

from harness import RUNS, Samples
from lab import GUEST, enable, guest, in_world

NEEDS = {"lab"}
LONG = True


def rate(w, seconds):
    """Records per second that the guest's writer reaches in the next `seconds`."""
    begun, first = time.monotonic(), w.writer_at()
    w.until(lambda: time.monotonic() - begun > seconds, seconds + 1)
    return (w.writer_at() - first) / (time.monotonic() - begun)


def measure_in(figure, w):
    guest(w, 512, writer="max")
    enable(w, 2000)
    w.cli("A", "start", GUEST)
    w.points_grow(2)
    alone, cycles = Samples("replication paused", "rec/s"), Samples("2 s cycles", "rec/s")
    for _ in range(RUNS):
        w.cli("A", "suspend", GUEST)
        alone.add(rate(w, 8))
        w.cli("A", "resume", GUEST)
        cycles.add(rate(w, 8))
    figure.row(cycles, alone, goal="0.99 at 5 s, 0.95 at 1 s")


def measure(figure):
    in_world(figure, measure_in)
