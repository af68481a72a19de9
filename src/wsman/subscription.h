/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/watch.h"

/* Subscriptions to events: what Subscribe made, until Unsubscribe or until it expires.
 *
 * A subscription belongs to a user, not to a connection.  It ends SUBSCRIPTION_DEFAULT_S after Subscribe or Renew, or when these asked for
 * another time, at most SUBSCRIPTION_LONGEST_S (SUBSCRIPTION_LONGEST_PUSHED_S: who pulls shows with each Pull who he is, who is pushed to
 * does it with Renew).  A user may have SUBSCRIPTION_PER_USER, a host SUBSCRIPTION_TOTAL of them, SUBSCRIPTION_PUSHED with push delivery:
 * beyond that FAULT_QUOTA.  One Pull at a time works on each (FAULT_CONCURRENCY), or one thread that pushes.  Expired ones go with the
 * next call.  Any thread. */

#define SUBSCRIPTION_DEFAULT_S 600
#define SUBSCRIPTION_LONGEST_S 86400
#define SUBSCRIPTION_LONGEST_PUSHED_S 3600
#define SUBSCRIPTION_PER_USER 20u
#define SUBSCRIPTION_TOTAL 200u
#define SUBSCRIPTION_PUSHED 50u
#define SUBSCRIPTION_QUEUE 1000u

struct subscription {
    char *user;
    struct cim_watcher *watcher;
    char *event;             /* class of the events, as the query names it */
    bool indication;         /* CIM_Inst...: SourceInstance, IndicationTime */
    gint64 ends_us;          /* monotonic */
    bool pushed;
    bool busy;               /* a Pull or a pusher works on it */
    bool removed;            /* under it, who then frees it */
    void (*interrupt)(void *who); /* NULL; who works on it is to look again whether it goes on */
    void *who;
};

struct subscriptions;
struct subscriptions *subscriptions_new(struct cim_watch *watch); /* outlives it */
void subscriptions_free(struct subscriptions *t); /* waits for those who push */
/* lives_us 0: the default.  Returns the id (g_free), *lives_us becomes what was granted; ERR_BAD_QUERY, FAULT_QUOTA. */
char *subscriptions_add(struct subscriptions *t, const struct cim_caller *caller, const char *ns, const char *query, bool pushed,
                        gint64 *lives_us, GError **err);
bool subscriptions_pulled(struct subscriptions *t, const char *user, const char *id); /* there is one, and it is pulled from */
bool subscriptions_renew(struct subscriptions *t, const char *user, const char *id, gint64 *lives_us, GError **err); /* FAULT_CONTEXT */
bool subscriptions_remove(struct subscriptions *t, const char *user, const char *id, GError **err); /* wakes a Pull; FAULT_CONTEXT */
struct subscription *subscriptions_take(struct subscriptions *t, const char *user, const char *id, GError **err);
void subscriptions_give_back(struct subscriptions *t, struct subscription *s);

/* For who pushes from one that was taken.  interrupt is called under a lock, from any thread, until it is given back or another is set. */
void subscriptions_on_end(struct subscriptions *t, struct subscription *s, void (*interrupt)(void *who), void *who);
enum subscription_state { SUBSCRIPTION_GOES_ON, SUBSCRIPTION_OVER, SUBSCRIPTION_CLOSING /* the host ends */ };
/* *left_us: until it expires. */
enum subscription_state subscriptions_look(struct subscriptions *t, struct subscription *s, gint64 *left_us);
