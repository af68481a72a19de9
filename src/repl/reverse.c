/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/reverse.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/activity.h"
#include "repl/establish.h"
#include "repl/failover.h"
#include "repl/guest.h"
#include "repl/intake.h"
#include "repl/placeholder.h"
#include "repl/seed.h"
#include "repl/send.h"

#include <string.h>

/* ---- the old primary ---- */

static void
answer_locked(struct core *c, const struct relation *rel, bool has_head, const struct uuid *head, guint64 sequence, struct wire_status *out)
{
    *out = (struct wire_status){ .epoch = rel->r.epoch, .host = g_strdup(c->config.host), .state = g_strdup(state_name(rel->r.state)),
                                 .has_head = has_head, .head = *head, .head_sequence = sequence, .log_version = c->config.log_version };
}

/* What the new primary says about itself, into a record that nobody else sees yet. */
static void
take_offer(struct core *c, struct relation *rel, const struct wire_offer *offer, const char *peer)
{
    rel->r.epoch = rel->r.peer_epoch = offer->epoch;
    g_free(rel->r.primary_host);
    rel->r.primary_host = g_strdup(peer);
    placeholder_settings_locked(c, rel, offer);
}

/* The guest's own disks are what the other host's guest was brought up from. */
static bool
check_prepared(struct relation *rel, const struct wire_offer *offer, GError **err)
{
    HOLD(&rel->lock);
    if (rel->r.state != STATE_PREPARED)
        return err_set(err, ERR_INVALID_STATE,
                       "Guest '%s' is in replication state '%s' on its old primary host; prepare the planned failover there, or make it a "
                       "replica (vmreplica demote).",
                       rel->r.name, state_name(rel->r.state));
    return (offer->has_head && uuid_equal(&offer->head, &rel->r.acked)) ||
           err_set(err, ERR_INVALID_STATE,
                   "The failover of guest '%s' did not go to its last change log; make it a replica on the old primary host first "
                   "(vmreplica demote).",
                   rel->r.name);
}

static struct relation *
swapped(struct core *c, struct relation *rel, const struct wire_offer *offer, const struct repl_entry *entry, const char *peer,
        GError **err)
{
    vm_facts_auto facts = c->vm->facts_get(c->vms, &rel->vm, err);
    g_auto(GStrv) targets = facts ? placeholder_targets(offer, err) : NULL;
    relation_auto fresh = targets ? seed_new(c, facts, (const char *const *)targets, entry, err) : NULL;
    if (!fresh)
        return NULL;
    fresh->r.state = STATE_REPLICATING;
    fresh->r.seed = offer->head;
    fresh->r.seed_sequence = offer->head_sequence;
    take_offer(c, fresh, offer, peer);
    return g_steal_pointer(&fresh);
}

static bool
swap_prepared(struct core *c, struct relation *rel, const struct wire_offer *offer, const struct repl_entry *entry, const char *peer,
              struct wire_status *out, GError **err)
{
    char job[UUID_TEXT];
    relation_auto fresh = swapped(c, rel, offer, entry, peer, err);
    if (!fresh || !core_save_definition(c, &rel->vm, offer->domain_xml, err) || !core_replace(c, rel, fresh, err) ||
        !placeholder_fence(c, fresh, err) || !seed_begin(c, fresh, "vmreplicad", job, err))
        return false;
    log_info("Guest '%s' is a replica of host '%s' now.", fresh->r.name, peer);
    HOLD(&fresh->lock); /* it is being made already */
    answer_locked(c, fresh, true, &offer->head, offer->head_sequence, out);
    return true;
}

/* It was made a replica before, or the question is repeated. */
static bool
adopt(struct core *c, struct relation *rel, const struct wire_offer *offer, const char *peer, struct wire_status *out, GError **err)
{
    struct store_log head;
    HOLD(&rel->lock);
    const bool ours = !g_strcmp0(rel->r.primary_host, peer);
    if (rel->r.seeding && rel->r.state == STATE_WAITING_INITIAL)
        return err_set(err, ERR_IN_USE, "The disks of guest '%s' on host '%s' are still being made into a replica.", rel->r.name,
                       c->config.host);
    if (ours && offer->has_head && uuid_equal(&offer->head, &rel->r.seed) && offer->epoch == rel->r.epoch) {
        answer_locked(c, rel, true, &offer->head, offer->head_sequence, out);
        return true;
    }
    if (!intake_is_ready_locked(rel, err))
        return false;
    if (rel->r.state != STATE_WAITING_INITIAL || (rel->r.primary_host && !ours))
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is a replica of host '%s' in replication state '%s' on host '%s'.", rel->r.name,
                       rel->r.primary_host ? rel->r.primary_host : "none", state_name(rel->r.state), c->config.host);
    take_offer(c, rel, offer, peer);
    if (!relation_save_locked(rel, err))
        return false;
    const bool has_head = store_head(rel->in.store, &head);
    answer_locked(c, rel, has_head, has_head ? &head.id : &UUID_NIL, has_head ? head.sequence : 0, out);
    return true;
}

