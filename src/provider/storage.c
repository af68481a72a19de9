/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/all.h"
#include "provider/device.h"

#include <string.h>

/* Controllers, drives and the images in them.
 *
 *   Msvm_ResourceAllocationSettingData   the machine, controllers (5 IDE channel, 6 every other disk bus, 1 floppy controller), drives
 *                                        (14 floppy, 16 DVD, 17 disk), graphics (24), serial ports (21)
 *   Msvm_StorageAllocationSettingData    what is in a drive; HostResource[0] is its path on the host
 *   Msvm_DiskDrive                       the drives as devices of a guest
 *
 * One controller stands for all of a bus: clients have room for four SCSI controllers, and count slots on each. */

static const struct {
    const char *id, *name;
    guint type;
    const char *subtype;
} buses[VM_BUSES] = {
    [VM_BUS_VIRTIO] = {"virtio", "virtio disk bus", 6, "Microsoft:Hyper-V:Synthetic SCSI Controller"},
    [VM_BUS_SCSI] = {"scsi", "SCSI controller", 6, "Microsoft:Hyper-V:Synthetic SCSI Controller"},
    [VM_BUS_SATA] = {"sata", "SATA controller", 6, "Microsoft:Hyper-V:Synthetic SCSI Controller"},
    [VM_BUS_USB] = {"usb", "USB mass storage", 6, "Microsoft:Hyper-V:Synthetic SCSI Controller"},
    [VM_BUS_OTHER] = {"other", "Disk bus", 6, "Microsoft:Hyper-V:Synthetic SCSI Controller"},
    [VM_BUS_IDE] = {"ide", "IDE channel", 5, "Microsoft:Hyper-V:Emulated IDE Controller"},
    [VM_BUS_FDC] = {"fdc", "Floppy controller", 1, "Microsoft:Hyper-V:Virtual Diskette Controller"},
};

static char *
controller_id(const struct device_owner *o, enum vm_bus bus, guint channel)
{
    return bus == VM_BUS_IDE ? device_id(o, "Controller\\ide%u", channel) : device_id(o, "Controller\\%s", buses[bus].id);
}

static char *
drive_id(const struct device_owner *o, const struct vm_drive *d)
{
    return device_id(o, "%s\\Drive", d->target);
}

static struct cim_instance *
new_resource(const struct device_owner *o, char *id, const char *name, guint type, const char *subtype)
{
    struct cim_instance *i = device_setting(o, "Msvm_ResourceAllocationSettingData", id, name, type, subtype);
    cim_set_string(i, "Caption", name);
    cim_set_uint(i, "VirtualQuantity", 1);
    cim_set_string(i, "AllocationUnits", "count");
    cim_set_string(i, "VirtualQuantityUnits", "count");
    return i;
}

static bool
emit_controllers(const struct device_owner *o, cim_emit emit, void *sink)
{
    guint seen = 0;
    for (guint n = 0; n < o->hardware->drives->len; n++) {
        const struct vm_drive *d = g_ptr_array_index(o->hardware->drives, n);
        const guint bit = 1u << (d->bus * 2 + d->channel);
        if (seen & bit)
            continue;
        seen |= bit;
        g_autofree char *address = g_strdup_printf("%u", d->bus == VM_BUS_IDE ? d->channel : (guint)d->bus);
        g_autofree char *name = d->bus == VM_BUS_IDE ? g_strdup_printf("IDE channel %u", d->channel) : g_strdup(buses[d->bus].name);
        struct cim_instance *i = new_resource(o, controller_id(o, d->bus, d->channel), name, buses[d->bus].type, buses[d->bus].subtype);
        cim_set_string(i, "Address", address);
        if (d->bus == VM_BUS_FDC)
            cim_set_string(i, "OtherResourceType", "Floppy controller");
        if (!emit(sink, i))
            return false;
    }
    return true;
}

