/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "base/err.h"
#include "repl/bootcheck.h"
#include "repl/drill.h"
#include "repl/extend.h"
#include "repl/failover.h"
#include "repl/keep.h"
#include "repl/maintain.h"
#include "repl/proof.h"
#include "repl/reverse.h"
#include "repl/testvm.h"
#include "store/pins.h"

/* Failover, revert, commit (contract 2.6): checks in the order of contract 0.3, then a job. */

static bool
is_point(struct repl_service *s, const struct uuid *vm, const struct uuid *point)
{
    struct repl_point found;
    return repl_point_find(s, point, &found) && uuid_equal(&found.vm, vm);
}

static bool
check_point(struct repl_service *s, const struct uuid *vm, const struct uuid *point, GError **err)
{
    char text[UUID_TEXT];
    return !point || is_point(s, vm, point) ||
           err_set(err, ERR_INVALID_PARAMETER, "'%s' is no recovery point of this guest.", uuid_format(point, text));
}

static bool
check_off(struct core *c, struct relation *rel, GError **err)
{
    enum vm_power power;
    if (!c->vm->power_get(c->vms, &rel->vm, &power, err))
        return false;
    return power == VM_OFF || err_set(err, ERR_INVALID_STATE, "Guest '%s' is not off; turn it off first.", rel->r.name);
}

static bool
check_failover_state(struct core *c, struct relation *rel, GError **err)
{
    struct store_log newest;
    HOLD(&rel->lock);
    const enum repl_state now = rel->r.state;
    if (now == STATE_FAILING_OVER || now == STATE_DISK_UPDATE)
        return err_set(err, ERR_IN_USE, "A failover of guest '%s' is under way; wait for its end.", rel->r.name);
    if (now == STATE_RECOVERED)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' has failed over already; revert that first.", rel->r.name);
    if (!state_next(rel->side, now, EVENT_FAILOVER_START))
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s' on %s, which does not permit a failover.",
                       rel->r.name, state_name(now), rel->side == SIDE_SENDER ? "its primary host" : "this host");
    return (rel->in.store && store_latest_point(rel->in.store, &newest)) ||
           err_set(err, ERR_INVALID_STATE, "The replica of guest '%s' has no whole state yet.", rel->r.name);
}

/* The relationship, or NULL and *why: unknown guest (reported at once) or not replicated (reported after the arguments). */
static struct relation *
find(struct core *c, const struct uuid *vm, GError **why)
{
    return work_relation(c, vm, 0, why);
}

bool
repl_failover(struct repl_service *s, const struct uuid *vm, const struct uuid *point, bool damaged, const char *owner,
              char job[UUID_TEXT], GError **err)
{
    g_autoptr(GError) why = NULL;
    relation_auto rel = find(s->core, vm, &why);
    if ((rel || err_is(why, ERR_INVALID_STATE)) && !check_point(s, vm, point, err))
        return false;
    if (!rel) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (!check_failover_state(s->core, rel, err) || !check_off(s->core, rel, err) || (!damaged && !proof_allows(rel, point, err)))
        return false;
    struct work *w = work_new(s->core, rel, vm);
    w->named = point != NULL;
    w->point = point ? *point : UUID_NIL;
    return work_post(w, JOB_FAILOVER, true, true, 0, owner, failover_work, job, err);
}

/* ---- reversal ---- */

static struct repl_settings *
reverse_settings(struct core *c, struct relation *rel, const struct repl_settings *given)
{
    struct repl_settings *out = g_new0(struct repl_settings, 1);
    struct repl_host_settings host;
    core_host(c, &host);
    HOLD(&rel->lock);
    repl_settings_copy(out, given ? given : &rel->settings);
    if (!given || !out->recovery_host || !*out->recovery_host) {
        g_free(out->recovery_host);
        out->recovery_host = g_strdup(rel->r.primary_host);
    }
    if (!given || !out->recovery_port)
        out->recovery_port = rel->r.primary_port ? rel->r.primary_port : host.https_port;
    if (!given || !out->authentication)
        out->authentication = 2;
    if (!out->thumbprint)
        out->thumbprint = g_strdup(c->own_thumbprint);
    repl_host_settings_clear(&host);
    return out;
}

static bool
check_reverse_state(struct relation *rel, const struct relation *extended, GError **err)
{
    HOLD(&rel->lock);
    if (extended)
        return err_set(err, ERR_INVALID_STATE,
                       "The replica of guest '%s' is extended to another host: commit the failover and go on as its primary (vmreplica "
                       "promote), or remove that replication first.", rel->r.name);
    if (rel->r.state == STATE_FAILING_OVER || rel->r.reverting || rel->r.committing)
        return err_set(err, ERR_IN_USE, "Another job works on the failover of guest '%s'; wait for its end.", rel->r.name);
    return rel->r.state == STATE_RECOVERED || rel->r.state == STATE_COMMITTED ||
           err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s' on this host; only a replica that has failed over can "
                                           "become the primary.",
                   rel->r.name, state_name(rel->r.state));
}

