/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/extend.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "log/reader.h"
#include "repl/activity.h"
#include "repl/establish.h"
#include "repl/export.h"
#include "repl/extendcompare.h"
#include "repl/extendfill.h"
#include "repl/prints.h"
#include "repl/send.h"
#include "repl/supersede.h"
#include "store/view.h"
#include "vm/fence.h"

#include <string.h>

struct relation *
extend_of(struct core *c, const struct uuid *vm)
{
    relation_auto rel = core_find(c, vm, 1);
    return rel && relation_state(rel) != STATE_DISABLED ? g_steal_pointer(&rel) : NULL;
}

struct relation *
extend_or_self(struct core *c, struct relation *rel)
{
    struct relation *extended = rel->side == SIDE_RECEIVER ? extend_of(c, &rel->vm) : NULL;
    if (!extended)
        return rel;
    relation_unref(rel);
    return extended;
}

/* ---- making it ---- */

struct relation *
extend_new(struct core *c, struct relation *base, const struct repl_settings *settings)
{
    struct relation *rel = relation_new(c, c->db, &base->vm, 1, SIDE_SENDER);
    HOLD(&base->lock);
    rel->r.mode = MODE_REPLICA;
    rel->r.name = g_strdup(base->r.name);
    rel->r.targets = g_strdupv(base->r.disks);
    rel->r.epoch = 1;
    rel->r.active_us = clock_wall_us();
    repl_settings_clear(&rel->settings);
    repl_settings_copy(&rel->settings, settings);
    return rel;
}

char *
extend_folder(struct relation *base)
{
    HOLD(&base->lock);
    return base->side == SIDE_RECEIVER && base->in.store ? g_strdup(base->r.folder) : NULL;
}

/* Disks as the newest state has them; the guest as A describes it. */
bool
extend_offer(struct core *c, struct relation *rel, struct wire_offer *out, GError **err)
{
    relation_auto base = core_find(c, &rel->vm, 0);
    g_autofree char *folder = base ? extend_folder(base) : NULL;
    g_autofree char *xml = core_definition(c, &rel->vm, err);
    if (!xml)
        return false;
    if (!folder)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is no replica with recovery points here.", rel->r.name);
    struct view *v = view_open(folder, NULL, err);
    if (!v)
        return false;
    send_make_offer(c, rel, NULL, out);
    out->domain_xml = g_steal_pointer(&xml);
    for (guint i = 0; i < view_info(v)->disk_count; i++) {
        const struct log_disk *d = &view_info(v)->disks[i];
        const struct wire_disk disk = { d->id, g_strdup(d->target), d->size };
        g_array_append_val(out->disks, disk);
    }
    view_close(v);
    return true;
}

/* ---- a round ---- */

gint64
extend_task(void *user)
{
    struct relation *rel = user;
    core_tick_stats(rel->core, rel, false);
    HOLD(&rel->lock);
    if (g_atomic_int_get(&rel->halt) || !state_sends(rel->r.state))
        return SCHEDULE_IDLE;
    if (rel->s.want_status && rel->r.state == STATE_REPLICATING)
        stats_miss(&rel->stats, 1); /* the round before is not over */
    rel->s.want_status = true;
    task_now(rel->s.send);
    return g_get_monotonic_time() + (gint64)repl_settings_period_ms(&rel->settings) * 1000;
}

/* What B's store holds now. */
struct chain {
    char *folder;
    GArray *logs;            /* struct store_log, oldest first */
    struct store_log base;
    bool has_base;
};

static bool
read_chain(struct relation *base, struct chain *out)
{
    *out = (struct chain){ 0 };
    HOLD(&base->lock);
    if (base->side != SIDE_RECEIVER || !base->in.store)
        return false;
    out->folder = g_strdup(base->r.folder);
    out->logs = store_logs(base->in.store);
    out->has_base = store_base(base->in.store, &out->base);
    return true;
}

static void
chain_clear(struct chain *ch)
{
    g_free(ch->folder);
    if (ch->logs)
        g_array_unref(ch->logs);
}

/* The first log that follows `head`; false: none of the chain is head. */
static bool
place_of(const struct chain *ch, const struct uuid *head, guint *next)
{
    for (guint i = 0; i < ch->logs->len; i++) {
        *next = i;
        if (uuid_equal(&g_array_index(ch->logs, struct store_log, i).parent, head))
            return true;
    }
    *next = ch->logs->len;
    const struct store_log *last = ch->logs->len ? &g_array_index(ch->logs, struct store_log, ch->logs->len - 1) : NULL;
    return last ? uuid_equal(&last->id, head) : ch->has_base && uuid_equal(&ch->base.id, head);
}

