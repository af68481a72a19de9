#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Wrong requests at the right doors: a return code, a fault, a message; the daemon stays up and nothing changes."""
import re
import subprocess

from world import GUEST, LAB, World


def post(host, body, kind="application/soap+xml;charset=UTF-8"):
    """HTTP status and body of a raw POST on the daemon's socket."""
    curl = ["curl", "-sS", "-w", "\n%{http_code}", "--unix-socket", "/run/vmreplica/vmreplicad.sock", "-H", f"Content-Type: {kind}"]
    done = subprocess.run([LAB, "exec", host, *curl, "--data-binary", "@-", "http://localhost/wsman"], input=body, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    text, _, status = done.stdout.rpartition("\n")
    return status, text


with World("refusals") as w:
    w.protect(interval_ms=1000)
    w.check("recovery points appear", w.points_grow(2))

    code, text = w.status_of("A", "failover", GUEST)
    w.check("failover on the primary is an invalid state (32775)", code == 8 and "'web'" in text, text)
    code, text = w.status_of("B", "failover", GUEST, "--point", "00000000-1111-2222-3333-444444444444")
    w.check("a point that does not exist is refused", code not in (0, 1), text)
    code, text = w.status_of("B", "failover", "nosuch")
    w.check("an unknown guest is refused by name", code != 0 and "nosuch" in text, text)
    code, text = w.status_of("B", "revert", GUEST)
    w.check("nothing to revert (32775)", code == 8, text)
    code, text = w.status_of("B", "commit", GUEST)
    w.check("nothing to commit (32775)", code == 8, text)
    code, text = w.status_of("B", "power", GUEST, "on")
    w.check("the API does not start a replica (32775)", code == 8, text)
    started = w.on("B", "virsh", "start", GUEST, check=False)
    refused = "fail it over before it is started" in started and "shut off" in w.on("B", "virsh", "domstate", GUEST)
    w.check("virsh does not start a replica either", refused, started)
    code, text = w.status_of("A", "enable", GUEST, "--to", "hostb.lab")
    w.check("a second relationship is refused (32775)", code == 8, text)
    code, text = w.status_of("A", "enable", GUEST)
    w.check("a missing option is a usage error", code == 64, text)

    status, text = post("B", "<s:Envelope")
    w.check("malformed XML is a fault", status == "400" and "Fault" in text, status + text[:200])
    status, text = post("B", "<!DOCTYPE x><x/>")
    w.check("a DOCTYPE is a fault", status == "400" and "Fault" in text, status + text[:200])
    status, text = post("B", "x" * (10 << 20))
    w.check("ten megabytes are refused", status in ("413", "400", "500"), status)
    status, text = post("B", "<a/>", kind="text/plain")
    w.check("another content type is refused", status in ("415", "400", "500"), status)

    w.cli("B", "authorize", "remove", "hosta.lab")
    stopped = w.until(lambda: w.status("A")["state"] == 8)
    w.check("without an authorisation entry the sender stops (8)", stopped, str(w.status("A")))
    w.check("and says why", "authori" in str(w.status("A")["reason"]).lower(), str(w.status("A")["reason"]))
    w.cli("B", "authorize", "add", "hosta.lab")
    w.cli("A", "resume", GUEST)
    w.check("with the entry back, resume goes on", w.caught_up(60))
    w.cli("A", "suspend", GUEST)
    mark = w.writer_at()
    w.until(lambda: w.writer_at() >= mark + 200)  # a log that B's kernel held whole already still becomes a point
    before = len(w.points())
    w.until(lambda: w.writer_at() >= mark + 500)
    w.check("suspended: nothing arrives", len(w.points()) == before and w.status("A")["state"] == 7)
    w.cli("A", "resume", GUEST)
    w.check("resumed: everything arrives", w.caught_up(60))

    w.cli("A", "disable", GUEST)
    w.cli("B", "disable", GUEST)
    w.check("removed on both sides", w.status("A")["state"] == 0 and w.status("B")["state"] == 0)
    def left():
        return re.findall(r'"name": *"vmr-[^"]*', w.on("A", "virsh", "qemu-monitor-command", GUEST, '{"execute":"query-block"}'))
    w.check("no bitmap of ours is left in QEMU", w.until(lambda: not left()), str(left()))
