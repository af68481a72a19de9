#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A is gone; the guest runs on B from a chosen point while B's daemon is killed under it; revert, latest, commit, nothing left behind."""
import json
import os
import signal

from world import GUEST, VERIFY, World

# Hosts of the lab share the machine's process table; those of this host are in its network namespace.
SERVERS = "for p in $(pgrep -x nbdkit); do [ $(readlink /proc/$p/ns/net) = $(readlink /proc/self/ns/net) ] && echo $p; done; :"


def start(w):
    mark = len(w.lab("console", "B", GUEST))
    w.cli("B", "power", GUEST, "on")
    return w.until(lambda: "WRITER resumes" in w.lab("console", "B", GUEST)[mark:])


def writes_on(w):
    mark = w.writer_at("B")
    return w.until(lambda: w.writer_at("B") >= mark + 200)


def servers(w):
    return w.on("B", "sh", "-c", SERVERS).split()


def kill_server(w):
    """Of the recovery point that the guest runs from."""
    pids = servers(w)
    for pid in pids:
        os.kill(int(pid), signal.SIGKILL)
    return len(pids) == 1


def another_server(w, before):
    return w.until(lambda: servers(w) and servers(w) != before)


def goes_on(w):
    """QEMU 7.2 gives up a request now and then, and its error policy stops the guest: then it must start again from where it was."""
    if writes_on(w):
        return True
    print(f"# {w.on('B', 'virsh', 'domstate', '--reason', GUEST).strip()}", flush=True)
    if "paused" not in w.on("B", "virsh", "domstate", GUEST):
        return False
    w.cli("B", "power", GUEST, "off")
    return start(w)


with World("failover") as w:
    slow = w.configure("B", "failover", "fill_mib_per_s = 1")  # so that the guest needs its server for long
    w.protect(interval_ms=1000)
    w.check("recovery points appear", w.points_grow(5))
    os.kill(int(w.status("A")["pid"]), signal.SIGKILL)
    w.lab("daemon", "A", "kill")
    points = w.points()
    middle = points[len(points) // 2]
    expected = w.records(middle)

    code, text = w.status_of("B", "failover", GUEST, "--point", "not-a-point")
    w.check("a point that cannot be read is refused", code != 0 and "not-a-point" in text, text)
    w.cli("B", "failover", GUEST, "--point", middle["id"])
    w.check("failed over (5)", w.status("B")["state"] == 5)
    code, text = w.status_of("B", "failover", GUEST)
    w.check("twice is an invalid state (32775)", code == 8, text)
    w.covers("unplanned failover", "called twice", "refused (32775)")
    w.check("the guest starts from the point", start(w))
    w.check("exactly its records were there", f"WRITER resumes at {expected + 1} " in w.lab("console", "B", GUEST))

    old = servers(w)
    w.check("the server of its point is killed under it", kill_server(w), old)
    w.check("it is started again", another_server(w, old), old)
    w.check("the guest goes on", goes_on(w))
    w.check("its console tells no errors", "I/O error" not in w.lab("console", "B", GUEST))
    w.cli("B", "power", GUEST, "off")
    w.check("turned off while it is filled it starts again", start(w))
    w.lab("daemon", "B", "kill")
    w.check("the guest goes on without the daemon", writes_on(w))
    w.covers("unplanned failover", "daemon killed", "the guest that has failed over runs on")
    w.check("the server is killed, too", kill_server(w), servers(w))
    os.unlink(slow)
    w.lab("daemon", "B", "start")
    w.check("and with the next one", goes_on(w) and w.status("B")["state"] == 5)
    code, text = w.status_of("B", "revert", GUEST)
    w.check("revert of a running guest is refused (32775)", code == 8, text)
    w.cli("B", "power", GUEST, "off")
    w.cli("B", "revert", GUEST)
    w.check("reverted: replicating, every point still there", w.status("B")["state"] == 3 and len(w.points()) == len(points))
    started = w.on("B", "virsh", "start", GUEST, check=False)
    w.check("and fenced again", "fail it over before it is started" in started, started)

    newest = w.records(w.points()[-1])
    w.cli("B", "failover", GUEST, "--start")
    w.until(lambda: f"WRITER resumes at {newest + 1} " in w.lab("console", "B", GUEST))
    w.check("the latest state has all its records", f"WRITER resumes at {newest + 1} " in w.lab("console", "B", GUEST))
    w.cli("B", "commit", GUEST)
    w.check("committed (6), no points left", w.status("B")["state"] == 6 and not w.points())
    w.check("the guest writes on", writes_on(w))
    images = [path.strip() for path in w.lab("disks", "B", GUEST).split()]
    infos = [json.loads(w.on("B", "qemu-img", "info", "-U", "--output=json", image)) for image in images]
    w.check("no image has a backing file", not any("backing-filename" in info for info in infos))
    w.check("no server of points is left", not w.on("B", "sh", "-c", SERVERS).strip())
    w.cli("B", "power", GUEST, "off")
    records = int(w.on("B", VERIFY, "--records", *images))
    w.check("what was written after the failover is on the disks, gap-free", records > newest, f"{newest} -> {records}")
    code, text = w.status_of("B", "revert", GUEST)
    w.check("a committed failover cannot be reverted (32775)", code == 8, text)
    w.covers("revert", "wrong side", "refused (32775) when there is no failover to undo: it was committed")
