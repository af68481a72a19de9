/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/domain.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/xml.h"
#include "vm/handle.h"
#include "vm/image.h"
#include "vm/source.h"
#include "vm/sysinfo.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { XML_MAX = 16 << 20 };

static void
disk_free(void *p)
{
    struct vm_disk *d = p;
    g_free(d->target);
    g_free(d->path);
    g_free(d->format);
    g_free(d->refused);
    g_free(d->closed);
    g_free(d);
}

static void
nic_free(void *p)
{
    struct vm_nic *n = p;
    g_free(n->mac);
    g_free(n->network);
    g_free(n->model);
    g_free(n);
}

void
vm_facts_free(struct vm_facts *f)
{
    if (!f || g_atomic_int_add(&f->shares, -1) > 0)
        return;
    g_free(f->name);
    g_free(f->xml);
    sysinfo_clear(&f->machine);
    g_clear_pointer(&f->disks, g_ptr_array_unref);
    g_clear_pointer(&f->nics, g_ptr_array_unref);
    vm_hardware_free(f->hardware);
    g_free(f);
}

struct vm_facts *
vm_facts_ref(struct vm_facts *f)
{
    g_atomic_int_inc(&f->shares);
    return f;
}

guint64
vm_uptime_ms(const struct vm_facts *f)
{
    return f->started_us ? (guint64)MAX(0, clock_wall_us() - f->started_us) / 1000 : f->uptime_ms;
}

static char *
child_attr(const xmlNode *node, const char *child, const char *attr)
{
    const xmlNode *found = xml_child(node, NULL, child);
    return found ? xml_attr(found, attr) : NULL;
}

/* NULL: the disk can be replicated.  What is read-only cannot carry a bitmap; what is shared changes behind QEMU's back. */
static char *
why_refused(const xmlNode *disk, const char *device, const char *format)
{
    static const char *const kinds[] = { "file", "block", "network", "volume", NULL };
    g_autofree char *type = xml_attr(disk, "type");
    const xmlNode *source = xml_child(disk, NULL, "source");
    if (g_str_equal(device, "cdrom") || g_str_equal(device, "floppy"))
        return g_strdup_printf("it is a drive with removable media (%s)", device);
    if (g_str_equal(device, "lun"))
        return g_strdup("it is a SCSI device that is passed through");
    if (xml_child(disk, NULL, "shareable"))
        return g_strdup("it is shared with other guests");
    if (xml_child(disk, NULL, "readonly"))
        return g_strdup("it is read-only");
    if (xml_child(disk, NULL, "transient"))
        return g_strdup("it is transient");
    if (!type || !g_strv_contains(kinds, type))
        return g_strdup_printf("its source is of type '%s'; files, block devices, volumes and network disks can be replicated",
                               type ? type : "none");
    if (!source)
        return g_strdup("it has no image");
    if (xml_child(disk, NULL, "encryption") || xml_child(source, NULL, "encryption"))
        return g_strdup("its image is encrypted by the host");
    if (!g_str_equal(format, "qcow2") && !g_str_equal(format, "raw"))
        return g_strdup_printf("its format is '%s'; qcow2 and raw can be replicated", format);
    return NULL;
}

/* libvirt's name of a volume is a pool and a name in it. */
static char *
volume_path(virDomainPtr dom, const xmlNode *source)
{
    g_autofree char *pool_name = xml_attr(source, "pool"), *name = xml_attr(source, "volume");
    virStoragePoolPtr pool = pool_name ? virStoragePoolLookupByName(virDomainGetConnect(dom), pool_name) : NULL;
    virStorageVolPtr volume = pool && name ? virStorageVolLookupByName(pool, name) : NULL;
    char *found = volume ? virStorageVolGetPath(volume) : NULL;
    char *path = g_strdup(found);
    free(found);
    if (volume)
        virStorageVolFree(volume);
    if (pool)
        virStoragePoolFree(pool);
    return path;
}

static bool
serves_iothreads(virDomainPtr dom)
{
    unsigned long version = 0;
    return virConnectGetVersion(virDomainGetConnect(dom), &version) == 0 && version >= SOURCE_IOTHREADS_SINCE;
}

