#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest captured through libvirt's backup API: it is replicated like others, no monitor command reaches it, and libvirt's own work on it
goes on."""
import os

from world import GUEST, World


def committed(w):
    """libvirt refuses a block job while a cycle's backup job is open, which is short: whoever wants one tries again."""
    done = w.on("A", "virsh", "blockcommit", GUEST, "vda", "--active", "--pivot", "--wait", check=False)
    return "Successfully pivoted" in done


def tainted(w):
    return "custom-monitor" in w.on("A", "cat", f"/var/log/libvirt/qemu/{GUEST}.log")


with World("engine") as w:
    w.connect()
    w.lab("guest-define", "A", GUEST, "--writer", "100", "--format", "qcow2,raw", "--size", "128")
    status, words = w.status_of("A", "enable", GUEST, "--to", "hostb.lab", "--engine", "pull")
    w.check("a raw disk is refused, by name", status == 6 and "vdb" in words and "raw" in words, words)
    w.lab("guest-undefine", "A", GUEST)

    w.lab("guest-define", "A", GUEST, "--writer", "100", "--size", "128", "--start")
    w.until(lambda: "WRITER resumes" in w.lab("console", "A", GUEST))
    w.cli("A", "enable", GUEST, "--to", "hostb.lab", "--engine", "pull", "--interval-ms", "2000", "--history", "4", "--keep-every", "1h")
    w.cli("A", "start", GUEST)
    w.check("recovery points appear", w.points_grow(2))
    w.check("the newest is whole", w.newest_is_whole())
    w.check("status shows the engine", w.status("A")["engine"] == "pull")

    image = os.path.join(os.environ["LAB_DIR"], f"A/disks/{GUEST}-vda.snap")
    w.on("A", "virsh", "snapshot-create-as", GUEST, "s", "--disk-only", "--no-metadata",
         "--diskspec", f"vda,snapshot=external,file={image}",
         "--diskspec", "vdb,snapshot=no")
    w.check("libvirt makes a snapshot, and replication goes on", w.caught_up(60))
    w.check("it is committed", w.until(lambda: committed(w)))
    w.check("and replication goes on", w.caught_up(60))

    w.on("A", "virsh", "-q", "destroy", GUEST, "--graceful")
    w.check("switched off, and what it wrote last arrives", w.caught_up(60))
    w.check("started again", w.started())
    w.check("and replication goes on", w.caught_up(60))
    w.check("no monitor command reached the guest", not tainted(w))
    w.check("every point is gap-free", all(w.records(p) >= 0 for p in w.points()[::4]))
    w.cli("A", "disable", GUEST)
    w.check("the end of replication leaves no checkpoint", "vmr-" not in w.on("A", "virsh", "checkpoint-list", GUEST, "--name"))
