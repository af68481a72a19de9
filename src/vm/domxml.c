/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/domxml.h"

#include "base/err.h"
#include "base/xml.h"

#include <string.h>

enum { XML_MAX = 16 << 20 };

struct rewrite {
    const struct domxml_disk *disks;
    guint count;
    const char *folder;
    guint64 used; /* bit i: disks[i] was found */
    guint files;  /* numbers the files that take the place of the other host's */
};

/* ---- small tree tools ---- */

#define S(text) ((const xmlChar *)(text))

static void
drop(xmlNode *node)
{
    if (!node)
        return;
    xmlNode *indent = node->prev; /* of the line that goes */
    if (indent && xmlIsBlankNode(indent)) {
        xmlUnlinkNode(indent);
        xmlFreeNode(indent);
    }
    xmlUnlinkNode(node);
    xmlFreeNode(node);
}

static void
drop_children(xmlNode *parent, const char *name)
{
    xmlNode *n;
    while ((n = xml_child(parent, NULL, name)))
        drop(n);
}

static void
drop_each(xmlNode *parent, const char *const *names)
{
    for (gsize i = 0; names[i]; i++)
        drop_children(parent, names[i]);
}

static void
drop_attr(xmlNode *node, const char *name)
{
    xmlUnsetProp(node, S(name));
}

static void
set_attr(xmlNode *node, const char *name, const char *value)
{
    xmlSetProp(node, S(name), S(value));
}

static xmlNode *
add(xmlNode *parent, const char *name)
{
    return xmlNewChild(parent, NULL, S(name), NULL);
}

static xmlNode *
child_or_new(xmlNode *parent, const char *name)
{
    xmlNode *n = xml_child(parent, NULL, name);
    return n ? n : add(parent, name);
}

static bool
attr_is(const xmlNode *node, const char *name, const char *value)
{
    g_autofree char *have = node ? xml_attr(node, name) : NULL;
    return g_strcmp0(have, value) == 0;
}

/* ---- disks ---- */

static const struct domxml_disk *
replicated(struct rewrite *r, const xmlNode *disk)
{
    const xmlNode *target = xml_child(disk, NULL, "target");
    for (guint i = 0; i < r->count; i++)
        if (target && attr_is(target, "dev", r->disks[i].target)) {
            r->used |= G_GUINT64_CONSTANT(1) << i;
            return &r->disks[i];
        }
    return NULL;
}

static void
point_at_socket(xmlNode *disk, const struct domxml_disk *d)
{
    xmlNode *backing = add(disk, "backingStore");
    set_attr(backing, "type", "network");
    set_attr(add(backing, "format"), "type", "raw");
    xmlNode *source = add(backing, "source");
    set_attr(source, "protocol", "nbd");
    set_attr(source, "name", d->target);
    xmlNode *host = add(source, "host");
    set_attr(host, "transport", "unix");
    set_attr(host, "socket", d->nbd_socket);
    set_attr(add(source, "reconnect"), "delay", G_STRINGIFY(DOMXML_RECONNECT_S));
    add(backing, "backingStore"); /* nothing below */
}

/* What described the image on the other host.  Cache and discard modes belong to the guest's hardware and stay. */
static const char *const image_parts[] = { "source", "backingStore", "mirror", "auth", "encryption", "backenddomain", "privateData",
                                          "reservations", NULL };

static void
rewrite_replicated(xmlNode *disk, const struct domxml_disk *d)
{
    drop_each(disk, image_parts);
    set_attr(disk, "type", "file");
    set_attr(disk, "device", "disk");
    xmlNode *driver = child_or_new(disk, "driver");
    set_attr(driver, "name", "qemu");
    set_attr(driver, "type", d->format);
    drop_attr(driver, "metadata_cache");
    drop_children(driver, "metadata_cache");
    if (d->nbd_socket) { /* a guest whose server dies is better stopped than fed errors */
        set_attr(driver, "error_policy", "stop");
        set_attr(driver, "rerror_policy", "stop");
    }
    set_attr(add(disk, "source"), "file", d->path);
    if (d->nbd_socket)
        point_at_socket(disk, d);
}

