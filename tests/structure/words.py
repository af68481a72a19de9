#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""words.py TOP: every source says its licence; headers have one guard; no open ends, dead code or jumps; nothing about anybody's desk."""
import re

import tree

LICENCE = "SPDX-License-Identifier: LGPL-2.1-or-later"
# Put together here, so that this file does not contain them.
OPEN_ENDS = re.compile(r"\b(" + "|".join(a + b for a, b in (("TO", "DO"), ("FIX", "ME"), ("X" * 2, "X"), ("HA", "CK"))) + r")\b")
DESK = re.compile("|".join((r"\.\." + "/shared", "/work" + r"/(main|shared|\.library)")))
DEAD = re.compile(r"^\s*#\s*if\s+0\b", re.M)
JUMP = re.compile(r"^\s*go" + r"to\s+\w+\s*;", re.M)
SOURCES = (".c", ".h", ".py", ".sh", ".mof", "meson.build", "meson_options.txt")


def line_of(text, match):
    return text.count("\n", 0, match.start()) + 1


def check_source(path, text):
    if LICENCE not in "\n".join(text.splitlines()[:2]):
        yield f"{path}: does not begin with '{LICENCE}'"
    if path.endswith(".h") and text.count("#pragma once") != 1:
        yield f"{path}: has no '#pragma once'"
    if path.endswith((".c", ".h")):
        for pattern, what in ((DEAD, "dead code"), (JUMP, "a jump")):
            for match in pattern.finditer(text):
                yield f"{path}:{line_of(text, match)}: {what}"


def check(top):
    complaints = []
    for path in tree.files(top):
        text = tree.text(top, path)
        if not text or path == "LICENSE":
            continue
        if path.endswith(SOURCES) or text.startswith("#!"):
            complaints += check_source(path, text)
        for match in OPEN_ENDS.finditer(text):
            complaints.append(f"{path}:{line_of(text, match)}: an open end ('{match.group()}'); it belongs into the issue tracker")
        for match in DESK.finditer(text):
            complaints.append(f"{path}:{line_of(text, match)}: names a place that users do not have ('{match.group()}')")
    return complaints


if __name__ == "__main__":
    tree.main(check)
