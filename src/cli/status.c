/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/guest.h"
#include "cli/method.h"
#include "cli/show.h"

#include "base/clock.h"
#include "cim/cimxml.h"

#include <string.h>

/* status: guests with their relationship, settings and statistics.  Three enumerations, and one statistics call per replicated guest. */

enum { TEST_REPLICA = 3 }; /* a mode that has no cycles of its own */

struct row {
    const struct cim_instance *guest, *relation, *settings; /* the last two may be NULL */
    struct cim_instance *statistics;                        /* NULL: not replicated */
    GPtrArray *issues;                                      /* Msvm_Error, the worst first; NULL or empty: all is well */
    bool extended;                                          /* the relationship of a replica with a third host */
};

static void
row_clear(struct row *r)
{
    cim_instance_free(r->statistics);
    g_clear_pointer(&r->issues, g_ptr_array_unref);
}

/* The instance of a list whose InstanceID belongs to that guest's first or second relationship. */
static const struct cim_instance *
of_guest(const GPtrArray *list, const char *guid, guint index)
{
    g_autofree char *id = g_strdup_printf("Microsoft:%s\\HVR\\%u", guid, index);
    for (guint i = 0; i < list->len; i++) {
        const struct cim_instance *one = g_ptr_array_index(list, i);
        const char *other = cim_get_string(one, "InstanceID");
        if (other && g_ascii_strcasecmp(other, id) == 0)
            return one;
    }
    return NULL;
}

/* Text of an element of an array; NULL: there is none. */
static const char *
text_at(const struct cim_value *v, guint n)
{
    const struct cim_value *item = v && v->array && !v->null && n < v->items->len ? g_ptr_array_index(v->items, n) : NULL;
    return item && !item->null && item->type == CIM_STRING ? item->text : NULL;
}

static void
take_statistics(struct row *r, const struct cim_args *out)
{
    const struct cim_value *issues = cim_args_get(out, "ReplicationHealthIssues");
    const char *text = text_at(cim_args_get(out, "ReplicationStatistics"), 0);
    r->statistics = text ? cim_xml_parse(text, "Msvm_ReplicationStatistics", NULL) : NULL;
    r->issues = cim_instances_new();
    for (guint n = 0; (text = text_at(issues, n)); n++) {
        struct cim_instance *one = cim_xml_parse(text, "Msvm_Error", NULL);
        if (one)
            g_ptr_array_add(r->issues, one);
    }
}

/* The worst of what is wrong; NULL: nothing. */
static const char *
reason_of(const struct row *r)
{
    return r->issues && r->issues->len ? cim_get_string(g_ptr_array_index(r->issues, 0), "Message") : NULL;
}

static bool
ask_statistics(struct cli *c, struct row *r, GError **err)
{
    cim_path_auto service = guest_service();
    struct cim_args *in = cim_args_new(), *out = cim_args_new();
    g_autofree char *relation = cim_xml_text(r->relation);
    guint32 result;
    cim_args_set(in, "ComputerSystem", cim_ref(cim_instance_path(r->guest)));
    cim_args_set(in, "ReplicationRelationship", cim_string(relation));
    bool fine = wsman_client_invoke(c->client, service, "GetReplicationStatisticsEx", in, out, &result, NULL, err);
    if (fine && result == 0)
        take_statistics(r, out);
    cim_args_free(in);
    cim_args_free(out);
    return fine;
}

static guint64
interval_ms(const struct cim_instance *settings)
{
    const char *text = settings ? cim_get_string(settings, "AdditionalSettings") : NULL;
    json_t *more = text ? json_loads(text, 0, NULL) : NULL;
    json_int_t ms = json_integer_value(json_object_get(more, "interval_ms"));
    json_decref(more);
    return ms > 0 ? (guint64)ms : settings ? cim_get_uint(settings, "ReplicationInterval") * 1000 : 0;
}

/* Which engine captures the guest; NULL: not replicated. */
static const char *
engine_of(const struct cim_instance *settings)
{
    const char *text = settings ? cim_get_string(settings, "AdditionalSettings") : NULL;
    json_t *more = text ? json_loads(text, 0, NULL) : NULL;
    const bool pull = g_strcmp0(json_string_value(json_object_get(more, "engine")), "pull") == 0;
    json_decref(more);
    return settings ? pull ? "pull" : "push" : NULL;
}

