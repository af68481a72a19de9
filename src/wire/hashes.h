/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/bytes.h"
#include "wire/peer.h"

/* How hashes of pages travel; only for files of wire/.
 *
 * A list is runs until its end, each begun by a varint of count << 2 | kind:
 *
 *   0  `count` hashes follow           1  one hash follows, which all `count` pages have
 *   2  the asker has guessed these `count` hashes: nothing follows
 *
 * An asker with hashes of its own guesses that the other side has the same (struct wire_hash_query).  Pages go in groups of
 * HASHES_GROUP, from the first one that is asked for, the last group may be short; an end of the disk may cut both.
 *
 *   sums     the asker sends one keyed digest of each group's hashes, as a list; the answer is a bit for each group that differs
 *   shorts   the asker sends a bit for each group that it means and two bytes of each of their pages' hashes; the answer is one digest
 *            of each of these groups, then a list of their pages: kind 2 where two bytes agree
 *
 * Two bytes that agree by chance are found by the group's digest and asked for again with two others (`round`), so no answer means less
 * than all 16 bytes of every hash.  Pure; any thread.  Reading refuses with ERR_MALFORMED what does not fit in full. */

#define HASHES_GROUP 256u
#define HASHES_ROUNDS 4u /* of shorts; then the hashes themselves */

static inline guint
hashes_groups(guint pages)
{
    return (pages + HASHES_GROUP - 1) / HASHES_GROUP;
}

/* Pages of group `g` when there are `pages`. */
static inline guint
hashes_in_group(guint pages, guint g)
{
    return MIN(HASHES_GROUP, pages - MIN(pages, g * HASHES_GROUP));
}

static inline bool
hashes_bit(const guint8 *bits, guint i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

static inline void
hashes_set_bit(guint8 *bits, guint i)
{
    bits[i / 8] |= (guint8)(1u << (i % 8));
}

static inline guint
hashes_bit_bytes(guint groups)
{
    return (groups + 7) / 8;
}

/* guessed: one byte for each, not 0 where the asker knows it; NULL: nowhere. */
void hashes_write(GByteArray *w, const struct hash128 *hashes, const guint8 *guessed, guint count);
/* Appends at most `most` to out; guess: as many hashes for kind 2, NULL: there must be none. */
bool hashes_read(struct reader *r, const struct hash128 *guess, guint most, GArray *out, GError **err);

struct hash128 hashes_digest(const struct hash128 *hashes, guint count, const guint8 *key);
guint16 hashes_short(const struct hash128 *hash, guint round);

/* What the answering side makes of a question's body behind the key; `there`: hashes of the pages that it has of `asked`.  The answer is
 * appended to `out`. */
bool hashes_answer_sums(struct reader *r, const struct hash128 *there, guint count, guint asked, const guint8 *key, GByteArray *out,
                        GError **err);
bool hashes_answer_shorts(struct reader *r, const struct hash128 *there, guint count, guint asked, guint round, const guint8 *key,
                          GByteArray *out, GError **err);

/* The asker: bodies, without the key, and answers.  `wanted`: bits of groups. */
void hashes_ask_sums(GByteArray *w, const struct hash128 *guess, guint asked, const guint8 *key);
bool hashes_read_sums(struct reader *r, guint asked, guint8 *wanted, GError **err);
void hashes_ask_shorts(GByteArray *w, const struct hash128 *guess, guint asked, const guint8 *wanted, guint round);
/* `known`: the guess, which becomes what is there; of `wanted` remain the groups in which something still is not right.  `count`: pages
 * of the disk among those asked for. */
bool hashes_read_shorts(struct reader *r, struct hash128 *known, guint count, guint asked, guint8 *wanted, const guint8 *key, GError **err);
