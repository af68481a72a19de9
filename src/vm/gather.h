/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/block.h"

/* Copies the data ranges of `what` from a block to the same places of the file `fd` (`name` is for errors), many under way at once, by a
 * few threads of its own.  Zero ranges are left alone.  ERR_TIMEOUT: the file is so slow that one of them has waited for it, not for the
 * block, longer than patience_us; 0: they wait.  Blocking; any thread. */
bool gather(struct block *from, const struct extents *what, int fd, const char *name, gint64 patience_us, GError **err);
