#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""pam_test.py BUILD: users whose password PAM knows, against the daemon: a real PAM stack with service files of our own."""
import base64
import http.client
import os
import stat
import subprocess
import sys
import threading
import time

from daemon import Daemon, PASSWORD, USER, check, done

PATH = "/api/v1/root/virtualization/v2/Msvm_ReplicationService"
BUILD = os.path.abspath(sys.argv[1])
HELPER = os.path.join(BUILD, "src/pam/vmreplica-pam-helper")
SERVICES = {
    "vmr": "auth requisite pam_exec.so quiet expose_authtok {dir}/check\naccount requisite pam_succeed_if.so quiet user != late\n",
    "open": "auth required pam_permit.so\naccount required pam_permit.so\n",
    "shut": "auth required pam_deny.so\naccount required pam_permit.so\n",
    "late": "auth required pam_permit.so\naccount required pam_deny.so\n",
    "lost": "auth required pam_of_nobody.so\naccount required pam_permit.so\n",
}
# What pam_exec runs: the password comes on its standard input.
CHECK = """#!/bin/sh
echo "$PAM_USER $PAM_RHOST" >>{dir}/asked
case $PAM_USER in
hang|slow) read -r line <{dir}/gate ;;
esac
[ "$(tr -d '\\000')" = "open: sesame" ]
"""


def write(path, text, mode=0o644):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def prepare(d, timeout):
    pam = os.path.join(d.dir, "pam.d")
    os.mkdir(pam)
    for name, text in SERVICES.items():
        write(os.path.join(pam, name), text.format(dir=d.dir))
    write(os.path.join(d.dir, "check"), CHECK.format(dir=d.dir), 0o755)
    helper = os.path.join(d.dir, "helper")
    # The modules are of others: what they leak is no matter.
    write(helper, f"#!/bin/sh\necho $$ >>{d.dir}/pids\nASAN_OPTIONS=detect_leaks=0 exec {HELPER} \"$1\" {pam}\n", 0o755)
    os.mkfifo(os.path.join(d.dir, "gate"))
    d.api = f"pam_service = vmr\npam_helper = {helper}\npam_timeout = {timeout}\n"


def add(d, name, role):
    d.run("user", "add", name, "--role", role, "--pam", "--file", os.path.join(d.dir, "users"))


def call(d, user, password):
    c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=60)
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    c.request("GET", PATH, headers={"Authorization": f"Basic {token}"})
    status = c.getresponse().status
    c.close()
    return status


def eventually(condition):
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def asked(d):
    try:
        with open(os.path.join(d.dir, "asked")) as f:
            return f.read().split("\n")[:-1]
    except FileNotFoundError:
        return []


def words(d):
    check("the right password", call(d, "ann", "open: sesame") == 200)
    check("PAM learns who asks from where", asked(d) == ["ann 127.0.0.1"], asked(d))
    check("again, without asking again", call(d, "ann", "open: sesame") == 200 and len(asked(d)) == 1, asked(d))
    check("a wrong one", call(d, "ann", "open sesame") == 401)
    check("none", call(d, "ann", "") == 401)
    check("an account that may not be used now", call(d, "late", "open: sesame") == 401)
    before = len(asked(d))
    check("PAM would say yes, but the users' file does not know her", call(d, "eve", "open: sesame") == 401)
    check("and is not asked about her", len(asked(d)) == before)
    check("others keep their own password", call(d, USER, PASSWORD) == 200 and call(d, USER, "open: sesame") == 401)
    check("PAM is not asked about them", len(asked(d)) == before)
    write(os.path.join(d.dir, "sesame"), "open: sesame\n")
    got = subprocess.run([d.cli, "server", "--enable", "--host", f"localhost:{d.tls_port}", "--ca", os.path.join(d.dir, "ca/ca.pem"),
                          "--user", "ann", "--password-file", os.path.join(d.dir, "sesame")], capture_output=True, text=True, timeout=60)
    check("a viewer stays a viewer, with the command line", got.returncode != 0 and "may not" in got.stderr, got)


