/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/addresses.h"
#include "repl/service.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/activity.h"
#include "repl/host.h"
#include "repl/late.h"
#include "repl/recover.h"
#include "repl/work.h"

static void
changed(void *user)
{
    struct repl_service *s = user;
    HOLD(&s->hook);
    if (s->changed)
        s->changed(s->changed_user);
}

void
repl_service_on_change(struct repl_service *s, void (*fn)(void *user), void *user)
{
    HOLD(&s->hook);
    s->changed = fn;
    s->changed_user = user;
}

static void
on_guest(void *user, const struct uuid *vm, const char *what)
{
    struct repl_service *s = user;
    changed(s);
    activity_guest_event(s->core, vm, what);
    addresses_wake(s->core->addresses);
}

struct repl_service *
repl_service_new_with(const struct repl_config *config, struct vm_conn *vms, const struct repl_vm_ops *ops, GError **err)
{
    struct core *core = core_new(config, vms, ops, err);
    if (!core)
        return NULL;
    struct repl_service *s = g_new0(struct repl_service, 1);
    s->core = core;
    g_mutex_init(&s->hook);
    db_on_change(core->db, changed, s);
    ops->watch(vms, on_guest, s);
    return s;
}

struct repl_service *
repl_service_new(const struct repl_config *config, struct vm_conn *vms, GError **err)
{
    return repl_service_new_with(config, vms, &repl_vm_real, err);
}

static void
set_running(struct core *c, bool on)
{
    HOLD(&c->lock);
    c->running = on;
}

bool
repl_service_start(struct repl_service *s, GError **err)
{
    g_autoptr(GError) why = NULL;
    set_running(s->core, true);
    if (!recover_all(s->core, err))
        return false;
    addresses_wake(s->core->addresses);
    task_now(s->core->certificate);
    /* A port that is taken must not keep this host's own guests unprotected; OperationalStatus tells. */
    if (!host_listen(s->core, &why))
        log_error("The replication port could not be opened: %s", why->message);
    return true;
}

void
repl_service_stop(struct repl_service *s)
{
    struct core *c = s->core;
    set_running(c, false);
    host_unlisten(c);
    job_registry_stop(c->jobs);
    g_autoptr(GPtrArray) all = core_list(c); /* after all who may still make or replace one */
    addresses_stop(c->addresses);
    task_stop(c->certificate);
    for (guint i = 0; i < all->len; i++)
        activity_detach(all->pdata[i]);
    g_autoptr(GError) late = NULL;
    if (!late_flush(c->late, &late))
        log_warning("Acknowledgements could not be saved: %s", late->message);
    for (guint i = 0; i < all->len; i++) {
        struct relation *rel = all->pdata[i];
        g_autoptr(GError) why = NULL;
        core_tick_stats(c, rel, true);
        HOLD(&rel->lock);
        if (!relation_save_locked(rel, &why))
            log_warning("Guest '%s': %s", rel->r.name, why->message);
    }
}

void
repl_service_free(struct repl_service *s)
{
    if (!s)
        return;
    core_free(s->core);
    g_mutex_clear(&s->hook);
    g_free(s);
}

struct job_registry *
repl_jobs(struct repl_service *s)
{
    return s->core->jobs;
}

struct vm_conn *
repl_vms(struct repl_service *s)
{
    return s->core->vms;
}

const char *
repl_host(const struct repl_service *s)
{
    return s->core->config.host;
}

GPtrArray *
repl_guests(struct repl_service *s, GError **err)
{
    return s->core->vm->list(s->core->vms, err);
}

struct vm_facts *
repl_guest(struct repl_service *s, const struct uuid *vm, GError **err)
{
    return s->core->vm->view(s->core->vms, vm, err);
}

struct vm_host *
repl_machine(struct repl_service *s, GError **err)
{
    return s->core->vm->host(s->core->vms, err);
}

GPtrArray *
repl_networks(struct repl_service *s, GError **err)
{
    return s->core->vm->networks(s->core->vms, err);
}

GArray *
repl_vcpu_times(struct repl_service *s, const struct uuid *vm, GError **err)
{
    return s->core->vm->vcpu_times(s->core->vms, vm, err);
}

GHashTable *
repl_addresses(struct repl_service *s, const struct uuid *vm)
{
    return s->core->vm->addresses(s->core->vms, vm);
}
