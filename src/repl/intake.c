/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/intake.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/compare.h"
#include "repl/extend.h"
#include "repl/group.h"
#include "repl/placeholder.h"
#include "repl/reverse.h"
#include "repl/space.h"
#include "repl/supersede.h"
#include "store/store.h"
#include "store/view.h"

#include <string.h>

static const gint64 SAVE_US = 30 * G_USEC_PER_SEC;
static const gint64 MAINTAIN_US = G_USEC_PER_SEC / 2; /* at least, and not twice as long */

struct upload {
    struct relation *rel;
    struct store_intake *in;
    struct uuid log;
    guint64 offset, wire_bytes;
    gint64 begun_us;
};

/* ---- who may ---- */

bool
intake_authorised(struct core *c, struct relation *rel, const struct net_peer *peer, GError **err)
{
    g_autofree char *group = NULL;
    {
        HOLD(&rel->lock);
        if (rel->side == SIDE_SENDER) {
            for (char **name = peer->names; name && *name; name++)
                if (rel->settings.recovery_host && !g_ascii_strcasecmp(*name, rel->settings.recovery_host))
                    return true;
            return err_set(err, ERR_PEER_REFUSED, "Guest '%s' is not replicated to the host that asks.", rel->r.name);
        }
        group = g_strdup(rel->r.trust_group);
    }
    return entries_allow(c->entries, peer, group, err);
}

static struct relation *
find(struct core *c, const struct net_peer *peer, const struct uuid *vm, GError **err)
{
    char text[UUID_TEXT];
    relation_auto rel = core_find(c, vm, 0);
    if (!rel || relation_state(rel) == STATE_DISABLED) {
        err_set(err, ERR_NO_SUCH_INSTANCE, "Guest '%s' is not replicated on host '%s'.", uuid_format(vm, text), c->config.host);
        return NULL;
    }
    return intake_authorised(c, rel, peer, err) ? g_steal_pointer(&rel) : NULL;
}

static struct relation *
find_replica(struct core *c, const struct net_peer *peer, const struct uuid *vm, GError **err)
{
    relation_auto rel = find(c, peer, vm, err);
    if (!rel)
        return NULL;
    if (rel->side == SIDE_RECEIVER)
        return g_steal_pointer(&rel);
    err_set(err, ERR_INVALID_STATE, "Guest '%s' is the primary on host '%s'.", rel->r.name, c->config.host);
    return NULL;
}

/* It opens by itself when its file system is there again: the sender only has to wait. */
static bool
refuse_shut_locked(struct core *c, struct relation *rel, GError **err)
{
    return err_set(err, ERR_NOT_AVAILABLE, "The replica of guest '%s' in folder '%s' on host '%s' is not open%s%s", rel->r.name,
                   rel->r.folder, c->config.host, rel->r.reason ? ": " : ".", rel->r.reason ? rel->r.reason : "");
}

static bool
may_receive_locked(struct core *c, struct relation *rel, GError **err)
{
    const struct relation_record *r = &rel->r;
    if (rel->in.shut && r->state != STATE_SUSPENDED)
        return refuse_shut_locked(c, rel, err);
    switch (r->state) {
    case STATE_WAITING_INITIAL:
    case STATE_REPLICATING:
        break;
    case STATE_SUSPENDED:
        return err_set(err, ERR_NOT_AVAILABLE, "Replication of guest '%s' is paused on the replica host '%s'; resume it there.", r->name,
                       c->config.host);
    case STATE_FAILING_OVER: /* may still fail and be undone: the sender must not stop for that */
        return err_set(err, ERR_NOT_AVAILABLE, "A failover of guest '%s' is under way on host '%s'.", r->name, c->config.host);
    case STATE_RECOVERED:
    case STATE_COMMITTED:
        return err_set(err, ERR_FAILED_OVER, "Guest '%s' has failed over to host '%s'.", r->name, c->config.host);
    default:
        return err_set(err, ERR_INVALID_STATE, "The replica of guest '%s' on host '%s' is in state '%s'%s%s", r->name, c->config.host,
                       state_name(r->state), r->reason ? ": " : ".", r->reason ? r->reason : "");
    }
    if (r->seeding)
        return err_set(err, ERR_IN_USE, "The disks of guest '%s' on host '%s' are still being made into a replica.", r->name,
                       c->config.host);
    if (rel->in.importing)
        return err_set(err, ERR_IN_USE, "The initial replica of guest '%s' is being imported on host '%s'.", r->name, c->config.host);
    if (r->peer_epoch < r->epoch)
        return err_set(err, ERR_FAILED_OVER,
                       "The replica of guest '%s' was failed over and reverted; resume replication on the primary to go on.", r->name);
    return (!rel->removed && !r->removing) || err_set(err, ERR_NO_SUCH_INSTANCE, "The replica of guest '%s' was removed.", r->name);
}