static struct cim_instance *
drive_setting(const struct device_owner *o, const struct vm_drive *d)
{
    static const struct {
        const char *name;
        guint type;
        const char *subtype;
    } kinds[] = {
        [VM_DRIVE_DISK] = {"Hard drive", 17, "Microsoft:Hyper-V:Synthetic Disk Drive"},
        [VM_DRIVE_CDROM] = {"DVD drive", 16, "Microsoft:Hyper-V:Synthetic DVD Drive"},
        [VM_DRIVE_FLOPPY] = {"Diskette drive", 14, "Microsoft:Hyper-V:Synthetic Diskette Drive"},
        [VM_DRIVE_PASSTHROUGH] = {"SCSI device", 17, "Microsoft:Hyper-V:Synthetic Disk Drive"},
    };
    g_autofree char *bus = controller_id(o, d->bus, d->channel), *slot = g_strdup_printf("%u", d->slot);
    g_autofree char *parent = device_path_text(o, "Msvm_ResourceAllocationSettingData", bus);
    g_autofree char *name = g_strdup_printf("%s %s", kinds[d->kind].name, d->target);
    struct cim_instance *i = new_resource(o, drive_id(o, d), name, kinds[d->kind].type, kinds[d->kind].subtype);
    cim_set_string(i, "Parent", parent);
    cim_set_string(i, "AddressOnParent", slot);
    cim_set_string(i, "Address", d->target);
    return i;
}

static bool
emit_videos(const struct device_owner *o, cim_emit emit, void *sink)
{
    for (guint n = 0; n < o->hardware->videos->len; n++) {
        const struct vm_video *v = g_ptr_array_index(o->hardware->videos, n);
        g_autofree char *name = g_strdup_printf("Graphics card %s", v->model ? v->model : "");
        struct cim_instance *i = new_resource(o, device_id(o, "Video%u", n), g_strstrip(name), 24,
                                              "Microsoft:Hyper-V:Synthetic Display Controller");
        if (!emit(sink, i))
            return false;
    }
    return true;
}

static void
fill_serial(const struct device_owner *o, struct cim_instance *i, const struct vm_serial *s)
{
    g_autofree char *address = g_strdup_printf("%u", s->port);
    cim_set_string(i, "Caption", "Serial Port");
    cim_set_string(i, "Description", "Settings for a serial port of a virtual machine");
    cim_set_string(i, "AddressOnParent", address);
    cim_set_uint(i, "VirtualQuantity", 1);
    cim_set_string(i, "VirtualQuantityUnits", "count");
    if (s->path)
        cim_set_strings(i, "Connection", (char *[]){s->path, NULL});
}

/* The same ports twice, as clients of older hosts look for them among the plain resources. */
static bool
emit_serials(const struct device_owner *o, const char *cls, const char *id, cim_emit emit, void *sink)
{
    for (guint n = 0; n < o->hardware->serials->len; n++) {
        const struct vm_serial *s = g_ptr_array_index(o->hardware->serials, n);
        g_autofree char *name = g_strdup_printf("COM %u", s->port + 1);
        struct cim_instance *i = device_setting(o, cls, device_id(o, "%s%u", id, n), name, 21, "Microsoft:Hyper-V:Serial Port");
        fill_serial(o, i, s);
        if (!emit(sink, i))
            return false;
    }
    return true;
}

bool
list_serial_setting(const struct device_owner *o, cim_emit emit, void *sink)
{
    return emit_serials(o, "Msvm_SerialPortSettingData", "Serial", emit, sink);
}

DEVICE_PROVIDER(serial_setting, "Msvm_SerialPortSettingData", list_serial_setting);

bool
list_resource_setting(const struct device_owner *o, cim_emit emit, void *sink)
{
    struct cim_instance *machine = new_resource(o, device_id(o, "Machine"), "Machine", 2, o->hardware->machine);
    cim_set_string(machine, "Address", o->hardware->arch);
    if (!emit(sink, machine) || !emit_controllers(o, emit, sink))
        return false;
    for (guint n = 0; n < o->hardware->drives->len; n++)
        if (!emit(sink, drive_setting(o, g_ptr_array_index(o->hardware->drives, n))))
            return false;
    return emit_videos(o, emit, sink) && emit_serials(o, "Msvm_ResourceAllocationSettingData", "Com", emit, sink);
}

DEVICE_PROVIDER(resource_setting, "Msvm_ResourceAllocationSettingData", list_resource_setting);

/* ---- images ---- */

static const struct vm_disk *
facts_of_disk(const struct device_owner *o, const struct vm_drive *d)
{
    for (guint n = 0; o->facts && n < o->facts->disks->len; n++) {
        const struct vm_disk *k = g_ptr_array_index(o->facts->disks, n);
        if (strcmp(k->target, d->target) == 0)
            return k;
    }
    return NULL;
}

