#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Application-consistent points with the real guest agent: file systems are clean in them, and no guest stays frozen, whoever dies
or hangs in between."""
import json
import os
import re
import signal
import subprocess

from world import GUEST, World

SLOW = 4  # seconds that the guest's freeze script takes when it is told to, so that there is time to kill somebody


def make_data_disk(w):
    image = w.lab("disks", "A", GUEST).split()[2]
    raw = os.path.join(w.dir, "data.raw")
    subprocess.run(["truncate", "-s", "64M", raw], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", raw], check=True)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, image], check=True)


def quiesced(w):
    return [p for p in w.points() if p["kind"] == "ApplicationConsistent"]


def more_quiesced(w, seconds=120):
    known = {p["id"] for p in w.points()}
    return w.until(lambda: [p for p in quiesced(w) if p["id"] not in known], seconds)


def journal(w, point):
    """(is the journal of the data disk to be played, does e2fsck find nothing)"""
    pattern = os.path.join(w.dir, "%t.raw")
    w.cli("B", "point", "export", GUEST, point["id"], "--output", pattern)
    image = pattern.replace("%t", "vdc")
    head = subprocess.run(["dumpe2fs", "-h", image], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    fine = subprocess.run(["e2fsck", "-f", "-n", image], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    for target in ("vda", "vdb", "vdc"):
        os.unlink(pattern.replace("%t", target))
    return "needs_recovery" in head, fine


def agent(w, command, **arguments):
    return json.loads(w.lab("agent", "A", GUEST, json.dumps({"execute": command, "arguments": arguments})))["return"]


def in_guest(w, line):
    agent(w, "guest-exec", path="/bin/sh", arg=["-c", line])


def frozen(w):
    return agent(w, "guest-fsfreeze-status") == "frozen"


def app_failures(w):
    with open(os.path.join(os.environ["LAB_DIR"], "A/vmreplicad.log"), errors="replace") as f:
        return f.read().count("no application-consistent point")


def written(w):
    """The last number that the guest told; from the file, so that no libvirtd is needed."""
    with open(os.path.join(os.environ["LAB_DIR"], "A/libvirt-log/console", GUEST + ".log"), errors="replace") as f:
        told = re.findall(r"DATA (\d+)", f.read())
    return int(told[-1]) if told else 0


def pid_of(host, what):
    with open(os.path.join(os.environ["LAB_DIR"], host, what + ".pid"), encoding="utf-8") as f:
        return int(f.read().split()[0])


def stops_freezing(w, what, stands):
    """A process of host A hangs from the middle of a freeze on, and the guest stays frozen, as `stands` tells.  The guest's script gives
    some seconds for that; on a busy machine they may be over and the guest thawed before, and then the next freeze is tried."""
    in_guest(w, f"echo {SLOW} >/run/slow")
    for _ in range(5):
        mark = w.lab("console", "A", GUEST).count("FREEZE waits")
        if not w.until(lambda: w.lab("console", "A", GUEST).count("FREEZE waits") > mark):
            return False
        os.kill(pid_of("A", what), signal.SIGSTOP)
        if w.until(stands, 15):
            return True
        os.kill(pid_of("A", what), signal.SIGCONT)
    return False


def stands_still(w):
    before = written(w)
    subprocess.run(["sleep", str(SLOW)], check=True)
    return written(w) == before


with World("consistent") as w:
    w.configure("A", "replication", "freeze_seconds = 30")
    w.connect()
    w.lab("guest-define", "A", GUEST, "--writer", "100", "--disks", "3", "--size", "64", "--append", "data=vdc")
    make_data_disk(w)
    w.on("A", "virsh", "-q", "start", GUEST)
    w.until(lambda: written(w) > 0)
    w.cli("A", "enable", GUEST, "--to", "hostb.lab", "--interval-ms", "1000", "--history", "4", "--keep-every", "1h", "--app-every", "3s")
    w.cli("A", "start", GUEST)

    found = more_quiesced(w)
    w.check("an application-consistent point appears", found, str(w.status("A")))
    point = found[-1]
    print(f"# {point['quiesced']}")
    w.check("it says which file systems stood still", "/data" in point["quiesced"]["filesystems"] and
            point["quiesced"]["frozen"] == point["quiesced"]["thawed"] >= 1)
    w.check("the guest had a timer of its own", point["quiesced"]["timer"])
    played, fine = journal(w, point)
    w.check("its file system is clean: no journal to play, nothing to repair", fine and not played, f"{played} {fine}")
    standard = [p for p in w.points() if p["kind"] == "Standard"]
    w.check("a standard one has its journal to play", journal(w, standard[-1])[0])
    w.check("the writer's disks are whole in it", w.records(point) > 0)
    # a freeze takes long in a guest without KVM, and a cycle is due each second
    w.check("health is OK", w.until(lambda: not w.issues("A", but=["missed-cycles"])), str(w.status("A")))

    w.check("the daemon hangs in the middle of a freeze, the guest is frozen", stops_freezing(w, "vmreplicad", lambda: frozen(w)))
    os.kill(pid_of("A", "vmreplicad"), signal.SIGKILL)
    w.check("the daemon is killed, the guest is thawed", w.until(lambda: not frozen(w)))
    in_guest(w, "rm -f /run/slow")
    at = written(w)
    w.check("and writes", w.until(lambda: written(w) > at))
    w.lab("daemon", "A", "start")
    w.check("and the new daemon makes such points again", more_quiesced(w))
    w.covers("consistent point", "daemon killed", "a helper thaws the guest at once; the next daemon makes such points again")

    w.check("the daemon hangs, the guest is frozen again", stops_freezing(w, "vmreplicad", lambda: frozen(w)))
    failures = app_failures(w)
    w.check("and is thawed when the limit is over", w.until(lambda: not frozen(w), 180))
    in_guest(w, "rm -f /run/slow")
    os.kill(pid_of("A", "vmreplicad"), signal.SIGCONT)
    w.check("the daemon goes on and counts a failure", w.until(lambda: app_failures(w) > failures))
    w.check("the next ones are consistent again", more_quiesced(w))

    w.check("libvirtd hangs, the guest is frozen", stops_freezing(w, "libvirtd", lambda: stands_still(w)))
    at = written(w)
    w.check("and is thawed by its own timer", w.until(lambda: written(w) > at, 180))
    os.kill(pid_of("A", "libvirtd"), signal.SIGCONT)
    in_guest(w, "rm -f /run/slow")
    w.check("libvirtd is back, and so are such points", more_quiesced(w, 240))

    point = quiesced(w)[-1]
    w.on("A", "virsh", "-q", "destroy", GUEST)
    w.cli("B", "failover", GUEST, "--point", point["id"], "--start")
    w.check("after a failover to it the guest finds a clean file system",
            w.until(lambda: re.search(r"DATA (clean|journal)", w.lab("console", "B", GUEST))) and
            "DATA clean" in w.lab("console", "B", GUEST), w.lab("console", "B", GUEST)[-300:])
    relation = json.loads(w.cli("B", "query", "SELECT * FROM Msvm_ReplicationRelationship", "--json"))
    w.check("which the API calls application-consistent", any(r["FailedOverReplicationType"] == 2 for r in relation), str(relation))