/* How its logs are packed, as set; g_free. */
static char *
compression_setting(const struct cim_instance *settings)
{
    const char *text = cim_get_string(settings, "AdditionalSettings");
    json_t *more = text ? json_loads(text, 0, NULL) : NULL;
    const char *how = json_string_value(json_object_get(more, "compression"));
    const json_int_t level = json_integer_value(json_object_get(more, "compression_level"));
    char *out = !cim_get_bool(settings, "CompressionEnabled") ? g_strdup("none")
                : level > 0                                   ? g_strdup_printf("zstd:%d", (int)level)
                                                              : g_strdup(how ? how : "auto");
    json_decref(more);
    return out;
}

static guint
state_of(const struct row *r)
{
    return (guint)cim_get_uint(r->relation ? r->relation : r->guest, "ReplicationState");
}

static guint
health_of(const struct row *r)
{
    return (guint)cim_get_uint(r->extended ? r->relation : r->guest, "ReplicationHealth");
}

static gint64
last_of(const struct row *r)
{
    return show_get_time(r->relation ? r->relation : r->guest, "LastReplicationTime");
}

static json_t *
optional(const struct cim_instance *i, const char *property)
{
    const struct cim_value *v = i ? cim_get(i, property) : NULL;
    return v && !v->null ? json_integer((json_int_t)v->u) : json_null();
}

/* Description of the statistics, of a replica "disk_bytes=N free_bytes=N given_up=N", and "growth_per_day=N days_left=N" when known; of a
 * sender "compression=HOW pack_bytes_per_s=N link_bytes_per_s=N". */
static const char *const SPACE[] = {"disk_bytes", "free_bytes", "given_up", "growth_per_day", "days_left"};
/* And how its verification went. */
static const char *const PROOF[] = {"verified_us", "verified_bytes", "verifying_percent", "damaged_places", "damaged_points"};

/* g_free; NULL: it is not there. */
static char *
described(const struct row *r, const char *name)
{
    const char *text = r->statistics ? cim_get_string(r->statistics, "Description") : NULL;
    g_auto(GStrv) words = text ? g_strsplit(text, " ", -1) : NULL;
    const gsize len = strlen(name);
    for (char **word = words; word && *word; word++)
        if (strncmp(*word, name, len) == 0 && (*word)[len] == '=')
            return g_strdup(*word + len + 1);
    return NULL;
}

static bool
space_number(const struct row *r, const char *name, gint64 *out)
{
    g_autofree char *text = described(r, name);
    if (text)
        *out = g_ascii_strtoll(text, NULL, 10);
    return text != NULL;
}

/* Of who sends: a replica has its primary's settings, and packs nothing. */
static json_t *
compression_json(const struct row *r)
{
    if (!r->settings || (cim_get_uint(r->guest, "ReplicationMode") != 1 && !r->extended))
        return json_null();
    g_autofree char *setting = compression_setting(r->settings), *now = described(r, "compression");
    gint64 pack = 0, link = 0;
    space_number(r, "pack_bytes_per_s", &pack);
    space_number(r, "link_bytes_per_s", &link);
    return json_pack("{s:s, s:s?, s:o, s:o}", "setting", setting, "now", now, "pack_bytes_per_s",
                     pack ? json_integer(pack) : json_null(), "link_bytes_per_s", link ? json_integer(link) : json_null());
}

/* In words, for below the table when one guest was asked for; NULL: it sends nothing. */
static char *
compression_text(const struct row *r)
{
    gint64 pack, link;
    g_autofree char *now = described(r, "compression"), *setting = now ? compression_setting(r->settings) : NULL;
    if (!now)
        return NULL;
    GString *out = g_string_new(NULL);
    g_string_printf(out, "Changes are packed with %s", now);
    if (strcmp(setting, now) != 0)
        g_string_append_printf(out, " (%s)", setting);
    if (space_number(r, "link_bytes_per_s", &link) && link && space_number(r, "pack_bytes_per_s", &pack) && pack) {
        g_autofree char *sends = show_bytes((guint64)link), *packs = show_bytes((guint64)pack);
        g_string_append_printf(out, "; the link takes %s per second, a processor packs %s per second with zstd:1", sends, packs);
    }
    g_string_append_c(out, '.');
    return g_string_free(out, FALSE);
}

