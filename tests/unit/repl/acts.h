/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "world.h"

/* What an administrator does to a guest of one host.  Each is done, and has succeeded, when it returns. */

void act_request(struct host *h, const struct uuid *vm, guint state); /* RequestReplicationStateChange */
void act_failover(struct host *h, const struct uuid *vm, const struct uuid *point); /* NULL: the latest; the guest stays off */
void act_revert(struct host *h, const struct uuid *vm);
/* A verification from now on, which has begun or ended; not the first one, which begins by itself and may be under way. */
void act_verify_begin(struct host *h, const struct uuid *vm);
void act_verify(struct host *h, const struct uuid *vm);
void act_power(struct host *h, const struct uuid *vm, guint state); /* RequestStateChange */
