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
/* The same into a folder that C will import (export.h): all that B has, from its newest whole state.  The folder must be there; what it
 * holds of an earlier try goes. */
bool extendfill_export(struct core *c, struct relation *rel, const char *folder, const char *dir, GError **err);
