/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "log/reader.h"
#include "store/layout.h"
#include "store/manifest.h"
#include "store/scrub.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* scrub.json: { "format": 1, "at": {...}, "begun_us", "ended_us", "goal", "done", "checked", "damage": [...], "found": [...] } */

enum { FORMAT = 1, RECORD_MAX = 16 << 20 };

void
scrub_record_init(struct scrub_record *r)
{
    *r = (struct scrub_record){.damage = damage_list_new(), .found = damage_list_new()};
}

void
scrub_record_clear(struct scrub_record *r)
{
    g_clear_pointer(&r->damage, g_ptr_array_unref);
    g_clear_pointer(&r->found, g_ptr_array_unref);
}

static uint64_t
number(const json_t *o, const char *key)
{
    const json_int_t n = json_integer_value(json_object_get(o, key));
    return n > 0 ? (uint64_t)n : 0;
}

static void
load_list(const json_t *list, GPtrArray *out)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct damage *d = damage_from_json(json_array_get(list, i));
        if (d)
            g_ptr_array_add(out, d);
    }
}

static void
load_place(const json_t *o, struct scrub_place *at)
{
    at->in_logs = json_is_true(json_object_get(o, "in_logs"));
    at->disk = (unsigned)MIN(number(o, "disk"), LOG_DISKS_MAX);
    at->offset = number(o, "offset") / LOG_PAGE * LOG_PAGE;
    at->sequence = number(o, "sequence");
    at->frame = (unsigned)MIN(number(o, "frame"), LOG_FRAMES_MAX);
}

/* *root NULL: there is none, or it is not understood, or its disk does not give it any more. */
static bool
read_record(const char *dir, json_t **root, GError **err)
{
    g_autofree char *path = layout_path(dir, "scrub.json"), *text = NULL;
    g_autoptr(GError) why = NULL;
    size_t len;
    *root = NULL;
    if (file_read_all(path, RECORD_MAX, &text, &len, &why)) {
        *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
        return true;
    }
    if (err_is(why, ERR_NOT_FOUND) || err_is(why, ERR_TOO_BIG) || err_is_damage(why))
        return true;
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

bool
scrub_record_load(struct scrub_record *r, const char *dir, GError **err)
{
    json_t *root;
    scrub_record_init(r);
    if (!read_record(dir, &root, err))
        return false;
    r->saved = number(root, "format") == FORMAT;
    if (r->saved) {
        load_place(json_object_get(root, "at"), &r->at);
        r->begun_us = (gint64)number(root, "begun_us");
        r->ended_us = (gint64)number(root, "ended_us");
        r->goal = number(root, "goal");
        r->done = number(root, "done");
        r->checked = number(root, "checked");
        load_list(json_object_get(root, "damage"), r->damage);
        load_list(json_object_get(root, "found"), r->found);
    }
    json_decref(root);
    return true;
}

static json_t *
list_json(const GPtrArray *list)
{
    json_t *out = json_array();
    for (guint i = 0; i < list->len; i++)
        json_array_append_new(out, damage_to_json(list->pdata[i]));
    return out;
}

bool
scrub_record_save(struct scrub_record *r, const char *dir, GError **err)
{
    const struct scrub_place *at = &r->at;
    g_autofree char *path = layout_path(dir, "scrub.json");
    json_t *place = json_pack("{s:b, s:I, s:I, s:I, s:I}", "in_logs", at->in_logs, "disk", (json_int_t)at->disk, "offset",
                              (json_int_t)at->offset, "sequence", (json_int_t)at->sequence, "frame", (json_int_t)at->frame);
    json_t *root = json_pack("{s:i, s:o, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "format", FORMAT, "at", place, "begun_us",
                             (json_int_t)r->begun_us, "ended_us", (json_int_t)r->ended_us, "goal", (json_int_t)r->goal, "done",
                             (json_int_t)r->done, "checked", (json_int_t)r->checked, "damage", list_json(r->damage), "found",
                             list_json(r->found));
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    const bool ok = text ? file_replace(path, text, strlen(text), 0640, err)
                         : err_set(err, ERR_FAILED, "What the check of '%s' found cannot be written as JSON.", dir);
    free(text);
    r->saved |= ok;
    return ok;
}

void
scrub_record_step(struct scrub_record *r, uint64_t done, bool over, gint64 now_us)
{
    if (!r->begun_us)
        r->begun_us = now_us;
    r->done += done;
    if (!over)
        return;
    r->ended_us = now_us;
    r->checked = r->done;
    r->begun_us = 0;
    r->goal = 0;
    r->done = 0;
    r->at = (struct scrub_place){0};
    g_ptr_array_unref(r->damage);
    r->damage = g_steal_pointer(&r->found);
    r->found = damage_list_new();
}

/* --- the store goes on ---------------------------------------------------------------------------------------------------------------- */

static bool
is_there(const char *dir, const struct manifest *m, const struct damage *d)
{
    if (d->of_base)
        return m->has_base && d->until > m->base.sequence;
    g_autofree char *path = layout_log_path(dir, d->first, &d->log);
    struct log_reader *r = d->lost ? log_reader_open(path, NULL) : NULL; /* its disk may be itself again */
    log_reader_close(r);
    return !r && (access(path, F_OK) == 0 || errno != ENOENT);
}

static bool
look_again(GPtrArray *list, const char *dir, const struct manifest *m, GError **err)
{
    for (guint i = list->len; i-- > 0;) {
        struct damage *d = list->pdata[i];
        if (!damage_reach(d, dir, err))
            return false;
        if (!is_there(dir, m, d))
            g_ptr_array_remove_index(list, i);
    }
    return true;
}

bool
scrub_record_reach(struct scrub_record *r, const char *dir, GError **err)
{
    struct manifest m;
    if (r->damage->len == 0 && r->found->len == 0)
        return true;
    if (!manifest_read(dir, &m, err))
        return false;
    const bool ok = look_again(r->damage, dir, &m, err) && look_again(r->found, dir, &m, err);
    manifest_clear(&m);
    return ok;
}
