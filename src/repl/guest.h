/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* What the sender needs to know about its guest besides the data: which disks are replicated, and whether a stopped guest's images
 * changed. */

/* Targets that replication is asked for: `wanted` (NULL: every eligible disk).  ERR_INVALID_PARAMETER or ERR_NOT_SUPPORTED with the
 * reason; g_strfreev. */
char **guest_targets(const struct vm_facts *facts, char **wanted, GError **err);
/* Looks at the guest again if something happened since the last look: a replicated disk that is gone is ERR_INVALID_STATE, one that came
 * is noted for health.  Cheap otherwise. */
bool guest_refresh(struct core *c, struct relation *rel, GError **err);
/* Sizes and times of the images of a stopped guest: equal stamps mean that nothing was written.  NULL: it cannot be told. */
char *guest_stamp(struct core *c, struct relation *rel);