static struct vm_disk *
parse_disk(const xmlNode *domain, const xmlNode *node, virDomainPtr dom)
{
    g_autofree char *device = xml_attr(node, "device"), *type = xml_attr(node, "type");
    struct vm_disk *d = g_new0(struct vm_disk, 1);
    d->target = child_attr(node, "target", "dev");
    d->format = child_attr(node, "driver", "type");
    if (!d->format)
        d->format = g_strdup("raw");
    d->refused = why_refused(node, device ? device : "disk", d->format);
    if (!d->refused && source_has_iothread(domain, node) && !serves_iothreads(dom))
        d->refused = g_strdup("an I/O thread serves it, and this QEMU (before 9.0) would end with the first capture");
    if (!d->refused && g_strcmp0(type, "volume") == 0)
        d->path = volume_path(dom, xml_child(node, NULL, "source"));
    else
        d->path = source_image(node, &d->closed);
    if (!d->path && !d->closed)
        d->closed = g_strdup("its storage pool is not active");
    d->local = d->path && source_is_file(d->path);
    return d;
}

static struct vm_nic *
parse_nic(const xmlNode *node)
{
    struct vm_nic *n = g_new0(struct vm_nic, 1);
    n->mac = child_attr(node, "mac", "address");
    n->network = child_attr(node, "source", "network");
    if (!n->network)
        n->network = child_attr(node, "source", "bridge");
    n->model = child_attr(node, "model", "type");
    return n;
}

static void
parse_devices(struct vm_facts *f, const xmlNode *domain, virDomainPtr dom)
{
    const xmlNode *devices = xml_child(domain, NULL, "devices");
    if (!devices)
        return;
    for (const xmlNode *n = xml_child(devices, NULL, "disk"); n; n = xml_next(n, NULL, "disk")) {
        struct vm_disk *d = parse_disk(domain, n, dom);
        if (d && d->target)
            g_ptr_array_add(f->disks, d);
        else if (d)
            disk_free(d);
    }
    for (const xmlNode *n = xml_child(devices, NULL, "interface"); n; n = xml_next(n, NULL, "interface"))
        g_ptr_array_add(f->nics, parse_nic(n));
}

static enum vm_power
power_of(int state, bool saved)
{
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
        return VM_RUNNING;
    case VIR_DOMAIN_PAUSED:
    case VIR_DOMAIN_PMSUSPENDED:
        return VM_PAUSED;
    case VIR_DOMAIN_SHUTDOWN:
        return VM_STOPPING;
    default:
        return saved ? VM_SAVED : VM_OFF;
    }
}

static bool
read_power(virDomainPtr dom, enum vm_power *out, GError **err)
{
    const char *name = virDomainGetName(dom);
    int state = 0, reason = 0;
    if (virDomainGetState(dom, &state, &reason, 0) < 0)
        return conn_error(err, "The state of guest '%s' cannot be read", name);
    *out = power_of(state, virDomainHasManagedSaveImage(dom, 0) == 1);
    if (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_STARTING_UP)
        *out = VM_STARTING;
    return true;
}

bool
vm_power_get(struct vm_conn *c, const struct uuid *vm, enum vm_power *out, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    return dom && read_power(dom, out, err);
}

bool
vm_migrated(struct vm_conn *c, const struct uuid *vm)
{
    int state = 0, reason = 0;
    if (conn_guest_left(c, vm))
        return true;
    g_autoptr(virDomain) dom = conn_domain(c, vm, NULL);
    return dom && virDomainGetState(dom, &state, &reason, 0) == 0 && state == VIR_DOMAIN_SHUTOFF && reason == VIR_DOMAIN_SHUTOFF_MIGRATED;
}

static void
read_process(struct vm_facts *f)
{
    g_autofree char *path = g_strdup_printf("/run/libvirt/qemu/%s.pid", f->name);
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return;
    f->pid = (guint)g_ascii_strtoull(text, NULL, 10);
    if (f->pid && sysinfo_process_start(f->pid, &f->started_us))
        f->uptime_ms = (guint64)(clock_wall_us() - f->started_us) / 1000;
}

