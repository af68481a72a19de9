/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store/damage.h"
#include "store/store.h"

/* Mends the base where a newer log happens to hold what is missing.  The checksum of a page of the base says what it was (basesum.h).  When
 * the primary has sent the page again because it was damaged, and the guest has not written it since the base, the newest state has just
 * that; it is written back in place, and every point that needs the page is whole again.  A page that was written since cannot be mended
 * so: the points from the base to that write stay as they are.
 *
 * In place without a journal: the page has no use before, and a torn write leaves it as it was, damaged.  ERR_IN_USE: logs are being merged
 * now.  Any thread. */

/* Of one damage of the base: takes away from `d->where` what is right now, mended or not damaged any more; *mended counts bytes. */
bool store_heal(struct store *s, struct damage *d, uint64_t *mended, GError **err);
