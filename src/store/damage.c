/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/damage.h"

#include "base/err.h"
#include "log/reader.h"
#include "store/layout.h"

struct damage *
damage_new(bool of_base, const struct uuid *log, uint64_t first, uint16_t disk)
{
    struct damage *d = g_new0(struct damage, 1);
    d->of_base = of_base;
    d->log = *log;
    d->first = first;
    d->until = UINT64_MAX;
    d->disk = disk;
    d->where = extents_new();
    return d;
}

void
damage_free(struct damage *d)
{
    if (!d)
        return;
    extents_free(d->where);
    g_free(d->text);
    g_free(d->stays);
    g_free(d);
}

static void
free_one(gpointer p)
{
    damage_free(p);
}

GPtrArray *
damage_list_new(void)
{
    return g_ptr_array_new_with_free_func(free_one);
}

struct damage *
damage_copy(const struct damage *d)
{
    struct damage *copy = damage_new(d->of_base, &d->log, d->first, d->disk);
    copy->lost = d->lost;
    copy->until = d->until;
    copy->text = g_strdup(d->text);
    copy->stays = g_strdup(d->stays);
    copy->tried = d->tried;
    for (size_t i = 0; i < extents_count(d->where); i++)
        extents_add(copy->where, extents_at(d->where, i)->offset, extents_at(d->where, i)->length, EXTENT_DATA);
    return copy;
}

/* --- which points ------------------------------------------------------------------------------------------------------------------- */

/* What is still needed is data in `left`; what a newer log wrote becomes zero there. */
static void
take_away(struct extents *left, uint64_t from, uint64_t length)
{
    extents_auto one = extents_new();
    extents_add(one, from, length, EXTENT_ZERO);
    extents_auto both = extents_intersect(left, one);
    for (size_t i = 0; i < extents_count(both); i++)
        extents_add(left, extents_at(both, i)->offset, extents_at(both, i)->length, EXTENT_ZERO);
}

static void
take_log(struct extents *left, const struct log_reader *r, uint16_t disk)
{
    const struct log_disk *d = log_info_disk(log_reader_info(r), disk);
    extents_clip(left, d ? d->size : 0);
    for (unsigned i = 0; d && i < log_reader_frames(r); i++) {
        const struct log_frame *f = log_reader_frame(r, i);
        struct log_extent_iter it = log_frame_extents(f);
        struct log_extent e;
        while (f->disk == disk && log_extent_next(&it, &e))
            take_away(left, e.offset, e.length);
    }
}

bool
damage_reach(struct damage *d, const char *dir, GError **err)
{
    g_autoptr(GArray) entries = layout_list_logs(dir, err);
    struct damage *scratch = damage_copy(d);
    if (!d->lost && extents_count(d->where) == 0)
        d->until = d->first;
    for (guint i = 0; entries && !d->lost && d->until == UINT64_MAX && i < entries->len; i++) {
        const struct layout_entry *e = &g_array_index(entries, struct layout_entry, i);
        g_autofree char *path = layout_log_path(dir, e->sequence, &e->id);
        struct log_reader *r = e->sequence > d->first ? log_reader_open(path, NULL) : NULL;
        if (!r)
            continue;
        take_log(scratch->where, r, d->disk);
        log_reader_close(r);
        if (extents_bytes_of(scratch->where, EXTENT_DATA) == 0)
            d->until = e->sequence;
    }
    damage_free(scratch);
    return entries != NULL;
}

const struct damage *
damage_of_point(const GPtrArray *list, uint64_t sequence)
{
    for (guint i = 0; list && i < list->len; i++) {
        const struct damage *d = list->pdata[i];
        if (sequence >= d->first && sequence < d->until)
            return d;
    }
    return NULL;
}

/* --- kept --------------------------------------------------------------------------------------------------------------------------- */

json_t *
damage_to_json(const struct damage *d)
{
    char id[UUID_TEXT];
    json_t *where = json_array();
    for (size_t i = 0; i < extents_count(d->where); i++) {
        const struct extent *e = extents_at(d->where, i);
        json_array_append_new(where, json_pack("[I, I]", (json_int_t)e->offset, (json_int_t)e->length));
    }
    return json_pack("{s:b, s:b, s:s, s:i, s:I, s:I, s:o, s:s, s:s*}", "base", d->of_base, "lost", d->lost, "log", uuid_format(&d->log, id),
                     "disk", (int)d->disk, "first", (json_int_t)d->first, "until", (json_int_t)MIN(d->until, (uint64_t)INT64_MAX), "where",
                     where, "text", d->text ? d->text : "", "stays", d->stays);
}

static bool
read_where(const json_t *list, struct extents *out)
{
    size_t i;
    json_t *pair;
    json_array_foreach((json_t *)(guintptr)list, i, pair) {
        const json_int_t offset = json_integer_value(json_array_get(pair, 0)), length = json_integer_value(json_array_get(pair, 1));
        if (offset < 0 || length <= 0 || (uint64_t)offset > LOG_DISK_SIZE_MAX || (uint64_t)length > LOG_DISK_SIZE_MAX)
            return false;
        extents_add(out, (uint64_t)offset, (uint64_t)length, EXTENT_DATA);
    }
    return true;
}

struct damage *
damage_from_json(const json_t *o)
{
    struct uuid log;
    const char *id = json_string_value(json_object_get(o, "log")), *text = json_string_value(json_object_get(o, "text"));
    const json_int_t disk = json_integer_value(json_object_get(o, "disk")), first = json_integer_value(json_object_get(o, "first"));
    const json_int_t until = json_integer_value(json_object_get(o, "until"));
    if (!id || !uuid_parse(id, &log) || !text || disk < 0 || disk > UINT16_MAX || first < 0 || until < 0)
        return NULL;
    struct damage *d = damage_new(json_is_true(json_object_get(o, "base")), &log, (uint64_t)first, (uint16_t)disk);
    d->lost = json_is_true(json_object_get(o, "lost"));
    d->until = until == INT64_MAX ? UINT64_MAX : (uint64_t)until;
    d->text = g_strdup(text);
    d->stays = g_strdup(json_string_value(json_object_get(o, "stays")));
    if (read_where(json_object_get(o, "where"), d->where))
        return d;
    damage_free(d);
    return NULL;
}
