#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A drill: a copy of the replica runs from a chosen point while replication goes on; it is removed without a trace, also after a crash."""
from world import GUEST, World

TEST = GUEST + " - Test"

with World("test-failover") as w:
    w.protect(interval_ms=1000)
    w.check("recovery points appear", w.points_grow(4))
    points = w.points()
    middle = points[len(points) // 2]
    expected = w.records(middle)

    w.cli("B", "test-failover", GUEST, "--point", middle["id"], "--start")
    w.check("the copy runs", w.on("B", "virsh", "domstate", TEST).strip() == "running")
    told = f"WRITER resumes at {expected + 1} "
    w.check("from exactly that point", w.until(lambda: told in w.lab("console", "B", TEST)), w.lab("console", "B", TEST)[-300:])
    code, text = w.status_of("B", "test-failover", GUEST)
    w.check("one at a time (32775)", code == 8, text)
    w.check("replication goes on", w.points_grow(3) and w.status("B")["state"] == 3)
    code, text = w.status_of("B", "disable", GUEST)
    w.check("the replica is not removed under it (32775)", code == 8, text)
    cards = w.on("B", "virsh", "domiflist", TEST)
    original = w.on("B", "virsh", "domiflist", GUEST)
    macs = {word for word in cards.split() if word.count(":") == 5}
    w.check("its cards have addresses of their own", macs and not any(mac in original for mac in macs), cards)

    w.lab("daemon", "B", "kill")
    w.lab("daemon", "B", "start")
    w.check("it survives the daemon", w.on("B", "virsh", "domstate", TEST).strip() == "running")
    w.covers("test failover", "daemon killed", "a test guest that is up runs on")
    w.cli("B", "test-failover", GUEST, "--stop")
    w.check("and is gone", "error" in w.on("B", "virsh", "domstate", TEST, check=False))
    left = w.on("B", "sh", "-c", "ls -d /var/lib/vmreplica/replicas/vmreplica/*/test*; ls /run/vmreplica | grep ^test-; :")
    w.check("without a trace", "test" not in left.replace("cannot access '/var/lib/vmreplica/replicas/vmreplica/*/test*'", ""), left)
    w.check("and replication goes on", w.points_grow(2) and w.newest_is_whole())
