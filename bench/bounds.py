# SPDX-License-Identifier: LGPL-2.1-or-later
"""What this machine can do at best, one part of the work alone: disk, TLS, zstd, fsync.  Taken in the run of the figure that it stands
beside.  Each returns Samples in seconds for `size` bytes; more than PIECE are reckoned from the time of PIECE, and the name says so."""
import os
import re
import socket
import ssl
import subprocess
import tempfile
import time

from harness import BUILD, MIB, PAGE, RUNS, Samples

PIECE = 256 * MIB
SPEEDS = re.compile(r"([\d.]+) MB/s,? +([\d.]+) MB/s")


def pages(size):
    """Half of each page random, as the other figures fill their disks."""
    block = b"".join(os.urandom(PAGE // 2) + bytes(PAGE // 2) for _ in range(min(size, 16 * MIB) // PAGE))
    return block * max(size // len(block), 1)


def named(what, size):
    return f"{what} of {size / MIB:.0f} MiB" + (f", by the speed of {PIECE // MIB}" if size > PIECE else "")


def disk(folder, size):
    """Written in order past the page cache, durable in the end."""
    samples, piece = Samples(named("dd direct with fsync", size)), max(min(size, PIECE), MIB)
    with tempfile.TemporaryDirectory(dir=folder) as top:
        source, target = os.path.join(top, "source"), os.path.join(top, "target")
        with open(source, "wb") as f:
            f.write(pages(piece))
        for _ in range(RUNS):
            samples.run("dd", "if=" + source, "of=" + target, "bs=1M", "oflag=direct", "conv=fsync", stderr=subprocess.DEVNULL)
            os.unlink(target)
    return scaled(samples, size / piece)


def disk_read(path):
    """A whole file in order, past the page cache."""
    samples = Samples(named("dd direct, reading", os.path.getsize(path)).split(", by")[0])
    for _ in range(RUNS):
        samples.run("dd", "if=" + path, "of=/dev/null", "bs=1M", "iflag=direct", stderr=subprocess.DEVNULL)
    return samples


def scaled(samples, factor):
    samples.values = [v * factor for v in samples.values]
    samples.cpu = [v * factor for v in samples.cpu]
    return samples


def certificate(folder):
    """Of our own small CA, for localhost: certificate, key."""
    for argv in (["init", folder], ["issue", folder, "localhost"]):
        subprocess.run([os.path.join(BUILD, "src/cli/vmreplica"), "pki", *argv], check=True, stdout=subprocess.DEVNULL)
    return os.path.join(folder, "localhost.pem"), os.path.join(folder, "localhost-key.pem")


def send_tls(door, context, size):
    """The other process."""
    data = memoryview(os.urandom(MIB))
    connection, _ = door.accept()
    with context.wrap_socket(connection, server_side=True) as s:
        while size > 0:
            s.sendall(data)
            size -= len(data)
        s.recv(1)
    os._exit(0)


def stream_tls(server, client, size):
    buffer, got = memoryview(bytearray(MIB)), 0
    with socket.create_server(("127.0.0.1", 0)) as door:
        child = os.fork()
        if child == 0:
            send_tls(door, server, size)
        with client.wrap_socket(socket.create_connection(door.getsockname())) as s:
            while got < size:
                got += s.recv_into(buffer)
            s.send(b".")
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("the sender of the TLS stream failed")


def tls(size):
    """One stream over loopback to another process, TLS 1.3 (OpenSSL)."""
    samples, piece = Samples(named("one TLS stream", size)), max(min(size, PIECE) // MIB * MIB, MIB)
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with tempfile.TemporaryDirectory() as top:
        server.load_cert_chain(*certificate(os.path.join(top, "pki")))
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    for _ in range(RUNS):
        samples.time(stream_tls, server, client, piece)
    return scaled(samples, size / piece)


def zstd(content, size=None, unpack=False, block=None):
    """One processor with zstd -1 in memory (zstd -b1), on these bytes; size: as many of their kind; block: each so many bytes alone."""
    size = size or len(content)
    alone = [f"-B{block}"] if block else []
    frames = f" in frames of {block >> 10} KiB" if block else ""
    samples = Samples(f"zstd {'-d' if unpack else '-1'} of {size / MIB:.0f} MiB{frames}, one processor")
    with tempfile.NamedTemporaryFile() as f:
        f.write(content[:PIECE])
        f.flush()
        for _ in range(RUNS):
            done = subprocess.run(["zstd", "-b1", "-i0", *alone, f.name], check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            samples.add(size / 1e6 / float(SPEEDS.findall(done.stdout)[-1][1 if unpack else 0]))
    return samples


def fsync(folder, times=1):
    """Of a file that has grown by a page; `times` of them one after the other."""
    samples = Samples(f"{times} x fsync of 4 KiB" if times > 1 else "fsync of 4 KiB")
    with tempfile.NamedTemporaryFile(dir=folder) as f:
        for _ in range(10 * RUNS):
            begun = time.monotonic()
            for _ in range(times):
                f.write(os.urandom(PAGE))
                f.flush()
                os.fsync(f.fileno())
            samples.add(time.monotonic() - begun)
    return samples
