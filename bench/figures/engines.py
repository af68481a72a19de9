# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest that writes as fast as it can, with either engine and without cycles"""
import time

from harness import RUNS, Samples
from lab import GUEST, forget, guest, in_world
from figures.guest import rate

NEEDS = {"lab"}
LONG = True
ENGINES = ("push", "pull")
CYCLE_MS, SECONDS = 2000, 6


def enable(w, engine):
    w.cli("A", "enable", GUEST, "--to", "hostb.lab", "--interval-ms", str(CYCLE_MS), "--history", "4", "--engine", engine)
    w.cli("A", "start", GUEST)
    w.until(lambda: len(w.points()) >= 2)


def cost_of(w, engine, alone, cycles):
    """In turn, so that what else this machine does falls on both."""
    enable(w, engine)
    for _ in range(RUNS):
        w.cli("A", "suspend", GUEST)
        alone.add(rate(w, SECONDS))
        w.cli("A", "resume", GUEST)
        w.until(lambda: w.status("A")["state"] == 3)
        time.sleep(CYCLE_MS / 1000)  # the changes of the pause go first
        cycles.add(rate(w, SECONDS))
    forget(w)


def measure_in(figure, w):
    guest(w, 256, writer="max")
    w.until(lambda: w.writer_at() > 0)
    for engine in ENGINES:
        alone, cycles = Samples("paused", "rec/s"), Samples(f'engine "{engine}", {CYCLE_MS / 1000:.0f} s cycles', "rec/s")
        cost_of(w, engine, alone, cycles)
        figure.row(cycles, alone)


def measure(figure):
    in_world(figure, measure_in)