bool
reverse_accept(struct core *c, const struct wire_offer *offer, const struct repl_entry *entry, const struct net_peer *peer,
               struct wire_status *out, GError **err)
{
    char text[UUID_TEXT];
    relation_auto rel = core_find(c, &offer->vm, 0);
    if (!rel || relation_state(rel) == STATE_DISABLED)
        return err_set(err, ERR_NO_SUCH_INSTANCE, "Guest '%s' is not replicated on host '%s'; make it a replica there (vmreplica demote).",
                       uuid_format(&offer->vm, text), c->config.host);
    if (rel->side == SIDE_RECEIVER)
        return adopt(c, rel, offer, peer->names[0], out, err);
    return work_free_to_change(c, &rel->vm, err) && check_prepared(rel, offer, err) &&
           swap_prepared(c, rel, offer, entry, peer->names[0], out, err);
}

/* ---- a guest becomes a replica ---- */

static struct repl_entry *
entry_for(struct core *c, struct relation *rel)
{
    char *names[] = { rel ? rel->settings.recovery_host : NULL, NULL };
    const struct net_peer peer = { .names = names };
    struct repl_entry *entry = rel ? entries_match(c->entries, &peer, NULL) : NULL;
    if (entry)
        return entry;
    entry = g_new0(struct repl_entry, 1);
    entry->location = g_strdup(c->replica_dir);
    entry->trust_group = g_strdup("DEFAULT");
    return entry;
}

static struct relation *
demoted(struct core *c, struct relation *rel, const struct vm_facts *facts, GError **err)
{
    g_auto(GStrv) targets = rel ? g_strdupv(rel->r.targets) : guest_targets(facts, NULL, err);
    if (!targets)
        return NULL;
    struct repl_entry *entry = entry_for(c, rel);
    struct relation *fresh = seed_new(c, facts, (const char *const *)targets, entry, err);
    repl_entry_free(entry);
    return fresh;
}

static bool
enter(struct core *c, struct relation *rel, struct relation *fresh, GError **err)
{
    if (rel)
        return core_replace(c, rel, fresh, err);
    if (!core_add(c, fresh, err))
        return false;
    HOLD(&fresh->lock);
    return relation_save_locked(fresh, err);
}

bool
reverse_become_replica(struct core *c, const struct uuid *vm, const char *owner, char job[UUID_TEXT], GError **err)
{
    relation_auto rel = core_find(c, vm, 0);
    vm_facts_auto facts = c->vm->facts_get(c->vms, vm, err);
    if (!facts)
        return false;
    if (rel && !state_next(rel->side, relation_state(rel), EVENT_BECOME_REPLICA))
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s', which does not permit to make it a replica.",
                       facts->name, state_name(relation_state(rel)));
    if (facts->power != VM_OFF)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is not off; shut it down first.", facts->name);
    if (!work_free_to_change(c, vm, err))
        return false;
    relation_auto fresh = demoted(c, rel, facts, err);
    return fresh && core_save_definition(c, vm, facts->xml, err) && placeholder_fence(c, fresh, err) && enter(c, rel, fresh, err) &&
           seed_begin(c, fresh, owner, job, err);
}

/* ---- the failed-over replica ---- */

/* The settings are kept with the flag, for a daemon that starts in between. */
static bool
note(struct relation *rel, bool on, const struct repl_settings *settings, GError **err)
{
    HOLD(&rel->lock);
    rel->r.reversing = on;
    repl_settings_clear(&rel->settings);
    repl_settings_copy(&rel->settings, settings);
    return relation_save_locked(rel, err);
}

static void
copy_settings(struct relation *rel, struct repl_settings *out)
{
    HOLD(&rel->lock);
    repl_settings_copy(out, &rel->settings);
}

/* Before points are given up: would the other host take the part? */
static bool
ask_peer(struct work *w, struct wire_peer *peer, GError **err)
{
    struct wire_status st = { 0 };
    const char *host = w->settings->recovery_host;
    if (!establish_ask(peer, host, NULL, err) || !wire_peer_status(peer, &w->vm, &st, err))
        return false;
    const bool fits = !g_strcmp0(st.state, state_name(STATE_PREPARED)) || !g_strcmp0(st.state, state_name(STATE_WAITING_INITIAL));
    if (!fits)
        err_set(err, ERR_INVALID_STATE,
                "Guest '%s' is in replication state '%s' on host '%s'; turn it off there and prepare the planned failover, or make it a "
                "replica (vmreplica demote).",
                w->rel->r.name, st.state, host);
    wire_status_clear(&st);
    return fits;
}

