#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""config.py DAEMON TREE: vmreplica.conf(5) describes exactly the groups and keys that `vmreplicad --print-config` prints, in that order,
and names every default that is neither empty nor set by the build."""
import os
import re
import subprocess

import tree

BUILT = {"plugin", "pam_helper", "thaw_helper"}


def printed(daemon):
    text = subprocess.run([daemon, "--print-config"], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    group, keys = "", []
    for line in text.splitlines():
        if m := re.fullmatch(r"\[(\w+)\]", line):
            group = m[1]
        elif m := re.fullmatch(r"#(\w+) = (.*)", line):
            keys.append((group, m[1], m[2].strip()))
    return keys


def described(page):
    with open(page, encoding="utf-8") as f:
        lines = f.read().split("\n# EXAMPLE")[0].splitlines()
    group, keys = "", []
    for line, text in zip(lines, lines[1:] + [""]):
        if m := re.fullmatch(r"# \[(\w+)\]", line):
            group = m[1]
        elif group and (m := re.fullmatch(r"\*(\w+)\*", line)):
            keys.append((group, m[1], text))
    return keys


def check(daemon, top):
    if not os.access(daemon, os.X_OK):
        print("not built:", daemon)
        return None
    ours, page = printed(daemon), described(os.path.join(top, "docs/man/vmreplica.conf.5.scd"))
    complaints = [f"no keys in the output of {daemon}"] if not ours else []
    for group, key, default in ours:
        texts = [t for g, k, t in page if (g, k) == (group, key)]
        if len(texts) != 1:
            complaints.append(f"[{group}] {key}: described {len(texts)} times in vmreplica.conf(5)")
        elif default and key not in BUILT and default not in texts[0]:
            complaints.append(f"[{group}] {key}: vmreplica.conf(5) does not name the default '{default}'")
    known = {(g, k) for g, k, _ in ours}
    complaints += [f"[{g}] {k}: in vmreplica.conf(5), but no setting" for g, k, _ in page if (g, k) not in known]
    if not complaints and [(g, k) for g, k, _ in page] != [(g, k) for g, k, _ in ours]:
        complaints.append("vmreplica.conf(5) has the keys in another order")
    return complaints


if __name__ == "__main__":
    tree.main(check)
