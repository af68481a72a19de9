/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/service.h"
#include "vm/capture.h"
#include "vm/quiesce.h"
#include "vm/serve.h"

/* What replication asks of libvirt, QEMU and nbdkit, as a table, so that a test can stand in for a hypervisor.  The members are the
 * functions of vm/ with the same names; repl_vm_real is filled with exactly these and is what the daemon uses. */

struct repl_vm_ops {
    GPtrArray *(*list)(struct vm_conn *c, GError **err);
    struct vm_facts *(*facts_get)(struct vm_conn *c, const struct uuid *vm, GError **err);
    struct vm_facts *(*view)(struct vm_conn *c, const struct uuid *vm, GError **err); /* as list: from memory, for readers */
    bool (*power_get)(struct vm_conn *c, const struct uuid *vm, enum vm_power *out, GError **err);
    bool (*migrated)(struct vm_conn *c, const struct uuid *vm);
    void (*watch)(struct vm_conn *c, vm_event_fn fn, void *user);
    bool (*start)(struct vm_conn *c, const struct uuid *vm, GError **err);
    bool (*force_off)(struct vm_conn *c, const struct uuid *vm, GError **err);
    bool (*shutdown)(struct vm_conn *c, const struct uuid *vm, GError **err);
    bool (*reset)(struct vm_conn *c, const struct uuid *vm, GError **err);
    bool (*pause)(struct vm_conn *c, const struct uuid *vm, GError **err);
    bool (*resume)(struct vm_conn *c, const struct uuid *vm, GError **err);
    bool (*resume_stalled)(struct vm_conn *c, const struct uuid *vm, bool *stalled, GError **err);
    bool (*save)(struct vm_conn *c, const struct uuid *vm, GError **err);
    bool (*discard_save)(struct vm_conn *c, const struct uuid *vm, GError **err);
    bool (*reboot)(struct vm_conn *c, const struct uuid *vm, GError **err);
    bool (*inject_nmi)(struct vm_conn *c, const struct uuid *vm, GError **err);
    bool (*rename)(struct vm_conn *c, const struct uuid *vm, const char *name, GError **err);
    bool (*set_notes)(struct vm_conn *c, const struct uuid *vm, const char *text, GError **err);
    bool (*set_autostart)(struct vm_conn *c, const struct uuid *vm, bool yes, GError **err);
    struct vm_host *(*host)(struct vm_conn *c, GError **err);
    GPtrArray *(*networks)(struct vm_conn *c, GError **err);
    GHashTable *(*addresses)(struct vm_conn *c, const struct uuid *vm);
    GArray *(*vcpu_times)(struct vm_conn *c, const struct uuid *vm, GError **err);
    bool (*agent_run)(struct vm_conn *c, const struct uuid *vm, const char *const *argv, const char *input, guint limit_s,
                      struct vm_agent_ran *out, GError **err);
    bool (*agent_info)(struct vm_conn *c, const struct uuid *vm, struct vm_agent_info *out, GError **err);
    GBytes *(*screenshot)(struct vm_conn *c, const struct uuid *vm, char **suffix, GError **err);
    bool (*define)(struct vm_conn *c, const char *xml, GError **err);
    bool (*undefine)(struct vm_conn *c, const struct uuid *vm, GError **err);

    struct capture_engine *(*engine_new)(struct vm_conn *conn, const struct capture_config *config);
    void (*engine_free)(struct capture_engine *e);
    void (*choose)(struct capture_engine *e, const struct uuid *vm, enum capture_kind kind);
    bool (*recover)(struct capture_engine *e, const struct uuid *vm, const char *const *targets,
                    bool (*durable)(void *user, const struct uuid *log), void *user, struct uuid *since, GError **err);
    struct capture *(*begin)(struct capture_engine *e, const struct uuid *vm, const char *const *targets, enum capture_mode mode,
                             const struct uuid *log, GError **err);
    struct capture *(*begin_around)(struct capture_engine *e, const struct uuid *vm, const char *const *targets, const struct uuid *log,
                                    const struct capture_around *around, GError **err);
    struct quiesce *(*quiesce_begin)(struct vm_conn *c, const struct uuid *vm, const struct quiesce_config *config, bool *loose,
                                     GError **err);
    bool (*quiesce_end)(struct quiesce *q, struct quiesce_report *out, bool *loose, GError **err);
    bool (*thaw)(struct vm_conn *c, const struct uuid *vm, guint *count, GError **err);
    gint64 (*instant_us)(const struct capture *c);
    const char *(*domain_xml)(const struct capture *c);
    GBytes *(*nvram)(const struct capture *c);
    GBytes *(*tpm)(const struct capture *c);
    struct block *(*disk)(struct capture *c, guint i);
    const struct extents *(*extents)(const struct capture *c, guint i);
    bool (*end)(struct capture *c, bool durable, GError **err);
    bool (*forget)(struct capture_engine *e, const struct uuid *vm, GError **err);
    guint64 (*pending)(struct capture_engine *e, const struct uuid *vm);

    bool (*serve_start)(const struct serve_config *config, const char *store_dir, const struct uuid *point, const char *socket,
                        GError **err);
    bool (*serve_running)(const char *socket, bool *running, GError **err);
    bool (*serve_stop)(const char *socket, GError **err);
    bool (*overlay_create)(const struct serve_config *config, const char *path, const char *socket, const char *target, guint64 size,
                           const struct uuid *since, GError **err);
    bool (*overlay_flatten)(const char *path, const gint *cancel, GError **err);
    bool (*overlay_is_flat)(const char *path, bool *flat, GError **err);
    bool (*pull_start)(struct vm_conn *c, const struct uuid *vm, const char *target, guint64 bandwidth, GError **err);
    bool (*pull_state)(struct vm_conn *c, const struct uuid *vm, const char *target, struct overlay_pull *out, GError **err);
    bool (*pull_rate)(struct vm_conn *c, const struct uuid *vm, const char *target, guint64 bandwidth, GError **err);
    bool (*pull_stop)(struct vm_conn *c, const struct uuid *vm, const char *target, GError **err);
    bool (*forget_backing)(struct vm_conn *c, const struct uuid *vm, const char *socket, GError **err);
    bool (*image_to_raw)(const char *from, const char *format, const char *to, const gint *cancel, GError **err);
    bool (*network_isolated)(struct vm_conn *c, const char *name, GError **err);
};
extern const struct repl_vm_ops repl_vm_real;

/* repl_service_new with another table; `vms` is handed to its functions and never looked into. */
struct repl_service *
repl_service_new_with(const struct repl_config *config, struct vm_conn *vms, const struct repl_vm_ops *ops, GError **err);
