/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "base/err.h"
#include "repl/activity.h"
#include "repl/probe.h"
#include "repl/supersede.h"
#include "repl/testvm.h"
#include "repl/work.h"

#include <string.h>

/* Guests as machines: power (contract 2.8), name and notes, and what may not be destroyed.  Replication is asked first: a replica is not
 * started before its failover, nor a primary that is prepared for one. */

enum { NAME_MAX_BYTES = 100, NOTES_MAX_BYTES = 64 << 10 };
enum request { ENABLE = 2, DISABLE = 3, SHUT_DOWN = 4, SAVE = 6, TEST = 7, DEFER = 8, QUIESCE = 9, REBOOT = 10, RESET = 11 };

static const char *
power_name(enum vm_power p)
{
    static const char *const names[] = {
        [VM_OFF] = "off", [VM_RUNNING] = "running", [VM_PAUSED] = "paused",
        [VM_SAVED] = "saved", [VM_STARTING] = "starting", [VM_STOPPING] = "shutting down",
    };
    return names[p];
}

#define IN(power) (1u << (power))

/* From which power each request leads somewhere; 0: it is known and not offered. */
static const struct {
    enum request request;
    guint from;
} ALLOWED[] = {
    { ENABLE, IN(VM_OFF) | IN(VM_SAVED) | IN(VM_PAUSED) },
    { DISABLE, IN(VM_RUNNING) | IN(VM_PAUSED) | IN(VM_STARTING) | IN(VM_STOPPING) | IN(VM_SAVED) },
    { SHUT_DOWN, IN(VM_RUNNING) },
    { SAVE, IN(VM_RUNNING) | IN(VM_PAUSED) },
    { TEST, 0 },
    { DEFER, 0 },
    { QUIESCE, IN(VM_RUNNING) },
    { REBOOT, IN(VM_RUNNING) },
    { RESET, IN(VM_RUNNING) | IN(VM_PAUSED) },
};

static int
row_of(guint requested)
{
    for (guint i = 0; i < G_N_ELEMENTS(ALLOWED); i++)
        if (ALLOWED[i].request == requested)
            return (int)i;
    return -1;
}

static bool
check_request(guint requested, GError **err)
{
    const int row = row_of(requested);
    if (row < 0)
        return err_set(err, ERR_INVALID_PARAMETER, "Power state %u cannot be requested; 2, 3, 4, 6, 9, 10 and 11 can.", requested);
    return ALLOWED[row].from ||
           err_set(err, ERR_NOT_SUPPORTED, "Power state %u is not supported; 2, 3, 4, 6, 9, 10 and 11 are.", requested);
}

static bool
check_power(const struct vm_facts *f, guint requested, GError **err)
{
    return (ALLOWED[row_of(requested)].from & IN(f->power)) ||
           err_set(err, ERR_INVALID_STATE, "Guest '%s' is %s, which does not permit that request (%u).", f->name, power_name(f->power),
                   requested);
}

static bool
check_replication(struct relation *rel, guint requested, GError **err)
{
    HOLD(&rel->lock);
    const enum repl_state now = rel->r.state;
    if (requested == DISABLE || requested == SHUT_DOWN)
        return true;
    if (rel->side == SIDE_SENDER)
        return now != STATE_PREPARED || requested != ENABLE ||
               err_set(err, ERR_INVALID_STATE, "Guest '%s' is prepared for a planned failover and must not be started.", rel->r.name);
    if (rel->r.reverting)
        return err_set(err, ERR_IN_USE, "The failover of guest '%s' is being reverted.", rel->r.name);
    return now == STATE_RECOVERED || now == STATE_COMMITTED || now == STATE_DISABLED ||
           err_set(err, ERR_INVALID_STATE, "Guest '%s' is a replica; fail it over before it is started.", rel->r.name);
}

/* The memory of a guest takes its time to be written, so this is a job. */
static bool
save_work(struct job *job, void *user, GError **err)
{
    const struct work *w = user;
    job_progress(job, 5, "Writing the guest's memory");
    return w->core->vm->save(w->core->vms, &w->vm, err);
}