static json_t *
numbers_json(const struct row *r, const char *const *names, guint count)
{
    gint64 value;
    if (!space_number(r, SPACE[0], &value))
        return json_null();
    json_t *out = json_object();
    for (guint i = 0; i < count; i++)
        json_object_set_new(out, names[i], space_number(r, names[i], &value) ? json_integer(value) : json_null());
    return out;
}

/* The newest boot check: "check=passed|failed check_time=DATE" in the same text. */
static char *
check_word(const struct row *r, const char *name)
{
    const char *text = r->statistics ? cim_get_string(r->statistics, "Description") : NULL;
    g_autofree char *key = g_strdup_printf(" %s=", name);
    const char *at = text ? strstr(text, key) : NULL;
    return at ? g_strndup(at + strlen(key), strcspn(at + strlen(key), " ")) : NULL;
}

static json_t *
check_json(const struct row *r)
{
    g_autofree char *result = check_word(r, "check"), *time = check_word(r, "check_time");
    return result ? json_pack("{s:s, s:s?}", "result", result, "time", time) : json_null();
}

/* As a health: 2 warning, 3 critical. */
static guint
severity_of(const struct cim_instance *issue)
{
    return cim_get_uint(issue, "PerceivedSeverity") > 3 ? 3 : 2;
}

static json_t *
issues_json(const struct row *r)
{
    json_t *list = json_array();
    for (guint i = 0; r->issues && i < r->issues->len; i++) {
        const struct cim_instance *one = g_ptr_array_index(r->issues, i);
        json_array_append_new(list, json_pack("{s:s?, s:s, s:s?, s:s?}", "id", cim_get_string(one, "MessageID"), "severity",
                                              show_health(severity_of(one)), "message", cim_get_string(one, "Message"), "action",
                                              text_at(cim_get(one, "RecommendedActions"), 0)));
    }
    return list;
}

static json_t *
row_json(const struct row *r)
{
    guint mode = (guint)cim_get_uint(r->guest, "ReplicationMode"), health = health_of(r);
    gint64 last = last_of(r);
    json_t *out = json_pack("{s:s?, s:s?, s:s, s:i, s:s, s:i, s:s, s:i, s:s, s:s?}", "name", cim_get_string(r->guest, "ElementName"), "id",
                            cim_get_string(r->guest, "Name"), "power", show_power((guint)cim_get_uint(r->guest, "EnabledState")), "mode",
                            (int)mode, "mode_name", show_mode(mode), "state", (int)state_of(r), "state_name", show_state(state_of(r)),
                            "health", (int)health, "health_name", show_health(health), "reason", reason_of(r));
    json_object_set_new(out, "issues", issues_json(r));
    json_object_set_new(out, "pid", optional(r->guest, "ProcessID"));
    json_object_set_new(out, "last", show_json_time(last));
    json_object_set_new(out, "last_us", json_integer(last));
    json_object_set_new(out, "rpo_s", last ? json_real((double)(clock_wall_us() - last) / G_USEC_PER_SEC) : json_null());
    json_object_set_new(out, "interval_ms", json_integer((json_int_t)interval_ms(r->settings)));
    const char *engine = mode ? engine_of(r->settings) : NULL;
    json_object_set_new(out, "engine", engine ? json_string(engine) : json_null());
    json_object_set_new(out, "peer", json_null());
    const char *which = mode == 1 || r->extended ? "RecoveryConnectionPoint" : "PrimaryConnectionPoint";
    const char *peer = r->settings ? cim_get_string(r->settings, which) : NULL;
    if (peer)
        json_object_set_new(out, "peer", json_string(peer));
    gint64 left;
    json_object_set_new(out, "left_out_bytes", space_number(r, "left_out_bytes", &left) ? json_integer(left) : json_null());
    json_object_set_new(out, "extended", json_boolean(r->extended));
    json_object_set_new(out, "cycles", optional(r->statistics, "ReplicationSuccessCount"));
    json_object_set_new(out, "missed", optional(r->statistics, "ReplicationMissCount"));
    json_object_set_new(out, "bytes", optional(r->statistics, "ReplicationSize"));
    json_object_set_new(out, "pending_bytes", optional(r->statistics, "PendingReplicationSize"));
    json_object_set_new(out, "space", numbers_json(r, SPACE, G_N_ELEMENTS(SPACE)));
    json_object_set_new(out, "verification", numbers_json(r, PROOF, G_N_ELEMENTS(PROOF)));
    json_object_set_new(out, "check", check_json(r));
    json_object_set_new(out, "compression", compression_json(r));
    json_object_set_new(out, "copied_bytes", optional(r->statistics, "ResynchronizedBytes"));
    json_object_set_new(out, "wire_bytes", optional(r->statistics, "NetworkBytesSent"));
    return out;
}

