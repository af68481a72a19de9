/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/private.h"

/* Writes what a group of neighbouring logs leaves on the disks into the base, and makes it and its checksums durable.
 *
 * Of every place only the newest content is read and written, in the order of the disk; a damaged frame hinders only if some of it is the
 * newest.  The disks get the size that they have in the last log.  Frames are decoded by threads ahead of the writing, and the kernel
 * starts to write to the disk behind it.
 *
 * With `change` held, and after the manifest says that the base stands for no point (apply.c).  May be repeated after an error or a crash.
 * ERR_CANCELLED: *cancel was set. */

bool rewrite_base(const struct store *s, const GArray *logs, const gint *cancel, GError **err); /* struct store_log, oldest first */
