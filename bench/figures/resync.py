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


class Peers:
    """Each sees the same rewritten image as the others and has seen what was there before."""

    def __init__(self, top, image):
        self.top, self.image, self.number = top, image, 0
        self.env = {"BORG_BASE_DIR": os.path.join(top, "home"), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}
        self.ways = {"rsync": self.rsync, **{n: getattr(self, n) for n in ("borg", "casync") if shutil.which(n)}}
        self.times = {n: Samples(n) for n in self.ways}
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


def scans(top):
    """What bench/fingerprint says: {name: (s, CPU s, bytes)}; its medians of five."""
    os.mkdir(os.path.join(top, "ours"))
    out = subprocess.run([built("bench/fingerprint"), os.path.join(top, "ours"), str(SIZE // MIB)], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return {m[1].strip(): (float(m[2]) / 1000, float(m[3]) / 1000, int(m[4])) for m in LINE.finditer(out)}


def measure(figure):
    with folder("resync") as top:
        image = os.path.join(top, "image")
        fill(image)
        peers = Peers(top, image)
        for _ in range(RUNS):
            peers.round()
        rows = [[name, f"{wall:.2f}", f"{cpu:.2f}", f"{size:,}"] for name, (wall, cpu, size) in scans(top).items()]
    rows += [[f"{s.name}, second copy", f"{s.median():.2f}", f"{sorted(s.cpu)[len(s.cpu) // 2]:.2f}", ""] for s in peers.times.values()]
    figure.table(f"{SIZE // MIB} MiB, half of it data, 1 % of its pages rewritten; ours and its bounds first, then peers",
                 ["", "s", "CPU s", "bytes of the log"], rows)
    with open("/proc/filesystems", encoding="ascii") as f:
        known = f.read()
    if "btrfs" not in known:
        figure.note("btrfs send is not among the peers: this kernel has no btrfs.")
