#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""size.py TOP: files of at most 800 lines of at most 140 columns; functions of at most 100 lines, 95 % within 60, the middle one
below 20.  Prints the figures.  Functions are measured with universal-ctags; without it that part cannot be checked."""
import json
import shutil
import subprocess

import tree

FILE_LINES, COLUMNS, FUNCTION_LINES, MOST_LINES, MIDDLE_LINES = 800, 140, 100, 60, 20
SOURCES = (".c", ".h", ".py", ".sh")


def check_files(top):
    complaints, code, comment = [], 0, 0
    for path in tree.files(top, "src", "plugin", "tools", "tests"):
        text = tree.text(top, path)
        if text is None or not (path.endswith(SOURCES) or text.startswith("#!")):
            continue
        lines = text.splitlines()
        if len(lines) > FILE_LINES:
            complaints.append(f"{path}: {len(lines)} lines, at most {FILE_LINES} are allowed")
        complaints += (f"{path}:{n}: {len(line)} columns, at most {COLUMNS} are allowed"
                       for n, line in enumerate(lines, 1) if len(line) > COLUMNS)
        if path.startswith("src/"):
            code += sum(1 for line in lines if line.strip())
            comment += sum(1 for line in lines if line.strip().startswith(("/*", "*", "//")))
    if code:
        print(f"src: {code} lines that are not empty, {100 * comment // code} % of them comment")
    return complaints


def functions(top):
    """[(lines, path, name)] of all C functions, ascending."""
    sources = [p for p in tree.files(top, "src", "plugin", "tests", "tools") if p.endswith((".c", ".h"))]
    done = subprocess.run(["ctags", "--output-format=json", "--fields=+ne", "--kinds-C=f", "--language-force=C", "-f", "-", "-L", "-"],
                          cwd=top, input="\n".join(sources), text=True, stdout=subprocess.PIPE, check=True)
    tags = (json.loads(line) for line in done.stdout.splitlines())
    return sorted((tag["end"] - tag["line"] + 1, tag["path"], tag["name"]) for tag in tags if "end" in tag)


def check_functions(top):
    found = functions(top)
    if not found:
        return []
    complaints = [f"{path}: {name} has {lines} lines, at most {FUNCTION_LINES} are allowed"
                  for lines, path, name in found if lines > FUNCTION_LINES]
    ours = [f for f in found if f[1].startswith(("src/", "plugin/"))] or found
    middle, most = ours[len(ours) // 2][0], ours[len(ours) * 95 // 100][0]
    print(f"{len(ours)} functions: middle {middle} lines, 95 % within {most}, longest {ours[-1][0]} ({ours[-1][2]} in {ours[-1][1]})")
    if middle >= MIDDLE_LINES:
        complaints.append(f"the middle function has {middle} lines, below {MIDDLE_LINES} is wanted")
    if most > MOST_LINES:
        complaints.append(f"95 % of the functions are within {most} lines, {MOST_LINES} is the limit")
    return complaints


def check(top):
    complaints = check_files(top)
    if not shutil.which("ctags"):
        print("universal-ctags is not installed")
        return complaints or None
    return complaints + check_functions(top)


if __name__ == "__main__":
    tree.main(check)
