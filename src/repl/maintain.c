/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/maintain.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/bootcheck.h"
#include "repl/extend.h"
#include "repl/groupkeep.h"
#include "repl/guest.h"
#include "repl/placeholder.h"
#include "repl/recover.h"
#include "repl/space.h"
#include "repl/testvm.h"
#include "store/pins.h"
#include "store/spans.h"

#include <string.h>

enum { BATCH = 16 };
static const gint64 SHUT_US = 5 * (gint64)G_USEC_PER_SEC;  /* between attempts to take up a replica whose folder was not there */
static const gint64 REST_US = 60 * (gint64)G_USEC_PER_SEC;
static const gint64 PAUSE_US = 2 * (gint64)G_USEC_PER_SEC; /* between looks while logs keep coming */

struct retention_rules
maintain_rules(struct relation *rel, GError **why)
{
    struct retention_rules out = maintain_own_rules(rel);
    if (groupkeep(rel->core, rel, &out.apart, why))
        return out;
    return (struct retention_rules){ .keep_every_us = G_MAXINT64 };
}

struct retention_rules
maintain_own_rules(struct relation *rel)
{
    struct retention_rules out = { 0 };
    HOLD(&rel->lock);
    out.hourly = rel->settings.history;
    out.keep_every_us = (gint64)rel->settings.keep_every_s * G_USEC_PER_SEC;
    out.cycle_us = (gint64)repl_settings_period_ms(&rel->settings) * 1000;
    if (!rules_parse(rel->settings.retention, &out.more, NULL)) /* they were checked when they came */
        log_warning("Guest '%s': the retention rules '%s' cannot be read.", rel->r.name, rel->settings.retention);
    return out;
}

static bool
begin(struct relation *rel)
{
    HOLD(&rel->lock);
    const enum repl_state s = rel->r.state;
    return rel->in.merging = rel->in.store && !g_atomic_int_get(&rel->halt) &&
                             (s == STATE_WAITING_INITIAL || s == STATE_REPLICATING || s == STATE_SUSPENDED);
}

static void
end(struct relation *rel)
{
    HOLD(&rel->lock);
    rel->in.merging = false;
    g_cond_broadcast(&rel->changed);
}

static bool
has_digest(struct relation *rel, const struct hash128 *digest)
{
    HOLD(&rel->lock);
    return memcmp(digest, &rel->in.xml_digest, sizeof *digest) == 0;
}

/* The definition that the newest whole log carries, if it is another than the placeholder has. */
static char *
newer_definition(struct relation *rel)
{
    struct store_log log;
    struct hash128 digest;
    size_t len;
    if (!store_latest_point(rel->in.store, &log))
        return NULL;
    const bool known = store_definition(rel->in.store, &log.id, &digest);
    if (known && has_digest(rel, &digest))
        return NULL;
    g_autofree char *xml = store_section(rel->in.store, &log.id, LOG_SECTION_DOMAIN_XML, &len, NULL);
    HOLD(&rel->lock);
    if (known && xml && !g_strcmp0(xml, rel->in.xml_seen))
        rel->in.xml_digest = digest;
    const bool other = xml && g_strcmp0(xml, rel->in.xml_seen) && rel->r.state == STATE_REPLICATING;
    return other ? g_steal_pointer(&xml) : NULL;
}

static void
follow_definition(struct core *c, struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *xml = newer_definition(rel);
    if (!xml)
        return;
    if (!placeholder_define(c, rel, xml, &why) || !core_save_definition(c, &rel->vm, xml, &why))
        log_warning("Guest '%s': the replica could not be defined again: %s", rel->r.name, why->message);
    guest_follow_name(c, rel);
    relation_auto extended = extend_of(c, &rel->vm);
    if (extended)
        guest_follow_name(c, extended);
}

/* Also while the guest is failed over. */
static void
keep_time(struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    HOLD(&rel->lock);
    if (rel->in.store && !store_keep_time(rel->in.store, &why))
        log_warning("Guest '%s': the time that protected points have served was not saved: %s", rel->r.name, why->message);
}

static bool
tend(struct relation *rel, bool *more)
{
    g_autoptr(GError) why = NULL;
    if (space_tend(rel, more, &why))
        return true;
    if (!err_is(why, ERR_CANCELLED) && !err_is(why, ERR_IN_USE))
        relation_trouble(rel, false, why);
    return false;
}

/* While the first copy arrives, merging would only take the disk from it, and no point depends on it. */
static bool
copy_goes_first(struct relation *rel)
{
    {
        HOLD(&rel->lock);
        const struct space *s = &rel->in.space;
        if (rel->r.state != STATE_WAITING_INITIAL || (s->measured_us && s->free < 2 * rel->core->waiting_bytes))
            return false;
    }
    guint64 sum = 0;
    g_autoptr(GArray) logs = store_logs(rel->in.store);
    for (guint i = 0; i < logs->len; i++)
        sum += g_array_index(logs, struct store_log, i).file_bytes;
    return sum < rel->core->waiting_bytes;
}

bool
maintain_merge(struct relation *rel, const struct retention_rules *rules, bool *more, GError **err)
{
    g_autoptr(GHashTable) pins = extend_pins(rel->core, rel, testvm_pins(rel));
    return retention_step(rel->in.store, rules, pins, BATCH, &rel->halt, more, err);
}

/* What is not open says so itself.  Once: each log that arrives would end this trouble, and the next step begin it again. */
static void
say_unknown(struct relation *rel, const GError *why)
{
    if (!err_is(why, ERR_NOT_AVAILABLE) && relation_is_news(&rel->in.unknown, why))
        relation_trouble(rel, false, why);
}

static bool
step(struct relation *rel, bool *more)
{
    g_autoptr(GError) why = NULL, unknown = NULL;
    retention_rules_auto rules = maintain_rules(rel, &unknown);
    *more = false;
    if (!unknown)
        g_clear_pointer(&rel->in.unknown, g_free);
    else
        say_unknown(rel, unknown);
    if (copy_goes_first(rel))
        return true;
    if (maintain_merge(rel, &rules, more, &why))
        return true;
    if (!err_is(why, ERR_CANCELLED) && !err_is(why, ERR_IN_USE))
        relation_trouble(rel, false, why);
    return false;
}

/* So that every point opens quickly; what cannot be saved costs time then, and nothing else. */
static bool
save_index(struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    bool more = false;
    const gint64 now = g_get_monotonic_time();
    const bool look = now - rel->in.looked_us >= REST_US; /* logs may come every second */
    if (look)
        rel->in.looked_us = now;
    if (!spans_step(rel->in.store, look, &rel->halt, &more, &why))
        log_debug("Guest '%s': an index was not saved: %s", rel->r.name, why->message);
    return more;
}

gint64
maintain_task(void *user)
{
    struct relation *rel = user;
    bool more = false;
    if (!recover_again(rel))
        return g_get_monotonic_time() + SHUT_US;
    core_tick_stats(rel->core, rel, false);
    keep_time(rel);
    if (!begin(rel))
        return SCHEDULE_IDLE;
    follow_definition(rel->core, rel);
    testvm_follow(rel->core, rel);
    bool gave = false;
    const bool ok = tend(rel, &gave) && step(rel, &more);
    bootcheck_sweep(rel);
    more = more || gave;
    more = more || (ok && !copy_goes_first(rel) && save_index(rel));
    end(rel);
    return g_get_monotonic_time() + (ok && more ? 0 : ok ? REST_US : PAUSE_US);
}