/* ---- questions ---- */

static bool
on_hello(void *user, const struct net_peer *peer, struct wire_hello *out, GError **err)
{
    struct core *c = user;
    struct repl_host_settings host;
    core_host(c, &host);
    struct repl_entry *entry = entries_match(c->entries, peer, NULL);
    *out = (struct wire_hello){ .host = g_strdup(c->config.host), .recovery_enabled = host.recovery_enabled, .authorised = entry != NULL };
    repl_entry_free(entry);
    repl_host_settings_clear(&host);
    return true;
}

/* Who asks a primary wants to start the guest: not to know must not sound like "it is off".  Who asks a replica would pause a guest for the
 * answer "it runs". */
static bool
may_run(struct core *c, struct relation *rel, bool primary)
{
    enum vm_power power = VM_OFF;
    g_autoptr(GError) why = NULL;
    if (c->vm->power_get(c->vms, &rel->vm, &power, &why))
        return power != VM_OFF && power != VM_SAVED;
    return primary && !err_is(why, ERR_NO_SUCH_INSTANCE);
}

static void
stand(struct core *c, struct relation *rel, bool primary, struct wire_status *out)
{
    struct store_log head;
    const bool runs = may_run(c, rel, primary);
    HOLD(&rel->lock);
    *out = (struct wire_status){ .epoch = rel->r.epoch, .host = g_strdup(c->config.host), .state = g_strdup(state_name(rel->r.state)),
                                 .running = runs || rel->r.away, .log_version = c->config.log_version };
    if (!rel->in.store)
        return;
    if (store_head(rel->in.store, &head)) {
        out->has_head = true;
        out->head = head.id;
        out->head_sequence = head.sequence;
    }
    if (uuid_is_nil(&rel->in.part))
        return;
    out->part = rel->in.part;
    out->part_bytes = store_incoming_size(rel->in.store, &rel->in.part);
    out->has_part = out->part_bytes > 0;
}

static void
describe(struct core *c, struct relation *rel, bool primary, struct wire_status *out)
{
    stand(c, rel, primary, out);
    supersede_tell(c, &rel->vm, out);
}

bool
intake_is_ready_locked(struct relation *rel, GError **err)
{
    if (rel->r.seeding)
        return err_set(err, ERR_IN_USE, "The disks of guest '%s' on host '%s' are still being made into a replica.", rel->r.name,
                       rel->core->config.host);
    if (rel->side == SIDE_RECEIVER && !rel->in.store && !state_is_failed_over(state_name(rel->r.state)))
        return refuse_shut_locked(rel->core, rel, err);
    return true;
}

static bool
is_ready(struct relation *rel, GError **err)
{
    HOLD(&rel->lock);
    return intake_is_ready_locked(rel, err);
}

/* The third host may ask whether the guest runs here. */
static bool
is_extended_to(struct core *c, const struct uuid *vm, const struct net_peer *peer)
{
    relation_auto rel = extend_of(c, vm);
    return rel && intake_authorised(c, rel, peer, NULL);
}

static bool
on_status(void *user, const struct net_peer *peer, const struct uuid *vm, struct wire_status *out, GError **err)
{
    struct core *c = user;
    const bool extended = is_extended_to(c, vm, peer);
    relation_auto rel = extended ? core_find(c, vm, 0) : find(c, peer, vm, err);
    if (!rel || !is_ready(rel, err))
        return false;
    describe(c, rel, extended || rel->side == SIDE_SENDER, out);
    if (out->elsewhere)
        supersede_ask(c, vm);
    return true;
}

static bool
on_hashes(void *user, const struct net_peer *peer, const struct wire_hash_query *query, struct wire_hashes *out, GError **err)
{
    relation_auto rel = find_replica(user, peer, &query->vm, err);
    return rel && is_ready(rel, err) && compare_answer(rel, query, out, err);
}