def failures(d):
    got = [call(d, "bob", f"guess {n}") for n in range(5)]
    check("five wrong ones", got == [401] * 5, got)
    before = len(asked(d))
    check("then even the right one waits", call(d, "bob", "open: sesame") == 429)
    check("and PAM is not asked", len(asked(d)) == before)


def patience(d):
    """While PAM thinks, others are served; more than four at a time are not asked."""
    results, threads = [], []
    for n in range(4):
        threads.append(threading.Thread(target=lambda n=n: results.append(call(d, "slow", "open: sesame" if n < 2 else f"{n}"))))
        threads[-1].start()
    eventually(lambda: sum(line.startswith("slow") for line in asked(d)) == 4)
    check("others are served meanwhile", call(d, USER, PASSWORD) == 200)
    check("a fifth question is one too many", call(d, "tom", "open: sesame") == 429)
    with open(os.path.join(d.dir, "gate"), "w") as gate:
        gate.write("go\n" * 4)
        gate.flush()
        for thread in threads:
            thread.join(60)
    check("who waited has an answer", sorted(results) == [200, 200, 401, 401], results)
    check("then there is room again", call(d, "tom", "open: sesame") == 200)


def helper(d):
    def run(service, text, *more):
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
        return subprocess.run([HELPER, service, *more], input=text, env=env, capture_output=True, timeout=60).returncode
    pam = os.path.join(d.dir, "pam.d")
    good = b"ann\0open: sesame\0\0"
    got = [run(service, good, pam) for service in ("open", "shut", "late", "vmr")]
    check("yes, no, not now, and by a module that looks", got == [0, 1, 1, 0], got)
    check("a module that is not there is no yes", run("lost", good, pam) in (1, 2))
    check("a service that is not there is no yes", run("nowhere", good, pam) in (1, 2))
    bad = [b"", b"ann", b"ann\0x", b"ann\0x\0", b"\0x\0\0", good + b"more\0", b"ann\0" + b"x" * 5000 + b"\0\0"]
    got = [run("open", text, pam) for text in bad]
    check("questions that are none", got == [2] * len(bad), got)
    check("a service is a name", run("../open", good, pam) == 2)
    mode = os.stat(HELPER).st_mode
    check("it has no rights of its own", not mode & (stat.S_ISUID | stat.S_ISGID))


def hanging(d):
    check("PAM that never answers lets nobody in", call(d, "hang", "open: sesame") == 401)
    with open(os.path.join(d.dir, "pids")) as f:
        pids = f.read().split()
    check("and who asked is gone", len(pids) == 1 and not os.path.exists(f"/proc/{pids[0]}"), pids)
    os.close(os.open(os.path.join(d.dir, "gate"), os.O_RDWR))  # so that the module's script ends, too
    check("the log says so", "PAM did not say" in d.log())
    check("the daemon goes on", call(d, "ann", "open: sesame") == 200)


main = Daemon(BUILD)
prepare(main, 50)
with main as daemon:
    for who, role in (("ann", "viewer"), ("late", "administrator"), ("bob", "operator"), ("slow", "viewer"), ("tom", "viewer")):
        add(daemon, who, role)
    listed = subprocess.run([daemon.cli, "user", "list", "--file", os.path.join(daemon.dir, "users")], capture_output=True, text=True,
                            check=True).stdout
    check("the list says how they prove themselves", ["ann", "viewer", "pam"] in [x.split() for x in listed.splitlines()], listed)
    words(daemon)
    failures(daemon)
    patience(daemon)
    helper(daemon)
impatient = Daemon(BUILD)
prepare(impatient, 10)
with impatient as daemon:
    add(daemon, "hang", "administrator")
    add(daemon, "ann", "viewer")
    hanging(daemon)
nothing = Daemon(BUILD)
with nothing as daemon:
    add(daemon, "ann", "administrator")
    check("without pam_service nobody comes in by PAM", call(daemon, "ann", "open: sesame") == 401)
    check("and the log says why", "no pam_service" in daemon.log())
done()
