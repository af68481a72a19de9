/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* What a daemon finds when it starts, whatever the last one was doing when it ended.
 *
 *   sender      outbox and bitmaps are looked at by the first cycle; an initial copy or its schedule goes on under the same job
 *   receiver, Disabled        an offer was being carried out: the placeholder goes
 *   receiver, removing        the removal goes on
 *   receiver, Failing over    undone by its recorded steps, then done again under the same job
 *   receiver, Recovered       reverting or committing go on; else the point's server is started again while overlays need it
 *   receiver, Committed       what a commit left is removed
 *   jobs of nobody            end as Exception
 * A relationship that cannot be opened becomes Critical with the reason; the others start.  A replica is tried again until it opens. */
bool recover_all(struct core *c, GError **err);
/* LANE_BACKGROUND: takes up a replica that recover_all could not, and undoes a failed failover that its job could not (failover.h).  False:
 * it still cannot be; true also when there was nothing to do. */
bool recover_again(struct relation *rel);
