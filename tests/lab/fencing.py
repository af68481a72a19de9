#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cable between the hosts is cut while the guest runs on A; B takes over; when the cable is back, the guest on A stops before it works
against the one on B, and cannot be started there until the failover was reverted.  Then A's daemon is dead while B takes over: libvirt's
hook asks B before the guest starts, as at boot."""
from world import GUEST, World


def state(host):
    return w.on(host, "virsh", "domstate", GUEST).strip()


def refused(w):
    """What libvirt says when the guest does not start on A.  The hook gives the replica's host two seconds, and no answer is no objection;
    on a busy machine an answer may come too late, so it is asked a few times."""
    for _ in range(5):
        words = w.on("A", "virsh", "start", GUEST, check=False)
        if state("A") == "shut off":
            break
        w.on("A", "virsh", "destroy", GUEST)
    return words


with World("fencing") as w:
    w.protect(interval_ms=1000)
    w.check("points appear", w.points_grow(2))
    w.lab("link", "down")
    w.cli("B", "failover", GUEST)
    w.cli("B", "power", GUEST, "on")
    w.check("without the cable nothing keeps both from running", state("A") == "running" and state("B") == "running")

    w.lab("link", "up")
    w.check("the old primary hears of it and pauses its guest", w.until(lambda: state("A") == "paused"), state("A"))
    w.check("and says why", w.until(lambda: w.status("A")["state"] == 8) and "has failed over" in w.cli("A", "status", GUEST),
            w.cli("A", "status", GUEST))
    code, words = w.status_of("A", "power", GUEST, "on")
    w.check("it does not go on", code != 0 and "has failed over" in words and state("A") == "paused", words)
    w.covers("fencing", "other host dies",
             "the cable is cut and both run; when it is back, the old primary pauses its guest and does not start it again")
    w.on("A", "virsh", "destroy", GUEST)
    words = w.on("A", "virsh", "start", GUEST, check=False)
    w.check("nor starts behind our back", "has failed over" in words and state("A") == "shut off", words)
    w.check("the guest on B runs", state("B") == "running")

    w.on("B", "virsh", "destroy", GUEST)
    w.cli("B", "revert", GUEST)
    w.cli("A", "resume", GUEST)
    w.check("after a revert it starts on A", w.until(lambda: w.status_of("A", "power", GUEST, "on")[0] == 0))
    w.check("and is replicated again", w.until(lambda: w.status("A")["state"] == 3) and w.points_grow(2))
    w.check("whole", w.newest_is_whole())

    w.lab("daemon", "A", "kill")
    w.on("A", "virsh", "destroy", GUEST)
    words = w.on("A", "virsh", "start", GUEST, check=False)
    w.check("without a daemon the guest starts", state("A") == "running", words)
    w.on("A", "virsh", "destroy", GUEST)
    w.cli("B", "failover", GUEST)
    words = refused(w)
    w.check("but not once its replica has failed over", "has failed over" in words and state("A") == "shut off", words)
    w.covers("fencing", "daemon killed", "libvirt's hook asks the replica's host itself, and refuses a start after a failover")
    w.lab("link", "down")
    words = w.on("A", "virsh", "start", GUEST, check=False)
    w.check("nobody who could be asked is no objection", state("A") == "running", words)
    w.lab("link", "up")
