#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU is killed, and the daemon with it: bitmaps are lost, replication is not, and what the replica has is not sent again."""
import os
import signal

from world import GUEST, World

RECORD_SIZE = 4096  # tools/lab/record.h; on each of two disks


def qemu_pid():
    """The QEMU of this lab's guest: its images are on the command line."""
    disks = os.path.join(os.environ["LAB_DIR"], "A/disks")
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline", encoding="utf-8", errors="replace") as f:
                line = f.read().split("\0")
        except OSError:
            continue
        if "qemu-system" in line[0] and any(disks in part for part in line):
            return int(name)
    return 0


def folder_bytes(host):
    """Bytes of all change logs that a host holds as a replica."""
    total = 0
    for top, _, files in os.walk(os.path.join(os.environ["LAB_DIR"], host)):
        total += sum(os.path.getsize(os.path.join(top, f)) for f in files if f.endswith(".vrl"))
    return total


def daemon_said(text):
    with open(os.path.join(os.environ["LAB_DIR"], "A/vmreplicad.log"), encoding="utf-8", errors="replace") as f:
        return text in f.read()


def start_again(w):
    w.start()
    w.until(lambda: w.lab("console", "A", GUEST).count("WRITER resumes") >= 1)


def kill_qemu(w):
    pid = qemu_pid()
    w.check("QEMU was found", pid > 0)
    os.kill(pid, signal.SIGKILL)
    w.until(lambda: "shut off" in w.on("A", "virsh", "domstate", GUEST))


with World("scan") as w:
    w.protect(interval_ms=1000)
    w.check("recovery points appear", w.points_grow(3))
    w.check("the newest is whole", w.newest_is_whole())

    told, before, points = w.writer_at(), folder_bytes("B"), {p["id"] for p in w.points()}
    kill_qemu(w)
    start_again(w)
    w.check("after a SIGKILL of QEMU every record arrives", w.caught_up())
    w.check("the disks were read and compared", daemon_said("its disks are read and compared"))
    sent = folder_bytes("B") - before
    written = (w.writer_at() - told) * 2 * RECORD_SIZE  # by the ordinary cycles, too; reading the disks may take long
    w.check("bytes that arrived are what was written, far from a disk", sent < written + (8 << 20), f"{sent} bytes, {written} written")
    w.check("earlier points are still there", len(points & {p["id"] for p in w.points()}) >= len(points) - 1)

    w.lab("daemon", "A", "kill")
    kill_qemu(w)
    start_again(w)
    w.lab("daemon", "A", "start")
    w.check("daemon and QEMU were killed together and every record arrives", w.caught_up())
    w.check("no full copy was made", not daemon_said("a full copy of its disks begins"))
    w.check("state is Replicating on both sides", w.status("A")["state"] == 3 and w.status("B")["state"] == 3)
    w.check("points are gap-free", all(w.records(p) >= 0 for p in w.points()[::5]))
