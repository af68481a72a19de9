/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/send.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "log/reader.h"
#include "log/verify.h"
#include "repl/export.h"
#include "repl/extend.h"
#include "repl/late.h"
#include "repl/peers.h"
#include "repl/supersede.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const gint64 BUSY_US = 2 * (gint64)G_USEC_PER_SEC; /* the replica host is not ready yet, but there: no back-off */

static guint
listening_port(struct core *c)
{
    struct repl_host_settings host;
    core_host(c, &host);
    const guint port = host.recovery_enabled ? host.https_port : 0;
    repl_host_settings_clear(&host);
    return port;
}

void
send_make_offer(struct core *c, struct relation *rel, const struct vm_facts *facts, struct wire_offer *out)
{
    const struct repl_settings *s = &rel->settings;
    const guint port = listening_port(c);
    HOLD(&rel->lock);
    *out = (struct wire_offer){
        .vm = rel->vm, .name = g_strdup(rel->r.name), .primary_host = g_strdup(c->config.host),
        .domain_xml = g_strdup(facts ? facts->xml : NULL), .epoch = rel->r.epoch, .interval_ms = repl_settings_period_ms(s),
        .history = s->history, .keep_every_s = s->keep_every_s, .app_interval_h = s->app_interval_h,
        .port = port, .extended = rel->index == 1, .additional = g_strdup(s->additional),
        .disks = g_array_new(FALSE, TRUE, sizeof(struct wire_disk)),
    };
    for (guint i = 0; facts && rel->r.targets[i]; i++) {
        struct wire_disk disk = { (guint16)i, g_strdup(rel->r.targets[i]), 0 }; /* 0: it is not there now */
        for (guint j = 0; j < facts->disks->len; j++) {
            const struct vm_disk *d = facts->disks->pdata[j];
            if (!g_strcmp0(d->target, rel->r.targets[i]))
                disk.size = d->size;
        }
        g_array_append_val(out->disks, disk);
    }
}

/* ---- acknowledgements ---- */

/* The next point is needed two intervals after this one: what is captured an interval later has one more to get there. */
static void
set_deadline_locked(struct relation *rel, const struct outbox_log *log)
{
    const gint64 age = CLAMP(clock_wall_us() - log->capture_us, 0, G_TIME_SPAN_DAY); /* whatever became of the clock */
    const gint64 needed = g_get_monotonic_time() - age + 2 * (gint64)repl_settings_period_ms(&rel->settings) * 1000;
    struct task *const tasks[] = { rel->s.cycle, rel->s.send };
    for (guint i = 0; i < G_N_ELEMENTS(tasks); i++)
        if (tasks[i])
            task_deadline(tasks[i], needed);
}

static void
count_sent_locked(struct relation *rel, const struct outbox_log *log)
{
    if (log->fuzzy) {
        stats_copied(&rel->stats, log->raw_bytes, log->bytes);
        return;
    }
    set_deadline_locked(rel, log);
    const bool packs = rel->settings.compression && rel->settings.compress != COMPRESS_NONE;
    const gint64 latency_us = clock_mono_us() - log->queued_us;
    log_debug("Guest '%s': change log %" G_GUINT64_FORMAT " is with the replica %.2f ms after its cycle began.", rel->r.name, log->sequence,
              (double)latency_us / 1000);
    stats_success(&rel->stats, log->raw_bytes, log->bytes, latency_us);
    churn_note(&rel->s.churn, &(struct churn_cycle){ log->id, log->capture_us, log->raw_bytes, log->bytes, packs });
}

