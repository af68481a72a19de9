/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/host.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/xml.h"
#include "vm/handle.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

enum { XML_MAX = 4 << 20 };

/* What was read last, per connection. */
struct host_memory {
    GMutex lock; /* a leaf */
    struct vm_host *host;
    GPtrArray *networks;
    gint64 host_us, networks_us; /* monotonic */
};

struct host_memory *
host_memory_new(void)
{
    struct host_memory *m = g_new0(struct host_memory, 1);
    g_mutex_init(&m->lock);
    return m;
}

void
host_memory_free(struct host_memory *m)
{
    vm_host_free(m->host);
    g_clear_pointer(&m->networks, g_ptr_array_unref);
    g_mutex_clear(&m->lock);
    g_free(m);
}

static bool
fresh(gint64 read_us)
{
    return clock_mono_us() - read_us < HOST_OLD_S * (gint64)G_USEC_PER_SEC;
}

void
vm_host_free(struct vm_host *h)
{
    if (!h || g_atomic_int_add(&h->shares, -1) > 0)
        return;
    char *const texts[] = { h->hostname, h->domain, h->manufacturer, h->product, h->serial, h->version, h->cpu_model,
                            h->cpu_vendor, h->arch, h->os_name, h->kernel };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
    g_free(h);
}

/* ---- files of the kernel ---- */

/* The value behind "key<blanks>separator" at the start of a line; NULL: no such line. */
static char *
line_value(const char *text, const char *key, char separator)
{
    const gsize len = strlen(key);
    for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
        if (strncmp(at, key, len) != 0)
            continue;
        const char *value = at + len + strspn(at + len, " \t");
        if (*value == separator)
            return g_strstrip(g_strndup(value + 1, strcspn(value + 1, "\n")));
    }
    return NULL;
}

static guint64
line_number(const char *text, const char *key)
{
    g_autofree char *value = line_value(text, key, ':');
    return value ? g_ascii_strtoull(value, NULL, 10) : 0;
}

static void
read_cpu(struct vm_host *h)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL))
        return;
    h->cpu_model = line_value(text, "model name", ':');
    h->cpu_vendor = line_value(text, "vendor_id", ':');
    h->cpu_family = (guint)line_number(text, "cpu family");
    h->cpu_model_number = (guint)line_number(text, "model");
    h->cpu_stepping = (guint)line_number(text, "stepping");
}

static guint64
cache_kib(guint level)
{
    for (guint i = 0; i < 8; i++) {
        g_autofree char *base = g_strdup_printf("/sys/devices/system/cpu/cpu0/cache/index%u/", i);
        g_autofree char *at_level = g_strconcat(base, "level", NULL), *at_size = g_strconcat(base, "size", NULL);
        g_autofree char *is = NULL, *size = NULL;
        if (g_file_get_contents(at_level, &is, NULL, NULL) && g_ascii_strtoull(is, NULL, 10) == level &&
            g_file_get_contents(at_size, &size, NULL, NULL))
            return g_ascii_strtoull(size, NULL, 10);
    }
    return 0;
}

static void
read_memory(struct vm_host *h)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL))
        return;
    h->memory_kib = line_number(text, "MemTotal");
    h->free_kib = line_number(text, "MemAvailable");
    h->swap_kib = line_number(text, "SwapTotal");
    h->swap_free_kib = line_number(text, "SwapFree");
}

static void
read_system(struct vm_host *h)
{
    struct utsname u;
    struct sysinfo si;
    g_autofree char *release = NULL;
    if (uname(&u) == 0) {
        h->kernel = g_strdup(u.release);
        h->arch = g_strdup(u.machine);
        h->domain = strcmp(u.domainname, "(none)") != 0 && *u.domainname ? g_strdup(u.domainname) : NULL;
    }
    if (sysinfo(&si) == 0) {
        h->booted_us = clock_wall_us() - si.uptime * (gint64)G_USEC_PER_SEC;
        h->processes = si.procs;
    }
    if (!g_file_get_contents("/etc/os-release", &release, NULL, NULL))
        return;
    h->os_name = line_value(release, "PRETTY_NAME", '=');
    if (h->os_name && *h->os_name == '"') {
        memmove(h->os_name, h->os_name + 1, strlen(h->os_name));
        h->os_name[strcspn(h->os_name, "\"")] = '\0';
    }
}

