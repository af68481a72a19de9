# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the structure tests share: the checkout's own files, and how complaints become an exit status."""
import os
import sys

NOT_OURS = (".git", "lab", "__pycache__", "corpus", "golden")
SKIP = 77


def files(top, *folders):
    """Paths relative to top of all files that are ours: no build folders, no caches, no recorded data."""
    found = []
    for start in folders or ("",):
        for folder, below, names in os.walk(os.path.join(top, start)):
            at_top = os.path.relpath(folder, top) == "."
            below[:] = sorted(d for d in below if not (d in NOT_OURS and (at_top or d != "lab")) and not (at_top and d.startswith("build")))
            found += (os.path.relpath(os.path.join(folder, name), top) for name in sorted(names)
                      if not (at_top and name in NOT_OURS))  # .git is a file in a linked work tree
    return found


def text(top, path):
    """The file as text; None for what is not text."""
    try:
        with open(os.path.join(top, path), encoding="utf-8") as f:
            return f.read()
    except (UnicodeDecodeError, FileNotFoundError):
        return None


def main(check):
    """check(top, *rest of the command line) -> list of complaints, or None: cannot be checked here."""
    complaints = check(*sys.argv[1:])
    if complaints is None:
        sys.exit(SKIP)
    for line in complaints:
        print(line)
    sys.exit(1 if complaints else 0)
