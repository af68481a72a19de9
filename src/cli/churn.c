/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/show.h"

/* churn: Vmr_ReplicationChurn of one relationship. */

enum { HOURS_SHOWN = 24, HOURS_KEPT = 7 * 24 };

struct row {
    gint64 start_us;
    const char *disk; /* "": none */
    guint64 cycles, changed, wire, copied;
};

static const struct cim_value *
element(const struct cim_instance *i, const char *property, guint n)
{
    const struct cim_value *v = cim_get(i, property);
    return v && v->array && !v->null && n < v->items->len ? g_ptr_array_index(v->items, n) : NULL;
}

static guint64
number(const struct cim_instance *i, const char *property, guint n)
{
    const struct cim_value *v = element(i, property, n);
    return v ? v->u : 0;
}

static bool
row_at(const struct cim_instance *i, guint n, struct row *out)
{
    const struct cim_value *hour = element(i, "Hour", n), *disk = element(i, "Disk", n);
    if (!hour || !disk)
        return false;
    *out = (struct row){.start_us = hour->time.us, .disk = disk->text ? disk->text : "", .cycles = number(i, "Cycles", n),
                        .changed = number(i, "ChangedBytes", n), .wire = number(i, "WireBytes", n), .copied = number(i, "CopiedBytes", n)};
    return true;
}

static bool
is_recent(const struct row *r, gint hours)
{
    const gint64 now = g_get_real_time() / G_TIME_SPAN_HOUR;
    return r->start_us / G_TIME_SPAN_HOUR > now - hours;
}

static json_t *
row_json(const struct row *r)
{
    json_t *out = json_pack("{s:s?}", "disk", *r->disk ? r->disk : NULL);
    json_object_set_new(out, "hour", show_json_time(r->start_us));
    json_object_set_new(out, "cycles", json_integer((json_int_t)r->cycles));
    json_object_set_new(out, "changed_bytes", json_integer((json_int_t)r->changed));
    json_object_set_new(out, "wire_bytes", json_integer((json_int_t)r->wire));
    json_object_set_new(out, "copied_bytes", json_integer((json_int_t)r->copied));
    return out;
}

static void
row_table(struct table *t, const struct row *r)
{
    g_autofree char *hour = show_time(r->start_us), *changed = *r->disk ? show_bytes(r->changed) : NULL, *wire = show_bytes(r->wire);
    g_autofree char *copied = *r->disk ? show_bytes(r->copied) : NULL, *cycles = g_strdup_printf("%" G_GUINT64_FORMAT, r->cycles);
    table_add(t, hour);
    table_add(t, *r->disk ? r->disk : NULL);
    table_add(t, cycles);
    table_add(t, changed);
    table_add(t, wire);
    table_add(t, copied);
}

struct sum {
    gint64 hour;
    guint64 wire, most; /* of this hour, of the busiest */
};

static void
add_to_sum(struct sum *s, const struct row *r)
{
    if (r->start_us != s->hour)
        s->wire = 0;
    s->hour = r->start_us;
    s->wire += r->wire;
    s->most = MAX(s->most, s->wire);
}

static void
print(struct cli *c, const struct cim_instance *i, gint hours)
{
    struct table *t = table_new("HOUR", "DISK", ">CYCLES", ">CHANGED", ">WIRE", ">COPIED", NULL);
    json_t *list = json_array();
    struct sum sum = {0};
    struct row r;
    for (guint n = 0; row_at(i, n, &r); n++) {
        if (!is_recent(&r, hours))
            continue;
        row_table(t, &r);
        json_array_append_new(list, row_json(&r));
        add_to_sum(&sum, &r);
    }
    g_autofree char *most = show_bytes(sum.most), *rate = show_bytes((sum.most + 3599) / 3600);
    if (c->json)
        show_print_json(json_incref(list));
    else if (json_array_size(list) == 0)
        puts("Nothing was written in these hours, or this host does not send this guest.");
    else {
        table_print(t, stdout);
        printf("The busiest hour sent %s, %s per second on average.\n", most, rate);
    }
    table_free(t);
    json_decref(list);
}

VERB(verb_churn)
{
    static const struct usage usage = {"VM [--hours N]", "How much a guest writes, by disk and hour, on the host that sends.",
                                       "CHANGED is before compression, WIRE what goes over the network, COPIED what\n"
                                       "full reads sent. Kept for seven days."};
    gint hours = HOURS_SHOWN;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"hours", 0, 0, G_OPTION_ARG_INT, &hours, "the last N hours (24)", "N"},
        {0},
    };
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, 1, 1, &usage, argv[0], err))
        return false;
    if (hours < 1 || hours > HOURS_KEPT)
        return err_set(err, ERR_USAGE, "--hours is %d and must be 1 to %d.", hours, HOURS_KEPT);
    cim_instance_auto guest = guest_find(c, args[0], err);
    cim_path_auto path = guest ? cim_path_new(NULL, "Vmr_ReplicationChurn") : NULL;
    if (!guest)
        return false;
    g_autofree char *id = g_strdup_printf("Microsoft:%s\\HVR\\0", cim_get_string(guest, "Name"));
    cim_path_set(path, "InstanceID", id);
    cim_instance_auto churn = wsman_client_get(c->client, path, err);
    if (!churn)
        return false;
    print(c, churn, hours);
    return true;
}
