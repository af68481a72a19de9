/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/work.h"

/* A replica that is made of a guest which is here already: the old primary after a reversal, a guest that is to become a replica (contract
 * 2.3, value 2).  Its images are copied into the base of a new store, which then stands for log r.seed; only differences must travel.
 *
 * The record says r.seeding first; until it is done the replica answers "in use", and a crash begins it anew.  Images in
 * <folder>/failover (from a former failover to this host) are ours and are removed afterwards; others are left alone, not used any more.
 * Images that are the base's files already (its replication was removed here once, farewell.h) stay where they are: nothing is copied.
 * Where it cannot be found out whether an image is one of these, nothing is touched. */

/* A receiver's record for that guest, not yet known to anybody: seeding, its folder below the entry's location.  Reference. */
struct relation *seed_new(struct core *c, const struct vm_facts *facts, const char *const *targets, const struct repl_entry *entry,
                          GError **err);
/* Posts the job; the relationship is in the table. */
bool seed_begin(struct core *c, struct relation *rel, const char *owner, char job[UUID_TEXT], GError **err);
bool seed_work(struct job *job, void *work, GError **err); /* 95 */
