/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/farewell.h"

#include "base/clean.h"
#include "base/err.h"
#include "repl/activity.h"
#include "repl/failover.h"
#include "repl/intake.h"
#include "repl/keep.h"
#include "repl/placeholder.h"
#include "store/pins.h"
#include "vm/fence.h"

static const gint64 UPLOAD_WAIT_US = 90 * (gint64)G_USEC_PER_SEC;

static bool
merge_all(struct relation *rel, struct job *job, GError **err)
{
    struct store_log newest;
    if (!store_latest_point(rel->in.store, &newest))
        return true;
    job_progress(job, 30, "Merging change logs into the disks");
    store_set_throttle(rel->in.store, NULL); /* somebody waits */
    return store_unpin_all(rel->in.store, err) && store_apply(rel->in.store, &newest.id, job_cancel_flag(job), err);
}

static bool
keep_base(struct core *c, struct relation *rel, struct job *job, GError **err)
{
    static const char *const KEEP[] = { "base", "guest", NULL };
    if (rel->in.store && !merge_all(rel, job, err))
        return false;
    struct store *store;
    {
        HOLD(&rel->lock);
        store = g_steal_pointer(&rel->in.store);
    }
    if (store)
        store_close(store);
    return failover_remove_but(rel->r.folder, KEEP, err) && fence_lower(c->fence_dir, &rel->vm, err) &&
           core_save_definition(c, &rel->vm, NULL, err) && core_remove(c, rel, err);
}

static bool
is_usable(struct relation *rel)
{
    struct store_log log;
    return !rel->in.store || store_latest_point(rel->in.store, &log);
}

bool
farewell_replica(struct core *c, struct relation *rel, struct job *job, GError **err)
{
    const enum repl_state state = relation_state(rel);
    if (state != STATE_COMMITTED && !keep_refuse(rel, "Removing the replication", err))
        return false;
    if (state == STATE_RECOVERED && !failover_fill_and_commit(c, rel, job, err))
        return false;
    if (state == STATE_RECOVERED || state == STATE_COMMITTED)
        return failover_drop_store(c, rel, err) && core_save_definition(c, &rel->vm, NULL, err) && core_remove(c, rel, err);
    relation_halt(rel, true);
    if (!intake_quiesce(rel, UPLOAD_WAIT_US))
        return err_set(err, ERR_IN_USE, "An upload for guest '%s' does not end; try again.", rel->r.name);
    return is_usable(rel) ? keep_base(c, rel, job, err) : placeholder_remove(c, rel, err);
}
