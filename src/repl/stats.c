/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/stats.h"

#include "base/log.h"
#include "repl/record.h"

#define AT(member) offsetof(struct repl_statistics, member)
static const struct record_field FIELDS[] = {
    { "start_us", RECORD_I64, AT(start_us) },
    { "end_us", RECORD_I64, AT(end_us) },
    { "last_test_us", RECORD_I64, AT(last_test_us) },
    { "success", RECORD_UINT, AT(success) },
    { "misses", RECORD_UINT, AT(misses) },
    { "failures", RECORD_UINT, AT(failures) },
    { "network_failures", RECORD_UINT, AT(network_failures) },
    { "app_failures", RECORD_UINT, AT(app_failures) },
    { "size", RECORD_U64, AT(size) },
    { "max_size", RECORD_U64, AT(max_size) },
    { "scans", RECORD_UINT, AT(scans) },
    { "full_copies", RECORD_UINT, AT(full_copies) },
    { "wire_bytes", RECORD_U64, AT(wire_bytes) },
    { "copied", RECORD_U64, AT(copied) },
    { "latency_us", RECORD_I64, AT(latency_us) },
    { "max_latency_us", RECORD_I64, AT(max_latency_us) },
    { NULL, RECORD_END, 0 },
};

gint64
stats_window_end(gint64 wall_us, gint64 anchor_us, guint interval_s)
{
    const gint64 length = (gint64)interval_s * G_USEC_PER_SEC;
    gint64 since = (wall_us - anchor_us) % length;
    if (since < 0)
        since += length;
    return wall_us - since + length;
}

void
stats_open(struct stats *s, gint64 wall_us, gint64 anchor_us, guint interval_s)
{
    s->now = (struct repl_statistics){
        .start_us = wall_us,
        .end_us = stats_window_end(wall_us, anchor_us, interval_s),
        .last_test_us = s->now.last_test_us,
        .pending = s->now.pending,
    };
    s->dirty = true;
}

bool
stats_roll(struct stats *s, const char *name, gint64 wall_us, gint64 anchor_us, guint interval_s)
{
    if (!s->now.end_us) {
        s->now.start_us = wall_us;
        s->now.end_us = stats_window_end(wall_us, anchor_us, interval_s);
        s->dirty = true;
    }
    if (wall_us < s->now.end_us)
        return false;
    const struct repl_statistics *n = &s->now;
    log_event(LOG_LEVEL_INFO, LOG_EVENT_WINDOW,
              "Statistics of guest '%s' for a finished window. success=%u missed=%u failures=%u network_failures=%u bytes=%"
              G_GUINT64_FORMAT " copied=%" G_GUINT64_FORMAT " wire_bytes=%" G_GUINT64_FORMAT " latency_us=%" G_GINT64_FORMAT " scans=%u"
              " full_copies=%u",
              name, n->success, n->misses, n->failures, n->network_failures, n->size, n->copied, n->wire_bytes, n->latency_us,
              n->scans, n->full_copies);
    stats_open(s, wall_us, anchor_us, interval_s);
    return true;
}

void
stats_success(struct stats *s, guint64 raw_bytes, guint64 wire_bytes, gint64 latency_us)
{
    struct repl_statistics *n = &s->now;
    n->success++;
    n->size += raw_bytes;
    n->max_size = MAX(n->max_size, raw_bytes);
    n->wire_bytes += wire_bytes;
    n->latency_us += latency_us;
    n->max_latency_us = MAX(n->max_latency_us, latency_us);
    s->dirty = true;
}

void
stats_copied(struct stats *s, guint64 raw_bytes, guint64 wire_bytes)
{
    s->now.copied += raw_bytes;
    s->now.wire_bytes += wire_bytes;
    s->dirty = true;
}

void
stats_failure(struct stats *s, bool network)
{
    s->now.failures++;
    if (network)
        s->now.network_failures++;
    s->dirty = true;
}

void
stats_app_failure(struct stats *s)
{
    s->now.app_failures++;
    s->dirty = true;
}

void
stats_scan(struct stats *s, bool full)
{
    s->now.scans++;
    s->now.full_copies += full;
    s->dirty = true;
}

void
stats_miss(struct stats *s, guint slots)
{
    s->now.misses += slots;
    s->dirty = true;
}

char *
stats_save(const struct stats *s)
{
    return record_doc(FIELDS, &s->now);
}

bool
stats_load(struct stats *s, const char *doc, GError **err)
{
    json_scoped_record o = record_parse(doc, err);
    return o && record_unpack(o, FIELDS, &s->now, err);
}
