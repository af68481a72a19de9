/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "fake_vm.h"

/* What fake_vm.c and fake_guest.c share. */

struct fake_disk {
    char *target, *path;   /* path: an empty file whose time changes with every write */
    guint64 size;
    guint8 *data;
    /* tracking: pages written since `since`; while a capture is open the pages before it are in `before` */
    GHashTable *dirty, *before;
};

struct fake_guest {
    struct uuid vm;
    GPtrArray *disks;
    bool tracked;
    struct uuid since;     /* of `dirty`, or of `before` while a capture is open */
    struct capture *open;  /* at most one */
    enum capture_kind kind;
    bool frozen, migrated;
    bool qcow2;            /* what the format of its images is called */
};

struct fake_host {
    char *dir;
    GMutex lock;
    GMutex power; /* from a look at a guest's power to its change; taken first */
    GMutex definitions; /* a file that takes another's place may be missed by who reads the folder meanwhile; before `lock` */
    GCond changed;
    GPtrArray *guests;
    GHashTable *instants;  /* log id/disk -> GBytes */
    GHashTable *programs;  /* UUID -> text */
    const char *complaint;
    GHashTable *still;     /* ids of the logs at whose instant the guest was frozen */
    guint freezes;
    bool early;
    guint captures, full_reads, waiting;
    guint64 pull_rate;
    bool block, tpm_mute, pull_held, deaf;
    guint64 scratch;
    guint fails[FAKE_CALLS];
    enum err_code codes[FAKE_CALLS];
    guint die_at, changes, interrupts;
    vm_event_fn watcher;
    void *watcher_user;
};

struct fake_guest *fake_guest_locked(struct fake_host *h, const struct uuid *vm);
/* fake_facts.c */
char *fake_between(const char *text, const char *from, const char *to); /* NULL: not there; g_free */
struct vm_facts *fake_facts_get(struct vm_conn *c, const struct uuid *vm, GError **err);
GPtrArray *fake_list(struct vm_conn *c, GError **err);

bool fake_may(struct fake_host *h, enum fake_call call, GError **err);
/* The guest's disk becomes a copy of `data` (takes it), tracked since that log: what an overlay over a recovery point is. */
void fake_disk_from(struct fake_host *h, const struct uuid *vm, const char *target, guint8 *data, guint64 size, const struct uuid *since);
bool fake_image_to_raw(const char *from, const char *format, const char *to, const gint *cancel, GError **err);
struct fake_host *fake_host_of(const char *socket); /* by its runtime folder */

struct capture_engine *fake_engine_new(struct vm_conn *conn, const struct capture_config *config);
void fake_engine_free(struct capture_engine *e);
void fake_choose(struct capture_engine *e, const struct uuid *vm, enum capture_kind kind);
bool fake_recover(struct capture_engine *e, const struct uuid *vm, const char *const *targets,
                  bool (*durable)(void *user, const struct uuid *log), void *user, struct uuid *since, GError **err);
struct capture *fake_begin(struct capture_engine *e, const struct uuid *vm, const char *const *targets, enum capture_mode mode,
                           const struct uuid *log, GError **err);
struct capture *fake_begin_around(struct capture_engine *e, const struct uuid *vm, const char *const *targets, const struct uuid *log,
                                  const struct capture_around *around, GError **err);
struct quiesce *fake_quiesce_begin(struct vm_conn *c, const struct uuid *vm, const struct quiesce_config *config, bool *loose,
                                   GError **err);
bool fake_quiesce_end(struct quiesce *q, struct quiesce_report *out, bool *loose, GError **err);
bool fake_thaw(struct vm_conn *c, const struct uuid *vm, guint *count, GError **err);
gint64 fake_instant_us(const struct capture *c);
const char *fake_domain_xml(const struct capture *c);
GBytes *fake_nvram(const struct capture *c);
GBytes *fake_tpm(const struct capture *c); /* the log's id as text, if the definition has a TPM */
struct block *fake_capture_disk(struct capture *c, guint i);
const struct extents *fake_capture_extents(const struct capture *c, guint i);
bool fake_end(struct capture *c, bool durable, GError **err);
bool fake_forget(struct capture_engine *e, const struct uuid *vm, GError **err);
guint64 fake_pending(struct capture_engine *e, const struct uuid *vm);
