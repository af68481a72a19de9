#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""install.py BUILD TREE: `meson install` puts what docs/install.md promises where systemd, libvirt and the daemon look for it."""
import filecmp
import os
import re
import subprocess
import sys
import tempfile

HOOK = "etc/libvirt/hooks/qemu.d/vmreplica"
UNIT = "usr/lib/systemd/system/vmreplicad.service"


def promised(top):
    """The absolute paths in the section about installing, up to the first empty line after them."""
    with open(os.path.join(top, "docs/install.md"), encoding="utf-8") as f:
        said = f.read().split("That installs")[1].split("\n\n")[0]
    return [path[1:] for path in re.findall(r"`(/[^`]*)`", said)]


def faults(build, top, to):
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", to], check=True, stdout=subprocess.DEVNULL)
    wanted = promised(top)
    for path in [HOOK, UNIT] + wanted:
        if not os.path.isfile(os.path.join(to, path)):
            yield f"/{path} is not installed"
    for path in {HOOK, UNIT} - set(wanted):
        yield f"docs/install.md does not name /{path}"
    if not filecmp.cmp(os.path.join(to, HOOK), os.path.join(top, "tools/hooks/qemu"), shallow=False) or \
            not os.access(os.path.join(to, HOOK), os.X_OK):
        yield "the hook that is installed is another one, or cannot be run"
    with open(os.path.join(to, UNIT), encoding="utf-8") as f:
        program = re.search(r"^ExecStart=/(\S+)$", f.read(), re.M)
    if not program or not os.access(os.path.join(to, program[1]), os.X_OK):
        yield "the unit starts a program that is not installed"


def main():
    build, top = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="vmr-install-") as to:
        wrong = list(faults(build, top, to))
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
