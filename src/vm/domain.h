/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/conn.h"
#include "vm/hardware.h"

/* Guests as libvirt knows them: facts, power, definition.  Facts are owned by the caller and not changed any more.  All calls block; any
 * thread.
 * ERR_NO_SUCH_INSTANCE: no such guest; ERR_INVALID_STATE: power does not permit it; ERR_NOT_AVAILABLE: libvirt is away. */

enum vm_power { VM_OFF, VM_RUNNING, VM_PAUSED, VM_SAVED, VM_STARTING, VM_STOPPING };

struct vm_disk {
    char *target, *format;        /* "vda", "qcow2" | "raw" */
    char *path;                   /* what QEMU's programs open when the guest is off (vm/source.h); NULL: nothing, see `closed` */
    bool local;                   /* a regular file of this host */
    guint64 size;                 /* bytes, virtual; 0: not known */
    guint64 allocated;
    char *refused;                /* NULL: can be replicated; else why not (shared, CD-ROM, pass-through, no image, other format) */
    char *closed;                 /* why it cannot be read while the guest is off; NULL: it can */
};

struct vm_nic {
    char *mac, *network, *model;
};

enum vm_agent { VM_AGENT_NONE, VM_AGENT_AWAY, VM_AGENT_CONNECTED }; /* no channel for it; nobody at its end; it runs */

struct vm_machine {               /* NULL: the definition does not say */
    char *notes, *arch;
    char *bios_serial, *board_serial, *chassis_serial, *asset_tag;
    bool uefi, secure_boot;
    guint numa_nodes;             /* at least 1 */
    enum vm_agent agent;
};

struct vm_facts {
    struct uuid uuid;
    char *name;
    enum vm_power power;
    bool persistent, autostart;
    guint64 memory_kib;
    guint vcpus;
    guint64 uptime_ms;            /* 0 when off */
    guint pid;                    /* of QEMU; 0 when off */
    gint64 started_us;            /* wall clock; 0: unknown or off */
    gint64 changed_us;            /* wall clock: power changed last; 0: not seen */
    gint64 config_us;             /* wall clock: the definition was written last; 0: unknown */
    guint64 memory_now_kib;       /* what the guest has now (balloon); 0 when off */
    guint64 cpu_ns;               /* processor time used since it runs */
    struct vm_machine machine;
    char *xml;                    /* persistent (inactive) definition, with secrets left out */
    GPtrArray *disks;             /* struct vm_disk, every <disk> in XML order */
    GPtrArray *nics;              /* struct vm_nic */
    struct vm_hardware *hardware; /* of the definition that is in force now */
    gint load_percent;            /* of all vCPUs, between two readings of the inventory; -1: not known */
    gint shares;                  /* owners besides the first */
};
void vm_facts_free(struct vm_facts *f);                     /* gives up a share */
struct vm_facts *vm_facts_ref(struct vm_facts *f);
guint64 vm_uptime_ms(const struct vm_facts *f);             /* now; 0 when off or not known */
#define vm_facts_auto __attribute__((cleanup(vm_facts_clean))) struct vm_facts *
static inline void vm_facts_clean(struct vm_facts **f) { vm_facts_free(*f); }

struct vm_facts *vm_facts_get(struct vm_conn *c, const struct uuid *vm, GError **err);
bool vm_power_get(struct vm_conn *c, const struct uuid *vm, enum vm_power *out, GError **err); /* cheap */
/* It is off, or not defined, because it migrated to another host: as far as libvirt knows, or we since we listen. */
bool vm_migrated(struct vm_conn *c, const struct uuid *vm);

bool vm_start(struct vm_conn *c, const struct uuid *vm, GError **err);
bool vm_force_off(struct vm_conn *c, const struct uuid *vm, GError **err);
bool vm_shutdown(struct vm_conn *c, const struct uuid *vm, GError **err); /* asks: agent, then ACPI; does not wait */
bool vm_reboot(struct vm_conn *c, const struct uuid *vm, GError **err);   /* asks: agent, then ACPI; does not wait */
bool vm_reset(struct vm_conn *c, const struct uuid *vm, GError **err);
bool vm_pause(struct vm_conn *c, const struct uuid *vm, GError **err);
bool vm_resume(struct vm_conn *c, const struct uuid *vm, GError **err);
/* The same for a guest that QEMU stopped because a disk could not be read or written; that is tried again then.  *stalled: it was so. */
bool vm_resume_stalled(struct vm_conn *c, const struct uuid *vm, bool *stalled, GError **err);
bool vm_save(struct vm_conn *c, const struct uuid *vm, GError **err);     /* managed save */
bool vm_discard_save(struct vm_conn *c, const struct uuid *vm, GError **err); /* the guest is off then; no saved state is success */
bool vm_inject_nmi(struct vm_conn *c, const struct uuid *vm, GError **err);

/* Changes of the definition (and of the running guest where that is possible at once). */
bool vm_rename(struct vm_conn *c, const struct uuid *vm, const char *name, GError **err);       /* off only */
bool vm_set_notes(struct vm_conn *c, const struct uuid *vm, const char *text, GError **err);    /* NULL: none */
bool vm_set_autostart(struct vm_conn *c, const struct uuid *vm, bool yes, GError **err);

bool vm_define(struct vm_conn *c, const char *xml, GError **err); /* another name than before: the guest, which is off, is renamed */
bool vm_undefine(struct vm_conn *c, const struct uuid *vm, GError **err);  /* absent is success; keeps disks; NVRAM is removed */
