/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/leaveout.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/guest.h"
#include "repl/record.h"
#include "repl/swap.h"

#include <string.h>

/* The record: {"settled": true, "disks": {"vda": {"size": n, "areas": [[offset, length], ...],
 *                                                 "watched": [[offset, length, digest], ...]}}} */

static const char UNSETTLED[] = "{\"settled\":false}";

static guint64
number_at(const json_t *array, size_t i)
{
    return (guint64)json_integer_value(json_array_get(array, i));
}

static json_t *
record_locked(const struct relation *rel)
{
    return rel->r.leave_out ? record_parse(rel->r.leave_out, NULL) : NULL;
}

static bool
save(struct relation *rel, const char *text, GError **err)
{
    HOLD(&rel->lock);
    char *old = rel->r.leave_out;
    rel->r.leave_out = g_strdup(text);
    if (!relation_save_locked(rel, err)) {
        g_free(rel->r.leave_out);
        rel->r.leave_out = old;
        return false;
    }
    g_free(old);
    return true;
}

char *
leaveout_unsettled(struct relation *rel)
{
    HOLD(&rel->lock);
    json_scoped_record record = record_locked(rel);
    if (!rel->settings.leave_out_swap)
        return rel->r.leave_out ? g_strdup("What was left out so far is to be replicated again.") : NULL;
    if (!rel->r.leave_out)
        return g_strdup("What can be left out of the disks is to be found.");
    return json_is_true(json_object_get(record, "settled")) ? NULL : g_strdup("What was left out of the disks is no swap area any more.");
}

/* ---- a full read ---- */

static json_t *
describe(struct block *b, const struct swap_map *map)
{
    json_t *areas = json_array(), *watched = json_array();
    for (guint i = 0; i < map->areas->len; i++) {
        const struct swap_area *a = &g_array_index(map->areas, struct swap_area, i);
        json_array_append_new(areas, json_pack("[I, I]", (json_int_t)a->offset, (json_int_t)a->length));
    }
    for (guint i = 0; map->areas->len && i < map->watched->len; i++) {
        const struct swap_watched *w = &g_array_index(map->watched, struct swap_watched, i);
        json_array_append_new(watched, json_pack("[I, I, s]", (json_int_t)w->offset, (json_int_t)w->length, w->digest));
    }
    return json_pack("{s:I, s:o, s:o}", "size", (json_int_t)b->size, "areas", areas, "watched", watched);
}

static json_t *
look(struct core *c, struct relation *rel, struct capture *cap, GError **err)
{
    json_t *disks = json_object();
    for (guint i = 0; rel->r.targets[i]; i++) {
        struct swap_map map = { 0 };
        const int slot = guest_slot(rel, i);
        if (slot < 0)
            continue; /* unplugged; when it is there again, it is not known */
        struct block *b = c->vm->disk(cap, (guint)slot);
        if (!swap_find(b, &map, err)) {
            json_decref(disks);
            return NULL;
        }
        json_object_set_new(disks, rel->r.targets[i], describe(b, &map));
        swap_map_clear(&map);
    }
    return json_pack("{s:b, s:o}", "settled", 1, "disks", disks);
}

bool
leaveout_begin(struct core *c, struct relation *rel, struct capture *cap, GError **err)
{
    bool wanted, known;
    {
        HOLD(&rel->lock);
        wanted = rel->settings.leave_out_swap;
        known = rel->r.leave_out != NULL;
    }
    json_decref(rel->s.left);
    rel->s.left = NULL;
    if (!wanted && !known)
        return true;
    return save(rel, UNSETTLED, err) && (!wanted || (rel->s.left = look(c, rel, cap, err)));
}

bool
leaveout_settle(struct relation *rel, GError **err)
{
    bool known;
    {
        HOLD(&rel->lock);
        known = rel->r.leave_out != NULL;
    }
    if (!known)
        return true;
    g_autofree char *text = rel->s.left ? record_text(g_steal_pointer(&rel->s.left)) : NULL;
    return save(rel, text, err);
}

/* ---- any capture ---- */

static const json_t *
disk_of(const struct relation *rel, const json_t *record, guint i)
{
    return json_object_get(json_object_get(record, "disks"), rel->r.targets[i]);
}

/* Written since the last log, and now another one? */
static bool
is_other(struct block *b, const struct extents *written, const json_t *watched, bool *other, GError **err)
{
    const guint64 offset = number_at(watched, 0), length = number_at(watched, 1);
    const char *wanted = json_string_value(json_array_get(watched, 2));
    guint8 page[4096];
    char digest[65];
    extents_auto here = extents_new();
    extents_add(here, offset, length, EXTENT_DATA);
    extents_auto both = extents_intersect(here, written);
    *other = extents_count(both) && (length > sizeof page || extents_bytes_of(both, EXTENT_ZERO));
    if (!extents_count(both) || *other)
        return true;
    if (extents_bytes(both) != length) { /* in part: the rest cannot be read here */
        *other = true;
        return true;
    }
    if (!block_read(b, page, length, offset, err))
        return false;
    swap_digest(page, (guint)length, digest);
    *other = g_strcmp0(digest, wanted) != 0;
    return true;
}

