/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/prints.h"

#include "base/clean.h"
#include "base/file.h"

static char *
folder(struct core *c, struct relation *rel)
{
    char text[UUID_TEXT];
    return g_build_filename(c->config.state_dir, "fingerprints", uuid_format(&rel->vm, text), NULL);
}

bool
prints_has_log(void *user, const struct uuid *log)
{
    struct relation *rel = user;
    HOLD(&rel->lock);
    return uuid_equal(log, &rel->r.acked) || outbox_find(rel->s.outbox, log, NULL);
}

bool
prints_open(struct core *c, struct relation *rel, GError **err)
{
    if (rel->s.prints)
        return true;
    g_autofree char *dir = folder(c, rel);
    return (rel->s.prints = fingerprint_open(dir, prints_has_log, rel, err));
}

void
prints_close(struct relation *rel)
{
    fingerprint_close(g_steal_pointer(&rel->s.prints));
}

bool
prints_remove(struct core *c, struct relation *rel, GError **err)
{
    g_autofree char *dir = folder(c, rel);
    prints_close(rel);
    return file_remove_tree(dir, err);
}

bool
prints_judge(struct core *c, struct relation *rel, const guint64 *sizes, guint disks, guint64 *unknown, char **why, GError **err)
{
    struct uuid tail;
    guint64 sequence;
    if (!prints_open(c, rel, err))
        return false;
    const struct uuid log = fingerprint_log(rel->s.prints);
    relation_tail(rel, &tail, &sequence);
    const bool fits = !uuid_is_nil(&log) && uuid_equal(&log, &tail);
    *unknown = 0;
    *why = NULL;
    if (!fits)
        *why = g_strdup(uuid_is_nil(&log) ? fingerprint_doubt(rel->s.prints) : NULL);
    if (!fits && !*why)
        *why = g_strdup(uuid_is_nil(&log) ? "No fingerprints of the disks are there."
                                          : "The fingerprints stand for another change log than the newest one.");
    for (guint i = 0; i < disks; i++) {
        guint64 bytes = sizes[i];
        if (fits && !fingerprint_unknown(rel->s.prints, (guint16)i, sizes[i], &bytes, err))
            return false;
        *unknown += bytes;
    }
    return true;
}