static bool
advance_locked(struct relation *rel, const struct outbox_log *log, GError **err)
{
    struct relation_record *r = &rel->r;
    const struct relation_record old = *r;
    r->acked = log->id;
    r->acked_sequence = log->sequence;
    r->last_us = clock_wall_us();
    if (!log->fuzzy)
        r->last_type = log->kind;
    if (!log->fuzzy && log->kind == LOG_KIND_APPLICATION)
        r->last_app_us = r->last_us;
    if (log->fuzzy)
        rel->s.read_acked += log->raw_bytes;
    const bool whole = !log->fuzzy && (r->state == STATE_WAITING_INITIAL || (r->state == STATE_RESYNC && !rel->s.want_compare));
    const enum repl_event done = r->state == STATE_RESYNC ? EVENT_RESYNC_DONE : EVENT_INITIAL_DONE;
    if (whole ? relation_event_locked(rel, done, NULL, err) : relation_save_late_locked(rel, err)) {
        count_sent_locked(rel, log);
        return true;
    }
    r->acked = old.acked;
    r->acked_sequence = old.acked_sequence;
    r->last_us = old.last_us;
    r->last_type = old.last_type;
    r->last_app_us = old.last_app_us;
    return false;
}

bool
send_note(struct relation *rel, const struct outbox_log *log, GError **err)
{
    HOLD(&rel->lock);
    return advance_locked(rel, log, err);
}

/* The replica has this log and all before it: saved first, then the files go (late.h). */
static bool
acknowledge(struct relation *rel, const struct outbox_log *log, GError **err)
{
    if (!send_note(rel, log, err))
        return false;
    outbox_acknowledged(rel->s.outbox, &log->id);
    late_note(rel->core->late, rel, log->sequence);
    if (log->fuzzy) /* they come in a row, and the next one wants the file */
        late_flush(rel->core->late, NULL); /* else a second later */
    return true;
}

/* ---- where does the replica stand ---- */

static bool
take_epoch(struct core *c, struct relation *rel, struct wire_peer *peer, guint64 theirs, GError **err)
{
    struct wire_offer offer;
    bool adopt;
    {
        HOLD(&rel->lock);
        if (theirs <= rel->r.epoch && !rel->r.adopt_epoch)
            return true;
        adopt = rel->r.adopt_epoch;
    }
    if (!adopt)
        return err_set(err, ERR_FAILED_OVER,
                       "The replica of guest '%s' was failed over meanwhile; resume replication here if it was reverted.", rel->r.name);
    {
        HOLD(&rel->lock);
        rel->r.epoch = MAX(rel->r.epoch, theirs);
    }
    send_make_offer(c, rel, NULL, &offer);
    const bool ok = wire_peer_settings(peer, &offer, err);
    wire_offer_clear(&offer);
    if (!ok)
        return false;
    HOLD(&rel->lock);
    rel->r.adopt_epoch = false;
    return relation_save_locked(rel, err);
}

/* Takes `why`. */
static bool
ask_rebase(struct relation *rel, const struct uuid *head, guint64 sequence, char *why, GError **err)
{
    err_set(err, ERR_OUT_OF_SEQUENCE, "%s", why);
    {
        HOLD(&rel->lock);
        rel->s.rebase = true;
        rel->s.rebase_head = *head;
        rel->s.rebase_sequence = sequence;
        g_free(rel->s.lost);
        rel->s.lost = why;
    }
    task_now(rel->s.cycle);
    return false;
}

/* What waits is of no use: the chain goes on from what the replica has acknowledged. */
static bool
give_up_outbox(struct relation *rel, char *why, GError **err)
{
    struct uuid acked;
    guint64 sequence;
    {
        HOLD(&rel->lock);
        acked = rel->r.acked;
        sequence = rel->r.acked_sequence;
    }
    return ask_rebase(rel, &acked, sequence, why, err);
}

static bool
lost_log(struct relation *rel, GError **err)
{
    guint64 sequence;
    {
        HOLD(&rel->lock);
        sequence = rel->r.acked_sequence + 1;
    }
    char *why = g_strdup_printf("Change log %" G_GUINT64_FORMAT ", which the replica needs next, was lost from the outbox.", sequence);
    log_error("Guest '%s': %s", rel->r.name, why);
    return give_up_outbox(rel, why, err);
}

