#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs.py TOP: docs/internals.md names every source file (as `log/reader.c` or `log/reader`); links between documents lead somewhere."""
import os
import re

import tree

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
MAP = "docs/internals.md"


def check_map(top):
    text = tree.text(top, MAP)
    if text is None:
        return [f"{MAP} is missing"]
    named = set(re.findall(r"[\w-]+/[\w-]+", text))
    complaints = []
    for path in tree.files(top, "src", "plugin"):
        if path.endswith(".c") and "/".join(path[:-2].split("/")[-2:]) not in named:
            complaints.append(f"{MAP} does not name {path}")
    return complaints


def check_links(top):
    complaints = []
    for path in tree.files(top):
        if not path.endswith(".md"):
            continue
        for target in LINK.findall(tree.text(top, path)):
            if "://" not in target and not os.path.exists(os.path.join(top, os.path.dirname(path), target)):
                complaints.append(f"{path}: links to {target}, which does not exist")
    return complaints


def check(top):
    return check_map(top) + check_links(top)


if __name__ == "__main__":
    tree.main(check)
