/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/db.h"

#include <jansson.h>

/* How much a guest writes, per disk and hour: what an administrator needs to size the link.
 *
 *   changed   bytes of the pages that differed from what the replica had, cycle by cycle (4 KiB each); zeros cost nothing, and do not count
 *   wire      the same as they go over the wire: compressed, in change logs
 *   overhead  what change logs of cycles need besides, the guest's definition above all
 *   copied    bytes on the wire of full reads (initial copy, comparison), which say nothing about the guest's habits
 *
 * Hours are those of UTC, of the capture's instant.  One record of the database per relationship and hour, HOURLY_KEPT of them (for a day
 * more until they go); the one of the running hour is written with the statistics (late.h), so a crash loses a minute.  The relationship's
 * lock covers it. */

enum { HOURLY_KEPT = 7 * 24 };

struct hourly {
    gint64 hour;    /* since 1970; 0: nothing yet */
    json_t *doc;    /* {"hour": n, "cycles": n, "overhead": n, "disks": {"vda": {"changed": n, "wire": n, "copied": n}}} */
    bool dirty;
};
void hourly_clear(struct hourly *h);
/* The hour's record, which is read when the database has it; an hour that ends is put there, and what is too old goes. */
void hourly_begin(struct hourly *h, struct db *db, const char *relation, gint64 wall_us);
void hourly_cycle(struct hourly *h, guint64 overhead);
void hourly_disk(struct hourly *h, const char *target, bool full_read, guint64 changed, guint64 wire);
void hourly_save(struct hourly *h, struct db *db, const char *relation);

/* What the database has of the last `hours` (0: all), oldest first, the running hour included when it was saved: documents as above. */
GPtrArray *hourly_list(struct db *db, const char *relation, gint64 wall_us, guint hours, GError **err);
bool hourly_forget(struct db *db, const char *relation, GError **err);
