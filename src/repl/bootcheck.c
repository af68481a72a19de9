/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/bootcheck.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "repl/record.h"

#include <string.h>

enum { DOC_MAX = 4096 };

struct doc {
    bool passed;
    gint64 at_us, took_us;
    char *why, *picture;
};
static const struct record_field FIELDS[] = {
    { "passed", RECORD_BOOL, offsetof(struct doc, passed) },
    { "at_us", RECORD_I64, offsetof(struct doc, at_us) },
    { "took_us", RECORD_I64, offsetof(struct doc, took_us) },
    { "why", RECORD_TEXT, offsetof(struct doc, why) },
    { "picture", RECORD_TEXT, offsetof(struct doc, picture) },
    { NULL, RECORD_END, 0 },
};

static char *
path_of(const char *folder, const struct uuid *point, const char *suffix)
{
    char text[UUID_TEXT];
    return g_strdup_printf("%s/checks/%s.%s", folder, uuid_format(point, text), suffix);
}

/* ---- reading ---- */

static bool
read_one(const char *path, struct repl_check *out, GError **err)
{
    g_autofree char *text = NULL;
    size_t len;
    struct doc d = { 0 };
    if (!file_read_all(path, DOC_MAX, &text, &len, err))
        return false;
    json_scoped_record o = record_parse(text, err);
    const bool ok = o && record_unpack(o, FIELDS, &d, err);
    if (ok) {
        *out = (struct repl_check){ .at_us = d.at_us, .took_us = d.took_us, .passed = d.passed };
        g_strlcpy(out->why, d.why ? d.why : "", sizeof out->why);
        g_strlcpy(out->picture, d.picture ? d.picture : "", sizeof out->picture);
    }
    record_clear(FIELDS, &d);
    return ok;
}

/* The point that a file of the folder belongs to. */
static bool
point_of(const char *name, struct uuid *out)
{
    g_autofree char *id = g_strndup(name, strcspn(name, "."));
    return uuid_parse(id, out);
}

GHashTable *
bootcheck_load(const char *folder)
{
    GHashTable *all = g_hash_table_new_full(uuid_hash, uuid_same, g_free, g_free);
    g_autofree char *dir = g_build_filename(folder, "checks", NULL);
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    struct uuid point;
    while (d && (name = g_dir_read_name(d))) {
        g_autoptr(GError) why = NULL;
        g_autofree char *path = g_build_filename(dir, name, NULL);
        struct repl_check check;
        if (!g_str_has_suffix(name, ".json") || !point_of(name, &point))
            continue;
        if (read_one(path, &check, &why))
            g_hash_table_replace(all, g_memdup2(&point, sizeof point), g_memdup2(&check, sizeof check));
        else
            log_warning("The result of a boot check is left out: %s", why->message);
    }
    return all;
}

void
bootcheck_get_locked(const struct relation *rel, const struct uuid *point, struct repl_check *out)
{
    const struct repl_check *found = rel->in.checks ? g_hash_table_lookup(rel->in.checks, point) : NULL;
    *out = found ? *found : (struct repl_check){ 0 };
}

void
bootcheck_newest_locked(const struct relation *rel, struct repl_statistics *out)
{
    out->check_point = rel->r.check_point;
    bootcheck_get_locked(rel, &rel->r.check_point, &out->check);
}

char *
bootcheck_warning_locked(const struct relation *rel)
{
    struct repl_check check;
    bootcheck_get_locked(rel, &rel->r.check_point, &check);
    if (!check.at_us || check.passed)
        return NULL;
    g_autofree char *when = clock_iso8601(check.at_us), *of = clock_iso8601(rel->r.check_capture_us);
    return g_strdup_printf("The boot check at %s, of the recovery point of %s, failed: %s", when, of, check.why);
}

/* ---- writing ---- */

static char *
text_of(const struct repl_check *check)
{
    struct repl_check copy = *check;
    const struct doc d = { copy.passed, copy.at_us, copy.took_us, copy.why, *copy.picture ? copy.picture : NULL };
    return record_doc(FIELDS, &d);
}

static bool
write_files(const char *folder, const struct uuid *point, const struct repl_check *check, GBytes *picture, GError **err)
{
    g_autofree char *dir = g_build_filename(folder, "checks", NULL), *doc = path_of(folder, point, "json"), *text = text_of(check);
    if (!file_make_dirs(dir, 0700, err))
        return false;
    if (picture) {
        gsize len;
        const void *data = g_bytes_get_data(picture, &len);
        g_autofree char *path = path_of(folder, point, check->picture);
        if (!file_replace(path, data, len, 0600, err))
            return false;
    }
    return file_replace(doc, text, strlen(text), 0600, err);
}

static void
remember_locked(struct relation *rel, const struct uuid *point, const struct repl_check *check)
{
    struct store_log log;
    if (!rel->in.checks)
        rel->in.checks = g_hash_table_new_full(uuid_hash, uuid_same, g_free, g_free);
    g_hash_table_replace(rel->in.checks, g_memdup2(point, sizeof *point), g_memdup2(check, sizeof *check));
    rel->r.check_point = *point;
    rel->r.check_capture_us = rel->in.store && store_find(rel->in.store, point, &log) ? log.capture_us : 0;
}

bool
bootcheck_save(struct relation *rel, const struct uuid *point, struct repl_check *check, GBytes *picture, const char *suffix, GError **err)
{
    g_strlcpy(check->picture, picture ? suffix : "", sizeof check->picture);
    if (!write_files(rel->r.folder, point, check, picture, err))
        return false;
    HOLD(&rel->lock);
    remember_locked(rel, point, check);
    return relation_save_locked(rel, err);
}

/* ---- the end ---- */

static bool
stays(struct relation *rel, const struct uuid *point)
{
    struct store_log log;
    HOLD(&rel->lock);
    return !rel->in.store || uuid_equal(point, &rel->r.check_point) || store_find(rel->in.store, point, &log);
}

static void
drop(struct relation *rel, const struct uuid *point, const char *path)
{
    g_autoptr(GError) why = NULL;
    if (!file_unlink_durably(path, &why))
        log_warning("The result of a boot check whose recovery point is gone stays: %s", why->message);
    HOLD(&rel->lock);
    if (rel->in.checks)
        g_hash_table_remove(rel->in.checks, point);
}

void
bootcheck_sweep(struct relation *rel)
{
    g_autofree char *dir = g_build_filename(rel->r.folder, "checks", NULL);
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    struct uuid point;
    while (d && (name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        if (point_of(name, &point) && !stays(rel, &point))
            drop(rel, &point, path);
    }
}
