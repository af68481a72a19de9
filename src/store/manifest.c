/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/manifest.h"

#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "store/layout.h"

#include <jansson.h>
#include <string.h>

#define MANIFEST_FORMAT 2
#define DIGEST_TEXT 33
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

/* Of every entry but the digest itself, in one form: members sorted, no white space. */
static bool
digest_of(json_t *root, char out[DIGEST_TEXT])
{
    json_t *copy = json_copy(root);
    json_object_del(copy, "digest");
    char *text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(copy);
    if (!text)
        return false;
    const struct hash128 h = hash128_of(text, strlen(text));
    for (size_t i = 0; i < sizeof h.bytes; i++)
        g_snprintf(out + 2 * i, 3, "%02x", h.bytes[i]);
    free(text);
    return true;
}

static bool
check_digest(const char *dir, json_t *root, json_int_t format, GError **err)
{
    char wanted[DIGEST_TEXT] = "";
    const char *digest = json_string_value(json_object_get(root, "digest"));
    if (!digest && format == 1)
        return true;
    return (digest && digest_of(root, wanted) && strcmp(digest, wanted) == 0) ||
           err_set(err, ERR_CORRUPT, "'%s/store.json' does not have its checksum. Verify the storage; the file is damaged.", dir);
}

static bool
read_pin(json_t *one, struct store_pin *out)
{
    json_int_t until, served;
    const bool ok = get_uuid(one, "log", &out->id) && get_number(one, "until_us", &until) && get_number(one, "served_us", &served);
    out->pinned = json_is_true(json_object_get(one, "pinned"));
    out->until_us = ok ? until : 0;
    out->served_us = ok ? served : 0;
    return ok;
}

static bool
read_pins(const char *dir, json_t *root, struct manifest *out, GError **err)
{
    json_int_t us, boot_us;
    json_t *one, *pins = json_object_get(root, "pins"), *served = json_object_get(root, "served");
    const char *boot = json_string_value(json_object_get(served, "boot"));
    size_t i;
    if (!pins)
        return true;
    if (!get_number(served, "us", &us) || !get_number(served, "boot_us", &boot_us) || !boot)
        return err_set(err, ERR_CORRUPT, "The entry 'served' of the store '%s' is damaged.", dir);
    out->served.us = us;
    out->served.boot_us = boot_us;
    g_strlcpy(out->served.boot, boot, sizeof out->served.boot);
    out->pins = g_array_new(FALSE, TRUE, sizeof(struct store_pin));
    json_array_foreach(pins, i, one)
    {
        struct store_pin pin = {0};
        if (!read_pin(one, &pin))
            return err_set(err, ERR_CORRUPT, "The entry 'pins' of the store '%s' is damaged.", dir);
        g_array_append_val(out->pins, pin);
    }
    return true;
}

static json_t *
pins_json(const struct manifest *m)
{
    json_t *out = json_array();
    for (guint i = 0; i < m->pins->len; i++) {
        const struct store_pin *p = &g_array_index(m->pins, struct store_pin, i);
        char id[UUID_TEXT];
        json_array_append_new(out, json_pack("{s:s, s:b, s:I, s:I}", "log", uuid_format(&p->id, id), "pinned", (int)p->pinned, "until_us",
                                             (json_int_t)p->until_us, "served_us", (json_int_t)p->served_us));
    }
    return out;
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

    if (!get_number(root, "format", &format) || format < 1 || format > MANIFEST_FORMAT)
        return err_set(err, ERR_NOT_SUPPORTED, "The store '%s' was written by another version of vmreplica.", dir);
    if (!check_digest(dir, root, format, err))
        return false;
    if (!get_uuid(root, "vm", &out->vm) || !name || !base)
        return err_set(err, ERR_CORRUPT, "'%s/store.json' lacks an entry.", dir);
    out->name = g_strdup(name);
    out->merging = get_number(root, "merging_to", &merging);
    out->merging_to = out->merging ? (uint64_t)merging : 0;
    return read_pins(dir, root, out, err) && (json_is_null(base) || read_base(dir, base, out, err));
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
    char vm[UUID_TEXT], id[UUID_TEXT], digest[DIGEST_TEXT];
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
    if (m->pins) {
        json_object_set_new(root, "pins", pins_json(m));
        json_object_set_new(root, "served", json_pack("{s:I, s:s, s:I}", "us", (json_int_t)m->served.us, "boot", m->served.boot, "boot_us",
                                                      (json_int_t)m->served.boot_us));
    }
    if (digest_of(root, digest))
        json_object_set_new(root, "digest", json_string(digest));
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
    if (m->pins)
        g_array_unref(m->pins);
    if (m->has_base || m->header.bytes)
        log_header_clear(&m->header);
    memset(m, 0, sizeof *m);
}

bool
manifest_base_is_exact(const struct manifest *m)
{
    return m->has_base && !m->merging;
}
