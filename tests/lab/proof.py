#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Garbage in the files of a replica: it is found, said, not failed over to; a comparison sends the pages again, and points are whole."""
import glob
import os

from world import GUEST, World

PAGE = 4096


def store():
    return glob.glob(os.path.join(os.environ["LAB_DIR"], "B/vmreplica/replicas/vmreplica/*/"))[0]


def scribble(path, offset, length):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(os.urandom(length))


def needed_pages(w, wanted):
    """Pages of the first disk's base that the newest point reads as they are there."""
    pattern = os.path.join(w.dir, "newest-%t.raw")
    w.cli("B", "point", "export", GUEST, "latest", "--output", pattern, "--disks", "vda")
    found = []
    with open(os.path.join(store(), "base/disk-0.raw"), "rb") as base, open(pattern.replace("%t", "vda"), "rb") as newest:
        while len(found) < wanted:
            a, b = base.read(PAGE), newest.read(PAGE)
            if not a:
                break
            if a == b and any(a):
                found.append(base.tell() - PAGE)
    os.unlink(pattern.replace("%t", "vda"))
    return found


def verify_again(w, damage):
    """The daemon of B is away while its files are damaged, and begins to verify when it is back."""
    w.lab("daemon", "B", "stop")
    damage()
    if os.path.exists(store() + "scrub.json"):
        os.unlink(store() + "scrub.json")
    w.lab("daemon", "B", "start")


def warns(w, host, what, word):
    """Others may warn meanwhile: cycles were missed while B was away."""
    return any(i["id"] == what and i["severity"] == "Warning" and word in i["message"] for i in w.status(host)["issues"])


with World("proof") as w:
    w.protect(interval_ms=1000)
    w.check("recovery points appear", w.points_grow(4))
    w.check("logs were merged into the base", w.until(lambda: needed_pages(w, 1)))
    w.check("a whole replica is verified", w.until(lambda: w.status("B")["verification"]["verified_us"]), w.status("B"))
    w.check("and nothing is damaged", w.status("B")["verification"]["damaged_places"] == 0)
    code, text = w.status_of("A", "compare", GUEST)
    w.check("while the guest writes, both hosts are the same", code == 0 and " 0 differ" in text, text)

    pages = needed_pages(w, 3)
    verify_again(w, lambda: [scribble(store() + "base/disk-0.raw", page, PAGE) for page in pages])
    w.check("garbage in the base is found", w.until(lambda: warns(w, "B", "damaged", "is damaged")), w.status("B"))
    w.check("points say so", w.until(lambda: w.points()[-1]["damaged"]), w.points())
    code, text = w.status_of("B", "failover", GUEST, "--point", w.points()[0]["id"])
    w.check("failover to such a point is refused", code != 0 and "disk vda at byte" in text, text)
    code, text = w.status_of("B", "failover", GUEST)
    w.check("failover to the latest state, too", code != 0 and "latest state" in text, text)
    code, text = w.status_of("B", "test-failover", GUEST)
    w.check("and a drill", code != 0 and "is damaged" in text, text)

    code, text = w.status_of("A", "compare", GUEST)
    w.check("a comparison finds the pages", code == 15 and f"{len(pages)} differ" in text, text)
    w.check("and A has a reason to warn", warns(w, "A", "different", "pages different on the replica"), w.status("A"))
    code, text = w.status_of("A", "compare", GUEST, "--repair")
    w.check("a repair sends them", code == 0 and f"{len(pages)} differed and were sent again" in text, text)
    w.check("A has no reason any more", w.until(lambda: not w.issues("A", but=["missed-cycles"])), w.status("A"))
    w.check("the newest point is whole", w.until(lambda: not w.points()[-1]["damaged"]), w.points()[-1])
    w.check("every digest of it", w.status_of("B", "point", "check", GUEST, "latest")[0] == 0)
    w.check("and every record", w.caught_up())

    logs = sorted(glob.glob(store() + "logs/*.vrl"))
    hit = max(logs[len(logs) // 4:-len(logs) // 4], key=os.path.getsize)
    verify_again(w, lambda: scribble(hit, os.path.getsize(hit) // 2, 64))
    w.check("garbage in a change log is found", w.until(lambda: warns(w, "B", "damaged", os.path.basename(hit))), w.status("B"))
    whole = [p for p in w.points() if not p["damaged"]]
    w.check("only points that need it cannot be used", 0 < len(whole) < len(w.points()), w.points())
    w.check("the others can", all(w.records(p) >= 0 for p in whole[:: max(1, len(whole) // 4)]))
    w.check("a repair makes the newest whole, if it was not", w.status_of("A", "compare", GUEST, "--repair")[0] == 0)
    w.check("so it is", w.until(lambda: not w.points()[-1]["damaged"]) and w.caught_up())
    w.cli("B", "test-failover", GUEST, "--start")
    w.check("and runs", w.until(lambda: "WRITER resumes" in w.lab("console", "B", GUEST + " - Test")))
    w.cli("B", "test-failover", GUEST, "--stop")
