#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kerberos_test.py BUILD: users with Kerberos tickets of a KDC of this test's own, against the daemon: raw HTTP, curl, pywinrm, our CLI."""
import http.client
import os
import subprocess
import sys
import time

try:
    import kerberos
    import requests_kerberos  # noqa: F401 (pywinrm needs it)
    from winrm.protocol import Protocol
except ImportError:
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3"] + sys.argv)
    kerberos = None

from daemon import Daemon, check, die_with_parent, done, free_port, skip

REALM = "VMR.TEST"
PATH = "/api/v1/root/virtualization/v2/Msvm_ReplicationService"
QUERY = ("SELECT Started FROM Msvm_ReplicationService", "--json")
IDENTIFY = ('<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body>'
            '<i:Identify xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"/></s:Body></s:Envelope>')
TOOLS = ("/usr/sbin/krb5kdc", "/usr/sbin/kdb5_util", "/usr/sbin/kadmin.local", "/usr/bin/kinit")
KRB5 = """[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
[realms]
 {realm} = {{
  kdc = 127.0.0.1:{port}
 }}
[domain_realm]
 localhost = {realm}
"""
KDC = """[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 {realm} = {{
  database_name = {dir}/principal
  key_stash_file = {dir}/stash
  acl_file = {dir}/acl
 }}
[logging]
 kdc = FILE:{dir}/kdc.log
"""


class Realm:
    """A KDC in the daemon's folder; its process ends with this one."""

    def __init__(self, folder):
        self.dir = os.path.join(folder, "kdc")
        os.mkdir(self.dir, 0o700)
        self.keytab = os.path.join(self.dir, "http.keytab")
        self.env = dict(os.environ, KRB5_CONFIG=os.path.join(self.dir, "krb5.conf"), KRB5_KDC_PROFILE=os.path.join(self.dir, "kdc.conf"),
                        KRB5RCACHENAME="dfl:", KRB5CCNAME="FILE:" + os.path.join(self.dir, "none"))
        self.tool("/usr/sbin/kdb5_util", "create", "-s", "-P", "master", port=1)
        for user in ("alice", "bob"):
            self.admin(f"addprinc -pw {user}-pw {user}@{REALM}")
        for service in ("HTTP", "WSMAN"):
            self.admin(f"addprinc -randkey {service}/localhost@{REALM}")
        self.admin(f"ktadd -k {self.keytab} HTTP/localhost@{REALM}")
        self.start()

    def configure(self, port):
        for name, text in (("krb5.conf", KRB5), ("kdc.conf", KDC)):
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(text.format(realm=REALM, port=port, dir=self.dir))

    def tool(self, *argv, port=None, text=None):
        if port:
            self.configure(port)
        return subprocess.run(argv, env=self.env, input=text, check=True, capture_output=True, text=True, timeout=120)

    def admin(self, command):
        self.tool("/usr/sbin/kadmin.local", "-r", REALM, "-q", command)

    def start(self):
        """A ticket for alice proves that it answers; a port that somebody took meanwhile is given up."""
        for _ in range(5):
            self.configure(free_port())
            self.process = subprocess.Popen(["/usr/sbin/krb5kdc", "-n"], env=self.env, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
            end = time.monotonic() + 30
            while self.process.poll() is None and time.monotonic() < end:
                if self.login("alice"):
                    return
                time.sleep(0.1)  # between two attempts; the condition is the ticket
            self.stop()
        raise RuntimeError("krb5kdc does not start")

    def stop(self):
        self.process.kill()
        self.process.wait()

    def cache(self, user):
        return "FILE:" + os.path.join(self.dir, user)

    def login(self, user):
        return subprocess.run(["/usr/bin/kinit", "-c", self.cache(user), f"{user}@{REALM}"], env=self.env, input=user + "-pw\n", text=True,
                              capture_output=True, timeout=60).returncode == 0

    def environment(self, user):
        return dict(self.env, KRB5CCNAME=self.cache(user))


def token():
    """A fresh token of the user of this process's cache."""
    _, context = kerberos.authGSSClientInit("HTTP@localhost", mech_oid=kerberos.GSS_MECH_OID_SPNEGO)
    kerberos.authGSSClientStep(context, "")
    return context, kerberos.authGSSClientResponse(context)


def ask(connection, authorization=None):
    connection.request("GET", PATH, headers={"Authorization": authorization} if authorization else {})
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers.get_all("WWW-Authenticate") or []


def raw(d, realm):
    os.environ.update(realm.environment("alice"))
    c = http.client.HTTPConnection("localhost", d.port, timeout=60)
    status, offers = ask(c)
    check("nobody is offered Negotiate and Basic", status == 401 and offers[0] == "Negotiate" and offers[1].startswith("Basic"), offers)
    context, text = token()
    status, offers = ask(c, "Negotiate " + text)
    check("a ticket of a user lets in", status == 200, status)
    check("the daemon proves itself, too", len(offers) == 1 and offers[0].startswith("Negotiate ")
          and kerberos.authGSSClientStep(context, offers[0].split()[1]) == kerberos.AUTH_GSS_COMPLETE, offers)
    check("the connection stays the user's", ask(c)[0] == 200)
    other = http.client.HTTPConnection("localhost", d.port, timeout=60)
    check("another connection is nobody's", ask(other)[0] == 401)
    check("the same token again is refused", ask(other, "Negotiate " + text)[0] == 401)
    check("and leaves nobody there", ask(other)[0] == 401)
    check("a wrong password on the connection is refused", ask(c, "Basic YWxpY2U6eA==")[0] == 401)
    check("and ends what was there", ask(c)[0] == 401)
    for bad in ("Negotiate", "Negotiate !!!!", "Negotiate AAAA", "Kerberos YIIB", "Negotiate TlRMTVNTUAABAAAAB4IIogAAAAA="):
        check(f"'{bad}' is refused", ask(c, bad)[0] == 401)
    _, text = token()
    check("the scheme is case-insensitive", ask(c, "negotiate " + text)[0] == 200)
    users = os.path.join(d.dir, "users")
    d.run("user", "remove", f"alice@{REALM}", "--file", users)
    check("a user who is removed is nobody at once, also on an open connection", ask(c)[0] == 401)
    d.run("user", "add", f"alice@{REALM}", "--kerberos", "--role", "viewer", "--file", users)
    check("the name of a principal is no user with a password", ask(c, "Basic YWxpY2VAVk1SLlRFU1Q6a2VyYmVyb3M=")[0] == 401)


def run(argv, env):
    return subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)


