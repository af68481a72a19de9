#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""One cycle a second under a guest that writes, held for sixty cycles: each is a point, every point is whole, nothing grows."""
import os

from world import World

CYCLES, SAMPLES = 60, 8


def descriptors(host):
    with open(os.path.join(os.environ["LAB_DIR"], host, "vmreplicad.pid"), encoding="ascii") as f:
        return len(os.listdir(f"/proc/{f.read().split()[0]}/fd"))


with World("cycles") as w:
    w.protect(interval_ms=1000)
    w.check("recovery points appear", w.points_grow(3))
    before = {p["id"] for p in w.points()}
    cycles, open_files = w.status("A")["cycles"], {h: descriptors(h) for h in "AB"}
    w.check(f"{CYCLES} more points", w.points_grow(CYCLES, 300))

    now = w.status("A")
    w.check("each was a cycle", now["cycles"] - cycles >= CYCLES, f"{cycles} -> {now['cycles']}")
    w.check("both sides replicate", now["state"] == 3 and w.status("B")["state"] == 3)
    w.check("descriptors do not grow", all(descriptors(h) <= open_files[h] + 8 for h in "AB"),
            f"{open_files} -> { {h: descriptors(h) for h in 'AB'} }")
    packing = now["compression"]
    w.check("compression is chosen", packing["setting"] == "auto" and packing["now"] in ("lz4", "zstd:-1", "zstd:1", "zstd:2", "zstd:3"),
            str(packing))

    points = [p for p in w.points() if p["id"] not in before]
    held = [w.records(p) for p in points[::max(1, len(points) // SAMPLES)]]
    w.check("points are gap-free on both disks", all(n >= 0 for n in held), str(held))
    w.check("and each holds what the one before held, and more", all(a < b for a, b in zip(held, held[1:])), str(held))
    w.check("the newest is whole", w.newest_is_whole(max(held)))
