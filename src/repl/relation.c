/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/relation.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/additional.h"
#include "repl/core.h"
#include "repl/late.h"
#include "repl/maystart.h"
#include "repl/record.h"
#include "repl/serving.h"
#include "store/fingerprint.h"
#include "store/store.h"

#include <string.h>

enum { DOCUMENT_BYTES = 4096 }; /* most records are shorter */

#define R(type, member) { #member, RECORD_##type, offsetof(struct relation_record, member) }
static const struct record_field RECORD[] = {
    R(UINT, mode),          R(UINT, state),        R(UINT, resume_to),        R(UINT, failover_from), R(TEXT, name),
    R(TEXT, reason),        R(U64, epoch),         R(I64, last_us),           R(I64, last_app_us),    R(I64, last_apply_us),
    R(I64, active_us),      R(UINT, last_type),    R(UINT, failed_over_type), R(LIST, targets),       R(UUID, acked),
    R(U64, acked_sequence), R(BOOL, adopt_epoch),  R(TEXT, initial_job),      R(BOOL, removing),      R(TEXT, folder),
    R(TEXT, trust_group),   R(TEXT, primary_host), R(UINT, primary_port),     R(U64, peer_epoch),     R(LIST, disks),
    R(UINT, steps),         R(UUID, point),        R(BOOL, point_named),      R(BOOL, reverting),     R(BOOL, committing),
    R(BOOL, flat),          R(TEXT, failover_job), R(UUID, test),
    R(UUID, test_point),    R(BOOL, test_ready),   R(U64, point_sequence),  R(BOOL, reversing),
    R(BOOL, pulled),        R(BOOL, seeding),       R(LIST, seeds),        R(UUID, seed),            R(U64, seed_sequence),
    R(UINT, initial_type),  R(TEXT, export_dir),    R(BOOL, exported),     R(BOOL, emptying),
    R(UUID, export_point),
    R(BOOL, superseded),    R(TEXT, elsewhere),
    R(BOOL, away),
    R(BOOL, frozen),
    R(TEXT, leave_out),
    R(U64, given_up),       R(I64, given_up_us),   R(I64, given_up_capture_us),
    R(TEXT, difference),    R(I64, compared_us),    R(U64, compared_pages), R(U64, different_pages),
    R(LIST, detached),
    R(BOOL, test_drill),    R(UUID, check_point),  R(I64, check_capture_us),
    {NULL, RECORD_END, 0},
};

#define F(type, member) { #member, RECORD_##type, offsetof(struct repl_settings, member) }
static const struct record_field SETTINGS[] = {
    F(TEXT, recovery_host),       F(UINT, recovery_port),
    F(UINT, authentication),      F(TEXT, thumbprint),
    F(BOOL, compression),         F(BOOL, bypass_proxy),
    F(BOOL, replicate_kvp),       F(BOOL, auto_resync),
    F(UINT, interval_s),          F(UINT, history),
    F(UINT, app_interval_h),      F(I64, resync_start_us),
    F(I64, resync_end_us),        F(LIST, disks),
    F(TEXT, additional),          F(UINT, interval_ms),
    F(UINT, keep_every_s),        F(U64, bandwidth),
    F(INT, compression_level),    F(TEXT, recovery_host_system),
    F(TEXT, primary_host_system), F(TEXT, primary_connection_point),
    F(TEXT, root_thumbprint),     F(TEXT, test_network),
    F(BOOL, no_full_copy),        F(BOOL, pull),
    F(TEXT, retention),           F(TEXT, bandwidth_hours),
    F(BOOL, leave_out_swap),
    F(TEXT, verify_text),         F(UINT, verify_timeout_s),
    F(UINT, app_interval_s),
    F(UINT, compress),
    {NULL, RECORD_END, 0},
};

struct identity {
    struct uuid vm;
    guint index, side;
};
static const struct record_field IDENTITY[] = {
    { "vm", RECORD_UUID, offsetof(struct identity, vm) },
    { "index", RECORD_UINT, offsetof(struct identity, index) },
    { "side", RECORD_UINT, offsetof(struct identity, side) },
    { NULL, RECORD_END, 0 },
};