/* ---- offers ---- */

static bool
guest_is_free(struct core *c, const struct wire_offer *offer, GError **err)
{
    g_autoptr(GError) why = NULL;
    vm_facts_auto facts = c->vm->facts_get(c->vms, &offer->vm, &why);
    if (facts)
        return err_set(err, ERR_EXISTS, "A guest with the identity of '%s' exists on host '%s' and is no replica. Undefine it there, or "
                                        "make its disks the start of the replica there: vmreplica demote %s.", offer->name,
                       c->config.host, offer->name);
    if (err_is(why, ERR_NO_SUCH_INSTANCE))
        return true;
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

static bool
same_sizes(const struct view *v, const struct wire_offer *offer, GError **err)
{
    const struct log_info *info = view_info(v);
    for (guint i = 0; i < offer->disks->len; i++) {
        const struct wire_disk *d = &g_array_index(offer->disks, struct wire_disk, i);
        const struct log_disk *here = log_info_disk(info, d->id);
        if (!here || here->size != d->size)
            return err_set(err, ERR_INVALID_PARAMETER, "Disk '%s' of guest '%s' has %" G_GUINT64_FORMAT " bytes, its copy on the replica "
                           "host %" G_GUINT64_FORMAT "; make them equal first.", d->target, offer->name, d->size, here ? here->size : 0);
    }
    return true;
}

/* A copy that is there already is one of the same disks, or it is of no use. */
static bool
same_disks(struct core *c, struct relation *rel, const struct wire_offer *offer, GError **err)
{
    struct store_log head;
    g_auto(GStrv) targets = placeholder_targets(offer, err);
    if (!targets)
        return false;
    if (!g_strv_equal((const char *const *)targets, (const char *const *)rel->r.disks))
        return err_set(err, ERR_INVALID_PARAMETER, "Guest '%s' is a replica with other disks on host '%s'; remove its replication there.",
                       offer->name, c->config.host);
    if (!store_head(rel->in.store, &head))
        return true;
    struct view *v = view_open_log(store_dir(rel->in.store), &head.id, err);
    const bool same = v && same_sizes(v, offer, err);
    if (v)
        view_close(v);
    return same;
}

/* A guest that was made a replica to be a seed; or a primary that created the relationship and lost its own record of it asks again. */
static bool
adopt(struct core *c, struct relation *rel, const struct wire_offer *offer, GError **err)
{
    HOLD(&rel->lock);
    if (!intake_is_ready_locked(rel, err))
        return false;
    if (rel->side != SIDE_RECEIVER || rel->r.state != STATE_WAITING_INITIAL)
        return err_set(err, ERR_EXISTS, "Guest '%s' is in replication state '%s' on host '%s'; remove its replication there first.",
                       offer->name, state_name(rel->r.state), c->config.host);
    if (!same_disks(c, rel, offer, err))
        return false;
    rel->r.epoch = rel->r.peer_epoch = MAX(rel->r.epoch, offer->epoch);
    placeholder_settings_locked(c, rel, offer);
    return relation_save_locked(rel, err);
}

static bool
on_offer(void *user, const struct net_peer *peer, const struct wire_offer *offer, struct wire_status *out, GError **err)
{
    struct core *c = user;
    struct repl_entry *entry = entries_match(c->entries, peer, err);
    if (!entry)
        return false;
    relation_auto rel = core_find(c, &offer->vm, 0);
    bool ok;
    if (rel)
        ok = intake_authorised(c, rel, peer, err) && adopt(c, rel, offer, err);
    else
        ok = guest_is_free(c, offer, err) && (rel = placeholder_make(c, offer, entry, peer->names[0], err)) != NULL;
    repl_entry_free(entry);
    if (ok)
        describe(c, rel, false, out);
    return ok;
}

static bool
on_reverse(void *user, const struct net_peer *peer, const struct wire_offer *offer, struct wire_status *out, GError **err)
{
    struct core *c = user;
    struct repl_entry *entry = entries_match(c->entries, peer, err);
    const bool ok = entry && reverse_accept(c, offer, entry, peer, out, err);
    repl_entry_free(entry);
    return ok;
}

static bool
on_settings(void *user, const struct net_peer *peer, const struct wire_offer *offer, GError **err)
{
    struct core *c = user;
    relation_auto rel = find_replica(c, peer, &offer->vm, err);
    if (!rel)
        return false;
    HOLD(&rel->lock);
    if (rel->r.state == STATE_FAILING_OVER || rel->r.state == STATE_RECOVERED || rel->r.state == STATE_COMMITTED)
        return err_set(err, ERR_FAILED_OVER, "Guest '%s' has failed over to host '%s'.", rel->r.name, c->config.host);
    if (offer->epoch < rel->r.epoch)
        return err_set(err, ERR_FAILED_OVER, "The other host does not know that guest '%s' was failed over.", rel->r.name);
    rel->r.epoch = rel->r.peer_epoch = offer->epoch;
    placeholder_settings_locked(c, rel, offer);
    if (rel->in.maintain)
        task_now(rel->in.maintain);
    return relation_save_locked(rel, err);
}

static bool
on_withdraw(void *user, const struct net_peer *peer, const struct uuid *vm, GError **err)
{
    struct store_log head;
    relation_auto rel = find_replica(user, peer, vm, err);
    if (!rel)
        return false;
    {
        HOLD(&rel->lock);
        if (!intake_is_ready_locked(rel, err))
            return false;
        if (rel->r.state != STATE_WAITING_INITIAL || rel->in.uploads || store_head(rel->in.store, &head))
            return err_set(err, ERR_INVALID_STATE, "The replica of guest '%s' holds data and is not withdrawn; remove it on host '%s'.",
                           rel->r.name, rel->core->config.host);
    }
    return placeholder_remove(user, rel, err);
}

/* ---- logs ---- */

static bool
enter(struct core *c, struct relation *rel, const struct uuid *log, GError **err)
{
    HOLD(&rel->lock);
    if (!may_receive_locked(c, rel, err))
        return false;
    rel->in.uploads++;
    rel->in.part = *log;
    return true;
}

/* The version is what a log begins with, after its magic (log/format.h). */
static bool
version_fits(const struct upload *u, const guint8 *data, size_t len, GError **err)
{
    const guint newest = u->rel->core->config.log_version;
    if (u->offset + u->wire_bytes > 0 || len < 10)
        return true;
    const guint version = data[8] | (guint)data[9] << 8;
    return version <= newest || err_set(err, ERR_NOT_SUPPORTED, "The change log has format version %u; this host reads versions 1 to %u.",
                                        version, newest);
}

static void
leave(struct relation *rel)
{
    HOLD(&rel->lock);
    rel->in.uploads--;
    g_cond_broadcast(&rel->changed);
}

static void
note_trouble(struct relation *rel, const GError *why)
{
    if (err_is(why, ERR_NO_SPACE) || err_is(why, ERR_IO))
        relation_trouble(rel, false, why);
}

static void *
on_log_open(void *user, const struct net_peer *peer, const struct uuid *vm, const struct uuid *log, guint64 offset, GError **err)
{
    relation_auto rel = find_replica(user, peer, vm, err);
    if (!rel || !space_admit(rel, err) || !enter(user, rel, log, err))
        return NULL;
    g_autoptr(GError) why = NULL;
    struct store_intake *in = store_intake_open(rel->in.store, log, offset, &why);
    if (!in) {
        note_trouble(rel, why);
        leave(rel);
        g_propagate_error(err, g_steal_pointer(&why));
        return NULL;
    }
    struct upload *u = g_new0(struct upload, 1);
    u->in = in;
    u->log = *log;
    u->offset = offset;
    u->begun_us = clock_mono_us();
    u->rel = g_steal_pointer(&rel);
    return u;
}

static bool
on_log_write(void *intake, const void *data, size_t len, GError **err)
{
    struct upload *u = intake;
    g_autoptr(GError) why = NULL;
    {
        HOLD(&u->rel->lock);
        if (!may_receive_locked(u->rel->core, u->rel, err))
            return false;
    }
    if (!version_fits(u, data, len, err))
        return false;
    u->wire_bytes += len;
    if (store_intake_write(u->in, data, len, &why))
        return true;
    note_trouble(u->rel, why);
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

static bool
received_locked(struct relation *rel, const struct store_log *log, guint64 wire_bytes, gint64 took_us, GError **err)
{
    struct relation_record *r = &rel->r;
    r->last_us = r->last_apply_us = clock_wall_us();
    rel->in.part = UUID_NIL;
    if (!log->fuzzy) {
        r->last_type = log->kind;
        if (log->kind == LOG_KIND_APPLICATION)
            r->last_app_us = r->last_us;
        stats_success(&rel->stats, log->raw_bytes, wire_bytes, took_us);
    } else {
        stats_copied(&rel->stats, log->raw_bytes, wire_bytes);
    }
    if (r->state == STATE_WAITING_INITIAL && !log->fuzzy)
        return relation_event_locked(rel, EVENT_INITIAL_DONE, NULL, err);
    /* The store is the truth about what arrived; the record follows now and then. */
    if (clock_mono_us() - rel->in.saved_us < SAVE_US)
        return true;
    rel->in.saved_us = clock_mono_us();
    return relation_save_late_locked(rel, err);
}

/* For all guests whose logs came within half a second at once: threads are woken once for many. */
static gint64
maintenance_time(void)
{
    const gint64 soonest = g_get_monotonic_time() + MAINTAIN_US;
    return soonest - soonest % MAINTAIN_US + MAINTAIN_US;
}

void
intake_note(struct relation *rel, const struct store_log *log, guint64 wire_bytes, gint64 took_us)
{
    g_autoptr(GError) why = NULL;
    HOLD(&rel->lock);
    if (!received_locked(rel, log, wire_bytes, took_us, &why))
        log_warning("Guest '%s': a received log could not be noted: %s", rel->r.name, why->message);
    if (rel->in.maintain)
        task_at(rel->in.maintain, maintenance_time());
    if (rel->in.prove && !rel->in.proof.record.begun_us && !rel->in.proof.record.ended_us)
        task_at(rel->in.prove, maintenance_time());
}

static bool
commit(struct relation *rel, struct upload *u, struct wire_status *out, GError **err)
{
    struct store_log log;
    g_autoptr(GError) why = NULL;
    if (!store_intake_commit(u->in, &log, &why)) {
        note_trouble(rel, why);
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    relation_trouble(rel, false, NULL);
    intake_note(rel, &log, u->offset + u->wire_bytes, clock_mono_us() - u->begun_us);
    if (!log.fuzzy && log.grouped)
        group_learn(rel->core, rel, &log.id);
    HOLD(&rel->lock);
    *out = (struct wire_status){.epoch = rel->r.epoch,
                                .host = g_strdup(rel->core->config.host),
                                .state = g_strdup(state_name(rel->r.state)),
                                .has_head = true,
                                .head = log.id,
                                .head_sequence = log.sequence,
                                .log_version = rel->core->config.log_version};
    return true;
}

static bool
on_log_commit(void *intake, struct wire_status *out, GError **err)
{
    struct upload *u = intake;
    struct relation *rel = u->rel;
    {
        HOLD(&rel->lock);
        if (!may_receive_locked(rel->core, rel, err))
            return false;
        rel->in.commits++;
    }
    const bool ok = commit(rel, u, out, err);
    if (ok)
        supersede_tell(rel->core, &rel->vm, out);
    HOLD(&rel->lock);
    rel->in.commits--;
    g_cond_broadcast(&rel->changed);
    return ok;
}

static void
on_log_close(void *intake)
{
    struct upload *u = intake;
    store_intake_close(u->in);
    leave(u->rel);
    relation_unref(u->rel);
    g_free(u);
}

bool
intake_quiesce(struct relation *rel, gint64 timeout_us)
{
    const gint64 deadline = g_get_monotonic_time() + timeout_us;
    HOLD(&rel->lock);
    while (rel->in.uploads && g_cond_wait_until(&rel->changed, &rel->lock, deadline))
        ;
    while (rel->in.commits || rel->in.merging || rel->in.proving)
        g_cond_wait(&rel->changed, &rel->lock);
    return !rel->in.uploads;
}

const struct wire_receiver_ops intake_ops = {
    .hello = on_hello, .offer = on_offer, .reverse = on_reverse, .settings = on_settings, .status = on_status, .withdraw = on_withdraw,
    .hashes = on_hashes,
    .log_open = on_log_open, .log_write = on_log_write, .log_commit = on_log_commit, .log_close = on_log_close,
};
