# SPDX-License-Identifier: LGPL-2.1-or-later
"""Figures with two hosts of the lab, their daemons and a guest: what they share."""
import json
import os
import random
import re
import subprocess
import sys
import traceback

from harness import GIB, PAGE, TOP, cpu_of

sys.path.append(os.path.join(TOP, "tests/lab"))
from world import CLI, GUEST, World, credentials  # noqa: E402,F401


def in_world(figure, function, *args):
    """The lab's world ends the process that made it, so that is a child; what the figure has learnt comes back through a pipe."""
    from_child, to_parent = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(from_child)
        with World("bench-" + figure.name) as w:
            try:
                function(figure, w, *args)
            except BaseException:
                traceback.print_exc()
                raise
            with os.fdopen(to_parent, "w", encoding="utf-8") as f:
                json.dump(figure.result, f)
        os._exit(0)
    os.close(to_parent)
    with os.fdopen(from_child, encoding="utf-8") as f:
        text = f.read()
    if os.waitpid(child, 0)[1] or not text:
        raise RuntimeError(f"{figure.name}: its world ended early")
    figure.result.update(json.loads(text))


def lab_path(*parts):
    return os.path.join(os.environ["LAB_DIR"], *parts)


def daemon_pids():
    pids = []
    for host in ("A", "B"):
        with open(lab_path(host, "vmreplicad.pid"), encoding="ascii") as f:
            pids.append(int(f.read().split()[0]))
    return pids


def daemon_cpu():
    """CPU seconds of both daemons so far."""
    return cpu_of(*daemon_pids())


def cable_bytes(w):
    """Over the cable from A to B so far and from B to A, all connections."""
    rows = [line.split() for line in w.on("A", "cat", "/proc/net/dev").splitlines() if ":" in line and not line.strip().startswith("lo:")]
    return sum(int(row[9]) for row in rows), sum(int(row[1]) for row in rows)


def sent_bytes(w):
    return cable_bytes(w)[0]


class Cycles:
    """What the primary's log says of cycles since this object was made or was asked last."""
    BEGINS, ENDS = re.compile(r"a cycle begins (-?[\d.]+) ms after"), re.compile(r"is with the replica ([\d.]+) ms after its cycle began")

    def __init__(self):
        self.path = lab_path("A", "vmreplicad.log")
        self.at = os.path.getsize(self.path)
        self.text = ""

    def read(self):
        with open(self.path, encoding="utf-8", errors="replace") as f:
            f.seek(self.at)
            self.text += f.read()
            self.at = f.tell()
        return self

    def late(self):
        """Seconds between the time at which each was due and its begin."""
        return [float(t) / 1000 for t in self.BEGINS.findall(self.read().text)]

    def lengths(self):
        """Seconds from the begin of each to the replica's durable answer."""
        return [float(t) / 1000 for t in self.ENDS.findall(self.read().text)]


def fill_half(raw, size):
    """Stripes of 16 MiB: one of data (half of each page random, half zeros), one that stays a hole."""
    with open(raw, "wb") as f:
        f.truncate(size)
        for at in range(0, size, 32 << 20):
            f.seek(at)
            f.write(b"".join(os.urandom(PAGE // 2) + bytes(PAGE // 2) for _ in range((16 << 20) // PAGE)))


def guest(w, size_mb, writer="0", fill=False, define=()):
    """A running guest on A whose first disk has that size; its image, and with `fill` a raw file with the same content."""
    w.connect()
    w.lab("guest-define", "A", GUEST, "--writer", writer, "--size", str(size_mb), *define)
    image = lab_path("A/disks", GUEST + "-vda.qcow2")
    raw = image + ".raw" if fill else None
    if fill:
        fill_half(raw, size_mb << 20)
        subprocess.run(["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, image], check=True)
    subprocess.run(["chmod", "666", image], check=True)
    w.on("A", "virsh", "-q", "start", GUEST)
    w.until(lambda: "GUEST-UP" in w.lab("console", "A", GUEST))
    return image, raw


def enable(w, interval_ms, *how):
    w.cli("A", "enable", GUEST, "--to", "hostb.lab", "--interval-ms", str(interval_ms), "--history", "4", "--keep-every", "6h", *how)


def forget(w):
    w.cli("A", "disable", GUEST)
    w.cli("B", "disable", GUEST)
    w.on("B", "sh", "-c", f"virsh -q undefine {GUEST}; rm -rf /var/lib/vmreplica/replicas/vmreplica; rm -f /var/lib/vmreplica/fences/*")


FILES = 512  # with other pages each; so many of them that hardly a frame holds one twice


def random_pages(pages, size=4 * GIB):
    """{page number: its new content} of a disk, in order of the disk."""
    contents = [os.urandom(PAGE // 2) + bytes(PAGE // 2) for _ in range(FILES)]
    return {a: contents[i % FILES] for i, a in enumerate(sorted(random.sample(range(size // PAGE), pages)))}


def write_pages(w, host, pages):
    """To vda of the guest that runs there, through QEMU (qemu-io in its monitor), in random order, then flushed."""
    query = w.on(host, "virsh", "qemu-monitor-command", GUEST, '{"execute":"query-block"}')
    node, files = json.loads(query)["return"][0]["qdev"], {}
    for page in pages.values():
        if page not in files:
            files[page] = lab_path("A/disks", f"page{len(files)}")
            with open(files[page], "wb") as f:
                f.write(page)
            os.chmod(files[page], 0o644)
    orders = [f"write -q -s {files[pages[a]]} {a * PAGE} {PAGE}" for a in random.sample(list(pages), len(pages))] + ["flush"]
    lines = "".join(f"qemu-monitor-command {GUEST} --hmp 'qemu-io -d {node} \"{order}\"'\n" for order in orders)
    subprocess.run([os.path.join(TOP, "tools/lab/lab"), "exec", host, "virsh", "-q"], input=lines, text=True, check=True,
                   stdout=subprocess.DEVNULL)


def rewrite(w, pages, size=4 * GIB):
    """Random pages of vda of the guest on A; their content in order."""
    written = random_pages(pages, size)
    write_pages(w, "A", written)
    return b"".join(written.values())


def compressed(content):
    """Bytes that zstd -1 makes of the content in pieces as long as our frames."""
    total = 0
    for at in range(0, len(content), 64 << 10):
        piece = content[at:at + (64 << 10)]
        total += len(subprocess.run(["zstd", "-1", "-q", "-c"], input=piece, check=True, stdout=subprocess.PIPE).stdout)
    return total