bool
repl_reverse(struct repl_service *s, const struct uuid *vm, struct repl_settings *settings, const char *owner, char job[UUID_TEXT],
             GError **err)
{
    struct core *c = s->core;
    g_autoptr(GError) why = NULL;
    relation_auto rel = find(c, vm, &why);
    if (!rel) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    relation_auto extended = extend_of(c, vm);
    struct work *w = work_new(c, rel, vm);
    w->settings = reverse_settings(c, rel, settings);
    /* What the caller gave is checked before the state, our own choice after it. */
    const char *own = c->own_thumbprint ? c->own_thumbprint : "none";
    if ((settings && !repl_settings_check(w->settings, c->config.host, own, false, err)) || !check_reverse_state(rel, extended, err) ||
        (!settings && !repl_settings_check(w->settings, c->config.host, own, false, err)) || !keep_refuse(rel, "The reversal", err)) {
        work_free(w);
        return false;
    }
    return work_post(w, JOB_REVERSE, true, true, 0, owner, reverse_work, job, err);
}

/* ---- test failover ---- */

static bool
check_test_state(struct relation *rel, GError **err)
{
    struct store_log newest;
    HOLD(&rel->lock);
    const enum repl_state now = rel->r.state;
    if (rel->side != SIDE_RECEIVER ||
        (now != STATE_REPLICATING && now != STATE_SUSPENDED && now != STATE_CRITICAL && now != STATE_WAITING_RESYNC))
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s' on %s, which does not permit a test failover.",
                       rel->r.name, state_name(now), rel->side == SIDE_SENDER ? "its primary host" : "this host");
    if (!uuid_is_nil(&rel->r.test))
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' has a test guest already; remove that first (vmreplica test-failover --stop).",
                       rel->r.name);
    return (rel->in.store && store_latest_point(rel->in.store, &newest)) ||
           err_set(err, ERR_INVALID_STATE, "The replica of guest '%s' has no whole state yet.", rel->r.name);
}

static bool
post_test(struct repl_service *s, const struct uuid *vm, const struct uuid *point, bool damaged, job_work fn, const char *owner,
          char job[UUID_TEXT], GError **err)
{
    g_autoptr(GError) why = NULL;
    relation_auto rel = find(s->core, vm, &why);
    if ((rel || err_is(why, ERR_INVALID_STATE)) && !check_point(s, vm, point, err))
        return false;
    if (!rel) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (!check_test_state(rel, err) || (!damaged && !proof_allows(rel, point, err)))
        return false;
    struct work *w = work_new(s->core, rel, vm);
    w->named = point != NULL;
    w->point = point ? *point : UUID_NIL;
    return work_post(w, JOB_TEST, true, true, 0, owner, fn, job, err);
}

bool
repl_test_failover(struct repl_service *s, const struct uuid *vm, const struct uuid *point, bool damaged, const char *owner,
                   char job[UUID_TEXT], GError **err)
{
    return post_test(s, vm, point, damaged, testvm_make_work, owner, job, err);
}

bool
repl_verify(struct repl_service *s, const struct uuid *vm, const struct uuid *point, const char *owner, char job[UUID_TEXT], GError **err)
{
    return post_test(s, vm, point, false, drill_work, owner, job, err);
}

static bool
check_recovered(struct relation *rel, const char *what, GError **err)
{
    HOLD(&rel->lock);
    if (rel->r.state == STATE_FAILING_OVER)
        return err_set(err, ERR_IN_USE, "The failover of guest '%s' is still under way; cancel its job or wait.", rel->r.name);
    return rel->r.state == STATE_RECOVERED ||
           err_set(err, ERR_INVALID_STATE, "Guest '%s' is in replication state '%s'; there is no failover to %s.", rel->r.name,
                   state_name(rel->r.state), what);
}

bool
repl_revert(struct repl_service *s, const struct uuid *vm, const char *owner, char job[UUID_TEXT], GError **err)
{
    relation_auto rel = find(s->core, vm, err);
    if (!rel || !check_recovered(rel, "revert", err) || !check_off(s->core, rel, err))
        return false;
    return work_post(work_new(s->core, rel, vm), JOB_REVERT, true, false, 0, owner, failover_revert_work, job, err);
}

bool
repl_commit(struct repl_service *s, const struct uuid *vm, const char *owner, char job[UUID_TEXT], GError **err)
{
    relation_auto rel = find(s->core, vm, err);
    if (!rel || !check_recovered(rel, "commit", err))
        return false;
    if (!keep_refuse(rel, "Committing the failover", err))
        return false;
    return work_post(work_new(s->core, rel, vm), JOB_COMMIT, true, true, 0, owner, failover_commit_work, job, err);
}

