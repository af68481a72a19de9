/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/uuid.h"
#include "base/xml.h"

#include <glib.h>
#include <stdbool.h>

/* The virtual hardware that a domain XML describes: of a running guest, of a stopped one, of a recovery point.  Absent things are NULL, 0
 * or -1.  A pure function over text; the result is never changed after it was made.  Any thread.
 * Source: libvirt domain XML format. */

enum vm_bus { VM_BUS_VIRTIO, VM_BUS_SCSI, VM_BUS_SATA, VM_BUS_USB, VM_BUS_OTHER, VM_BUS_IDE, VM_BUS_FDC, VM_BUSES };
enum vm_drive_kind { VM_DRIVE_DISK, VM_DRIVE_CDROM, VM_DRIVE_FLOPPY, VM_DRIVE_PASSTHROUGH };

struct vm_drive {
    char *target;             /* "vda"; unique in a guest */
    enum vm_drive_kind kind;
    enum vm_bus bus;
    guint channel;            /* IDE: 0 or 1; else 0 */
    guint slot;               /* IDE: 0 or 1 on the channel; else position among the drives of its bus */
    char *source;             /* path, or protocol:name of a network disk; NULL: no medium */
    bool file;                /* source is a path on the host */
    bool readonly, shareable, no_flush; /* no_flush: cache='unsafe' */
    char *cache, *serial;
    guint64 iops_max;         /* <iotune>; 0: none */
    guint64 sector;           /* bytes of a logical sector; 512 unless the XML says otherwise */
};

struct vm_card {
    char *mac;                /* "52:54:00:aa:bb:cc" */
    char *network, *bridge;   /* one of them, or none for cards without a switch */
    char *model;              /* "virtio"; NULL */
    bool link_up;
    guint vlan;               /* <vlan><tag id>; 0: none */
    GPtrArray *addresses;     /* char *: static <ip address> of the XML */
};

struct vm_serial {
    guint port;
    char *type, *path;        /* "pty", "/dev/pts/3"; path NULL where there is none */
};

struct vm_video {
    char *model;              /* "virtio", "qxl", "vga" */
    guint64 memory_kib;
    guint heads;
};

struct vm_hardware {
    struct uuid uuid;
    char *name, *title, *description, *machine, *arch;
    char *cpu_mode;           /* "host-passthrough", ...; NULL */
    bool memballoon, hugepages;
    guint vcpus, vcpus_max;   /* now, and what hot-plug may reach */
    guint sockets, cores, threads; /* 0: not said */
    guint cpu_shares;         /* <cputune><shares>; 0: default of the host */
    gint64 cpu_quota_us, cpu_period_us; /* per vCPU; 0: no limit */
    guint64 memory_kib, memory_max_kib; /* what the guest has, and may have */
    GPtrArray *boot;          /* char *: "hd", "cdrom", "network", "fd" in order */
    GPtrArray *drives, *cards, *serials, *videos; /* of the structs above */
    bool keyboard;
    char *keyboard_bus;
};

struct vm_hardware *vm_hardware_parse(const char *xml, GError **err); /* ERR_MALFORMED */
struct vm_hardware *vm_hardware_read(const xmlNode *domain);
void vm_hardware_free(struct vm_hardware *h);                         /* NULL is fine */
#define vm_hardware_auto __attribute__((cleanup(vm_hardware_clean))) struct vm_hardware *
static inline void vm_hardware_clean(struct vm_hardware **h) { vm_hardware_free(*h); }
