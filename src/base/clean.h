/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdlib.h>
#include <unistd.h>

/* What GLib 2.74 lacks for ownership by scope.
 *
 *   auto_fd fd = open(...);          closed at the end of the scope unless it was taken with g_steal_fd(&fd)
 *   HOLD(&mutex);                    locked until the end of the scope
 *
 * Any thread. */

static inline void
clean_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define auto_fd __attribute__((cleanup(clean_fd))) int

#define HOLD(mutex) g_autoptr(GMutexLocker) G_PASTE(held_, __LINE__) G_GNUC_UNUSED = g_mutex_locker_new(mutex)
