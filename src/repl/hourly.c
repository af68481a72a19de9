/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/hourly.h"

#include "base/log.h"
#include "repl/record.h"

#define HOUR_US (3600 * (gint64)G_USEC_PER_SEC)

static char *
key_of(const char *relation, gint64 hour)
{
    return g_strdup_printf("%s/%010" G_GINT64_FORMAT, relation, hour);
}

void
hourly_clear(struct hourly *h)
{
    json_decref(h->doc);
    *h = (struct hourly){ 0 };
}

static void
open_hour(struct hourly *h, struct db *db, const char *relation, gint64 hour)
{
    g_autofree char *key = key_of(relation, hour), *text = NULL;
    g_autoptr(GError) why = NULL;
    if (!db_get(db, DB_CHURN, key, &text, &why))
        log_warning("The churn of '%s' could not be read: %s", relation, why->message);
    h->hour = hour;
    h->doc = text ? record_parse(text, NULL) : NULL;
    if (!h->doc)
        h->doc = json_pack("{s:I, s:I, s:{}}", "hour", (json_int_t)hour, "cycles", (json_int_t)0, "disks");
}

/* Also when the clock went back: a record goes on. */
void
hourly_begin(struct hourly *h, struct db *db, const char *relation, gint64 wall_us)
{
    const gint64 hour = wall_us / HOUR_US;
    g_autoptr(GError) why = NULL;
    if (h->hour == hour)
        return;
    hourly_save(h, db, relation);
    hourly_clear(h);
    open_hour(h, db, relation, hour);
    if ((guint64)(hour + g_str_hash(relation)) % 24 != 0)
        return; /* once a day is enough, and not at the same time for all guests */
    g_autofree char *from = key_of(relation, 0), *to = key_of(relation, MAX(0, hour - HOURLY_KEPT + 1));
    if (!db_remove_range(db, DB_CHURN, from, to, &why))
        log_warning("Old churn of '%s' could not be removed: %s", relation, why->message);
}

static void
add(json_t *object, const char *name, guint64 n)
{
    json_object_set_new(object, name, json_integer(json_integer_value(json_object_get(object, name)) + (json_int_t)n));
}

void
hourly_cycle(struct hourly *h, guint64 overhead)
{
    add(h->doc, "cycles", 1);
    add(h->doc, "overhead", overhead);
    h->dirty = true;
}

void
hourly_disk(struct hourly *h, const char *target, bool full_read, guint64 changed, guint64 wire)
{
    json_t *disks = json_object_get(h->doc, "disks"), *disk = json_object_get(disks, target);
    if (!disk) {
        disk = json_object();
        json_object_set_new(disks, target, disk);
    }
    add(disk, "changed", full_read ? 0 : changed);
    add(disk, "wire", full_read ? 0 : wire);
    add(disk, "copied", full_read ? wire : 0);
    h->dirty = true;
}

void
hourly_save(struct hourly *h, struct db *db, const char *relation)
{
    if (!h->dirty)
        return;
    g_autofree char *key = key_of(relation, h->hour), *text = record_text(json_incref(h->doc));
    db_put_late(db, DB_CHURN, key, text);
    h->dirty = false;
}

GPtrArray *
hourly_list(struct db *db, const char *relation, gint64 wall_us, guint hours, GError **err)
{
    const gint64 now = wall_us / HOUR_US;
    const guint span = hours && hours < HOURLY_KEPT ? hours : HOURLY_KEPT;
    g_autofree char *from = key_of(relation, MAX(0, now - span + 1)), *to = key_of(relation, now + 1);
    return db_list_range(db, DB_CHURN, from, to, err);
}

bool
hourly_forget(struct db *db, const char *relation, GError **err)
{
    g_autofree char *from = key_of(relation, 0), *to = g_strconcat(relation, "/:", NULL); /* after every digit */
    return db_remove_range(db, DB_CHURN, from, to, err);
}
