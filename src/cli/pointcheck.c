/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/point.h"
#include "cli/progress.h"
#include "cli/show.h"

#include "store/layout.h"
#include "store/manifest.h"
#include "store/scrub.h"

/* point check: every digest of a store, and which points cannot be used because of what is damaged. */

static const uint64_t PIECE = 16 << 20;

static bool
read_all(const struct point_place *place, GPtrArray *found, uint64_t *sum, GError **err)
{
    const struct scrub_wish wish = {.budget = PIECE, .deep = true};
    const uint64_t total = MAX(1, scrub_total(place->dir));
    struct scrub_place at = {0};
    struct progress p = PROGRESS(place->name);
    bool over = false, fine = true;
    while (fine && !over) {
        uint64_t done = 0;
        fine = scrub_some(place->dir, &at, &wish, found, &done, &over, err);
        *sum += done;
        if (fine)
            progress_show(&p, over ? 100 : (guint)MIN(99, *sum * 100 / total), "");
    }
    progress_end(&p);
    return fine;
}

struct candidate {
    struct uuid id;
    uint64_t sequence;
};

/* Whole logs, and the base's while it is one.  A log whose header cannot be read was one as far as anybody knows. */
static GArray *
list_points(const char *dir, GError **err)
{
    struct manifest m;
    g_autoptr(GArray) entries = layout_list_logs(dir, err), out = g_array_new(FALSE, FALSE, sizeof(struct candidate));
    if (!entries || !manifest_read(dir, &m, err))
        return NULL;
    const struct candidate base = {m.base.id, m.base.sequence};
    if (manifest_base_is_exact(&m) && !m.base.fuzzy)
        g_array_append_val(out, base);
    for (guint i = 0; i < entries->len; i++) {
        const struct layout_entry *e = &g_array_index(entries, struct layout_entry, i);
        g_autofree char *path = layout_log_path(dir, e->sequence, &e->id);
        const struct candidate one = {e->id, e->sequence};
        struct store_log log;
        const bool fuzzy = layout_read_log(path, &log, NULL) && log.fuzzy;
        if (!fuzzy && !(m.has_base && e->sequence <= m.base.sequence) && !(m.merging && e->sequence < m.merging_to))
            g_array_append_val(out, one);
    }
    manifest_clear(&m);
    return g_steal_pointer(&out);
}

/* The damage that the wanted point needs; NULL: that any needs. */
static guint
count_damage(const GPtrArray *found, const struct candidate *wanted)
{
    guint n = 0;
    for (guint i = 0; i < found->len; i++) {
        const struct damage *d = found->pdata[i];
        n += !wanted || (wanted->sequence >= d->first && wanted->sequence < d->until);
    }
    return n;
}

static void
print_json(const GArray *points, const GPtrArray *found, uint64_t bytes)
{
    json_t *damage = json_array(), *bad = json_array(), *good = json_array();
    char id[UUID_TEXT];
    for (guint i = 0; i < found->len; i++)
        json_array_append_new(damage, damage_to_json(found->pdata[i]));
    for (guint i = 0; i < points->len; i++) {
        const struct candidate *p = &g_array_index(points, struct candidate, i);
        json_array_append_new(damage_of_point(found, p->sequence) ? bad : good, json_string(uuid_format(&p->id, id)));
    }
    show_print_json(json_pack("{s:I, s:o, s:o, s:o}", "bytes", (json_int_t)bytes, "damage", damage, "usable", good, "unusable", bad));
}

static void
print_text(const GArray *points, const GPtrArray *found, const struct candidate *wanted, uint64_t bytes)
{
    g_autofree char *size = show_bytes(bytes);
    char id[UUID_TEXT];
    guint bad = 0;
    for (guint i = 0; i < found->len; i++) {
        const struct damage *d = found->pdata[i];
        if (!wanted || (wanted->sequence >= d->first && wanted->sequence < d->until))
            puts(d->text);
    }
    for (guint i = 0; !wanted && i < points->len; i++) {
        const struct candidate *p = &g_array_index(points, struct candidate, i);
        const struct damage *d = damage_of_point(found, p->sequence);
        bad += d != NULL;
        if (d)
            printf("%s: cannot be used.\n", uuid_format(&p->id, id));
    }
    if (wanted)
        printf("%s: %s, %s read.\n", uuid_format(&wanted->id, id), count_damage(found, wanted) ? "damaged" : "whole", size);
    else
        printf("%u of %u recovery points are whole, %s read.\n", points->len - bad, points->len, size);
}

bool
point_check(struct cli *c, const struct point_place *place, bool all, GError **err)
{
    g_autoptr(GPtrArray) found = damage_list_new();
    g_autoptr(GArray) points = list_points(place->dir, err);
    const struct candidate *wanted = NULL;
    uint64_t bytes = 0;
    for (guint i = 0; points && !all && i < points->len; i++) {
        const struct candidate *p = &g_array_index(points, struct candidate, i);
        if (uuid_equal(&p->id, &place->point) || (uuid_is_nil(&place->point) && i + 1 == points->len))
            wanted = p;
    }
    if (!points || (!all && !wanted && !err_set(err, ERR_NOT_FOUND, "The store '%s' has no such recovery point.", place->dir)))
        return false;
    if (!read_all(place, found, &bytes, err))
        return false;
    if (c->json)
        print_json(points, found, bytes);
    else
        print_text(points, found, wanted, bytes);
    const guint damaged = count_damage(found, wanted);
    return !damaged || err_set(err, ERR_CORRUPT, "%u %s of '%s' %s damaged.", damaged, damaged == 1 ? "place" : "places", place->dir,
                               damaged == 1 ? "is" : "are");
}