static void
rewrite_disk(struct rewrite *r, xmlNode *disk)
{
    if (attr_is(disk, "device", "cdrom") || attr_is(disk, "device", "floppy")) {
        drop_each(disk, image_parts);
        set_attr(disk, "type", "file");
        return;
    }
    const struct domxml_disk *d = replicated(r, disk);
    if (d)
        rewrite_replicated(disk, d);
    else
        drop(disk);
}

/* ---- network cards ---- */

/* Networks and bridges are known by name on both hosts; every other kind is tied to a device or a process of the other one. */
static void
rewrite_interface(struct rewrite *r, xmlNode *nic)
{
    static const char *const host_parts[] = { "target", "link", "backend", "bandwidth", "filterref", "teaming", "ip", "route", "script",
                                              NULL };
    drop_each(nic, host_parts);
    if (!attr_is(nic, "type", "network") && !attr_is(nic, "type", "bridge")) {
        static const char *const ties[] = { "source", "virtualport", "vlan", "driver", "portForward", "mtu", "coalesce", NULL };
        drop_each(nic, ties);
        set_attr(nic, "type", "user");
        drop_attr(nic, "managed");
        drop_attr(nic, "trustGuestRxFilters");
    }
    set_attr(add(nic, "link"), "state", "down");
}

/* ---- character devices ---- */

static char *
own_file(struct rewrite *r, const char *what)
{
    return g_strdup_printf("%s/%s-%u.log", r->folder, what, r->files++);
}

static void
rewrite_log(struct rewrite *r, xmlNode *device, const char *what)
{
    xmlNode *log = xml_child(device, NULL, "log");
    if (!log)
        return;
    g_autofree char *path = own_file(r, what);
    set_attr(log, "file", path);
}

static bool
stays_within_qemu(const xmlNode *device)
{
    return attr_is(device, "type", "pty") || attr_is(device, "type", "spicevmc") || attr_is(device, "type", "spiceport") ||
           attr_is(device, "type", "vc") || attr_is(device, "type", "null") || attr_is(device, "type", "qemu-vdagent");
}

static void
rewrite_chardev(struct rewrite *r, xmlNode *device)
{
    const char *what = (const char *)device->name;
    rewrite_log(r, device, what);
    if (stays_within_qemu(device)) {
        if (attr_is(device, "type", "pty"))
            drop_children(device, "source");
        drop_attr(device, "tty");
        return;
    }
    drop_children(device, "protocol");
    drop_children(device, "source");
    if (attr_is(device, "type", "file")) {
        g_autofree char *path = own_file(r, what);
        xmlNode *source = add(device, "source");
        set_attr(source, "path", path);
        set_attr(source, "append", "on"); /* what a guest said before its failover is reverted must not be lost */
        return;
    }
    /* An agent's socket gets a path from libvirt when it names none. */
    if (!g_str_equal(what, "channel") || !attr_is(device, "type", "unix"))
        set_attr(device, "type", "pty");
}

/* libvirt makes the console that mirrors the first serial port by itself. */
static void
rewrite_console(struct rewrite *r, xmlNode *console)
{
    const xmlNode *target = xml_child(console, NULL, "target");
    g_autofree char *type = target ? xml_attr(target, "type") : NULL;
    if (!type || g_str_equal(type, "serial"))
        drop(console);
    else
        rewrite_chardev(r, console);
}

/* ---- other devices ---- */

static void
drop_device(struct rewrite *r, xmlNode *device)
{
    drop(device);
}

static void
rewrite_graphics(struct rewrite *r, xmlNode *graphics)
{
    drop_children(graphics, "listen");
    static const char *const ties[] = { "listen", "socket", "port", "tlsPort", "websocket" };
    for (gsize i = 0; i < G_N_ELEMENTS(ties); i++)
        drop_attr(graphics, ties[i]);
    if (attr_is(graphics, "type", "egl-headless") || attr_is(graphics, "type", "dbus"))
        drop_children(graphics, "gl");
    else
        set_attr(graphics, "autoport", "yes");
}

static void
rewrite_tpm(struct rewrite *r, xmlNode *tpm)
{
    xmlNode *backend = xml_child(tpm, NULL, "backend");
    if (!attr_is(backend, "type", "emulator"))
        drop(tpm);
    else
        drop_children(backend, "source"); /* its state is put where libvirt looks by itself (tpm.h) */
}

