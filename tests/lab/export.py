#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The first copy travels in a folder: exported on A with the guest running, imported on B; then cycles bring the residue."""
import os
import shutil

from world import GUEST, World

with World("export") as w:
    w.connect()
    w.lab("guest-define", "A", GUEST, "--writer", "100", "--start")
    w.until(lambda: "WRITER resumes" in w.lab("console", "A", GUEST))
    w.cli("A", "enable", GUEST, "--to", "hostb.lab", "--interval-ms", "1000", "--history", "4", "--keep-every", "1h")
    usb = os.path.join(w.dir, "usb")
    os.mkdir(usb)
    w.cli("A", "start", GUEST, "--export", usb)
    w.check("A and B wait for the import (2)", w.status("A")["state"] == 2 and w.status("B")["state"] == 2)

    (folder,) = os.listdir(usb)
    folder = os.path.join(usb, folder)
    last = os.path.join(folder, sorted(os.listdir(folder))[-1])
    shutil.move(last, w.dir)
    code, words = w.status_of("B", "import", GUEST, usb)
    w.check("a folder without its end is refused", code == 12 and "has no end" in words, words)
    shutil.move(os.path.join(w.dir, os.path.basename(last)), last)

    w.cli("B", "import", GUEST, usb)
    w.check("both replicate (3)", w.until(lambda: w.status("A")["state"] == 3 and w.status("B")["state"] == 3))
    w.check("points appear", w.points_grow(2))
    w.check("the residue is there", w.caught_up())
    sent = int(w.status("A")["wire_bytes"])
    w.check("and nothing else travelled", sent < 64 << 20, f"{sent} bytes")
