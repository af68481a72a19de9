/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/work.h"

/* Test failover (contract 2.5): a second guest "<name> - Test" over a recovery point, while replication goes on.
 *
 * It has a UUID and network cards of its own; a card is on the network that is set for it (addresses.h), else on the test_network of
 * AdditionalSettings, else disconnected; a network that is not there is made, isolated.  One at a time per replica.  The point stays as
 * long as the test guest: retention pins it, its server locks it.
 *
 *   <folder>/test/<target>.qcow2     overlays
 *   <folder>/test-guest/             what the guest itself needs
 *   <runtime>/test-<vm>.sock         nbdkit
 *   <swtpm_dir>/<test guest>/        the state of its TPM (vm/tpm.h)
 *
 * The record says what was begun before it is begun; undoing is repeatable and serves a failed or interrupted test and its end. */

/* drill: the test guest belongs to a boot check (drill.h).  What fails half-way is undone. */
bool testvm_make(struct core *c, struct relation *rel, struct job *job, const struct store_log *point, bool drill, GError **err);
bool testvm_end(struct core *c, struct relation *rel, GError **err); /* turns it off first; none is success */
bool testvm_make_work(struct job *job, void *work, GError **err);
bool testvm_remove_work(struct job *job, void *work, GError **err);
/* At the start of the daemon: what a crash left half made goes, a whole one is served again. */
bool testvm_recover(struct core *c, struct relation *rel, GError **err);
/* The test guest was undefined by somebody else: the rest of it goes, too. */
void testvm_follow(struct core *c, struct relation *rel);
/* The replica whose test guest that is, or NULL.  Reference.  Then *drilling (NULL is fine): it belongs to a boot check under way. */
struct relation *testvm_owner(struct core *c, const struct uuid *test, bool *drilling);
/* The point it stands on into a set for retention (struct uuid *, owned by the relationship); NULL: none.  g_hash_table_unref. */
GHashTable *testvm_pins(struct relation *rel);