static char *
path_of(struct relation *base, const struct uuid *log)
{
    HOLD(&base->lock);
    return base->in.store ? store_log_path(base->in.store, log) : NULL;
}

static bool
merged_away(struct relation *rel, GError **err)
{
    return err_set(err, ERR_NOT_AVAILABLE, "A change log of guest '%s' was merged with its neighbour meanwhile.", rel->r.name);
}

static bool
send_one(struct relation *rel, struct relation *base, struct wire_peer *peer, const struct store_log *log, guint64 offset, gint64 begun_us,
         GError **err)
{
    struct wire_status st = { 0 };
    struct throttle *limits[CORE_LIMITS];
    core_limits(rel->core, rel, limits);
    g_autofree char *path = path_of(base, &log->id);
    if (!path)
        return merged_away(rel, err);
    const struct outbox_log note = { .id = log->id, .parent = log->parent, .sequence = log->sequence, .bytes = log->file_bytes,
                                     .raw_bytes = log->raw_bytes, .capture_us = log->capture_us, .queued_us = begun_us,
                                     .fuzzy = log->fuzzy, .kind = log->kind };
    const bool ok = wire_peer_send_log(peer, &rel->vm, &log->id, path, offset, limits, NULL, &st, err);
    wire_status_clear(&st);
    return ok && send_note(rel, &note, err);
}

/* With the pages that a comparison found different, if there are such. */
static bool
send_whole(struct relation *rel, struct relation *base, struct wire_peer *peer, const struct chain *ch, const struct store_log *log,
           guint64 offset, gint64 begun_us, GError **err)
{
    struct extendmend *mend = log->fuzzy ? NULL : extendmend_take(rel);
    if (!mend)
        return send_one(rel, base, peer, log, offset, begun_us, err);
    g_autofree char *path = path_of(base, &log->id);
    const bool ok = path ? extendfill_mend(rel->core, rel, ch->folder, path, peer, mend->found, err)
                         : merged_away(rel, err);
    extendmend_done(rel, mend, ok);
    return ok;
}

static bool
send_chain(struct relation *rel, struct relation *base, struct wire_peer *peer, const struct chain *ch, guint next,
           const struct wire_status *st, GError **err)
{
    const gint64 begun = clock_mono_us();
    for (guint i = next; i < ch->logs->len && !g_atomic_int_get(&rel->halt); i++) {
        const struct store_log *log = &g_array_index(ch->logs, struct store_log, i);
        const bool half = st->has_part && uuid_equal(&st->part, &log->id);
        if (!send_whole(rel, base, peer, ch, log, half ? st->part_bytes : 0, begun, err))
            return false;
    }
    return true;
}

/* C's program may be older than A's, which made these logs: then it is sent what differs instead, in a format that it knows. */
static bool
peer_reads(struct relation *base, const struct chain *ch, guint next, const struct wire_status *st)
{
    bool reads = true;
    for (guint i = next; i < ch->logs->len && reads && st->log_version < LOG_VERSION; i++) {
        struct log_info info = { 0 };
        g_autofree char *path = path_of(base, &g_array_index(ch->logs, struct store_log, i).id);
        reads = path && log_read_info(path, &info, NULL) && info.version <= st->log_version;
        log_info_clear(&info);
    }
    return reads;
}

static bool
wants_compare(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->s.want_compare;
}

/* C has what we thought, or more: also when an acknowledgement was lost. */
static bool
take_head(struct relation *rel, const struct uuid *head, guint64 sequence, GError **err)
{
    HOLD(&rel->lock);
    rel->s.want_status = false;
    if (uuid_equal(&rel->r.acked, head))
        return true;
    rel->r.acked = *head;
    rel->r.acked_sequence = sequence;
    return relation_save_locked(rel, err);
}

static bool
is_whole(const struct chain *ch, const struct uuid *log)
{
    for (guint i = 0; i < ch->logs->len; i++)
        if (uuid_equal(&g_array_index(ch->logs, struct store_log, i).id, log))
            return !g_array_index(ch->logs, struct store_log, i).fuzzy;
    return ch->has_base && uuid_equal(&ch->base.id, log) && !ch->base.fuzzy;
}