static void
rewrite_rng(struct rewrite *r, xmlNode *rng)
{
    xmlNode *backend = xml_child(rng, NULL, "backend");
    if (backend && attr_is(backend, "model", "builtin"))
        return;
    drop(backend);
    backend = add(rng, "backend");
    set_attr(backend, "model", "random");
    xmlNodeSetContent(backend, S("/dev/urandom"));
}

static void
rewrite_input(struct rewrite *r, xmlNode *input)
{
    if (attr_is(input, "type", "passthrough") || attr_is(input, "type", "evdev"))
        drop(input);
}

static void
rewrite_redirect(struct rewrite *r, xmlNode *redirect)
{
    if (!attr_is(redirect, "type", "spicevmc"))
        drop(redirect);
}

static void
rewrite_memory(struct rewrite *r, xmlNode *memory)
{
    if (!attr_is(memory, "model", "dimm"))
        drop(memory);
}

static void
rewrite_smartcard(struct rewrite *r, xmlNode *card)
{
    if (!attr_is(card, "mode", "passthrough") || !attr_is(card, "type", "spicevmc"))
        drop(card);
}

/* What a device of the other host becomes here; devices that are not listed stay as they are. */
static const struct {
    const char *name;
    void (*rewrite)(struct rewrite *r, xmlNode *device);
} device_rules[] = {
    { "disk", rewrite_disk },
    { "interface", rewrite_interface },
    { "serial", rewrite_chardev },
    { "parallel", rewrite_chardev },
    { "channel", rewrite_chardev },
    { "console", rewrite_console },
    { "graphics", rewrite_graphics },
    { "tpm", rewrite_tpm },
    { "rng", rewrite_rng },
    { "input", rewrite_input },
    { "redirdev", rewrite_redirect },
    { "memory", rewrite_memory },
    { "smartcard", rewrite_smartcard },
    { "hostdev", drop_device },     /* the other host's hardware */
    { "filesystem", drop_device },  /* and its folders */
    { "shmem", drop_device },
    { "lease", drop_device },
    { "emulator", drop_device },    /* libvirt knows the one of this host */
};

static void
rewrite_devices(struct rewrite *r, xmlNode *devices)
{
    xmlNode *next;
    for (xmlNode *n = xml_child(devices, NULL, NULL); n; n = next) {
        next = xml_next(n, NULL, NULL);
        for (gsize i = 0; i < G_N_ELEMENTS(device_rules); i++)
            if (g_str_equal((const char *)n->name, device_rules[i].name)) {
                device_rules[i].rewrite(r, n);
                break;
            }
    }
}

/* ---- outside of <devices> ---- */

static void
rewrite_nvram(struct rewrite *r, xmlNode *domain)
{
    xmlNode *os = xml_child(domain, NULL, "os");
    xmlNode *nvram = os ? xml_child(os, NULL, "nvram") : NULL;
    if (!nvram)
        return;
    g_autofree char *path = g_build_filename(r->folder, DOMXML_NVRAM, NULL);
    xmlNode *child;
    while ((child = xml_child(nvram, NULL, NULL)))
        drop(child);
    drop_attr(nvram, "type");
    xmlNodeSetContent(nvram, NULL);
    xmlNodeAddContent(nvram, S(path));
}

/* Pinning and weights name processors, memory nodes and devices of the other host; <commandline> could name anything at all. */
static void
rewrite_top(struct rewrite *r, xmlNode *domain)
{
    static const char *const host_parts[] = { "seclabel", "numatune", "blkiotune", "resource", "commandline", "override", "deprecation",
                                              "capabilities", NULL };
    static const char *const pins[] = { "vcpupin", "emulatorpin", "iothreadpin", "cachetune", "memorytune", NULL };
    drop_each(domain, host_parts);
    drop_attr(domain, "id");
    xmlNode *vcpu = xml_child(domain, NULL, "vcpu"), *cputune = xml_child(domain, NULL, "cputune");
    if (vcpu)
        drop_attr(vcpu, "cpuset");
    if (cputune)
        drop_each(cputune, pins);
    rewrite_nvram(r, domain);
}

