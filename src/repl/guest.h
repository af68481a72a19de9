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
/* Whether the guest is off; ERR_NOT_AVAILABLE: it migrated to another host.  Its images are not read then, wherever they are: they may be
 * in use there, or old.  That ends when it runs here again. */
bool guest_here(struct core *c, struct relation *rel, bool *off, GError **err);
/* Looks at the guest again if something happened since the last look.  A replicated disk that is gone is left out from now on: the change
 * logs that follow do not have it, so neither have their points, and the others go on being tracked.  One that came back is read again.
 * ERR_INVALID_STATE: none is left.  A disk that replication never had is noted for health.  Cheap otherwise. */
bool guest_refresh(struct core *c, struct relation *rel, GError **err);
/* A guest may have been renamed: asked at the daemon's start, on the primary at each look (guest_refresh), and on a replica when it got a
 * new definition. */
void guest_follow_name(struct core *c, struct relation *rel);
/* The disks that are captured now, in the order of a capture; of the capture task, until the next guest_refresh. */
const char *const *guest_attached(struct relation *rel);
/* The place of a disk in a capture; -1: the guest does not have it. */
int guest_slot(struct relation *rel, guint disk);
/* Stamps of the images of a stopped guest (vm/source.h): equal ones mean that nothing was written.  NULL: it cannot be told. */
char *guest_stamp(struct core *c, struct relation *rel);
char *guest_stamp_of(struct relation *rel, const struct vm_facts *facts); /* asks nobody about the guest; NULL facts: NULL */
