/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log/info.h"

/* Verifies a change log as its bytes arrive, without decompressing and without seeking: what a receiver does while it appends.
 *
 * Feed bytes in any pieces.  The first wrong byte is found in the frame that holds it: every frame hash, every length, the order of the
 * parts, the index against the frames seen, and the SHA-256.  Memory is bounded by LOG_HEADER_MAX and the largest frame.
 * One thread at a time. */

enum log_verify_state { LOG_VERIFY_MORE, LOG_VERIFY_COMPLETE, LOG_VERIFY_BAD };

struct log_verifier;
struct log_verifier *log_verifier_new(void);
/* BAD sets err; bytes after COMPLETE are BAD. */
enum log_verify_state log_verifier_feed(struct log_verifier *v, const void *data, size_t len, GError **err);
/* NULL until the header has arrived. */
const struct log_info *log_verifier_info(const struct log_verifier *v);
/* Bytes up to the end of the last whole part (header, frame, index): what may be kept when the stream stops here. */
uint64_t log_verifier_good(const struct log_verifier *v);
void log_verifier_free(struct log_verifier *v);

/* Verifies a whole file, payloads decompressed too: `vmreplica log check`. */
bool log_check_file(const char *path, GError **err);
/* Prints header, frames and totals for people: `vmreplica log dump`. */
bool log_dump_file(const char *path, GString *out, GError **err);