static bool
check_disk(struct core *c, struct capture *cap, guint i, const json_t *disk, bool *other, GError **err)
{
    const json_t *watched = json_object_get(disk, "watched");
    struct block *b = c->vm->disk(cap, i);
    *other = !disk || (json_array_size(watched) && b->size != (guint64)json_integer_value(json_object_get(disk, "size")));
    for (size_t n = 0; n < json_array_size(watched) && !*other; n++)
        if (!is_other(b, c->vm->extents(cap, i), json_array_get(watched, n), other, err))
            return false;
    return true;
}

static bool
check(struct core *c, struct relation *rel, struct capture *cap, const json_t *record, GError **err)
{
    for (guint i = 0; rel->r.targets[i]; i++) {
        bool other = false;
        const int slot = guest_slot(rel, i);
        if (slot < 0)
            continue;
        if (!check_disk(c, cap, (guint)slot, disk_of(rel, record, i), &other, err))
            return false;
        if (!other)
            continue;
        log_info("Guest '%s': the swap area of disk '%s' or its partition table changed; its disks are read.", rel->r.name,
                 rel->r.targets[i]);
        return save(rel, UNSETTLED, err) && err_set(err, ERR_TRACKING_LOST, "What was left out of disk '%s' is no swap area any more.",
                                                    rel->r.targets[i]);
    }
    return true;
}

static void
add_rest(struct extents *to, const struct extent *e, const json_t *areas)
{
    guint64 at = e->offset;
    const guint64 end = e->offset + e->length;
    for (size_t i = 0; i < json_array_size(areas) && at < end; i++) {
        const guint64 from = number_at(json_array_get(areas, i), 0), until = from + number_at(json_array_get(areas, i), 1);
        if (until <= at || from >= end)
            continue;
        if (from > at)
            extents_add(to, at, from - at, e->kind);
        at = MIN(until, end);
    }
    if (at < end)
        extents_add(to, at, end - at, e->kind);
}

static struct extents *
apply(const struct extents *all, const json_t *areas, bool as_zeros)
{
    struct extents *out = extents_new();
    for (size_t i = 0; i < extents_count(all); i++)
        add_rest(out, extents_at(all, i), areas);
    for (size_t i = 0; as_zeros && i < json_array_size(areas); i++)
        extents_add(out, number_at(json_array_get(areas, i), 0), number_at(json_array_get(areas, i), 1), EXTENT_ZERO);
    return out;
}

GPtrArray *
leaveout_apply(struct core *c, struct relation *rel, struct capture *cap, bool all, GError **err)
{
    json_scoped_record record = NULL;
    if (all) {
        record = json_incref(rel->s.left);
    } else {
        HOLD(&rel->lock);
        record = rel->settings.leave_out_swap ? record_locked(rel) : NULL;
    }
    if (!json_is_true(json_object_get(record, "settled")))
        g_clear_pointer(&record, json_decref);
    if (record && !all && !check(c, rel, cap, record, err))
        return NULL;
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)extents_free);
    for (guint i = 0; rel->r.targets[i]; i++) {
        const int slot = guest_slot(rel, i);
        const json_t *areas = record ? json_object_get(disk_of(rel, record, i), "areas") : NULL;
        g_ptr_array_add(out, slot < 0 ? extents_new() : apply(c->vm->extents(cap, (guint)slot), areas, all));
    }
    return out;
}

/* ---- who wants to know ---- */

static guint64
sum_of(const json_t *areas)
{
    guint64 sum = 0;
    for (size_t i = 0; i < json_array_size(areas); i++)
        sum += number_at(json_array_get(areas, i), 1);
    return sum;
}

guint64
leaveout_bytes_locked(const struct relation *rel)
{
    json_scoped_record record = record_locked(rel);
    const char *target;
    json_t *disk;
    guint64 sum = 0;
    json_object_foreach(json_object_get(record, "disks"), target, disk)
        sum += sum_of(json_object_get(disk, "areas"));
    return sum;
}

void
leaveout_add(struct relation *rel, guint disk, struct extents *to)
{
    json_scoped_record record = NULL;
    {
        HOLD(&rel->lock);
        record = record_locked(rel);
    }
    const json_t *areas = json_object_get(disk_of(rel, record, disk), "areas");
    for (size_t i = 0; i < json_array_size(areas); i++)
        extents_add(to, number_at(json_array_get(areas, i), 0), number_at(json_array_get(areas, i), 1), EXTENT_DATA);
}
