/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* What the sender needs to know about its guest besides the data: which disks are replicated, and whether a stopped guest's images
 * changed. */

/* Targets that replication is asked for: settings->disks (NULL: every eligible disk); settings NULL: the same, for any engine.
 * ERR_INVALID_PARAMETER or ERR_NOT_SUPPORTED with the reason; g_strfreev. */
char **guest_targets(const struct vm_facts *facts, const struct repl_settings *settings, GError **err);
/* Whether the chosen engine can capture the targets: "pull" wants qcow2.  ERR_INVALID_PARAMETER. */
bool guest_fits_engine(const struct vm_facts *facts, const char *const *targets, bool pull, GError **err);
/* The engine that the settings ask for captures the guest from now on.  What the other one left goes first, and tracking begins anew. */
bool guest_choose_engine(struct core *c, struct relation *rel, GError **err);
/* Everything that captures left in the guest goes. */
bool guest_forget(struct core *c, struct relation *rel, GError **err);
/* Looks at the guest again if something happened since the last look: a replicated disk that is gone is ERR_INVALID_STATE, one that came
 * is noted for health.  Cheap otherwise. */
bool guest_refresh(struct core *c, struct relation *rel, GError **err);
/* Stamps of the images of a stopped guest (vm/source.h): equal ones mean that nothing was written.  NULL: it cannot be told. */
char *guest_stamp(struct core *c, struct relation *rel);
