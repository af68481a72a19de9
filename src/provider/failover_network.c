/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/device.h"

/* Msvm_FailoverNetworkAdapterSettingData and Msvm_EthernetPortFailoverSettingDataComponent (contract 1.10, 1.11): the addresses that a card
 * of a replicated guest gets after a failover.  Clients read the instance of a card, edit it and hand it back, so it is there before
 * anything was set; what is not set is null. */

static const char CLASS[] = "Msvm_FailoverNetworkAdapterSettingData";

static bool
replicated(const struct device_owner *o)
{
    struct repl_relation r;
    if (!o->facts || !repl_relation_get(o->service, &o->facts->uuid, 0, &r, NULL))
        return false;
    const bool yes = r.mode != MODE_NONE;
    repl_relation_clear(&r);
    return yes;
}

/* What is set for the card; NULL: nothing. */
static const struct repl_addresses *
settings_of(const GPtrArray *all, const struct vm_card *card)
{
    for (guint i = 0; i < all->len; i++) {
        const struct repl_addresses *one = g_ptr_array_index(all, i);
        if (!g_ascii_strcasecmp(one->mac, card->mac))
            return one;
    }
    return NULL;
}

static void
fill(struct cim_instance *i, const struct repl_addresses *a)
{
    char *none[] = {NULL};
    cim_set_uint(i, "ProtocolIFType", a ? a->family : 0); /* 0: none was named */
    if (!a)
        return;
    cim_set_bool(i, "DHCPEnabled", a->dhcp);
    cim_set_strings(i, "IPAddresses", a->addresses ? a->addresses : none);
    cim_set_strings(i, "Subnets", a->subnets ? a->subnets : none);
    cim_set_strings(i, "DefaultGateways", a->gateways ? a->gateways : none);
    cim_set_strings(i, "DNSServers", a->dns ? a->dns : none);
}

/* The class has no status of its own: what came of it is said in words. */
static char *
description(const struct device_owner *o)
{
    bool failed, waiting;
    char *outcome = repl_addresses_outcome(o->service, &o->facts->uuid, &failed, &waiting);
    return outcome ? outcome : g_strdup(waiting ? "Addresses of a network adapter after a failover; the guest's agent is waited for"
                                                : "Addresses of a network adapter after a failover");
}

static bool
list_settings(const struct device_owner *o, cim_emit emit, void *sink)
{
    const guint count = o->hardware->cards->len && replicated(o) ? o->hardware->cards->len : 0;
    g_autoptr(GPtrArray) all = count ? repl_addresses_get(o->service, &o->facts->uuid) : NULL;
    g_autofree char *words = count ? description(o) : NULL;
    for (guint n = 0; n < count; n++) {
        const struct vm_card *card = g_ptr_array_index(o->hardware->cards, n);
        if (!card->mac)
            continue;
        g_autofree char *port = device_port(o, card), *id = g_strdup_printf("%s\\FailoverNetwork", port);
        struct cim_instance *i = new_instance(CLASS);
        cim_set_string(i, "InstanceID", id);
        cim_set_string(i, "Caption", "Failover network adapter");
        cim_set_string(i, "Description", words);
        cim_set_string(i, "ElementName", card->mac);
        fill(i, settings_of(all, card));
        if (!emit(sink, i))
            return false;
    }
    return true;
}

DEVICE_PROVIDER(failover_network, "Msvm_FailoverNetworkAdapterSettingData", list_settings);

static bool
list_links(const struct device_owner *o, cim_emit emit, void *sink)
{
    const guint count = o->hardware->cards->len && replicated(o) ? o->hardware->cards->len : 0;
    for (guint n = 0; n < count; n++) {
        const struct vm_card *card = g_ptr_array_index(o->hardware->cards, n);
        if (!card->mac)
            continue;
        g_autofree char *port = device_port(o, card), *id = g_strdup_printf("%s\\FailoverNetwork", port);
        struct cim_instance *i = new_instance("Msvm_EthernetPortFailoverSettingDataComponent");
        cim_set_ref(i, "GroupComponent", with_id("Msvm_SyntheticEthernetPortSettingData", port));
        cim_set_ref(i, "PartComponent", with_id(CLASS, id));
        if (!emit(sink, i))
            return false;
    }
    return true;
}

static bool
enumerate_links(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    return device_enumerate(service_of(user), source, list_links, emit, sink, err);
}

const struct cim_provider failover_network_component = {"Msvm_EthernetPortFailoverSettingDataComponent", enumerate_links, NULL, NULL};
