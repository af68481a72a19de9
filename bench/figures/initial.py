# SPDX-License-Identifier: LGPL-2.1-or-later
"""Initial replication of 4 GiB, half full: TLS, packed, durable"""
import os
import shutil
import statistics
import subprocess
import time

from harness import BUILD, RUNS, Samples, served
from lab import GUEST, daemon_cpu, enable, forget, guest, in_world

NEEDS = {"lab", "nbdcopy", "qemu-nbd"}
LONG = True
GOAL = 2.0


def certificates(w):
    """A folder as QEMU and libnbd want it, of our own small CA; both ends show the same certificate."""
    folder, tool = os.path.join(w.dir, "nbd-tls"), os.path.join(BUILD, "src/cli/vmreplica")
    for argv in (["init", folder], ["issue", folder, "localhost"]):
        subprocess.run([tool, "pki", *argv], check=True, stdout=subprocess.DEVNULL)
    names = {"ca.pem": ["ca-cert.pem"], "localhost.pem": ["server-cert.pem", "client-cert.pem"],
             "localhost-key.pem": ["server-key.pem", "client-key.pem"]}
    for name, copies in names.items():
        for copy in copies:
            shutil.copy(os.path.join(folder, name), os.path.join(folder, copy))
    return folder


def one_copy(peer, w, frozen, tls=None):
    """Of the frozen image to a raw file that is durable in the end; the server's CPU seconds count, too."""
    copy, socket = os.path.join(w.dir, "copy.raw"), os.path.join(w.dir, "nbd")
    server = ["qemu-nbd", "-r", "-t", "-e", "4", "-k", socket, "-f", "qcow2", frozen]
    uri = f"nbd+unix:///?socket={socket}"
    if tls:
        server += ["--object", f"tls-creds-x509,id=tls,dir={tls},endpoint=server,verify-peer=yes", "--tls-creds", "tls"]
        uri = f"nbds+unix:///?socket={socket}&tls-certificates={tls}"
    with served(server, socket):
        subprocess.run(["truncate", "-s", "4G", copy], check=True)
        peer.run("nbdcopy", "--flush", "--destination-is-zero", uri, copy)
    os.unlink(copy)


def one_replication(ours, w):
    enable(w, 60000)
    cpu, begun = daemon_cpu(), time.monotonic()
    w.cli("A", "start", GUEST)
    ours.add(time.monotonic() - begun, daemon_cpu() - cpu)
    forget(w)


def measure_in(figure, w):
    _, raw = guest(w, 4096, fill=True)
    frozen = os.path.join(w.dir, "frozen.qcow2")
    subprocess.run(["qemu-img", "convert", "-q", "-O", "qcow2", raw, frozen], check=True)
    os.unlink(raw)
    tls = certificates(w)
    ours, over_tls, plain = Samples("initial replication"), Samples("nbdcopy over TLS to a raw file"), Samples("nbdcopy, no TLS")
    for _ in range(RUNS):
        one_replication(ours, w)
        one_copy(over_tls, w, frozen, tls)
        one_copy(plain, w, frozen)
    ratio = statistics.median(a / b for a, b in zip(ours.values, over_tls.values))
    figure.row(ours, over_tls, plain, goal=f"{GOAL:g} x nbdcopy over TLS", reached=ratio <= GOAL)
    figure.note("CPU seconds are those of both daemons, and of nbdcopy with its server; QEMU's, which serves our reads, are not known apart.")


def measure(figure):
    in_world(figure, measure_in)
