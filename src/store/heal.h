/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/damage.h"
#include "store/store.h"

/* Mends base and logs where newer logs happen to hold what is missing.  The checksum of a page of the base says what it was (basesum.h),
 * that of a frame what the frame was (mend.h).  When the primary has sent pages again because they were damaged, and the guest has not
 * written them since, newer state has just that; it is written back in place, and every point that needs it is whole again.  What was
 * written since cannot be mended so: the points up to that write stay as they are.  Nor can a log that cannot be opened, nor what lies on a
 * disk that does not take it; that is no error.
 *
 * In place without a journal: what is damaged has no use before, and a torn write leaves it as it was, damaged.  ERR_IN_USE: logs are being
 * merged now.  Any thread. */

/* Takes away from `d->where` what is right now, mended or not damaged any more; *mended counts bytes.  *whole: nothing of it is left.  Sets
 * d->stays when it is known that the rest will never be mended. */
bool store_heal(struct store *s, struct damage *d, uint64_t *mended, bool *whole, GError **err);