static bool
all_used(const struct rewrite *r, GError **err)
{
    for (guint i = 0; i < r->count; i++)
        if (!(r->used & G_GUINT64_CONSTANT(1) << i))
            return err_set(err, ERR_NOT_FOUND, "The definition of the guest has no disk '%s'.", r->disks[i].target);
    return true;
}

/* <domain> and its <devices>; NULL with an error. */
static xmlNode *
devices_of(xmlDoc *doc, GError **err)
{
    xmlNode *domain = xmlDocGetRootElement(doc);
    xmlNode *devices = xml_is(domain, NULL, "domain") ? xml_child(domain, NULL, "devices") : NULL;
    if (!devices)
        err_set(err, ERR_MALFORMED, "The definition of the guest has no <domain> with <devices>.");
    return devices;
}

static char *
text_of(xmlNode *parent, const char *name)
{
    xmlNode *n = xml_child(parent, NULL, name);
    xmlChar *text = n ? xmlNodeGetContent(n) : NULL;
    char *out = text ? g_strdup((const char *)text) : NULL;
    xmlFree(text);
    return out;
}

bool
domxml_identity(const char *xml, struct uuid *vm, char **name, GError **err)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), XML_MAX, err);
    xmlNode *devices = doc ? devices_of(doc, err) : NULL;
    if (!devices)
        return false;
    g_autofree char *id = text_of(devices->parent, "uuid");
    *name = text_of(devices->parent, "name");
    if (*name && id && uuid_parse(g_strstrip(id), vm))
        return true;
    g_clear_pointer(name, g_free);
    return err_set(err, ERR_MALFORMED, "The definition of the guest has no name, or no UUID.");
}

bool
domxml_has_disk(const char *xml, const char *target)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), XML_MAX, NULL);
    const xmlNode *devices = doc ? devices_of(doc, NULL) : NULL;
    for (const xmlNode *d = devices ? xml_child(devices, NULL, "disk") : NULL; d; d = xml_next(d, NULL, "disk")) {
        const xmlNode *at = xml_child(d, NULL, "target");
        if (at && attr_is(at, "dev", target))
            return true;
    }
    return false;
}

static bool
card_is(const xmlNode *nic, const char *mac)
{
    const xmlNode *at = xml_child(nic, NULL, "mac");
    g_autofree char *is = at ? xml_attr(at, "address") : NULL;
    return is && !g_ascii_strcasecmp(is, mac);
}

bool
domxml_has_card(const char *xml, const char *mac)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), XML_MAX, NULL);
    const xmlNode *devices = doc ? devices_of(doc, NULL) : NULL;
    for (const xmlNode *n = devices ? xml_child(devices, NULL, "interface") : NULL; n; n = xml_next(n, NULL, "interface"))
        if (card_is(n, mac))
            return true;
    return false;
}

static bool
leads_to(const xmlNode *backing, const char *nbd_socket)
{
    const xmlNode *source = xml_child(backing, NULL, "source");
    const xmlNode *host = source ? xml_child(source, NULL, "host") : NULL;
    return attr_is(host, "socket", nbd_socket);
}

char *
domxml_without_backing(const char *xml, const char *nbd_socket, GError **err)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), XML_MAX, err);
    xmlNode *devices = doc ? devices_of(doc, err) : NULL;
    if (!devices)
        return NULL;
    for (xmlNode *disk = xml_child(devices, NULL, "disk"); disk; disk = xml_next(disk, NULL, "disk")) {
        xmlNode *backing = xml_child(disk, NULL, "backingStore");
        if (backing && leads_to(backing, nbd_socket))
            drop(backing);
    }
    return xml_dump(doc, NULL);
}

static void
set_text(xmlNode *parent, const char *name, const char *text)
{
    xmlNode *n = child_or_new(parent, name);
    xmlNodeSetContent(n, NULL);
    xmlNodeAddContent(n, S(text));
}

static const char *
network_for(const xmlNode *nic, const struct domxml_nets *nets)
{
    for (guint i = 0; i < nets->count; i++)
        if (card_is(nic, nets->cards[i].mac))
            return nets->cards[i].network;
    return nets->all;
}

static void
new_card(xmlNode *nic, const char *network)
{
    drop_children(nic, "mac");
    if (!network)
        return;
    static const char *const ties[] = { "source", "virtualport", "vlan", "link", NULL };
    drop_each(nic, ties);
    set_attr(nic, "type", "network");
    set_attr(add(nic, "source"), "network", network);
}

