/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/watch.h"

/* GET /api/v1/events?class=CLASS[&where=...][&kind=created|modified|deleted][&within=seconds]: server-sent events.
 *
 *   event: created | modified | deleted     data: {"kind", "sequence", "time", "instance", "previous"}; id: EPOCH-SEQUENCE
 *   event: lost                             data: {"count"}: the reader was slow; the oldest were dropped
 *   event: missed                           data: {"after", "restarted", "detail"}: first, when the request carries Last-Event-ID
 *
 * Events are not kept: one that happened while nobody listened is gone, and Last-Event-ID cannot bring it back.  So a client that comes
 * again is told so, and reads the list anew.  A comment comes every EVENTS_BEAT_S; after EVENTS_MAX_S the stream ends, and the client comes
 * again with its credentials, which are then looked at again.  Conditions speak of TargetInstance.X and PreviousInstance.X. */

#define EVENTS_BEAT_S 15
#define EVENTS_MAX_S 3600
#define EVENTS_PER_USER 8
#define EVENTS_IN_ALL 64
#define EVENTS_QUEUE 256

struct web;
void events_offer(struct web *w, struct cim_watch *watch); /* once, before web_mount; the watch outlives w */
