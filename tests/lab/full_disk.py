#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The replica's file system (a small tmpfs over its folder) is full for a while.

Nothing on it is damaged, and replication goes on when there is space again."""
from world import World

with World("full") as w:
    w.on("B", "sh", "-c", "mkdir -p /var/lib/vmreplica/small && chmod 755 /var/lib/vmreplica")
    w.protect(interval_ms=1000, location="/var/lib/vmreplica/small", define=("--size", "64"))
    w.check("recovery points appear", w.points_grow(2))
    store = w.on("B", "sh", "-c", "ls -d /var/lib/vmreplica/small/vmreplica/*").strip()
    w.lab("daemon", "B", "stop")
    w.on("B", "sh", "-c", f"mkdir /run/small && mount -t tmpfs -o size=24m,mode=755 tmpfs /run/small && cp -a {store}/. /run/small/ && "
         f"mount --bind /run/small {store}")
    w.lab("daemon", "B", "start")
    w.check("it goes on in the small file system", w.caught_up(60))
    w.on("B", "sh", "-c", f"dd if=/dev/zero of={store}/filler bs=64k 2>/dev/null || :")
    stuck = w.until(lambda: w.status("A")["health"] == 3 or "space" in str(w.status("A")["reason"]))
    w.check("A says that the replica has no space", stuck, str(w.status("A")))
    w.check("what is there is whole", w.newest_is_whole())
    w.on("B", "rm", f"{store}/filler")
    w.check("and goes on when there is space", w.caught_up())
    w.check("every point is gap-free", all(w.records(p) >= 0 for p in w.points()[::3]))
