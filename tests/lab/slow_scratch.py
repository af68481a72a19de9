#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The scratch folder is on a disk that becomes slow: the cycle is given up and not the guest, and nothing is lost."""
import os
import shutil
import subprocess
import sys

from world import GUEST, World

SCRATCH = "/dev/shm/vmreplica"


def disk(w):
    """A file on host A whose writes nbdkit's rate filter can slow down, with a file system that writes through."""
    d = w.dir
    os.mkdir(f"{d}/slow")
    w.servers = [subprocess.Popen(["nbdkit", "-f", "-U", f"{d}/nbd", "--filter=rate", "memory", "2G", f"rate-file={d}/rate"],
                                  stdout=subprocess.DEVNULL)]
    w.until(lambda: os.path.exists(f"{d}/nbd"))
    w.servers.append(subprocess.Popen(["nbdfuse", f"{d}/slow/disk", f"nbd+unix:///?socket={d}/nbd"], stdout=subprocess.DEVNULL))
    w.until(lambda: os.path.exists(f"{d}/slow/disk"))
    subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1", f"{d}/slow/disk"], check=True)
    loop = subprocess.run(["losetup", "--show", "-f", f"{d}/slow/disk"], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    try:
        w.on("A", "sh", "-c", f"mknod {loop} b 7 {loop[len('/dev/loop'):]} && mkdir -p {SCRATCH} && mount -o sync {loop} {SCRATCH} && "
             f"chmod 711 {SCRATCH}")
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)  # it goes when the last one unmounts it


def speed(w, bits):
    with open(f"{w.dir}/rate", "w", encoding="ascii") as f:
        f.write(bits)


def too_slow(w):
    return "too slow" in str(w.status("A")["reason"])


if not all(shutil.which(p) for p in ("nbdkit", "nbdfuse", "mkfs.ext4", "losetup")) or not os.path.exists("/dev/loop-control"):
    print("1..0 # SKIP needs nbdkit, nbdfuse, the programs of ext4 and loop devices")
    sys.exit(0)

with World("slow") as w:
    try:
        disk(w)
        w.protect(interval_ms=5000, writer="max", define=("--size", "64"))
        w.check("recovery points appear", w.points_grow(2))
        speed(w, "2M")
        w.check("A says that the scratch folder is too slow", w.until(lambda: too_slow(w), 180), str(w.status("A")))
        mark = w.writer_at()
        w.check("the guest goes on", w.until(lambda: w.writer_at() > mark))
        w.check("and is not paused", "running" in w.on("A", "virsh", "domstate", GUEST))
        speed(w, "100G")
        w.check("replication goes on when the disk is quick again", w.caught_up(180))
        w.check("every point is gap-free", all(w.records(p) >= 0 for p in w.points()[::2]))
        w.check("nothing was read anew", "tracking" not in str(w.status("A")["reason"]))
        w.on("A", "virsh", "-q", "destroy", GUEST)
        w.lab("daemon", "A", "stop")
        w.on("A", "umount", SCRATCH, check=False)
    finally:
        for server in reversed(w.servers):
            server.terminate()
            server.wait()
