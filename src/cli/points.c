/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/show.h"

#include "base/clock.h"

#include <string.h>

/* points: Msvm_VirtualSystemSettingData of the recovery points. */

static const char *
kind_of(const struct cim_instance *point)
{
    const char *type = cim_get_string(point, "VirtualSystemType"), *colon = type ? strrchr(type, ':') : NULL;
    return colon ? colon + 1 : "-";
}

/* How an application-consistent point was quiesced, as the note has it; NULL: no such point. */
static json_t *
quiesced_of(const struct cim_instance *p)
{
    g_autofree char *text = show_note(p, "Notes", "quiesced");
    return text ? json_loads(text, 0, NULL) : NULL;
}

/* "2 in 14 ms": so many file systems stood still for so long. */
static char *
quiesced_text(const struct cim_instance *p)
{
    json_t *q = quiesced_of(p);
    char *text = q ? g_strdup_printf("%d in %.0f ms", (int)json_integer_value(json_object_get(q, "frozen")),
                                     (double)json_integer_value(json_object_get(q, "frozen_us")) / 1000)
                   : NULL;
    json_decref(q);
    return text;
}

static json_t *
check_json(const struct cim_instance *p)
{
    g_autofree char *result = show_note(p, "Notes", "check"), *time = show_note(p, "Notes", "check_time");
    g_autofree char *ms = show_note(p, "Notes", "check_ms"), *why = show_note(p, "Notes", "check_reason");
    g_autofree char *picture = show_note(p, "Notes", "check_screenshot");
    return result ? json_pack("{s:s, s:s?, s:f, s:s?, s:s?}", "result", result, "time", time, "seconds",
                              ms ? (double)g_ascii_strtoll(ms, NULL, 10) / 1000 : 0.0, "reason", why, "screenshot", picture)
                  : json_null();
}

static json_t *
point_json(const struct cim_instance *p)
{
    gint64 captured = show_get_time(p, "CreationTime");
    g_autofree char *bytes = show_note(p, "Notes", "bytes");
    json_t *out = json_pack("{s:s, s:s?, s:s, s:s?}", "id", guest_point_id(p), "vm", cim_get_string(p, "VirtualSystemIdentifier"), "kind",
                            kind_of(p), "name", cim_get_string(p, "ElementName"));
    json_object_set_new(out, "captured", show_json_time(captured));
    json_object_set_new(out, "captured_us", json_integer(captured));
    g_autofree char *pinned = show_note(p, "Notes", "pinned"), *until = show_note(p, "Notes", "protected");
    json_object_set_new(out, "pinned", json_boolean(g_strcmp0(pinned, "yes") == 0));
    json_object_set_new(out, "protected_until", until ? json_string(until) : json_null());
    g_autofree char *damaged = show_note(p, "Notes", "damaged");
    json_object_set_new(out, "damaged", json_boolean(g_strcmp0(damaged, "yes") == 0));
    json_object_set_new(out, "check", check_json(p));
    json_object_set_new(out, "bytes", bytes ? json_integer(g_ascii_strtoll(bytes, NULL, 10)) : json_null());
    json_t *quiesced = quiesced_of(p);
    json_object_set_new(out, "quiesced", quiesced ? quiesced : json_null());
    return out;
}

static void
point_row(struct table *t, const struct cim_instance *p)
{
    gint64 captured = show_get_time(p, "CreationTime");
    g_autofree char *time = show_time(captured), *age = show_span(clock_wall_us() - captured), *bytes = show_note(p, "Notes", "bytes");
    g_autofree char *pinned = show_note(p, "Notes", "pinned"), *until = show_note(p, "Notes", "protected");
    g_autofree char *check = show_note(p, "Notes", "check");
    const bool pin = g_strcmp0(pinned, "yes") == 0;
    struct cim_datetime end;
    g_autofree char *local = until && cim_datetime_parse(until, &end) ? show_time(end.us) : NULL;
    g_autofree char *kept = g_strdup_printf("%s%s%s%s", pin ? "pinned" : "", until && pin ? ", " : "", until ? "until " : "",
                                            local ? local : until ? until : "");
    g_autofree char *size = bytes ? show_bytes(g_ascii_strtoull(bytes, NULL, 10)) : NULL;
    table_add(t, guest_point_id(p));
    table_add(t, time);
    table_add(t, age);
    table_add(t, kind_of(p));
    table_add(t, size);
    g_autofree char *damaged = show_note(p, "Notes", "damaged");
    g_autofree char *quiesced = quiesced_text(p);
    table_add(t, quiesced);
    table_add(t, kept);
    table_add_colour(t, damaged ? "damaged" : NULL, show_health_colour(3));
    table_add_colour(t, check, g_strcmp0(check, "failed") == 0 ? TABLE_BAD : TABLE_PLAIN);
}

static void
print_all(struct cli *c, const GPtrArray *points)
{
    if (c->json) {
        json_t *out = json_array();
        for (guint i = 0; i < points->len; i++)
            json_array_append_new(out, point_json(g_ptr_array_index(points, i)));
        show_print_json(out);
        return;
    }
    struct table *t = table_new("POINT", "CAPTURED", ">AGE", "KIND", ">SIZE", "QUIESCED", "KEPT", "STATE", "CHECK", NULL);
    for (guint i = 0; i < points->len; i++)
        point_row(t, g_ptr_array_index(points, i));
    if (points->len)
        table_print(t, stdout);
    else
        puts("There are no recovery points (yet). Points are kept on the host that holds the replica.");
    table_free(t);
}

VERB(verb_points)
{
    static const struct usage usage = {"VM", "Lists the recovery points of a replica, oldest first.", NULL};
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, NULL, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err))
        return false;
    cim_instance_auto guest = guest_find(c, args[0], err);
    g_autoptr(GPtrArray) points = guest ? guest_points(c, guest, err) : NULL;
    if (points)
        print_all(c, points);
    return points != NULL;
}
