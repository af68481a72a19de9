# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tracking lost: finding and sending 1 % of changed pages"""
import os
import random
import re
import shutil
import subprocess

from harness import MIB, PAGE, RUNS, Samples, built, folder

NEEDS = {"rsync", "qemu-nbd", "nbdcopy"}
LONG = True
SIZE = int(os.environ.get("BENCH_IMAGE_MIB", "512")) * MIB
LINE = re.compile(r"^(.+?)\s+([\d.]+) ms  cpu\s+([\d.]+) ms\s+\d+ MiB/s\s+(\d+) bytes$", re.M)


def page():
    return random.randbytes(PAGE // 2) + bytes(PAGE // 2)


def fill(path):
    """Half of it data, as bench/fingerprint makes it."""
    with open(path, "wb") as f:
        for _ in range(SIZE // 2 // PAGE):
            f.write(page())
        f.truncate(SIZE)


def rewrite(path):
    with open(path, "r+b") as f:
        for at in random.sample(range(SIZE // 2 // PAGE), SIZE // 100 // PAGE):
            f.seek(at * PAGE)
            f.write(page())


def bytes_of(path):
    return int(subprocess.run(["du", "-sB1", path], check=True, text=True, stdout=subprocess.PIPE).stdout.split()[0])


def quiet(*argv, **env):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **env})


class Btrfs:
    """A copy of the image on a btrfs in a loop device, with a snapshot of each round; what is sent is measured, not how it got there."""

    def __init__(self, top, image):
        self.place, self.image, self.number, self.bytes = os.path.join(top, "btrfs"), image, 0, 0
        disk = os.path.join(top, "btrfs.raw")
        with open(disk, "wb") as f:
            f.truncate(4 * SIZE)
        quiet("mkfs.btrfs", "-q", disk)
        os.mkdir(self.place)
        quiet("mount", "-o", "loop", disk, self.place)
        quiet("btrfs", "subvolume", "create", os.path.join(self.place, "now"))
        self.keep()

    def keep(self):
        quiet("rsync", "-I", "--inplace", "--no-whole-file", self.image, os.path.join(self.place, "now", "image"))
        self.number += 1
        quiet("btrfs", "subvolume", "snapshot", "-r", os.path.join(self.place, "now"), os.path.join(self.place, str(self.number)))
        quiet("sync", "-f", self.place)

    def send(self):
        file = os.path.join(self.place, "..", "stream")
        quiet("btrfs", "send", "-f", file, "-p", os.path.join(self.place, str(self.number - 1)), os.path.join(self.place, str(self.number)))
        quiet("sync", file)
        self.bytes = os.path.getsize(file)
        os.unlink(file)

    def close(self):
        quiet("umount", self.place)


def btrfs_missing():
    """Why btrfs send is not among the peers; None: it is."""
    with open("/proc/filesystems", encoding="ascii") as f:
        if "btrfs" not in f.read():
            return "this kernel has no btrfs"
    if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
        return "it needs root and loop devices"
    return None if shutil.which("mkfs.btrfs") else "btrfs-progs are not installed"


class Peers:
    """Each sees the same rewritten image as the others and has seen what was there before."""

    def __init__(self, top, image):
        self.top, self.image, self.number = top, image, 0
        self.env = {"BORG_BASE_DIR": os.path.join(top, "home"), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
        self.ways = {"rsync": self.rsync, **{n: getattr(self, n) for n in ("borg", "casync") if shutil.which(n)}}
        self.btrfs = None if btrfs_missing() else Btrfs(top, image)
        self.times = {n: Samples(n) for n in self.ways}
        self.times.update({"btrfs send": Samples("btrfs send")} if self.btrfs else {})
        if "borg" in self.ways:
            quiet("borg", "init", "-e", "none", os.path.join(top, "borg"), **self.env)
        for way in self.ways.values():
            way()

    def rsync(self):
        quiet("rsync", "-I", "--inplace", "--no-whole-file", self.image, os.path.join(self.top, "copy"))

    def borg(self):
        quiet("borg", "create", "-C", "zstd,1", "--chunker-params", "fixed,4096", f"{os.path.join(self.top, 'borg')}::{self.number}",
              self.image, **self.env)

    def casync(self):
        quiet("casync", "make", "--store=" + os.path.join(self.top, "chunks"), os.path.join(self.top, f"{self.number}.caibx"), self.image)

    def round(self):
        rewrite(self.image)
        self.number += 1
        for name, way in self.ways.items():
            self.times[name].time(way)
        if self.btrfs:
            self.btrfs.keep()
            self.times["btrfs send"].time(self.btrfs.send)

    def close(self):
        if self.btrfs:
            self.btrfs.close()


def scans(top):
    """What bench/fingerprint says: {name: (s, CPU s, bytes)}; its medians of five."""
    os.mkdir(os.path.join(top, "ours"))
    out = subprocess.run([built("bench/fingerprint"), os.path.join(top, "ours"), str(SIZE // MIB)], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return {m[1].strip(): (float(m[2]) / 1000, float(m[3]) / 1000, int(m[4])) for m in LINE.finditer(out)}


def judge(figure, found):
    scan, dd = found["scan through qemu-nbd, direct, 1 % differs"], found["dd of the image, direct"]
    figure.goal("tracking lost: the disk is read at >= 80 % of dd's speed (direct)", f"{dd[0] / scan[0]:.0%}", dd[0] / scan[0] >= 0.8)
    cached, dd = found["scan of the image's file, 1 % differs"], found["dd of the image"]
    speed = dd[0] / cached[0]
    figure.goal("tracking lost: the disk is read at >= 80 % of dd's speed (page cache)", f"{speed:.0%}", speed >= 0.8)
    ratio = scan[2] / found["log of exactly the changed pages"][2]
    figure.goal("tracking lost: bytes on the wire <= 1.05 x the changed pages, compressed", f"{ratio:.3f}", ratio <= 1.05)


def measure(figure):
    with folder("resync") as top:
        image = os.path.join(top, "image")
        fill(image)
        peers = Peers(top, image)
        try:
            for _ in range(RUNS):
                peers.round()
        finally:
            peers.close()
        found = scans(top)
        rows = [[name, f"{wall:.2f}", f"{cpu:.2f}", f"{size:,}"] for name, (wall, cpu, size) in found.items()]
    for s in peers.times.values():
        size = f"{peers.btrfs.bytes:,}" if s.name == "btrfs send" else ""
        rows.append([f"{s.name}, second copy", f"{s.median():.2f}", f"{sorted(s.cpu)[len(s.cpu) // 2]:.2f}", size])
    figure.table(f"{SIZE // MIB} MiB, half of it data, 1 % of its pages rewritten; ours and its bounds first, then peers",
                 ["", "s", "CPU s", "bytes of the log"], rows)
    judge(figure, found)
    if btrfs_missing():
        figure.note(f"btrfs send is not among the peers: {btrfs_missing()}.")
