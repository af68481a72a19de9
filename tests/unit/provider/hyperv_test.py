#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `virsh -c hyperv://` does, against a real daemon whose guests are those of libvirt's test driver.

usage: hyperv_test.py BUILD
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "wsman"))
sys.path.insert(0, HERE)
import daemon
from daemon import check
from hyperv import Hyperv, Trouble

FULL, OFF, IDE = "11111111-2222-3333-4444-555555555555", "22222222-2222-3333-4444-555555555555", "33333333-2222-3333-4444-555555555555"
NODE = """<node>
  <network><name>default</name><uuid>dd8fe884-6c02-601e-7551-cca97df1c5df</uuid><bridge name='virbr0'/><forward/>
    <ip address='192.168.122.1' netmask='255.255.255.0'/></network>
  <domain type='test'>
    <name>full &amp; busy</name><uuid>{full}</uuid><description>two lines
of notes</description>
    <memory unit='MiB'>2048</memory><currentMemory unit='MiB'>1024</currentMemory><vcpu>3</vcpu>
    <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
    <devices>
      <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{dir}/a.qcow2'/>
        <target dev='vda' bus='virtio'/></disk>
      <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{dir}/b.img'/><target dev='vdb' bus='virtio'/>
        <iotune><total_iops_sec>500</total_iops_sec></iotune></disk>
      <disk type='file' device='cdrom'><source file='{dir}/c.iso'/><target dev='sda' bus='sata'/><readonly/></disk>
      <disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>
      <interface type='network'><mac address='52:54:00:aa:bb:01'/><source network='default'/><model type='virtio'/></interface>
      <interface type='bridge'><mac address='52:54:00:aa:bb:02'/><source bridge='br7'/></interface>
      <serial type='file'><source path='{dir}/serial.log'/><target port='0'/></serial>
      <input type='keyboard' bus='ps2'/>
      <video><model type='virtio' heads='1'/></video>
      <memballoon model='virtio'/>
    </devices>
  </domain>
  <domain type='test' xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>
    <name>off</name><uuid>{off}</uuid><memory>65536</memory><vcpu>1</vcpu><os><type>hvm</type></os>
    <test:runstate>5</test:runstate>
  </domain>
  <domain type='test'>
    <name>ide</name><uuid>{ide}</uuid><memory>65536</memory><vcpu>1</vcpu><os><type>hvm</type></os>
    <devices>
      <disk type='file' device='disk'><source file='{dir}/d.img'/><target dev='hda' bus='ide'/></disk>
      <disk type='file' device='cdrom'><source file='{dir}/e.iso'/><target dev='hdc' bus='ide'/><readonly/></disk>
      <disk type='file' device='floppy'><source file='{dir}/f.img'/><target dev='fda' bus='fdc'/></disk>
    </devices>
  </domain>
</node>
"""


def attempt(what, do, expected=None):
    """The step must not raise; its result is compared, or handed to a function."""
    try:
        got = do()
    except Trouble as why:
        check(what, False, why)
        return None
    good = expected(got) if callable(expected) else expected is None or got == expected
    check(what, bool(good), f"got {got!r}")
    return got


def facts(v, d):
    attempt("connect", v.connect, lambda version: int(version.split(".")[0]) >= 10)
    attempt("hostname", lambda: v.host()["DNSHostName"], bool)
    attempt("nodeinfo", v.nodeinfo, lambda n: n["cpus"] > 0 and n["memory"] > 0)
    attempt("maxvcpus", v.max_vcpus, lambda n: n > 0)
    names = {"full & busy", "off", "ide"}
    attempt("list --all", lambda: {c["ElementName"] for c in v.list_all()}, names)
    attempt("list", lambda: {c["ElementName"] for c in v.list_active(True)}, names - {"off"})
    attempt("list --inactive", lambda: {c["ElementName"] for c in v.list_active(False)}, {"off"})
    attempt("a domain by its name", lambda: v.by_name("full & busy")["Name"], FULL.upper())
    attempt("dominfo", lambda: v.dominfo(FULL), {"autostart": False, "vcpus": 3, "memory": 1024, "memory_max": 2048})
    attempt("net-list", v.networks, lambda n: n.get("default") == "dd8fe884-6c02-601e-7551-cca97df1c5df" and "br7" in n)
    attempt("vcpuinfo", lambda: v.vcpus("full & busy", 3),
            lambda got: all(len(g) == 1 and g[0]["PercentTotalRunTime"] is not None for g in got))


def definitions(v, d):
    x = attempt("dumpxml", lambda: v.dumpxml(FULL))
    if x:
        check("disks with controller, slot and path", x["disks"] == [("disk", ("scsi", 0, 0), d.dir + "/a.qcow2"),
                                                                     ("disk", ("scsi", 0, 1), d.dir + "/b.img"),
                                                                     ("cdrom", ("scsi", 1, 0), d.dir + "/c.iso")], x["disks"])
        check("network cards with switch", [(n[0], n[2]) for n in x["nets"]] == [("525400AABB01", "default"), ("525400AABB02", "br7")],
              x["nets"])
        check("serial ports", x["serials"] == [("COM 1", d.dir + "/serial.log")], x["serials"])
    attempt("dumpxml of a stopped guest", lambda: v.dumpxml(OFF), lambda o: o["disks"] == [] and o["name"] == "off")
    attempt("dumpxml with IDE and floppy", lambda: v.dumpxml(IDE)["disks"],
            [("disk", ("ide", 0, 0), d.dir + "/d.img"), ("cdrom", ("ide", 1, 0), d.dir + "/e.iso"),
             ("floppy", ("fdc", 0, 0), d.dir + "/f.img")])


def power(v):
    attempt("domstate", lambda: v.domstate(OFF), "shut off")
    attempt("start", lambda: v.request(OFF, 2))
    attempt("domstate after start", lambda: v.domstate(OFF), "running")
    attempt("destroy", lambda: v.request(OFF, 3))
    attempt("domstate after destroy", lambda: v.domstate(OFF), "shut off")
    attempt("start again", lambda: v.request(OFF, 2))
    attempt("shutdown", lambda: v.shutdown(OFF))
    attempt("domstate after shutdown", lambda: v.domstate(OFF), "shut off")


def every_class(v):
    """Every class of the list answers in the driver's terms, whether it has instances or not."""
    for cls in v.classes:
        namespace = "root/cimv2" if cls.startswith(("Win32_", "CIM_")) else "root/virtualization/v2"
        attempt(f"every {cls}", lambda c=cls, n=namespace: v.query(c, namespace=n))


def main():
    daemon.CONFIG = daemon.CONFIG.replace("test:///default", "test://{dir}/node.xml")
    d = daemon.Daemon(sys.argv[1])
    with open(os.path.join(d.dir, "node.xml"), "w", encoding="utf-8") as f:
        f.write(NODE.format(dir=d.dir, full=FULL, off=OFF, ide=IDE))
    with d:
        v = Hyperv(d.port, daemon.USER, daemon.PASSWORD, os.path.join(HERE, "hyperv_properties.txt"))
        facts(v, d)
        definitions(v, d)
        every_class(v)
        power(v)
        print(f"# {v.requests} requests")
    daemon.done()


if __name__ == "__main__":
    main()
