# SPDX-License-Identifier: LGPL-2.1-or-later
"""One cycle: after 1 % of 4 GiB was rewritten in random 4 KiB pages, and after nothing was"""
import os
import subprocess
import time

import bounds
from harness import GIB, MIB, PAGE, RUNS, Samples, beside, number, quantity
from lab import GUEST, Cycles, compressed, daemon_cpu, enable, guest, in_world, rewrite
from virtnbd import Virtnbdbackup

NEEDS = {"lab", "rsync", "zstd", "virtnbdbackup"}
LONG = True
SIZE = 4 * GIB
FLUSHES = 3  # of a cycle, both hosts (repl/cycle.h, store/store.h)
IDLE_S = 0.05


def one_cycle(w, ours, wire):
    """Of what has changed while replication was paused.  What the pause interrupted ends now, too, but is older than this."""
    cycles, sent, cpu, begun = Cycles(), int(w.status("A")["wire_bytes"]), daemon_cpu(), time.monotonic()
    w.cli("A", "resume", GUEST)
    if not w.until(lambda: int(w.status("A")["wire_bytes"]) - sent > MIB, 300):
        raise RuntimeError("the changes were not sent within 300 s")
    ours.add(max(n for n in cycles.lengths() if n < time.monotonic() - begun), daemon_cpu() - cpu)
    w.cli("A", "suspend", GUEST)
    wire.add(int(w.status("A")["wire_bytes"]) - sent)


def rsync(peer, image, top):
    new, old = os.path.join(top, "new.raw"), os.path.join(top, "old.raw")
    subprocess.run(["qemu-img", "convert", "-U", "-q", "-f", "qcow2", "-O", "raw", image, new], check=True)
    peer.run("rsync", "-I", "--inplace", "--no-whole-file", new, old)


def dirty(figure, w, image, backup):
    ours, wire = Samples("cycle, from its begin to the durable answer"), Samples("bytes on the wire", "B")
    copy, inc = Samples("rsync -I --inplace --no-whole-file of the image"), Samples("virtnbdbackup, incremental")
    least, data = Samples("zstd -1 of the changed pages", "B"), Samples("virtnbdbackup's data", "B")
    for _ in range(RUNS):
        w.cli("A", "suspend", GUEST)
        content = rewrite(w, SIZE // 100 // PAGE)
        least.add(compressed(content))
        one_cycle(w, ours, wire)
        backup.run(inc)
        data.add(backup.bytes())
        rsync(copy, image, w.dir)
    size = int(wire.median())
    packed = bounds.zstd(bounds.pages(16 * MIB), len(content))
    figure.row(ours, copy, inc, bounds=(bounds.disk(w.dir, size), bounds.tls(size), packed, bounds.fsync(w.dir, FLUSHES)))
    ratio = beside(wire, least)["median"]
    figure.row(wire, least, data, goal="1 % rewritten: bytes on the wire <= 1.05 x the changed pages, compressed", reached=ratio <= 1.05)
    figure.goal("a point costs <= 1.02 x its changed pages, compressed", f"{ratio:.3f}", ratio <= 1.02)
    judge(figure, "1 % rewritten: a cycle takes <= 1/10 of rsync", ours, copy, 1 / 10)
    judge(figure, "1 % rewritten: a cycle takes <= 1/2 of virtnbdbackup incremental", ours, inc, 1 / 2)


def judge(figure, goal, ours, peer, share):
    ratio = beside(ours, peer)["median"]
    figure.goal(goal, f"{quantity(ours.median(), 's')}, {number(ratio)} of {quantity(peer.median(), 's')}", ratio <= share)


def idle(figure, w, backup):
    """Nothing changes in this guest: a cycle a second, then backups with replication paused."""
    ours, inc = Samples("idle cycle of two disks, from its begin to the durable answer"), Samples("virtnbdbackup, incremental, idle")
    w.cli("A", "resume", GUEST)
    cycles, cpu = Cycles(), daemon_cpu()
    w.until(lambda: len(cycles.lengths()) >= 20)
    cost = (daemon_cpu() - cpu) / len(cycles.lengths())
    for length in cycles.lengths():
        ours.add(length, cost)
    w.cli("A", "suspend", GUEST)
    for _ in range(RUNS):
        backup.run(inc)
    figure.row(ours, inc, bounds=(bounds.fsync(w.dir, FLUSHES),), goal="an idle cycle of two disks takes <= 50 ms",
               reached=ours.median() <= IDLE_S)
    judge(figure, "an idle cycle takes <= 1/30 of virtnbdbackup incremental", ours, inc, 1 / 30)


def measure_in(figure, w):
    image, raw = guest(w, SIZE >> 20, fill=True)
    enable(w, 1000)
    w.cli("A", "start", GUEST)
    w.points_grow(1)
    os.rename(raw, os.path.join(w.dir, "old.raw"))
    backup = Virtnbdbackup(os.path.join(w.dir, "backup"))
    backup.run(Samples("virtnbdbackup, full"))
    dirty(figure, w, image, backup)
    idle(figure, w, backup)
    figure.note("CPU seconds are those of both daemons, of rsync, and of virtnbdbackup; QEMU's, which serves both, are not known apart.")


def measure(figure):
    in_world(figure, measure_in)