/* A copy that was complete but for the last acknowledgement. */
static bool
settle(struct relation *rel, const struct chain *ch, GError **err)
{
    HOLD(&rel->lock);
    const enum repl_event done = rel->r.state == STATE_RESYNC ? EVENT_RESYNC_DONE : EVENT_INITIAL_DONE;
    if ((rel->r.state != STATE_WAITING_INITIAL && rel->r.state != STATE_RESYNC) || rel->s.want_compare || !is_whole(ch, &rel->r.acked))
        return true;
    return relation_event_locked(rel, done, NULL, err);
}

static bool
fill(struct relation *rel, struct relation *base, struct wire_peer *peer, struct chain *ch, const struct wire_status *st, guint *next,
     GError **err)
{
    struct uuid tail;
    if (!extendfill_send(rel->core, rel, ch->folder, peer, st, &tail, err))
        return false;
    chain_clear(ch);
    if (!read_chain(base, ch)) /* committed meanwhile */
        return true;
    if (!place_of(ch, &tail, next))
        *next = ch->logs->len;
    return true;
}

/* Its store may only not be open yet. */
static bool
is_over(struct relation *base)
{
    return !base || base->side != SIDE_RECEIVER || relation_state(base) == STATE_COMMITTED;
}

bool
extend_send(struct core *c, struct relation *rel, struct wire_peer *peer, const struct wire_status *st, GError **err)
{
    relation_auto base = core_find(c, &rel->vm, 0);
    struct chain ch;
    guint next = 0;
    if (is_over(base)) /* there is nothing to send any more */
        return true;
    if (!read_chain(base, &ch))
        return err_set(err, ERR_NOT_AVAILABLE, "The replica of guest '%s' on this host, which is sent on, is not open.", rel->r.name);
    const bool known =
        st->has_head && place_of(&ch, &st->head, &next) && !wants_compare(rel) && peer_reads(base, &ch, next, st);
    bool ok = take_head(rel, st->has_head ? &st->head : &UUID_NIL, st->head_sequence, err) &&
              (known || fill(rel, base, peer, &ch, st, &next, err));
    ok = ok && (!ch.logs || (send_chain(rel, base, peer, &ch, next, st, err) && settle(rel, &ch, err)));
    chain_clear(&ch);
    return ok;
}

void
extend_export(struct core *c, struct relation *rel)
{
    relation_auto base = core_find(c, &rel->vm, 0);
    g_autofree char *folder = base ? extend_folder(base) : NULL, *dir = export_folder(rel);
    g_autoptr(GError) why = NULL;
    if (!folder && !is_over(base))
        return; /* the next round tries again */
    if (!folder) {
        err_set(&why, ERR_INVALID_STATE, "Guest '%s' is no replica with recovery points here any more.", rel->r.name);
        export_fail(rel, g_steal_pointer(&why));
    } else if (extendfill_export(c, rel, folder, dir, &why)) {
        relation_trouble(rel, true, NULL);
        export_say(rel, dir);
    } else if (err_is(why, ERR_NOT_AVAILABLE)) {
        relation_trouble(rel, true, why); /* the next round tries again */
    } else {
        export_fail(rel, g_steal_pointer(&why));
    }
}

/* ---- retention on B ---- */

/* Logs after what C has, oldest first: [*first, len) of the store's. */
static guint64
bytes_after(const struct chain *ch, const struct uuid *acked, guint *first)
{
    guint64 sum = 0;
    if (!place_of(ch, acked, first))
        *first = ch->logs->len;
    for (guint i = *first; i < ch->logs->len; i++)
        sum += g_array_index(ch->logs, struct store_log, i).file_bytes;
    return sum;
}

static void
pin(GHashTable **pins, const struct uuid *id)
{
    if (!*pins)
        *pins = g_hash_table_new_full(uuid_hash, uuid_same, g_free, NULL);
    g_hash_table_add(*pins, g_memdup2(id, sizeof *id));
}

static struct uuid
acked_of(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.acked;
}

/* The state that is being exported: a daemon that stops goes on with it. */
static void
pin_exported(struct relation *rel, GHashTable **pins)
{
    HOLD(&rel->lock);
    if (rel->r.export_dir && !rel->r.exported && !uuid_is_nil(&rel->r.export_point))
        pin(pins, &rel->r.export_point);
}

