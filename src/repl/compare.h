/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"
#include "wire/receiver.h"

/* What does the other side have?  Both hosts hash the pages of one log under the primary's key, so that only differences travel when the
 * primary does not know any more: its fingerprints are lost, or stand for another log than the replica's newest one.
 *
 * On the replica (an HTTP thread): operation `hashes` of wire/receiver.h; the log must be the newest one and stays so meanwhile, because
 * nobody but the asking primary sends. */
bool compare_answer(struct relation *rel, const struct wire_hash_query *query, struct wire_hashes *out, GError **err);

/* On the primary (capture task), when the outbox is empty: fills the fingerprints with what the replica says of its newest log, which must
 * be the acknowledged one.  `progress` may be NULL.  Errors whose err_info says "retry" can pass (no link); with others the peer cannot
 * tell. */
bool compare_ask(struct core *c, struct relation *rel, void (*progress)(void *user, guint percent), void *user, GError **err);
