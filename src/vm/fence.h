/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/uuid.h"

#include <glib.h>
#include <stdbool.h>

/* Guests that must not be started behind our back: the replica before its failover, the primary that is prepared for one.
 *
 * A fence is a file <dir>/<uuid, lower case> whose text is the reason.  libvirt's hook (tools/hooks/qemu, installed as
 * /etc/libvirt/hooks/qemu.d/vmreplica) refuses "prepare begin" of a fenced guest with that text, also when no daemon of ours runs.
 * Durable before the functions return.  Any thread. */

bool fence_raise(const char *dir, const struct uuid *vm, const char *reason, GError **err);
bool fence_lower(const char *dir, const struct uuid *vm, GError **err); /* absent is success */
bool fence_is_up(const char *dir, const struct uuid *vm);
