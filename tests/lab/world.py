# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two hosts (three if asked for), their daemons, one guest that writes: what the behaviour tests of this folder share.  TAP on standard
output.

    with World("outage") as w:
        w.protect(interval_ms=1000)
        w.check("points appear", w.points_grow(3))
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
BUILD = os.path.realpath(os.environ["VMR_BUILD"])
LAB = os.path.join(TOP, "tools/lab/lab")
CLI = os.path.join(BUILD, "src/cli/vmreplica")
VERIFY = os.path.join(BUILD, "tools/lab/verify")
GUEST = "web"
PKI = "/etc/vmreplica/pki"
PATIENCE_S = 150  # only a failure lasts so long: an emulated guest and a disk that stands still for a while need it


def credentials(host):
    """Options of a verb that drives both hosts: who it is on the other one."""
    return ("--ca", f"{PKI}/ca.pem", "--cert", f"{PKI}/host{host}.lab.pem", "--key", f"{PKI}/host{host}.lab-key.pem")


class World:
    def __init__(self, name, third=False):
        self.hosts = ("A", "B", "C") if third else ("A", "B")
        self.dir = tempfile.mkdtemp(prefix=f"vmr-{name}-")
        os.chmod(self.dir, 0o755)
        os.environ["LAB_DIR"] = os.path.join(self.dir, "lab")
        self.count = self.failed = 0

    def __enter__(self):
        if os.geteuid() != 0:
            print("1..0 # SKIP needs root")
            sys.exit(0)
        third = ["--third"] if "C" in self.hosts else []
        up = subprocess.run([LAB, "up", "--owner", str(os.getpid()), *third], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if up.returncode == 77:
            print(f"1..0 # SKIP {up.stdout.strip()}")
            sys.exit(0)
        if up.returncode:
            sys.exit(f"Bail out! lab up: {up.stdout}")
        return self

    def __exit__(self, kind, why, trace):
        if kind and kind is not SystemExit:
            print(f"not ok {self.count + 1} - {kind.__name__}: {why}".replace("\n", " "))
            self.count += 1
            self.failed += 1
            for host in self.hosts:
                with open(os.path.join(os.environ["LAB_DIR"], host, "vmreplicad.log"), errors="replace") as log:
                    for line in [line for line in log.read().splitlines() if " debug: " not in line][-15:]:
                        print(f"# {host}: {line[:300]}")
        subprocess.run([LAB, "down"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", self.dir])
        print(f"1..{self.count}", flush=True)
        if kind is not SystemExit:
            os._exit(1 if self.failed else 0)

    def check(self, what, good, detail=""):
        self.count += 1
        if not good:
            self.failed += 1
        print(f"{'ok' if good else 'not ok'} {self.count} - {what}" + (f" # {detail}" if detail and not good else ""), flush=True)

    def covers(self, operation, disturbance, outcome):
        """A line of docs/lifecycle.md, which tests/structure/lifecycle.py makes: after the check that proves it."""
        print(f"# covers: {operation} | {disturbance} | {outcome}", flush=True)

    def lab(self, *argv, check=True):
        done = subprocess.run([LAB, *argv], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if check and done.returncode:
            raise RuntimeError(f"lab {' '.join(argv)}: {done.stdout}")
        return done.stdout

    def on(self, host, *argv, check=True):
        return self.lab("exec", host, *argv, check=check)

    def cli(self, host, *argv):
        return self.on(host, CLI, *argv)

    def status_of(self, host, *argv):
        """Exit status and words of a client call that may be refused."""
        done = subprocess.run([LAB, "exec", host, CLI, *argv], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def until(self, condition, seconds=PATIENCE_S):
        end = time.monotonic() + seconds
        while True:
            value = condition()
            if value or time.monotonic() > end:
                return value
            time.sleep(0.2)

    def daemons(self):
        self.lab("pki")
        for host in self.hosts:
            self.lab("daemon", host, "start")

    def connect(self, location=None):
        self.daemons()
        self.cli("B", "server", "--enable")
        self.cli("B", "authorize", "add", "hosta.lab", *(["--location", location] if location else []))

    def befriend(self):
        """Each host's certificate is a user of the other's API, and each takes the other's replicas; after connect()."""
        for me, other in (("A", "b"), ("B", "a")):
            self.on(me, "cp", "-n", f"{self.dir}/lab/pki/host{other}.lab.pem", f"{PKI}/peer.pem")
            self.cli(me, "user", "add", f"host{other}", "--certificate", f"{PKI}/peer.pem")
        self.cli("A", "server", "--enable")
        self.cli("A", "authorize", "add", "hostb.lab")

    def configure(self, host, group, line):
        """A file beside that host's configuration, for its next daemon; its path."""
        folder = os.path.join(os.environ["LAB_DIR"], host, "vmreplica-etc/conf.d")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, "test.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"[{group}]\n{line}\n")
        return path

    def protect(self, interval_ms=1000, writer="100", location=None, define=()):
        self.connect(location)
        self.lab("guest-define", "A", GUEST, "--writer", writer, "--start", *define)
        self.until(lambda: "WRITER resumes" in self.lab("console", "A", GUEST))
        self.cli("A", "enable", GUEST, "--to", "hostb.lab", "--interval-ms", str(interval_ms), "--history", "4", "--keep-every", "1h")
        self.cli("A", "start", GUEST)

    def start(self, name=GUEST):
        """With libvirt's own tools, which do not wait for a cycle that reads the images of a guest that is off."""
        self.until(lambda: "error" not in self.on("A", "virsh", "-q", "start", name, check=False))

    def started(self):
        """The guest is started again on host A; true once its writer has found its place."""
        mark = len(self.lab("console", "A", GUEST))
        self.start()
        return self.until(lambda: "WRITER resumes" in self.lab("console", "A", GUEST)[mark:], 180)

    def status(self, host):
        return json.loads(self.cli(host, "status", GUEST, "--json"))[0]

    def issues(self, host, but=()):
        """Ids of what its health has to say, `but` some.  Cycles that had to wait on purpose leave "missed-cycles" behind for long."""
        return {issue["id"] for issue in self.status(host)["issues"]} - set(but)

    def points(self, host="B"):
        return json.loads(self.cli(host, "points", GUEST, "--json"))

    def points_grow(self, by, seconds=PATIENCE_S):
        """True once there are `by` more recovery points than now."""
        before = {p["id"] for p in self.points()}
        return self.until(lambda: len({p["id"] for p in self.points()} - before) >= by, seconds)

    def records(self, point, host="B"):
        """Number of records that both disks of a recovery point hold without a gap; -1: there is a gap."""
        pattern = os.path.join(self.dir, point["id"] + "-%t.raw")
        self.cli(host, "point", "export", GUEST, point["id"], "--disks", "vda,vdb", "--output", pattern)
        images = [pattern.replace("%t", disk) for disk in ("vda", "vdb")]
        done = subprocess.run([VERIFY, "--json", *images], text=True, stdout=subprocess.PIPE)
        for image in images:
            os.unlink(image)
        found = json.loads(done.stdout)
        return found["records"] if found["ok"] else -1

    def newest_is_whole(self, at_least=1):
        return self.records(self.points()[-1]) >= at_least

    def writer_at(self, host="A"):
        """The record that the guest's writer told last on its console."""
        told = re.findall(r"WRITER (?:at|resumes at) (\d+)", self.lab("console", host, GUEST))
        return int(told[-1]) if told else 0

    def writer_took(self, host="A"):
        """How long the guest's writes (--writer max) took so far: {microseconds, rounded down to a bucket: how many}."""
        counts = {}
        for line in re.findall(r"^WRITER us((?: \d+:\d+)+)\s*$", self.lab("console", host, GUEST), re.MULTILINE):
            for us, count in (bucket.split(":") for bucket in line.split()):
                counts[int(us)] = counts.get(int(us), 0) + int(count)
        return counts

    def caught_up(self, seconds=PATIENCE_S):
        """A point appears that holds every record which the writer had told before this call."""
        mark = self.writer_at() - 1
        return self.until(lambda: self.records(self.points()[-1]) >= mark, seconds)
