#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest with a qcow2 and a raw disk is destroyed, shut down, its QEMU killed, a disk plugged in: replication goes on by
itself and the points stay."""
import os
import signal

from world import GUEST, World

DISK = """<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{}'/><target dev='vdz' bus='virtio'/></disk>"""


with World("events") as w:
    w.protect(interval_ms=1000, define=("--format", "qcow2,raw"))
    w.check("recovery points appear", w.points_grow(2))

    w.on("A", "virsh", "-q", "destroy", GUEST)
    w.check("destroyed, and what it wrote last arrives", w.caught_up(60))
    w.check("started again", w.started())
    w.check("and replication goes on", w.caught_up(90))

    w.on("A", "virsh", "-q", "shutdown", GUEST, "--mode", "agent")
    w.until(lambda: "shut off" in w.on("A", "virsh", "domstate", GUEST))
    w.check("shut down, and what it wrote last arrives", w.caught_up(60))
    w.started()
    w.check("started, and replication goes on", w.caught_up(90))

    before = len(w.points())
    os.kill(int(w.status("A")["pid"]), signal.SIGKILL)
    w.until(lambda: "shut off" in w.on("A", "virsh", "domstate", GUEST))
    w.started()
    w.check("QEMU was killed: read again, and replication goes on", w.caught_up())
    w.check("the points from before are still there", len(w.points()) > before)
    w.check("state is Replicating", w.status("A")["state"] == 3, str(w.status("A")))

    image = os.path.join(os.environ["LAB_DIR"], "A/disks/extra.qcow2")
    w.on("A", "qemu-img", "create", "-q", "-f", "qcow2", image, "64M")
    xml = os.path.join(os.environ["LAB_DIR"], "A/disks/extra.xml")
    with open(xml, "w", encoding="utf-8") as f:
        f.write(DISK.format(image))
    w.on("A", "virsh", "-q", "attach-device", GUEST, xml, "--live")
    w.check("a disk was plugged in, and replication goes on", w.caught_up(60))
    w.on("A", "virsh", "-q", "detach-device", GUEST, xml, "--live")
    w.check("unplugged, and replication goes on", w.caught_up(60))
    w.check("every point is gap-free", all(w.records(p) >= 0 for p in w.points()[::5]))
