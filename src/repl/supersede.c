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

static char *
reason_locked(const struct relation *rel)
{
    return supersede_reason(rel->r.name, rel->settings.recovery_host);
}

static bool
is_superseded(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.superseded;
}

static bool
raise_fence(struct core *c, struct relation *rel, GError **err)
{
    g_autofree char *reason = NULL;
    {
        HOLD(&rel->lock);
        reason = reason_locked(rel);
    }
    return fence_raise(c->fence_dir, &rel->vm, reason, err);
}

bool
supersede_fence(struct core *c, struct relation *rel, GError **err)
{
    return is_superseded(rel) ? raise_fence(c, rel, err) : fence_lower(c->fence_dir, &rel->vm, err);
}

/* Not while a planned failover is prepared: then the replica is expected to fail over, and a fence is up already. */
static bool
concerns(struct relation *rel)
{
    HOLD(&rel->lock);
    return !rel->index && rel->side == SIDE_SENDER && state_next(SIDE_SENDER, rel->r.state, EVENT_PEER_FAILED_OVER);
}

static bool
record(struct relation *rel, bool superseded, GError **err)
{
    HOLD(&rel->lock);
    if (rel->r.superseded == superseded)
        return true;
    rel->r.superseded = superseded;
    g_autofree char *reason = reason_locked(rel);
    if (superseded ? relation_event_locked(rel, EVENT_PEER_FAILED_OVER, reason, err) : relation_save_locked(rel, err))
        return true;
    rel->r.superseded = !superseded;
    return false;
}

/* It runs on both hosts: the one that is out of date goes on working on data that nobody will keep, under the same addresses. */
static bool
pause_guest(struct core *c, struct relation *rel, GError **err)
{
    enum vm_power power = VM_OFF;
    if (!c->config.pause_superseded || !c->vm->power_get(c->vms, &rel->vm, &power, NULL) || power != VM_RUNNING)
        return true;
    if (!c->vm->pause(c->vms, &rel->vm, err))
        return false;
    log_error("Guest '%s' was paused: it runs on '%s' too, where it has failed over.", rel->r.name, rel->settings.recovery_host);
    return true;
}

/* The fence is up before anybody can know, and down after everybody can. */
bool
supersede_note(struct core *c, struct relation *rel, const struct wire_status *st, GError **err)
{
    const bool over = state_is_failed_over(st->state), known = is_superseded(rel);
    if (!concerns(rel))
        return true;
    const bool saved = (!over || known || raise_fence(c, rel, err)) && record(rel, over, err) &&
                       (over || !known || supersede_fence(c, rel, err));
    /* Also when this host's disk is full. */
    return (!over || !st->running || pause_guest(c, rel, saved ? err : NULL)) && saved;
}

static bool
refuse(struct relation *rel, GError **err)
{
    HOLD(&rel->lock);
    g_autofree char *reason = reason_locked(rel);
    return err_set(err, ERR_INVALID_STATE, "%s", reason);
}

bool
supersede_check(struct core *c, struct relation *rel, GError **err)
{
    struct wire_status st = { 0 };
    g_autoptr(GError) why = NULL;
    const bool asked = probe_replica(c, rel, &st, &why), over = asked && state_is_failed_over(st.state) && concerns(rel);
    const bool noted = asked && supersede_note(c, rel, &st, &why);
    wire_status_clear(&st);
    if (!asked)
        log_info("Guest '%s': whether its replica has failed over is not known: %s", rel->r.name, why->message);
    else if (!noted)
        log_warning("Guest '%s': what its replica's host said could not be saved: %s", rel->r.name, why->message);
    return (!over && !is_superseded(rel)) || refuse(rel, err);
}

/* A state in which nobody else would find out. */
static bool
is_idle(struct relation *rel)
{
    HOLD(&rel->lock);
    const enum repl_state s = rel->r.state;
    return !rel->index && !rel->removed && !rel->r.removing &&
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
