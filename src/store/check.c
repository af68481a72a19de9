/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "store/layout.h"
#include "store/private.h"
#include "store/scrub.h"

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
    if (!scrub_some(s->dir, &at, &wish, found, &done, &over, err))
        return false;
    const struct damage *first = id ? damage_of_point(found, point.sequence) : found->len ? found->pdata[0] : NULL;
    return !first || err_set(err, ERR_CORRUPT, "%s", first->text);
}
