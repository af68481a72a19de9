/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/outbox.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "log/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPARE_BYTES (UINT64_C(256) << 10) /* what is longer goes */

struct outbox {
    char *dir;
    char *spare;  /* its path */
    char *cut;    /* fixed after open */
    GMutex lock;
    GCond changed;
    GArray *logs; /* struct outbox_log, in chain order */
    bool has_spare;
    bool recycles;
    guint long_spares; /* spare-1 .. spare-N */
    GArray *gone; /* struct outbox_log: acknowledged, but their files are still there */
};

static struct outbox_log *
at(const struct outbox *o, guint i)
{
    return &g_array_index(o->logs, struct outbox_log, i);
}

static char *
path_of(const struct outbox *o, guint64 sequence, const struct uuid *id)
{
    char text[UUID_TEXT];
    return g_strdup_printf("%s/%016" G_GUINT64_FORMAT "-%s.vrl", o->dir, sequence, uuid_format(id, text));
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *
names_in(const char *dir, GError **err)
{
    g_autoptr(GError) why = NULL;
    g_autoptr(GDir) d = g_dir_open(dir, 0, &why);
    if (!d) {
        err_set(err, ERR_IO, "%s", why->message);
        return NULL;
    }
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    const char *name;
    while ((name = g_dir_read_name(d)))
        g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, by_name);
    return names;
}

/* Header, trailer and index are verified; a file that does not follow the one before it ends the chain. */
static bool
read_one(struct outbox *o, const char *name, GError **err)
{
    g_autofree char *path = g_build_filename(o->dir, name, NULL);
    struct log_reader *r = log_reader_open(path, err);
    if (!r)
        return false;
    const struct log_info *info = log_reader_info(r);
    const struct outbox_log log = {
        .id = info->id, .parent = info->parent, .sequence = info->sequence,
        .bytes = log_reader_file_bytes(r), .raw_bytes = log_reader_raw_bytes(r),
        .capture_us = info->capture_us, .queued_us = clock_mono_us(), .fuzzy = info->flags & LOG_FLAG_FUZZY, .kind = info->kind,
    };
    log_reader_close(r);
    if (o->logs->len && !uuid_equal(&log.parent, &at(o, o->logs->len - 1)->id))
        return err_set(err, ERR_CORRUPT, "The change log before '%s' was lost from the outbox.", path);
    g_array_append_val(o->logs, log);
    return true;
}

static bool
scan(struct outbox *o, guint64 acked, GError **err)
{
    bool broken = false;
    g_autoptr(GPtrArray) names = names_in(o->dir, err);
    for (guint i = 0; names && i < names->len; i++) {
        g_autoptr(GError) why = NULL;
        const char *name = names->pdata[i];
        const bool old = g_ascii_isdigit(name[0]) && g_ascii_strtoull(name, NULL, 10) <= acked;
        if (!broken && !old && g_str_has_suffix(name, ".vrl") && read_one(o, name, &why))
            continue;
        if (why && !err_is_damage(why)) { /* it may be read the next time */
            g_propagate_error(err, g_steal_pointer(&why));
            return false;
        }
        if (why) {
            log_warning("The outbox is cut at '%s': %s", name, why->message);
            o->cut = g_strdup(why->message);
            broken = true;
        }
        g_autofree char *path = g_build_filename(o->dir, name, NULL);
        if (!file_unlink_durably(path, err))
            return false;
    }
    return names != NULL;
}

struct outbox *
outbox_open(const char *dir, guint64 acked, GError **err)
{
    if (!file_make_dirs(dir, 0700, err))
        return NULL;
    struct outbox *o = g_new0(struct outbox, 1);
    o->dir = g_strdup(dir);
    o->spare = g_build_filename(dir, "spare", NULL);
    g_mutex_init(&o->lock);
    g_cond_init(&o->changed);
    o->logs = g_array_new(FALSE, FALSE, sizeof(struct outbox_log));
    o->gone = g_array_new(FALSE, FALSE, sizeof(struct outbox_log));
    if (scan(o, acked, err))
        return o;
    outbox_close(o);
    return NULL;
}

