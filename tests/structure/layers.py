#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""layers.py TOP: refuses an include against src/LAYERS, a library outside its one place, and include cycles."""
import os
import re

import tree

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)
PLUGIN_MAY = {"base", "log", "store"}


def read_rules(top):
    """layer -> folders it may include ("*": all), and [(prefix of a library's header, places that may name it)]."""
    may, only = {}, []
    for line in tree.text(top, "src/LAYERS").splitlines():
        words = line.split("#")[0].split()
        if words[:1] == ["only"]:
            only.append((words[1], words[2:]))
        elif words:
            may[words[0]] = set(words[1:]) | {words[0]}
    return may, only


def check_quoted(path, layer, target, allowed):
    if target.endswith(".c"):
        return f"{path}: includes a .c file: {target}"
    if "/" not in target:
        return f'{path}: "{target}" must be named by its full path from src/'
    folder = target.split("/")[0]
    if folder not in allowed and "*" not in allowed:
        return f"{path}: {layer} may not include {target} (see src/LAYERS)"
    return None


def check_library(path, target, only):
    place = path.split("/", 1)[1] if path.startswith("src/") else path
    for prefix, places in only:
        if target.startswith(prefix) and not any(place == p or place.startswith(p + "/") for p in places):
            return f"{path}: <{target}> may be named only in {' '.join(places)} (see src/LAYERS)"
    return None


def find_cycle(graph):
    """A list of headers that include one another in a circle, or None."""
    state, trail = {}, []

    def walk(node):
        state[node] = "open"
        trail.append(node)
        for other in graph.get(node, ()):
            if state.get(other) == "open":
                return trail[trail.index(other):] + [other]
            if other not in state:
                circle = walk(other)
                if circle:
                    return circle
        state[node] = "done"
        trail.pop()
        return None
    for node in graph:
        if node not in state:
            circle = walk(node)
            if circle:
                return circle
    return None


def check(top):
    may, only = read_rules(top)
    complaints, graph = [], {}
    for layer, allowed in may.items():
        for unknown in allowed - set(may) - {"*"}:
            complaints.append(f"src/LAYERS: {layer} names the unknown layer {unknown}")
    for folder in sorted(os.listdir(os.path.join(top, "src"))):
        if os.path.isdir(os.path.join(top, "src", folder)) and folder not in may:
            complaints.append(f"src/{folder}: this folder is not in src/LAYERS")
    for path in tree.files(top, "src", "plugin"):
        if not path.endswith((".c", ".h")):
            continue
        layer = "plugin" if path.startswith("plugin") else path.split("/")[1]
        allowed = PLUGIN_MAY if layer == "plugin" else may.get(layer, set())
        for quote, target in INCLUDE.findall(tree.text(top, path)):
            if quote == '"':
                complaints.append(check_quoted(path, layer, target, allowed))
                graph.setdefault(path[4:], []).append(target)
            else:
                complaints.append(check_library(path, target, only))
    circle = find_cycle(graph)
    if circle:
        complaints.append("include cycle: " + " -> ".join(circle))
    return [c for c in complaints if c]


if __name__ == "__main__":
    tree.main(check)
