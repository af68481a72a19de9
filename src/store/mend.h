/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/damage.h"
#include "store/store.h"

/* Mends the damaged frames of a log in place (docs/decisions/009).  What a frame held, page by page, is in the oldest newer log that has
 * the page, if that came because the page was sent again; if the guest wrote it, it is not.  Or it is in what the damaged payload still
 * unpacks to.  Which of both is found by trying; the frame's own digest says what is right (log/mend.h).
 *
 * The file keeps its inode, so views that are open read what is mended.  What is written is what was there, so a cut leaves a frame damaged
 * or whole.  The file's time, which says when the log came, is noted meanwhile in incoming/<LOG ID>.mend.  Any thread, one at a time. */

/* With `change` held.  Of one damage of a log: takes away from d->where what is right now; *mended counts bytes.  *whole: nothing of it is
 * left.  Sets d->stays when the rest can never be mended so. */
bool mend_log(const struct store *s, struct damage *d, uint64_t *mended, bool *whole, GError **err);
/* When a store is opened: puts the time back that a mend which was cut off has changed. */
bool mend_settle(const char *dir, const GArray *entries, GError **err);
