#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""certificate_test.py BUILD: users who prove themselves with TLS client certificates, against the daemon."""
import http.client
import os
import ssl
import subprocess
import sys

from daemon import Daemon, check, done

HEADER = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
PATH = "/api/v1/root/virtualization/v2/Msvm_ReplicationService"


def get(d, pair=None, authorization=None):
    context = ssl.create_default_context(cafile=os.path.join(d.dir, "ca/ca.pem"))
    if pair:
        context.load_cert_chain(f"{pair}.pem", f"{pair}-key.pem")
    c = http.client.HTTPSConnection("localhost", d.tls_port, context=context, timeout=100)
    c.request("GET", PATH, headers={"Authorization": authorization} if authorization else {})
    status = c.getresponse().status
    c.close()
    return status


def cli(d, pair, *verb):
    ca = os.path.join(d.dir, "ca/ca.pem")
    return subprocess.run([d.cli, *verb, "--host", f"localhost:{d.tls_port}", "--ca", ca, "--cert", f"{pair}.pem", "--key",
                           f"{pair}-key.pem"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def prepare(d):
    """ann is a viewer; bob has a certificate of the same CA and is nobody; a stranger's CA has signed one for "ann", too."""
    d.run("pki", "issue", "ca", "ann")
    d.run("pki", "issue", "ca", "bob")
    d.run("pki", "init", "other")
    d.run("pki", "issue", "other", "ann")
    d.run("user", "add", "ann", "--role", "viewer", "--certificate", "ca/ann.pem", "--file", os.path.join(d.dir, "users"))
    return (os.path.join(d.dir, name) for name in ("ca/ann", "ca/bob", "other/ann"))


def run(d):
    ann, bob, stranger = prepare(d)
    check("a certificate that belongs to a user, with the header", get(d, ann, HEADER) == 200)
    check("without the header it means nobody", get(d, ann) == 401)
    check("the header without a certificate means nobody", get(d, None, HEADER) == 401)
    check("a certificate of our CA that belongs to no user", get(d, bob, HEADER) == 401)
    try:
        status = get(d, stranger, HEADER)
    except (OSError, http.client.HTTPException) as why:
        status = type(why).__name__
    check("a certificate of another CA is worth nothing", status != 200, status)
    got = cli(d, ann, "query", "SELECT Started FROM Msvm_ReplicationService", "--json")
    check("the command line comes in with it", got.returncode == 0 and "Started" in got.stdout, got)
    got = cli(d, ann, "server", "--enable")
    check("a viewer stays a viewer", got.returncode != 0 and "may not" in got.stderr, got)
    listed = subprocess.run([d.cli, "user", "list", "--file", os.path.join(d.dir, "users")], capture_output=True, text=True, check=True)
    check("the list says how ann proves herself", ["ann", "viewer", "certificate"] in [x.split() for x in listed.stdout.splitlines()],
          listed.stdout)
    d.run("user", "remove", "ann", "--file", os.path.join(d.dir, "users"))
    check("a user who is removed is nobody at once", get(d, ann, HEADER) == 401)


with Daemon(sys.argv[1]) as daemon:
    run(daemon)
done()
