# SPDX-License-Identifier: LGPL-2.1-or-later
"""InitiateFailover to any of 2,880 points of 1,000 extents each: the job as the API reports it, and the command line around it"""
import glob
import json
import os
import re
import statistics
import subprocess

from harness import RUNS, Samples, built, quantity
from lab import CLI, in_world, lab_path

NEEDS = {"lab"}
LONG = True
POINTS, EXTENTS = 2880, 1000
ROUNDS = 3 * RUNS  # each is short, and what is compared is 20 %
GUESTS = (("small", 10), ("large", 100))
PLACES = ("oldest", "middle", "newest")
ONE_SECOND = "InitiateFailover to any of 2,880 points x 1,000 extents, 100 GiB: job complete <= 1 s"
SAME = "InitiateFailover takes the same time +-20 %: newest, oldest, 10 GiB, 100 GiB"
INTERVAL = re.compile(r"P(\d+)DT(\d+)H(\d+)M([\d.]+)S")  # ElapsedTime


def points(w, name):
    return [p["id"] for p in json.loads(w.cli("B", "points", name, "--json"))]


def protect(w, name, gib):
    """A guest that is off, with one disk of that size, and its first point on B."""
    w.lab("guest-define", "A", name, "--writer", "0", "--disks", "1", "--size", str(gib << 10))
    w.cli("A", "enable", name, "--to", "hostb.lab", "--interval-ms", "30000", "--history", "4", "--keep-every", "7d")
    w.cli("A", "start", name)
    if not w.until(lambda: points(w, name), 300):
        raise RuntimeError(f"guest '{name}' has no recovery point")


def store_of(name):
    """The guest's folder on B."""
    for path in glob.glob(lab_path("B/vmreplica/replicas/**/store.json"), recursive=True):
        with open(path, encoding="utf-8") as f:
            if json.load(f)["name"] == name:
                return os.path.dirname(path)
    raise RuntimeError(f"host B has no store of guest '{name}'")


def fill(store):
    """A day of points, put into the store while no daemon has it open, and the indexes that a daemon saves while points come."""
    for what in (("append", store, str(POINTS), str(EXTENTS)), ("index", store)):
        subprocess.run([built("bench/view"), *what], check=True, stdout=subprocess.DEVNULL)
    os.sync()


def seconds(interval):
    days, hours, minutes, rest = INTERVAL.fullmatch(interval).groups()
    return int(days) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(rest)


def fail_over(w, name, point, job, cli):
    """One failover and its end: seconds of the job to one of the samples, of the command line to the other."""
    out = w.on("B", "sh", "-c", 'a=$(date +%s%N); "$@" 2>/dev/null; echo $(($(date +%s%N) - a))', "sh", CLI, "failover", name, "--point", point,
               "--json")
    answer, took = out.rstrip().rsplit("\n", 1)
    done = json.loads(w.cli("B", "jobs", json.loads(answer)["job"], "--json"))
    w.cli("B", "revert", name)
    job.add(seconds(done["ElapsedTime"]))
    cli.add(int(took) / 1e9)


def measure_in(figure, w):
    w.connect()
    for name, gib in GUESTS:
        protect(w, name, gib)
    for host in ("A", "B"):
        w.lab("daemon", host, "stop")
    for name, _ in GUESTS:
        fill(store_of(name))
    w.lab("daemon", "B", "start")
    cases = []
    for name, gib in GUESTS:
        ids = points(w, name)[-POINTS:]
        for place, point in zip(PLACES, (ids[0], ids[len(ids) // 2], ids[-1])):
            text = f"{place} of {len(ids)} points x 1,000 extents, {gib} GiB"
            cases.append((name, gib, point, Samples("job, " + text), Samples("command line, " + text)))
    for _ in range(ROUNDS):
        for name, _, point, job, cli in cases:
            fail_over(w, name, point, job, cli)
    report(figure, cases)


def report(figure, cases):
    for _, gib, _, job, _ in cases:
        figure.row(job, goal=ONE_SECOND if gib == 100 else None, reached=job.median() <= 1)
    for *_, cli in cases:
        figure.row(cli)
    medians = [job.median() for *_, job, _ in cases]
    middle = statistics.mean(medians)
    figure.goal(SAME, f"{quantity(min(medians), 's')} to {quantity(max(medians), 's')}: {100 * (min(medians) / middle - 1):+.0f} % to "
                f"{100 * (max(medians) / middle - 1):+.0f} % of the mean", all(abs(m / middle - 1) <= 0.2 for m in medians))
    figure.note("Both guests are replicas of one host; runs to their points were in turn, with a revert after each. The guests are off, and the "
                "primary's daemon is gone. The first point of each came from its primary, the others from the store's own writer while the replica's daemon was down.")


def measure(figure):
    in_world(figure, measure_in)
