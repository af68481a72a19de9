/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/supersede.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/probe.h"
#include "vm/fence.h"

static const gint64 AGAIN_US = 30 * (gint64)G_USEC_PER_SEC;

char *
supersede_reason(const char *guest, const char *replica_host)
{
    return g_strdup_printf("The replica of guest '%s' on '%s' has failed over. Revert that there and resume replication here, or make this "
                           "guest the replica (vmreplica demote %s).",
                           guest, replica_host, guest);
}

const char *
supersede_where(const struct wire_status *st, const char *replica_host)
{
    return state_is_failed_over(st->state) ? replica_host : st->elsewhere && *st->elsewhere ? st->elsewhere : NULL;
}

static const char *
place_locked(const struct relation *rel)
{
    return rel->r.elsewhere ? rel->r.elsewhere : rel->settings.recovery_host;
}

static char *
reason_locked(const struct relation *rel, const char *where)
{
    return rel->index ? g_strdup_printf("The extended replica of guest '%s' on '%s' has failed over. Revert that there and resume extended "
                                        "replication here, or remove it here.",
                                        rel->r.name, where)
                      : supersede_reason(rel->r.name, where);
}

bool
supersede_known(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.superseded;
}

/* where NULL: as the record says.  A replica in the middle is fenced whatever the third host does. */
static bool
raise_fence(struct core *c, struct relation *rel, const char *where, GError **err)
{
    g_autofree char *reason = NULL;
    if (rel->index)
        return true;
    {
        HOLD(&rel->lock);
        reason = reason_locked(rel, where ? where : place_locked(rel));
    }
    return fence_raise(c->fence_dir, &rel->vm, reason, err);
}

bool
supersede_fence(struct core *c, struct relation *rel, GError **err)
{
    if (rel->index)
        return true;
    return supersede_known(rel) ? raise_fence(c, rel, NULL, err) : fence_lower(c->fence_dir, &rel->vm, err);
}

/* Not while a planned failover is prepared: then the replica is expected to fail over, and a fence is up already. */
static bool
concerns(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->side == SIDE_SENDER && state_next(SIDE_SENDER, rel->r.state, EVENT_PEER_FAILED_OVER);
}

/* where NULL: nowhere. */
static bool
is_recorded_locked(const struct relation *rel, const char *where)
{
    return rel->r.superseded == (where != NULL) && (!where || !g_strcmp0(place_locked(rel), where));
}

static bool
is_recorded(struct relation *rel, const char *where)
{
    HOLD(&rel->lock);
    return is_recorded_locked(rel, where);
}

static bool
record(struct relation *rel, const char *where, bool runs, GError **err)
{
    HOLD(&rel->lock);
    struct relation_record *r = &rel->r;
    rel->s.superseded_runs = runs;
    if (is_recorded_locked(rel, where))
        return true;
    const bool known = r->superseded;
    char *before = r->elsewhere;
    r->superseded = where != NULL;
    r->elsewhere = g_strcmp0(where, rel->settings.recovery_host) ? g_strdup(where) : NULL;
    g_autofree char *reason = where ? reason_locked(rel, where) : NULL;
    const bool saved = where ? relation_event_locked(rel, EVENT_PEER_FAILED_OVER, reason, err) : relation_save_locked(rel, err);
    if (!saved) {
        r->superseded = known;
        g_free(g_steal_pointer(&r->elsewhere));
        r->elsewhere = g_steal_pointer(&before);
    }
    g_free(before);
    return saved;
}

/* It runs on both hosts: the one that is out of date goes on working on data that nobody will keep, under the same addresses. */
static bool
pause_guest(struct core *c, struct relation *rel, const char *where, GError **err)
{
    enum vm_power power = VM_OFF;
    if (rel->index || !c->config.pause_superseded || !c->vm->power_get(c->vms, &rel->vm, &power, NULL) || power != VM_RUNNING)
        return true;
    if (!c->vm->pause(c->vms, &rel->vm, err))
        return false;
    log_error("Guest '%s' was paused: it runs on '%s' too, where it has failed over.", rel->r.name, where);
    return true;
}

