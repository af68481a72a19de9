# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/return-codes.md is what the tests say: codes_test.py DOC PROGRAM... compares (TAP), with --write it is written anew.

The programs note every call that they make (tests/unit/provider/ask.h)."""

import os
import subprocess
import sys
import tempfile

HEAD = """# Return codes, call by call

Written by the tests (`tests/unit/provider/codes_test.py --write`), which make every one of these calls; do not edit. The meaning of the
codes is in [api.md](api.md). `vm` is a guest that is replicated, or as its situation says; `plain` is not replicated; `nobody` does not
exist; `host` is this host; `point` a recovery point; `vset`, `pset`, `nset` the settings of the first three; `group` a group of guests;
`vmms`, `vssnapsvc`, `collections`, `collreplicasvc` the services.
"""


def calls(programs):
    with tempfile.TemporaryDirectory() as folder:
        table = os.path.join(folder, "table")
        for program in programs:
            subprocess.run([program], env={**os.environ, "ASK_TABLE": table}, stdout=subprocess.DEVNULL, check=True)
        with open(table, encoding="utf-8") as lines:
            return sorted({tuple(line.rstrip("\n").split("\t")) for line in lines})


def cell(text):
    return text.replace("|", "\\|").replace("@", "").strip()


def text_of(rows):
    out = [HEAD]
    method = None
    for cls, name, arguments, situation, code in rows:
        if (cls, name) != method:
            out.append(f"\n## {cls}.{name}\n\n| arguments | of, when | answer |\n|---|---|---|\n")
            method = (cls, name)
        out.append(f"| {cell(arguments) or '(none)'} | {cell(situation)} | {code} |\n")
    return "".join(out)


def main():
    write = "--write" in sys.argv
    doc, *programs = [a for a in sys.argv[1:] if a != "--write"]
    made = text_of(calls(programs))
    if write:
        with open(doc, "w", encoding="utf-8") as out:
            out.write(made)
        return 0
    with open(doc, encoding="utf-8") as there:
        same = there.read() == made
    print("1..1")
    print(f"{'ok' if same else 'not ok'} 1 {os.path.basename(doc)} says what the tests see")
    if not same:
        print("# run tests/unit/provider/codes_test.py --write with the same arguments")
    return 0 if same else 1


sys.exit(main())