/* The other host is asked whether the guest's place is there by now. */
static bool
is_alone(struct core *c, struct relation *rel, GError **err)
{
    const enum repl_state now = relation_state(rel);
    if (rel->side == SIDE_SENDER)
        return now == STATE_READY || supersede_check(c, rel, err);
    return !state_is_failed_over(state_name(now)) || probe_primary(c, rel, NULL, err);
}

/* A cycle of a guest that is off reads, and so locks, its images; the guest comes first. */
static bool
start(struct core *c, const struct vm_facts *f, GError **err)
{
    relation_auto rel = core_find(c, &f->uuid, 0);
    if (rel && !is_alone(c, rel, err))
        return false;
    const bool holds = rel && rel->side == SIDE_SENDER && f->power != VM_PAUSED;
    if (holds)
        activity_hold(rel);
    const bool fine = f->power == VM_PAUSED ? c->vm->resume(c->vms, &f->uuid, err) : c->vm->start(c->vms, &f->uuid, err);
    if (holds)
        activity_release(rel);
    return fine;
}

static bool
carry_out(struct core *c, const struct vm_facts *f, guint requested, const char *owner, char job[UUID_TEXT], GError **err)
{
    const struct repl_vm_ops *vm = c->vm;
    switch ((enum request)requested) {
    case ENABLE: return start(c, f, err);
    case DISABLE: return f->power == VM_SAVED ? vm->discard_save(c->vms, &f->uuid, err) : vm->force_off(c->vms, &f->uuid, err);
    case SHUT_DOWN: return vm->shutdown(c->vms, &f->uuid, err);
    case SAVE: return work_post(work_new(c, NULL, &f->uuid), JOB_SAVE, true, false, 0, owner, save_work, job, err);
    case QUIESCE: return vm->pause(c->vms, &f->uuid, err);
    case REBOOT: return vm->reboot(c->vms, &f->uuid, err);
    case RESET: return vm->reset(c->vms, &f->uuid, err);
    case TEST:
    case DEFER: break;
    }
    g_assert_not_reached();
}

bool
repl_power(struct repl_service *s, const struct uuid *vm, guint requested, const char *owner, char job[UUID_TEXT], GError **err)
{
    struct core *c = s->core;
    *job = '\0';
    vm_facts_auto facts = c->vm->facts_get(c->vms, vm, err);
    if (!facts || !check_request(requested, err))
        return false;
    relation_auto rel = core_find(c, vm, 0);
    if (rel && !check_replication(rel, requested, err))
        return false;
    return check_power(facts, requested, err) && carry_out(c, facts, requested, owner, job, err);
}

guint
repl_power_requests(struct repl_service *s, const struct vm_facts *f, guint out[REPL_REQUESTS])
{
    guint count = 0;
    G_STATIC_ASSERT(G_N_ELEMENTS(ALLOWED) == REPL_REQUESTS);
    relation_auto rel = core_find(s->core, &f->uuid, 0);
    for (guint i = 0; i < G_N_ELEMENTS(ALLOWED); i++)
        if ((ALLOWED[i].from & IN(f->power)) && (!rel || check_replication(rel, ALLOWED[i].request, NULL)))
            out[count++] = ALLOWED[i].request;
    return count;
}

bool
repl_inject_nmi(struct repl_service *s, const struct uuid *vm, GError **err)
{
    struct core *c = s->core;
    vm_facts_auto facts = c->vm->facts_get(c->vms, vm, err);
    if (!facts)
        return false;
    if (facts->power != VM_RUNNING)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is %s; only a running guest can be interrupted.", facts->name,
                       power_name(facts->power));
    return c->vm->inject_nmi(c->vms, vm, err);
}

bool
repl_agent(struct repl_service *s, const struct uuid *vm, struct vm_agent_info *out, GError **err)
{
    return s->core->vm->agent_info(s->core->vms, vm, out, err);
}

/* ---- name and notes ---- */

