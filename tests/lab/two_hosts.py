#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The verbs that drive both hosts: switchover, cut off and gone on with, undone; failover after a disaster, then reprotect."""
import json
import os
import re
import signal

from world import GUEST, World, credentials


def power(w, host):
    return w.on(host, "virsh", "domstate", GUEST).strip()


def resumed(w, host, mark):
    w.until(lambda: "WRITER resumes at" in w.lab("console", host, GUEST)[mark:])
    found = re.findall(r"WRITER resumes at (\d+)", w.lab("console", host, GUEST)[mark:])
    return int(found[-1]) if found else -1


def console(w, host):
    return len(w.lab("console", host, GUEST, check=False))


def refused(w):
    status, words = w.status_of("B", "switchover", GUEST, *credentials("b"))
    w.check("on the replica: refused, says where to call", status != 0 and "call switchover on 'hosta.lab'" in words, words)
    w.covers("planned failover", "wrong side", "switchover is refused and says on which host to call it")
    status, words = w.status_of("A", "switchover", GUEST)
    w.check("without credentials: refused, nothing is touched", status != 0 and "is not accepted" in words
            and power(w, "A") == "running", words)
    w.cli("A", "server", "--disable")
    status, words = w.status_of("A", "switchover", GUEST, *credentials("a"))
    w.check("no way back: refused, nothing is touched", status != 0 and "afterwards" in words and power(w, "A") == "running", words)
    w.cli("A", "server", "--enable")


def undone(w):
    """Brought up on the other host, then called off."""
    told = w.writer_at("A")
    w.cli("A", "power", GUEST, "off")
    w.cli("A", "prepare", GUEST)
    w.cli("B", "failover", GUEST)
    mark = console(w, "A")
    words = w.cli("A", "switchover", GUEST, "--undo", *credentials("a"))
    w.check("undo: three steps", [line[:3] for line in words.splitlines() if " on 'host" in line] == ["1/3", "2/3", "3/3"], words)
    w.check("undo: the guest runs here again", resumed(w, "A", mark) > told and w.status("A")["state"] == 3)
    w.check("undo: replication goes on", w.points_grow(2))


def switched(w):
    """Cut off after the second step by hand, so the verb has to find its place."""
    told = w.writer_at("A")
    w.cli("A", "power", GUEST, "off")
    w.cli("A", "prepare", GUEST)
    mark = console(w, "B")
    steps = json.loads(w.cli("A", "switchover", GUEST, "--json", *credentials("a")).split("[", 1)[1].join(("[", "")))
    w.check("switchover goes on where it was", [s["was_done"] for s in steps] == [True, True, False, False, False], steps)
    w.covers("planned failover", "called twice", "switchover finds out what is done and goes on after it")
    w.check("the guest runs on the other host, no record is lost", resumed(w, "B", mark) > told and power(w, "B") == "running")
    w.check("roles are reversed", w.status("B")["mode"] == 1 and w.until(lambda: w.status("A")["mode"] == 2))
    told = w.writer_at("B")
    mark = console(w, "A")
    words = w.cli("B", "switchover", GUEST, "--force", *credentials("b"))
    w.check("and back, by power off", resumed(w, "A", mark) >= told and w.status("A")["mode"] == 1, words)


def disaster(w):
    w.until(lambda: w.status("B")["mode"] == 2 and w.status("B")["state"] == 3)
    w.check("points after the way back", w.points_grow(2))
    pid = int(w.status("A")["pid"])
    w.lab("daemon", "A", "kill")
    os.kill(pid, signal.SIGKILL)
    mark = console(w, "B")
    w.cli("B", "failover", GUEST, "--start")
    w.check("the guest runs on the other host", resumed(w, "B", mark) > 0)
    w.lab("daemon", "A", "start")
    status, words = w.status_of("A", "reprotect", GUEST, *credentials("a"))
    w.check("reprotect on the old host: refused, says where to call", status != 0 and "where it runs now" in words, words)
    w.covers("reversal", "wrong side", "reprotect is refused and says on which host to call it")
    w.until(lambda: w.status("A")["state"] == 8)
    words = w.cli("B", "reprotect", GUEST, *credentials("b"))
    w.check("reprotect: three steps", words.count(" on 'host") == 3, words)
    w.check("the old host is the replica", w.status("A")["mode"] == 2 and w.status("B")["mode"] == 1)
    sent = int(w.status("B")["wire_bytes"])
    w.check("only differences travelled", 0 < sent < 64 << 20, f"{sent} bytes")
    told = w.writer_at("B")
    w.check("its points hold what the guest writes now", w.until(
        lambda: w.points("A") and w.records(w.points("A")[-1], "A") >= told, 90))


with World("two-hosts") as w:
    w.protect(interval_ms=1000)
    w.befriend()
    w.check("recovery points appear", w.points_grow(3))
    refused(w)
    undone(w)
    switched(w)
    disaster(w)
