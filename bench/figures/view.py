# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reading a recovery point that is still in a compressed log, and the size of frames"""
import glob
import json
import os
import subprocess
import tarfile

import bounds
from harness import BUILD, MIB, RUNS, Samples, built, folder, served

NEEDS = {"nbdkit", "nbdcopy", "fio"}
LONG = False
SIZE = int(os.environ.get("BENCH_IMAGE_MIB", "512")) * MIB
FRAMES_KIB = (16, 32, 64, 128, 256, 1024)
OURS = 64


class Full(Exception):
    pass


class Limited:
    """What tarfile writes to, until the image is full."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        left = SIZE - self.file.tell()
        self.file.write(data[:left])
        if left <= len(data):
            raise Full
        return len(data)


def real_files(path):
    """An image of what this system's /usr holds: programs, libraries, documents."""
    with open(path, "wb") as f:
        try:
            with tarfile.open(fileobj=Limited(f), mode="w|", copybufsize=1 << 16) as tar:
                for name in ("/usr/lib", "/usr/share", "/usr/bin"):
                    tar.add(name)
        except Full:
            pass
        f.truncate(SIZE)


def sample(image):
    """Pieces from all over it: what the image begins with packs much better than the rest."""
    pieces = []
    with open(image, "rb") as f:
        for at in range(0, SIZE, SIZE // 64):
            f.seek(at)
            pieces.append(f.read(MIB))
    return b"".join(pieces)


def store(path, image, frame_kib, level=1):
    """(bytes of the log, raw bytes)"""
    out = subprocess.run([built("bench/view"), "image", path, image, str(frame_kib << 10), str(level)], check=True, text=True,
                         stdout=subprocess.PIPE).stdout
    return [int(n) for n in out.split()]


def read(path, *how):
    out = subprocess.run([built("bench/view"), "read", path, *how], check=True, text=True, stdout=subprocess.PIPE).stdout
    return [float(n) for n in out.split()]


def frames(figure, top, image):
    size, sequential, alone = [], [], []
    rows = []
    for kib in FRAMES_KIB:
        path = os.path.join(top, f"frames-{kib}")
        log, raw = store(path, image, kib)
        speed = sorted(raw / MIB / read(path, "2", "sequential")[1] for _ in range(3))[1]
        cost = sorted(read(path, "1", "unpack", "2")[1] for _ in range(3))[1]
        size.append((kib, log / raw))
        sequential.append((kib, speed))
        alone.append((kib, 1 / cost * 1000))
        rows.append([f"{kib} KiB", f"{log / raw:.4f}", f"{log / raw / size[0][1]:.3f}", f"{speed:.0f}", f"{1000 / cost:,.0f}"])
        if kib != OURS:
            subprocess.run(["rm", "-rf", path], check=True)
    figure.table("Frame sizes, zstd 1, files of /usr; per second of one processor, so that other work on the machine counts little",
                 ["frame", "wire and store, of raw", "of 16 KiB frames", "MiB in order", "reads of 4 KiB at random that unpack"], rows)
    figure.curve("Bytes on the wire and in the store by size of frames", "frame, KiB", "compressed / raw", ratio=size)
    figure.curve("Reading in order by size of frames", "frame, KiB", "MiB per CPU second", sequential=sequential)
    figure.curve("Random reads of 4 KiB by size of frames", "frame, KiB", "reads per CPU second", random=alone)
    return os.path.join(top, f"frames-{OURS}")


def forget(path):
    """Out of the page cache with a file, or with all files of a folder."""
    for name in [path, *glob.glob(os.path.join(glob.escape(path), "**"), recursive=True)]:
        if os.path.isfile(name):
            with open(name, "rb") as f:
                os.fsync(f.fileno())
                os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def fio(uri, samples):
    out = subprocess.run(["fio", "--name=r", "--ioengine=nbd", "--uri=" + uri, "--rw=randread", "--bs=4k", "--iodepth=16", "--runtime=4",
                          "--time_based", "--randrepeat=0", "--output-format=json"], check=True, text=True, stdout=subprocess.PIPE).stdout
    samples.add(json.loads(out[out.index("{"):])["jobs"][0]["read"]["iops"])


def through_nbdkit(figure, top, image, path):
    plugin = os.path.join(BUILD, "plugin/nbdkit-vmreplica-plugin.so")
    based = os.path.join(top, "based")
    subprocess.run(["cp", "-a", path, based], check=True)
    subprocess.run([built("bench/view"), "apply", based], check=True, stdout=subprocess.DEVNULL)
    socket = os.path.join(top, "nbd")
    uri = f"nbd+unix:///?socket={socket}"
    servers = {"in a log": [plugin, "store=" + path], "in the base": [plugin, "store=" + based], "nbdkit file": ["file", image]}
    files = {"in a log": path, "in the base": based, "nbdkit file": image}
    order, alone, cold = ({n: Samples(n, "s") for n in servers} for _ in range(3))
    random = {n: Samples(n, "reads/s") for n in servers}
    for _ in range(RUNS):
        for name, argv in servers.items():
            with served(["nbdkit", "-f", "-U", socket, *argv], socket):
                order[name].run("nbdcopy", uri, "null:")
                fio(uri, random[name])
            with served(["nbdkit", "-f", "-U", socket, *argv], socket):
                alone[name].run("nbdcopy", "--connections=1", "--requests=1", uri, "null:")
            forget(files[name])
            with served(["nbdkit", "-f", "-U", socket, *argv], socket):
                cold[name].run("nbdcopy", uri, "null:")
    limits = (bounds.zstd(sample(image), SIZE, unpack=True, block=OURS << 10), bounds.disk_read(image))
    for name in ("in a log", "in the base"):
        order[name].name = f"nbdcopy to null of {SIZE // MIB} MiB {name}"
        figure.row(order[name], order["nbdkit file"], bounds=limits, reached=order[name].median() <= order["nbdkit file"].median() / 0.7,
                   goal=f"point {name}: >= 70 % of nbdkit's file plugin, in order (time <= 1.43)")
        for samples, how in ((alone, "one request at a time"), (cold, "nothing in the page cache")):
            samples[name].name = f"the same {name}, {how}"
            figure.row(samples[name], samples["nbdkit file"])
        random[name].name = f"random 4 KiB {name}"
        figure.row(random[name], random["nbdkit file"], goal=f"point {name}: >= 50 % of nbdkit's file plugin, random 4 KiB",
                   reached=random[name].median() >= random["nbdkit file"].median() / 2)


def measure(figure):
    with folder("view") as top:
        image = os.path.join(top, "image")
        real_files(image)
        through_nbdkit(figure, top, image, frames(figure, top, image))
