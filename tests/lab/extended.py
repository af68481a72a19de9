#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A -> B -> C with a real guest: C lives on B's stored logs, is away, comes back; A and B die; the guest goes on at C, and B follows it."""
import json
import os
import signal

from world import GUEST, VERIFY, World

INTERVAL_MS = 4000


def towards_c(w):
    """B's relationship with C."""
    return next(row for row in json.loads(w.cli("B", "status", GUEST, "--json")) if row["extended"])


def ids(w, host):
    return {point["id"] for point in w.points(host)}


def lacks(w):
    """How many of B's points are newer than all that C has."""
    of_b = [point["id"] for point in w.points("B")]
    of_c = ids(w, "C")
    return len(of_b) - 1 - max(i for i, point in enumerate(of_b) if point in of_c)


def has(w, told):
    """A point of C holds the record."""
    return w.until(lambda: w.points("C") and w.records(w.points("C")[-1], "C") >= told)


def extend(w):
    w.cli("C", "server", "--enable")
    w.cli("C", "authorize", "add", "hostb.lab")
    w.cli("B", "enable", GUEST, "--to", "hostc.lab", "--interval-ms", str(INTERVAL_MS), "--history", "4", "--keep-every", "1h")
    w.cli("B", "start", GUEST)
    w.check("C has points", w.until(lambda: len(ids(w, "C")) >= 3))
    w.check("in its own interval: several of B's logs wait", w.until(lambda: lacks(w) >= 3), f"{lacks(w)}")
    w.check("then all of them go", w.until(lambda: lacks(w) == 0), f"{lacks(w)}")
    w.check("and points of B, nothing was captured again", ids(w, "C") <= ids(w, "B"))
    w.check("the newest one holds the guest's records", has(w, w.writer_at()))


def away(w):
    w.lab("link", "down", "B", "C")
    before = ids(w, "B")
    w.check("without C, B gets what A writes", w.points_grow(INTERVAL_MS // 1000 * 2))
    missed = ids(w, "B") - before
    w.lab("daemon", "C", "kill")
    w.lab("link", "up", "B", "C")
    w.lab("daemon", "C", "start")
    w.check("C is back and gets what it missed", w.until(lambda: missed <= ids(w, "C")), f"{len(missed - ids(w, 'C'))} are missing")
    w.covers("extended replication", "daemon killed", "the third host's: it gets what it missed; the second goes on meanwhile")


def disaster(w):
    os.kill(int(w.status("A")["pid"]), signal.SIGKILL)
    for host in ("A", "B"):
        w.lab("daemon", host, "kill")
    w.lab("link", "down", "A", "C")
    w.lab("link", "down", "B", "C")
    records = w.records(w.points("C")[-1], "C")
    code, words = w.status_of("C", "power", GUEST, "on")
    off = w.on("C", "virsh", "domstate", GUEST).strip() == "shut off"
    w.check("the replica does not start without a failover", code != 0 and off, words)
    w.cli("C", "failover", GUEST, "--start")
    resumes = f"WRITER resumes at {records + 1} "
    w.check("A and B are gone: the guest goes on at C where the newest point ends",
            records > 0 and w.until(lambda: resumes in w.lab("console", "C", GUEST)), w.lab("console", "C", GUEST)[-300:])
    mark = w.writer_at("C")
    w.check("and writes", w.until(lambda: w.writer_at("C") >= mark + 100))
    w.covers("extended replication", "other host dies",
             "first and second killed: the guest goes on at the third where the newest point ends")
    w.cli("C", "commit", GUEST)
    w.check("committed (6)", w.status("C")["state"] == 6)


def way_back(w):
    """B comes back and becomes C's replica; what it has of the guest is the seed."""
    w.lab("link", "up", "B", "C")
    w.lab("daemon", "B", "start")
    w.check("B finds out", w.until(lambda: towards_c(w)["state"] == 8), str(towards_c(w)))
    w.cli("B", "disable", GUEST, "--extended")
    w.cli("B", "disable", GUEST)
    w.cli("B", "authorize", "add", "hostc.lab")
    w.cli("B", "demote", GUEST)
    w.cli("C", "reverse", GUEST)
    w.cli("C", "start", GUEST)
    w.check("roles", w.status("C")["mode"] == 1 and w.status("B")["mode"] == 2)
    sent = int(w.status("C")["wire_bytes"])
    w.check("only differences travelled", 0 < sent < 64 << 20, f"{sent} bytes")
    told = w.writer_at("C")
    w.check("B's points hold what the guest writes at C", w.until(lambda: w.points() and w.records(w.points()[-1]) >= told))


def gap_free(w):
    told = w.writer_at("C")
    w.on("C", "virsh", "destroy", GUEST)
    images = [path.strip() for path in w.lab("disks", "C", GUEST).split()]
    records = int(w.on("C", VERIFY, "--records", *images))
    w.check("the guest's disks hold every record, none is missing", records >= told, f"{told} told, {records} on the disks")


with World("extended", third=True) as w:
    w.protect(interval_ms=1000)
    w.check("B has points", w.points_grow(3))
    extend(w)
    away(w)
    disaster(w)
    way_back(w)
    gap_free(w)
