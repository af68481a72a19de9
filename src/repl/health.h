/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/service.h"

/* Health of a relationship and its reasons (contract 3.3): the worst reason decides; a disabled one has health 0.  Pure: facts in, issues
 * out, so nothing has to be remembered and a cause that is gone is gone from the list. */

enum { HEALTH_NONE = 0, HEALTH_OK = 1, HEALTH_WARNING = 2, HEALTH_CRITICAL = 3 };

struct health_facts {
    enum repl_side side;
    enum repl_state state;
    const char *reason;          /* why the state is Critical; NULL */
    const char *trouble;         /* what fails now and is retried; NULL */
    bool away;                   /* the guest runs on another host (guest.h); trouble says so */
    bool trouble_sends;          /* trouble keeps logs from the replica: critical on the sender */
    const char *tracking;        /* a full read is under way and why; NULL */
    const char *disks;           /* disks that are not protected; NULL */
    const char *boot;            /* the newest boot check failed; NULL */
    const char *space;           /* the replica's file system is full, or will be soon; NULL */
    const char *unserved;        /* the guest's recovery point cannot be read (serving.h); NULL */
    const char *damage;          /* recovery points need what is damaged (proof.h); NULL */
    const char *difference;      /* what a comparison of both hosts found (difference.h); NULL */
    const char *addresses;       /* a guest could not be given its addresses (addresses.h); NULL */
    const char *consistency;     /* application-consistent points are wanted and fail (consistent.h); NULL */
    const char *unusual;         /* the guest changes as it never does (churn.h); NULL */
    const struct repl_statistics *statistics;
    gint64 last_us, now_us;      /* wall; last_us 0: never */
    gint64 active_us;            /* since when this side has been replicating, for the time without any success */
    guint64 pending, disk_bytes; /* backlog and size of the replicated disks */
};

/* issues (may be NULL): struct repl_issue, appended. */
guint health_of(const struct health_facts *f, GPtrArray *issues);
/* More than an hour without success, although it should replicate; active_us: the wait begins then at the earliest. */
bool health_is_silent(enum repl_state state, gint64 last_us, gint64 active_us, gint64 now_us);
void repl_issue_free(struct repl_issue *issue);
