# SPDX-License-Identifier: LGPL-2.1-or-later
"""One cycle after 1 % of 4 GiB was rewritten in random 4 KiB pages"""
import os
import subprocess
import time

from harness import GIB, PAGE, RUNS, Samples
from lab import GUEST, compressed, daemon_cpu, enable, guest, in_world, rewrite

NEEDS = {"lab", "rsync", "zstd"}
LONG = True
SIZE = 4 * GIB


def one_cycle(w, ours, wire, bound):
    size_of = Samples("zstd -1 of the changed pages", "B")
    w.cli("A", "suspend", GUEST)
    size_of.add(compressed(rewrite(w, SIZE // 100 // PAGE)))
    known, sent = {p["id"] for p in w.points()}, int(w.status("A")["wire_bytes"])
    cpu, begun = daemon_cpu(), time.monotonic()
    w.cli("A", "resume", GUEST)
    w.until(lambda: {p["id"] for p in w.points()} - known)
    ours.add(time.monotonic() - begun, daemon_cpu() - cpu)
    wire.add(int(w.status("A")["wire_bytes"]) - sent)
    bound.add(size_of.values[0])
    w.cli("A", "suspend", GUEST)


def measure_in(figure, w):
    image, raw = guest(w, 4096, fill=True)
    enable(w, 1000)
    w.cli("A", "start", GUEST)
    w.points_grow(1)
    old, new = os.path.join(w.dir, "old.raw"), os.path.join(w.dir, "new.raw")
    os.rename(raw, old)
    ours, peer = Samples("cycle until its point is durable"), Samples("rsync -I --inplace --no-whole-file of the image")
    wire, bound = Samples("bytes on the wire", "B"), Samples("zstd -1 of the changed pages", "B")
    for _ in range(RUNS):
        one_cycle(w, ours, wire, bound)
        subprocess.run(["qemu-img", "convert", "-U", "-q", "-f", "qcow2", "-O", "raw", image, new], check=True)
        peer.run("rsync", "-I", "--inplace", "--no-whole-file", new, old)
        w.cli("A", "resume", GUEST)
        w.points_grow(1)
    figure.row(ours, peer, goal="0.1 of rsync")
    figure.row(wire, bound, goal="1.05 of the compressed pages")


def measure(figure):
    in_world(figure, measure_in)
