# SPDX-License-Identifier: LGPL-2.1-or-later
"""The management API: Get and enumerations, plain and TLS"""
import os
import re
import subprocess

from harness import TOP, built

NEEDS = set()
LONG = True
LINE = re.compile(r"^\s*(\d+) guests  (\w+)\s+(\d+) conn\.  (.+?)\s+([\d.]+) /s\s+median\s+([\d.]+) ms\s+p99\s+([\d.]+) ms", re.M)


def goals(out):
    found = [m for m in LINE.finditer(out) if m[2] == "plain" and m[1] == "1000"]
    gets, whole = min(float(m[5]) for m in found if m[4] == "Get"), max(float(m[6]) for m in found if m[4] == "all by WQL")
    yield "API: >= 5,000 Get a second with 1,000 guests", f"{gets:,.0f} (the fewer of 1 and 4 connections)", gets >= 5000
    yield "API: all of 1,000 guests in <= 100 ms", f"{whole:.1f} ms", whole <= 100


def measure(figure):
    built("bench/apiload")
    out = subprocess.run([os.path.join(TOP, "bench/api")], check=True, text=True, stdout=subprocess.PIPE).stdout
    rows = [[f"{int(m[1]):,}", m[2], m[3], m[4], f"{float(m[5]):,.0f}", m[6], m[7]] for m in LINE.finditer(out)]
    for goal, measured, reached in goals(out):
        figure.goal(goal, measured, reached)
    figure.table("bench/api: libvirt's test driver, kept connections", ["guests", "door", "connections", "what", "per second", "median, ms",
                                                                    "p99, ms"], rows)
