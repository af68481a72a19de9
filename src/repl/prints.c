/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/prints.h"

#include "base/clean.h"
#include "base/file.h"
#include "repl/guest.h"

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

/* Why the fingerprints say nothing of the replica's newest log; NULL: they do. */
static const char *
misfit(struct relation *rel)
{
    struct uuid tail;
    guint64 sequence;
    const struct uuid log = fingerprint_log(rel->s.prints);
    const char *doubt = fingerprint_doubt(rel->s.prints);
    relation_tail(rel, &tail, &sequence);
    if (uuid_is_nil(&log))
        return doubt ? doubt : "There are no fingerprints of the disks.";
    return uuid_equal(&log, &tail) ? NULL : "The fingerprints stand for another change log than the newest one.";
}

bool
prints_judge(struct core *c, struct relation *rel, const guint64 *sizes, guint disks, bool *full, char **why, GError **err)
{
    guint64 unknown = 0, all = 0;
    if (!prints_open(c, rel, err))
        return false;
    *why = g_strdup(misfit(rel));
    *full = *why != NULL;
    for (guint i = 0; i < disks && !*full; i++) {
        const guint64 size = sizes ? sizes[i] : fingerprint_size(rel->s.prints, (guint16)i);
        guint64 bytes = 0;
        if (guest_slot(rel, i) < 0)
            continue;
        if (!fingerprint_unknown(rel->s.prints, (guint16)i, size, &bytes, err))
            return false;
        unknown += bytes;
        all += size;
        *full = size == 0;
    }
    *full |= unknown > all / 16;
    if (*full && !*why)
        *why = g_strdup("The fingerprints know too little of the replica.");
    return true;
}
