/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/json.h"

#include <jansson.h>
#include <string.h>

static inline void
clean_json(json_t **j)
{
    json_decref(*j);
}
#define auto_json __attribute__((cleanup(clean_json))) json_t *

/* --- writing --- */

static char *
text_of(json_t *j)
{
    char *text = json_dumps(j, JSON_COMPACT);
    json_decref(j);
    g_assert(text);
    return text;
}

static void
put_text(json_t *to, const char *name, const char *value)
{
    g_autofree char *valid = value ? g_utf8_make_valid(value, -1) : NULL;
    json_object_set_new(to, name, valid ? json_string(valid) : json_null());
}

static void
put_number(json_t *to, const char *name, guint64 value)
{
    json_object_set_new(to, name, json_integer((json_int_t)MIN(value, (guint64)G_MAXINT64)));
}

static void
put_flag(json_t *to, const char *name, bool value)
{
    json_object_set_new(to, name, json_boolean(value));
}

static void
put_uuid(json_t *to, const char *name, const struct uuid *value, bool there)
{
    char text[UUID_TEXT];
    put_text(to, name, there ? uuid_format(value, text) : NULL);
}

/* --- reading: every getter is a no-op once something was wrong --- */

struct source {
    const json_t *object;
    GError **err;
    bool failed;
};

static bool
wrong(struct source *s, const char *name, const char *what)
{
    if (!s->failed)
        err_set(s->err, ERR_MALFORMED, "The member '%s' %s.", name, what);
    s->failed = true;
    return false;
}

static json_t *
member(struct source *s, const char *name)
{
    json_t *value = s->failed ? NULL : json_object_get(s->object, name);
    if (!value)
        wrong(s, name, "is missing");
    return value;
}

static char *
get_text(struct source *s, const char *name, bool may_be_null)
{
    const json_t *value = member(s, name);
    if (!value || (may_be_null && json_is_null(value)))
        return NULL;
    if (!json_is_string(value))
        wrong(s, name, "is not a text");
    return g_strdup(json_string_value(value));
}

static guint64
get_number(struct source *s, const char *name, guint64 max)
{
    const json_t *value = member(s, name);
    if (value && (!json_is_integer(value) || json_integer_value(value) < 0 || (guint64)json_integer_value(value) > max))
        return wrong(s, name, "is not a number in the permitted range");
    return value ? (guint64)json_integer_value(value) : 0;
}

static bool
get_flag(struct source *s, const char *name)
{
    const json_t *value = member(s, name);
    if (value && !json_is_boolean(value))
        return wrong(s, name, "is not true or false");
    return json_is_true(value);
}

/* there: NULL if null is not permitted */
static struct uuid
get_uuid(struct source *s, const char *name, bool *there)
{
    struct uuid u = {{0}};
    g_autofree char *text = get_text(s, name, there != NULL);
    if (there)
        *there = text != NULL;
    if (text && !uuid_parse(text, &u))
        wrong(s, name, "is not a UUID");
    return u;
}

static json_t *
parse(const char *text, size_t len, GError **err)
{
    json_error_t where;
    if (len > WIRE_MAX_BODY) {
        err_set(err, ERR_TOO_BIG, "The JSON text of %zu bytes is longer than the permitted %u.", len, WIRE_MAX_BODY);
        return NULL;
    }
    json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    if (!j)
        err_set(err, ERR_MALFORMED, "The text is not JSON: %s (byte %d).", where.text, where.position);
    else if (!json_is_object(j))
        err_set(err, ERR_MALFORMED, "The JSON text is not an object.");
    if (json_is_object(j))
        return j;
    json_decref(j);
    return NULL;
}

/* --- hello --- */

void
wire_hello_clear(struct wire_hello *h)
{
    g_free(h->host);
    *h = (struct wire_hello){0};
}

char *
wire_json_hello(const struct wire_hello *hello, gint64 now_us)
{
    json_t *j = json_object();
    put_text(j, "host", hello->host ? hello->host : "");
    put_flag(j, "recovery_enabled", hello->recovery_enabled);
    put_flag(j, "authorised", hello->authorised);
    put_number(j, "time_us", (guint64)MAX(now_us, 0));
    put_number(j, "hash_forms", MAX(hello->hash_forms, 1));
    return text_of(j);
}