GHashTable *
extend_pins(struct core *c, struct relation *base, GHashTable *pins)
{
    relation_auto rel = extend_of(c, &base->vm);
    struct chain ch;
    guint first;
    if (!rel)
        return pins;
    pin_exported(rel, &pins);
    if (!read_chain(base, &ch))
        return pins;
    const struct uuid acked = acked_of(rel);
    if (!uuid_is_nil(&acked) && bytes_after(&ch, &acked, &first) <= c->config.outbox_max) {
        pin(&pins, &acked);
        for (guint i = first; i < ch.logs->len; i++)
            pin(&pins, &g_array_index(ch.logs, struct store_log, i).id);
    }
    chain_clear(&ch);
    return pins;
}

guint64
extend_pending(struct core *c, struct relation *rel)
{
    relation_auto base = core_find(c, &rel->vm, 0);
    const struct uuid acked = acked_of(rel);
    struct chain ch;
    guint first;
    guint64 sum = 0;
    if (!base || !read_chain(base, &ch))
        return 0;
    bytes_after(&ch, &acked, &first);
    for (guint i = first; i < ch.logs->len; i++)
        sum += g_array_index(ch.logs, struct store_log, i).raw_bytes;
    chain_clear(&ch);
    return sum;
}

/* ---- B becomes the primary of C ---- */

static struct relation *
promoted(struct core *c, struct relation *base, struct relation *rel)
{
    struct relation *fresh = relation_new(c, c->db, &rel->vm, 0, SIDE_SENDER);
    guint64 epoch;
    {
        HOLD(&base->lock);
        epoch = base->r.epoch;
    }
    HOLD(&rel->lock);
    fresh->r.mode = MODE_PRIMARY;
    fresh->r.state = rel->r.state;
    fresh->r.resume_to = rel->r.resume_to;
    fresh->r.name = g_strdup(rel->r.name);
    fresh->r.reason = g_strdup(rel->r.reason);
    fresh->r.targets = g_strdupv(rel->r.targets);
    fresh->r.epoch = MAX(epoch, rel->r.epoch) + 1;
    fresh->r.adopt_epoch = true; /* C learns the new epoch, and that it is no extended replica any more, at the next contact */
    fresh->r.acked = rel->r.acked;
    fresh->r.acked_sequence = rel->r.acked_sequence;
    fresh->r.last_us = rel->r.last_us;
    fresh->r.last_type = rel->r.last_type;
    fresh->r.active_us = clock_wall_us();
    repl_settings_clear(&fresh->settings);
    repl_settings_copy(&fresh->settings, &rel->settings);
    return fresh;
}

/* C is asked when it can be; whoever does not answer now is asked again before anything is sent. */
static bool
check_peer(struct core *c, struct relation *rel, GError **err)
{
    struct wire_status st = { 0 };
    g_autoptr(GError) why = NULL;
    const struct repl_settings *s = &rel->settings;
    struct wire_peer *peer = establish_dial(c, s->recovery_host, s->recovery_port, err);
    if (!peer)
        return false;
    const bool answered = wire_peer_status(peer, &rel->vm, &st, &why);
    const bool over = answered ? state_is_failed_over(st.state) : supersede_known(rel);
    if (!answered)
        log_warning("Guest '%s': its extended replica could not be asked: %s", rel->r.name, why->message);
    wire_status_clear(&st);
    wire_peer_free(peer);
    return !over || err_set(err, ERR_INVALID_STATE, "The extended replica of guest '%s' on host '%s' has failed over itself.", rel->r.name,
                            s->recovery_host);
}

bool
extend_promote_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct core *c = w->core;
    relation_auto base = core_find(c, &w->vm, 0);
    if (!base || !check_peer(c, w->rel, err))
        return false;
    job_progress(job, 50, "Making this host the primary");
    activity_end(w->rel);
    relation_auto fresh = promoted(c, base, w->rel);
    if (!prints_remove(c, fresh, err) || !core_replace(c, base, fresh, err) || !core_remove(c, w->rel, err)) {
        activity_revive(c, w->rel, NULL);
        return false;
    }
    if (!activity_attach(c, fresh, err) || !outbox_clear(fresh->s.outbox, err))
        return false;
    log_info("Guest '%s' is replicated from here to host '%s' now.", fresh->r.name, fresh->settings.recovery_host);
    activity_wake(fresh);
    return true;
}
