# SPDX-License-Identifier: LGPL-2.1-or-later
"""What filling a failed-over guest's disks (which a commit waits for) costs the guest"""
import json
import time

from harness import RUNS, Samples, beside
from lab import GUEST, enable, guest, in_world

NEEDS = {"lab"}
LONG = True
SIZE_MB = 4096
SECONDS = 6


def monitor(w, command, **arguments):
    text = json.dumps({"execute": command, "arguments": arguments})
    return json.loads(w.on("B", "virsh", "-q", "qemu-monitor-command", GUEST, text))["return"]


def fills(w):
    return [job["device"] for job in monitor(w, "query-block-jobs") if job["device"].startswith("vmreplica-fill-")]


def rate(w):
    """Records per second that the guest's writer reaches on the replica's host in the next seconds."""
    begun, first = time.monotonic(), w.writer_at("B")
    w.until(lambda: time.monotonic() - begun > SECONDS, SECONDS + 1)
    return (w.writer_at("B") - first) / (time.monotonic() - begun)


def paired(w, alone, filled):
    """The jobs of the fill are held by QEMU, then let go: the same guest over the same half-filled disks, seconds apart."""
    for _ in range(RUNS):
        jobs = fills(w)
        if not jobs:
            raise RuntimeError("the disks were full before the measurement was over")
        for job in jobs:
            monitor(w, "block-job-pause", device=job)
        alone.add(rate(w))
        for job in jobs:
            monitor(w, "block-job-resume", device=job)
        filled.add(rate(w))


def measure_in(figure, w):
    guest(w, SIZE_MB, writer="max", fill=True)
    enable(w, 2000)
    w.cli("A", "start", GUEST)
    w.points_grow(1)
    w.on("A", "virsh", "-q", "destroy", GUEST)
    w.cli("B", "failover", GUEST, "--start")
    w.until(lambda: "WRITER resumes" in w.lab("console", "B", GUEST) and fills(w), 120)
    alone, filled = Samples("fill held", "rec/s"), Samples("fill at 32 MiB/s (the default)", "rec/s")
    paired(w, alone, filled)
    figure.row(filled, alone, goal="filling the disks costs a failed-over guest <= 10 %", reached=beside(filled, alone)["median"] >= 0.9)


def measure(figure):
    in_world(figure, measure_in)