/* Serial ports, and virtio consoles, which are ports of another kind. */
static bool
is_console(const xmlNode *device)
{
    const xmlNode *target = xml_child(device, NULL, "target");
    return xml_is(device, NULL, "serial") || (xml_is(device, NULL, "console") && attr_is(target, "type", "virtio"));
}

static void
keep_words(xmlNode *devices, const char *folder)
{
    guint n = 0;
    for (xmlNode *e = xml_child(devices, NULL, NULL); e; e = xml_next(e, NULL, NULL)) {
        if (!is_console(e) || attr_is(e, "type", "file"))
            continue;
        g_autofree char *path = g_strdup_printf("%s/console-%u.log", folder, n++);
        xmlNode *log = child_or_new(e, "log");
        set_attr(log, "file", path);
        set_attr(log, "append", "off");
    }
}

char **
domxml_consoles(const char *xml, GError **err)
{
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), XML_MAX, err);
    xmlNode *devices = doc ? devices_of(doc, err) : NULL;
    if (!devices)
        return NULL;
    g_autoptr(GStrvBuilder) files = g_strv_builder_new();
    for (xmlNode *e = xml_child(devices, NULL, NULL); e; e = xml_next(e, NULL, NULL)) {
        const bool file = attr_is(e, "type", "file");
        const xmlNode *at = is_console(e) ? xml_child(e, NULL, file ? "source" : "log") : NULL;
        g_autofree char *path = at ? xml_attr(at, file ? "path" : "file") : NULL;
        if (path)
            g_strv_builder_add(files, path);
    }
    return g_strv_builder_end(files);
}

static void
drop_smbios_uuid(xmlNode *domain)
{
    xmlNode *sysinfo = xml_child(domain, NULL, "sysinfo");
    xmlNode *system = sysinfo ? xml_child(sysinfo, NULL, "system") : NULL, *next;
    for (xmlNode *e = system ? xml_child(system, NULL, "entry") : NULL; e; e = next) {
        next = xml_next(e, NULL, "entry");
        if (attr_is(e, "name", "uuid"))
            drop(e);
    }
}

char *
domxml_as_test(const char *xml, const struct uuid *id, const char *name, const struct domxml_nets *nets, const char *folder,
               GError **err)
{
    char text[UUID_TEXT];
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), XML_MAX, err);
    xmlNode *devices = doc ? devices_of(doc, err) : NULL;
    if (!devices)
        return NULL;
    xmlNode *domain = devices->parent, *generation = xml_child(domain, NULL, "genid");
    set_text(domain, "name", name);
    set_text(domain, "uuid", uuid_format_lower(id, text));
    drop_smbios_uuid(domain);
    if (generation) /* libvirt makes one */
        xmlNodeSetContent(generation, NULL);
    for (xmlNode *nic = xml_child(devices, NULL, "interface"); nic; nic = xml_next(nic, NULL, "interface"))
        new_card(nic, network_for(nic, nets));
    for (xmlNode *tpm = xml_child(devices, NULL, "tpm"); tpm; tpm = xml_next(tpm, NULL, "tpm"))
        drop_attr(xml_child(tpm, NULL, "backend"), "persistent_state"); /* it goes with the test guest */
    keep_words(devices, folder);
    return xml_dump(doc, NULL);
}

char *
domxml_for_replica(const char *xml, const struct domxml_disk *disks, guint count, const char *folder, GError **err)
{
    enum { DISKS_MAX = 64 };
    struct rewrite r = { .disks = disks, .count = count, .folder = folder };
    g_autoptr(xmlDoc) doc = xml_parse(xml, strlen(xml), XML_MAX, err);
    if (!doc)
        return NULL;
    xmlNode *devices = devices_of(doc, err);
    if (!devices)
        return NULL;
    if (count > DISKS_MAX) {
        err_set(err, ERR_TOO_BIG, "A guest of %u disks is too big; at most %d are replicated.", count, DISKS_MAX);
        return NULL;
    }
    rewrite_top(&r, xmlDocGetRootElement(doc));
    rewrite_devices(&r, devices);
    return all_used(&r, err) ? xml_dump(doc, NULL) : NULL;
}