const char *
outbox_cut(struct outbox *o)
{
    return o->cut;
}

void
outbox_close(struct outbox *o)
{
    if (!o)
        return;
    g_free(o->cut);
    g_array_unref(o->logs);
    g_array_unref(o->gone);
    g_cond_clear(&o->changed);
    g_mutex_clear(&o->lock);
    g_free(o->spare);
    g_free(o->dir);
    g_free(o);
}

char *
outbox_new_path(struct outbox *o, const struct uuid *id)
{
    char text[UUID_TEXT];
    return g_strdup_printf("%s/%s.tmp", o->dir, uuid_format(id, text));
}

static char *
long_spare(const struct outbox *o, guint number)
{
    return g_strdup_printf("%s-%u", o->spare, number);
}

static bool
take_long_locked(struct outbox *o, const char *path)
{
    if (!o->long_spares)
        return false;
    g_autofree char *spare = long_spare(o, o->long_spares--);
    return rename(spare, path) == 0;
}

/* Not flushed: the rename of the finished log makes this one durable, too.  Until then a power cut may bring back the old name, with
 * whatever is in the file now; its number says that it goes. */
bool
outbox_take_spare(struct outbox *o, const char *path, bool fuzzy)
{
    HOLD(&o->lock);
    if (fuzzy)
        return take_long_locked(o, path);
    const bool there = o->has_spare && rename(o->spare, path) == 0;
    o->has_spare = false;
    return there;
}

bool
outbox_add(struct outbox *o, const struct outbox_log *log, GError **err)
{
    g_autofree char *from = outbox_new_path(o, &log->id);
    g_autofree char *to = path_of(o, log->sequence, &log->id);
    if (!file_rename_durably(from, to, err))
        return false;
    HOLD(&o->lock);
    g_array_append_val(o->logs, *log);
    return true;
}

static bool
copy_locked(struct outbox *o, guint i, struct outbox_log *out)
{
    if (i >= o->logs->len)
        return false;
    *out = *at(o, i);
    return true;
}

bool
outbox_first(struct outbox *o, struct outbox_log *out)
{
    HOLD(&o->lock);
    return copy_locked(o, 0, out);
}

bool
outbox_last(struct outbox *o, struct outbox_log *out)
{
    HOLD(&o->lock);
    return copy_locked(o, o->logs->len - 1, out);
}

static guint
find_locked(struct outbox *o, const struct uuid *id)
{
    guint i = 0;
    while (i < o->logs->len && !uuid_equal(&at(o, i)->id, id))
        i++;
    return i;
}

bool
outbox_find(struct outbox *o, const struct uuid *id, struct outbox_log *out)
{
    struct outbox_log unused;
    HOLD(&o->lock);
    return copy_locked(o, find_locked(o, id), out ? out : &unused);
}

char *
outbox_path(struct outbox *o, const struct outbox_log *log)
{
    return path_of(o, log->sequence, &log->id);
}

/* Newest first would break the chain in the middle if it were cut short, so oldest first. */
static bool
drop_locked(struct outbox *o, guint count, GError **err)
{
    bool ok = true;
    guint done = 0;
    while (ok && done < count) {
        g_autofree char *path = path_of(o, at(o, done)->sequence, &at(o, done)->id);
        ok = unlink(path) == 0 || errno == ENOENT || err_errno(err, "Change log '%s' cannot be removed from the outbox", path);
        done += ok;
    }
    g_array_remove_range(o->logs, 0, done);
    g_cond_broadcast(&o->changed);
    return ok && (!count || file_sync_dir(o->dir, err));
}

bool
outbox_drop_through(struct outbox *o, const struct uuid *id, GError **err)
{
    HOLD(&o->lock);
    const guint i = find_locked(o, id);
    return i == o->logs->len || drop_locked(o, i + 1, err);
}

