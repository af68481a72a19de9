/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/work.h"

#include "base/clean.h"
#include "base/err.h"

struct work *
work_new(struct core *c, struct relation *rel, const struct uuid *vm)
{
    struct work *w = g_new0(struct work, 1);
    w->core = c;
    w->rel = rel ? relation_ref(rel) : NULL;
    if (vm)
        w->vm = *vm;
    return w;
}

void
work_free(struct work *w)
{
    relation_unref(w->rel);
    if (w->settings)
        repl_settings_clear(w->settings);
    g_free(w->settings);
    if (w->host)
        repl_host_settings_clear(w->host);
    g_free(w->host);
    g_free(w->peer);
    g_free(w->location);
    g_free(w);
}

static struct job_request
request_of(struct work *w, enum job_number type, const char *conflict, bool cancellable, job_work fn)
{
    return (struct job_request){ .type = type, .name = jobs_name(type), .vm = w->vm, .conflict = conflict, .cancellable = cancellable,
                                 .work = fn, .user = w, .user_free = (GDestroyNotify)work_free };
}

bool
work_post(struct work *w, enum job_number type, bool conflict, bool cancellable, gint64 start_us, const char *owner, job_work fn,
          char job[UUID_TEXT], GError **err)
{
    g_autofree char *key = conflict ? jobs_conflict(&w->vm) : NULL;
    struct job_request q = request_of(w, type, key, cancellable, fn);
    q.owner = owner;
    q.start_us = start_us;
    return job_start(w->core->jobs, &q, job, err);
}

bool
work_resume(struct work *w, const char *id, enum job_number type, bool cancellable, job_work fn, GError **err)
{
    char fresh[UUID_TEXT];
    g_autofree char *key = jobs_conflict(&w->vm);
    g_autoptr(GPtrArray) cut = job_interrupted(w->core->jobs);
    for (guint i = 0; id && i < cut->len; i++) {
        const struct job_info *info = cut->pdata[i];
        const struct job_request q = request_of(w, type, key, cancellable, fn);
        if (!g_ascii_strcasecmp(info->id, id))
            return job_resume(w->core->jobs, id, &q, err);
    }
    return work_post(w, type, true, cancellable, 0, "vmreplicad", fn, fresh, err);
}

struct relation *
work_relation(struct core *c, const struct uuid *vm, guint index, GError **err)
{
    relation_auto rel = core_find(c, vm, index);
    if (rel && relation_state(rel) != STATE_DISABLED)
        return g_steal_pointer(&rel);
    vm_facts_auto facts = c->vm->facts_get(c->vms, vm, err);
    if (facts)
        err_set(err, ERR_INVALID_STATE, index ? "Guest '%s' has no extended replication." : "Guest '%s' is not replicated.", facts->name);
    return NULL;
}

bool
work_free_to_change(struct core *c, const struct uuid *vm, GError **err)
{
    g_autofree char *key = jobs_conflict(vm);
    return !job_busy(c->jobs, key) || err_set(err, ERR_IN_USE, "Another job works on guest '%s'; wait for its end.", key);
}