/* ---- libvirt ---- */

static xmlDoc *
parse_and_free(char *text)
{
    xmlDoc *doc = text ? xml_parse(text, strlen(text), XML_MAX, NULL) : NULL;
    free(text);
    return doc;
}

static void
read_uuid(struct vm_host *h, virConnectPtr conn)
{
    g_autoptr(xmlDoc) doc = parse_and_free(virConnectGetCapabilities(conn));
    const xmlNode *host = doc ? xml_child(xmlDocGetRootElement(doc), NULL, "host") : NULL;
    g_autofree char *uuid = host ? xml_child_text(host, NULL, "uuid") : NULL, *id = NULL;
    if (uuid && uuid_parse(uuid, &h->uuid))
        return;
    if (!g_file_get_contents("/etc/machine-id", &id, NULL, NULL) || strlen(g_strstrip(id)) != 32)
        return;
    g_autofree char *dashed = g_strdup_printf("%.8s-%.4s-%.4s-%.4s-%.12s", id, id + 8, id + 12, id + 16, id + 20);
    uuid_parse(dashed, &h->uuid);
}

static char *
sysinfo_entry(const xmlNode *system, const char *name)
{
    for (const xmlNode *e = system ? xml_child(system, NULL, "entry") : NULL; e; e = xml_next(e, NULL, "entry")) {
        g_autofree char *is = xml_attr(e, "name");
        if (g_strcmp0(is, name) == 0)
            return xml_text(e);
    }
    return NULL;
}

static void
read_smbios(struct vm_host *h, virConnectPtr conn)
{
    g_autoptr(xmlDoc) doc = parse_and_free(virConnectGetSysinfo(conn, 0));
    const xmlNode *system = doc ? xml_child(xmlDocGetRootElement(doc), NULL, "system") : NULL;
    h->manufacturer = sysinfo_entry(system, "manufacturer");
    h->product = sysinfo_entry(system, "product");
    h->serial = sysinfo_entry(system, "serial");
    h->version = sysinfo_entry(system, "version");
}

static void
read_node(struct vm_host *h, virConnectPtr conn)
{
    virNodeInfo node;
    if (virNodeGetInfo(conn, &node) == 0) {
        h->cpus = node.cpus;
        h->mhz = node.mhz;
        h->nodes = node.nodes;
        h->sockets = node.sockets * MAX(node.nodes, 1);
        h->cores = node.cores;
        h->threads = node.threads;
        h->memory_kib = node.memory; /* the test driver's host is not this one */
    }
    const int max = virConnectGetMaxVcpus(conn, NULL);
    h->max_vcpus = max > 0 ? (guint)max : 0;
}

static void
read_name(struct vm_host *h, virConnectPtr conn)
{
    char *name = virConnectGetHostname(conn);
    g_auto(GStrv) parts = name ? g_strsplit(name, ".", 2) : NULL;
    free(name);
    if (!parts || !parts[0])
        return;
    h->hostname = g_strdup(parts[0]);
    if (parts[1]) {
        g_free(h->domain);
        h->domain = g_strdup(parts[1]);
    }
}

static struct vm_host *
read_host(virConnectPtr conn)
{
    struct vm_host *h = g_new0(struct vm_host, 1);
    read_cpu(h);
    read_memory(h);
    read_system(h);
    read_node(h, conn);
    read_name(h, conn);
    read_uuid(h, conn);
    read_smbios(h, conn);
    h->l2_kib = cache_kib(2);
    h->l3_kib = cache_kib(3);
    return h;
}

/* Two readers may both find it old and read it twice; the later one is kept. */
struct vm_host *
vm_host_get(struct vm_conn *c, GError **err)
{
    struct host_memory *m = conn_host(c);
    virt_conn_auto conn = conn_ref(c, err);
    if (!conn)
        return NULL;
    {
        HOLD(&m->lock);
        if (m->host && fresh(m->host_us)) {
            g_atomic_int_inc(&m->host->shares);
            return m->host;
        }
    }
    struct vm_host *h = read_host(conn);
    g_atomic_int_inc(&h->shares);
    HOLD(&m->lock);
    vm_host_free(m->host);
    m->host = h;
    m->host_us = clock_mono_us();
    return h;
}

