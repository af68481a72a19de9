/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "provider/all.h"
#include "provider/switch.h"

/* Network cards: the card (Msvm_SyntheticEthernetPortSettingData), its plug in a switch (Msvm_EthernetPortAllocationSettingData, contract
 * 1.31), and the addresses that it gets after a failover (contract 1.10, 1.11). */

static const char PORT[] = "Msvm_SyntheticEthernetPortSettingData";

bool
list_port_setting(const struct device_owner *o, cim_emit emit, void *sink)
{
    for (guint n = 0; n < o->hardware->cards->len; n++) {
        const struct vm_card *card = g_ptr_array_index(o->hardware->cards, n);
        g_autofree char *mac = device_mac(card), *slot = g_strdup_printf("%u", n);
        g_autofree char *name = g_strdup_printf("Network adapter %s", card->model ? card->model : "");
        if (!*mac)
            continue;
        struct cim_instance *i = device_setting(o, PORT, device_port(o, card), g_strstrip(name), 10,
                                                "Microsoft:Hyper-V:Synthetic Ethernet Port");
        cim_set_string(i, "Caption", "Network adapter");
        cim_set_string(i, "Description", "Settings for a network adapter of a virtual machine");
        cim_set_string(i, "Address", mac);
        cim_set_string(i, "AddressOnParent", slot);
        cim_set_bool(i, "StaticMacAddress", true); /* libvirt keeps it in the definition */
        cim_set_bool(i, "ClusterMonitored", false);
        cim_set_uint(i, "VirtualQuantity", 1);
        cim_set_string(i, "VirtualQuantityUnits", "count");
        if (!emit(sink, i))
            return false;
    }
    return true;
}

DEVICE_PROVIDER(port_setting, "Msvm_SyntheticEthernetPortSettingData", list_port_setting);

static void
fill_switch(const struct device_owner *o, struct cim_instance *i, const struct vm_card *card)
{
    struct uuid id;
    cim_set_string(i, "LastKnownSwitchName", card->network ? card->network : card->bridge);
    if (!switch_of(o->service, card, &id))
        return;
    cim_path_auto path = switch_path(&id);
    g_autofree char *text = cim_path_text_on(path, repl_host(o->service));
    cim_set_strings(i, "HostResource", (char *[]){text, NULL});
}

/* Recovery points have none: it belongs to this host. */
static void
fill_test_network(const struct device_owner *o, struct cim_instance *i, const struct vm_card *card)
{
    g_autoptr(GPtrArray) all = o->facts ? repl_test_networks(o->service, &o->id) : NULL;
    for (guint n = 0; all && n < all->len; n++) {
        const struct repl_test_network *own = g_ptr_array_index(all, n);
        if (!g_ascii_strcasecmp(own->mac, card->mac))
            cim_set_string(i, "TestReplicaSwitchName", own->network);
    }
}

static struct cim_instance *
connection(const struct device_owner *o, const struct vm_card *card)
{
    g_autofree char *port = device_port(o, card), *parent = device_path_text(o, PORT, port), *mac = device_mac(card);
    struct cim_instance *i = device_setting(o, "Msvm_EthernetPortAllocationSettingData", g_strdup_printf("%s\\Connection", port),
                                            "Ethernet connection", 33, "Microsoft:Hyper-V:Ethernet Connection");
    cim_set_string(i, "Parent", parent);
    cim_set_string(i, "Address", mac);
    cim_set_uint(i, "EnabledState", card->link_up ? 2 : 3);
    cim_set_uint(i, "VirtualQuantity", 1);
    if (card->vlan)
        cim_set_uint(i, "DesiredVLANEndpointMode", 2); /* access */
    fill_switch(o, i, card);
    fill_test_network(o, i, card);
    return i;
}

bool
list_connection_setting(const struct device_owner *o, cim_emit emit, void *sink)
{
    for (guint n = 0; n < o->hardware->cards->len; n++) {
        const struct vm_card *card = g_ptr_array_index(o->hardware->cards, n);
        if (card->mac && !emit(sink, connection(o, card)))
            return false;
    }
    return true;
}

DEVICE_PROVIDER(connection_setting, "Msvm_EthernetPortAllocationSettingData", list_connection_setting);