bool
wire_json_read_hello(const char *text, size_t len, struct wire_hello *out, gint64 *now_us, GError **err)
{
    *out = (struct wire_hello){0};
    auto_json j = parse(text, len, err);
    if (!j)
        return false;
    struct source s = {j, err, false};
    out->host = get_text(&s, "host", false);
    out->recovery_enabled = get_flag(&s, "recovery_enabled");
    out->authorised = get_flag(&s, "authorised");
    *now_us = (gint64)get_number(&s, "time_us", G_MAXINT64);
    out->hash_forms = json_object_get(j, "hash_forms") ? (guint)get_number(&s, "hash_forms", G_MAXUINT16) : 1;
    if (s.failed)
        wire_hello_clear(out);
    return !s.failed;
}

/* --- offer --- */

static void
disk_clear(gpointer p)
{
    struct wire_disk *d = p;
    g_free(d->target);
}

void
wire_offer_clear(struct wire_offer *o)
{
    for (guint i = 0; o->disks && i < o->disks->len; i++)
        disk_clear(&g_array_index(o->disks, struct wire_disk, i));
    if (o->disks) {
        g_array_set_clear_func(o->disks, NULL);
        g_array_unref(o->disks);
    }
    g_free(o->name);
    g_free(o->primary_host);
    g_free(o->domain_xml);
    g_free(o->additional);
    *o = (struct wire_offer){0};
}

static json_t *
disks_json(const GArray *disks)
{
    json_t *list = json_array();
    for (guint i = 0; disks && i < disks->len; i++) {
        const struct wire_disk *d = &g_array_index(disks, struct wire_disk, i);
        json_t *one = json_object();
        put_number(one, "id", d->id);
        put_text(one, "target", d->target ? d->target : "");
        put_number(one, "size", d->size);
        json_array_append_new(list, one);
    }
    return list;
}

char *
wire_json_offer(const struct wire_offer *offer)
{
    json_t *j = json_object();
    put_uuid(j, "vm", &offer->vm, true);
    put_text(j, "name", offer->name ? offer->name : "");
    put_text(j, "primary_host", offer->primary_host ? offer->primary_host : "");
    put_text(j, "domain_xml", offer->domain_xml ? offer->domain_xml : "");
    put_number(j, "epoch", offer->epoch);
    put_number(j, "interval_ms", offer->interval_ms);
    put_number(j, "history", offer->history);
    put_number(j, "keep_every_s", offer->keep_every_s);
    put_number(j, "app_interval_h", offer->app_interval_h);
    json_object_set_new(j, "disks", disks_json(offer->disks));
    put_number(j, "port", offer->port);
    put_flag(j, "extended", offer->extended);
    put_text(j, "additional", offer->additional);
    put_uuid(j, "head", &offer->head, offer->has_head);
    put_number(j, "head_sequence", offer->head_sequence);
    return text_of(j);
}

static GArray *
read_disks(struct source *s)
{
    GArray *disks = g_array_new(FALSE, TRUE, sizeof(struct wire_disk));
    const json_t *list = member(s, "disks");
    if (list && !json_is_array(list))
        wrong(s, "disks", "is not a list");
    if (list && json_array_size(list) > WIRE_MAX_DISKS && !s->failed) {
        s->failed = true;
        err_set(s->err, ERR_TOO_BIG, "A guest with %zu disks cannot be replicated; %d is the limit.", json_array_size(list),
                WIRE_MAX_DISKS);
    }
    for (size_t i = 0; !s->failed && i < json_array_size(list); i++) {
        struct source one = {json_array_get(list, i), s->err, false};
        struct wire_disk d = {0};
        d.id = (guint16)get_number(&one, "id", G_MAXUINT16);
        d.target = get_text(&one, "target", false);
        d.size = get_number(&one, "size", G_MAXINT64);
        g_array_append_val(disks, d);
        s->failed = one.failed;
    }
    return disks;
}