/* Why the replica is not where it was left; one of the hosts was put back, or its disk was. */
static char *
misplaced(struct relation *rel, const struct wire_status *st)
{
    HOLD(&rel->lock);
    const guint64 ours = rel->r.acked_sequence;
    if (!st->has_head)
        return g_strdup_printf("The replica is empty, although it had change log %" G_GUINT64_FORMAT ".", ours);
    if (st->head_sequence < ours)
        return g_strdup_printf("The replica was put back to an earlier state: it stands at change log %" G_GUINT64_FORMAT ", and had %"
                               G_GUINT64_FORMAT ".", st->head_sequence, ours);
    if (st->head_sequence > ours)
        return g_strdup_printf("This host was put back to an earlier state: the replica stands at change log %" G_GUINT64_FORMAT
                               ", of which only %" G_GUINT64_FORMAT " is known here.", st->head_sequence, ours);
    return g_strdup_printf("The replica has another change log %" G_GUINT64_FORMAT " than the one that was sent.", ours);
}

/* What waits must go on where the replica stands. */
static bool
follows(struct relation *rel, const struct uuid *head, GError **err)
{
    struct outbox_log first;
    return !outbox_first(rel->s.outbox, &first) || uuid_equal(&first.parent, head) || lost_log(rel, err);
}

/* What waits first goes on there, so the replica has all before it. */
static bool
take_head(struct relation *rel, const struct uuid *head, guint64 sequence, GError **err)
{
    HOLD(&rel->lock);
    rel->r.acked = *head;
    rel->r.acked_sequence = sequence;
    return relation_save_locked(rel, err);
}

static bool
compare_heads(struct relation *rel, const struct wire_status *st, GError **err)
{
    struct outbox_log log;
    const struct uuid head = st->has_head ? st->head : UUID_NIL;
    bool agreed;
    {
        HOLD(&rel->lock);
        agreed = uuid_equal(&head, &rel->r.acked);
    }
    if (!agreed && st->has_head && outbox_first(rel->s.outbox, &log) && uuid_equal(&log.parent, &head))
        return take_head(rel, &head, log.sequence - 1, err);
    if (agreed) /* the file of an acknowledged log is still there when it could not be removed, or this host went down before */
        return outbox_drop_through(rel->s.outbox, &head, err) && follows(rel, &head, err);
    if (st->has_head && outbox_find(rel->s.outbox, &st->head, &log))
        return acknowledge(rel, &log, err);
    return ask_rebase(rel, &head, st->head_sequence, misplaced(rel, st), err);
}

static bool
reconcile(struct core *c, struct relation *rel, struct wire_peer *peer, struct wire_status *st, GError **err)
{
    if (!wire_peer_status(peer, &rel->vm, st, err))
        return false;
    if (!supersede_note(c, rel, st, err))
        return false;
    const char *where = supersede_where(st, st->host ? st->host : "the other host");
    if (where)
        return err_set(err, ERR_FAILED_OVER, "The replica of guest '%s' on '%s' has failed over; nothing is sent.", rel->r.name, where);
    {
        HOLD(&rel->lock);
        rel->s.peer_log_version = st->log_version;
    }
    bool over = true;
    if (export_waits(rel) && !export_look(rel, st, &over, err))
        return false;
    return !over || (take_epoch(c, rel, peer, st->epoch, err) && (rel->index || compare_heads(rel, st, err)));
}

/* ---- one connection ---- */

static void
disconnect(struct relation *rel)
{
    struct wire_peer *peer;
    {
        HOLD(&rel->lock);
        peer = g_steal_pointer(&rel->s.peer);
        rel->s.peer_known = rel->s.peer_stale = false;
    }
    wire_peer_free(peer);
}

