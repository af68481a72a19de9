/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/verify.h"

#include "cli/guest.h"
#include "cli/method.h"
#include "cli/show.h"

#include "cim/cimxml.h"

#include <string.h>

enum { REPLICA = 2, EXTENDED_REPLICA = 4 };

struct report {
    struct table *table;
    json_t *list;
    guint all, passed;
};

/* What the statistics of a replica say about its newest boot check: "check=passed check_time=DATE check_ms=N check_point=ID
 * check_picture=ppm", among other words. */
static char *
fact(const char *text, const char *name)
{
    g_autofree char *key = g_strdup_printf(" %s=", name);
    const char *at = text ? strstr(text, key) : NULL;
    return at ? g_strndup(at + strlen(key), strcspn(at + strlen(key), " ")) : NULL;
}

/* The file on the replica's host; a point knows the folder of its replica. */
static char *
screenshot(struct cli *c, const struct cim_instance *guest, const char *facts, const char *id)
{
    g_autofree char *suffix = fact(facts, "check_picture");
    g_autoptr(GPtrArray) points = suffix && id ? guest_points(c, guest, NULL) : NULL;
    const char *folder = points && points->len ? cim_get_string(g_ptr_array_index(points, 0), "SnapshotDataRoot") : NULL;
    return folder ? g_strdup_printf("%s/checks/%s.%s", folder, id, suffix) : NULL;
}

static char *
ask(struct cli *c, const struct cim_instance *guest)
{
    cim_path_auto service = guest_service();
    struct cim_args *in = cim_args_new(), *out = cim_args_new();
    guint32 result = 1;
    cim_args_set(in, "ComputerSystem", cim_ref(cim_instance_path(guest)));
    const bool fine = wsman_client_invoke(c->client, service, "GetReplicationStatistics", in, out, &result, NULL, NULL);
    const struct cim_value *v = fine && result == 0 ? cim_args_get(out, "ReplicationStatistics") : NULL;
    const struct cim_value *first = v && v->array && v->items->len ? g_ptr_array_index(v->items, 0) : NULL;
    cim_instance_auto statistics = first && !first->null ? cim_xml_parse(first->text, "Msvm_ReplicationStatistics", NULL) : NULL;
    char *text = statistics ? g_strdup(cim_get_string(statistics, "Description")) : NULL;
    cim_args_free(in);
    cim_args_free(out);
    return text;
}

static void
add(struct cli *c, struct report *r, const struct cim_instance *guest, const char *facts, const char *before, const GError *why)
{
    g_autofree char *time = fact(facts, "check_time"), *then = fact(before, "check_time");
    const bool made = time && g_strcmp0(time, then) != 0; /* else it was refused, and these are the facts of an older one */
    const char *result = !why ? "passed" : made ? "failed" : "refused";
    g_autofree char *ms = made ? fact(facts, "check_ms") : NULL, *point = made ? fact(facts, "check_point") : NULL;
    g_autofree char *picture = screenshot(c, guest, facts, point);
    const gint64 took_ms = ms ? g_ascii_strtoll(ms, NULL, 10) : 0;
    g_autofree char *took = ms ? show_span(took_ms * 1000) : NULL;
    const char *name = cim_get_string(guest, "ElementName"), *reason = why ? why->message : NULL;
    r->all++;
    r->passed += why == NULL;
    table_add(r->table, name);
    table_add_colour(r->table, result, why ? TABLE_BAD : TABLE_GOOD);
    table_add(r->table, took);
    table_add(r->table, point);
    table_add(r->table, picture);
    table_add(r->table, reason);
    json_t *o = json_pack("{s:s?, s:s?, s:s, s:s?, s:s?, s:s?, s:s?}", "name", name, "id", cim_get_string(guest, "Name"), "result", result,
                          "point", point, "time", made ? time : NULL, "screenshot", picture, "reason", reason);
    json_object_set_new(o, "seconds", ms ? json_real((double)took_ms / 1000) : json_null());
    json_array_append_new(r->list, o);
}

static bool
verify(struct cli *c, struct report *r, const struct cim_instance *guest, const char *point, GError **err)
{
    g_autoptr(GError) why = NULL;
    struct cim_args *args = cim_args_new();
    g_autofree char *title = g_strdup_printf("Boot check of '%s'", cim_get_string(guest, "ElementName"));
    g_autofree char *before = ask(c, guest);
    const bool json = c->json;
    if (point && !guest_point_argument(c, guest, point, args, err)) {
        cim_args_free(args);
        return false;
    }
    c->json = false; /* the report is all that is printed */
    const bool fine = method_on_guest(c, guest, "VerifyReplicaSystem", args, title, NULL, &why);
    c->json = json;
    g_autofree char *facts = ask(c, guest);
    add(c, r, guest, facts, before, why);
    if (!fine)
        g_propagate_error(err, g_steal_pointer(&why));
    return fine;
}

static struct report
begin(void)
{
    return (struct report){ .table = table_new("VM", "RESULT", ">TIME", "POINT", "SCREENSHOT", "REASON", NULL), .list = json_array() };
}

static void
end(struct cli *c, struct report *r)
{
    if (c->json)
        show_print_json(json_incref(r->list));
    else if (r->all)
        table_print(r->table, stdout);
    table_free(r->table);
    json_decref(r->list);
}

bool
verify_one(struct cli *c, const char *name, const char *point, GError **err)
{
    cim_instance_auto guest = guest_find(c, name, err);
    if (!guest)
        return false;
    struct report r = begin();
    const bool fine = verify(c, &r, guest, point, err);
    end(c, &r);
    return fine;
}

bool
verify_all(struct cli *c, GError **err)
{
    g_autoptr(GPtrArray) guests =
        cli_connect(c, err) ? wsman_client_query(c->client, "SELECT * FROM Msvm_ComputerSystem WHERE Name != __SERVER", err) : NULL;
    if (!guests)
        return false;
    struct report r = begin();
    for (guint i = 0; i < guests->len; i++) {
        const struct cim_instance *guest = g_ptr_array_index(guests, i);
        const guint64 mode = cim_get_uint(guest, "ReplicationMode");
        if (mode == REPLICA || mode == EXTENDED_REPLICA)
            verify(c, &r, guest, NULL, NULL);
    }
    if (!r.all && !c->json)
        puts("There are no replicas on this host.");
    end(c, &r);
    return r.passed == r.all || err_set(err, ERR_FAILED, "%u of %u replicas did not pass.", r.all - r.passed, r.all);
}
