#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""verify_test.py WRITER VERIFY: what the writer leaves is whole, and verify names every kind of damage."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

WRITER, VERIFY = (os.path.abspath(p) for p in sys.argv[1:3])
BLOCK = 4096


class Records(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="vmr-verify.")
        self.addCleanup(shutil.rmtree, self.top)
        self.disks = [os.path.join(self.top, name) for name in ("vda", "vdb")]
        for disk in self.disks:
            with open(disk, "wb") as f:
                f.truncate(4 << 20)

    def write(self, at_least, slots=0, spread=0):
        """Lets the writer write until it is past a record, then kills it in full flight.  Returns where it began."""
        writer = subprocess.Popen([WRITER, "max", str(slots), str(spread), *self.disks], stdout=subprocess.PIPE, text=True)
        try:
            begin = int(writer.stdout.readline().split()[3])
            while self.highest() < at_least:
                self.assertIsNone(writer.poll())
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            writer.stdout.close()
        return begin

    def highest(self):
        return self.verify()[1]["disks"][1]["last"]

    def verify(self, *images, options=()):
        done = subprocess.run([VERIFY, "--json", *options, *(images or self.disks)], stdout=subprocess.PIPE, text=True)
        return done.returncode, json.loads(done.stdout)

    def whole(self):
        status, said = self.verify()
        self.assertEqual((status, said["ok"]), (0, True), said)
        return said["records"]

    def broken(self, expected, *images, options=()):
        status, said = self.verify(*images, options=options)
        self.assertEqual((status, said["ok"]), (1, False))
        self.assertIn(expected, json.dumps(said))
        return said

    def damage(self, disk, block, data):
        with open(self.disks[disk], "r+b") as f:
            f.seek(block * BLOCK)
            f.write(data)

    def test_empty(self):
        self.assertEqual(self.whole(), 0)

    def test_goes_on(self):
        self.assertEqual(self.write(20), 1)
        records = self.whole()
        self.assertGreaterEqual(records, 20)
        self.assertEqual(self.write(records + 20), records + 1)
        self.assertGreaterEqual(self.whole(), records + 20)

    def test_ring(self):
        self.write(60, slots=16, spread=1)
        records = self.whole()
        self.assertEqual(self.write(records + 40, slots=16, spread=1), records + 1)
        self.assertGreaterEqual(self.whole(), 100)

    def test_spread_fills_every_slot(self):
        self.write(1023, spread=1)
        self.assertEqual(self.verify()[1]["disks"][0]["slots"], 1023)
        self.whole()

    def test_tells_how_long(self):
        """Every write is in the line of its second, at a time that it can have taken."""
        started = time.monotonic()
        writer = subprocess.Popen([WRITER, "max", "0", "1", *self.disks], stdout=subprocess.PIPE, text=True)
        self.addCleanup(writer.stdout.close)
        self.addCleanup(writer.wait)
        self.addCleanup(writer.kill)
        begin, told = int(writer.stdout.readline().split()[3]), writer.stdout.readline().split()
        word, unit, *buckets = writer.stdout.readline().split()
        self.assertEqual((word, unit), ("WRITER", "us"))
        counts = {int(us): int(count) for us, count in (b.split(":") for b in buckets)}
        self.assertEqual(sum(counts.values()), 2 * (int(told[2].rstrip(",")) - begin + 1))
        self.assertEqual(list(counts), sorted(counts))
        self.assertLessEqual(sum(us * count for us, count in counts.items()), (time.monotonic() - started) * 1e6)

    def test_gap(self):
        self.write(30)
        self.damage(0, 10, bytes(BLOCK))
        said = self.broken("record 10 is missing")
        self.assertEqual(said["records"], 9)

    def test_gap_in_ring(self):
        self.write(40, slots=16)
        with open(self.disks[0], "rb") as f:
            f.seek(5 * BLOCK)
            before = f.read(BLOCK)
        self.write(self.highest() + 40, slots=16)
        self.damage(0, 5, before)
        self.broken("is missing (its slot holds")

    def test_torn(self):
        self.write(30)
        self.damage(1, 7, b"\0" * 512)
        self.broken("block 7 is neither a record nor empty")
        self.write_torn_tail()

    def write_torn_tail(self):
        self.damage(1, 8, b"")
        with open(self.disks[1], "r+b") as f:
            f.seek(8 * BLOCK + 2048)
            f.write(b"\0" * 512)
        self.damage(1, 7, bytes(BLOCK))
        self.broken("block 8 holds a torn record")

    def test_foreign(self):
        self.write(30)
        self.damage(0, 900, b"x" * BLOCK)
        self.broken("block 900 is neither")

    def test_misplaced(self):
        self.write(30)
        with open(self.disks[0], "rb") as f:
            f.seek(3 * BLOCK)
            third = f.read(BLOCK)
        self.damage(0, 900, third)
        self.broken("which belongs elsewhere")

    def test_disks_of_different_instants(self):
        self.write(30)
        old = self.disks[1] + ".old"
        shutil.copy(self.disks[1], old)
        self.write(self.highest() + 30)
        self.broken("different instants", self.disks[0], old)
        self.broken("holds a torn record", *reversed(self.disks))

    def test_head(self):
        self.write(30)
        self.damage(0, 0, b"x")
        self.broken("not the writer's head")
        self.damage(0, 0, bytes(BLOCK))
        self.broken("the head in block 0 is missing")

    @unittest.skipUnless(shutil.which("qemu-img"), "qemu-img is not installed")
    def test_qcow2_with_backing(self):
        self.write(30)
        records = self.whole()
        images = []
        for disk in self.disks:
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", disk, "-F", "raw", disk + ".qcow2"], check=True)
            images.append(disk + ".qcow2")
        self.assertEqual(self.verify(*images)[1]["records"], records)
        self.assertEqual(sorted(os.listdir(self.top)), ["vda", "vda.qcow2", "vdb", "vdb.qcow2"])

    def test_one_disk(self):
        self.write(30)
        self.assertEqual(self.verify(self.disks[1], options=("--disk", "1"))[0], 0)

    def test_unreadable(self):
        done = subprocess.run([VERIFY, self.top + "/absent"], stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
