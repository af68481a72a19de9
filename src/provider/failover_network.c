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

static bool
list_settings(const struct device_owner *o, cim_emit emit, void *sink)
{
    const guint count = o->hardware->cards->len && replicated(o) ? o->hardware->cards->len : 0;
    for (guint n = 0; n < count; n++) {
        const struct vm_card *card = g_ptr_array_index(o->hardware->cards, n);
        if (!card->mac)
            continue;
        g_autofree char *port = device_port(o, card), *id = g_strdup_printf("%s\\FailoverNetwork", port);
        struct cim_instance *i = new_instance(CLASS);
        cim_set_string(i, "InstanceID", id);
        cim_set_string(i, "Caption", "Failover network adapter");
        cim_set_string(i, "Description", "Addresses of a network adapter after a failover");
        cim_set_string(i, "ElementName", card->mac);
        cim_set_uint(i, "ProtocolIFType", 0); /* none was named */
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
