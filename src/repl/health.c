/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/health.h"

static const gint64 SILENCE_US = 3600 * (gint64)G_USEC_PER_SEC;
static const gint64 SLOW_US = 300 * (gint64)G_USEC_PER_SEC;

void
repl_issue_free(struct repl_issue *issue)
{
    if (!issue)
        return;
    g_free(issue->message);
    g_free(issue->action);
    g_free(issue);
}

struct verdict {
    guint health;
    GPtrArray *issues;
};

static void
add(struct verdict *v, guint health, const char *id, const char *message, const char *action)
{
    v->health = MAX(v->health, health);
    if (!v->issues)
        return;
    struct repl_issue *issue = g_new0(struct repl_issue, 1);
    issue->severity = health == HEALTH_CRITICAL ? 4 : 3;
    issue->id = id;
    issue->message = g_strdup(message);
    issue->action = g_strdup(action);
    g_ptr_array_add(v->issues, issue);
}

/* One row per state that is an issue by itself; side -1: both. */
static const struct {
    int side;
    enum repl_state state;
    guint health;
    const char *id, *message, *action;
} STATES[] = {
    {-1, STATE_READY, HEALTH_WARNING, "initial-pending", "The initial replication has not begun.", "Start the initial replication."},
    {-1, STATE_WAITING_INITIAL, HEALTH_WARNING, "initial-running", "The initial replication is not finished.", "Wait for its end."},
    {-1, STATE_PREPARED, HEALTH_WARNING, "prepared", "The guest is prepared for a planned failover.",
     "Fail over on the replica host, or resume here."},
    {-1, STATE_RECOVERED, HEALTH_WARNING, "failed-over", "The guest was failed over and replication is not reversed.",
     "Commit or revert the failover."},
    {-1, STATE_COMMITTED, HEALTH_WARNING, "failed-over", "The failover was committed and replication is not reversed.",
     "Reverse or remove the replication."},
    {-1, STATE_FAILING_OVER, HEALTH_WARNING, "failing-over", "A failover is under way.", "Wait for its end."},
    {SIDE_SENDER, STATE_SUSPENDED, HEALTH_WARNING, "paused", "Replication is paused on the primary.", "Resume replication."},
    {SIDE_RECEIVER, STATE_SUSPENDED, HEALTH_CRITICAL, "paused-on-replica", "Replication is paused on the replica.",
     "Resume replication here."},
    {-1, STATE_WAITING_RESYNC, HEALTH_CRITICAL, "resync-required", "Resynchronisation is required.", "Resynchronise."},
    {-1, STATE_RESYNC, HEALTH_WARNING, "resync-running", "Resynchronisation is under way.", "Wait for its end."},
    {-1, STATE_RESYNC_SUSPENDED, HEALTH_CRITICAL, "resync-paused", "Resynchronisation is paused.", "Resume replication."},
    {-1, STATE_DISK_UPDATE_CRITICAL, HEALTH_CRITICAL, "disk-update", "The set of disks could not be changed.", "Resume replication."},
};

static void
add_state(struct verdict *v, const struct health_facts *f)
{
    for (guint i = 0; i < G_N_ELEMENTS(STATES); i++)
        if (STATES[i].state == f->state && (STATES[i].side < 0 || STATES[i].side == (int)f->side))
            add(v, STATES[i].health, STATES[i].id, STATES[i].message, STATES[i].action);
    if (f->state == STATE_CRITICAL)
        add(v, HEALTH_CRITICAL, "stopped", f->reason ? f->reason : "Replication was stopped by an error.",
            "Remove the cause, then resume replication.");
}

