/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/manifest.h"

#include "base/err.h"
#include "base/file.h"
#include "store/layout.h"

#include <jansson.h>
#include <string.h>

#define MANIFEST_FORMAT 1
#define MANIFEST_MAX (1u << 20)

static bool
get_uuid(json_t *object, const char *key, struct uuid *out)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && uuid_parse(text, out);
}

static bool
get_number(json_t *object, const char *key, json_int_t *out)
{
    json_t *value = json_object_get(object, key);
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 0;
}

static bool
read_base(const char *dir, json_t *base, struct manifest *out, GError **err)
{
    struct uuid id;
    json_int_t received, file_bytes, raw_bytes;

    if (!get_uuid(base, "log", &id) || !get_number(base, "received_us", &received) || !get_number(base, "file_bytes", &file_bytes) ||
        !get_number(base, "raw_bytes", &raw_bytes))
        return err_set(err, ERR_CORRUPT, "The entry 'base' of the store '%s' is damaged.", dir);
    g_autofree char *path = layout_header_path(dir, &id);
    if (!layout_read_header(path, &out->header, err))
        return false;
    layout_log_from_info(&out->header.info, &out->base);
    out->base.received_us = received;
    out->base.file_bytes = (uint64_t)file_bytes;
    out->base.raw_bytes = (uint64_t)raw_bytes;
    out->has_base = true;
    return uuid_equal(&out->base.id, &id) || err_set(err, ERR_CORRUPT, "'%s' is the header of another log.", path);
}

static bool
read_root(const char *dir, json_t *root, struct manifest *out, GError **err)
{
    json_int_t format, merging;
    json_t *base = json_object_get(root, "base");
    const char *name = json_string_value(json_object_get(root, "name"));

    if (!get_number(root, "format", &format) || format != MANIFEST_FORMAT)
        return err_set(err, ERR_NOT_SUPPORTED, "The store '%s' was written by another version of vmreplica.", dir);
    if (!get_uuid(root, "vm", &out->vm) || !name || !base)
        return err_set(err, ERR_CORRUPT, "'%s/store.json' lacks an entry.", dir);
    out->name = g_strdup(name);
    out->merging = get_number(root, "merging_to", &merging);
    out->merging_to = out->merging ? (uint64_t)merging : 0;
    return json_is_null(base) || read_base(dir, base, out, err);
}

bool
manifest_read(const char *dir, struct manifest *out, GError **err)
{
    g_autofree char *path = layout_path(dir, "store.json");
    g_autofree char *text = NULL;
    size_t len;
    json_error_t why;

    memset(out, 0, sizeof *out);
    if (!file_read_all(path, MANIFEST_MAX, &text, &len, err))
        return false;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return err_set(err, ERR_CORRUPT, "'%s' is damaged: %s", path, why.text);
    bool ok = read_root(dir, root, out, err);
    json_decref(root);
    if (!ok)
        manifest_clear(out);
    return ok;
}

bool
manifest_write(const char *dir, const struct manifest *m, GError **err)
{
    char vm[UUID_TEXT], id[UUID_TEXT];
    json_t *base = json_null();
    if (m->has_base)
        base = json_pack("{s:s, s:I, s:I, s:I}", "log", uuid_format(&m->base.id, id), "received_us", (json_int_t)m->base.received_us,
                         "file_bytes", (json_int_t)m->base.file_bytes, "raw_bytes", (json_int_t)m->base.raw_bytes);
    json_t *root = json_pack("{s:i, s:s, s:s, s:o}",
                             "format", MANIFEST_FORMAT, "vm", uuid_format(&m->vm, vm), "name", m->name, "base", base);
    if (!root)
        return err_set(err, ERR_INVALID_PARAMETER, "The name of the virtual machine '%s' is not UTF-8.", vm);
    if (m->merging)
        json_object_set_new(root, "merging_to", json_integer((json_int_t)m->merging_to));
    char *text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    g_autofree char *path = layout_path(dir, "store.json");
    bool ok = file_replace(path, text, strlen(text), 0640, err);
    free(text);
    return ok;
}

void
manifest_clear(struct manifest *m)
{
    g_free(m->name);
    if (m->has_base || m->header.bytes)
        log_header_clear(&m->header);
    memset(m, 0, sizeof *m);
}

bool
manifest_base_is_exact(const struct manifest *m)
{
    return m->has_base && !m->merging;
}
