# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real daemon for one test: temporary folders, libvirt's test driver behind it, users, certificates, free ports.  It ends with the test,
also when that is killed.  TAP on standard output.

    with Daemon(BUILD) as d:
        check("it answers", ...)
    done()
"""
import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

HOST = "hosta.example"
USER, PASSWORD = "boss", "pass:word"
READER = "looker"
CONFIG = """[daemon]
host_name = {host}
state_dir = {dir}/state
runtime_dir = {dir}/run
libvirt_uri = test:///default
log_level = debug
[api]
port = {port}
tls_listen = 127.0.0.1
tls_port = {tls_port}
users = {dir}/users
{api}[tls]
certificate = {dir}/ca/{host}.pem
key = {dir}/ca/{host}-key.pem
ca = {dir}/ca/ca.pem
[replication]
listen = 127.0.0.1
scratch_dir = {dir}/scratch
"""
count = failed = 0


def check(what, good, detail=""):
    global count, failed
    count += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {count} - {what}", flush=True)
    if not good and detail != "":
        print("# " + str(detail)[:2000].replace("\n", "\n# "), flush=True)


def done():
    print(f"1..{count}", flush=True)
    sys.exit(1 if failed or not count else 0)


def skip(why):
    print(f"1..0 # SKIP {why}", flush=True)
    sys.exit(0)


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Daemon:
    def __init__(self, build, api="", env=None):
        self.api, self.env = api, env or {}  # more lines of its section [api]; more variables of its environment
        self.binary = os.path.join(build, "src/daemon/vmreplicad")
        self.cli = os.path.join(build, "src/cli/vmreplica")
        self.dir = tempfile.mkdtemp(prefix="vmr-api-")
        self.process = None
        # Ends when this end of its standard input does, however this process ends.
        self.cleaner = subprocess.Popen(["sh", "-c", 'cat >/dev/null; rm -rf "$1"', "sh", self.dir], stdin=subprocess.PIPE,
                                        start_new_session=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def run(self, *argv):
        subprocess.run([self.cli, *argv], cwd=self.dir, check=True, stdout=subprocess.DEVNULL)

    def prepare(self):
        os.chmod(self.dir, 0o755)
        with open(os.path.join(self.dir, "password"), "w") as f:
            f.write(PASSWORD + "\n")
        self.run("pki", "init", "ca")
        self.run("pki", "issue", "ca", HOST, "localhost", "127.0.0.1")
        for user, role in ((USER, "admin"), (READER, "reader")):
            self.run("user", "add", user, "--role", role, "--password-file", "password", "--file", os.path.join(self.dir, "users"))

    def start(self):
        """True once every door is open; False: somebody took the port between our look and the daemon's."""
        self.port, self.tls_port = free_port(), free_port()
        config = os.path.join(self.dir, "vmreplica.conf")
        with open(config, "w") as f:
            f.write(CONFIG.format(dir=self.dir, host=HOST, port=self.port, tls_port=self.tls_port, api=self.api))
        ready, self.notify = self.ready_socket()
        with ready, open(os.path.join(self.dir, "log"), "w") as log:
            env = dict(os.environ, NOTIFY_SOCKET=self.notify, **self.env)
            self.process = subprocess.Popen([self.binary, "--config", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                            preexec_fn=die_with_parent)
            end = time.monotonic() + 60
            while self.process.poll() is None and time.monotonic() < end:
                try:
                    if b"READY=1" in ready.recv(4096):
                        return True
                except TimeoutError:
                    continue
        self.stop()
        return False

    def ready_socket(self):
        path = os.path.join(self.dir, "notify")
        if os.path.exists(path):
            os.unlink(path)
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(path)
        ready.settimeout(0.5)
        return ready, path

    def __enter__(self):
        try:
            self.prepare()
            if not any(self.start() for _ in range(5)):
                raise RuntimeError(f"vmreplicad does not start: {self.log()}")
        except BaseException:
            self.cleaner.communicate()
            raise
        return self

    def __exit__(self, kind, why, trace):
        if kind and kind is not SystemExit:
            print(f"# the daemon's last words: {self.log()[-2000:]}".replace("\n", "\n# "), flush=True)
        status = self.stop()
        log = self.log()
        self.cleaner.communicate()
        if not kind:
            check("the daemon ends in order", status == 0, f"status {status}\n{log[-4000:]}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def log(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as f:
            return f.read()

    def alive(self):
        return self.process.poll() is None

    def memory_kib(self):
        """The most that the daemon ever had in memory."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:"))