static void
add_troubles(struct verdict *v, const struct health_facts *f)
{
    if (f->away)
        add(v, HEALTH_CRITICAL, "migrated", "The guest was migrated to another host and runs there, so no recovery points are made.",
            "Migrate it back, and it goes on with what differs; or remove the replication here and enable it on that host.");
    else if (f->trouble)
        add(v, f->trouble_sends ? HEALTH_CRITICAL : HEALTH_WARNING, f->trouble_sends ? "cannot-send" : "cycle-failed", f->trouble,
            "It is tried again by itself; remove the cause.");
    if (f->unserved)
        add(v, f->state == STATE_RECOVERED ? HEALTH_CRITICAL : HEALTH_WARNING, "not-served", f->unserved, /* else it is a test guest's */
            "It is tried again by itself; remove the cause, and a guest that was stopped by it goes on.");
    if (f->unusual)
        add(v, HEALTH_WARNING, "unusual-changes", f->unusual, "Look at the guest; keep that recovery point.");
    if (f->damage)
        add(v, HEALTH_WARNING, "damaged", f->damage,
            "On the primary host: vmreplica compare VM --repair; until then use a recovery point that is whole (vmreplica points VM).");
    if (f->difference)
        add(v, HEALTH_WARNING, "different", f->difference,
            "vmreplica compare VM --repair sends these pages again; look for the cause in the storage and the memory of both hosts.");
    if (f->boot)
        add(v, HEALTH_WARNING, "boot-check", f->boot,
            "Look at the screenshot (vmreplica points --json) and at the guest, then check again (vmreplica test-failover --verify).");
    if (f->addresses)
        add(v, HEALTH_WARNING, "addresses", f->addresses,
            "Set them in the guest; correct the settings for the next time (vmreplica address).");
    if (f->consistency)
        add(v, HEALTH_WARNING, "not-consistent", f->consistency,
            "Look at the guest agent and its freeze scripts, or set the interval of application-consistent points to 0.");
    if (f->space)
        add(v, HEALTH_WARNING, "space", f->space, "Free space, give the replica a larger file system, or keep fewer recovery points.");
    if (f->tracking)
        add(v, HEALTH_WARNING, "tracking-lost", f->tracking, "Nothing: recovery points stay valid meanwhile.");
    if (f->disks)
        add(v, HEALTH_WARNING, "disks-not-protected", f->disks, "Create the replication again with the wanted disks, or remove the disk.");
}

static void
add_counters(struct verdict *v, const struct health_facts *f)
{
    const struct repl_statistics *s = f->statistics;
    if (f->side != SIDE_SENDER || !s)
        return;
    if (s->misses && (guint64)s->misses * 5 > (guint64)s->misses + s->success)
        add(v, HEALTH_WARNING, "missed-cycles", "More than 20 % of the cycles of this window were missed.",
            "Look for the cause, or choose a longer interval; new statistics (vmreplica status VM --reset) clear this.");
    if (s->success && s->latency_us / s->success > SLOW_US)
        add(v, HEALTH_WARNING, "slow-cycles", "A cycle takes more than five minutes on average.", "Look for the slow link or disk.");
    if (f->disk_bytes && f->pending > f->disk_bytes / 4)
        add(v, HEALTH_WARNING, "backlog", "More than 25 % of the disks' size waits to be sent.", "Look for the slow or broken link.");
}

bool
health_is_silent(enum repl_state state, gint64 last_us, gint64 active_us, gint64 now_us)
{
    return (state == STATE_REPLICATING || state == STATE_CRITICAL || state == STATE_SUSPENDED) &&
           now_us - MAX(last_us, active_us) > SILENCE_US;
}

static void
add_silence(struct verdict *v, const struct health_facts *f)
{
    if (health_is_silent(f->state, f->last_us, f->active_us, f->now_us))
        add(v, HEALTH_WARNING, "silence",
            f->side == SIDE_SENDER ? "Nothing was sent for more than an hour." : "Nothing was received for more than an hour.",
            "Look at the link between the hosts.");
}

guint
health_of(const struct health_facts *f, GPtrArray *issues)
{
    struct verdict v = { HEALTH_OK, issues };
    if (f->state == STATE_DISABLED)
        return HEALTH_NONE;
    add_state(&v, f);
    add_troubles(&v, f);
    add_counters(&v, f);
    add_silence(&v, f);
    return v.health;
}
