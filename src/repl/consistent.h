/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* Application-consistent points (contract 4.2): every repl_settings_app_s the file systems of the running guest are frozen by its agent,
 * the instant is taken, and they are thawed (vm/quiesce.h), all before anything is copied.
 *
 * What fails costs nothing but the kind: the instant is taken anyway and becomes a standard point, the failure is counted, and the next try
 * comes after a minute, two, four, ..., but not later than the interval; CONSISTENT_TROUBLE failures in a row are a health warning.  Guests
 * without an interval are never asked and never warned about.
 *
 * Record before deed: `frozen` is saved before the freeze and taken back after the thaw, so a daemon that comes back thaws.
 * Only the capture task calls these, but for consistent_late_locked. */

enum { CONSISTENT_TROUBLE = 3 };

/* CAPTURE_INSTANT, quiesced when that is due; then rel->s.evidence says so until the next call. */
struct capture *consistent_begin(struct core *c, struct relation *rel, const char *const *targets, const struct uuid *log, GError **err);
/* On a replica: recovery points arrive, but none has been application-consistent for twice the interval (contract 3.3).  A sentence,
 * g_free; NULL: all is well.  With the relation's lock; any thread. */
char *consistent_late_locked(const struct relation *rel);
/* Thaws what an earlier run may have left frozen.  False: not yet, call again soon. */
bool consistent_settle(struct core *c, struct relation *rel);
