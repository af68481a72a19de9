/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "log/verify.h"
#include "store/layout.h"
#include "store/private.h"

#include <sys/stat.h>

/* The base has no digests of its own: its files must be there and have the size that its header says. */
static bool
check_base(struct store *s, GError **err)
{
    HOLD(&s->lock);
    const struct manifest *m = &s->manifest;
    for (unsigned i = 0; manifest_base_is_exact(m) && i < m->header.info.disk_count; i++) {
        const struct log_disk *d = &m->header.info.disks[i];
        g_autofree char *path = layout_disk_path(s->dir, d->id);
        struct stat st;
        if (stat(path, &st) < 0)
            return err_errno(err, "Cannot look at the base file '%s'", path);
        if ((uint64_t)st.st_size != d->size)
            return err_set(err, ERR_CORRUPT, "The base file '%s' has %lld bytes; it should have %" G_GUINT64_FORMAT ".", path,
                           (long long)st.st_size, d->size);
    }
    return true;
}

/* A log that was merged while its file was being read is not damaged. */
static bool
check_log(struct store *s, const struct store_log *log, GError **err)
{
    g_autofree char *path = layout_log_path(s->dir, log->sequence, &log->id);
    GError *why = NULL;
    if (log_check_file(path, &why))
        return true;
    g_autofree char *still = store_log_path(s, &log->id);
    if (still) {
        g_propagate_error(err, why);
        return false;
    }
    g_error_free(why);
    return true;
}

bool
store_check(struct store *s, const struct uuid *id, const gint *cancel, GError **err)
{
    g_autoptr(GArray) logs = store_logs(s);
    struct store_log last;

    if (id && !store_find(s, id, &last))
        return store_no_such_log(s, id, err);
    if (!check_base(s, err))
        return false;
    for (guint i = 0; i < logs->len; i++) {
        const struct store_log *log = &g_array_index(logs, struct store_log, i);
        if (id && log->sequence > last.sequence)
            break;
        if (store_cancelled(cancel))
            return err_set(err, ERR_CANCELLED, "The check of '%s' was cancelled.", s->dir);
        if (!check_log(s, log, err))
            return false;
    }
    return true;
}
