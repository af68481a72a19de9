#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Addresses after a failover, given by the real guest agent: in a test guest beside the replica, and in the guest that failed over.
The guest has no network manager, so the program takes iproute2.  Its card is connected as the host's network_map says."""
import json
import os

from world import GUEST, World

NETWORK = "<network><name>dr</name><bridge name='drbr' stp='on' delay='0'/></network>"


def addresses_in(w, guest):
    out = w.on("B", "virsh", "-q", "domifaddr", guest, "--source", "agent", check=False)
    return {word for word in out.split() if "/" in word}


def settings(w):
    return json.loads(w.cli("B", "address", GUEST, "--json"))


with World("addresses") as w:
    w.configure("B", "failover", "network_map = *=dr")
    file = os.path.join(os.environ["LAB_DIR"], "B/disks/dr.xml")
    with open(file, "w", encoding="utf-8") as f:
        f.write(NETWORK)
    made = w.on("B", "virsh", "-q", "net-define", file, check=False) + w.on("B", "virsh", "-q", "net-start", "dr", check=False)
    there = "dr" in w.on("B", "virsh", "-q", "net-list", check=False)
    print(f"# network: {there} {made.strip()[:200]}")
    w.protect(interval_ms=1000)
    w.check("recovery points appear", w.points_grow(2))

    w.cli("B", "address", GUEST, "--ip", "192.0.2.77/24", "--ip", "2001:db8::77/64", "--gateway", "192.0.2.1", "--dns", "192.0.2.53")
    found = settings(w)[0]
    w.check("they are kept", found["IPAddresses"] == ["192.0.2.77", "2001:db8::77"] and found["Subnets"] == ["255.255.255.0", "64"],
            str(found))
    code, text = w.status_of("B", "address", GUEST, "--ip", "192.0.2.77'; reboot; '/24")
    w.check("what is no address is refused", code != 0, text)

    w.cli("B", "test-failover", GUEST, "--start")
    test = GUEST + " - Test"
    w.check("a test guest gets them", w.until(lambda: {"192.0.2.77/24", "2001:db8::77/64"} <= addresses_in(w, test), 180),
            str(settings(w)))
    w.check("and that is told", w.until(lambda: "of the test guest were set" in settings(w)[0]["Description"]), str(settings(w)))
    w.cli("B", "test-failover", GUEST, "--stop")

    w.on("A", "virsh", "-q", "destroy", GUEST)
    w.cli("B", "failover", GUEST, "--start")
    w.check("the guest that failed over gets them", w.until(lambda: {"192.0.2.77/24", "2001:db8::77/64"} <= addresses_in(w, GUEST), 180),
            str(settings(w)))
    w.check("and that is told, with the flavour", w.until(lambda: "were set" in settings(w)[0]["Description"] and
                                                          "(iproute2)" in settings(w)[0]["Description"]), str(settings(w)))
    cards = w.on("B", "virsh", "-q", "domiflist", GUEST)
    w.check("its card is on the network of the map, if this host can have one", ("dr" in cards.split()) == there, cards)
