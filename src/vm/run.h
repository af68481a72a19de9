/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Programs of others.  Blocking; any thread.  Names without a slash are looked up in PATH. */

/* For g_spawn: a child must hear SIGTERM although the daemon's threads have it blocked, and a broken pipe must end it. */
void run_child_setup(gpointer unused);

/* Runs to the end.  False when it cannot be started, fails (the last lines of its stderr are in the message) or *cancel (may be NULL)
 * becomes non-zero, upon which it is terminated: ERR_CANCELLED.  out (may be NULL): its stdout, at most 16 MiB; g_free. */
bool run_program(const char *const *argv, const gint *cancel, char **out, GError **err);

/* A server that lives at most as long as this process, however that ends: its supervisor (a shell) waits for the end of a pipe that we
 * hold and then terminates it. */
struct tether;
struct tether *tether_start(const char *const *argv, GError **err);
/* False: it is gone; the message has its last words. */
bool tether_alive(struct tether *t, GError **err);
void tether_stop(struct tether *t); /* waits for its end; NULL is fine */
