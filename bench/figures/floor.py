# SPDX-License-Identifier: LGPL-2.1-or-later
"""The shortest cycles: a second and 250 ms, an idle guest and one that writes as fast as it can"""
import os

from harness import MIB, Samples, quantity
from lab import GUEST, Cycles, daemon_cpu, daemon_pids, enable, forget, guest, in_world

NEEDS = {"lab"}
LONG = True
HELD = int(os.environ.get("BENCH_FLOOR_CYCLES", "1000"))  # of each kind, after a third as many to warm up: 50 minutes in all
LATE_S = 0.1


def bitmaps(w):
    """That QEMU keeps for the guest's disks, all bitmaps."""
    return w.on("A", "virsh", "-q", "qemu-monitor-command", GUEST, '{"execute":"query-block"}').count('"granularity"')


def state(w):
    """What must not grow: descriptors and memory of both daemons, bitmaps in QEMU, logs that wait."""
    out = {"bitmaps": bitmaps(w)}
    for host, pid in zip("AB", daemon_pids()):
        out[f"descriptors {host}"] = len(os.listdir(f"/proc/{pid}/fd"))
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            out[f"RSS {host}, MiB"] = next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) * 1024 / MIB
    return out


def grown(before, after):
    """Names of what has grown by more than a cycle under way explains."""
    return [n for n in after if after[n] > before[n] + (8 if n.startswith("desc") else 4 if n == "bitmaps" else 0.1 * before[n] + 4)]


def p99(values):
    return sorted(values)[len(values) * 99 // 100]


def hold(figure, w, interval_ms, name):
    """HELD cycles; a third as many before that, so that caches have their size."""
    long_enough = HELD * interval_ms // 1000 * 2 + 60
    w.until(lambda c=Cycles(): len(c.late()) >= HELD // 3, long_enough)
    before, missed, cpu, cycles = state(w), w.status("A")["missed"], daemon_cpu(), Cycles()
    w.until(lambda: len(cycles.late()) >= HELD, long_enough)
    late, lengths = cycles.late(), cycles.lengths()
    cpu, missed, after = daemon_cpu() - cpu, w.status("A")["missed"] - missed, state(w)
    length = Samples("")
    length.values = lengths
    big = grown(before, after)
    row = [name, f"{len(late)}", f"{missed}", f"{quantity(sorted(late)[len(late) // 2], 's')} / {quantity(p99(late), 's')}",
           f"{quantity(length.median(), 's')} / {quantity(p99(lengths), 's')}", quantity(cpu / len(late), "s"),
           ", ".join(f"{n} {before[n]:.0f} -> {after[n]:.0f}" for n in after)]
    figure.goal(f"{name}: each begins within 0.1 s (p99), none missed", f"p99 {quantity(p99(late), 's')}, {missed} missed of {len(late)}",
                p99(late) < LATE_S and missed == 0)
    figure.goal("descriptors, bitmaps and memory do not grow over these cycles", ", ".join(big) or "nothing grew", not big)
    return row


def measure_in(figure, w, writer, rows):
    guest(w, 512, writer=writer)
    for interval_ms in (1000, 250) if writer == "0" else (1000,):
        enable(w, interval_ms)
        w.cli("A", "start", GUEST)
        name = f"{interval_ms} ms, {'idle guest' if writer == '0' else 'guest that writes as fast as it can'}"
        rows.append(hold(figure, w, interval_ms, name))
        forget(w)
    figure.result["tables"] = []
    figure.table("Two disks, two hosts; median / p99", ["cycles", "cycles", "missed", "begin after due", "until durable",
                 "CPU each, both daemons", "at first -> at last"], rows)


def measure(figure):
    rows = []
    for writer in ("0", "max"):
        in_world(figure, measure_in, writer, rows)
        rows[:] = figure.result["tables"][0]["rows"]
