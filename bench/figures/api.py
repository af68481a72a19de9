# SPDX-License-Identifier: LGPL-2.1-or-later
"""The management API: Get and enumerations, plain and TLS"""
import os
import re
import subprocess

from harness import TOP, built

NEEDS = set()
LONG = True
LINE = re.compile(r"^\s*(\d+) guests  (\w+)\s+(\d+) conn\.  (.+?)\s+([\d.]+) /s\s+median\s+([\d.]+) ms\s+p99\s+([\d.]+) ms", re.M)
WHOLE = re.compile(r"^\s*1000 guests  plain .*all by WQL.*?(\d+) instances, (\d+) KiB, (\d+) round trips", re.M)
MEMORY = re.compile(r"^\s*(\d+) guests  VmHWM:\s+(\d+) kB", re.M)
# Column of the table: door, connections and what bench/api calls it.
COLUMNS = {"Get, 1 connection": ("plain", "1", "Get"), "Get, 4 connections": ("plain", "4", "Get"), "Get over TLS, 4": ("tls", "4", "Get"),
           "one guest by WQL": ("plain", "1", "one by WQL"), "its replication settings": ("plain", "1", "its settings"),
           "its hardware (4 instances)": ("plain", "1", "its hardware"), "all guests by WQL": ("plain", "1", "all by WQL"),
           "all over TLS": ("tls", "1", "all by WQL")}


def goals(found):
    """`found`: (guests, door, connections, what) -> (per second, median ms, p99 ms)."""
    gets, alone = min(found["1000", "plain", c, "Get"][0] for c in "14"), found["1000", "plain", "1", "Get"][0]
    median, late = found["1000", "plain", "1", "all by WQL"][1:]
    yield "API: >= 5,000 Get a second with 1,000 guests", f"{gets:,.0f} (the fewer of 1 and 4 connections)", gets >= 5000
    yield "API: all of 1,000 guests in <= 100 ms", f"{median:.1f} ms (p99 {late:.1f} ms)", median <= 100
    yield ("API: >= 10 x OMI's server at one connection", f"{alone:,.0f} Get a second; OMI is not in Debian, so no peer stands beside it", None)


def cell(rate, median, late):
    return f"{rate:,.0f} /s; {median:.2f} ms ({late:.2f})"


def measure(figure):
    built("bench/apiload")
    out = subprocess.run([os.path.join(TOP, "bench/api")], check=True, text=True, stdout=subprocess.PIPE).stdout
    found = {(m[1], m[2], m[3], m[4]): (float(m[5]), float(m[6]), float(m[7])) for m in LINE.finditer(out)}
    for goal, measured, reached in goals(found):
        figure.goal(goal, measured, reached)
    counts = sorted({key[0] for key in found}, key=int)
    rows = [[f"{int(n):,}", *(cell(*found[(n, *column)]) for column in COLUMNS.values())] for n in counts]
    figure.table("Requests per second; median and, in brackets, 99th percentile of one", ["guests", *COLUMNS], rows)
    instances, kib, trips = (int(n) for n in WHOLE.search(out).groups())
    peak = max(int(m[2]) for m in MEMORY.finditer(out))
    figure.note(f"All {instances:,} guests are {kib / 1024:.1f} MiB of XML in {trips} round trips; the daemon's memory peaks at {peak / 1000:.0f} MB.")
