# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the figures of bench/figures share: timing with CPU seconds, samples, and the file that a figure leaves behind.

A figure is a module with a docstring (its title), NEEDS (names of programs, and "lab", "root"), LONG (left out without --all) and
measure(figure).  It adds rows and curves; its result is bench/results/NAME.json, from which bench/document.py writes tables and plots.
"""
import atexit
import contextlib
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
BUILD = os.environ.setdefault("VMR_BUILD", os.path.join(TOP, "build"))
RUNS = int(os.environ.get("BENCH_RUNS", "5"))
RESULTS = os.path.join(TOP, "bench/results")
CPUACCT = "/sys/fs/cgroup/cpuacct"
MIB, GIB, PAGE = 1 << 20, 1 << 30, 4096
UNITS = {"B": (1, ("B", "KiB", "MiB", "GiB"), 1024), "s": (1e-6, ("us", "ms", "s"), 1000)}


class Account:
    """CPU seconds of everything that this process starts from now on, also of daemons that nobody waits for: a control group's account, or
    what is known of waited children where control groups cannot be made (`whole` says which)."""

    def __init__(self):
        self.group, self.whole = None, False
        with contextlib.suppress(OSError):
            self.group = tempfile.mkdtemp(prefix="vmr-bench-", dir=CPUACCT)
            self.move(os.getpid(), self.group)
            self.whole = True

    @staticmethod
    def move(pid, group):
        with open(os.path.join(group, "cgroup.procs"), "w", encoding="ascii") as f:
            f.write(str(pid))

    def seconds(self):
        if self.whole:
            with open(os.path.join(self.group, "cpuacct.usage"), encoding="ascii") as f:
                return int(f.read()) / 1e9
        return cpu_of_children()

    def close(self):
        with contextlib.suppress(OSError, TypeError):
            self.move(os.getpid(), CPUACCT)
            os.rmdir(self.group)


ACCOUNT = None


def cpu_seconds():
    """Of children (and, where they are accounted in a group, of this process too: it mostly waits)."""
    global ACCOUNT
    if ACCOUNT is None:
        ACCOUNT = Account()
        atexit.register(ACCOUNT.close)
    return ACCOUNT.seconds()


def cpu_of_children():
    """CPU seconds of what this process has waited for, and of what that has waited for; not of daemons."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu_of(*pids):
    """CPU seconds of running processes so far."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


class Samples:
    """Wall and CPU seconds (or other values) of repeated runs of one thing."""

    def __init__(self, name, unit="s"):
        self.name, self.unit, self.values, self.cpu = name, unit, [], []

    def add(self, value, cpu=None):
        self.values.append(value)
        if cpu is not None:
            self.cpu.append(cpu)

    def time(self, function, *args):
        """Runs it once, adds wall and CPU seconds, returns what it returned."""
        before, begun = cpu_seconds(), time.monotonic()
        value = function(*args)
        self.add(time.monotonic() - begun, cpu_seconds() - before)
        return value

    def run(self, *argv, **how):
        return self.time(lambda: subprocess.run(argv, check=True, stdout=subprocess.PIPE, **how))

    def median(self):
        return statistics.median(self.values)

    def json(self):
        out = {"name": self.name, "unit": self.unit, **spread(self.values)}
        if self.cpu:
            out["cpu_s"] = statistics.median(self.cpu)
        return out


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def beside(ours, other):
    """How many times the other: pairs where each run of ours had its own, else of the medians."""
    if len(ours.values) == len(other.values):
        return spread([a / b for a, b in zip(ours.values, other.values) if b])
    return spread([ours.median() / other.median()])


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def quantity(value, unit):
    """1536, B -> 1.5 KiB"""
    if unit not in UNITS:
        return f"{number(value)} {unit}".strip()
    scale, names, step = UNITS[unit]
    value, names = value / scale, list(names)
    while value >= step and len(names) > 1:
        value /= step
        names.pop(0)
    return f"{number(value)} {names[0]}"


class Figure:
    def __init__(self, name, title):
        self.name, self.result = name, {"title": title, "machine": machine(), "load_before": os.getloadavg(), "rows": [], "curves": [],
                                        "notes": [], "goals": []}

    def row(self, ours, *peers, bounds=(), goal=None, reached=None):
        """Our samples beside those of each peer, which were taken in turn; `bounds` are what the machine can do at best (bounds.py)."""
        row = {"ours": ours.json(), "goal": goal, "reached": reached}
        row["peers"] = [{**p.json(), "ratio": beside(ours, p)} for p in peers]
        row["bounds"] = [{**b.json(), **({"ratio": beside(ours, b)} if b.unit == ours.unit else {})} for b in bounds]
        self.result["rows"].append(row)
        print(f"{self.name}: " + "; ".join(said(s) for s in (row["ours"], *row["peers"], *row["bounds"])), flush=True)
        if goal:
            times = f", {number(row['peers'][0]['ratio']['median'])} x {peers[0].name}" if peers else ""
            self.goal(goal, f"{ours.name}: {quantity(ours.median(), ours.unit)}{times}", reached)

    def goal(self, goal, measured, reached):
        """A line of the table of goals at the top of docs/benchmarks.md; reached None: the run does not show it."""
        self.result["goals"].append({"goal": goal, "measured": measured, "reached": reached})

    def curve(self, title, x, y, **series):
        """Lines over one axis: series=[(x, y), ...]."""
        self.result["curves"].append({"title": title, "x": x, "y": y, "series": series})
        for name, points in series.items():
            print(f"{self.name}: {title}, {name}: " + ", ".join(f"{a:g}: {b:.4g}" for a, b in points), flush=True)

    def table(self, title, head, rows):
        """What is no comparison; cells are texts."""
        self.result.setdefault("tables", []).append({"title": title, "head": head, "rows": rows})
        print(f"{self.name}: {title}: {' | '.join(head)}")
        for row in rows:
            print("    " + " | ".join(row), flush=True)

    def note(self, text):
        self.result["notes"].append(text)
        print(f"{self.name}: {text}", flush=True)

    def save(self, folder=RESULTS):
        os.makedirs(folder, exist_ok=True)
        self.result["load_after"] = os.getloadavg()
        self.result["when"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        with open(os.path.join(folder, self.name + ".json"), "w", encoding="utf-8") as f:
            json.dump(self.result, f, indent=1)
            f.write("\n")


def said(s):
    cpu = f", CPU {s['cpu_s']:.2f} s" if "cpu_s" in s else ""
    ratio = f", ratio {s['ratio']['median']:.3f}" if "ratio" in s else ""
    return f"{s['name']} {s['median']:.4g} {s['unit']} ({s['min']:.4g} to {s['max']:.4g}, n={s['n']}{cpu}{ratio})"


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cpus": os.cpu_count(), "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB, 1),
            "kernel": platform.release()}


def lacks(needs):
    """What of a figure's needs this machine does not have."""
    missing = [n for n in needs if n not in ("lab", "root") and not shutil.which(n)]
    if os.geteuid() != 0 and {"lab", "root"} & set(needs):
        missing.append("root")
    return missing


def built(target):
    """A program of bench/ that is built when it is asked for."""
    subprocess.run(["ninja", "-C", BUILD, target], check=True, stdout=subprocess.DEVNULL)
    return os.path.join(BUILD, target)


@contextlib.contextmanager
def folder(name):
    """On the disk that holds BENCH_DIR (default: /var/tmp), gone afterwards."""
    path = tempfile.mkdtemp(prefix=f"vmr-bench-{name}-", dir=os.environ.get("BENCH_DIR", "/var/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.01)
    return value


@contextlib.contextmanager
def served(argv, socket):
    """A server that listens on a Unix socket while the block runs; argv of qemu-nbd or nbdkit in the foreground."""
    server = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        until(lambda: os.path.exists(socket) or server.poll() is not None)
        if server.poll() is not None:
            raise RuntimeError(f"{argv[0]} ended with status {server.returncode}")
        yield server.pid
    finally:
        server.terminate()
        server.wait()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(socket)
