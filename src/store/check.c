/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "store/layout.h"
#include "store/private.h"
#include "store/scrub.h"

#include <sys/stat.h>

/* A base file whose cut off end was all zeros has every checksum, yet no view opens it. */
static bool
check_sizes(struct store *s, GError **err)
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

bool
store_check(struct store *s, const struct uuid *id, const gint *cancel, GError **err)
{
    const struct scrub_wish wish = {.budget = UINT64_MAX, .deep = true, .cancel = cancel};
    struct scrub_place at = {0};
    struct store_log point;
    uint64_t done;
    bool over;
    g_autoptr(GPtrArray) found = damage_list_new();
    HOLD(&s->change);
    if (id && !store_find(s, id, &point))
        return store_no_such_log(s, id, err);
    if (!check_sizes(s, err) || !scrub_some(s->dir, &at, &wish, found, &done, &over, err))
        return false;
    const struct damage *first = id ? damage_of_point(found, point.sequence) : found->len ? found->pdata[0] : NULL;
    return !first || err_set(err, ERR_CORRUPT, "%s", first->text);
}
