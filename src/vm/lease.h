/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/block.h"
#include "vm/checkpoint.h"

/* A running guest's disks, read for as long as it takes without holding a job in libvirt for long (engine "pull").
 *
 * A backup job is opened when something is read, and closed after a second by a thread of its own, also when the reader pauses; between two
 * jobs libvirt's other operations on the guest get their turn.  Each job shows a later instant of the disks, so what was read is fuzzy, as
 * from a live disk.  Any thread. */

struct lease;
/* b->create is not used; what `b` points to is copied.  *room (never NULL): whether libvirt's scratch may go on growing; a job is ended
 * when it says no. */
struct lease *lease_new(virDomainPtr dom, const struct backup *b, bool (*room)(void *user), void *user);
/* Target i; the caller closes it before lease_free.  ERR_IN_USE, ERR_TIMEOUT and ERR_TRACKING_LOST as backup_begin, also when reading. */
struct block *lease_disk(struct lease *l, guint i, GError **err);
/* What changed on target i since b->since, until now at least. */
bool lease_changes(struct lease *l, guint i, struct extents *out, GError **err);
/* Ends an open job; false: it may be open still.  NULL is fine. */
bool lease_free(struct lease *l);
