# SPDX-License-Identifier: LGPL-2.1-or-later
"""After a disaster: the old primary becomes the replica; 1 % of 1 GiB rewritten on both hosts since the last point"""
import datetime
import filecmp
import os
import re
import signal
import subprocess

from harness import MIB, PAGE, RUNS, Samples
from lab import GUEST, cable_bytes, compressed, credentials, daemon_cpu, enable, guest, in_world, lab_path, random_pages, write_pages

NEEDS = {"lab", "rsync", "zstd"}
LONG = True
SIZE = int(os.environ.get("BENCH_IMAGE_MIB", "1024")) * MIB
REPLICATING, CRITICAL = 3, 8  # ReplicationState
STEPS = re.compile(r"^(\S+)Z .*(?:the initial copy begins|the replica acknowledged the first whole log)\.", re.M)
STATS = re.compile(r"Total bytes (?:sent|received): ([\d,]+)")


class Disk:
    """What vda must hold: a raw file, rewritten as the guest's disk is."""

    def __init__(self, path):
        self.path = path

    def put(self, pages):
        with open(self.path, "r+b") as f:
            for at, page in pages.items():
                f.seek(at * PAGE)
                f.write(page)

    def content(self, pages):
        with open(self.path, "rb") as f:
            return b"".join(os.pread(f.fileno(), PAGE, at * PAGE) for at in sorted(pages))

    def copy(self, path):
        subprocess.run(["cp", "--sparse=always", self.path, path], check=True)
        return Disk(path)


def must(w, what, condition, seconds):
    if not w.until(condition, seconds):
        raise RuntimeError(f"not within {seconds} s: {what}")


def boots(w, host):
    return w.lab("console", host, GUEST, check=False).count("GUEST-UP")


def rewrite(w, host):
    pages = random_pages(SIZE // 100 // PAGE, SIZE)
    write_pages(w, host, pages)
    return pages


def disaster(w, old, new):
    """The host dies with pages that it has not sent, the other one takes over and has others rewritten.  Both hosts' pages."""
    w.cli(old, "suspend", GUEST)
    lost = rewrite(w, old)
    pid = int(w.status(old)["pid"])
    w.lab("daemon", old, "kill")
    os.kill(pid, signal.SIGKILL)
    before = boots(w, new)
    w.cli(new, "failover", GUEST, "--start")
    must(w, "the guest is up where it was failed over to", lambda: boots(w, new) > before, 120)
    won = rewrite(w, new)
    w.lab("daemon", old, "start")
    must(w, "the old primary knows that it was superseded", lambda: w.status(old)["state"] == CRITICAL, 120)
    return lost, won


def reprotect(w, old, new):
    w.cli(new, "reprotect", GUEST, *credentials(new.lower()))
    must(w, "replication goes on the other way", lambda: w.status(new)["state"] == w.status(old)["state"] == REPLICATING and w.points(old),
         300)


def sending_s(new):
    """Seconds from StartReplication to Replicating, as the new primary's log has them."""
    with open(lab_path(new, "vmreplicad.log"), encoding="utf-8", errors="replace") as f:
        begun, done = (datetime.datetime.fromisoformat(t) for t in STEPS.findall(f.read())[-2:])
    return (done - begun).total_seconds()


def check_equal(w, old, new, disk):
    """By the daemons' hashes of all disks, and the point byte by byte with what was written here."""
    w.cli(new, "compare", GUEST)
    path = os.path.join(w.dir, "point.raw")
    w.cli(old, "point", "export", GUEST, w.points(old)[-1]["id"], "--disks", "vda", "--output", path)
    if not filecmp.cmp(path, disk.path, shallow=False):
        raise RuntimeError("the new replica's point is not what its primary's disk holds")
    os.unlink(path)


def rsync(samples, sent, disk, stale, *how):
    copy = stale.copy(stale.path + ".copy")
    done = samples.run("rsync", "-I", "--inplace", "--no-whole-file", "--stats", *how, disk.path, copy.path, text=True)
    sent.add(sum(int(n.replace(",", "")) for n in STATS.findall(done.stdout)))
    os.unlink(copy.path)


class Measured:
    """Bytes are those of the cable: the statistics of a relationship do not count the log that a running guest's disks are read into."""

    def __init__(self):
        self.ours, self.wire = Samples("reprotect, until both hosts are Replicating"), Samples("reprotect, both directions", "B")
        self.sending = Samples("of that: asking for hashes, reading both disks, sending what differs")
        self.log, self.hashes = Samples("to the new replica: what differs", "B"), Samples("from it: what it has", "B")
        self.least = Samples("zstd -1 of the pages that either host rewrote", "B")
        self.rsync, self.rsync_bytes = Samples("rsync -I --inplace --no-whole-file of the image"), Samples("rsync, both directions", "B")
        self.packed, self.packed_bytes = Samples("the same, packed with zstd -1"), Samples("rsync, packed, both directions", "B")
        self.full, self.data = Samples("initial replication, both directions", "B"), Samples("data of the image, as nbdcopy sends it", "B")

    def round(self, w, old, new, disk):
        lost, won = disaster(w, old, new)
        stale = disk.copy(disk.path + ".stale")
        stale.put(lost)
        disk.put(won)
        self.least.add(compressed(disk.content(lost.keys() | won.keys())))
        self.ours_now(w, old, new)
        check_equal(w, old, new, disk)
        self.data.add(os.stat(disk.path).st_blocks * 512)
        rsync(self.rsync, self.rsync_bytes, disk, stale)
        rsync(self.packed, self.packed_bytes, disk, stale, "-z", "--compress-choice=zstd", "--compress-level=1")
        os.unlink(stale.path)

    def ours_now(self, w, old, new):
        before, cpu = cable_bytes(w), daemon_cpu()
        self.ours.time(reprotect, w, old, new)
        self.ours.cpu[-1] = daemon_cpu() - cpu
        sent = [now - then for then, now in zip(before, cable_bytes(w))]
        self.sending.add(sending_s(new))
        forth, back = sent if new == "A" else reversed(sent)
        self.log.add(forth)
        self.hashes.add(back)
        self.wire.add(forth + back)


def first_copy(w, m):
    before = sum(cable_bytes(w))
    w.cli("A", "start", GUEST)
    must(w, "the first copy is made", lambda: w.status("A")["state"] == REPLICATING and w.points_grow(1), 300)
    m.full.add(sum(cable_bytes(w)) - before)


def measure_in(figure, w):
    m = Measured()
    _, raw = guest(w, SIZE >> 20, fill=True)
    w.befriend()
    enable(w, 1000)
    first_copy(w, m)
    for i in range(RUNS):
        m.round(w, *(("A", "B") if i % 2 == 0 else ("B", "A")), Disk(raw))
    figure.row(m.wire, m.rsync_bytes, m.packed_bytes, m.full, m.data, bounds=(m.least,))
    figure.row(m.log, bounds=(m.least,))
    figure.row(m.hashes)
    figure.row(m.ours, m.rsync, m.packed)
    figure.row(m.sending, m.rsync, m.packed)
    figure.note("The guest has a second disk as large, which is empty. At the end of each run both hosts' disks were equal: compared by the "
                "daemons, and the new replica's point byte by byte with what had been written.")
    figure.note("CPU seconds are those of both daemons and of rsync; QEMU's are not known apart.")


def measure(figure):
    in_world(figure, measure_in)
