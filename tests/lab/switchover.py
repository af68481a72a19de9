#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Planned failover there and back: the guest moves from A to B and to A again, no record is lost and no disk is copied over the wire."""
from world import GUEST, World


def off(w, host):
    w.cli(host, "power", GUEST, "off")
    w.until(lambda: w.on(host, "virsh", "domstate", GUEST).strip() == "shut off")


def switch(w, a, b):
    """From a to b; the last record that the guest told on a."""
    told = w.writer_at(a)
    off(w, a)
    w.cli(a, "prepare", GUEST)
    w.check(f"{a}: prepared (4)", w.status(a)["state"] == 4)
    started = w.on(a, "virsh", "start", GUEST, check=False)
    w.check(f"{a}: and fenced", "error" in started and "planned failover" in started, started)
    w.cli(b, "failover", GUEST)
    w.cli(b, "reverse", GUEST)
    w.check(f"{b}: primary, replicating", w.status(b)["state"] == 3 and w.status(b)["mode"] == 1, str(w.status(b)))
    mark = len(w.lab("console", b, GUEST))
    w.cli(b, "power", GUEST, "on")
    w.check(f"{b}: the guest resumes", w.until(lambda: "WRITER resumes at" in w.lab("console", b, GUEST)[mark:]))
    resumed = w.writer_at(b)
    w.check(f"{b}: no record is lost", resumed > told, f"{told} told on {a}, resumed at {resumed}")
    return told


def replica_follows(w, primary, replica):
    """The replica gets points that hold what the guest writes now."""
    mark = w.writer_at(primary) + 50
    w.until(lambda: w.writer_at(primary) >= mark)
    return w.until(lambda: w.points(replica) and w.records(w.points(replica)[-1], replica) >= mark)


with World("switchover") as w:
    w.protect(interval_ms=1000)
    w.cli("A", "server", "--enable")
    w.cli("A", "authorize", "add", "hostb.lab")
    w.check("recovery points appear", w.points_grow(3))

    switch(w, "A", "B")
    w.check("A: a replica", w.until(lambda: w.status("A")["mode"] == 2 and w.status("A")["state"] == 3))
    w.check("A: follows", replica_follows(w, "B", "A"))
    sent = int(w.status("B")["wire_bytes"])
    w.check("only differences travelled", sent < 64 << 20, f"{sent} bytes")

    switch(w, "B", "A")
    w.check("B: a replica again", w.until(lambda: w.status("B")["mode"] == 2 and w.status("B")["state"] == 3))
    w.check("B: follows", replica_follows(w, "A", "B"))
