# SPDX-License-Identifier: LGPL-2.1-or-later
"""Initial replication of 4 GiB, half full: TLS, packed, durable"""
import os
import shutil
import subprocess
import time

import bounds
from harness import GIB, MIB, RUNS, Samples, beside, number, quantity, served
from lab import GUEST, daemon_cpu, enable, forget, guest, in_world, sent_bytes
from virtnbd import Virtnbdbackup

NEEDS = {"lab", "nbdcopy", "qemu-nbd", "qemu-img", "virtnbdbackup", "zstd"}
LONG = True
SIZE = 4 * GIB


def certificates(w):
    """A folder as QEMU and libnbd want it, of our own small CA; both ends show the same certificate."""
    folder = os.path.join(w.dir, "nbd-tls")
    bounds.certificate(folder)
    names = {"ca.pem": ["ca-cert.pem"], "localhost.pem": ["server-cert.pem", "client-cert.pem"],
             "localhost-key.pem": ["server-key.pem", "client-key.pem"]}
    for name, copies in names.items():
        for copy in copies:
            shutil.copy(os.path.join(folder, name), os.path.join(folder, copy))
    return folder


def copier(way, uri, copy):
    """Either leaves the copy durable."""
    if way == "nbdcopy":
        return ["nbdcopy", "--flush", "--destination-is-zero", uri, copy]
    return ["qemu-img", "convert", "-n", "--target-is-zero", "-t", "writeback", "-f", "raw", "-O", "raw", uri, copy]


def one_copy(peer, w, frozen, way="nbdcopy", tls=None):
    """Of the frozen image to a raw file that is durable in the end; the server's CPU seconds count, too."""
    copy, socket = os.path.join(w.dir, "copy.raw"), os.path.join(w.dir, "nbd")
    server = ["qemu-nbd", "-r", "-t", "-e", "4", "-k", socket, "-f", "qcow2", frozen]
    uri = f"nbd+unix:///?socket={socket}"
    if tls:
        server += ["--object", f"tls-creds-x509,id=tls,dir={tls},endpoint=server,verify-peer=yes", "--tls-creds", "tls"]
        uri = f"nbds+unix:///?socket={socket}&tls-certificates={tls}"
    with served(server, socket):
        subprocess.run(["truncate", "-s", "4G", copy], check=True)
        peer.run(*copier(way, uri, copy))
    os.unlink(copy)


def one_replication(ours, wire, w, *how):
    enable(w, 60000, *how)
    sent, cpu, begun = sent_bytes(w), daemon_cpu(), time.monotonic()
    w.cli("A", "start", GUEST)
    ours.add(time.monotonic() - begun, daemon_cpu() - cpu)
    wire.add(sent_bytes(w) - sent)
    forget(w)


def one_backup(peer, w):
    backup = Virtnbdbackup(os.path.join(w.dir, "backup"))
    backup.run(peer)
    backup.forget(w)


def limits(w, wire):
    """What has to be written, sent and packed at least."""
    size = int(wire.median())
    return (bounds.disk(w.dir, size), bounds.tls(size), bounds.zstd(bounds.pages(64 * MIB), SIZE // 2), bounds.fsync(w.dir))


def judge(figure, goal, ours, peer, times):
    ratio = beside(peer, ours)["median"]
    figure.goal(goal, f"{quantity(ours.median(), 's')} beside {quantity(peer.median(), 's')}: {number(ratio)} x", ratio >= times)


def measure_in(figure, w):
    _, raw = guest(w, SIZE // MIB, fill=True)
    frozen = os.path.join(w.dir, "frozen.qcow2")
    subprocess.run(["qemu-img", "convert", "-q", "-O", "qcow2", raw, frozen], check=True)
    os.unlink(raw)
    tls = certificates(w)
    ours, wire, raw_wire, off = Samples("initial replication"), Samples("", "B"), Samples("", "B"), Samples("compression off (TLS)")
    over_tls, plain, convert = Samples("nbdcopy over TLS"), Samples("nbdcopy, no TLS"), Samples("qemu-img convert, no TLS")
    backup = Samples("virtnbdbackup, full")
    for _ in range(RUNS):
        one_replication(ours, wire, w)
        one_copy(over_tls, w, frozen, tls=tls)
        one_copy(plain, w, frozen)
        one_replication(off, raw_wire, w, "--no-compression")
        one_copy(convert, w, frozen, "qemu-img")
        one_backup(backup, w)
    figure.row(ours, over_tls, plain, convert, backup, bounds=limits(w, wire))
    figure.row(off, plain)
    judge(figure, "initial replication: twice as fast as nbdcopy over TLS", ours, over_tls, 2)
    judge(figure, "initial replication: 3 x as fast as virtnbdbackup full", ours, backup, 3)
    judge(figure, "initial replication, compression off: as fast as nbdcopy without TLS", off, plain, 1)
    figure.note("CPU seconds are those of both daemons, of nbdcopy and qemu-img with their server, and of virtnbdbackup; QEMU's, which "
                "serves ours and virtnbdbackup's reads, are not known apart. The copies and backups go to a raw file or stream on the same disk; "
                "virtnbdbackup does not wait until its file is on the disk, all others do.")


def measure(figure):
    in_world(figure, measure_in)
