#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest is reset, grows, gets memory and another network address, its host loses power: replication goes on by itself, and a
failover brings up what the guest was at last."""
import os
import re
import signal

from world import GUEST, World

MAC = "52:54:00:12:34:56"
TPM = "<tpm model='tpm-tis'><backend type='emulator' version='2.0'/></tpm>"


def redefine(w, *changes):
    """The definition for the next start, edited."""
    text = w.on("A", "virsh", "-q", "dumpxml", "--inactive", GUEST)
    for pattern, new in changes:
        text, times = re.subn(pattern, new, text)
        w.check(f"the definition has {pattern}", times > 0)
    path = os.path.join(os.environ["LAB_DIR"], "A/disks/new.xml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    w.on("A", "virsh", "-q", "define", path)


def sizes(w, point):
    """Of the disks that a point has, in MiB."""
    out = os.path.join(w.dir, "out-%t.raw")
    w.cli("B", "point", "export", GUEST, point["id"], "--output", out)
    found = {}
    for name in [name for name in os.listdir(w.dir) if name.startswith("out-")]:
        path = os.path.join(w.dir, name)
        found[name[4:-4]] = os.path.getsize(path) >> 20
        os.unlink(path)
    return found


def disks(w, point):
    return set(sizes(w, point))


def newest_size(w, mib):
    return w.until(lambda: sizes(w, w.points()[-1])["vda"] == mib)


def tpm(w, host):
    """What its TPM knows there."""
    path = os.path.join(os.environ["LAB_DIR"], host, "libvirt/swtpm", w.on(host, "virsh", "domuuid", GUEST).strip(), "tpm2/tpm2-00.permall")
    with open(path, "rb") as f:
        return f.read()


def resize(w, size):
    """QEMU refuses it while a cycle's copy is under way."""
    done = w.until(lambda: "error" not in w.on("A", "virsh", "-q", "blockresize", GUEST, "vda", size, check=False))
    w.check(f"blockresize to {size}", done)


def shrink(w, image, size):
    """With QEMU's own tool, which does not wait for a cycle that reads the image."""
    done = w.until(lambda: "lock" not in w.on("A", "qemu-img", "resize", "-q", "--shrink", image, size, check=False))
    w.check(f"qemu-img resize to {size}", done)


def daemon_log(host):
    with open(os.path.join(os.environ["LAB_DIR"], host, "vmreplicad.log"), errors="replace", encoding="utf-8") as f:
        return f.read()


def power_cut(w):
    """Host A stops at once: daemon, libvirtd and QEMU; all of them come back."""
    pid = int(w.status("A")["pid"])
    w.lab("daemon", "A", "kill")
    w.lab("libvirtd", "A", "kill")
    os.kill(pid, signal.SIGKILL)
    w.lab("libvirtd", "A", "start")
    w.until(lambda: "shut off" in w.on("A", "virsh", "domstate", GUEST, check=False))
    w.lab("daemon", "A", "start")


with World("changes") as w:
    w.protect(interval_ms=1000, define=("--size", "128", "--disks", "3"))
    w.check("recovery points appear", w.points_grow(2))

    mark = len(w.lab("console", "A", GUEST))
    w.on("A", "virsh", "-q", "reset", GUEST)
    w.until(lambda: "WRITER resumes" in w.lab("console", "A", GUEST)[mark:])
    w.check("reset, and replication goes on", w.caught_up(60))

    resize(w, "160M")
    w.check("a disk grows, and replication goes on", w.caught_up(60) and newest_size(w, 160))
    large = w.points()[-1]
    resize(w, "144M")
    w.check("it shrinks, and replication goes on", w.caught_up(60) and newest_size(w, 144))

    w.on("A", "virsh", "-q", "detach-disk", GUEST, "vdc", "--persistent")
    w.check("a disk is unplugged, the points that follow do not have it", w.until(lambda: disks(w, w.points()[-1]) == {"vda", "vdb"}))
    w.check("nothing was read again, and replication goes on", w.caught_up(60) and "disks are read" not in daemon_log("A"))
    w.check("older points still have it", disks(w, w.points()[0]) == {"vda", "vdb", "vdc"})

    redefine(w, (r"<memory unit='KiB'>\d+</memory>", "<memory unit='KiB'>300000</memory>"),
             (r"<mac address='[^']*'/>", f"<mac address='{MAC}'/>"), ("</devices>", f"{TPM}</devices>"))
    w.on("A", "virsh", "-q", "destroy", GUEST, "--graceful")
    w.check("off with another definition, and what it wrote last arrives", w.caught_up(60))
    image = re.search(r"vda\s+(\S+)", w.on("A", "virsh", "domblklist", GUEST)).group(1)
    shrink(w, image, "128M")
    w.check("a disk shrinks while the guest is off", newest_size(w, 128))
    w.check("points from before keep its size", sizes(w, large)["vda"] == 160)
    w.check("it is said, and nothing was read again",
            daemon_log("A").count("disk 'vda' has shrunk") == 2 and "disks are read" not in daemon_log("A"))
    w.check("started with it", w.started())
    w.check("and replication goes on", w.caught_up(60))

    w.lab("libvirtd", "A", "restart")
    w.check("libvirtd starts again, and replication goes on", w.caught_up(90))

    before = len(w.points())
    power_cut(w)
    w.check("its host lost power, the guest starts again", w.started())
    w.check("read again, and replication goes on", w.caught_up())
    w.check("the points from before are still there", len(w.points()) >= before)
    w.check("every point is gap-free", all(w.records(p) >= 0 for p in w.points()[::5]))

    w.on("A", "virsh", "-q", "destroy", GUEST)
    w.on("A", "virsh", "-q", "domrename", GUEST, "webserver")
    w.start("webserver")
    w.check("renamed, and the replica's guest follows", w.until(lambda: "webserver" in w.on("B", "virsh", "list", "--all", "--name")))
    w.on("A", "virsh", "-q", "destroy", "webserver")
    w.on("A", "virsh", "-q", "domrename", "webserver", GUEST)
    w.start()
    w.check("and back", w.until(lambda: GUEST in w.on("B", "virsh", "list", "--all", "--name").split()))
    w.on("A", "virsh", "-q", "destroy", GUEST)
    w.cli("A", "prepare", GUEST)  # what the guest and its TPM wrote since is in a last log, which has arrived
    w.cli("B", "failover", GUEST)
    xml = w.on("B", "virsh", "dumpxml", "--inactive", GUEST)
    w.check("the replica has the new memory and network address", "300000" in xml and MAC in xml, xml[:300])
    seeds = tpm(w, "A")
    w.check("and the state of the TPM", tpm(w, "B") == seeds)
    w.on("B", "virsh", "-q", "start", GUEST)
    w.check("with which it starts", "running" in w.on("B", "virsh", "domstate", GUEST))
    w.on("B", "virsh", "-q", "destroy", GUEST)
    w.cli("B", "revert", GUEST)
