/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/watch.h"
#include "cli/cli.h"
#include "cli/show.h"

#include <string.h>

/* watch: events of relationships, guests and jobs, a line each, until it is interrupted. */

#define RENEW_S 240 /* of ten minutes that a subscription lasts */

static const struct topic {
    const char *name, *cls;
} topics[] = {
    {"replication", "Msvm_ReplicationRelationship"},
    {"guests", "Msvm_ComputerSystem"},
    {"jobs", "Msvm_ConcreteJob"},
};

struct watch {
    struct cli *c;
    GPtrArray *ids;     /* of subscriptions */
    gint64 renew_us;    /* monotonic: when next */
    guint64 left;       /* events; 0: no limit */
};

static const char *
kind_of(const struct wsman_event *e)
{
    return !e->before ? "created" : e->now ? "changed" : "gone";
}

static void
print_json(const struct wsman_event *e)
{
    const struct cim_instance *i = e->now ? e->now : e->before;
    json_t *o = json_pack("{s:s, s:s, s:o, s:o?}", "kind", kind_of(e), "class", i->cls->name, "instance", show_json(i), "previous",
                          e->now && e->before ? show_json(e->before) : NULL);
    json_object_set_new(o, "time", show_json_time(e->time_us));
    char *line = json_dumps(o, JSON_COMPACT);
    puts(line);
    free(line);
    json_decref(o);
}

static char *
text_of(const struct cim_value *v)
{
    if (!v->null && !v->array && v->type == CIM_DATETIME && !v->time.interval && v->time.us)
        return show_time(v->time.us);
    if (v->null || !v->array)
        return v->null ? g_strdup("-") : cim_value_text(v);
    GString *out = g_string_new(NULL);
    for (guint n = 0; n < v->items->len; n++) {
        g_autofree char *item = text_of(v->items->pdata[n]);
        g_string_append_printf(out, "%s%s", n ? ", " : "", item);
    }
    return g_string_free(out, FALSE);
}

/* " name: before -> now" for each property that differs. */
static void
print_differences(const struct wsman_event *e)
{
    for (guint n = 0; n < e->now->cls->property_count; n++) {
        const char *name = e->now->cls->properties[n].name;
        const struct cim_value *old = cim_get(e->before, name);
        g_autofree char *now = text_of(&e->now->values[n]), *before = old ? text_of(old) : g_strdup("-");
        if (!cim_watch_is_volatile(name) && strcmp(now, before) != 0)
            printf("  %s: %s -> %s", name, before, now);
    }
}

static void
print_line(const struct wsman_event *e)
{
    const struct cim_instance *i = e->now ? e->now : e->before;
    const char *name = cim_get_string(i, "ElementName");
    g_autofree char *time = show_time(e->time_us);
    printf("%s  %s %s '%s'", time, i->cls->name, kind_of(e), name ? name : "");
    if (e->now && e->before)
        print_differences(e);
    putchar('\n');
}

static bool
renew(struct watch *w, GError **err)
{
    const gint64 now = g_get_monotonic_time();
    if (now < w->renew_us)
        return true;
    w->renew_us = now + RENEW_S * (gint64)G_USEC_PER_SEC;
    for (guint i = 0; i < w->ids->len; i++)
        if (!wsman_client_renew(w->c->client, w->ids->pdata[i], err))
            return false;
    return true;
}

/* Waits for an event of one subscription and shows it. */
static bool
look(struct watch *w, const char *id, GError **err)
{
    const guint wait_ms = w->ids->len > 1 ? 500 : 20000;
    struct wsman_event e = {0};
    g_autoptr(GError) why = NULL;
    if (wsman_client_next_event(w->c->client, id, wait_ms, &e, &why)) {
        if (w->c->json)
            print_json(&e);
        else
            print_line(&e);
        w->left -= w->left > 0;
    }
    wsman_event_clear(&e);
    if (fflush(stdout) != 0)
        return err_errno(err, "Writing to standard output");
    if (!why || err_is(why, ERR_TIMEOUT))
        return true;
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

static bool
subscribe(struct watch *w, const struct topic *t, GError **err)
{
    g_autofree char *query = g_strdup_printf("SELECT * FROM __InstanceOperationEvent WITHIN 1 WHERE TargetInstance ISA '%s'", t->cls);
    char *id = wsman_client_subscribe(w->c->client, query, err);
    if (id)
        g_ptr_array_add(w->ids, id);
    return id != NULL;
}

/* What was asked for, or everything. */
static bool
subscribe_all(struct watch *w, char **names, GError **err)
{
    for (guint i = 0; names[i]; i++) {
        guint n = 0;
        while (n < G_N_ELEMENTS(topics) && strcmp(topics[n].name, names[i]) != 0)
            n++;
        if (n == G_N_ELEMENTS(topics))
            return err_set(err, ERR_USAGE, "'%s' cannot be watched; replication, guests and jobs can.", names[i]);
        if (!subscribe(w, &topics[n], err))
            return false;
    }
    for (guint n = 0; !names[0] && n < G_N_ELEMENTS(topics); n++)
        if (!subscribe(w, &topics[n], err))
            return false;
    return true;
}

static bool
run(struct watch *w, char **names, bool limited, GError **err)
{
    bool fine = subscribe_all(w, names, err);
    if (fine)
        fputs("Watching; Ctrl-C ends it.\n", stderr);
    for (guint n = 0; fine && (!limited || w->left > 0); n++)
        fine = renew(w, err) && look(w, w->ids->pdata[n % w->ids->len], err);
    for (guint i = 0; i < w->ids->len; i++)
        wsman_client_unsubscribe(w->c->client, w->ids->pdata[i]);
    return fine;
}

VERB(verb_watch)
{
    static const struct usage usage = {"[replication] [guests] [jobs]", "Shows what happens to relationships, guests and jobs.",
                                       "Without arguments all three. A change names what was and what is. It goes on\n"
                                       "until it is interrupted."};
    gint64 count = 0;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"count", 'n', 0, G_OPTION_ARG_INT64, &count, "end after so many events", "N"},
        {0},
    };
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, options, argc, argv, &args, err))
        return c->helped;
    if (count < 0)
        return err_set(err, ERR_USAGE, "--count must be a number from 1 on.");
    if (!cli_count(args, 0, G_N_ELEMENTS(topics), &usage, argv[0], err) || !cli_connect(c, err))
        return false;
    struct watch w = {.c = c, .ids = g_ptr_array_new_with_free_func(g_free), .left = (guint64)count};
    w.renew_us = g_get_monotonic_time() + RENEW_S * (gint64)G_USEC_PER_SEC;
    bool fine = run(&w, args, count > 0, err);
    g_ptr_array_unref(w.ids);
    return fine;
}
