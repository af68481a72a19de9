#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon is killed in the middle of what an administrator asked for, on the host that does it: the next one finds its way, the guest
and its points are whole."""
import json
import os
import subprocess

from world import CLI, GUEST, LAB, World

SECOND = "box"


def killed(w, host, *verb):
    """The call has begun, as it says itself; then the daemon that carries it out is gone, and another one starts."""
    caller = subprocess.Popen([LAB, "exec", host, CLI, *verb], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    begun = caller.stdout.read(1)
    w.lab("daemon", host, "kill")
    caller.communicate()
    w.lab("daemon", host, "start")
    w.check(f"{host}: killed during {verb[0]}", begun != b"", str(verb))


def status(w, host, guest=GUEST):
    found = json.loads(w.cli(host, "status", guest, "--json"))[0]
    return found["mode"], found["state"]


def idle(w, host):
    """None of its jobs is under way."""
    return all(int(job["JobState"]) >= 7 for job in json.loads(w.cli(host, "jobs", "--json")))


def finished(w, host, reached, seconds, *verb):
    """What the next daemon goes on with comes to its end; otherwise it is asked for again, once nothing of it is under way."""
    if not w.until(reached, seconds) and w.until(lambda: reached() or idle(w, host)) and not reached():
        w.cli(host, *verb)


def off(w, host):
    w.cli(host, "power", GUEST, "off")
    w.until(lambda: w.on(host, "virsh", "domstate", GUEST).strip() == "shut off")


def resynchronise(w):
    w.cli("A", "suspend", GUEST)
    before = len(w.points())
    killed(w, "A", "resynchronise", GUEST)
    if status(w, "A")[1] == 7:
        w.cli("A", "resynchronise", GUEST)
    w.check("it ends by itself", w.until(lambda: status(w, "A")[1] == 3), str(status(w, "A")))
    w.check("points stay, and what the guest writes comes", len(w.points()) >= before and w.caught_up())
    w.covers("resynchronisation", "daemon killed", "the next one begins again by itself; points stay")


def switch(w):
    told = w.writer_at()
    off(w, "A")
    killed(w, "A", "prepare", GUEST)
    w.check("prepared, or as it was", status(w, "A")[1] in (3, 4), str(status(w, "A")))
    w.cli("A", "prepare", GUEST)
    started = w.on("A", "virsh", "start", GUEST, check=False)
    w.check("called again: prepared and fenced", status(w, "A")[1] == 4 and "planned failover" in started, started)
    w.covers("planned failover", "daemon killed", "killed while it is prepared: prepared or as it was; called again, it is prepared")
    w.cli("B", "failover", GUEST)
    killed(w, "B", "reverse", GUEST)
    finished(w, "B", lambda: status(w, "B") == (1, 3), 20, "reverse", GUEST)
    w.lab("daemon", "A", "kill")  # while its disks are copied into the replica
    w.lab("daemon", "A", "start")
    w.check("roles are reversed", status(w, "B") == (1, 3) and w.until(lambda: status(w, "A") == (2, 3)), str(status(w, "A")))
    mark = len(w.lab("console", "B", GUEST))
    w.cli("B", "power", GUEST, "on")
    w.check("the guest resumes", w.until(lambda: "WRITER resumes at" in w.lab("console", "B", GUEST)[mark:]))
    at = w.writer_at("B")
    w.check("no record is lost", at > told, f"{told} told on A, resumed at {at}")
    w.check("the new replica follows", w.until(lambda: w.points("A") and w.records(w.points("A")[-1], "A") >= at))
    w.covers("reversal", "daemon killed", "that of the new primary, then that of the old one: each goes on with it, no record is lost")


def first_copy(w):
    folder = os.path.join(w.dir, "usb")
    os.mkdir(folder)
    w.lab("guest-define", "B", SECOND, "--writer", "0", "--disks", "1")
    w.cli("B", "enable", SECOND, "--to", "hosta.lab", "--interval-ms", "1000")
    killed(w, "B", "start", SECOND, "--export", folder)
    if status(w, "B", SECOND)[1] == 1:
        w.cli("B", "start", SECOND, "--export", folder)
    w.check("exported, waits", w.until(lambda: idle(w, "B")) and status(w, "B", SECOND)[1] == 2, w.cli("B", "jobs"))
    killed(w, "A", "import", SECOND, folder)
    finished(w, "A", lambda: status(w, "A", SECOND)[1] == 3, 10, "import", SECOND, folder)
    w.check("both replicate", w.until(lambda: status(w, "A", SECOND)[1] == 3 and status(w, "B", SECOND)[1] == 3))
    w.covers("export and import", "daemon killed", "each of both: it goes on, or is called again and does not mind what there is")


with World("killed") as w:
    w.protect(interval_ms=1000)
    w.cli("A", "server", "--enable")
    w.cli("A", "authorize", "add", "hostb.lab")
    w.check("recovery points appear", w.points_grow(3))
    resynchronise(w)
    switch(w)
    first_copy(w)
    w.check("every point is gap-free", all(w.records(point, "A") >= 0 for point in w.points("A")[::6]))
