/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/damage.h"

/* Reads a store piece by piece and compares everything with its checksums: first the pages of the base, then the logs, oldest first, frame
 * by frame.  Works on the folder alone, beside a daemon that uses it: while it reads the base it holds the lock of the base's point
 * (baselock.h), and a log that is merged meanwhile is left out.
 *
 * What its disk or file system does not give any more is damage like something that is wrong (err_is_damage); a file that cannot be opened
 * for want of descriptors, memory or rights is an error, and nothing is known of it.  Any thread, one at a time per struct. */

/* Where a pass has come to; all zero: at its beginning. */
struct scrub_place {
    bool in_logs;
    unsigned disk;      /* of the base, counted */
    uint64_t offset;
    uint64_t sequence;  /* logs below are done */
    unsigned frame;     /* frames below are done, of the first log that is not */
};

struct scrub_wish {
    uint64_t budget;    /* bytes of data after which it is enough for now */
    bool deep;          /* also the SHA-256 of each log, which nothing but a receiver needs */
    uint64_t last;      /* logs above that sequence are for the next pass; 0: none are */
    const gint *cancel; /* may be NULL */
};

/* Goes on from `at`; what is damaged is appended to `found` with its reach.  *over: the pass is at its end.  ERR_IN_USE: logs are being
 * merged into the base now; try again later.  ERR_CANCELLED.  Also after an error `at` says how far it came, and `found`
 * what is damaged up to there. */
bool scrub_some(const char *dir, struct scrub_place *at, const struct scrub_wish *wish, GPtrArray *found, uint64_t *done, bool *over,
                GError **err);
uint64_t scrub_total(const char *dir); /* about how many bytes a pass reads */

/* What is known of a store: the pass that is under way, the last whole one, and the damage.  Kept in <dir>/scrub.json, so that a restart
 * goes on where it was. */
struct scrub_record {
    struct scrub_place at;
    gint64 begun_us, ended_us;  /* wall; of the pass under way (0: none) and of the last whole one (0: never) */
    uint64_t goal;              /* sequence at which the pass under way ends; 0: with the newest log */
    uint64_t done;              /* bytes of the pass under way */
    uint64_t checked;           /* of the last whole one */
    GPtrArray *damage;          /* struct damage: known now */
    GPtrArray *found;           /* by the pass under way; becomes `damage` at its end */
    bool saved;                 /* it is in the file */
};
void scrub_record_init(struct scrub_record *r);
void scrub_record_clear(struct scrub_record *r);
/* No file, or nothing in it that is understood or that its disk gives: an empty record, of which a pass is due.  False: it cannot be
 * opened now, so what is damaged is not known; the record is empty then, too. */
bool scrub_record_load(struct scrub_record *r, const char *dir, GError **err);
bool scrub_record_save(struct scrub_record *r, const char *dir, GError **err);
/* A piece of a pass is done. */
void scrub_record_step(struct scrub_record *r, uint64_t done, bool over, gint64 now_us);
/* Looks again which points each damage reaches, and forgets what is in the store no more, or can be read again. */
bool scrub_record_reach(struct scrub_record *r, const char *dir, GError **err);
