/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/block.h"
#include "base/uuid.h"

#include <sys/types.h>

/* The sparse files into which QEMU copies what changed: one per disk, of the disk's size, in a memory file system.
 *
 * A file has a name only while QEMU opens and fills it; afterwards we hold the only reference, so nothing is left behind however we end.
 * Names start with "vmr-<vm>-", so what a crash left is found.  Any thread. */

/* Who must own what QEMU opens; user NULL: we. */
bool scratch_owner(const char *user, uid_t *uid, gid_t *gid, GError **err);

char *scratch_create(const char *dir, const struct uuid *vm, const char *target, guint64 size, uid_t uid, gid_t gid, GError **err);
struct block *scratch_open(const char *path, GError **err); /* takes the file over: its name is removed */
void scratch_sweep(const char *dir, const struct uuid *vm); /* removes leftovers of earlier runs */
