/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/relation.h"

/* What boot checks (drill.h) found, kept with the recovery points of a replica, and so in its folder:
 *
 *   <folder>/checks/<POINT ID>.json            when, how long, passed or not, why not
 *   <folder>/checks/<POINT ID>.png or .ppm     what the test guest showed at the end; only if it has a screen
 *
 * A point has the result of its last check.  The results go with their points (bootcheck_sweep), but the newest one stays: the
 * relationship's record names its point, for status and health.  In memory they are in rel->in.checks, under the relation's lock. */

/* Of a folder, by id of the point (struct repl_check); what cannot be read is left out.  g_hash_table_unref. */
GHashTable *bootcheck_load(const char *folder);
/* picture NULL: none.  check->picture is filled from suffix. */
bool bootcheck_save(struct relation *rel, const struct uuid *point, struct repl_check *check, GBytes *picture, const char *suffix,
                    GError **err);
/* at_us 0: that point was never checked. */
void bootcheck_get_locked(const struct relation *rel, const struct uuid *point, struct repl_check *out);
/* Results of points that are gone. */
void bootcheck_sweep(struct relation *rel);
void bootcheck_newest_locked(const struct relation *rel, struct repl_statistics *out);
/* In words, when the newest check failed; NULL.  g_free. */
char *bootcheck_warning_locked(const struct relation *rel);
