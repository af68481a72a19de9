/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/relation.h"

/* A replica and the file system that it lies on: how much it has, how fast it grows, when that is full; and what goes when it is.
 *
 * Below a low-water mark of free space (reserve_percent) recovery points are given up, the oldest first, one at a time, until there is more
 * again.  Pinned and protected points stay, and so does the newest state.  Giving one up is an ordinary merge (retention_give_up), so
 * nothing is ever half deleted.  When nothing is left to give up, replication goes on as long as a write succeeds; a quarter of the reserve
 * is kept from incoming logs, because a merge needs room.  Each step is logged, and health says what was given up. */

/* By maintenance, which holds the store for itself (in.merging).  Measures now and then; *more: a point was given up, look again at once.
 * false: it could not be. */
bool space_tend(struct relation *rel, bool *more, GError **err);
/* ERR_NO_SPACE when there is no room for another log. */
bool space_admit(struct relation *rel, GError **err);
/* With the relation's lock held. */
char *space_warning(const struct relation *rel, gint64 now_us);              /* NULL: none; g_free */
void space_statistics(const struct relation *rel, struct repl_statistics *out);
