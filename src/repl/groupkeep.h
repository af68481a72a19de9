/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/group.h"
#include "store/retention.h"

/* Which recovery points of a group stay: all members keep those of the same instants.
 *
 * What counts is the list of the instants of which every member's replica here has its log (group.h).  On it each member's own rules are
 * carried out, with the logs' kinds and ages as all of them have it (application-consistent: each is; arrived: the last one has; pinned:
 * one is), and what one member's rules keep stays with all.  So the outcome is the same whichever member asks.  Logs that a member made
 * alone, or whose instant is not whole (yet), are that member's own affair and take no hour from an instant.
 *
 * A member whose store is not open is waited for a day of this daemon's life.  Then the others decide without its logs, as if it had each
 * instant and pinned none; its rules still count, so what is whole when it comes back is what would have been. */

/* For retention_rules.apart; NULL: the guest is in no group, or none of its members wants points.  Fails while a member's logs cannot be
 * looked at (ERR_NOT_AVAILABLE: its store is not open, and it is waited for): what stays is not known then, and no log may go.  Takes the
 * locks of the members one after the other: none may be held.  g_hash_table_unref. */
bool groupkeep(struct core *c, struct relation *rel, GHashTable **out, GError **err);
