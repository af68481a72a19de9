# SPDX-License-Identifier: LGPL-2.1-or-later
"""The management API: Get and enumerations, plain and TLS"""
import os
import re
import subprocess

from harness import TOP, built

NEEDS = set()
LONG = True
LINE = re.compile(r"^\s*(\d+) guests  (\w+)\s+(\d+) conn\.  (.+?)\s+([\d.]+) /s\s+median\s+([\d.]+) ms\s+p99\s+([\d.]+) ms", re.M)


def measure(figure):
    built("bench/apiload")
    out = subprocess.run([os.path.join(TOP, "bench/api")], check=True, text=True, stdout=subprocess.PIPE).stdout
    rows = [[f"{int(m[1]):,}", m[2], m[3], m[4], f"{float(m[5]):,.0f}", m[6], m[7]] for m in LINE.finditer(out)]
    figure.table("bench/api: libvirt's test driver, kept connections", ["guests", "door", "connections", "what", "per second", "median, ms",
                                                                    "p99, ms"], rows)