static struct relation *
new_primary(struct work *w)
{
    struct relation *old = w->rel, *rel = relation_new(w->core, w->core->db, &w->vm, 0, SIDE_SENDER);
    HOLD(&old->lock);
    rel->r.mode = MODE_PRIMARY;
    rel->r.state = STATE_REPLICATING;
    rel->r.name = g_strdup(old->r.name);
    rel->r.targets = g_strdupv(old->r.disks);
    rel->r.epoch = old->r.epoch + 1;
    rel->r.acked = old->r.point;
    rel->r.acked_sequence = old->r.point_sequence;
    rel->r.active_us = clock_wall_us();
    repl_settings_clear(&rel->settings);
    repl_settings_copy(&rel->settings, w->settings);
    return rel;
}

static void
take_answer(struct work *w, struct relation *rel, const struct wire_status *st)
{
    struct repl_settings *s = &rel->settings;
    g_free(s->recovery_host_system);
    g_free(s->primary_host_system);
    g_free(s->primary_connection_point);
    s->recovery_host_system = g_strdup(st->host);
    s->primary_host_system = g_strdup(w->core->config.host);
    s->primary_connection_point = g_strdup(w->core->config.host);
    if (st->has_head && uuid_equal(&st->head, &rel->r.acked))
        return;
    rel->r.state = STATE_READY;
    rel->r.acked = st->has_head ? st->head : UUID_NIL;
    rel->r.acked_sequence = st->has_head ? st->head_sequence : 0;
}

static bool
ask_swap(struct work *w, struct relation *fresh, struct wire_peer *peer, GError **err)
{
    struct wire_offer offer;
    struct wire_status st = { 0 };
    vm_facts_auto facts = w->core->vm->facts_get(w->core->vms, &w->vm, err);
    if (!facts)
        return false;
    send_make_offer(w->core, fresh, facts, &offer);
    offer.has_head = true;
    offer.head = fresh->r.acked;
    offer.head_sequence = fresh->r.acked_sequence;
    const bool ok = wire_peer_reverse(peer, &offer, &st, err);
    if (ok)
        take_answer(w, fresh, &st);
    wire_offer_clear(&offer);
    wire_status_clear(&st);
    return ok;
}

/* The log that this guest came from is past; what the outbox of an earlier life holds, too. */
static bool
become_primary(struct work *w, struct wire_peer *peer, GError **err)
{
    relation_auto fresh = new_primary(w);
    if (!ask_swap(w, fresh, peer, err) || !core_replace(w->core, w->rel, fresh, err) || !activity_attach(w->core, fresh, err))
        return false;
    if (!outbox_clear(fresh->s.outbox, err))
        return false;
    log_info("Guest '%s' is replicated to host '%s' now.", fresh->r.name, w->settings->recovery_host);
    activity_wake(fresh);
    return true;
}

static bool
commit(struct work *w, struct job *job, GError **err)
{
    if (relation_state(w->rel) == STATE_COMMITTED && !w->rel->in.store)
        return true;
    job_progress(job, 10, "Filling the guest's disks");
    return failover_fill_and_commit(w->core, w->rel, job, err) && failover_drop_store(w->core, w->rel, err);
}

static bool
run(struct work *w, struct job *job, GError **err)
{
    const struct repl_settings *s = w->settings;
    struct wire_peer *peer = establish_dial(w->core, s->recovery_host, s->recovery_port, err);
    bool ok = peer && (relation_state(w->rel) == STATE_COMMITTED || ask_peer(w, peer, err)) && !job_cancelled(job, err) &&
              commit(w, job, err);
    job_set_cancellable(job, false);
    job_progress(job, 95, "Swapping the roles");
    ok = ok && become_primary(w, peer, err);
    wire_peer_free(peer);
    return ok;
}

bool
reverse_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct repl_settings before;
    copy_settings(w->rel, &before);
    const bool ok = note(w->rel, true, w->settings, err) && run(w, job, err);
    /* A daemon that stops goes on with it at the next start. */
    if (!ok && core_running(w->core) && !w->rel->removed && !note(w->rel, false, &before, NULL))
        log_warning("Guest '%s': a reversal that failed may be tried again at the next start.", w->rel->r.name);
    repl_settings_clear(&before);
    return ok;
}
