# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a cycle and a store cost as things grow: dirty data, size of the disk, points, guests, days"""
import os
import statistics
import subprocess

from harness import MIB, PAGE, built, folder, number
from figures.fleet import fleet

NEEDS = {"nbdkit"}
LONG = True
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
DIRTY = (0, 100, 1000, 5000, 20000)   # pages of 4 KiB in each cycle
DISKS_GIB = (1, 10, 100, 1000)
POINTS = (10, 100, 1000, 2880)
GUESTS = (1, 10, 100, 300)
DAYS = (1, 2, 4, 8)


def cycle(*how, seconds=4):
    """Medians of runs: ms until durable, CPU ms of both hosts, bytes on the wire."""
    runs = []
    for _ in range(RUNS):
        with folder("growth") as top:
            r = fleet(top, *how, seconds=seconds)
        cpu = (r["primary"]["cpu_percent"] + r["replica"]["cpu_percent"]) / 100 * seconds / r["cycles"] * 1000
        runs.append((r["durable_ms"], cpu, r["wire_bytes"]))
    return [statistics.median(column) for column in zip(*runs)]


def along(figure, title, axis, cases):
    """A plot of time and CPU; cases: [(x, arguments of cycle), ...]; (x, bytes) of each."""
    wall, cpu, size = [], [], []
    for x, how in cases:
        values = cycle(*how)
        for line, value in zip((wall, cpu, size), values):
            line.append((x, value))
    figure.curve(title, axis, "ms per cycle", until_durable=wall, CPU_of_both_hosts=cpu)
    return size


def rate(points):
    """Per unit of x, from the first to the last."""
    return (points[-1][1] - points[0][1]) / (points[-1][0] - points[0][0])


def received(logs):
    """ms of wall and CPU that one more point costs the replica that has so many."""
    with folder("growth") as top:
        path = os.path.join(top, "store")
        subprocess.run([built("bench/view"), "points", path, str(logs), "100", "4"], check=True)
        out = subprocess.run([built("bench/view"), "receive", path, "20", "100"], check=True, text=True, stdout=subprocess.PIPE).stdout
    return [statistics.median(column) for column in zip(*([float(n) for n in line.split()] for line in out.splitlines()))]


def kept(days):
    """Of the last day: points, MiB of the base and of the logs, CPU s of receiving and of merging."""
    with folder("growth") as top:
        out = subprocess.run([built("bench/days"), top, str(days + 2), "256", "256", f"all for 1h, every 1h for {days}d"], check=True,
                             text=True, stdout=subprocess.PIPE).stdout.split()
        base = subprocess.run(["du", "-sB1", os.path.join(top, "store/base")], check=True, text=True, stdout=subprocess.PIPE).stdout.split()
    return int(out[0]), int(base[0]) / MIB, (int(out[1]) - int(base[0])) / MIB, float(out[4]), float(out[5]), int(out[3]) / MIB


def stores(figure):
    rows, size, base, merging = [], [], [], []
    for days in DAYS:
        points, of_base, of_logs, receive, merge, raw = kept(days)
        numbers = (of_logs, of_logs / points, of_base, receive, merge)
        rows.append([f"{days}", f"{points}", *(number(n) for n in numbers)])
        for line, value in ((size, of_logs), (base, of_base), (merging, merge)):
            line.append((days, value))
    figure.curve("A store by days kept: points of the last hour, then hourly", "days", "MiB", points=size, base=base)
    figure.curve("Merging by days kept", "days", "CPU s for each day of the guest", merging=merging)
    figure.table(f"A guest that rewrites 256 random pages of 256 MiB every 5 minutes ({raw:.0f} MiB a day)",
                 ["days kept", "points", "MiB of points", "MiB each", "MiB of base", "CPU s a day: receiving", "merging"], rows)


def measure(figure):
    size = along(figure, "A cycle by dirty data, disk of 4 GiB", "pages of 4 KiB per cycle", [(n, (4096, 1, 1000, n)) for n in DIRTY])
    figure.curve("Bytes of a cycle by dirty data", "pages of 4 KiB per cycle", "MiB", on_the_wire=[(x, y / MIB) for x, y in size],
                 changed=[(x, x * PAGE / MIB) for x, _ in size])
    along(figure, "A cycle by size of the disk, 1,000 pages", "GiB", [(n, (n << 10, 1, 500, 1000)) for n in DISKS_GIB])
    along(figure, "A cycle by number of guests, 4 pages each, 2 s", "guests", [(n, (4, n, 2000, 4)) for n in GUESTS])
    wall, cpu = [], []
    for n in POINTS:
        for line, value in zip((wall, cpu), received(n)):
            line.append((n, value))
    figure.curve("One more point of 100 pages, by number of points in the store", "points", "ms on the replica", durable=wall, CPU=cpu)
    stores(figure)
    figure.note(f"Medians of {RUNS} runs of several cycles each (points: of 20; days: one run). Guests are synthetic (bench/fleet), half "
                "of each page is random; hosts are two processes.")
