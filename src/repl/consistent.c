/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/consistent.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "repl/record.h"
#include "repl/round.h"

static const gint64 SECOND_US = G_USEC_PER_SEC;

/* ---- when ---- */

static guint
interval_s(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->r.state == STATE_REPLICATING && !rel->s.taking_last ? repl_settings_app_s(&rel->settings) : 0;
}

/* After a start, the interval counts from the last such point, whatever the clock did meanwhile. */
static gint64
first_due(struct relation *rel, gint64 interval_us, gint64 now)
{
    HOLD(&rel->lock);
    const gint64 since = clock_wall_us() - rel->r.last_app_us;
    return !rel->r.last_app_us || since < 0 || since >= interval_us ? now : now + interval_us - since;
}

static bool
is_due(struct relation *rel, guint seconds)
{
    const gint64 now = clock_mono_us(), interval = seconds * SECOND_US;
    if (!seconds) {
        rel->s.app_due = 0;
        return false;
    }
    if (!rel->s.app_due)
        rel->s.app_due = first_due(rel, interval, now);
    rel->s.app_due = MIN(rel->s.app_due, now + interval); /* the interval became shorter */
    return now >= rel->s.app_due;
}

/* A guest that its user paused has nothing to freeze, but takes part in its group's instant like one that runs. */
static bool
is_up(struct core *c, struct relation *rel, bool *runs)
{
    enum vm_power power;
    const bool known = c->vm->power_get(c->vms, &rel->vm, &power, NULL);
    *runs = known && power == VM_RUNNING;
    return known && (*runs || power == VM_PAUSED);
}

/* ---- one attempt ---- */

struct attempt {
    struct core *c;
    struct relation *rel;
    bool due;
    struct quiesce *held;
    char *evidence;
    GError *why;
};

static bool
set_frozen(struct relation *rel, bool frozen, GError **err)
{
    HOLD(&rel->lock);
    if (rel->r.frozen == frozen)
        return true;
    rel->r.frozen = frozen;
    if (relation_save_locked(rel, err))
        return true;
    rel->r.frozen = !frozen;
    return false;
}

static void
note_thawed(struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    if (!set_frozen(rel, false, &why))
        log_debug("Guest '%s' is thawed, but the record could not be saved: %s", rel->r.name, why->message);
}

static bool
wants_timer(struct relation *rel)
{
    HOLD(&rel->lock);
    return !rel->settings.pull; /* that engine is for those who want no taint */
}

static void
freeze(struct attempt *a)
{
    const struct quiesce_config config = { a->c->config.thaw_program, a->c->config.freeze_limit_s, wants_timer(a->rel) };
    bool loose = false;
    if (!set_frozen(a->rel, true, &a->why))
        return;
    a->held = a->c->vm->quiesce_begin(a->c->vms, &a->rel->vm, &config, &loose, &a->why);
    if (!a->held && !loose)
        note_thawed(a->rel);
}

static void
hold_still(void *user)
{
    struct attempt *a = user;
    if (a->due)
        freeze(a);
    if (a->rel->s.round)
        round_hold(a->rel->s.round, a->rel);
}

static char *
evidence_of(const struct quiesce_report *r)
{
    json_t *systems = r->filesystems ? json_array() : json_null();
    for (char **f = r->filesystems; f && *f; f++)
        json_array_append_new(systems, json_string(*f));
    return record_text(json_pack("{s:s, s:o, s:i, s:i, s:b, s:I, s:I}", "by", "qemu-guest-agent", "filesystems", systems, "frozen",
                                 (int)r->frozen, "thawed", (int)r->thawed, "timer", r->timer, "freeze_us", (json_int_t)r->freeze_us,
                                 "frozen_us", (json_int_t)r->frozen_us));
}

static void
let_go(void *user)
{
    struct attempt *a = user;
    struct quiesce_report report;
    bool loose = false;
    if (a->rel->s.round)
        round_release(a->rel->s.round, a->rel);
    if (!a->held)
        return;
    if (a->c->vm->quiesce_end(g_steal_pointer(&a->held), &report, &loose, &a->why))
        a->evidence = evidence_of(&report);
    if (!loose)
        note_thawed(a->rel);
    quiesce_report_clear(&report);
}

