#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Unattended drills: the replica of a real guest comes up, one whose disk is garbage does not; a daemon that dies in the middle leaves
nothing."""
import json
import os
import re
import subprocess

from world import CLI, GUEST, LAB, World

BLANK = "blank"


def redefine(w, name, *changes):
    text = w.on("A", "virsh", "-q", "dumpxml", "--inactive", name)
    for pattern, new in changes:
        text = re.sub(pattern, new, text, flags=re.DOTALL)
    path = os.path.join(os.environ["LAB_DIR"], "A/disks/new.xml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    w.on("A", "virsh", "-q", "define", path)


def nothing_left(w):
    guests = w.on("B", "virsh", "-q", "list", "--all", "--name")
    left = w.on("B", "sh", "-c", "ls -d /var/lib/vmreplica/replicas/vmreplica/*/test /var/lib/vmreplica/replicas/vmreplica/*/test-guest "
                "/run/vmreplica/test-* 2>/dev/null; :")
    return "Test" not in guests and not left.strip()


def verify(w, *argv):
    done = subprocess.run([LAB, "exec", "B", CLI, "test-failover", *argv, "--json"], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    return done.returncode, json.loads(done.stdout), done.stderr


with World("drill") as w:
    w.connect()
    # One with a screen, checked by its agent; one that boots from a disk of garbage, off, checked by what it would say.
    w.lab("guest-define", "A", GUEST, "--size", "64")
    redefine(w, GUEST, ("</devices>", "<video><model type='vga'/></video></devices>"))
    w.on("A", "virsh", "-q", "start", GUEST)
    w.lab("guest-define", "A", BLANK, "--size", "16", "--disks", "1", "--raw")
    redefine(w, BLANK, ("<kernel>.*</cmdline>", ""))
    with open(w.lab("disks", "A", BLANK).strip(), "r+b") as disk:
        disk.write(os.urandom(16 << 20))
    for name, more in ((GUEST, ()), (BLANK, ("--set", "verify_text=login:", "--set", "verify_timeout_s=15"))):
        w.cli("A", "enable", name, "--to", "hostb.lab", "--interval-ms", "1000", "--history", "4", "--keep-every", "1h", *more)
        w.cli("A", "start", name)
    w.check("recovery points appear", w.points_grow(2))

    code, report, words = verify(w, GUEST, "--verify")
    one = report[0]
    w.check("the replica comes up, its agent answers", code == 0 and one["result"] == "passed", f"{report} {words}")
    picture = w.on("B", "od", "-An", "-c", "-N4", one["screenshot"]).split() if one["screenshot"] else []
    w.check("its screen is kept", picture[:2] == ["P", "6"] or picture[1:] == ["P", "N", "G"], f"{one} {picture}")
    w.check("nothing is left", nothing_left(w))
    point = [p for p in w.points() if p["id"] == one["point"]]
    w.check("the result is kept with the point", point and point[0]["check"]["result"] == "passed", str(point))
    w.check("and in the status", w.status("B")["check"]["result"] == "passed")

    code, report, words = verify(w, "--verify-all")
    results = {r["name"]: r for r in report}
    w.check("all of this host: one comes up", results[GUEST]["result"] == "passed", f"{report} {words}")
    blank = results[BLANK]
    w.check("garbage does not, within its time", blank["result"] == "failed" and "within 15 s" in blank["reason"], str(report))
    w.check("the exit status says so", code == 1, str(code))
    w.check("nothing is left", nothing_left(w))
    health = json.loads(w.cli("B", "status", BLANK, "--json"))[0]
    w.check("it is a warning", health["health"] == 2 and "boot check" in health["reason"], str(health))

    drill = subprocess.Popen([LAB, "exec", "B", CLI, "test-failover", BLANK, "--verify"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    w.check("a check is under way", w.until(lambda: "running" in w.on("B", "virsh", "domstate", BLANK + " - Test", check=False)))
    w.lab("daemon", "B", "kill")
    drill.wait()
    w.lab("daemon", "B", "start")
    w.check("the daemon was killed in the middle: its next run cleans up", w.until(lambda: nothing_left(w)))
    w.covers("test failover", "daemon killed", "in the middle of a boot check: its next run removes the test guest")
    w.check("and replication goes on", w.points_grow(2))
