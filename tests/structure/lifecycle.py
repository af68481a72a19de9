#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""lifecycle.py [--write] TOP: docs/lifecycle.md is what the tests say: operation x disturbance -> outcome, and which test proves it.

A test says COVERS("operation", "disturbance", "outcome") in C (tests/unit/repl/world.h), w.covers(...) in Python (tests/lab/world.py), when
it has proved it; that prints the row, and tools/run-tests wants to see it.  Every cell has such a test, or a reason below why there can be
none."""
import os
import re
import sys

import tree

PAGE = "docs/lifecycle.md"

OPERATIONS = {
    "consistent point": "application-consistent recovery points, made on the primary by interval",
    "planned failover": "shut down, last changes sent (prepare), the replica brought up; `switchover` drives both hosts",
    "unplanned failover": "the replica is brought up from a recovery point",
    "reversal": "the roles swap (reverse), after a disaster with the old primary made a replica first (demote); `reprotect` drives both",
    "test failover": "a recovery point as a guest beside the replica; boot checks are one that ends by itself",
    "revert": "a failover is undone: the guest's overlays go, points stay",
    "commit": "a failover becomes final: the guest's disks are filled, points go",
    "export and import": "the first copy travels in a folder",
    "resynchronisation": "both hosts are compared, differences are sent",
    "extended replication": "the replica's host sends on to a third one",
    "guest changes": "disks, memory, name and the like change while the guest is protected",
    "addresses": "what a guest is given on the other host's network, by its agent",
    "groups": "guests that have points of one instant, and fail over together",
    "fencing": "one copy of a guest runs, not two",
    "authorisation": "which primary hosts may send here",
}
DISTURBANCES = ["other host dies", "daemon killed", "disk full", "called twice", "wrong side", "during another job"]

# Cells that no test can have, shown as –.
REASONS = {
    ("consistent point", "called twice"): "nobody calls it: one cycle makes at most one",
    ("guest changes", "called twice"): "not a method: libvirt's users change the guest, and each change is looked at by itself",
    ("fencing", "called twice"): "not a method: every start of a guest is checked",
}

TEXT = r'"((?:[^"\\]|\\.)*)"'
C_ROW = re.compile(rf"COVERS\(\s*{TEXT},\s*{TEXT},\s*((?:{TEXT}\s*)+)\)")
PY_ROW = re.compile(rf"w\.covers\(\s*{TEXT},\s*{TEXT},\s*((?:{TEXT}\s*)+)\)")
FUNCTION = re.compile(r"^(\w+)\([^;{]*\)\n\{", re.M)


class Row:
    def __init__(self, operation, disturbance, outcome, program, part):
        self.operation, self.disturbance, self.outcome, self.program, self.part = operation, disturbance, outcome, program, part
        self.cell = (operation, disturbance)

    def line(self):
        """As the test prints it."""
        return f"covers: {self.operation} | {self.disturbance} | {self.outcome}"


def joined(literals):
    return "".join(re.findall(TEXT, literals)).replace('\\"', '"')


def rows_of_c(path, text):
    """Each within a function that g_test_add_...func hands over; otherwise nobody would run it."""
    program = "repl-" + os.path.basename(path)[len("test_"):-len(".c")]
    parts = {function: name for name, function in re.findall(r'g_test_add_(?:data_)?func\("?([^",]+)"?,(?:[^;]*,)? ?(\w+)\)', text)}
    begins = [(m.start(), m.group(1)) for m in FUNCTION.finditer(text)]
    for m in C_ROW.finditer(text):
        function = [name for start, name in begins if start < m.start()][-1]
        if function not in parts:
            raise ValueError(f"{path}: COVERS in {function}, which is no test")
        part = parts[function].rpartition("/")[2] if "/" in parts[function] else m.group(1)
        yield Row(m.group(1), m.group(2), joined(m.group(3)), program, part)


def rows_of_python(path, text):
    for m in PY_ROW.finditer(text):
        yield Row(m.group(1), m.group(2), joined(m.group(3)), os.path.basename(path)[:-len(".py")].replace("_", "-"), None)


def rows(top):
    found = []
    for path in tree.files(top, "tests/unit/repl", "tests/lab"):
        text = tree.text(top, path) or ""
        if re.search(r"/test_\w+\.c$", path):
            found += rows_of_c(path, text)
        elif path.startswith("tests/lab/") and path.endswith(".py") and not path.endswith("world.py"):
            found += rows_of_python(path, text)
    return found


def complaints_about(found):
    have = {row.cell for row in found}
    cells = {(o, d) for o in OPERATIONS for d in DISTURBANCES}
    out = [f"{row.program}: no such cell: {row.operation} | {row.disturbance}" for row in found if row.cell not in cells]
    out += [f"{o} | {d}: neither a test nor a reason" for o, d in sorted(cells - have - set(REASONS))]
    out += [f"{o} | {d}: there is a test now; take the reason away" for o, d in sorted(have & set(REASONS))]
    return out


def proof(row):
    kind = "unit" if row.program.startswith("repl-") else "lab"
    return f"{kind} `{row.program}`" + (f": {row.part}" if row.part else "")


def lines_of(cell, found):
    mine = [row for row in found if row.cell == cell]
    if not mine:
        yield f"| {cell[1]} | {REASONS[cell]} | |"
    for row in mine:
        yield f"| {cell[1]} | {row.outcome} | {proof(row)} |"


def overview(found):
    yield "| | " + " | ".join(DISTURBANCES) + " |"
    yield "|---|" + "---|" * len(DISTURBANCES)
    for o in OPERATIONS:
        counts = [sum(row.cell == (o, d) for row in found) for d in DISTURBANCES]
        yield f"| [{o}](#{o.replace(' ', '-')}) | " + " | ".join(str(n or "–") for n in counts) + " |"


HEAD = """# Life, and what comes between

What happens when something goes wrong in the middle of an operation. Made by `tests/structure/lifecycle.py --write` out of the tests:
each line is said by the test that proves it, after it has done so. Beside these, unit `repl-walk` does everything in any order on two
hosts at once, with cut links and dying hosts. The numbers count tests; – is explained below.
"""
LEGEND = """
*Other host dies*: it is gone, or the link to it. *Daemon killed*: on the host that carries the operation out, in its middle.
*Wrong side*: the primary for the replica, the other way round, or a guest that is not replicated."""


def page(found):
    out = [HEAD, *overview(found), LEGEND]
    for o, text in OPERATIONS.items():
        out += ["", f"## {o}", "", text[0].upper() + text[1:] + ".", ""]
        out += ["| in the middle of it | what happens | proven by |", "|---|---|---|"]
        for d in DISTURBANCES:
            out += lines_of((o, d), found)
    return "\n".join(out) + "\n"


def check(top):
    try:
        found = rows(top)
    except ValueError as e:
        return [str(e)]
    out = complaints_about(found)
    if not out and tree.text(top, PAGE) != page(found):
        out.append(f"{PAGE} is not what the tests say; run tests/structure/lifecycle.py --write {top}")
    return out


if __name__ == "__main__":
    if "--write" in sys.argv:
        sys.argv.remove("--write")
        with open(os.path.join(sys.argv[1], PAGE), "w", encoding="utf-8") as f:
            f.write(page(rows(sys.argv[1])))
    tree.main(check)
