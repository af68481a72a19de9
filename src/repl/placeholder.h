/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* The replica's guest on this host while it is a replica: defined, off, fenced, its disks the base files of the store.
 *
 *   <location>/vmreplica/<VM>/            the store (store.h)
 *   <location>/vmreplica/<VM>/guest/      files that the guest itself needs
 *   <location>/vmreplica/<VM>/failover/   overlays of a failover (failover.c)
 *
 * Folders on the way are searchable by everybody, because QEMU runs as another user; files in them are not readable. */

char *placeholder_folder(const char *location, const struct uuid *vm);
/* Defines the guest from the other host's XML, or again from newer XML. */
bool placeholder_define(struct core *c, struct relation *rel, const char *xml, GError **err);
bool placeholder_fence(struct core *c, struct relation *rel, GError **err);
/* Everything: definition, fence, store, folder, record.  Undoes an offer. */
bool placeholder_remove(struct core *c, struct relation *rel, GError **err);

/* An empty store in the place of what an earlier attempt left; images of a former failover stay, and files of base/ that `keep` names.
 * The caller owns it. */
struct store *placeholder_fresh_store(struct relation *rel, const char *const *keep, GError **err);
/* The replica's store is made anew, for an initial copy from the beginning: in state 2 only.  A crash on the way is finished at start. */
bool placeholder_empty(struct core *c, struct relation *rel, GError **err);

/* Makes the relationship that an offer asks for; nothing is left behind on failure.  Reference. */
struct relation *
placeholder_make(struct core *c, const struct wire_offer *offer, const struct repl_entry *entry, const char *peer, GError **err);
/* Targets of the offered disks by id; ERR_INVALID_PARAMETER.  g_strfreev. */
char **placeholder_targets(const struct wire_offer *offer, GError **err);
/* Takes over what an offer may change later. */
void placeholder_settings_locked(struct core *c, struct relation *rel, const struct wire_offer *offer);