/* ---- networks ---- */

static void
network_free(void *p)
{
    struct vm_network *n = p;
    g_free(n->name);
    g_free(n->bridge);
    g_free(n->forward);
    g_free(n);
}

/* active as libvirt answers; one that was removed meanwhile is not, nor is one of which libvirt does not say. */
static struct vm_network *
read_network(virNetworkPtr net, int active)
{
    int autostart = 0;
    struct vm_network *n = g_new0(struct vm_network, 1);
    g_autoptr(xmlDoc) doc = parse_and_free(virNetworkGetXMLDesc(net, 0));
    const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
    const xmlNode *bridge = root ? xml_child(root, NULL, "bridge") : NULL, *forward = root ? xml_child(root, NULL, "forward") : NULL;
    virNetworkGetUUID(net, n->uuid.bytes);
    n->name = g_strdup(virNetworkGetName(net));
    n->bridge = bridge ? xml_attr(bridge, "name") : NULL;
    n->forward = forward ? xml_attr(forward, "mode") : NULL;
    n->active = active == 1;
    n->autostart = virNetworkGetAutostart(net, &autostart) == 0 && autostart;
    return n;
}

/* One that cannot be looked at does not hide the others; that libvirt is away says nothing about any of them. */
static bool
add_network(GPtrArray *list, virNetworkPtr net, GError **err)
{
    const char *name = virNetworkGetName(net);
    g_autoptr(GError) why = NULL;
    const int active = virNetworkIsActive(net);
    if (active < 0)
        conn_error(&why, "It cannot be found out whether network '%s' is active", name);
    if (why && err_is(why, ERR_NOT_AVAILABLE)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (why)
        log_debug("%s", why->message);
    g_ptr_array_add(list, read_network(net, active));
    return true;
}

static GPtrArray *
read_networks(virConnectPtr conn, GError **err)
{
    virNetworkPtr *all = NULL;
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(network_free);
    const int count = virConnectListAllNetworks(conn, &all, 0);
    const virError *e = virGetLastError();
    bool ok = count >= 0 || (e && e->code == VIR_ERR_NO_SUPPORT) || conn_error(err, "The networks of this host cannot be listed");
    for (int i = 0; i < count; i++) {
        ok = ok && add_network(list, all[i], err);
        virNetworkFree(all[i]);
    }
    if (count >= 0)
        free(all);
    return ok ? g_steal_pointer(&list) : NULL;
}

GPtrArray *
vm_networks(struct vm_conn *c, GError **err)
{
    struct host_memory *m = conn_host(c);
    virt_conn_auto conn = conn_ref(c, err);
    if (!conn)
        return NULL;
    {
        HOLD(&m->lock);
        if (m->networks && fresh(m->networks_us))
            return g_ptr_array_ref(m->networks);
    }
    GPtrArray *list = read_networks(conn, err);
    if (!list)
        return NULL;
    HOLD(&m->lock);
    g_clear_pointer(&m->networks, g_ptr_array_unref);
    m->networks = g_ptr_array_ref(list);
    m->networks_us = clock_mono_us();
    return list;
}

/* ---- addresses ---- */

static char **
addresses_of(const struct _virDomainInterface *card)
{
    GPtrArray *out = g_ptr_array_new();
    for (guint i = 0; i < card->naddrs; i++)
        g_ptr_array_add(out, g_strdup(card->addrs[i].addr));
    g_ptr_array_add(out, NULL);
    return (char **)g_ptr_array_free(out, FALSE);
}

GHashTable *
vm_guest_addresses(struct vm_conn *c, const struct uuid *vm)
{
    GHashTable *found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_strfreev);
    g_autoptr(virDomain) dom = conn_domain(c, vm, NULL);
    virDomainInterfacePtr *cards = NULL;
    const int count = dom ? virDomainInterfaceAddresses(dom, &cards, VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT, 0) : -1;
    for (int i = 0; i < count; i++) {
        if (cards[i]->hwaddr)
            g_hash_table_insert(found, g_ascii_strdown(cards[i]->hwaddr, -1), addresses_of(cards[i]));
        virDomainInterfaceFree(cards[i]);
    }
    if (count >= 0)
        free(cards);
    return found;
}