void
outbox_acknowledged(struct outbox *o, const struct uuid *id)
{
    HOLD(&o->lock);
    const guint i = find_locked(o, id);
    if (i == o->logs->len)
        return;
    g_array_append_vals(o->gone, o->logs->data, i + 1);
    g_array_remove_range(o->logs, 0, i + 1);
    g_cond_broadcast(&o->changed);
}

static void
drop_long_spares_locked(struct outbox *o)
{
    for (; o->long_spares; o->long_spares--) {
        g_autofree char *path = long_spare(o, o->long_spares);
        unlink(path); /* one that stays goes at open */
    }
}

void
outbox_recycle(struct outbox *o, bool yes)
{
    HOLD(&o->lock);
    o->recycles = yes;
    if (!yes)
        drop_long_spares_locked(o);
}

static bool
keep_long_locked(struct outbox *o, const char *path)
{
    g_autofree char *spare = long_spare(o, o->long_spares + 1);
    const bool kept = rename(path, spare) == 0;
    o->long_spares += kept;
    return kept;
}

/* False with errno: the file is still there. */
static bool
dispose_locked(struct outbox *o, const struct outbox_log *log, const char *path)
{
    if (log->fuzzy && o->recycles && o->long_spares < OUTBOX_LONG_SPARES && keep_long_locked(o, path))
        return true;
    if (!o->has_spare && log->bytes <= SPARE_BYTES && rename(path, o->spare) == 0)
        return o->has_spare = true;
    return unlink(path) == 0 || errno == ENOENT;
}

/* The folder is not flushed: what a power cut brings back is known by its number. */
static bool
sweep_locked(struct outbox *o, guint64 sequence, GError **err)
{
    for (guint i = 0; i < o->gone->len;) {
        const struct outbox_log *log = &g_array_index(o->gone, struct outbox_log, i);
        if (log->sequence > sequence) {
            i++;
            continue;
        }
        g_autofree char *path = path_of(o, log->sequence, &log->id);
        if (!dispose_locked(o, log, path))
            return err_errno(err, "Change log '%s' cannot be removed from the outbox", path);
        g_array_remove_index(o->gone, i);
    }
    return true;
}

bool
outbox_sweep(struct outbox *o, guint64 sequence, GError **err)
{
    HOLD(&o->lock);
    return sweep_locked(o, sequence, err);
}

bool
outbox_clear(struct outbox *o, GError **err)
{
    HOLD(&o->lock);
    if (!sweep_locked(o, G_MAXUINT64, err) || !drop_locked(o, o->logs->len, err))
        return false;
    o->has_spare = false;
    drop_long_spares_locked(o);
    return file_unlink_durably(o->spare, err);
}

guint
outbox_count(struct outbox *o)
{
    HOLD(&o->lock);
    return o->logs->len;
}

static guint64
bytes_locked(struct outbox *o)
{
    guint64 sum = 0;
    for (guint i = 0; i < o->logs->len; i++)
        sum += at(o, i)->bytes;
    return sum;
}

guint64
outbox_bytes(struct outbox *o)
{
    HOLD(&o->lock);
    return bytes_locked(o);
}

guint64
outbox_raw_bytes(struct outbox *o)
{
    guint64 sum = 0;
    HOLD(&o->lock);
    for (guint i = 0; i < o->logs->len; i++)
        sum += at(o, i)->raw_bytes;
    return sum;
}

bool
outbox_wait_below(struct outbox *o, guint64 limit, const gint *cancel)
{
    HOLD(&o->lock);
    while (!__atomic_load_n(cancel, __ATOMIC_SEQ_CST) && bytes_locked(o) >= limit)
        g_cond_wait(&o->changed, &o->lock);
    return !__atomic_load_n(cancel, __ATOMIC_SEQ_CST);
}

void
outbox_wake(struct outbox *o)
{
    HOLD(&o->lock);
    g_cond_broadcast(&o->changed);
}
