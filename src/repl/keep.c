/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/keep.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/work.h"
#include "store/pins.h"

bool
keep_refuse_locked(struct relation *rel, const char *what, GError **err)
{
    if (rel->side != SIDE_RECEIVER)
        return true;
    if (rel->in.store)
        return store_refuse_protected(rel->in.store, what, err);
    return !rel->r.folder || store_refuse_protected_folder(rel->r.folder, what, err);
}

bool
keep_refuse(struct relation *rel, const char *what, GError **err)
{
    HOLD(&rel->lock);
    return keep_refuse_locked(rel, what, err);
}

/* A point that is about to go cannot be promised to stay any more. */
static bool
check_state(const struct relation *rel, GError **err)
{
    const struct relation_record *r = &rel->r;
    return (rel->in.store && !r->committing && !r->removing && !r->reversing && r->state != STATE_COMMITTED) ||
           err_set(err, ERR_INVALID_STATE, "The recovery points of guest '%s' are about to be deleted.", r->name);
}

static bool
change(struct relation *rel, const struct uuid *point, const bool *pinned, gint64 until_us, GError **err)
{
    char id[UUID_TEXT];
    g_autofree char *date = until_us ? clock_iso8601(until_us) : NULL;
    HOLD(&rel->lock);
    if (!check_state(rel, err) || (until_us && !store_protect(rel->in.store, point, until_us, err)) ||
        (pinned && !store_pin(rel->in.store, point, *pinned, err)))
        return false;
    if (pinned)
        log_info("Guest '%s': recovery point '%s' was %s.", rel->r.name, uuid_format(point, id), *pinned ? "pinned" : "unpinned");
    if (date)
        log_info("Guest '%s': recovery point '%s' is protected until %s.", rel->r.name, uuid_format(point, id), date);
    return true;
}

bool
repl_point_keep(struct repl_service *s, const struct uuid *point, const bool *pinned, gint64 until_us, GError **err)
{
    struct repl_point found;
    char text[UUID_TEXT];
    relation_auto rel = repl_point_find(s, point, &found) ? core_find(s->core, &found.vm, 0) : NULL;
    if (!rel)
        return err_set(err, ERR_NO_SUCH_INSTANCE, "There is no recovery point '%s' (any more).", uuid_format(point, text));
    return change(rel, point, pinned, until_us, err);
}
