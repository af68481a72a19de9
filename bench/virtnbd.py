# SPDX-License-Identifier: LGPL-2.1-or-later
"""virtnbdbackup as a peer: backups of the lab's guest by its own host's libvirt, as they come (it does not wait for the disk)."""
import os
import subprocess
import time

from harness import TOP, cpu_of_children
from lab import GUEST


class Virtnbdbackup:
    """One chain: a full backup and the incremental ones after it; its checkpoints are the guest's until forget()."""

    def __init__(self, folder):
        self.folder, self.number = folder, 0

    def run(self, samples):
        """The next backup of the chain; CPU is its own, without QEMU's."""
        level = "inc" if self.number else "full"
        argv = [os.path.join(TOP, "tools/lab/lab"), "exec", "A", "virtnbdbackup", "-n", "-d", GUEST, "-l", level, "-o", self.folder]
        cpu, begun = cpu_of_children(), time.monotonic()
        done = subprocess.run(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise RuntimeError(f"virtnbdbackup failed: {done.stdout[-500:]}")
        samples.add(time.monotonic() - begun, cpu_of_children() - cpu)
        self.number += 1

    def bytes(self):
        """Of the newest backup's data, all disks."""
        end = f".inc.virtnbdbackup.{self.number - 1}.data" if self.number > 1 else ".full.data"
        return sum(os.path.getsize(os.path.join(self.folder, n)) for n in os.listdir(self.folder) if n.endswith(end))

    def forget(self, w):
        w.on("A", "sh", "-c", f"for c in $(virsh -q checkpoint-list {GUEST} --name --roots); do "
             f"virsh -q checkpoint-delete {GUEST} $c --children; done; rm -rf {self.folder}")
        self.number = 0
