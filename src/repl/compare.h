/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/block.h"
#include "repl/core.h"
#include "wire/receiver.h"

/* What does the other side have?  Both hosts hash the pages of one log under the primary's key, so that only differences travel when the
 * primary does not know any more: its fingerprints are lost, or stand for another log than the replica's newest one.
 *
 * On the replica (an HTTP thread): operation `hashes` of wire/receiver.h, of any log that is there; ERR_OUT_OF_SEQUENCE: it is not (any
 * more).  A page that is damaged there has FPMAP_UNKNOWN, so whoever learns it sends the page again.  When a log cannot be opened at all,
 * nothing after it can be read either; a query that mends removes these logs (and no pinned or protected one), ERR_OUT_OF_SEQUENCE. */
bool compare_answer(struct relation *rel, const struct wire_hash_query *query, struct wire_hashes *out, GError **err);

/* On the primary (capture task), when the outbox is empty: fills the fingerprints with what the replica says of its newest log, which must
 * be the acknowledged one.  The disks of `cap`, which tracks already, are read for it: they are the guess that makes the answers small
 * (wire/peer.h), and what of them is there already, in pieces of 64 KiB, is added to `same` (struct extents by disk), so nobody need read
 * it again.  `progress` may be NULL.  ERR_NOT_FOUND, ERR_CORRUPT, ERR_NOT_SUPPORTED and ERR_MALFORMED: the peer cannot tell.  With any
 * other error it was not reached, or did not want to be asked. */
bool compare_ask(struct core *c, struct relation *rel, struct capture *cap, GPtrArray *same, void (*progress)(void *user, guint percent),
                 void *user, GError **err);
/* Before there is a capture: could the peer be asked now? */
bool compare_reach(struct core *c, struct relation *rel, GError **err);

/* On the primary: the replica stands elsewhere now; the sender finds out where, and goes on from there. */
void compare_look_again(struct relation *rel);

/* struct hash128 of `count` pages from `page` on, fewer at the end of the disk, appended to `out`; *cancel may be set, NULL: cannot be. */
bool compare_hash(struct block *b, guint64 page, guint64 count, const guint8 *key, const gint *cancel, GArray *out, GError **err);
/* Page i of what compare_hash or a peer gave.  What cannot be read on one side is no match for what cannot be read on the other. */
bool compare_same_page(const GArray *ours, const GArray *theirs, guint i);
