#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""winrm_test.py BUILD: pywinrm, as Debian ships it, against the daemon: over http and https, with Basic, what its users would do."""
import os
import sys
import xml.etree.ElementTree as ET

try:
    import winrm
    import xmltodict
    from winrm.exceptions import InvalidCredentialsError, WinRMError, WinRMTransportError
    from winrm.protocol import Protocol
except ImportError:
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3"] + sys.argv)
    winrm = None

from daemon import PASSWORD, READER, USER, Daemon, check, done, skip

WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/virtualization/v2/"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
ANONYMOUS = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
TEST_GUEST = "6695EB01-F6A4-8304-79AA-97F2502E193F"  # the one that libvirt's test driver always has
NS = {"s": "http://www.w3.org/2003/05/soap-envelope", "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
      "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd", "n": ENUMERATION,
      "wsmid": "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"}
SETTINGS = """<INSTANCE CLASSNAME="Msvm_ReplicationSettingData">
  <PROPERTY NAME="RecoveryConnectionPoint" TYPE="string"><VALUE>hostb.example</VALUE></PROPERTY>
  <PROPERTY NAME="RecoveryServerPortNumber" TYPE="uint16"><VALUE>8443</VALUE></PROPERTY>
  <PROPERTY NAME="AuthenticationType" TYPE="uint16"><VALUE>{auth}</VALUE></PROPERTY>
  <PROPERTY.ARRAY NAME="IncludedDisks" TYPE="string"><VALUE.ARRAY><VALUE>{disk}</VALUE></VALUE.ARRAY></PROPERTY.ARRAY>
</INSTANCE>"""


class Client:
    """pywinrm's Protocol builds the header and carries the message, as its own methods do."""

    def __init__(self, url, user=USER, password=PASSWORD, **more):
        self.protocol = Protocol(url, transport="basic" if url.startswith("http:") else "ssl", username=user, password=password, **more)

    def ask(self, uri, action, body, selectors=None):
        envelope = {"env:Envelope": self.protocol._get_soap_header(resource_uri=uri, action=action)}
        header = envelope["env:Envelope"]["env:Header"]
        if selectors:
            header["w:SelectorSet"] = {"w:Selector": [{"@Name": k, "#text": v} for k, v in selectors.items()]}
        envelope["env:Envelope"]["env:Body"] = body
        return ET.fromstring(self.protocol.send_message(xmltodict.unparse(envelope)))

    def query(self, text):
        """All instances of a query: Enumerate, then Pull until the end."""
        reply = self.ask(WMI + "*", ENUMERATION + "/Enumerate", {"n:Enumerate": {"w:Filter": {"@Dialect": WQL, "#text": text}}})
        found = []
        context = reply.findtext(".//n:EnumerationContext", namespaces=NS)
        while context:
            reply = self.ask(WMI + "*", ENUMERATION + "/Pull", {"n:Pull": {"n:EnumerationContext": context}})
            found += list(reply.find(".//n:Items", NS))
            context = reply.findtext(".//n:EnumerationContext", namespaces=NS)
        return found

    def invoke(self, method, arguments):
        uri = WMI + "Msvm_ReplicationService"
        body = {f"p:{method}_INPUT": {"@xmlns:p": uri, **arguments}}
        reply = self.ask(uri, f"{uri}/{method}", body, {"CreationClassName": "Msvm_ReplicationService"})
        out = reply.find("s:Body/{%s}%s_OUTPUT" % (uri, method), NS)
        return int(out.findtext("{%s}ReturnValue" % uri))


def reference(cls, selectors):
    return {"a:Address": ANONYMOUS, "a:ReferenceParameters": {
        "w:ResourceURI": WMI + cls, "w:SelectorSet": {"w:Selector": [{"@Name": k, "#text": v} for k, v in selectors.items()]}}}


def guest(name=TEST_GUEST):
    return reference("Msvm_ComputerSystem", {"CreationClassName": "Msvm_ComputerSystem", "Name": name})


def prop(instance, name):
    return next((p.text for p in instance if p.tag.endswith("}" + name)), None)


def refused(call, kind):
    try:
        call()
    except kind as why:
        return str(why) or kind.__name__
    return None


