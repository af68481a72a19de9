/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/hardware.h"

#include "base/err.h"

#include <string.h>

enum { XML_MAX = 16 << 20, DEFAULT_PERIOD_US = 100000 };

static void
drive_free(void *p)
{
    struct vm_drive *d = p;
    g_free(d->target);
    g_free(d->source);
    g_free(d->cache);
    g_free(d->serial);
    g_free(d);
}

static void
card_free(void *p)
{
    struct vm_card *c = p;
    g_free(c->mac);
    g_free(c->network);
    g_free(c->bridge);
    g_free(c->model);
    g_ptr_array_unref(c->addresses);
    g_free(c);
}

static void
serial_free(void *p)
{
    struct vm_serial *s = p;
    g_free(s->type);
    g_free(s->path);
    g_free(s);
}

static void
video_free(void *p)
{
    struct vm_video *v = p;
    g_free(v->model);
    g_free(v);
}

void
vm_hardware_free(struct vm_hardware *h)
{
    if (!h)
        return;
    g_free(h->name);
    g_free(h->title);
    g_free(h->description);
    g_free(h->machine);
    g_free(h->arch);
    g_free(h->cpu_mode);
    g_free(h->keyboard_bus);
    GPtrArray *const lists[] = { h->boot, h->drives, h->cards, h->serials, h->videos };
    for (gsize i = 0; i < G_N_ELEMENTS(lists); i++)
        g_ptr_array_unref(lists[i]);
    g_free(h);
}