/* ---- its outcome ---- */

static void
succeeded(struct relation *rel, char *evidence, guint seconds)
{
    const gint64 now = clock_mono_us(), interval = seconds * SECOND_US;
    rel->s.evidence = evidence;
    rel->s.app_failures = 0;
    rel->s.app_due = MAX(rel->s.app_due + interval, now + interval / 2);
    HOLD(&rel->lock);
    g_clear_pointer(&rel->s.app_trouble, g_free);
}

static void
failed(struct relation *rel, const char *why, guint seconds)
{
    const gint64 interval = seconds * SECOND_US;
    rel->s.app_failures++;
    rel->s.app_due = clock_mono_us() + MIN(interval, (60 * SECOND_US) << MIN(rel->s.app_failures - 1, 10));
    log_warning("Guest '%s': no application-consistent point: %s  A standard one is made.", rel->r.name, why);
    HOLD(&rel->lock);
    stats_app_failure(&rel->stats);
    if (rel->s.app_failures < CONSISTENT_TROUBLE)
        return;
    g_free(rel->s.app_trouble);
    rel->s.app_trouble = g_strdup_printf("The last %u attempts at an application-consistent point failed: %s", rel->s.app_failures, why);
}

/* Who turned the interval off is not warned any more. */
static void
forget_trouble(struct relation *rel)
{
    rel->s.app_failures = 0;
    HOLD(&rel->lock);
    if (!repl_settings_app_s(&rel->settings))
        g_clear_pointer(&rel->s.app_trouble, g_free);
}

struct capture *
consistent_begin(struct core *c, struct relation *rel, const char *const *targets, const struct uuid *log, GError **err)
{
    struct attempt a = { .c = c, .rel = rel };
    const struct capture_around around = { hold_still, let_go, &a, rel->s.round != NULL };
    const guint seconds = interval_s(rel);
    g_clear_pointer(&rel->s.evidence, g_free);
    if (!seconds)
        forget_trouble(rel);
    bool runs = false;
    a.due = is_due(rel, seconds);
    const bool up = (a.due || rel->s.round) && is_up(c, rel, &runs);
    a.due = a.due && runs;
    if (!up || (!a.due && !rel->s.round))
        return c->vm->begin(c->engine, &rel->vm, targets, CAPTURE_INSTANT, log, err);
    struct capture *capture = c->vm->begin_around(c->engine, &rel->vm, targets, log, &around, err);
    if (a.why)
        failed(rel, a.why->message, seconds);
    else if (capture && a.evidence)
        succeeded(rel, g_steal_pointer(&a.evidence), seconds);
    g_clear_error(&a.why);
    g_free(a.evidence);
    return capture;
}

bool
consistent_settle(struct core *c, struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    bool frozen;
    {
        HOLD(&rel->lock);
        frozen = rel->r.frozen;
    }
    if (!frozen)
        return true;
    if (!c->vm->thaw(c->vms, &rel->vm, NULL, &why)) {
        log_warning("Guest '%s' may be frozen and cannot be thawed yet: %s", rel->r.name, why->message);
        return false;
    }
    log_info("Guest '%s' may have been frozen and is thawed.", rel->r.name);
    note_thawed(rel);
    return true;
}

char *
consistent_late_locked(const struct relation *rel)
{
    const struct relation_record *r = &rel->r;
    const guint seconds = repl_settings_app_s(&rel->settings);
    const gint64 since = MAX(r->last_app_us, rel->in.app_since_us);
    if (rel->side != SIDE_RECEIVER || r->state != STATE_REPLICATING || !seconds || r->last_us - since <= 2 * seconds * SECOND_US)
        return NULL;
    return g_strdup_printf("Recovery points arrive, but none has been application-consistent for %.1f minutes; one is wanted every %.1f.",
                           (double)(r->last_us - since) / (60 * SECOND_US), seconds / 60.0);
}
