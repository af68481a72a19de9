# SPDX-License-Identifier: LGPL-2.1-or-later
"""Initial replication of 4 GiB, half full, TLS + zstd + durable"""
import os
import subprocess
import time

from harness import RUNS, Samples, served
from lab import GUEST, daemon_cpu, enable, forget, guest, in_world

NEEDS = {"lab", "nbdcopy", "qemu-nbd"}
LONG = True


def one_copy(peer, w, frozen):
    copy, socket = os.path.join(w.dir, "copy.raw"), os.path.join(w.dir, "nbd")
    with served(["qemu-nbd", "-r", "-t", "-k", socket, "-f", "qcow2", frozen], socket):
        subprocess.run(["truncate", "-s", "4G", copy], check=True)
        peer.run("nbdcopy", "--flush", "--destination-is-zero", f"nbd+unix:///?socket={socket}", copy)
    os.unlink(copy)


def measure_in(figure, w):
    _, raw = guest(w, 4096, fill=True)
    frozen = os.path.join(w.dir, "frozen.qcow2")
    subprocess.run(["qemu-img", "convert", "-q", "-O", "qcow2", raw, frozen], check=True)
    os.unlink(raw)
    ours, peer = Samples("initial replication"), Samples("nbdcopy of the same export to a raw file")
    for _ in range(RUNS):
        enable(w, 60000)
        cpu, begun = daemon_cpu(), time.monotonic()
        w.cli("A", "start", GUEST)
        ours.add(time.monotonic() - begun, daemon_cpu() - cpu)
        forget(w)
        one_copy(peer, w, frozen)
    figure.row(ours, peer, goal="0.5 of nbdcopy over TLS")


def measure(figure):
    in_world(figure, measure_in)