struct relation *
relation_new(struct core *core, struct db *db, const struct uuid *vm, guint index, enum repl_side side)
{
    char text[UUID_TEXT];
    struct relation *rel = g_new0(struct relation, 1);
    g_atomic_ref_count_init(&rel->refs);
    rel->core = core;
    rel->db = db;
    rel->vm = *vm;
    rel->index = index;
    rel->side = side;
    rel->key = g_strdup_printf("%s/%u", uuid_format(vm, text), index);
    rel->r.resume_to = STATE_REPLICATING;
    rel->s.facts_stale = true;
    rel->in.app_since_us = clock_wall_us();
    scrub_record_init(&rel->in.proof.record);
    repl_settings_init(&rel->settings);
    g_mutex_init(&rel->lock);
    g_mutex_init(&rel->in.filling);
    g_mutex_init(&rel->in.opening);
    g_mutex_init(&rel->in.untesting);
    g_mutex_init(&rel->in.serving);
    rel->in.servers = g_ptr_array_new_with_free_func(serving_free);
    g_cond_init(&rel->changed);
    rel->names = g_ptr_array_new_with_free_func(g_free);
    rel->s.pace = throttle_new_rates(&(struct rates){ 0 }, false);
    return rel;
}

struct relation *
relation_load(struct core *core, struct db *db, const char *doc, GError **err)
{
    struct identity who = { 0 };
    json_scoped_record o = record_parse(doc, err);
    if (!o || !record_unpack(o, IDENTITY, &who, err))
        return NULL;
    relation_auto rel = relation_new(core, db, &who.vm, who.index, who.side ? SIDE_RECEIVER : SIDE_SENDER);
    const json_t *settings = json_object_get(o, "settings");
    g_autofree char *counters = NULL;
    if (!record_unpack(o, RECORD, &rel->r, err) || !settings || !record_unpack(settings, SETTINGS, &rel->settings, err) ||
        !db_get(db, DB_STATISTICS, rel->key, &counters, err) || (counters && !stats_load(&rel->stats, counters, err)))
        return NULL;
    return g_steal_pointer(&rel);
}

struct relation *
relation_ref(struct relation *rel)
{
    g_atomic_ref_count_inc(&rel->refs);
    return rel;
}

void
relation_unref(struct relation *rel)
{
    if (!rel || !g_atomic_ref_count_dec(&rel->refs))
        return;
    wire_peer_free(rel->s.peer);
    throttle_free(rel->s.pace);
    hourly_clear(&rel->s.hourly);
    json_decref(rel->s.left);
    fingerprint_close(rel->s.prints);
    outbox_close(rel->s.outbox);
    if (rel->in.store)
        store_close(rel->in.store);
    g_clear_pointer(&rel->in.checks, g_hash_table_unref);
    record_clear(RECORD, &rel->r);
    repl_settings_clear(&rel->settings);
    g_strfreev(rel->s.attached);
    g_free(rel->s.off_stamp);
    g_free(rel->s.evidence);
    g_free(rel->s.common);
    g_clear_pointer(&rel->in.instants, g_hash_table_unref);
    g_free(rel->s.app_trouble);
    g_clear_error(&rel->s.export_error);
    g_free(rel->s.tracking);
    g_free(rel->s.lost);
    g_free(rel->s.disks_note);
    g_free(rel->in.xml_seen);
    scrub_record_clear(&rel->in.proof.record);
    g_free(rel->in.proof.warning);
    g_free(rel->in.proof.said);
    g_free(rel->in.unknown);
    g_ptr_array_unref(rel->names);
    g_free(rel->noted);
    g_free(rel->trouble);
    g_free(rel->key);
    g_cond_clear(&rel->changed);
    g_mutex_clear(&rel->lock);
    g_mutex_clear(&rel->in.filling);
    g_mutex_clear(&rel->in.opening);
    g_mutex_clear(&rel->in.untesting);
    g_mutex_clear(&rel->in.serving);
    g_ptr_array_unref(rel->in.servers);
    g_free(rel->in.unserved);
    g_free(rel);
}

