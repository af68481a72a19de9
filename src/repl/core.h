/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/spare.h"
#include "log/writer.h"
#include "repl/entries.h"
#include "repl/relation.h"
#include "repl/vmops.h"

/* What the parts of repl share: the host's configuration, its doors to other layers, and the table of relationships.
 *
 * Lock order: core -> relation -> leaves (see relation.h).  core_find and core_list give references. */

enum { CORE_PROBE_S = 2 }; /* probe_us, unless somebody says otherwise */

struct groups;
struct late;
struct addresses;
struct listener;
struct peers;
struct rounds;

struct core {
    /* fixed after core_new */
    struct repl_config config;
    const struct repl_vm_ops *vm;
    struct vm_conn *vms;
    struct db *db;
    struct entries *entries;
    struct groups *groups;
    struct rounds *rounds;
    struct capture_engine *engine;
    struct job_registry *jobs;
    struct schedule *schedule;
    struct late *late;
    struct task *certificate;    /* looks at our own, once a day (host.h) */
    struct peers *peers;
    struct addresses *addresses;
    GPtrArray *networks;         /* struct netmap_entry (vm/netmap.h) */
    char *outbox_dir, *fence_dir, *replica_dir, *own_thumbprint;
    struct throttle *sending;    /* what all senders together may send, by hours of the day */
    struct log_pool *packers;    /* threads that pack change logs */
    struct spare *spare;         /* processors that have nothing to do */
    struct throttle *merging;    /* what all replicas together may merge; NULL: no limit */
    struct throttle *proving;    /* what is read of them to be verified; NULL: nothing is */
    guint64 slice_bytes;         /* raw size of one log of a full read */
    guint64 waiting_bytes;       /* of logs that may wait unmerged until the first copy is whole */
    gint64 probe_us;             /* so long another host may take to say where it stands (probe.h) */
    GMutex lock;
    /* under lock */
    GHashTable *relations;       /* key -> struct relation */
    struct repl_host_settings host;
    struct listener *listener;
    bool running;                /* between start and stop */
};

struct core *core_new(const struct repl_config *config, struct vm_conn *vms, const struct repl_vm_ops *ops, GError **err);
void core_free(struct core *c);
bool core_running(struct core *c);
struct serve_config core_serve(const struct core *c);

struct relation *core_find(struct core *c, const struct uuid *vm, guint index);  /* NULL: none */
GPtrArray *core_list(struct core *c);                                            /* struct relation references */
/* ERR_EXISTS: this guest has one.  Takes a reference. */
bool core_add(struct core *c, struct relation *rel, GError **err);
/* `fresh` takes the place of `old`, whose activities are stopped: one write of the record, so a crash leaves the one or the other. */
bool core_replace(struct core *c, struct relation *old, struct relation *fresh, GError **err);
/* Out of the table and of the database; activities are stopped. */
bool core_remove(struct core *c, struct relation *rel, GError **err);

/* What limits sending for this relationship: its own settings, and the host's.  out ends with NULL. */
enum { CORE_LIMITS = 3 };
void core_limits(struct core *c, struct relation *rel, struct throttle *out[CORE_LIMITS]);

void core_host(struct core *c, struct repl_host_settings *out);
bool core_save_host(struct core *c, const struct repl_host_settings *host, GError **err);
/* How the next log of a relationship is packed (compress.h): by its settings, by what was measured, never as its replica cannot read. */
enum compress core_packing(struct core *c, struct relation *rel, struct log_writer_options *out);
/* Opens, rolls and saves the counters of a relationship as time goes; force: save in any case. */
void core_tick_stats(struct core *c, struct relation *rel, bool force);
/* Definition of the guest as the other host sent it with its offer. */
bool core_save_definition(struct core *c, const struct uuid *vm, const char *xml, GError **err);
char *core_definition(struct core *c, const struct uuid *vm, GError **err);
