/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/statistics.h"

#include "base/clock.h"
#include "provider/common.h"

static guint
seconds(gint64 us)
{
    return (guint)((us + G_USEC_PER_SEC / 2) / G_USEC_PER_SEC);
}

static char *
proof_text(const struct repl_proof *p)
{
    g_autofree char *ended = p->ended_us ? g_strdup_printf(" verified_us=%" G_GINT64_FORMAT " verified_bytes=%" G_GUINT64_FORMAT,
                                                           p->ended_us, p->checked) : g_strdup("");
    g_autofree char *now = p->percent >= 0 ? g_strdup_printf(" verifying_percent=%d", p->percent) : g_strdup("");
    return g_strdup_printf(" damaged_places=%u damaged_points=%u%s%s", p->places, p->points, ended, now);
}

/* Of the side that sends: what was left out, what the last comparison found. */
static void
fill_sender(struct cim_instance *i, const struct repl_statistics *st)
{
    g_autofree char *left = st->left_out ? g_strdup_printf("left_out_bytes=%" G_GUINT64_FORMAT, st->left_out) : g_strdup("");
    g_autofree char *compared = st->compared_us ? g_strdup_printf("compared_us=%" G_GINT64_FORMAT " compared_pages=%" G_GUINT64_FORMAT
                                                                  " different_pages=%" G_GUINT64_FORMAT, st->compared_us,
                                                                  st->compared_pages, st->different_pages)
                                                : g_strdup("");
    g_autofree char *text = g_strconcat(compared, *compared && *left ? " " : "", left, NULL);
    if (*text)
        cim_set_string(i, "Description", text);
}

static char *
check_text(const struct repl_statistics *st)
{
    const struct repl_check *c = &st->check;
    char id[UUID_TEXT];
    if (!c->at_us)
        return g_strdup("");
    g_autofree char *when = clock_iso8601(c->at_us);
    g_autofree char *picture = *c->picture ? g_strdup_printf(" check_picture=%s", c->picture) : g_strdup("");
    return g_strdup_printf(" check=%s check_time=%s check_ms=%" G_GINT64_FORMAT " check_point=%s%s", c->passed ? "passed" : "failed", when,
                           c->took_us / 1000, uuid_format(&st->check_point, id), picture);
}

/* The contract has no property for it. */
static void
fill_replica(struct cim_instance *i, const struct repl_statistics *st)
{
    g_autofree char *check = check_text(st);
    fill_sender(i, st);
    if (!st->disk_bytes) { /* not measured yet */
        if (*check)
            cim_set_string(i, "Description", check);
        return;
    }
    g_autofree char *growth = st->growth_known ? g_strdup_printf(" growth_per_day=%" G_GINT64_FORMAT, st->disk_growth) : g_strdup("");
    g_autofree char *days = st->days_left >= 0 ? g_strdup_printf(" days_left=%d", st->days_left) : g_strdup("");
    g_autofree char *proof = proof_text(&st->proof);
    g_autofree char *text = g_strdup_printf("disk_bytes=%" G_GUINT64_FORMAT " free_bytes=%" G_GUINT64_FORMAT " given_up=%" G_GUINT64_FORMAT
                                            "%s%s%s%s", st->disk_bytes, st->disk_free, st->given_up, growth, days, proof, check);
    cim_set_string(i, "Description", text);
}

/* Of a sender; behind what else there is to say. */
static void
fill_compression(struct cim_instance *i, const struct repl_statistics *st)
{
    const char *before = cim_get_string(i, "Description");
    if (!st->compression[0])
        return;
    g_autofree char *text = g_strdup_printf("%s%scompression=%s pack_bytes_per_s=%" G_GUINT64_FORMAT " link_bytes_per_s=%" G_GUINT64_FORMAT,
                                            before ? before : "", before ? " " : "", st->compression, st->pack_rate, st->link_rate);
    cim_set_string(i, "Description", text);
}

struct cim_value
statistics_text(const struct uuid *vm, guint index, const struct repl_statistics *st)
{
    cim_instance_auto i = new_instance("Msvm_ReplicationStatistics");
    g_autofree char *id = relation_id(vm, index);
    cim_set_string(i, "InstanceID", id);
    cim_set_string(i, "Caption", "Replication Statistics");
    cim_set_time(i, "StartStatisticTime", st->start_us);
    cim_set_time(i, "EndStatisticTime", st->end_us);
    cim_set_time(i, "LastTestFailoverTime", st->last_test_us);
    cim_set_uint(i, "ReplicationSuccessCount", st->success);
    cim_set_uint(i, "ReplicationMissCount", st->misses);
    cim_set_uint(i, "ReplicationFailureCount", st->failures);
    cim_set_uint(i, "NetworkFailureCount", st->network_failures);
    cim_set_uint(i, "ApplicationConsistentSnapshotFailureCount", st->app_failures);
    cim_set_uint(i, "ReplicationSize", st->size);
    cim_set_uint(i, "MaxReplicationSize", st->max_size);
    cim_set_uint(i, "PendingReplicationSize", st->pending);
    cim_set_uint(i, "NetworkBytesSent", st->wire_bytes);
    cim_set_uint(i, "ResynchronizedBytes", st->copied);
    cim_set_uint(i, "ReplicationLatency", seconds(st->latency_us));
    cim_set_uint(i, "MaxReplicationLatency", seconds(st->max_latency_us));
    cim_set_uint(i, "ReplicationHealth", st->health);
    fill_replica(i, st);
    fill_compression(i, st);
    g_autofree char *text = cim_xml_text(i);
    struct cim_value out = cim_array(CIM_STRING);
    cim_array_add(&out, cim_string(text));
    return out;
}

struct cim_value
issues_text(GPtrArray *issues)
{
    struct cim_value out = cim_array(CIM_STRING);
    for (guint n = 0; issues && n < issues->len; n++) {
        const struct repl_issue *issue = g_ptr_array_index(issues, n);
        cim_instance_auto i = new_instance("Msvm_Error");
        cim_set_uint(i, "ErrorType", 1);
        cim_set_string(i, "OwningEntity", "vmreplica");
        cim_set_string(i, "MessageID", issue->id);
        cim_set_string(i, "Message", issue->message);
        cim_set_uint(i, "PerceivedSeverity", issue->severity);
        if (issue->action)
            cim_set_strings(i, "RecommendedActions", (char *[]){issue->action, NULL});
        g_autofree char *text = cim_xml_text(i);
        cim_array_add(&out, cim_string(text));
    }
    return out;
}
