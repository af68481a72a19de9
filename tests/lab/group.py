#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two guests that belong together: points of one instant, and after the loss of host A a plan brings both up from the same one."""
import json
import os
import re

from world import World

MEMBERS = ("db", "web")


def group_points():
    return json.loads(w.cli("B", "group", "points", "shop", "--json"))


def grown(by):
    before = len(group_points())
    return w.until(lambda: len(group_points()) >= before + by)


def of_guest(name):
    return {p["id"]: p for p in json.loads(w.cli("B", "points", name, "--json"))}


def stood_still():
    """Milliseconds that guests were paused for their group, as the daemon logs them."""
    with open(os.path.join(os.environ["LAB_DIR"], "A", "vmreplicad.log"), encoding="utf-8", errors="replace") as log:
        return [float(ms) for ms in re.findall(r"stood still for its group for ([\d.]+) ms", log.read())]


with World("group") as w:
    w.connect()
    for name in MEMBERS:
        w.lab("guest-define", "A", name, "--writer", "100", "--start")
    for name in MEMBERS:
        w.until(lambda: "WRITER resumes" in w.lab("console", "A", name))
        w.cli("A", "enable", name, "--to", "hostb.lab", "--interval-ms", "2000", "--history", "4", "--keep-every", "1h")
        w.cli("A", "start", name)
    w.cli("A", "group", "create", "shop", *MEMBERS)
    w.check("the replica host learns of the group", w.until(lambda: "shop" in w.cli("B", "group", "list")))
    w.check("points of all members appear", grown(3))
    print(f"# paused for {sorted(stood_still())} ms")
    # each round pauses them for an instant, so one look may fall into it
    w.check("guests write on", w.until(lambda: all(w.on("A", "virsh", "domstate", name).strip() == "running" for name in MEMBERS)))

    for name in MEMBERS:
        w.on("A", "virsh", "destroy", name)
    w.lab("daemon", "A", "kill")
    plan = os.path.join(w.dir, "shop.plan")
    with open(plan, "w", encoding="utf-8") as f:
        f.write("[plan]\ngroup=shop\n[guest db]\norder=1\nready=agent\ntimeout=3m\n[guest web]\norder=2\nready=agent\ntimeout=3m\n")
    w.cli("B", "plan", "check", plan)
    held = {name: of_guest(name) for name in MEMBERS}
    code, words = w.status_of("B", "plan", "run", plan, "--failover", "--json")
    w.check("the plan ends well", code == 0, words)
    report = json.loads(words[words.index("{"):])
    w.check("in its order", [s["guest"] for s in report["steps"] if s["result"] == "ready"] == list(MEMBERS), words)
    w.check("both run", all(w.on("B", "virsh", "domstate", name).strip() == "running" for name in MEMBERS))
    applied = w.cli("B", "query", "SELECT * FROM Msvm_LastAppliedSnapshot", "--json")
    found = [[p for p in held[name].values() if p["id"] in applied] for name in MEMBERS]
    w.check("each from one of its points", all(len(points) == 1 for points in found), applied)
    w.check("of one instant", len({points[0]["captured_us"] for points in found}) == 1, str(found))
    w.check("and write on", w.until(lambda: all("WRITER resumes" in w.lab("console", "B", name) for name in MEMBERS)))