static void
add_proof_text(const struct row *r, GString *out)
{
    gint64 ended, bytes = 0, percent, places = 0, points = 0;
    space_number(r, "verified_bytes", &bytes);
    space_number(r, "damaged_places", &places);
    space_number(r, "damaged_points", &points);
    if (space_number(r, "verified_us", &ended)) {
        g_autofree char *time = show_time(ended), *size = show_bytes((guint64)bytes);
        g_string_append_printf(out, "\nIt was last verified %s (%s).", time, size);
    } else {
        g_string_append(out, "\nIt was not verified yet.");
    }
    if (space_number(r, "verifying_percent", &percent))
        g_string_append_printf(out, " A verification is under way (%d %%).", (int)percent);
    if (places)
        g_string_append_printf(out, " %d %s known to be damaged, and %d recovery points cannot be used because of that.", (int)places,
                               places == 1 ? "place is" : "places are", (int)points);
    else if (bytes)
        g_string_append(out, " Nothing is known to be damaged.");
}

/* In words, for below the table when one guest was asked for; NULL: it is no replica. */
static char *
space_text(const struct row *r)
{
    gint64 bytes, free = 0, growth, days, gone = 0;
    if (space_number(r, "left_out_bytes", &bytes)) {
        g_autofree char *left = show_bytes((guint64)bytes);
        return g_strdup_printf("%s of its disks are left out: swap.", left);
    }
    if (!space_number(r, "disk_bytes", &bytes))
        return NULL;
    space_number(r, "free_bytes", &free);
    space_number(r, "given_up", &gone);
    g_autofree char *used = show_bytes((guint64)bytes), *left = show_bytes((guint64)free);
    GString *out = g_string_new(NULL);
    g_string_printf(out, "The replica takes %s; its file system has %s free.", used, left);
    if (space_number(r, "growth_per_day", &growth)) {
        g_autofree char *more = show_bytes((guint64)ABS(growth));
        g_string_append_printf(out, " It %s by %s a day.", growth < 0 ? "shrinks" : "grows", more);
    }
    if (space_number(r, "days_left", &days))
        g_string_append_printf(out, " At this rate it is full in %d days.", (int)days);
    if (gone)
        g_string_append_printf(out, " %" G_GINT64_FORMAT " recovery points were given up for want of space.", gone);
    add_proof_text(r, out);
    g_autofree char *check = check_word(r, "check"), *when = check_word(r, "check_time");
    if (check)
        g_string_append_printf(out, " Its last boot check, at %s, has %s.", when, check);
    return g_string_free(out, FALSE);
}

/* All that is wrong, with what to do, a line each. */
static void
add_issues_text(const struct row *r, GString *out)
{
    for (guint i = 0; r->issues && i < r->issues->len; i++) {
        const struct cim_instance *one = g_ptr_array_index(r->issues, i);
        const char *message = cim_get_string(one, "Message"), *action = text_at(cim_get(one, "RecommendedActions"), 0);
        g_string_append_printf(out, "%s: %s%s%s\n", show_health(severity_of(one)), message ? message : "", action ? " " : "",
                               action ? action : "");
    }
}

/* "Microsoft:GUID\vda": vda. */
static const char *
target_of(const char *id)
{
    const char *last = strrchr(id, '\\');
    return last ? last + 1 : id;
}

