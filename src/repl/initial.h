/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* Reading disks that are in use, as a chain of fuzzy logs of bounded size which are sent while the next is read.
 *
 * The same code makes the initial copy (state 2) and catches up after tracking was lost (state 3: points on the replica stay, health says
 * why and how far).  The chain goes on from the replica's newest log either way; the next instant makes it whole.
 *
 * What the fingerprints (prints.h) know the replica to have is not sent.  When they know too little, this is a full copy of the disks:
 * announced, counted in the statistics, and refused where AdditionalSettings has "full_copy": "forbid" (the state becomes Critical). */

/* All allocated data; tracking begins anew.  why: what was lost; NULL for the initial copy.  ERR_CANCELLED: refused, or stopped. */
bool initial_read_all(struct core *c, struct relation *rel, const char *why, GError **err);
/* What is dirty now, because it does not fit into the scratch folder. */
bool initial_read_changes(struct core *c, struct relation *rel, GError **err);
/* Percent of the initial copy that the replica has, for job 94; 0 .. 99. */
guint initial_percent(struct relation *rel);
