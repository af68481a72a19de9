/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log/reader.h"

/* A damaged frame of a finished log, put together again.  What its bytes must be is known without them: the index has its head and its
 * extents, and its XXH3-128 is that of the packed frame.  Whoever has data that it may have held offers it; the data is packed as a writer
 * would have done, and taken when the hash fits.  Where the hash itself is among what is damaged, the SHA-256 of the log decides, which
 * covers the hashes of all frames.  Nothing else is ever taken.
 *
 * Which level zstd had is in no log, so all that writers use are tried; another version of the library may pack to other bytes, and then
 * nothing fits.  One thread. */

struct log_mend;
/* `fd` is that of r's file, for reading and writing; both must outlive it.  What cannot be read counts as damaged. */
struct log_mend *log_mend_new(const struct log_reader *r, unsigned frame, int fd);
void log_mend_free(struct log_mend *m);
/* What the payload that is there unpacks to, wrong as it may be: raw_length bytes; NULL: to nothing. */
const uint8_t *log_mend_own(const struct log_mend *m);
/* Is that the data of the frame?  NULL: the payload that is there, so only what is before it is damaged.  True: log_mend_write knows. */
bool log_mend_offer(struct log_mend *m, const void *raw);
unsigned log_mend_offers(const struct log_mend *m); /* how many are reasonable: each may be packed twenty times */
/* False: another frame of the log, a whole one, is packed by this program to other bytes than it has. */
bool log_mend_packs_alike(const struct log_mend *m);
/* Writes what fits in place, only blocks of LOG_PAGE that are wrong: a torn write leaves the frame damaged as it was.  Does not sync. */
bool log_mend_write(struct log_mend *m, GError **err);