static char *
replica_host(struct relation *rel)
{
    HOLD(&rel->lock);
    return g_strdup(rel->settings.recovery_host);
}

/* The fence is up before anybody can know, and down after everybody can. */
bool
supersede_note(struct core *c, struct relation *rel, const struct wire_status *st, GError **err)
{
    g_autofree char *host = replica_host(rel);
    const char *where = supersede_where(st, host);
    const bool runs = where && (where == host ? st->running : st->elsewhere_runs), known = supersede_known(rel);
    if (!concerns(rel))
        return true;
    const bool saved = (!where || is_recorded(rel, where) || raise_fence(c, rel, where, err)) && record(rel, where, runs, err) &&
                       (where || !known || supersede_fence(c, rel, err));
    /* Also when this host's disk is full. */
    return (!runs || pause_guest(c, rel, where, saved ? err : NULL)) && saved;
}

/* ---- the host in the middle ---- */

void
supersede_tell(struct core *c, const struct uuid *vm, struct wire_status *out)
{
    relation_auto rel = core_find(c, vm, 1);
    if (!rel)
        return;
    HOLD(&rel->lock);
    if (!rel->r.superseded || rel->r.state == STATE_DISABLED)
        return;
    out->elsewhere = g_strdup(place_locked(rel));
    out->elsewhere_runs = rel->s.superseded_runs;
}

void
supersede_ask(struct core *c, const struct uuid *vm)
{
    relation_auto rel = core_find(c, vm, 1);
    if (!rel)
        return;
    HOLD(&rel->lock);
    if (rel->s.send)
        task_now(rel->s.send);
}

/* ---- the guest's start, and idle times ---- */

static bool
refuse(struct relation *rel, const char *where, GError **err)
{
    HOLD(&rel->lock);
    g_autofree char *reason = reason_locked(rel, where ? where : place_locked(rel));
    return err_set(err, ERR_INVALID_STATE, "%s", reason);
}

bool
supersede_check(struct core *c, struct relation *rel, GError **err)
{
    struct wire_status st = { 0 };
    g_autoptr(GError) why = NULL;
    g_autofree char *host = replica_host(rel);
    const bool asked = probe_replica(c, rel, &st, &why);
    g_autofree char *where = asked && concerns(rel) ? g_strdup(supersede_where(&st, host)) : NULL;
    const bool noted = asked && supersede_note(c, rel, &st, &why);
    wire_status_clear(&st);
    if (!asked)
        log_info("Guest '%s': whether its replica has failed over is not known: %s", rel->r.name, why->message);
    else if (!noted)
        log_warning("Guest '%s': what its replica's host said could not be saved: %s", rel->r.name, why->message);
    return (!where && !supersede_known(rel)) || refuse(rel, where, err);
}

/* A state in which nobody else would find out. */
static bool
is_idle(struct relation *rel)
{
    HOLD(&rel->lock);
    const enum repl_state s = rel->r.state;
    return !rel->removed && !rel->r.removing &&
           (s == STATE_SUSPENDED || s == STATE_CRITICAL || s == STATE_WAITING_RESYNC || s == STATE_RESYNC_SUSPENDED);
}

gint64
supersede_watch(struct core *c, struct relation *rel)
{
    struct wire_status st = { 0 };
    g_autoptr(GError) why = NULL;
    if (!is_idle(rel))
        return SCHEDULE_IDLE;
    if (!probe_replica(c, rel, &st, &why) || !supersede_note(c, rel, &st, &why))
        log_debug("Guest '%s': whether its replica has failed over is not known: %s", rel->r.name, why->message);
    wire_status_clear(&st);
    return g_get_monotonic_time() + AGAIN_US;
}
