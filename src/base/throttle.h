/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/rates.h"

#include <stdint.h>

/* So many bytes per second, shared by all who take from it, in the order in which they ask; a tenth of a second's worth may come at once.
 * Who takes no more than throttle_piece at a time and asks again when its time has come gets the same share as the others do.
 *
 * The rate may follow hours of the day (base/rates.h), and may be changed while others wait: looked at once a second, it counts from the
 * next piece on.  Any thread.  NULL: no limit. */

struct throttle;
struct throttle *throttle_new(uint64_t bytes_per_s); /* 0: NULL */
/* Never NULL, so that a limit can come later.  shared: others take from it at the same time, so pieces are small.  Then one of these others
 * that also has a limit of its own, with larger pieces, gets all of that while it is less than an equal share. */
struct throttle *throttle_new_rates(const struct rates *rates, bool shared);
void throttle_set_rates(struct throttle *t, const struct rates *rates);
void throttle_free(struct throttle *t);
/* Bytes to ask for at a time: an eighth of a second's worth, of a shared one a hundredth; without limit SIZE_MAX. */
size_t throttle_piece(struct throttle *t, int64_t now_us);
/* When, on the monotonic clock, may somebody who asks for `bytes` at `now_us` go on?  The bytes count as taken. */
int64_t throttle_reserve(struct throttle *t, uint64_t bytes, int64_t now_us);
/* Reserves and waits; false: *cancel was set meanwhile. */
bool throttle_take(struct throttle *t, uint64_t bytes, const gint *cancel);
