/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/export.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/exportdir.h"
#include "repl/guest.h"
#include "repl/prints.h"

bool
export_begin(struct core *c, struct relation *rel, const char *dir, GError **err)
{
    rel->s.unread_us = 0;
    if (!exportdir_make(dir, err) || !outbox_clear(rel->s.outbox, err))
        return false;
    if (rel->index) /* the guest here is a replica: nothing tracks it */
        return true;
    if (!guest_forget(c, rel, err) || !prints_remove(c, rel, err))
        return false;
    rel->s.tracked = false;
    g_clear_pointer(&rel->s.off_stamp, g_free);
    return true;
}

bool
export_runs(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.export_dir && !rel->r.exported && !rel->s.export_error;
}

bool
export_waits(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.exported;
}

/* ---- into the folder ---- */

static bool
is_complete(struct relation *rel, const char *dir, const struct outbox_log *last, GError **err)
{
    g_autoptr(GPtrArray) logs = exportdir_read(dir, &rel->vm, err);
    return logs && (uuid_equal(&((const struct exported_log *)logs->pdata[logs->len - 1])->id, &last->id) ||
                    err_set(err, ERR_FAILED, "Folder '%s' was changed while guest '%s' was exported.", dir, rel->r.name));
}

/* One write: the log is in the folder, and with the first whole one the export is finished. */
static bool
note(struct relation *rel, const struct outbox_log *log, GError **err)
{
    HOLD(&rel->lock);
    struct relation_record *r = &rel->r;
    const struct uuid acked = r->acked;
    const guint64 sequence = r->acked_sequence;
    r->acked = log->id;
    r->acked_sequence = log->sequence;
    r->exported = !log->fuzzy;
    if (relation_save_locked(rel, err)) {
        rel->s.read_acked += log->raw_bytes;
        return true;
    }
    r->acked = acked;
    r->acked_sequence = sequence;
    r->exported = false;
    return false;
}

bool
export_put(struct relation *rel, const char *dir, const char *from, const struct outbox_log *log, GError **err)
{
    return exportdir_copy(dir, from, log, &rel->halt, err) && (log->fuzzy || is_complete(rel, dir, log, err)) && note(rel, log, err);
}

static bool
copy(struct relation *rel, const char *dir, const struct outbox_log *log, GError **err)
{
    g_autofree char *from = outbox_path(rel->s.outbox, log);
    return export_put(rel, dir, from, log, err) && outbox_drop_through(rel->s.outbox, &log->id, err);
}

char *
export_folder(struct relation *rel)
{
    HOLD(&rel->lock);
    return g_strdup(rel->r.export_dir);
}

void
export_fail(struct relation *rel, GError *why)
{
    if (err_is(why, ERR_CANCELLED)) {
        g_error_free(why);
        return;
    }
    relation_halt(rel, true);
    HOLD(&rel->lock);
    g_clear_error(&rel->s.export_error);
    rel->s.export_error = why;
    g_cond_broadcast(&rel->changed);
}

void
export_some(struct relation *rel)
{
    struct outbox_log log;
    g_autoptr(GError) why = NULL;
    g_autofree char *dir = export_folder(rel);
    while (export_runs(rel) && !g_atomic_int_get(&rel->halt) && outbox_first(rel->s.outbox, &log))
        if (!copy(rel, dir, &log, &why)) {
            export_fail(rel, g_steal_pointer(&why));
            return;
        }
    export_say(rel, dir);
}

void
export_say(struct relation *rel, const char *dir)
{
    if (export_waits(rel))
        log_info("Guest '%s': its initial replica is complete in folder '%s'; import it on the replica host.", rel->r.name, dir);
}

/* ---- afterwards ---- */

/* The replica has a whole state: that of the folder, or one from elsewhere, which the comparison of heads deals with. */
static bool
finish_locked(struct relation *rel, bool ours, GError **err)
{
    char *dir = g_steal_pointer(&rel->r.export_dir);
    rel->r.exported = false;
    if (ours ? relation_event_locked(rel, EVENT_INITIAL_DONE, NULL, err) : relation_save_locked(rel, err)) {
        g_free(dir);
        return true;
    }
    rel->r.export_dir = dir;
    rel->r.exported = true;
    return false;
}

bool
export_look(struct relation *rel, const struct wire_status *st, bool *over, GError **err)
{
    *over = g_strcmp0(st->state, state_name(STATE_WAITING_INITIAL)) != 0 && st->has_head;
    if (!*over)
        return true;
    {
        HOLD(&rel->lock);
        if (!finish_locked(rel, uuid_equal(&st->head, &rel->r.acked), err))
            return false;
    }
    log_info("Guest '%s': the replica host has imported the initial replica.", rel->r.name);
    task_now(rel->s.cycle);
    return true;
}

void
export_discard(struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *dir = NULL;
    {
        HOLD(&rel->lock);
        dir = g_steal_pointer(&rel->r.export_dir);
        rel->r.exported = false;
        g_clear_error(&rel->s.export_error);
        if (dir && !relation_save_locked(rel, &why))
            log_warning("Guest '%s': %s", rel->r.name, why->message);
    }
    if (dir && !exportdir_remove(dir, &why))
        log_warning("Guest '%s': the export that was given up is not removed: %s", rel->r.name, why->message);
}