/* ---- points ---- */

static struct repl_point
point_of(const struct relation *rel, const struct store_log *log)
{
    struct store_pin pin;
    struct repl_check check;
    store_pin_of(rel->in.store, &log->id, &pin);
    bootcheck_get_locked(rel, &log->id, &check);
    return (struct repl_point){
        .check = check,
        .pinned = pin.pinned, .protected_us = pin.until_us, .damaged = proof_hits(rel, log->sequence),
        /* What was application-consistent for B is nothing special for C (contract 2.7). */
        .id = log->id, .vm = rel->vm,
        .kind = rel->r.mode == MODE_EXTENDED && log->kind == LOG_KIND_APPLICATION ? LOG_KIND_STANDARD : log->kind,
        .capture_us = log->capture_us, .bytes = log->file_bytes,
        .applied = (rel->r.state == STATE_RECOVERED || rel->r.state == STATE_COMMITTED) && rel->r.point_named &&
                   uuid_equal(&rel->r.point, &log->id),
    };
}

/* Points of a replica, oldest first, as struct store_log; none of anything else, nor of one that is being removed: they are merged into its
 * disks, and none but the newest can be opened.  With the lock held. */
static GArray *
logs_of_points(struct relation *rel, const struct retention_rules *rules)
{
    const bool replica = rel->side == SIDE_RECEIVER && rel->in.store && !rel->r.removing;
    return replica ? retention_points(rel->in.store, rules) : g_array_new(FALSE, FALSE, sizeof(struct store_log));
}

static struct repl_point
nth_point(const struct relation *rel, const GArray *logs, guint i)
{
    struct repl_point p = point_of(rel, &g_array_index(logs, struct store_log, i));
    p.newest = i + 1 == logs->len;
    return p;
}

static void
add_points(struct relation *rel, GArray *out)
{
    retention_rules_auto rules = maintain_rules(rel, NULL);
    HOLD(&rel->lock);
    g_autoptr(GArray) logs = logs_of_points(rel, &rules);
    for (guint i = 0; i < logs->len; i++) {
        const struct repl_point p = nth_point(rel, logs, i);
        g_array_append_val(out, p);
    }
}

GArray *
repl_points(struct repl_service *s, const struct uuid *vm, GError **err)
{
    GArray *out = g_array_new(FALSE, TRUE, sizeof(struct repl_point));
    relation_auto rel = core_find(s->core, vm, 0);
    if (rel)
        add_points(rel, out);
    return out;
}

/* Whether it is worth asking the rules: most relations do not have that log at all. */
static bool
has_log(struct relation *rel, const struct uuid *id)
{
    struct store_log log;
    HOLD(&rel->lock);
    return rel->in.store && store_find(rel->in.store, id, &log);
}

static bool
find_in(struct relation *rel, const struct uuid *point, struct repl_point *out)
{
    if (!has_log(rel, point))
        return false;
    retention_rules_auto rules = maintain_rules(rel, NULL);
    HOLD(&rel->lock);
    g_autoptr(GArray) logs = logs_of_points(rel, &rules);
    for (guint i = 0; i < logs->len; i++)
        if (uuid_equal(&g_array_index(logs, struct store_log, i).id, point)) {
            *out = nth_point(rel, logs, i);
            return true;
        }
    return false;
}

bool
repl_point_find(struct repl_service *s, const struct uuid *point, struct repl_point *out)
{
    g_autoptr(GPtrArray) all = core_list(s->core);
    for (guint i = 0; i < all->len; i++)
        if (find_in(all->pdata[i], point, out))
            return true;
    return false;
}

static char *
section_of(struct relation *rel, const struct uuid *point, enum log_section type, GError **err)
{
    size_t len;
    HOLD(&rel->lock);
    if (rel->in.store)
        return store_section(rel->in.store, point, type, &len, err);
    err_set(err, ERR_NOT_FOUND, "The recovery points of guest '%s' are gone.", rel->r.name);
    return NULL;
}

char *
repl_point_xml(struct repl_service *s, const struct uuid *point, GError **err)
{
    struct repl_point found;
    char text[UUID_TEXT];
    relation_auto rel = repl_point_find(s, point, &found) ? core_find(s->core, &found.vm, 0) : NULL;
    if (rel)
        return section_of(rel, point, LOG_SECTION_DOMAIN_XML, err);
    err_set(err, ERR_NOT_FOUND, "There is no recovery point '%s'.", uuid_format(point, text));
    return NULL;
}

char *
repl_point_quiesce(struct repl_service *s, const struct repl_point *p)
{
    relation_auto rel = p->kind == LOG_KIND_APPLICATION ? core_find(s->core, &p->vm, 0) : NULL;
    return rel ? section_of(rel, &p->id, LOG_SECTION_QUIESCE, NULL) : NULL;
}
