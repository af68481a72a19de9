/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/dispatch.h"

/* Events: what came into being, changed or went among the instances of a class ("intrinsic events" in WMI's words).
 *
 *   SELECT * FROM __InstanceCreationEvent | __InstanceModificationEvent | __InstanceDeletionEvent | __InstanceOperationEvent
 *       [WITHIN seconds] WHERE TargetInstance ISA 'class' [AND TargetInstance.property = ... ]
 *   SELECT * FROM CIM_InstCreation | CIM_InstModification | CIM_InstDeletion WHERE SourceInstance ISA 'class' [AND ...]
 *
 * One thread looks at each class that somebody watches, compares with what it saw before (by object path, then property by property) and
 * hands the difference to every watcher whose filter matches; the condition may speak of TargetInstance, PreviousInstance (SourceInstance,
 * PreviousInstance in the CIM words).  It looks when poked, and every WITHIN seconds (the smallest among the watchers of the class; 1 s
 * without the clause).  Nobody watching: no work.  What happens and is undone between two looks is not seen, and properties that grow by
 * themselves (uptimes, elapsed times, loads: the list is in watch.c) are no modification.
 *
 * A watcher has a bounded queue; when its reader is slow the oldest events are dropped and counted, never the newest.  Any thread; a
 * watcher has one reader at a time. */

enum cim_event_kind { CIM_CREATED, CIM_MODIFIED, CIM_DELETED };
struct cim_event {
    gatomicrefcount refs;
    enum cim_event_kind kind;
    guint64 sequence;                    /* grows over all events of the hub */
    gint64 time_us;                      /* since 1970, UTC */
    struct cim_instance *now, *before;   /* now NULL: deleted; before NULL: created */
};
struct cim_event *cim_event_ref(struct cim_event *e);
void cim_event_unref(struct cim_event *e); /* NULL is fine */

struct cim_watch;
struct cim_watch *cim_watch_new(struct cim_broker *b); /* the broker outlives it */
void cim_watch_free(struct cim_watch *w);              /* after its last watcher */
bool cim_watch_is_volatile(const char *property);      /* it changes all the time by itself: no event */
void cim_watch_poke(struct cim_watch *w);              /* something changed: look now; cheap, from any thread */

struct cim_watcher;
/* ERR_BAD_QUERY: not an event query, or the class is unknown; ERR_ACCESS_DENIED: the caller may not read it.  queue: events kept. */
struct cim_watcher *cim_watch_open(struct cim_watch *w, const struct cim_caller *c, const char *ns, const char *query, guint queue,
                                   GError **err);
void cim_watcher_close(struct cim_watcher *r); /* wakes a reader; NULL is fine */
/* The next event (cim_event_unref), or NULL after timeout_us or when woken.  *lost (may be NULL): events dropped since the last call. */
struct cim_event *cim_watcher_next(struct cim_watcher *r, gint64 timeout_us, guint *lost);
void cim_watcher_wake(struct cim_watcher *r);