/* Which disks, where to or from, and what is on its way. */
static void
add_disks_text(const struct row *r, GString *out)
{
    const bool sends = cim_get_uint(r->guest, "ReplicationMode") == 1 || r->extended;
    const struct cim_value *disks = r->settings ? cim_get(r->settings, "IncludedDisks") : NULL;
    const char *peer = r->settings ? cim_get_string(r->settings, sends ? "RecoveryConnectionPoint" : "PrimaryConnectionPoint") : NULL;
    const guint64 pending = cim_get_uint(r->statistics, "PendingReplicationSize");
    const guint64 missed = cim_get_uint(r->statistics, "ReplicationMissCount");
    if (!peer)
        return;
    if (!text_at(disks, 0))
        g_string_append(out, "All its disks");
    for (guint n = 0; text_at(disks, n); n++)
        g_string_append_printf(out, "%s%s", n ? ", " : text_at(disks, 1) ? "Disks " : "Disk ", target_of(text_at(disks, n)));
    g_string_append_printf(out, " %s replicated; %s '%s'.", text_at(disks, 0) && !text_at(disks, 1) ? "is" : "are",
                           sends ? "the replica is on" : "the primary is on", peer);
    if (pending) {
        g_autofree char *size = show_bytes(pending);
        g_string_append_printf(out, " %s %s to be sent.", size, pending == 1 ? "waits" : "wait");
    }
    if (missed)
        g_string_append_printf(out, " %" G_GUINT64_FORMAT " %s missed in this window.", missed, missed == 1 ? "cycle was" : "cycles were");
    g_string_append_c(out, '\n');
}

/* The last comparison, on the host that made it. */
static void
add_compared_text(const struct row *r, GString *out)
{
    gint64 when, pages = 0, different = 0;
    if (!space_number(r, "compared_us", &when) || !space_number(r, "compared_pages", &pages) ||
        !space_number(r, "different_pages", &different))
        return;
    g_autofree char *time = show_time(when);
    g_string_append_printf(out, "It was last compared %s: %" G_GINT64_FORMAT " pages, %" G_GINT64_FORMAT " %s.\n", time, pages, different,
                           different == 1 ? "differs" : "differ");
}

/* In words, for below the table when one guest was asked for; a line each. */
static void
add_notes(const struct row *r, GString *out)
{
    g_autofree char *space = space_text(r), *compression = compression_text(r);
    add_issues_text(r, out);
    if (r->statistics)
        add_disks_text(r, out);
    if (space)
        g_string_append_printf(out, "%s\n", space);
    if (r->statistics)
        add_compared_text(r, out);
    if (compression)
        g_string_append_printf(out, "%s\n", compression);
}

/* Two intervals are what the scheduler aims at; later is what an administrator wants to see at once. */
static bool
is_late(const struct row *r)
{
    const gint64 last = last_of(r);
    return last && state_of(r) == 3 && clock_wall_us() - last > (gint64)interval_ms(r->settings) * 2000;
}

static void
row_table(struct table *t, const struct row *r, bool reason)
{
    guint mode = (guint)cim_get_uint(r->guest, "ReplicationMode"), health = health_of(r);
    gint64 last = last_of(r);
    guint64 interval = interval_ms(r->settings);
    g_autofree char *time = show_time(last), *rpo = last ? show_span(clock_wall_us() - last) : NULL;
    const bool cycles = mode && mode != TEST_REPLICA;
    g_autofree char *every = cycles ? show_span((gint64)interval * 1000) : NULL;
    g_autofree char *bytes = r->statistics ? show_bytes(cim_get_uint(r->statistics, "ReplicationSize")) : NULL;
    table_add(t, cim_get_string(r->guest, "ElementName"));
    table_add(t, show_power((guint)cim_get_uint(r->guest, "EnabledState")));
    table_add(t, r->extended ? "-> third host" : mode ? show_mode(mode) : NULL);
    table_add(t, cycles ? show_state(state_of(r)) : NULL);
    table_add_colour(t, show_health(health), show_health_colour(health));
    table_add(t, time);
    table_add_colour(t, rpo, is_late(r) ? TABLE_WARNING : TABLE_PLAIN);
    table_add(t, every);
    table_add(t, cycles ? engine_of(r->settings) : NULL);
    table_add(t, bytes);
    if (reason)
        table_add(t, reason_of(r));
}

