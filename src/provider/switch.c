/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/switch.h"

#include "base/err.h"
#include "base/log.h"
#include "provider/all.h"

#include <string.h>

static void
row_free(gpointer p)
{
    struct switch_row *row = p;
    g_free(row->name);
    g_free(row);
}

/* A name-based UUID (RFC 4122, version 5) below the host's. */
static struct uuid
bridge_uuid(const struct uuid *host, const char *bridge)
{
    struct uuid out;
    guint8 digest[20];
    gsize len = sizeof digest;
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA1);
    g_checksum_update(sum, host->bytes, sizeof host->bytes);
    g_checksum_update(sum, (const guchar *)bridge, (gssize)strlen(bridge));
    g_checksum_get_digest(sum, digest, &len);
    g_checksum_free(sum);
    memcpy(out.bytes, digest, sizeof out.bytes);
    out.bytes[6] = (out.bytes[6] & 0x0f) | 0x50;
    out.bytes[8] = (out.bytes[8] & 0x3f) | 0x80;
    return out;
}

static struct switch_row *
find(const GPtrArray *rows, const char *name)
{
    for (guint i = 0; i < rows->len; i++) {
        struct switch_row *row = g_ptr_array_index(rows, i);
        if (strcmp(row->name, name) == 0)
            return row;
    }
    return NULL;
}

static bool
add_bridges(struct repl_service *s, GPtrArray *rows, GError **err)
{
    g_autoptr(GPtrArray) guests = repl_guests(s, err);
    vm_host_auto host = NULL;
    for (guint g = 0; guests && g < guests->len; g++) {
        const struct vm_facts *f = g_ptr_array_index(guests, g);
        for (guint n = 0; f->hardware && n < f->hardware->cards->len; n++) {
            const struct vm_card *card = g_ptr_array_index(f->hardware->cards, n);
            if (!card->bridge || find(rows, card->bridge))
                continue;
            host = host ? host : repl_machine(s, err);
            if (!host)
                return false;
            struct switch_row *row = g_new0(struct switch_row, 1);
            g_autofree char *net = g_strdup_printf("/sys/class/net/%s", card->bridge);
            row->id = bridge_uuid(&host->uuid, card->bridge);
            row->name = g_strdup(card->bridge);
            row->active = g_file_test(net, G_FILE_TEST_EXISTS);
            g_ptr_array_add(rows, row);
        }
    }
    return guests != NULL;
}

/* libvirt's networks have a daemon of their own, which a host may not have at all.  That libvirt is away is seen by its guests. */
GPtrArray *
switch_list(struct repl_service *s, GError **err)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GPtrArray) networks = repl_networks(s, &why), rows = g_ptr_array_new_with_free_func(row_free);
    if (!networks)
        log_debug("Switches are shown without libvirt's networks: %s", why->message);
    for (guint i = 0; networks && i < networks->len; i++) {
        const struct vm_network *n = g_ptr_array_index(networks, i);
        struct switch_row *row = g_new0(struct switch_row, 1);
        row->id = n->uuid;
        row->name = g_strdup(n->name);
        row->active = n->active;
        g_ptr_array_add(rows, row);
    }
    return add_bridges(s, rows, err) ? g_steal_pointer(&rows) : NULL;
}

struct cim_path *
switch_path(const struct uuid *id)
{
    char text[UUID_TEXT];
    struct cim_path *p = cim_path_new(NAMESPACE, "Msvm_VirtualEthernetSwitch");
    cim_path_set(p, "CreationClassName", "Msvm_VirtualEthernetSwitch");
    cim_path_set(p, "Name", uuid_format(id, text));
    return p;
}

static bool
network_of(struct repl_service *s, const char *name, struct uuid *id)
{
    g_autoptr(GPtrArray) networks = repl_networks(s, NULL);
    for (guint i = 0; networks && i < networks->len; i++) {
        const struct vm_network *n = g_ptr_array_index(networks, i);
        if (strcmp(n->name, name) != 0)
            continue;
        *id = n->uuid;
        return true;
    }
    return false;
}

bool
switch_of(struct repl_service *s, const struct vm_card *card, struct uuid *id)
{
    const char *name = card->network ? card->network : card->bridge;
    if (!name)
        return false;
    if (network_of(s, name, id))
        return true;
    if (card->network)
        return false;
    vm_host_auto host = repl_machine(s, NULL);
    if (host)
        *id = bridge_uuid(&host->uuid, name);
    return host != NULL;
}

/* ---- the classes ---- */

static struct cim_instance *
instance_of(const struct switch_row *row)
{
    static const guint ok[] = {2}, stopped[] = {10}, dedicated[] = {38};
    char id[UUID_TEXT];
    struct cim_instance *i = new_instance("Msvm_VirtualEthernetSwitch");
    cim_set_string(i, "Caption", "Virtual Switch");
    cim_set_string(i, "Description", "Microsoft Virtual Switch");
    cim_set_string(i, "Name", uuid_format(&row->id, id));
    cim_set_string(i, "ElementName", row->name);
    cim_set_uints(i, "OperationalStatus", row->active ? ok : stopped, 1);
    cim_set_string(i, "Status", row->active ? "OK" : "Stopped");
    cim_set_uint(i, "HealthState", 5);
    cim_set_uint(i, "EnabledState", row->active ? 2 : 3);
    cim_set_uints(i, "Dedicated", dedicated, 1); /* layer 2 switch */
    return i;
}

static bool
enumerate_switches(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    g_autoptr(GPtrArray) rows = switch_list(service_of(user), err);
    for (guint i = 0; rows && i < rows->len; i++)
        if (!emit(sink, instance_of(g_ptr_array_index(rows, i))))
            break;
    return rows != NULL;
}

const struct cim_provider ethernet_switch = {"Msvm_VirtualEthernetSwitch", enumerate_switches, NULL, NULL};

static bool
enumerate_service(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err)
{
    static const guint ok[] = {2};
    struct cim_instance *i = new_instance("Msvm_VirtualEthernetSwitchManagementService");
    cim_set_string(i, "Caption", "Virtual switch management service");
    cim_set_string(i, "Description", "Shows the virtual networks of this host");
    cim_set_string(i, "ElementName", "Virtual switch management service");
    cim_set_string(i, "Name", "nvspwmi");
    cim_set_string(i, "SystemName", repl_host(service_of(user)));
    cim_set_uints(i, "OperationalStatus", ok, 1);
    cim_set_string(i, "Status", "OK");
    emit(sink, i);
    return true;
}

const struct cim_provider switch_service = {"Msvm_VirtualEthernetSwitchManagementService", enumerate_service, NULL, NULL};
