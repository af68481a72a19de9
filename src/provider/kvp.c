/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/device.h"
#include "vm/agent.h"

#include <string.h>

/* Msvm_KvpExchangeComponent: what a guest says about itself, through the QEMU guest agent, as Msvm_KvpExchangeDataItem in CIM-XML
 * (contract 1.24, Source 2: guest intrinsic).  Without an agent the component is there and says nothing. */

enum { TEXT_MAX = 1024 };

static void
add(GPtrArray *items, const char *name, const char *data)
{
    if (!data || !*data)
        return;
    g_autofree char *cut = g_utf8_substring(data, 0, MIN(g_utf8_strlen(data, -1), TEXT_MAX));
    cim_instance_auto i = new_instance("Msvm_KvpExchangeDataItem");
    cim_set_uint(i, "Source", 2);
    cim_set_string(i, "Name", name);
    cim_set_string(i, "Data", cut);
    g_ptr_array_add(items, cim_xml_text(i));
}

/* Addresses of the guest's own cards; the guest may have more that libvirt does not know (bridges, tunnels), and those are left out. */
static void
add_addresses(GPtrArray *items, const struct device_owner *o)
{
    g_autoptr(GHashTable) found = repl_addresses(o->service, &o->facts->uuid);
    g_autoptr(GString) v4 = g_string_new(NULL), v6 = g_string_new(NULL);
    for (guint n = 0; n < o->hardware->cards->len; n++) {
        const struct vm_card *card = g_ptr_array_index(o->hardware->cards, n);
        g_autofree char *mac = card->mac ? g_ascii_strdown(card->mac, -1) : NULL;
        char **all = mac ? g_hash_table_lookup(found, mac) : NULL;
        for (; all && *all; all++) {
            GString *to = strchr(*all, ':') ? v6 : v4;
            g_string_append_printf(to, "%s%s", to->len ? ";" : "", *all);
        }
    }
    add(items, "NetworkAddressIPv4", v4->str);
    add(items, "NetworkAddressIPv6", v6->str);
}

static GPtrArray *
intrinsic_items(const struct device_owner *o)
{
    struct vm_agent_info info;
    GPtrArray *items = g_ptr_array_new_with_free_func(g_free);
    if (o->facts->machine.agent == VM_AGENT_CONNECTED && repl_agent(o->service, &o->facts->uuid, &info, NULL)) {
        add(items, "FullyQualifiedDomainName", info.hostname);
        add(items, "OSName", info.os_name);
        add(items, "OSVersion", info.os_version);
        add(items, "OSBuildNumber", info.kernel);
        vm_agent_info_clear(&info);
        add_addresses(items, o);
    }
    g_ptr_array_add(items, NULL);
    return items;
}

static struct cim_instance *
component(const struct device_owner *o)
{
    struct cim_instance *i = device_new(o, "Msvm_KvpExchangeComponent", "KvpExchange", "Key-Value Pair Exchange");
    cim_set_string(i, "Description", "Key-value pairs of the guest agent");
    cim_set_uint(i, "EnabledState", o->facts->machine.agent == VM_AGENT_CONNECTED ? 2 : 3);
    return i;
}

/* For those who only want to know that it is there: the guest is not asked. */
bool
list_kvp_name(const struct device_owner *o, cim_emit emit, void *sink)
{
    return !o->facts || emit(sink, component(o));
}

static bool
list_kvp_component(const struct device_owner *o, cim_emit emit, void *sink)
{
    if (!o->facts)
        return true;
    struct cim_instance *i = component(o);
    g_autoptr(GPtrArray) items = intrinsic_items(o);
    if (items->len > 1)
        cim_set_strings(i, "GuestIntrinsicExchangeItems", (char *const *)items->pdata);
    return emit(sink, i);
}

DEVICE_PROVIDER(kvp_component, "Msvm_KvpExchangeComponent", list_kvp_component);
