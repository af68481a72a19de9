/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"
#include "store/fpmap.h"

/* Some pages of one disk of a guest that goes on: what they hold, what the newest change log has of them, and which were written since.
 * For comparing both hosts (difference.h): a job asks, the capture task does it between two cycles.
 *
 * The pages are read while the guest writes.  Then the bitmap is read, behind a barrier that every write before it has passed, so a page
 * that is not in `changed` was not written between the instant of `log` and the moment at which it was read: it was read as it was at that
 * instant.  Tracking goes on as if nothing had been. */

struct sample {
    /* the wish */
    guint16 disk;
    guint64 page;
    guint count;
    const struct extents *send; /* NULL: read; else these ranges of the disk go to the replica, whatever it is believed to have, in a
                                   fuzzy log with all that changed meanwhile */
    /* the outcome */
    struct uuid log;            /* the newest one: read at; or what was sent */
    guint64 sequence;
    guint64 size;               /* of the disk now */
    guint8 key[HASH_SECRET];    /* of the hashes */
    GArray *live, *known;       /* struct hash128; known: FPMAP_UNKNOWN where nothing is; fewer than `count` at the end of the disk */
    struct extents *changed;    /* written since `log`, or left out (leaveout.h); empty when live and known are the same */
    /* between the two */
    bool taken, done;
    GError *error;
};
void sample_clear(struct sample *s);

/* Hands it to the capture task and waits, until *cancel is set.  Errors whose err_info says "retry" can pass. */
bool sample_take(struct relation *rel, struct sample *s, const gint *cancel, GError **err);
/* The capture task: does what is asked, if something is. */
void sample_serve(struct core *c, struct relation *rel);