def clients(d, realm):
    alice, bob = realm.environment("alice"), realm.environment("bob")
    check("bob has a ticket", realm.login("bob"))
    curl = ["curl", "-sS", "--negotiate", "-u", ":", "-o", "/dev/null", "-w", "%{http_code}", f"http://localhost:{d.port}{PATH}"]
    got = run(curl, alice)
    check("curl, alice", got.stdout == "200", got)
    got = run(curl, bob)
    check("curl, bob is no user", got.stdout == "401", got)
    cli = [d.cli, "query", *QUERY, "--kerberos", "--host", f"localhost:{d.tls_port}", "--ca", os.path.join(d.dir, "ca/ca.pem")]
    got = run(cli, alice)
    check("our command line, alice, over TLS", got.returncode == 0 and "Started" in got.stdout, got)
    got = run(cli, bob)
    check("our command line, bob", got.returncode != 0 and "does not let you in" in got.stderr, got)
    got = run([d.cli, "server", "--enable", "--kerberos", "--plain", "--host", f"localhost:{d.port}"], alice)
    check("a viewer stays a viewer", got.returncode != 0 and "may not" in got.stderr, got)
    os.environ.update(alice)
    winrm = Protocol(f"https://localhost:{d.tls_port}/wsman", transport="kerberos", username=f"alice@{REALM}", service="HTTP",
                     ca_trust_path=os.path.join(d.dir, "ca/ca.pem"))
    for turn in ("first", "second"):
        text = winrm.transport.send_message(IDENTIFY)
        check(f"pywinrm, {turn} request", b"ProductVersion" in text and b"vmreplica 0" in text, text)


if kerberos is None or not all(os.path.exists(tool) for tool in TOOLS):
    skip("krb5-kdc, krb5-admin-server, krb5-user, python3-winrm and python3-requests-kerberos are needed")


class KerberosDaemon(Daemon):
    def prepare(self):
        super().prepare()
        self.realm = Realm(self.dir)
        self.api = f"keytab = {self.realm.keytab}\n"
        self.env = {k: self.realm.env[k] for k in ("KRB5_CONFIG", "KRB5RCACHENAME")}
        self.run("user", "add", f"alice@{REALM}", "--kerberos", "--role", "viewer", "--file", os.path.join(self.dir, "users"))


with KerberosDaemon(sys.argv[1]) as daemon:
    raw(daemon, daemon.realm)
    clients(daemon, daemon.realm)
    daemon.realm.stop()
done()