static const char *
image_subtype(const struct vm_drive *d)
{
    return d->kind == VM_DRIVE_CDROM    ? "Microsoft:Hyper-V:Virtual CD/DVD Disk"
           : d->kind == VM_DRIVE_FLOPPY ? "Microsoft:Hyper-V:Virtual Floppy Disk"
                                        : "Microsoft:Hyper-V:Virtual Hard Disk";
}

static void
fill_policies(struct cim_instance *i, const struct vm_drive *d)
{
    cim_set_uint(i, "Access", d->readonly ? 1 : 3);
    cim_set_bool(i, "IgnoreFlushes", d->no_flush);
    cim_set_bool(i, "PersistentReservationsSupported", false);
    cim_set_uint(i, "CachingMode", !d->cache || strcmp(d->cache, "default") == 0 ? 2 : strcmp(d->cache, "none") == 0 ? 3 : 0);
    if (!d->iops_max)
        return;
    cim_set_uint(i, "IOPSLimit", d->iops_max);
    cim_set_string(i, "IOPSAllocationUnits", "count per second");
}

static struct cim_instance *
image_setting(const struct device_owner *o, const struct vm_drive *d)
{
    const struct vm_disk *facts = facts_of_disk(o, d);
    g_autofree char *drive = drive_id(o, d), *parent = device_path_text(o, "Msvm_ResourceAllocationSettingData", drive);
    g_autofree char *name = g_path_get_basename(d->source);
    struct cim_instance *i = device_setting(o, "Msvm_StorageAllocationSettingData", device_id(o, "%s", d->target), name, 31,
                                            image_subtype(d));
    cim_set_strings(i, "HostResource", (char *[]){d->source, NULL});
    cim_set_string(i, "Parent", parent);
    cim_set_string(i, "Address", d->target);
    cim_set_string(i, "AddressOnParent", "0");
    cim_set_uint(i, "VirtualResourceBlockSize", d->sector);
    if (facts && facts->size)
        cim_set_uint(i, "VirtualQuantity", facts->size / d->sector);
    cim_set_string(i, "HostExtentName", d->file ? d->source : NULL);
    if (d->file) {
        cim_set_uint(i, "HostExtentNameFormat", 12); /* the name that the host's system uses */
        cim_set_uint(i, "HostExtentNameNamespace", 8);
        cim_set_uint(i, "HostExtentStartingAddress", 0);
    }
    fill_policies(i, d);
    return i;
}

bool
list_storage_setting(const struct device_owner *o, cim_emit emit, void *sink)
{
    for (guint n = 0; n < o->hardware->drives->len; n++) {
        const struct vm_drive *d = g_ptr_array_index(o->hardware->drives, n);
        if (d->source && !emit(sink, image_setting(o, d)))
            return false;
    }
    return true;
}

DEVICE_PROVIDER(storage_setting, "Msvm_StorageAllocationSettingData", list_storage_setting);

bool
list_disk_drive(const struct device_owner *o, cim_emit emit, void *sink)
{
    for (guint n = 0; o->facts && n < o->hardware->drives->len; n++) {
        static const guint random_access[] = {3}, writable[] = {3, 4};
        const struct vm_drive *d = g_ptr_array_index(o->hardware->drives, n);
        const struct vm_disk *facts = facts_of_disk(o, d);
        if (d->kind != VM_DRIVE_DISK && d->kind != VM_DRIVE_PASSTHROUGH)
            continue;
        struct cim_instance *i = device_new(o, "Msvm_DiskDrive", d->target, d->target);
        cim_set_string(i, "Description", "Disk drive of a virtual machine");
        if (d->readonly)
            cim_set_uints(i, "Capabilities", random_access, 1);
        else
            cim_set_uints(i, "Capabilities", writable, 2);
        cim_set_uint(i, "DefaultBlockSize", d->sector);
        if (facts && facts->size)
            cim_set_uint(i, "MaxMediaSize", facts->size / 1024); /* KiB */
        if (!emit(sink, i))
            return false;
    }
    return true;
}

DEVICE_PROVIDER(disk_drive, "Msvm_DiskDrive", list_disk_drive);
