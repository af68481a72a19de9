/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/state.h"

#define S SIDE_SENDER
#define R SIDE_RECEIVER

/* Sorted by side, then state.  docs/states.md tells the same in words; a test walks the table at random. */
static const struct transition TABLE[] = {
    { S, STATE_DISABLED, EVENT_CREATE, STATE_READY, "the replica host made a placeholder" },
    { S, STATE_DISABLED, EVENT_BECOME_REPLICA, STATE_WAITING_INITIAL, "waits for a primary as a seed" },

    { S, STATE_READY, EVENT_START, STATE_WAITING_INITIAL, "the initial copy begins" },
    { S, STATE_READY, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { S, STATE_WAITING_INITIAL, EVENT_INITIAL_DONE, STATE_REPLICATING, "the replica acknowledged the first whole log" },
    { S, STATE_WAITING_INITIAL, EVENT_CANCEL_INITIAL, STATE_READY, "the initial copy was cancelled" },
    { S, STATE_WAITING_INITIAL, EVENT_FAIL, STATE_CRITICAL, "an error that only an operator can mend" },
    { S, STATE_WAITING_INITIAL, EVENT_SUSPEND, STATE_SUSPENDED, "paused during the initial copy" },
    { S, STATE_WAITING_INITIAL, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { S, STATE_REPLICATING, EVENT_CYCLE_OK, STATE_REPLICATING, "a cycle was acknowledged" },
    { S, STATE_REPLICATING, EVENT_FAIL, STATE_CRITICAL, "an error that only an operator can mend" },
    { S, STATE_REPLICATING, EVENT_PEER_FAILED_OVER, STATE_CRITICAL, "the replica has failed over" },
    { S, STATE_REPLICATING, EVENT_TRACKING_LOST, STATE_WAITING_RESYNC, "what changed is not known" },
    { S, STATE_REPLICATING, EVENT_SUSPEND, STATE_SUSPENDED, "paused" },
    { S, STATE_REPLICATING, EVENT_PREPARE, STATE_PREPARED, "the last change log before a planned failover was acknowledged" },
    { S, STATE_REPLICATING, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { S, STATE_PREPARED, EVENT_RESUME, STATE_REPLICATING, "the planned failover was called off" },
    { S, STATE_PREPARED, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { S, STATE_SUSPENDED, EVENT_RESUME, STATE_BEFORE, "resumed" },
    { S, STATE_SUSPENDED, EVENT_TRACKING_LOST, STATE_WAITING_RESYNC, "what changed is not known" },
    { S, STATE_SUSPENDED, EVENT_PEER_FAILED_OVER, STATE_CRITICAL, "the replica has failed over" },
    { S, STATE_SUSPENDED, EVENT_RESYNC_START, STATE_RESYNC, "resynchronisation was forced" },
    { S, STATE_SUSPENDED, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { S, STATE_CRITICAL, EVENT_RESUME, STATE_BEFORE, "resumed; the cause is tried again" },
    { S, STATE_CRITICAL, EVENT_SUSPEND, STATE_SUSPENDED, "paused" },
    { S, STATE_CRITICAL, EVENT_PEER_FAILED_OVER, STATE_CRITICAL, "the replica has failed over" },
    { S, STATE_CRITICAL, EVENT_TRACKING_LOST, STATE_WAITING_RESYNC, "what changed is not known" },
    { S, STATE_CRITICAL, EVENT_RESYNC_START, STATE_RESYNC, "resynchronisation begins" },
    { S, STATE_CRITICAL, EVENT_BECOME_REPLICA, STATE_WAITING_INITIAL, "gives up its role to the failed-over replica" },
    { S, STATE_CRITICAL, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { S, STATE_WAITING_RESYNC, EVENT_RESYNC_START, STATE_RESYNC, "resynchronisation begins" },
    { S, STATE_WAITING_RESYNC, EVENT_PEER_FAILED_OVER, STATE_CRITICAL, "the replica has failed over" },
    { S, STATE_WAITING_RESYNC, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { S, STATE_RESYNC, EVENT_RESYNC_DONE, STATE_REPLICATING, "both sides are equal again" },
    { S, STATE_RESYNC, EVENT_SUSPEND, STATE_RESYNC_SUSPENDED, "resynchronisation was paused" },
    { S, STATE_RESYNC, EVENT_RESYNC_CANCEL, STATE_WAITING_RESYNC, "resynchronisation was cancelled" },
    { S, STATE_RESYNC, EVENT_PEER_FAILED_OVER, STATE_CRITICAL, "the replica has failed over" },
    { S, STATE_RESYNC, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { S, STATE_RESYNC_SUSPENDED, EVENT_RESUME, STATE_RESYNC, "resynchronisation goes on" },
    { S, STATE_RESYNC_SUSPENDED, EVENT_RESYNC_START, STATE_RESYNC, "resynchronisation begins again" },
    { S, STATE_RESYNC_SUSPENDED, EVENT_RESYNC_CANCEL, STATE_WAITING_RESYNC, "resynchronisation was cancelled" },
    { S, STATE_RESYNC_SUSPENDED, EVENT_PEER_FAILED_OVER, STATE_CRITICAL, "the replica has failed over" },
    { S, STATE_RESYNC_SUSPENDED, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { R, STATE_DISABLED, EVENT_CREATE, STATE_WAITING_INITIAL, "a primary asked for a placeholder" },
    { R, STATE_DISABLED, EVENT_BECOME_REPLICA, STATE_WAITING_INITIAL, "waits for a primary as a seed" },

    { R, STATE_WAITING_INITIAL, EVENT_INITIAL_DONE, STATE_REPLICATING, "the first whole log is durable" },
    { R, STATE_WAITING_INITIAL, EVENT_SUSPEND, STATE_SUSPENDED, "paused during the initial copy" },
    { R, STATE_WAITING_INITIAL, EVENT_FAIL, STATE_CRITICAL, "the replica's disks are in trouble" },
    { R, STATE_WAITING_INITIAL, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { R, STATE_REPLICATING, EVENT_CYCLE_OK, STATE_REPLICATING, "a log is durable" },
    { R, STATE_REPLICATING, EVENT_FAIL, STATE_CRITICAL, "the replica's disks are in trouble" },
    { R, STATE_REPLICATING, EVENT_SUSPEND, STATE_SUSPENDED, "paused" },
    { R, STATE_REPLICATING, EVENT_RESYNC_START, STATE_RESYNC, "the primary resynchronises" },
    { R, STATE_REPLICATING, EVENT_FAILOVER_START, STATE_FAILING_OVER, "failover begins" },
    { R, STATE_REPLICATING, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { R, STATE_RECOVERED, EVENT_REVERT, STATE_REPLICATING, "the failover was reverted" },
    { R, STATE_RECOVERED, EVENT_COMMIT, STATE_COMMITTED, "the failover was committed" },
    { R, STATE_RECOVERED, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { R, STATE_COMMITTED, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { R, STATE_SUSPENDED, EVENT_RESUME, STATE_BEFORE, "resumed" },
    { R, STATE_SUSPENDED, EVENT_FAILOVER_START, STATE_FAILING_OVER, "failover begins" },
    { R, STATE_SUSPENDED, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { R, STATE_CRITICAL, EVENT_RESUME, STATE_BEFORE, "resumed; the cause is tried again" },
    { R, STATE_CRITICAL, EVENT_SUSPEND, STATE_SUSPENDED, "paused" },
    { R, STATE_CRITICAL, EVENT_FAILOVER_START, STATE_FAILING_OVER, "failover begins" },
    { R, STATE_CRITICAL, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { R, STATE_RESYNC, EVENT_RESYNC_DONE, STATE_REPLICATING, "both sides are equal again" },
    { R, STATE_RESYNC, EVENT_RESYNC_CANCEL, STATE_REPLICATING, "resynchronisation was cancelled" },
    { R, STATE_RESYNC, EVENT_SUSPEND, STATE_RESYNC_SUSPENDED, "resynchronisation was paused" },
    { R, STATE_RESYNC, EVENT_FAILOVER_START, STATE_FAILING_OVER, "failover begins and ends the resynchronisation" },
    { R, STATE_RESYNC, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { R, STATE_RESYNC_SUSPENDED, EVENT_RESUME, STATE_RESYNC, "resynchronisation goes on" },
    { R, STATE_RESYNC_SUSPENDED, EVENT_FAILOVER_START, STATE_FAILING_OVER, "failover begins and ends the resynchronisation" },
    { R, STATE_RESYNC_SUSPENDED, EVENT_REMOVE, STATE_DISABLED, "removed" },

    { R, STATE_FAILING_OVER, EVENT_FAILOVER_DONE, STATE_RECOVERED, "the guest can be started from the point" },
    { R, STATE_FAILING_OVER, EVENT_FAILOVER_FAILED, STATE_BEFORE, "the failover failed and was undone" },
};

const struct transition *
state_next(enum repl_side side, enum repl_state from, enum repl_event event)
{
    for (guint i = 0; i < G_N_ELEMENTS(TABLE); i++)
        if (TABLE[i].side == side && TABLE[i].from == from && TABLE[i].event == event)
            return &TABLE[i];
    return NULL;
}

const char *
state_name(enum repl_state s)
{
    switch (s) {
    case STATE_DISABLED: return "Disabled";
    case STATE_READY: return "Ready for replication";
    case STATE_WAITING_INITIAL: return "Waiting to complete initial replication";
    case STATE_REPLICATING: return "Replicating";
    case STATE_PREPARED: return "Synced replication complete";
    case STATE_RECOVERED: return "Recovered";
    case STATE_COMMITTED: return "Committed";
    case STATE_SUSPENDED: return "Suspended";
    case STATE_CRITICAL: return "Critical";
    case STATE_WAITING_RESYNC: return "Waiting to start resynchronization";
    case STATE_RESYNC: return "Resynchronizing";
    case STATE_RESYNC_SUSPENDED: return "Resynchronization suspended";
    case STATE_FAILING_OVER: return "Failover in progress";
    case STATE_DISK_UPDATE: return "Disk update in progress";
    case STATE_DISK_UPDATE_CRITICAL: return "Disk update critical";
    }
    return "Unknown";
}

bool
state_sends(enum repl_state s)
{
    return s == STATE_WAITING_INITIAL || s == STATE_REPLICATING || s == STATE_RESYNC;
}

bool
state_is_failed_over(const char *name)
{
    return !g_strcmp0(name, state_name(STATE_RECOVERED)) || !g_strcmp0(name, state_name(STATE_COMMITTED));
}

const char *
event_name(enum repl_event e)
{
    static const char *const NAMES[EVENT_COUNT] = {
        "create", "start", "initial-done", "cancel-initial", "cycle-ok", "fail", "suspend", "resume", "prepare", "tracking-lost",
        "resync-start", "resync-done", "resync-cancel", "peer-failed-over", "failover-start", "failover-done", "failover-failed", "revert",
        "commit", "remove", "become-replica",
    };
    return e < EVENT_COUNT ? NAMES[e] : "unknown";
}
