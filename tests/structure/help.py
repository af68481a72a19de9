#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""help.py PROGRAM...: --help of each program and of each verb it lists goes to stdout, within 80 columns, with exit status 0."""
import os
import re
import subprocess

import tree

VERB = re.compile(r"^ {2,8}([a-z][a-z-]*)(?: [^ ].*?)?(?:  +\S|$)", re.M)
COLUMNS = 80


def help_of(*argv):
    done = subprocess.run([*argv, "--help"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=60)
    what = " ".join([os.path.basename(argv[0]), *argv[1:], "--help"])
    complaints = []
    if done.returncode:
        complaints.append(f"{what}: exit status {done.returncode}")
    if not done.stdout.strip():
        complaints.append(f"{what}: says nothing on stdout")
    for line in done.stdout.splitlines():
        if len(line) > COLUMNS:
            complaints.append(f"{what}: {len(line)} columns: {line}")
    return done.stdout, complaints


def check(*programs):
    complaints, built = [], [p for p in programs if os.access(p, os.X_OK)]
    for program in built:
        text, found = help_of(program)
        complaints += found
        verbs = [v for v in dict.fromkeys(VERB.findall(text)) if v != os.path.basename(program)]
        print(f"{os.path.basename(program)}: {len(verbs)} verbs: {' '.join(verbs)}")
        for verb in verbs:
            complaints += help_of(program, verb)[1]
    if not built:
        print("not built:", *programs)
        return None
    return complaints


if __name__ == "__main__":
    tree.main(check)