static bool
check_change(const struct vm_facts *f, const struct repl_guest_change *change, GError **err)
{
    if (change->name && (!*change->name || strlen(change->name) > NAME_MAX_BYTES || strpbrk(change->name, "/\n")))
        return err_set(err, ERR_INVALID_PARAMETER,
                       "'%s' cannot be the name of guest '%s': 1 to %d bytes without '/' and line breaks are needed.", change->name,
                       f->name, NAME_MAX_BYTES);
    if (change->notes && strlen(change->notes) > NOTES_MAX_BYTES)
        return err_set(err, ERR_INVALID_PARAMETER, "The notes of guest '%s' would be longer than 64 KiB.", f->name);
    return true;
}

/* The definition of a replica comes from its primary with every change there, so what is written here would be lost. */
static bool
check_change_state(struct relation *rel, const struct vm_facts *f, const struct repl_guest_change *change, GError **err)
{
    if (rel && rel->side == SIDE_RECEIVER) {
        const enum repl_state now = relation_state(rel);
        if (now != STATE_DISABLED && now != STATE_RECOVERED && now != STATE_COMMITTED)
            return err_set(err, ERR_INVALID_STATE, "Guest '%s' is a replica; change it on its primary host.", f->name);
    }
    return !change->name || f->power == VM_OFF ||
           err_set(err, ERR_INVALID_STATE, "Guest '%s' is %s; turn it off before it is renamed.", f->name, power_name(f->power));
}

bool
repl_change_guest(struct repl_service *s, const struct uuid *vm, const struct repl_guest_change *change, GError **err)
{
    struct core *c = s->core;
    vm_facts_auto facts = c->vm->facts_get(c->vms, vm, err);
    if (!facts || !check_change(facts, change, err))
        return false;
    relation_auto rel = core_find(c, vm, 0);
    if (!check_change_state(rel, facts, change, err) || !work_free_to_change(c, vm, err))
        return false;
    if (change->name && !c->vm->rename(c->vms, vm, change->name, err))
        return false;
    if (change->notes && !c->vm->set_notes(c->vms, vm, *change->notes ? change->notes : NULL, err))
        return false;
    return !change->autostart || c->vm->set_autostart(c->vms, vm, *change->autostart, err);
}

/* ---- the end of a guest ---- */

bool
repl_destroy_guest(struct repl_service *s, const struct uuid *vm, const char *owner, char job[UUID_TEXT], GError **err)
{
    struct core *c = s->core;
    *job = '\0';
    vm_facts_auto facts = c->vm->facts_get(c->vms, vm, err);
    if (!facts)
        return false;
    relation_auto rel = core_find(c, vm, 0);
    if (rel && relation_state(rel) != STATE_DISABLED)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is replicated; remove its replication first.", facts->name);
    if (facts->power != VM_OFF && facts->power != VM_SAVED)
        return err_set(err, ERR_INVALID_STATE, "Guest '%s' is %s; turn it off first.", facts->name, power_name(facts->power));
    bool drilling = false;
    relation_auto tested = testvm_owner(c, vm, &drilling);
    if (drilling)
        return err_set(err, ERR_IN_USE, "Guest '%s' belongs to a boot check, which removes it; cancel its job to end it sooner.",
                       facts->name);
    if (tested)
        return work_post(work_new(c, tested, &tested->vm), JOB_TEST_REMOVE, true, false, 0, owner, testvm_remove_work, job, err);
    vm_facts_auto still = c->vm->facts_get(c->vms, vm, err); /* a test guest is undefined before it is nobody's */
    return still && err_set(err, ERR_NOT_SUPPORTED, "Guest '%s' is no test guest of a replica; undefine it with libvirt's own tools.",
                            facts->name);
}

/* ---- test guests ---- */

GArray *
repl_tests(struct repl_service *s)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(struct repl_test));
    g_autoptr(GPtrArray) all = core_list(s->core);
    for (guint i = 0; i < all->len; i++) {
        struct relation *rel = all->pdata[i];
        HOLD(&rel->lock);
        const struct repl_test pair = { rel->vm, rel->r.test };
        if (rel->r.test_ready)
            g_array_append_val(out, pair);
    }
    return out;
}