static char *
document_locked(struct relation *rel)
{
    const struct identity who = { rel->vm, rel->index, rel->side };
    GString *doc = g_string_sized_new(DOCUMENT_BYTES);
    g_string_append_c(doc, '{');
    record_write(doc, IDENTITY, &who);
    record_write(doc, RECORD, &rel->r);
    g_string_append(doc, ",\"settings\":{");
    record_write(doc, SETTINGS, &rel->settings);
    g_string_append(doc, "}}");
    return g_string_free(doc, FALSE);
}

bool
relation_save_locked(struct relation *rel, GError **err)
{
    g_autofree char *doc = document_locked(rel);
    if (!rel->removed)
        maystart_note_locked(rel);
    if (rel->removed || !db_put(rel->db, DB_RELATIONS, rel->key, doc, err))
        return rel->removed && err_set(err, ERR_INVALID_STATE, "The relationship was removed meanwhile.");
    g_cond_broadcast(&rel->changed);
    return true;
}

bool
relation_save_late_locked(struct relation *rel, GError **err)
{
    if (rel->removed || late_now(rel->core->late))
        return relation_save_locked(rel, err);
    g_autofree char *doc = document_locked(rel);
    db_put_late(rel->db, DB_RELATIONS, rel->key, doc);
    g_cond_broadcast(&rel->changed);
    late_soon(rel->core->late);
    return true;
}

bool
relation_forget(struct relation *rel, GError **err)
{
    return maystart_forget(rel, err) && db_remove(rel->db, DB_RELATIONS, rel->key, err) &&
           db_remove(rel->db, DB_STATISTICS, rel->key, err) && hourly_forget(rel->db, rel->key, err);
}

/* Where a pause or an error returns to, and where a failed failover does. */
static void
remember_locked(struct relation *rel, enum repl_event event)
{
    struct relation_record *r = &rel->r;
    if (r->state == STATE_WAITING_INITIAL || r->state == STATE_REPLICATING)
        r->resume_to = r->state;
    if (event == EVENT_FAILOVER_START)
        r->failover_from = r->state;
}

static void
say_change(const struct relation_record *r, enum repl_state from, const char *what, const char *reason)
{
    g_autofree char *text = g_strdup_printf("Guest '%s': %s -> %s, %s%s%s", r->name, state_name(from), state_name(r->state), what,
                                            reason ? ": " : ".", reason ? reason : "");
    if (r->state == STATE_CRITICAL)
        log_event(LOG_LEVEL_ERROR, LOG_EVENT_STOPPED, "%s", text);
    else
        log_info("%s", text);
}

bool
relation_event_locked(struct relation *rel, enum repl_event event, const char *reason, GError **err)
{
    struct relation_record *r = &rel->r;
    const struct transition *t = state_next(rel->side, r->state, event);
    if (!t)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s', which does not permit '%s'.", r->name,
                       state_name(r->state), event_name(event));
    const enum repl_state from = r->state, resume_to = r->resume_to, failover_from = r->failover_from;
    g_autofree char *old_reason = g_steal_pointer(&r->reason);
    remember_locked(rel, event);
    r->state = t->to != STATE_BEFORE ? t->to : event == EVENT_FAILOVER_FAILED ? r->failover_from : r->resume_to;
    r->reason = g_strdup(r->state == STATE_CRITICAL ? reason : NULL);
    if (!relation_save_locked(rel, err)) {
        r->state = from;
        r->resume_to = resume_to;
        r->failover_from = failover_from;
        g_free(r->reason);
        r->reason = g_steal_pointer(&old_reason);
        return false;
    }
    if (from != r->state)
        say_change(r, from, t->reason, reason);
    return true;
}

bool
relation_event(struct relation *rel, enum repl_event event, const char *reason, GError **err)
{
    HOLD(&rel->lock);
    return relation_event_locked(rel, event, reason, err);
}