bool
wire_json_read_offer(const char *text, size_t len, struct wire_offer *out, GError **err)
{
    *out = (struct wire_offer){0};
    auto_json j = parse(text, len, err);
    if (!j)
        return false;
    struct source s = {j, err, false};
    out->vm = get_uuid(&s, "vm", NULL);
    out->name = get_text(&s, "name", false);
    out->primary_host = get_text(&s, "primary_host", false);
    out->domain_xml = get_text(&s, "domain_xml", false);
    out->epoch = get_number(&s, "epoch", G_MAXINT64);
    out->interval_ms = (guint)get_number(&s, "interval_ms", G_MAXUINT);
    out->history = (guint)get_number(&s, "history", G_MAXUINT);
    out->keep_every_s = (guint)get_number(&s, "keep_every_s", G_MAXUINT);
    out->app_interval_h = (guint)get_number(&s, "app_interval_h", G_MAXUINT);
    out->disks = read_disks(&s);
    out->port = (guint)get_number(&s, "port", G_MAXUINT16);
    out->extended = get_flag(&s, "extended");
    out->additional = get_text(&s, "additional", true);
    out->head = get_uuid(&s, "head", &out->has_head);
    out->head_sequence = get_number(&s, "head_sequence", G_MAXINT64);
    if (s.failed)
        wire_offer_clear(out);
    return !s.failed;
}

/* --- status --- */

void
wire_status_clear(struct wire_status *s)
{
    g_free(s->host);
    g_free(s->state);
    g_free(s->elsewhere);
    *s = (struct wire_status){0};
}

char *
wire_json_status(const struct wire_status *status)
{
    json_t *j = json_object();
    put_number(j, "epoch", status->epoch);
    put_text(j, "host", status->host ? status->host : "");
    put_text(j, "state", status->state ? status->state : "");
    put_uuid(j, "head", &status->head, status->has_head);
    put_number(j, "head_sequence", status->head_sequence);
    put_uuid(j, "part", &status->part, status->has_part);
    put_number(j, "part_bytes", status->part_bytes);
    put_flag(j, "running", status->running);
    put_number(j, "log_version", MAX(status->log_version, 1));
    if (status->elsewhere) {
        put_text(j, "elsewhere", status->elsewhere);
        put_flag(j, "elsewhere_runs", status->elsewhere_runs);
    }
    return text_of(j);
}

bool
wire_json_read_status(const char *text, size_t len, struct wire_status *out, GError **err)
{
    *out = (struct wire_status){0};
    auto_json j = parse(text, len, err);
    if (!j)
        return false;
    struct source s = {j, err, false};
    out->epoch = get_number(&s, "epoch", G_MAXINT64);
    out->host = get_text(&s, "host", false);
    out->state = get_text(&s, "state", false);
    out->head = get_uuid(&s, "head", &out->has_head);
    out->head_sequence = get_number(&s, "head_sequence", G_MAXINT64);
    out->part = get_uuid(&s, "part", &out->has_part);
    out->part_bytes = get_number(&s, "part_bytes", G_MAXINT64);
    out->running = get_flag(&s, "running");
    out->log_version = json_object_get(j, "log_version") ? (guint)get_number(&s, "log_version", G_MAXUINT16) : 1;
    if (json_object_get(j, "elsewhere")) {
        out->elsewhere = get_text(&s, "elsewhere", false);
        out->elsewhere_runs = get_flag(&s, "elsewhere_runs");
    }
    if (s.failed)
        wire_status_clear(out);
    return !s.failed;
}

/* --- errors --- */

char *
wire_json_error(const GError *error)
{
    json_t *j = json_object();
    put_text(j, "error", err_info_of(error)->id);
    put_text(j, "message", error->message);
    return text_of(j);
}

bool
wire_json_read_error(const char *text, size_t len, const char *host, GError **err)
{
    auto_json j = parse(text, len, NULL);
    const char *id = json_string_value(json_object_get(j, "error"));
    const char *message = json_string_value(json_object_get(j, "message"));
    enum err_code code = ERR_FAILED; /* a newer peer may know finer words */
    if (!id || !message)
        return false;
    err_from_id(id, &code);
    err_set(err, code, "'%s' answers: %s", host, message);
    return true;
}