/* All is sent: another guest may use the connection.  What was learnt about the replica stays true. */
static void
give_back(struct core *c, struct relation *rel)
{
    g_autofree char *host = NULL;
    guint port;
    struct wire_peer *peer;
    {
        HOLD(&rel->lock);
        if (rel->s.peer_stale || g_atomic_int_get(&rel->halt))
            return;
        host = g_strdup(rel->settings.recovery_host);
        port = rel->settings.recovery_port;
        peer = g_steal_pointer(&rel->s.peer);
    }
    peers_give(c->peers, host, port, peer);
}

static bool
is_stale(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->s.peer_stale;
}

static struct wire_peer *
connect_peer(struct core *c, struct relation *rel, GError **err)
{
    if (is_stale(rel))
        disconnect(rel);
    HOLD(&rel->lock);
    if (g_atomic_int_get(&rel->halt)) {
        err_set(err, ERR_CANCELLED, "Sending was stopped.");
        return NULL;
    }
    if (!c->config.identity)
        err_set(err, ERR_NOT_AVAILABLE, "This host has no certificate; see 'vmreplica pki'.");
    else if (!rel->s.peer)
        rel->s.peer = peers_take(c->peers, rel->settings.recovery_host, rel->settings.recovery_port)
                          ?: wire_peer_new(rel->settings.recovery_host, rel->settings.recovery_port, c->config.identity, err);
    return rel->s.peer;
}

static bool
known(struct relation *rel, bool *want_status)
{
    HOLD(&rel->lock);
    *want_status = rel->s.want_status;
    return rel->s.peer_known;
}

/* An idle cycle of a stopped guest: the replica answered, so it is as current as the guest. */
static void
finish_idle(struct relation *rel)
{
    HOLD(&rel->lock);
    if (!rel->s.want_status)
        return;
    rel->s.want_status = false;
    if (rel->r.exported)
        return;
    rel->r.last_us = clock_wall_us(); /* saved with the next change: a stopped guest should cost no write per cycle */
    stats_success(&rel->stats, 0, 0, 0);
}

void
send_ask_again_locked(struct relation *rel)
{
    rel->s.peer_known = false;
    task_now(rel->s.send);
}

static bool
send_log(struct relation *rel, struct wire_peer *peer, const struct outbox_log *log, guint64 offset, GError **err)
{
    struct wire_status st = { 0 };
    struct throttle *limits[CORE_LIMITS];
    core_limits(rel->core, rel, limits);
    g_autofree char *path = outbox_path(rel->s.outbox, log);
    const gint64 begun = g_get_monotonic_time();
    const bool ok = wire_peer_send_log(peer, &rel->vm, &log->id, path, offset, limits, NULL, &st, err);
    const guint version = st.log_version;
    const bool over = supersede_where(&st, "") != NULL;
    wire_status_clear(&st);
    if (!ok)
        return false;
    {
        HOLD(&rel->lock);
        if (over)
            send_ask_again_locked(rel);
        rel->s.peer_log_version = version; /* its program may have been replaced behind a connection that was made anew */
        compress_note_sent(&rel->s.meter, log->bytes - MIN(offset, log->bytes), g_get_monotonic_time() - begun);
    }
    return acknowledge(rel, log, err);
}

/* A replica that calls a log damaged is right when the file is: then it goes, and the disks are read again.  A file that cannot be opened
 * now is not judged. */
static bool
judge_corrupt(struct relation *rel, const struct outbox_log *log, GError **err)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *path = outbox_path(rel->s.outbox, log);
    if (log_check_file(path, &why))
        return err_set(err, ERR_NETWORK, "The replica found a change log damaged that is whole here; it is sent again.");
    if (err_is(why, ERR_NOT_FOUND))
        return lost_log(rel, err);
    if (!err_is_damage(why)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    log_error("Guest '%s': a change log in the outbox is damaged: %s", rel->r.name, why->message);
    return give_up_outbox(rel, g_strdup_printf("A change log in the outbox is damaged: %s", why->message), err);
}

