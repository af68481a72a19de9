# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client that asks what libvirt's hyperv driver asks, and is as strict: WQL enumerations on .../*, pulls without MaxElements of which
only the first item is read, literal prefixes in the answers, every property of hyperv_properties.txt exactly once with a value of its type.
What the driver would report as an error is raised as Trouble.
"""
import base64
import http.client
import re
import ssl
import time
import uuid
import xml.etree.ElementTree as ET

S, A, W, N = ("http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/ws/2004/08/addressing",
              "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd", "http://schemas.xmlsoap.org/ws/2004/09/enumeration")
XSI = "http://www.w3.org/2001/XMLSchema-instance"
BASE = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"
V2, CIMV2 = "root/virtualization/v2", "root/cimv2"
RANGES = {f"uint{b}": (0, 2 ** b - 1) for b in (8, 16, 32, 64)} | {f"{s}int{b}": (-2 ** (b - 1), 2 ** (b - 1) - 1)
                                                                  for b in (8, 16, 32, 64) for s in ("", "s")}
STATES = {2: "running", 3: "shut off", 32768: "paused", 32769: "shut off", 32770: "running", 32771: "running", 32773: "running",
          32774: "in shutdown", 32776: "running", 32777: "running"}


class Trouble(Exception):
    pass


def read_properties(path):
    classes, current = {}, None
    for line in open(path, encoding="utf-8"):
        if line.startswith("#"):
            continue
        if not line.startswith(" "):
            current = classes.setdefault(line.strip(), [])
            continue
        for word in line.split():
            name, kind = word.split(":")
            current.append((name, kind.removesuffix("[]"), kind.endswith("[]")))
    return classes


def scalar(cls, name, kind, text):
    if kind == "boolean" and text not in ("true", "false"):
        raise Trouble(f"{cls}.{name} is '{text}', no boolean")
    if kind in RANGES and not (re.fullmatch(r"-?\d+", text or "") and RANGES[kind][0] <= int(text) <= RANGES[kind][1]):
        raise Trouble(f"{cls}.{name} is '{text}', no {kind}")
    return int(text) if kind in RANGES else text == "true" if kind == "boolean" else text


def sql(text):
    """as the driver escapes what it puts between quotes"""
    return text.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class Hyperv:
    def __init__(self, port, user, password, properties, tls=None):
        self.http = http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=60) if tls \
            else http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.auth = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.classes = read_properties(properties)
        self.requests = 0

    # ---- WS-Management ----

    def post(self, action, resource, body, header="", selectors=None):
        picks = "".join(f'<wsman:Selector Name="{k}">{escape(v)}</wsman:Selector>' for k, v in (selectors or {}).items())
        text = (f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="{S}" xmlns:wsa="{A}" xmlns:wsman="{W}" xmlns:wsen="{N}">'
                f'<s:Header><wsa:Action s:mustUnderstand="true">{action}</wsa:Action>'
                f'<wsa:To s:mustUnderstand="true">http://127.0.0.1/wsman</wsa:To>'
                f'<wsman:ResourceURI s:mustUnderstand="true">{resource}</wsman:ResourceURI>'
                f'<wsa:MessageID s:mustUnderstand="true">uuid:{uuid.uuid4()}</wsa:MessageID>'
                f'<wsa:ReplyTo><wsa:Address>{A}/role/anonymous</wsa:Address></wsa:ReplyTo>'
                + (f"<wsman:SelectorSet>{picks}</wsman:SelectorSet>" if picks else "") + header
                + f"</s:Header><s:Body>{body}</s:Body></s:Envelope>")
        self.http.request("POST", "/wsman", text.encode(), {"Content-Type": "application/soap+xml;charset=UTF-8", "Accept": "*/*",
                                                            "User-Agent": "openwsman 2.2.0", "Authorization": self.auth})
        self.requests += 1
        answer = self.http.getresponse()
        data = answer.read()
        if answer.status not in (200, 400, 500):
            raise Trouble(f"transport: HTTP {answer.status}")
        tree = ET.fromstring(data)
        fault = tree.find(f"{{{S}}}Body/{{{S}}}Fault")
        if fault is not None:
            raise Trouble("fault: " + " ".join(t.strip() for t in fault.itertext() if t.strip()))
        if tree.tag != f"{{{S}}}Envelope" or not re.match(rb"(<\?xml[^>]*>\s*)?<s:Envelope", data):
            raise Trouble("the envelope's prefix is not s")
        return tree.find(f"{{{S}}}Body"), data

    def query(self, cls, condition="", namespace=V2):
        return self.wql(f"SELECT * FROM {cls} {condition}", cls, namespace)

    def wql(self, text, cls, namespace=V2):
        body, _ = self.post(N + "/Enumerate", f"{BASE}{namespace}/*",
                            f'<wsen:Enumerate><wsman:Filter Dialect="http://schemas.microsoft.com/wbem/wsman/1/WQL">{escape(text)}'
                            "</wsman:Filter></wsen:Enumerate>")
        context = body.findtext(f"{{{N}}}EnumerateResponse/{{{N}}}EnumerationContext")
        if not context:
            raise Trouble("could not get an enumeration context")
        found, resource = [], f"{BASE}{namespace}/{cls}"
        while context:
            body, _ = self.post(N + "/Pull", resource,
                                f"<wsen:Pull><wsen:EnumerationContext>{context}</wsen:EnumerationContext></wsen:Pull>")
            response = body.find(f"{{{N}}}PullResponse")
            items = response.find(f"{{{N}}}Items") if response is not None else None
            if items is None:
                raise Trouble("could not look up the items of a pull response")
            if len(items) and items[0].tag != f"{{{resource}}}{cls}":
                break
            if len(items):
                found.append(self.read(cls, resource, items[0]))
            context = response.findtext(f"{{{N}}}EnumerationContext")
        return found

    def read(self, cls, namespace, item):
        out = {}
        for name, kind, array in self.classes[cls]:
            elements = item.findall(f"{{{namespace}}}{name}")
            texts = [None if e.get(f"{{{XSI}}}nil") == "true" or not (len(e) or e.text) else "".join(e.itertext()) for e in elements]
            if array:
                out[name] = [scalar(cls, name, kind, t) for t in texts]
            elif len(elements) != 1:
                raise Trouble(f"not enough ({len(elements)} < 1) instances of element {name} in {cls}")
            else:
                out[name] = None if texts[0] is None else scalar(cls, name, kind, texts[0])
        return out

    def associated(self, source, assoc, result, namespace=V2):
        return self.wql(f"ASSOCIATORS OF {{{source}}} WHERE AssocClass = {assoc} ResultClass = {result}", result, namespace)

    def invoke(self, cls, method, selectors, params, job_class="Msvm_ConcreteJob"):
        resource = f"{BASE}{V2}/{cls}"
        body = f'<p:{method}_INPUT xmlns:p="{resource}">' + "".join(f"<p:{k}>{v}</p:{k}>" for k, v in params.items()) + \
            f"</p:{method}_INPUT>"
        answer, data = self.post(f"{resource}/{method}", resource, body, selectors=selectors)
        if f"<p:{method}_OUTPUT".encode() not in data:
            raise Trouble("undefined namespace prefix p in the answer of a method")
        code = int(answer.findtext(f"{{{resource}}}{method}_OUTPUT/{{{resource}}}ReturnValue") or -1)
        if code == 4096:
            selector = [e.text for e in answer.iter(f"{{{W}}}Selector") if e.get("Name") == "InstanceID"]
            self.wait(selector[0], job_class)
        elif code:
            raise Trouble(f"{method} returned {code}")

    def wait(self, job, cls):
        end = time.monotonic() + 100
        while time.monotonic() < end:
            found = self.query(cls, f"WHERE InstanceID = '{sql(job)}'")
            state = found[0]["JobState"] if found else None
            if state == 7:
                return
            if state not in (2, 3, 4, 6):
                raise Trouble(f"job {job} is in state {state}")
            time.sleep(0.1)
        raise Trouble(f"job {job} does not end")

    # ---- what virsh does ----

    def one(self, found, what):
        if not found:
            raise Trouble(f"no {what}")
        return found[0]

    def connect(self):
        product = self.one(self.query("Win32_ComputerSystemProduct", namespace=CIMV2), "product")
        uuid.UUID(product["UUID"])
        self.version = self.one(self.query("Win32_OperatingSystem", namespace=CIMV2), "system")["Version"]
        if not re.fullmatch(r"\d{1,2}\.\d{1,2}\.\d{1,6}", self.version):
            raise Trouble(f"could not parse the version '{self.version}'")
        return self.version

    def host(self):
        return self.one(self.query("Win32_ComputerSystem", namespace=CIMV2), "computer")

    def nodeinfo(self):
        host = self.host()
        sockets = self.associated(f"Win32_ComputerSystem.Name='{host['Name']}'", "Win32_ComputerSystemProcessor", "Win32_Processor", CIMV2)
        first = self.one(sockets, "processor")
        if not first["Name"] or not first["NumberOfCores"] or not first["MaxClockSpeed"]:
            raise Trouble("the processor has no name, clock or cores")
        return {"cpus": sum(s["NumberOfLogicalProcessors"] for s in sockets), "memory": host["TotalPhysicalMemory"] // 1024,
                "threads": first["NumberOfLogicalProcessors"] // first["NumberOfCores"], "sockets": len(sockets)}

    def list_all(self):
        return self.query("Msvm_ComputerSystem", "WHERE Name != __SERVER ")

    def list_active(self, active):
        states = "(EnabledState = 0 or EnabledState = 3 or EnabledState = 32769) " if not active else \
            "(EnabledState != 0 and EnabledState != 3 and EnabledState != 32769) "
        return self.query("Msvm_ComputerSystem", "WHERE Name != __SERVER AND " + states)

    def by_name(self, name):
        found = self.query("Msvm_ComputerSystem", f"WHERE Name != __SERVER AND ElementName = '{sql(name)}'")
        if len(found) != 1:
            raise Trouble(f"{len(found)} domains are named '{name}'")
        return found[0]

    def by_uuid(self, vm):
        return self.one(self.query("Msvm_ComputerSystem", f"WHERE Name != __SERVER AND Name = '{vm.lower()}'"), f"domain {vm}")

    def domstate(self, vm):
        return STATES.get(self.by_uuid(vm)["EnabledState"], "no state")

    def settings(self, vm):
        return self.one(self.associated(f"Msvm_ComputerSystem.CreationClassName='Msvm_ComputerSystem',Name='{vm.lower()}'",
                                        "Msvm_SettingsDefineState", "Msvm_VirtualSystemSettingData"), "settings")

    def parts(self, settings, result):
        return self.associated(f"Msvm_VirtualSystemSettingData.InstanceID='{sql(settings['InstanceID'])}'",
                               "Msvm_VirtualSystemSettingDataComponent", result)

    def dominfo(self, vm):
        settings = self.settings(vm)
        cpu = self.one(self.parts(settings, "Msvm_ProcessorSettingData"), "processor settings")
        memory = self.one(self.parts(settings, "Msvm_MemorySettingData"), "memory settings")
        return {"autostart": settings["AutomaticStartupAction"] in (3, 4), "vcpus": cpu["VirtualQuantity"],
                "memory": memory["VirtualQuantity"], "memory_max": memory["Limit"]}

    @staticmethod
    def parent(of, among):
        for one in among:
            if of["Parent"] and of["Parent"].endswith(one["InstanceID"].replace("\\", "\\\\") + '"'):
                return one
        raise Trouble(f"no parent '{of['Parent']}'")

    def dumpxml(self, vm):
        """What the driver puts into the XML: controllers, disks, serial ports, network cards."""
        settings = self.settings(vm)
        resources = self.parts(settings, "Msvm_ResourceAllocationSettingData")
        if not resources:
            raise Trouble("no resources")
        out = self.dominfo(vm) | {"name": settings["ElementName"], "disks": [], "nets": [], "serials": []}
        scsi = [r for r in resources if r["ResourceType"] == 6]
        ide = {int(r["Address"][0]): r for r in resources if r["ResourceType"] == 5}
        if len(scsi) > 4 or any(c > 1 for c in ide):
            raise Trouble("more controllers than the driver has room for")
        for image in self.parts(settings, "Msvm_StorageAllocationSettingData"):
            out["disks"].append(self.disk(image, resources, scsi, ide))
        for port in self.parts(settings, "Msvm_SerialPortSettingData"):
            if port["Connection"] and port["Connection"][0]:
                out["serials"].append((port["ElementName"], port["Connection"][0]))
        for net in self.parts(settings, "Msvm_EthernetPortAllocationSettingData"):
            if net["EnabledState"] != 3 and net["HostResource"]:
                out["nets"].append(self.net(net))
        return out

    def disk(self, image, resources, scsi, ide):
        drive = self.parent(image, resources)
        controller = self.parent(drive, resources)
        if not image["HostResource"] or image["ResourceSubType"] is None:
            raise Trouble("an image without path or kind")
        kind = "cdrom" if image["ResourceSubType"] == "Microsoft:Hyper-V:Virtual CD/DVD Disk" else "disk"
        if controller["ResourceType"] == 6:
            where = ("scsi", scsi.index(controller), int(drive["AddressOnParent"]))
        elif controller["ResourceType"] == 5:
            where = ("ide", [k for k, v in ide.items() if v is controller][0], int(drive["AddressOnParent"]))
        elif controller["ResourceType"] == 1 and drive["ResourceType"] == 14:
            where, kind = ("fdc", 0, 0), "floppy"
        else:
            raise Trouble(f"unrecognized controller type {controller['ResourceType']}")
        return (kind, where, image["HostResource"][0])

    def net(self, net):
        port = self.one(self.query("Msvm_SyntheticEthernetPortSettingData", f"WHERE __PATH = '{sql(net['Parent'])}'"), "port")
        switch = self.one(self.query("Msvm_VirtualEthernetSwitch", f"WHERE __PATH = '{sql(net['HostResource'][0])}'"), "switch")
        if not re.fullmatch("[0-9A-Fa-f]{12}", port["Address"] or ""):
            raise Trouble(f"no MAC address: {port['Address']}")
        return (port["Address"], switch["Name"], switch["ElementName"])

    def request(self, vm, state):
        self.invoke("Msvm_ComputerSystem", "RequestStateChange", {"CreationClassName": "Msvm_ComputerSystem", "Name": vm.lower()},
                    {"RequestedState": state})

    def shutdown(self, vm):
        part = self.one(self.query("Msvm_ShutdownComponent", f"WHERE SystemName = '{vm.lower()}'"), "shutdown component")
        picks = {k: part[k] for k in ("CreationClassName", "DeviceID", "SystemCreationClassName", "SystemName")}
        self.invoke("Msvm_ShutdownComponent", "InitiateShutdown", picks, {"Force": "False", "Reason": "Planned shutdown via libvirt"})

    def networks(self):
        found = self.query("Msvm_VirtualEthernetSwitch", "WHERE HealthState = 5")
        return {n["ElementName"]: str(uuid.UUID(n["Name"])) for n in found}

    def max_vcpus(self):
        found = self.query("Msvm_ProcessorSettingData", "WHERE InstanceID LIKE 'Microsoft:Definition%Maximum'")
        return self.one(found, "definition")["VirtualQuantity"]

    def vcpus(self, name, count):
        cls = "Win32_PerfRawData_HvStats_HyperVHypervisorVirtualProcessor"
        return [self.query(cls, f"where Name = '{sql(name)}:Hv VP {n}'", CIMV2) for n in range(count)]
