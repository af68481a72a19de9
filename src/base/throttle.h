/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* So many bytes per second, shared by all who take from it, in the order in which they ask; a tenth of a second's worth may come at once.
 * Any thread.  NULL: no limit. */

struct throttle;
struct throttle *throttle_new(uint64_t bytes_per_s); /* 0: NULL */
void throttle_free(struct throttle *t);
/* When, on the monotonic clock, may somebody who asks for `bytes` at `now_us` go on?  The bytes count as taken. */
int64_t throttle_reserve(struct throttle *t, uint64_t bytes, int64_t now_us);
/* Reserves and waits; false: *cancel was set meanwhile. */
bool throttle_take(struct throttle *t, uint64_t bytes, const gint *cancel);
