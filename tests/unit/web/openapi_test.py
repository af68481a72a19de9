#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""openapi_test.py BUILD: the OpenAPI document, by a public validator where one is installed, and by what the document itself promises:
references lead somewhere, names are unique, parameters of paths are declared; a broken document is found."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.realpath(__file__))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "vmreplica", "openapi")
VERBS = {"get", "put", "post", "delete", "patch", "options", "head", "trace"}
count = failed = 0


def check(what, good, detail=""):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {what}", flush=True)
    if not good:
        print("# " + str(detail)[:2000].replace("\n", "\n# "), flush=True)


def everything(node):
    """All objects of the document."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from everything(value)
    elif isinstance(node, list):
        for value in node:
            yield from everything(value)


def target(document, pointer):
    for step in pointer[2:].split("/"):
        document = document.get(step) if isinstance(document, dict) else None
    return document


def own_checks(document):
    """Complaints."""
    links = {o["$ref"] for o in everything(document) if isinstance(o.get("$ref"), str)}
    wrong = [f"{link} leads nowhere" for link in links if not target(document, link)]
    seen = set()
    for path, item in document["paths"].items():
        declared = {p["name"] for p in item.get("parameters", []) if p.get("in") == "path"}
        if declared != set(re.findall(r"{(\w+)}", path)):
            wrong.append(f"{path}: declares {declared}")
        for verb in VERBS & set(item):
            name = item[verb]["operationId"]
            if name in seen:
                wrong.append(f"{name} is there twice")
            seen.add(name)
    return wrong


def public_check(document, folder):
    """(valid, what the validator says)"""
    path = os.path.join(folder, "document.json")
    with open(path, "w") as f:
        json.dump(document, f)
    done = subprocess.run(["node", os.path.join(folder, "check.mjs"), path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60)
    return done.returncode == 0, done.stdout


def check_public(document):
    modules = os.path.join(CACHE, "node_modules")
    if not shutil.which("node") or not os.path.isdir(modules):
        print("# the public validator is not installed (./vmr build does it where npm is)")
        return False
    with tempfile.TemporaryDirectory(prefix="vmr-openapi-") as folder:
        os.symlink(modules, os.path.join(folder, "node_modules"))
        shutil.copy(os.path.join(HERE, "validator", "check.mjs"), folder)
        good, said = public_check(document, folder)
        check("a public validator calls it valid OpenAPI 3.1", good and said.strip() == "valid 3.1", said)
        document["info"].pop("title")
        check("and finds what is wrong", not public_check(document, folder)[0])
    return True


def main(build):
    with open(os.path.join(build, "src/web/openapi.json"), encoding="utf-8") as f:
        document = json.load(f)
    check("it is of version 3.1", document["openapi"].startswith("3.1."))
    check("references, names and parameters are right", not own_checks(document), own_checks(document))
    broken = json.loads(json.dumps(document))
    broken["components"]["schemas"].pop("Problem")
    check("a reference into nothing is found", own_checks(broken))
    print(f"# {len(document['paths'])} paths, {len(document['components']['schemas'])} schemas")
    complete = check_public(document)
    print(f"1..{count}")
    if not complete and not failed:
        print("the public OpenAPI validator is not installed", file=sys.stderr)
        sys.exit(77)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1])
