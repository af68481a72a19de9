/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* How hard the change logs of a relationship are packed: what can be set, and what "auto" makes of what it has seen.
 *
 * A log is packed, then sent, so the changes of a cycle take this long per byte:
 *
 *     1 / (processors left over * speed of packing)  +  packed size / speed of the link
 *
 * compress_best takes the way with the smallest sum; compress_vote changes to it when it has won COMPRESS_VOTES times in a row by at least
 * COMPRESS_GAIN, so the level does not flap.  Speed and gain are learnt from whichever way is in use (the ways' relation to one another
 * is a table, measured on files of /usr in frames of 64 KiB), the link from what sending took, acknowledgement included: a replica
 * with a slow disk counts as a slow link.  Small logs say nothing about either.  "auto" never stores raw data: frames that do not
 * compress are raw anyway and cost next to nothing to find out, and how well data pack is how ransomware is seen (churn.h).
 *
 * Pure but for its struct; the relationship's lock covers that. */

enum compress { COMPRESS_AUTO, COMPRESS_NONE, COMPRESS_LZ4, COMPRESS_ZSTD_FAST, COMPRESS_ZSTD_1, COMPRESS_ZSTD_2, COMPRESS_ZSTD_3,
                COMPRESS_COUNT };
enum { COMPRESS_VOTES = 3, COMPRESS_GAIN = 3 /* percent */, COMPRESS_LEAST = 1 << 20 /* bytes of a log that teaches */ };

const char *compress_name(enum compress c);                        /* "auto", "none", "lz4", "zstd:-1" ... */
bool compress_parse(const char *text, enum compress *out);
int compress_level(enum compress c);                               /* zstd's; 0 for none and LZ4 */

struct compress_meter {
    double pack;            /* bytes of changes that one processor packs in a second with zstd:1; 0: not known yet */
    double saved;           /* part of them that zstd:1 saves */
    double link;            /* bytes that are sent in a second; 0: not known yet */
    enum compress now;      /* the way in use; COMPRESS_AUTO: none yet */
    enum compress rival;
    guint votes;            /* for the rival, in a row */
};
/* A log of `raw` bytes became one of `stored` with `way` in `cpu_us` of processor time. */
void compress_note_packed(struct compress_meter *m, enum compress way, guint64 raw, guint64 stored, gint64 cpu_us);
void compress_note_sent(struct compress_meter *m, guint64 bytes, gint64 us);
/* lz4: the replica reads it. */
enum compress compress_best(const struct compress_meter *m, double processors, bool lz4);
enum compress compress_vote(struct compress_meter *m, double processors, bool lz4); /* the way to use now */
