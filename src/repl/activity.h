/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* Starting and stopping what a relationship does by itself: cycles and sending, or maintenance and filling of overlays. */

/* Opens outbox or store and makes the tasks; repeatable.  ERR_NO_SUCH_INSTANCE after activity_end. */
bool activity_attach(struct core *c, struct relation *rel, GError **err);
/* Wakes what the state asks for now. */
void activity_wake(struct relation *rel);
/* Ends and frees the tasks; waits for what they do. */
void activity_detach(struct relation *rel);
/* The same for a relationship that goes: activity_attach of whoever comes late is ERR_NO_SUCH_INSTANCE.  Revived when it stays after
 * all. */
void activity_end(struct relation *rel);
bool activity_revive(struct core *c, struct relation *rel, GError **err);
/* The guest is about to start: a cycle that reads its images, and so locks them, gives up, and none begins before activity_release. */
void activity_hold(struct relation *rel);
void activity_release(struct relation *rel);
/* Something about a guest changed. */
void activity_guest_event(struct core *c, const struct uuid *vm, const char *what);