/* Logs that were made before the replica host was put back to an older program: nobody there could read them. */
static bool
give_up_unread(struct relation *rel, const struct outbox_log *log, GError **err)
{
    char *why = g_strdup_printf("Change log %" G_GUINT64_FORMAT " has a format that the program on host '%s' does not read.", log->sequence,
                                rel->settings.recovery_host);
    {
        HOLD(&rel->lock);
        rel->s.peer_log_version = 1; /* until it says so again */
    }
    log_warning("Guest '%s': %s  What waits is given up and the disks are compared.", rel->r.name, why);
    return give_up_outbox(rel, why, err);
}

static bool
peer_reads(struct relation *rel, const struct outbox_log *log, bool *reads, GError **err)
{
    guint newest;
    {
        HOLD(&rel->lock);
        newest = rel->s.peer_log_version;
    }
    *reads = true;
    if (newest >= LOG_VERSION)
        return true;
    struct log_info info = { 0 };
    g_autofree char *path = outbox_path(rel->s.outbox, log);
    if (!log_read_info(path, &info, err))
        return false;
    *reads = info.version <= newest;
    log_info_clear(&info);
    return true;
}

static bool
is_gone(struct relation *rel, const struct outbox_log *log)
{
    g_autofree char *path = outbox_path(rel->s.outbox, log);
    return access(path, F_OK) != 0 && errno == ENOENT;
}

/* The next one, unless it has to wait for its guest's stamp. */
static bool
next_log(struct relation *rel, struct outbox_log *log)
{
    HOLD(&rel->lock);
    return outbox_first(rel->s.outbox, log) && !uuid_equal(&log->id, &rel->s.unstamped);
}

