/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/conn.h"

/* Guests as libvirt knows them: facts, power, definition.  Facts are a copy, owned by the caller.  All calls block; any thread.
 * ERR_NO_SUCH_INSTANCE: no such guest; ERR_INVALID_STATE: power does not permit it; ERR_NOT_AVAILABLE: libvirt is away. */

enum vm_power { VM_OFF, VM_RUNNING, VM_PAUSED, VM_SAVED, VM_STARTING, VM_STOPPING };

struct vm_disk {
    char *target, *path, *format; /* "vda", "/var/lib/...", "qcow2" | "raw" */
    guint64 size;                 /* bytes, virtual */
    guint64 allocated;
    char *refused;                /* NULL: can be replicated; else why not (shared, CD-ROM, pass-through, no image, other format) */
};

struct vm_nic {
    char *mac, *network, *model;
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
    char *xml;                    /* persistent (inactive) definition, with secrets left out */
    GPtrArray *disks;             /* struct vm_disk, every <disk device='disk'> in XML order */
    GPtrArray *nics;              /* struct vm_nic */
};
void vm_facts_free(struct vm_facts *f);
#define vm_facts_auto __attribute__((cleanup(vm_facts_clean))) struct vm_facts *
static inline void vm_facts_clean(struct vm_facts **f) { vm_facts_free(*f); }

struct vm_facts *vm_facts_get(struct vm_conn *c, const struct uuid *vm, GError **err);
GPtrArray *vm_list(struct vm_conn *c, GError **err);      /* struct vm_facts, all guests; g_ptr_array_unref frees them */
bool vm_power_get(struct vm_conn *c, const struct uuid *vm, enum vm_power *out, GError **err); /* cheap */

bool vm_start(struct vm_conn *c, const struct uuid *vm, GError **err);
bool vm_force_off(struct vm_conn *c, const struct uuid *vm, GError **err);
bool vm_shutdown(struct vm_conn *c, const struct uuid *vm, GError **err); /* asks: agent, then ACPI; does not wait */
bool vm_reset(struct vm_conn *c, const struct uuid *vm, GError **err);
bool vm_pause(struct vm_conn *c, const struct uuid *vm, GError **err);
bool vm_resume(struct vm_conn *c, const struct uuid *vm, GError **err);
bool vm_save(struct vm_conn *c, const struct uuid *vm, GError **err);     /* managed save */

bool vm_define(struct vm_conn *c, const char *xml, GError **err);
bool vm_undefine(struct vm_conn *c, const struct uuid *vm, GError **err);  /* absent is success; keeps disks; NVRAM is removed */