/* libvirt writes the definition anew with every change of it. */
static void
read_config_time(struct vm_facts *f)
{
    struct stat st;
    g_autofree char *path = g_strdup_printf("/etc/libvirt/qemu/%s.xml", f->name);
    if (f->persistent && stat(path, &st) == 0)
        f->config_us = clock_timespec_us(&st.st_mtim);
}

/* What another driver than QEMU's (libvirt's test driver) calls a guest says nothing about a file or a process of that name. */
static void
read_host_files(struct vm_facts *f, virDomainPtr dom)
{
    const char *driver = virConnectGetType(virDomainGetConnect(dom));
    if (g_strcmp0(driver, "QEMU") != 0)
        return;
    if (f->power != VM_OFF && f->power != VM_SAVED)
        read_process(f);
    read_config_time(f);
}

static void
read_load(struct vm_facts *f, const virDomainInfo *info)
{
    const bool runs = f->power != VM_OFF && f->power != VM_SAVED;
    f->memory_kib = info->maxMem;
    f->load_percent = -1;
    f->vcpus = info->nrVirtCpu;
    f->memory_now_kib = runs ? info->memory : 0;
    f->cpu_ns = runs ? info->cpuTime : 0;
}

static void
read_sizes(struct vm_facts *f, virDomainPtr dom)
{
    for (guint i = 0; i < f->disks->len; i++) {
        struct vm_disk *d = f->disks->pdata[i];
        virDomainBlockInfo info;
        if ((d->refused && !d->path) || virDomainGetBlockInfo(dom, d->target, &info, 0) < 0)
            continue;
        d->size = info.capacity;
        d->allocated = info.allocation;
    }
}

/* Disks and cards come from what runs now (a snapshot changes the path), the definition from what the next start would use. */
static bool
read_xml(struct vm_facts *f, virDomainPtr dom, GError **err)
{
    char *inactive = virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE);
    f->xml = g_strdup(inactive);
    free(inactive);
    char *current = virDomainGetXMLDesc(dom, 0);
    g_autofree char *text = g_strdup(current);
    free(current);
    if (!f->xml || !text)
        return conn_error(err, "The definition of guest '%s' cannot be read", f->name);
    g_autoptr(xmlDoc) doc = xml_parse(text, strlen(text), XML_MAX, err);
    if (!doc)
        return false;
    parse_devices(f, xmlDocGetRootElement(doc), dom);
    sysinfo_read(&f->machine, xmlDocGetRootElement(doc));
    f->hardware = vm_hardware_read(xmlDocGetRootElement(doc));
    return true;
}

struct vm_facts *
facts_read(struct vm_conn *c, virDomainPtr dom, GError **err)
{
    vm_facts_auto f = g_new0(struct vm_facts, 1);
    f->disks = g_ptr_array_new_with_free_func(disk_free);
    f->nics = g_ptr_array_new_with_free_func(nic_free);
    f->name = g_strdup(virDomainGetName(dom));
    virDomainGetUUID(dom, f->uuid.bytes);
    virDomainInfo info;
    int autostart = 0;
    if (virDomainGetInfo(dom, &info) < 0) {
        conn_error(err, "Facts about guest '%s' cannot be read", f->name);
        return NULL;
    }
    if (!read_power(dom, &f->power, err) || !read_xml(f, dom, err))
        return NULL;
    read_load(f, &info);
    f->persistent = virDomainIsPersistent(dom) == 1;
    f->autostart = virDomainGetAutostart(dom, &autostart) == 0 && autostart;
    read_host_files(f, dom);
    read_sizes(f, dom);
    f->changed_us = MAX(conn_power_changed(c, &f->uuid), f->started_us);
    return g_steal_pointer(&f);
}

/* libvirt does not open a stopped guest's network disks. */
static void
measure(struct vm_facts *f)
{
    for (guint i = 0; i < f->disks->len; i++) {
        struct vm_disk *d = f->disks->pdata[i];
        if (!d->refused && d->path && d->size == 0)
            image_size(d->path, d->format, &d->size, NULL);
    }
}

struct vm_facts *
vm_facts_get(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(c, vm, err);
    struct vm_facts *f = dom ? facts_read(c, dom, err) : NULL;
    if (f)
        measure(f);
    return f;
}