static guint64
number(const char *text)
{
    return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static char *
attr_of(const xmlNode *parent, const char *child, const char *name)
{
    const xmlNode *n = parent ? xml_child(parent, NULL, child) : NULL;
    return n ? xml_attr(n, name) : NULL;
}

static guint64
attr_number(const xmlNode *node, const char *name)
{
    g_autofree char *text = node ? xml_attr(node, name) : NULL;
    return number(text);
}

static guint64
child_number(const xmlNode *parent, const char *child)
{
    g_autofree char *text = parent ? xml_child_text(parent, NULL, child) : NULL;
    return number(text);
}

/* Sizes carry a unit; libvirt always writes KiB, people write anything. */
static guint64
child_kib(const xmlNode *parent, const char *child)
{
    static const struct {
        const char *name;
        guint64 bytes;
    } units[] = { { "b", 1 }, { "bytes", 1 }, { "KB", 1000 }, { "k", 1024 }, { "KiB", 1024 }, { "MB", 1000000 }, { "M", 1 << 20 },
                  { "MiB", 1 << 20 }, { "GB", 1000000000 }, { "G", 1 << 30 }, { "GiB", 1 << 30 }, { "TiB", (guint64)1 << 40 } };
    const guint64 value = child_number(parent, child);
    g_autofree char *unit = attr_of(parent, child, "unit");
    for (gsize i = 0; unit && i < G_N_ELEMENTS(units); i++)
        if (strcmp(unit, units[i].name) == 0)
            return value * units[i].bytes / 1024;
    return value;
}

/* ---- drives ---- */

static enum vm_bus
bus_of(const char *name, const char *target)
{
    static const char *const names[] = { [VM_BUS_VIRTIO] = "virtio", [VM_BUS_SCSI] = "scsi", [VM_BUS_SATA] = "sata", [VM_BUS_USB] = "usb",
                                         [VM_BUS_IDE] = "ide",       [VM_BUS_FDC] = "fdc" };
    for (gsize i = 0; name && i < G_N_ELEMENTS(names); i++)
        if (names[i] && strcmp(name, names[i]) == 0)
            return (enum vm_bus)i;
    if (name)
        return VM_BUS_OTHER;
    return g_str_has_prefix(target, "hd")   ? VM_BUS_IDE
           : g_str_has_prefix(target, "sd") ? VM_BUS_SCSI
           : g_str_has_prefix(target, "fd") ? VM_BUS_FDC
           : g_str_has_prefix(target, "vd") ? VM_BUS_VIRTIO
                                            : VM_BUS_OTHER;
}

static enum vm_drive_kind
kind_of(const char *device)
{
    return !device                            ? VM_DRIVE_DISK
           : strcmp(device, "cdrom") == 0  ? VM_DRIVE_CDROM
           : strcmp(device, "floppy") == 0 ? VM_DRIVE_FLOPPY
           : strcmp(device, "lun") == 0    ? VM_DRIVE_PASSTHROUGH
                                           : VM_DRIVE_DISK;
}

static void
read_source(struct vm_drive *d, const xmlNode *disk)
{
    static const char *const paths[] = { "file", "dev", "dir" };
    const xmlNode *source = xml_child(disk, NULL, "source");
    for (gsize i = 0; source && !d->source && i < G_N_ELEMENTS(paths); i++)
        d->source = xml_attr(source, paths[i]);
    d->file = d->source != NULL;
    g_autofree char *protocol = source && !d->source ? xml_attr(source, "protocol") : NULL;
    g_autofree char *name = source && !d->source ? xml_attr(source, "name") : NULL;
    if (protocol)
        d->source = g_strdup_printf("%s:%s", protocol, name ? name : "");
    if (d->source && !*d->source)
        g_clear_pointer(&d->source, g_free);
}

/* IDE has two channels of two; the target's letter says which when there is no address. */
static void
place(struct vm_drive *d, const xmlNode *disk, const guint used[VM_BUSES])
{
    d->slot = used[d->bus];
    if (d->bus != VM_BUS_IDE)
        return;
    const xmlNode *at = xml_child(disk, NULL, "address");
    const guint letter = strlen(d->target) == 3 ? (guint)(d->target[2] - 'a') : 0;
    d->channel = (at ? (guint)attr_number(at, "bus") : letter / 2) & 1;
    d->slot = (at ? (guint)attr_number(at, "unit") : letter) & 1;
}

static struct vm_drive *
parse_drive(const xmlNode *disk, guint used[VM_BUSES])
{
    g_autofree char *target = attr_of(disk, "target", "dev"), *bus = attr_of(disk, "target", "bus"), *device = xml_attr(disk, "device");
    if (!target)
        return NULL;
    const xmlNode *tune = xml_child(disk, NULL, "iotune"), *blocks = xml_child(disk, NULL, "blockio");
    struct vm_drive *d = g_new0(struct vm_drive, 1);
    d->bus = bus_of(bus, target);
    d->target = g_steal_pointer(&target);
    d->kind = kind_of(device);
    d->readonly = xml_child(disk, NULL, "readonly") != NULL || d->kind == VM_DRIVE_CDROM;
    d->shareable = xml_child(disk, NULL, "shareable") != NULL;
    d->cache = attr_of(disk, "driver", "cache");
    d->no_flush = g_strcmp0(d->cache, "unsafe") == 0;
    d->serial = xml_child_text(disk, NULL, "serial");
    d->iops_max = child_number(tune, "total_iops_sec");
    d->sector = attr_number(blocks, "logical_block_size");
    d->sector = d->sector ? d->sector : 512;
    read_source(d, disk);
    place(d, disk, used);
    used[d->bus]++;
    return d;
}

/* ---- other devices ---- */

static struct vm_card *
parse_card(const xmlNode *node)
{
    struct vm_card *c = g_new0(struct vm_card, 1);
    g_autofree char *link = attr_of(node, "link", "state");
    const xmlNode *vlan = xml_child(node, NULL, "vlan");
    c->mac = attr_of(node, "mac", "address");
    c->network = attr_of(node, "source", "network");
    c->bridge = c->network ? NULL : attr_of(node, "source", "bridge");
    c->model = attr_of(node, "model", "type");
    c->link_up = g_strcmp0(link, "down") != 0;
    c->vlan = vlan ? (guint)attr_number(xml_child(vlan, NULL, "tag"), "id") : 0;
    c->addresses = g_ptr_array_new_with_free_func(g_free);
    for (const xmlNode *ip = xml_child(node, NULL, "ip"); ip; ip = xml_next(ip, NULL, "ip")) {
        char *address = xml_attr(ip, "address");
        if (address)
            g_ptr_array_add(c->addresses, address);
    }
    return c;
}

static struct vm_serial *
parse_serial(const xmlNode *node)
{
    struct vm_serial *s = g_new0(struct vm_serial, 1);
    s->type = xml_attr(node, "type");
    s->path = attr_of(node, "source", "path");
    s->port = (guint)attr_number(xml_child(node, NULL, "target"), "port");
    return s;
}

static struct vm_video *
parse_video(const xmlNode *node)
{
    struct vm_video *v = g_new0(struct vm_video, 1);
    const xmlNode *model = xml_child(node, NULL, "model");
    v->model = model ? xml_attr(model, "type") : NULL;
    v->memory_kib = attr_number(model, "vram");
    v->heads = (guint)attr_number(model, "heads");
    return v;
}

static void
note_input(struct vm_hardware *h, const xmlNode *node)
{
    g_autofree char *type = xml_attr(node, "type");
    if (g_strcmp0(type, "keyboard") != 0 || h->keyboard)
        return;
    h->keyboard = true;
    h->keyboard_bus = xml_attr(node, "bus");
}

static void
note_balloon(struct vm_hardware *h, const xmlNode *node)
{
    g_autofree char *model = xml_attr(node, "model");
    h->memballoon = g_strcmp0(model, "none") != 0;
}

static void
add(GPtrArray *list, void *item)
{
    if (item)
        g_ptr_array_add(list, item);
}

static void
read_devices(struct vm_hardware *h, const xmlNode *devices)
{
    guint used[VM_BUSES] = { 0 };
    for (const xmlNode *n = xml_child(devices, NULL, NULL); n; n = xml_next(n, NULL, NULL)) {
        if (xml_is(n, NULL, "disk"))
            add(h->drives, parse_drive(n, used));
        else if (xml_is(n, NULL, "interface"))
            add(h->cards, parse_card(n));
        else if (xml_is(n, NULL, "serial"))
            add(h->serials, parse_serial(n));
        else if (xml_is(n, NULL, "video"))
            add(h->videos, parse_video(n));
        else if (xml_is(n, NULL, "input"))
            note_input(h, n);
        else if (xml_is(n, NULL, "memballoon"))
            note_balloon(h, n);
    }
}

/* ---- the machine ---- */

static void
read_cpu(struct vm_hardware *h, const xmlNode *domain)
{
    const xmlNode *tune = xml_child(domain, NULL, "cputune"), *cpu = xml_child(domain, NULL, "cpu");
    const xmlNode *topology = cpu ? xml_child(cpu, NULL, "topology") : NULL;
    h->vcpus_max = (guint)child_number(domain, "vcpu");
    h->vcpus = (guint)attr_number(xml_child(domain, NULL, "vcpu"), "current");
    h->vcpus = h->vcpus ? h->vcpus : h->vcpus_max;
    h->cpu_mode = cpu ? xml_attr(cpu, "mode") : NULL;
    h->sockets = (guint)attr_number(topology, "sockets");
    h->cores = (guint)attr_number(topology, "cores");
    h->threads = (guint)attr_number(topology, "threads");
    h->cpu_shares = (guint)child_number(tune, "shares");
    g_autofree char *quota = tune ? xml_child_text(tune, NULL, "quota") : NULL;
    h->cpu_quota_us = quota ? MAX(0, g_ascii_strtoll(quota, NULL, 10)) : 0;
    h->cpu_period_us = (gint64)child_number(tune, "period");
    h->cpu_period_us = h->cpu_period_us ? h->cpu_period_us : DEFAULT_PERIOD_US;
}

static void
read_memory(struct vm_hardware *h, const xmlNode *domain)
{
    const xmlNode *backing = xml_child(domain, NULL, "memoryBacking");
    h->memory_max_kib = child_kib(domain, "memory");
    h->memory_kib = child_kib(domain, "currentMemory");
    h->memory_kib = h->memory_kib ? h->memory_kib : h->memory_max_kib;
    h->hugepages = backing && xml_child(backing, NULL, "hugepages");
}

static void
read_os(struct vm_hardware *h, const xmlNode *os)
{
    const xmlNode *type = xml_child(os, NULL, "type");
    h->machine = type ? xml_attr(type, "machine") : NULL;
    h->arch = type ? xml_attr(type, "arch") : NULL;
    for (const xmlNode *b = xml_child(os, NULL, "boot"); b; b = xml_next(b, NULL, "boot"))
        add(h->boot, xml_attr(b, "dev"));
}

static struct vm_hardware *
hardware_new(void)
{
    struct vm_hardware *h = g_new0(struct vm_hardware, 1);
    h->boot = g_ptr_array_new_with_free_func(g_free);
    h->drives = g_ptr_array_new_with_free_func(drive_free);
    h->cards = g_ptr_array_new_with_free_func(card_free);
    h->serials = g_ptr_array_new_with_free_func(serial_free);
    h->videos = g_ptr_array_new_with_free_func(video_free);
    return h;
}

struct vm_hardware *
vm_hardware_parse(const char *xml, GError **err)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), XML_MAX, err);
    const xmlNode *domain = doc ? xmlDocGetRootElement(doc) : NULL;
    if (!domain)
        return NULL;
    if (!xml_is(domain, NULL, "domain")) {
        err_set(err, ERR_MALFORMED, "The definition of a guest begins with <domain>, not with <%s>.", (const char *)domain->name);
        return NULL;
    }
    return vm_hardware_read(domain);
}

struct vm_hardware *
vm_hardware_read(const xmlNode *domain)
{
    struct vm_hardware *h = hardware_new();
    g_autofree char *uuid = xml_child_text(domain, NULL, "uuid");
    if (uuid)
        uuid_parse(uuid, &h->uuid);
    h->name = xml_child_text(domain, NULL, "name");
    h->title = xml_child_text(domain, NULL, "title");
    h->description = xml_child_text(domain, NULL, "description");
    const xmlNode *os = xml_child(domain, NULL, "os"), *devices = xml_child(domain, NULL, "devices");
    read_cpu(h, domain);
    read_memory(h, domain);
    if (os)
        read_os(h, os);
    if (devices)
        read_devices(h, devices);
    return h;
}
