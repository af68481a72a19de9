/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* What C lacks of B's newest whole state, when no chain of logs leads there.
 *
 * A view of that state is compared with C's hashes, 64 MiB at a time (everything allocated is sent to an empty C).  The differences go as
 * fuzzy logs of bounded size, whose ids are known to nobody else, and at last as a whole log that has the id of B's: from there C follows
 * the chain.  Nothing is remembered: after a cut the comparison begins again, and only what still differs travels. */

/* C stands at st.  ERR_NOT_AVAILABLE: B has no whole state yet that is newer.  tail: the log that C stands at now. */
bool extendfill_send(struct core *c, struct relation *rel, const char *folder, struct wire_peer *peer, const struct wire_status *st,
                     struct uuid *tail, GError **err);
/* One log of B's chain, which follows what C has, and in it also `found` (struct extents by disk) as it is at that log. */
bool extendfill_mend(struct core *c, struct relation *rel, const char *folder, const char *path, struct wire_peer *peer,
                     const GPtrArray *found, GError **err);
/* HASH_SECRET random bytes: C hashes under a key of ours, since the guest, which writes the pages, must not know it. */
bool extendfill_key(guint8 *key, GError **err);
/* What extendfill_send sends, into a folder that C will import (export.h): all that B has, from the whole state that was its newest at the
 * beginning (r.export_point, which is kept meanwhile).  The folder must be there.  A daemon that stops goes on behind the last log there;
 * what cannot be gone on with goes, and a new one begins.  ERR_NOT_AVAILABLE: whether it can be cannot be found out now; after an hour of
 * that ERR_IO.  ERR_INVALID_PARAMETER: the folder has another guest's log. */
bool extendfill_export(struct core *c, struct relation *rel, const char *folder, const char *dir, GError **err);