static bool
send_outbox(struct relation *rel, struct wire_peer *peer, const struct wire_status *st, GError **err)
{
    struct outbox_log log;
    while (!g_atomic_int_get(&rel->halt) && next_log(rel, &log)) {
        g_autoptr(GError) why = NULL;
        const bool half = st->has_part && uuid_equal(&st->part, &log.id);
        bool reads;
        if (is_gone(rel, &log))
            return lost_log(rel, err);
        if (!peer_reads(rel, &log, &reads, err))
            return false;
        if (!reads)
            return give_up_unread(rel, &log, err);
        if (send_log(rel, peer, &log, half ? st->part_bytes : 0, &why)) {
            if (task_crowded(rel->s.send)) { /* whoever waits longer, or is in a greater hurry, goes first */
                task_now(rel->s.send);
                return true;
            }
            continue;
        }
        if (err_is(why, ERR_CORRUPT))
            return judge_corrupt(rel, &log, err);
        if (err_is(why, ERR_NOT_SUPPORTED))
            return give_up_unread(rel, &log, err);
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    return true;
}

static bool
send_all(struct core *c, struct relation *rel, GError **err)
{
    struct wire_status st = { 0 };
    bool want_status;
    struct wire_peer *peer = connect_peer(c, rel, err);
    if (!peer)
        return false;
    bool ok = (known(rel, &want_status) && !want_status) || reconcile(c, rel, peer, &st, err);
    if (ok) {
        HOLD(&rel->lock);
        rel->s.peer_known = true;
    }
    if (ok && !export_waits(rel))
        ok = rel->index ? !st.state || extend_send(c, rel, peer, &st, err) : send_outbox(rel, peer, &st, err);
    if (ok)
        finish_idle(rel);
    wire_status_clear(&st);
    return ok;
}

/* ---- the task ---- */

static bool
may_send(struct relation *rel, gint64 *retry_at)
{
    HOLD(&rel->lock);
    *retry_at = rel->s.retry_at;
    rel->s.sending_last = rel->s.preparing;
    return !g_atomic_int_get(&rel->halt) && !rel->s.rebase &&
           state_sends(rel->r.state);
}

static gint64
stop_for_good(struct relation *rel, const GError *why)
{
    g_autoptr(GError) err = NULL;
    const enum repl_state now = relation_state(rel);
    const enum repl_event event = err_is(why, ERR_FAILED_OVER) && state_next(SIDE_SENDER, now, EVENT_PEER_FAILED_OVER)
                                      ? EVENT_PEER_FAILED_OVER
                                  : now == STATE_RESYNC ? EVENT_RESYNC_CANCEL
                                                        : EVENT_FAIL;
    if (!relation_event(rel, event, why->message, &err)) {
        log_warning("Guest '%s': its replication state could not be changed: %s", rel->r.name, err->message);
        return g_get_monotonic_time() + schedule_backoff_us(1, 60000);
    }
    relation_trouble(rel, true, NULL);
    relation_halt(rel, true); /* cycles end, too: what changes stays in the bitmap */
    return supersede_watch(rel->core, rel);
}

/* Said when the wait grows, not each time. */
static gint64
back_off_locked(struct relation *rel)
{
    const guint period_ms = repl_settings_period_ms(&rel->settings);
    const gint64 before = rel->s.failures ? schedule_backoff_us(rel->s.failures, period_ms) : 0;
    const gint64 wait = schedule_backoff_us(++rel->s.failures, period_ms);
    if (wait != before)
        log_event(LOG_LEVEL_INFO, LOG_EVENT_RETRY, "Guest '%s': sending to '%s' is tried again in %.1f s.", rel->r.name,
                  rel->settings.recovery_host, (double)wait / G_USEC_PER_SEC);
    return wait;
}

/* A try that began before a planned failover asked for the last changes says nothing about them; the one for them follows at once. */
static bool
overtaken(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->s.preparing && !rel->s.sending_last;
}

static gint64
try_again(struct relation *rel, const GError *why)
{
    const bool network = err_info_of(why)->cim == err_info(ERR_NETWORK)->cim || err_is(why, ERR_TIMEOUT), again = overtaken(rel);
    if (again)
        log_info("Guest '%s': %s  It is tried again for the planned failover.", rel->r.name, why->message);
    else
        relation_trouble(rel, true, why);
    HOLD(&rel->lock);
    stats_failure(&rel->stats, network);
    const bool busy = err_is(why, ERR_IN_USE) || (rel->s.preparing && err_is(why, ERR_OUT_OF_SEQUENCE));
    const gint64 wait = again ? 0 : busy ? BUSY_US : back_off_locked(rel);
    return rel->s.retry_at = g_get_monotonic_time() + wait;
}

static gint64
send_failed(struct relation *rel, const GError *why)
{
    bool rebase;
    disconnect(rel);
    {
        HOLD(&rel->lock);
        if (g_atomic_int_get(&rel->halt) || rel->removed)
            return SCHEDULE_IDLE;
        rebase = rel->s.rebase;
    }
    if (rebase) { /* the replica was reached; what follows is said as a loss of tracking */
        relation_trouble(rel, true, NULL);
        return SCHEDULE_IDLE;
    }
    if (err_is(why, ERR_CANCELLED) || err_info_of(why)->retry || why->domain != ERR)
        return try_again(rel, why);
    return stop_for_good(rel, why);
}

static gint64
send_done(struct relation *rel)
{
    give_back(rel->core, rel);
    {
        HOLD(&rel->lock);
        rel->s.failures = 0;
        rel->s.retry_at = 0;
        if (!rel->trouble || !rel->trouble_sends)
            return SCHEDULE_IDLE;
    }
    relation_trouble(rel, false, NULL);
    return SCHEDULE_IDLE;
}

gint64
send_task(void *user)
{
    struct relation *rel = user;
    g_autoptr(GError) why = NULL;
    gint64 retry_at;
    if (!may_send(rel, &retry_at)) {
        disconnect(rel);
        return supersede_watch(rel->core, rel);
    }
    if (export_runs(rel)) {
        rel->index ? extend_export(rel->core, rel) : export_some(rel);
        return SCHEDULE_IDLE;
    }
    if (retry_at > g_get_monotonic_time())
        return retry_at;
    return send_all(rel->core, rel, &why) ? send_done(rel) : send_failed(rel, why);
}
