/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/stack.h"

/* The decoded frames of a stack that were used last, up to a number of bytes.  Many threads may copy at once: one of them decodes a frame
 * without the lock, the others that want the same one wait for it.  A frame that is wanted whole and that nobody has decoded goes straight
 * to where it is wanted and is not kept: a reader of whole frames does not come back.  For the same reason a frame goes once it was copied
 * through in order, in however many pieces; its memory is used for the next one. */

struct framecache;
struct framecache *framecache_new(struct stack *s, size_t max_bytes); /* the stack must outlive it */
/* Besides, up to so many bytes of frames that were used longer ago, in memory that the kernel may take back (base/lend.h): before the first
 * copy. */
void framecache_lend(struct framecache *c, size_t max_bytes);
void framecache_free(struct framecache *c);
/* `len` raw bytes of frame number `frame` from `raw` on; they lie within it (flat.h). */
bool framecache_copy(struct framecache *c, uint32_t frame, uint32_t raw, void *to, size_t len, GError **err);
/* Decodes the frames in threads of the cache's own, unless they are there or somebody wants one before its turn and decodes it himself;
 * what fails is told to whoever copies it.  Never waits. */
void framecache_ahead(struct framecache *c, const uint32_t *frames, unsigned count);
uint64_t framecache_decoded(struct framecache *c); /* frames so far, without those that went straight to where they were wanted */
void framecache_lose(struct framecache *c);        /* for tests: the kernel takes back all that is lent */