/* One relationship's row: both into the table and the list, whichever is printed in the end.  notes: NULL: several guests. */
static bool
add_row(struct cli *c, struct row *r, struct table *t, json_t *list, GString *notes, GError **err)
{
    bool replicated = r->relation && cim_get_uint(r->guest, "ReplicationMode") != 0;
    bool fine = !replicated || ask_statistics(c, r, err);
    if (fine) {
        row_table(t, r, !notes);
        json_array_append_new(list, row_json(r));
        if (notes)
            add_notes(r, notes);
    }
    row_clear(r);
    return fine;
}

static bool
add_guest(struct cli *c, const struct cim_instance *guest, const GPtrArray *relations, const GPtrArray *settings, struct table *t,
          json_t *list, GString *notes, GError **err)
{
    const char *guid = cim_get_string(guest, "Name");
    struct row first = {.guest = guest, .relation = of_guest(relations, guid, 0), .settings = of_guest(settings, guid, 0)};
    struct row second = {.guest = guest, .relation = of_guest(relations, guid, 1), .settings = of_guest(settings, guid, 1),
                         .extended = true};
    const bool both = second.relation && cim_get_uint(second.relation, "ReplicationState") != 0;
    return add_row(c, &first, t, list, notes, err) && (!both || add_row(c, &second, t, list, notes, err));
}

static bool
print_all(struct cli *c, const GPtrArray *guests, GError **err)
{
    g_autoptr(GPtrArray) relations = wsman_client_enumerate(c->client, "Msvm_ReplicationRelationship", err);
    g_autoptr(GPtrArray) settings = relations ? wsman_client_enumerate(c->client, "Msvm_ReplicationSettingData", err) : NULL;
    g_autoptr(GString) notes = guests->len == 1 ? g_string_new(NULL) : NULL; /* its reasons stand there, with what to do */
    struct table *t = table_new("VM", "POWER", "MODE", "STATE", "HEALTH", "LAST", ">RPO", ">INTERVAL", "ENGINE", ">BYTES",
                                notes ? NULL : "REASON", NULL);
    json_t *list = json_array();
    bool fine = settings != NULL;
    for (guint i = 0; fine && i < guests->len; i++)
        fine = add_guest(c, g_ptr_array_index(guests, i), relations, settings, t, list, notes, err);
    if (fine && c->json)
        show_print_json(json_incref(list));
    else if (fine && guests->len)
        table_print(t, stdout);
    else if (fine)
        puts("There are no guests on this host.");
    if (fine && !c->json && notes)
        fputs(notes->str, stdout);
    table_free(t);
    json_decref(list);
    return fine;
}

static GPtrArray *
guests_of(struct cli *c, const char *name, GError **err)
{
    if (!name)
        return cli_connect(c, err) ? wsman_client_query(c->client, "SELECT * FROM Msvm_ComputerSystem WHERE Name != __SERVER", err) : NULL;
    struct cim_instance *one = guest_find(c, name, err);
    GPtrArray *list = one ? cim_instances_new() : NULL;
    if (one)
        g_ptr_array_add(list, one);
    return list;
}

/* Counters of missed cycles and the like begin at nothing again; what is printed is the status. */
static bool
reset_statistics(struct cli *c, const char *vm, GError **err)
{
    cim_instance_auto guest = guest_find(c, vm, err);
    const gboolean json = c->json;
    c->json = FALSE;
    const bool fine = guest && method_on_guest(c, guest, "ResetReplicationStatistics", NULL, "Reset", NULL, err);
    c->json = json;
    return fine;
}

VERB(verb_status)
{
    static const struct usage usage = {"[VM [--reset]]", "Shows guests and how their replication is doing.",
                                       "BYTES are the changes of the current statistics window, before compression.\n"
                                       "With VM, all that is wrong and what to do stand below the table."};
    gboolean reset = FALSE;
    const GOptionEntry options[] = {
        {"reset", 0, 0, G_OPTION_ARG_NONE, &reset, "first begins a new statistics window of VM", NULL},
        {0},
    };
    g_auto(GStrv) args = NULL;
    if (!cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, options, argc, argv, &args, err))
        return c->helped;
    if (!cli_count(args, reset ? 1 : 0, 1, &usage, argv[0], err) || (reset && !reset_statistics(c, args[0], err)))
        return false;
    g_autoptr(GPtrArray) guests = guests_of(c, args[0], err);
    return guests && print_all(c, guests, err);
}