def probe(client, where):
    """What a strict probe looks at: pywinrm has no Identify of its own, its transport carries one."""
    text = ('<s:Envelope xmlns:s="%s" xmlns:i="%s"><s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>' % (NS["s"], NS["wsmid"]))
    reply = ET.fromstring(client.protocol.transport.send_message(text))
    version = reply.findtext("s:Body/wsmid:IdentifyResponse/wsmid:ProtocolVersion", namespaces=NS)
    check(f"{where}: Identify", version == NS["w"], version)


def read(client, where):
    systems = client.query("SELECT * FROM Msvm_ComputerSystem WHERE Name != __SERVER ")
    check(f"{where}: the guest is there", [prop(s, "ElementName") for s in systems] == ["test"], [prop(s, "ElementName") for s in systems])
    check(f"{where}: its name", bool(systems) and prop(systems[0], "Name").upper() == TEST_GUEST, systems and prop(systems[0], "Name"))
    reply = client.ask(WMI + "Msvm_ReplicationService", TRANSFER + "/Get", {}, {"CreationClassName": "Msvm_ReplicationService"})
    service = reply.find("s:Body/{%s}Msvm_ReplicationService" % (WMI + "Msvm_ReplicationService"), NS)
    check(f"{where}: the service", service is not None and prop(service, "Started") == "true")
    check(f"{where}: no such class", "There is no class" in (refused(lambda: client.query("SELECT * FROM Msvm_None"), WinRMError) or ""))


def write(client, where):
    """Refusals of a host on which nothing is replicated, by code."""
    no_guest = guest("00000000-0000-0000-0000-000000000000")
    for what, method, arguments, code in (
            ("failover of what is no replica", "InitiateFailover", {"p:ComputerSystem": guest()}, 32775),
            ("failover to a point, which is null", "InitiateFailover",
             {"p:ComputerSystem": guest(), "p:SnapshotSettingData": {"@xsi:nil": "true"}}, 32775),
            ("failover of nobody", "InitiateFailover", {"p:ComputerSystem": no_guest}, 32773),
            ("failover without an argument", "InitiateFailover", {}, 32773),
            ("failover of a service", "InitiateFailover",
             {"p:ComputerSystem": reference("Msvm_ReplicationService", {"CreationClassName": "Msvm_ReplicationService"})}, 32776),
            ("relationship with Kerberos", "CreateReplicationRelationship",
             {"p:ComputerSystem": guest(), "p:ReplicationSettingData": SETTINGS.format(auth=1, disk="vda")}, 32770),
            ("relationship with a disk that is not there", "CreateReplicationRelationship",
             {"p:ComputerSystem": guest(), "p:ReplicationSettingData": SETTINGS.format(auth=2, disk="vdz")}, 32773),
            ("relationship with settings that are none", "CreateReplicationRelationship",
             {"p:ComputerSystem": guest(), "p:ReplicationSettingData": "instance of Msvm_X {};"}, 32776),
            ("relationship without settings", "CreateReplicationRelationship", {"p:ComputerSystem": guest()}, 32773)):
        result = client.invoke(method, arguments)
        check(f"{where}: {what} answers {code}", result == code, result)


def doors(d):
    plain, tls = f"http://127.0.0.1:{d.port}/wsman", f"https://127.0.0.1:{d.tls_port}/wsman"
    trust = {"ca_trust_path": os.path.join(d.dir, "ca/ca.pem")}
    for where, client in (("http", Client(plain)), ("https", Client(tls, **trust))):
        probe(client, where)
        read(client, where)
        write(client, where)
    check("a wrong password is refused as such",
          refused(lambda: Client(plain, password="wrong").query("SELECT * FROM Msvm_ComputerSystem"), InvalidCredentialsError))
    reader = Client(plain, user=READER)
    read(reader, "a reader")
    check("a reader may not fail over", reader.invoke("InitiateFailover", {"p:ComputerSystem": guest()}) == 32769)
    check("a shell is refused with a fault",
          refused(lambda: Client(plain).protocol.open_shell(), (WinRMError, WinRMTransportError)))
    check("a certificate that nobody vouches for is refused",
          refused(lambda: Client(tls).query("SELECT * FROM Msvm_ComputerSystem"), Exception))


if winrm is None:
    skip("python3-winrm is not installed")
with Daemon(sys.argv[1]) as daemon:
    doors(daemon)
done()
