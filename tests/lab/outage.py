#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The link is cut, daemons are killed: nothing is lost, and replication goes on when the cause is gone."""
import time

from world import World

with World("outage") as w:
    w.protect(interval_ms=1000)
    w.check("recovery points appear", w.points_grow(3))
    w.check("the newest is whole", w.newest_is_whole())

    w.lab("link", "down")
    mark = w.writer_at()
    w.until(lambda: w.writer_at() >= mark + 200)  # a log that B's kernel held whole already still becomes a point
    before = len(w.points())
    w.until(lambda: w.writer_at() >= mark + 800)
    w.check("nothing arrives while the link is down", len(w.points()) == before)
    w.lab("link", "up")
    w.check("after the outage every record arrives", w.caught_up(90))
    w.check("cycles of the outage are points of their own", len(w.points()) >= before + 4, f"{before} -> {len(w.points())}")

    w.lab("daemon", "B", "kill")
    w.until(lambda: w.writer_at() >= mark + 1100)
    w.lab("daemon", "B", "start")
    w.check("B's daemon was killed and everything arrives", w.caught_up(90))

    w.lab("daemon", "A", "kill")
    mark = w.writer_at()
    w.until(lambda: w.writer_at() >= mark + 200)
    w.lab("daemon", "A", "start")
    w.check("A's daemon was killed and everything arrives", w.caught_up(90))
    w.check("state is Replicating on both sides", w.status("A")["state"] == 3 and w.status("B")["state"] == 3)
    w.check("every point is gap-free", all(w.records(p) >= 0 for p in w.points()[::4]))
    for _ in range(3):
        w.lab("daemon", "A", "kill")
        time.sleep(0.4)
        w.lab("daemon", "A", "start")
    w.check("killed again and again in the middle of cycles", w.caught_up(90))
