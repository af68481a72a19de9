/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/watch.h"

/* cim/watch.h with events that the test makes: nothing is looked at, nothing depends on time.  A query with "bad" in it is refused. */

struct cim_watch *fake_watch_new(void);
void fake_watch_free(struct cim_watch *w);
/* To every watcher; takes both.  Its sequence number. */
guint64 fake_watch_post(struct cim_watch *w, enum cim_event_kind kind, struct cim_instance *now, struct cim_instance *before);
void fake_watch_lose(struct cim_watch *w, guint count); /* every watcher hears of so many lost ones */
void fake_watch_wait(struct cim_watch *w, guint count); /* until there are so many watchers, at most 20 s */
char *fake_watch_query(struct cim_watch *w);            /* the last one; g_free */
guint fake_watch_count(struct cim_watch *w);            /* of watchers */
