# SPDX-License-Identifier: LGPL-2.1-or-later
"""InitiateFailover to the middle of the points, CLI included"""
from harness import RUNS, Samples
from lab import GUEST, enable, guest, in_world

NEEDS = {"lab"}
LONG = True


def measure_in(figure, w, size_mb, name):
    guest(w, size_mb, writer="50")
    enable(w, 250)
    w.cli("A", "start", GUEST)
    for count in (10, 200):
        w.until(lambda n=count: len(w.points()) >= n, 400)
        w.cli("A", "suspend", GUEST)
        ours = Samples(f"{name} disk, {count} points")
        for _ in range(RUNS):
            point = w.points()[len(w.points()) // 2]["id"]
            ours.time(w.cli, "B", "failover", GUEST, "--point", point)
            w.cli("B", "revert", GUEST)
        figure.row(ours, goal="InitiateFailover takes <= 1 s", reached=ours.median() <= 1)
        w.cli("A", "resume", GUEST)


def measure(figure):
    for size_mb, name in ((1024, "1 GiB"), (102400, "100 GiB")):
        in_world(figure, measure_in, size_mb, name)
