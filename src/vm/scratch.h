/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/uuid.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* The sparse files into which QEMU copies what changed: one per disk, of the disk's size, in a memory file system.
 *
 * A file and QEMU's node on it stay from capture to capture, empty in between: opening them anew would be half of a cycle's cost.
 * Names start with "vmr-<vm>-", so what an earlier run left is found.  Any thread. */

/* Who must own what QEMU opens; user NULL: we. */
bool scratch_owner(const char *user, uid_t *uid, gid_t *gid, GError **err);

char *scratch_create(const char *dir, const struct uuid *vm, const char *target, guint64 size, uid_t uid, gid_t gid, GError **err);
char *scratch_prefix(const char *dir, const struct uuid *vm); /* what the paths of the guest's files begin with; g_free */
void scratch_clear(const char *path);                       /* gives its memory back */
void scratch_sweep(const char *dir, const struct uuid *vm); /* removes leftovers of earlier runs */
