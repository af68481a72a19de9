# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the time goes: cycles with dirty data, receiving and merging, reading a point (perf, cpu-clock)"""
import os
import re
import subprocess

from harness import BUILD, MIB, built, folder, served
from figures.view import real_files, store

NEEDS = {"perf", "nbdkit", "nbdcopy", "fio"}
LONG = True
SECONDS = 8
TOP_COSTS = 8
FRAME = re.compile(r"^\s*[0-9a-f]+ (.+?)(?:\+0x[0-9a-f]+)? \((.*?)\)$")
CALL = re.compile(r"(?:__(?:x64|do|se)_sys_|ksys_)(\w+)$")
LIBRARIES = {"libzstd": "zstd", "liblz4": "LZ4", "libgnutls": "TLS", "libnettle": "TLS", "libhogweed": "TLS", "libxxhash": "hashes",
             "libc": "C library", "libglib-2": "GLib", "libsqlite3": "SQLite", "libnbd": "libnbd"}


def recorded(file, pid, *argv):
    """Samples of the process while the command runs; each is its frames, (function, file), the innermost first."""
    subprocess.run(["perf", "record", "-q", "-g", "-e", "cpu-clock", "-F", "497", "-p", str(pid), "-o", file, "--", *argv],
                   check=False, stdout=subprocess.DEVNULL)  # when the process ends first, perf ends by the signal that stops the command
    out = subprocess.run(["perf", "script", "-i", file, "-F", "ip,sym,dso"], text=True, check=True, stdout=subprocess.PIPE).stdout
    samples = ([m.groups() for m in map(FRAME.match, block.splitlines()) if m] for block in out.split("\n\n"))
    return [s for s in samples if s]


def kind(frames):
    """What a sample was spent on: a system call, a library, or our program."""
    symbol, file = frames[0]
    if not file.startswith("[") or file == "[vdso]":
        library = os.path.basename(file).split(".")[0]
        return LIBRARIES.get(library, library), symbol
    call = next((m[1] for m in (CALL.search(name) for name, _ in frames) if m), None)  # some are inlined: what called them
    if not call and any("do_syscall" in name for name, _ in frames):
        call = next((re.sub("^(__GI_|_*libc_|_)+", "", name) for name, file in frames if not file.startswith("[")), None)
    faults = any("page_fault" in name for name, _ in frames)
    return (f"kernel: {call}" if call else "kernel: page faults" if faults else "kernel: interrupts, switching"), symbol


def table(figure, title, samples):
    """The dearest kinds, with the functions that most of each was spent in."""
    costs = {}
    for what, symbol in map(kind, samples):
        inside = costs.setdefault(what, {})
        inside[symbol] = inside.get(symbol, 0) + 1
    rows = []
    for what, inside in sorted(costs.items(), key=lambda c: -sum(c[1].values()))[:TOP_COSTS]:
        named = [n for n in sorted(inside, key=lambda n: -inside[n]) if n != "[unknown]"][:3]
        rows.append([f"{sum(inside.values()) / len(samples):.0%}", what, ", ".join(named)])
    figure.table(f"{title} ({len(samples):,} samples)", ["share", "what", "mostly in"], rows)


def until_line(process, word):
    for line in process.stdout:
        if line.startswith(word):
            return line.split()[1:]
    raise RuntimeError("the program ended before it was ready")


def cycles(figure, top):
    socket = os.path.join(top, "nbd")
    with served(["nbdkit", "-f", "-U", socket, "pattern", "size=4G"], socket):
        argv = [built("bench/fleet"), "4", "500", str(2 * SECONDS), "2000", socket]
        with subprocess.Popen(argv, text=True, stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": top}) as fleet:
            pids = until_line(fleet, "steady")
            for name, pid in zip(("primary", "replica"), pids):
                costs = recorded(os.path.join(top, name), pid, "sleep", str(SECONDS // 2))
                table(figure, f"Cycles of 4 guests, 2,000 random pages each, twice a second: the {name}", costs)
            fleet.communicate()


def merging(figure, top):
    with subprocess.Popen([built("bench/merge"), top, "128"], text=True, stdout=subprocess.PIPE) as merge:
        until_line(merge, "made")
        costs = recorded(os.path.join(top, "perf"), merge.pid, "sleep", "60")
    table(figure, "Receiving 128 points of 1,000 random pages, and merging them into the base and with one another", costs)


def views(figure, top):
    image, path, socket = (os.path.join(top, n) for n in ("image", "store", "nbd"))
    real_files(image)
    store(path, image, 64)
    plugin, uri = os.path.join(BUILD, "plugin/nbdkit-vmreplica-plugin.so"), f"nbd+unix:///?socket={socket}"
    order = ["sh", "-c", f"for i in 1 2 3 4 5; do nbdcopy '{uri}' null:; done"]
    random = ["fio", "--name=r", "--ioengine=nbd", "--uri=" + uri, "--rw=randread", "--bs=4k", "--iodepth=16", f"--runtime={SECONDS // 2}",
              "--time_based", "--randrepeat=0"]
    with served(["nbdkit", "-f", "-U", socket, plugin, "store=" + path], socket) as pid:
        for name, argv in (("in order", order), ("4 KiB at random", random)):
            costs = recorded(os.path.join(top, "perf"), pid, *argv)
            table(figure, f"Reading a point in a log through nbdkit, {os.path.getsize(image) // MIB} MiB, {name}", costs)


def measure(figure):
    for part in (cycles, merging, views):
        with folder("profile") as top:
            part(figure, top)
