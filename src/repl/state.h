/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* The life of a relationship: contract section 3.1 and 3.2, as one table.  Numbers are those of Msvm_ReplicationRelationship. */

enum repl_state {
    STATE_DISABLED = 0, STATE_READY = 1, STATE_WAITING_INITIAL = 2, STATE_REPLICATING = 3, STATE_PREPARED = 4, STATE_RECOVERED = 5,
    STATE_COMMITTED = 6, STATE_SUSPENDED = 7, STATE_CRITICAL = 8, STATE_WAITING_RESYNC = 9, STATE_RESYNC = 10, STATE_RESYNC_SUSPENDED = 11,
    STATE_FAILING_OVER = 12, STATE_DISK_UPDATE = 15, STATE_DISK_UPDATE_CRITICAL = 16,
};

enum repl_mode { MODE_NONE = 0, MODE_PRIMARY = 1, MODE_REPLICA = 2, MODE_TEST = 3, MODE_EXTENDED = 4 };
enum repl_side { SIDE_SENDER, SIDE_RECEIVER };

enum repl_event {
    EVENT_CREATE, EVENT_START, EVENT_INITIAL_DONE, EVENT_CANCEL_INITIAL, EVENT_CYCLE_OK, EVENT_FAIL, EVENT_SUSPEND, EVENT_RESUME,
    EVENT_PREPARE, EVENT_TRACKING_LOST, EVENT_RESYNC_START, EVENT_RESYNC_DONE, EVENT_RESYNC_CANCEL, EVENT_PEER_FAILED_OVER,
    EVENT_FAILOVER_START, EVENT_FAILOVER_DONE, EVENT_FAILOVER_FAILED, EVENT_REVERT, EVENT_COMMIT, EVENT_REMOVE, EVENT_BECOME_REPLICA,
    EVENT_COUNT
};

const char *state_name(enum repl_state s);       /* label of the contract, "Replicating" */
bool state_sends(enum repl_state s);             /* a sender captures and sends in this state */
bool state_is_failed_over(const char *name);     /* is that the label of a replica whose guest may run? */
const char *event_name(enum repl_event e);
/* A pair that is not listed is refused.  STATE_BEFORE is the state to return to (resume after suspend, a failed failover), kept by the
 * relationship. */
struct transition {
    enum repl_side side;
    enum repl_state from;
    enum repl_event event;
    enum repl_state to;      /* STATE_BEFORE: the remembered state */
    const char *reason;
};
#define STATE_BEFORE ((enum repl_state)255)
const struct transition *state_next(enum repl_side side, enum repl_state from, enum repl_event event); /* NULL: refused */
