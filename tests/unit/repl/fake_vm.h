/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/vmops.h"

/* A hypervisor for tests of the heart: guests whose disks are memory and whose bitmaps are exact, definitions, power, servers and overlays
 * as files below a folder, so that they survive the death of the process that made them.  Its struct vm_conn is handed to repl as is.
 *
 * Every capture of an instant is remembered by the id of its log: what a recovery point must look like, byte for byte. */

struct fake_host;
struct fake_host *fake_host_new(const char *dir);
void fake_host_free(struct fake_host *h);
struct vm_conn *fake_conn(struct fake_host *h);
extern const struct repl_vm_ops fake_vm_ops;

/* A primary's guest with `disks` disks ("vda", ...) of `size` bytes, running. */
struct uuid fake_guest_add(struct fake_host *h, const char *name, guint disks, guint64 size);
void fake_disk_add(struct fake_host *h, const struct uuid *vm, const char *target, guint64 size);
void fake_disk_remove(struct fake_host *h, const struct uuid *vm, const char *target);
/* As QEMU does it: what is cut off is forgotten, what is new is zeros and not dirty.  Waits for a capture that is open. */
void fake_disk_resize(struct fake_host *h, const struct uuid *vm, guint disk, guint64 size);
void fake_write(struct fake_host *h, const struct uuid *vm, guint disk, guint64 offset, const void *data, gsize len);
/* The same as a program in the guest does: waits while the guest is paused, and is gone with a guest that is off. */
void fake_guest_write(struct fake_host *h, const struct uuid *vm, guint disk, guint64 offset, const void *data, gsize len);
/* `count` random pages over all disks; from the seed. */
void fake_scribble(struct fake_host *h, const struct uuid *vm, GRand *rand, guint count);
void fake_power_set(struct fake_host *h, const struct uuid *vm, enum vm_power power); /* by the user of the guest, with event */
/* Off here, for it runs on another host; gone: not defined here any more. */
void fake_migrate(struct fake_host *h, const struct uuid *vm, bool gone);
void fake_migrate_forget(struct fake_host *h, const struct uuid *vm); /* nobody knows why it is off */
void fake_kill(struct fake_host *h, const struct uuid *vm);                           /* off, and the bitmaps are gone */
void fake_set_title(struct fake_host *h, const struct uuid *vm, const char *title);   /* another definition */
void fake_stall(struct fake_host *h, const struct uuid *vm); /* QEMU stops it for a failed request */
enum vm_power fake_power(struct fake_host *h, const struct uuid *vm);
char *fake_definition(struct fake_host *h, const struct uuid *vm);                    /* NULL: not defined; g_free */
bool fake_serving(const char *socket, struct uuid *point);
/* Expected bytes of a disk at the instant of a log; NULL: no such instant.  g_bytes_unref. */
GBytes *fake_instant(struct fake_host *h, const struct uuid *log, guint disk);
guint fake_instants(struct fake_host *h);
guint fake_full_reads(struct fake_host *h);
guint fake_interrupts(struct fake_host *h);
guint64 fake_pull_rate(struct fake_host *h); /* that the newest pull was given */
void fake_hold_pulls(struct fake_host *h, bool hold); /* they go on for ever */
/* The guest gets a channel for the agent, which answers while it runs (FAKE_AGENT says otherwise). */
void fake_agent_add(struct fake_host *h, const struct uuid *vm);
void fake_device_add(struct fake_host *h, const struct uuid *vm, const char *xml);     /* to its definition */

void fake_card_add(struct fake_host *h, const struct uuid *vm, const char *mac); /* on network "prod" */
char *fake_program(struct fake_host *h, const struct uuid *vm); /* that the agent ran last, and its input; NULL: none; g_free */
void fake_complain(struct fake_host *h, const char *words);     /* programs end with 1 and these (static) words; NULL: with 0 */

/* Faults.  The next `count` calls of the member fail with the code. */
enum fake_call {
    FAKE_BEGIN,
    FAKE_COPY,
    FAKE_DEFINE,
    FAKE_SERVE,
    FAKE_OVERLAY,
    FAKE_FLATTEN,
    FAKE_POWER,
    FAKE_AGENT,
    FAKE_SHUTDOWN,
    FAKE_SCREENSHOT,
    FAKE_FREEZE,  /* nothing is frozen */
    FAKE_THAW,
    FAKE_RUN,
    FAKE_NETWORKS,
    FAKE_CALLS
};
void fake_fail(struct fake_host *h, enum fake_call call, enum err_code code, guint count);
/* The agent froze guests so often; whether one is frozen now, and whether it was at the instant of a log. */
guint fake_freezes(struct fake_host *h);
bool fake_frozen(struct fake_host *h, const struct uuid *vm);
bool fake_instant_frozen(struct fake_host *h, const struct uuid *log);
void fake_tpm_mute(struct fake_host *h, bool mute);    /* TPMs have no state that could be read */
void fake_deaf(struct fake_host *h, bool deaf);         /* guests do not do what ACPI and the agent ask them */
void fake_thaw_early(struct fake_host *h, bool early); /* somebody else thaws before the instant is over */
void fake_scratch_small(struct fake_host *h, guint64 bytes);  /* instants of more dirty bytes are ERR_NO_SPACE; 0: no limit */
void fake_block_reads(struct fake_host *h, bool block);       /* reads of captured disks wait */
guint fake_reads_waiting(struct fake_host *h);
/* The process ends (_exit) in the n-th change from now on, whoever makes it; 0: never. */
void fake_die_in(struct fake_host *h, guint n);
