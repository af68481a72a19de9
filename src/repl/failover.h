/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/work.h"

/* The replica becomes the guest, and back (contract 2.6).  No data is copied: nbdkit serves the chosen point, every
 * disk gets a qcow2 overlay over it, the domain is defined from the point's XML, the fence comes down.
 *
 *   1 STEP_SERVED     nbdkit on <runtime>/view-<vm>.sock
 *   2 STEP_OVERLAYS   <folder>/failover/<target>.qcow2
 *   3 STEP_DEFINED    domain over the overlays
 *   4 STEP_UNFENCED   the guest may be started
 *
 * A step is written into the record before it is taken; failover_undo undoes what is written there, newest first, and may be repeated.  It
 * serves a failed failover, a revert, and a failover that a crash interrupted (which then begins again).  Commit: wait until the overlays
 * are full, state 6 with `committing` set, then drop server, logs and base; the overlays stay where the domain expects them. */

bool failover_work(struct job *job, void *work, GError **err);
bool failover_revert_work(struct job *job, void *work, GError **err);
bool failover_commit_work(struct job *job, void *work, GError **err);
bool failover_undo(struct core *c, struct relation *rel, GError **err);
/* Maintenance: a failed failover that its job could not undo, or whose end it could not save.  False: not this time either. */
bool failover_go_back(struct relation *rel);
/* Deletes everything in `folder` but the names in `keep`.  A folder that is not there holds nothing: what was on a lost disk must not keep
 * its replica from being removed. */
bool failover_remove_but(const char *folder, const char *const *keep, GError **err);
char *failover_socket(struct core *c, const struct uuid *vm);
char *failover_overlay(struct relation *rel, const char *target);
/* Waits until the overlays are full, then state Committed; repeatable. */
bool failover_fill_and_commit(struct core *c, struct relation *rel, struct job *job, GError **err);
/* Removes points, logs and base of a committed replica; repeatable. */
bool failover_drop_store(struct core *c, struct relation *rel, GError **err);