enum repl_state
relation_state(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.state;
}

char *
relation_name(struct relation *rel)
{
    HOLD(&rel->lock);
    return g_strdup(rel->r.name);
}

bool
relation_rename_locked(struct relation *rel, const char *name, GError **err)
{
    log_info("Guest '%s' is called '%s' now.", rel->r.name, name);
    g_ptr_array_add(rel->names, rel->r.name);
    __atomic_store_n(&rel->r.name, g_strdup(name), __ATOMIC_RELEASE);
    return relation_save_locked(rel, err);
}

void
relation_pace_locked(struct relation *rel)
{
    struct rates rates;
    const struct repl_settings *s = &rel->settings;
    if (!s->bandwidth_hours || !rates_parse(s->bandwidth_hours, &rates, NULL)) /* it was parsed before it was saved */
        rates_always(&rates, s->bandwidth);
    throttle_set_rates(rel->s.pace, &rates);
}

/* A message without the names and numbers in it. */
static char *
words_of(const char *text)
{
    GString *out = g_string_new(NULL);
    for (const char *at = text; *at; at++) {
        const char *end = *at == '\'' && (at == text || !g_ascii_isalnum(at[-1])) ? strchr(at + 1, '\'') : NULL;
        if (end)
            at = end;
        else if (!g_ascii_isdigit(*at))
            g_string_append_c(out, *at);
    }
    return g_string_free(out, FALSE);
}

static bool
is_same_trouble(const struct relation *rel, const GError *why)
{
    if (!rel->trouble || rel->trouble_domain != why->domain || rel->trouble_code != why->code)
        return false;
    g_autofree char *before = words_of(rel->trouble), *now = words_of(why->message);
    return err_is(why, ERR_NO_SPACE) || !strcmp(before, now);
}

static void
trouble_over_locked(struct relation *rel)
{
    if (!rel->trouble)
        return;
    g_clear_pointer(&rel->trouble, g_free);
    log_info("Guest '%s': replication goes on.", rel->r.name);
}

void
relation_trouble(struct relation *rel, bool sends, const GError *why)
{
    HOLD(&rel->lock);
    rel->troubles += why != NULL;
    g_cond_broadcast(&rel->changed);
    if (why && !sends && rel->trouble && rel->trouble_sends)
        return; /* what keeps logs from the replica weighs more, and often causes the rest */
    rel->trouble_sends = sends;
    if (!why)
        return trouble_over_locked(rel);
    if (!is_same_trouble(rel, why))
        log_event(LOG_LEVEL_WARNING, rel->side == SIDE_SENDER ? LOG_EVENT_NOT_SENT : LOG_EVENT_NOT_APPLIED, "Guest '%s': %s", rel->r.name,
                  why->message);
    g_free(rel->trouble);
    rel->trouble = g_strdup(why->message);
    rel->trouble_domain = why->domain;
    rel->trouble_code = why->code;
}

bool
relation_is_news(char **said, const GError *why)
{
    if (!g_strcmp0(*said, why->message))
        return false;
    g_free(*said);
    *said = g_strdup(why->message);
    return true;
}

void
relation_captured_locked(struct relation *rel)
{
    if (!rel->trouble_sends)
        trouble_over_locked(rel);
}

void
relation_halt(struct relation *rel, bool halt)
{
    HOLD(&rel->lock);
    g_atomic_int_set(&rel->halt, halt);
    if (halt && rel->s.peer) {
        wire_peer_abort(rel->s.peer); /* for good */
        rel->s.peer_stale = true;
    }
    if (halt && rel->s.outbox)
        outbox_wake(rel->s.outbox);
    g_cond_broadcast(&rel->changed);
}

void
relation_tail(struct relation *rel, struct uuid *id, guint64 *sequence)
{
    struct outbox_log last;
    HOLD(&rel->lock);
    *id = rel->r.acked;
    *sequence = rel->r.acked_sequence;
    if (outbox_last(rel->s.outbox, &last)) {
        *id = last.id;
        *sequence = last.sequence;
    }
}
