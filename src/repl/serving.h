/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/relation.h"

/* The servers behind the overlays of a replica's guests (vm/serve.h): one for the failed-over guest, one for its test guest.
 *
 * What was started here is started again when it dies, within a second, until it is stopped here.  QEMU holds the guest's requests back
 * meanwhile (DOMXML_RECONNECT_S); a guest that was stopped for a failed request is let go on.  nbdkit does die: of the out-of-memory
 * killer, and 1.32 of an assertion when a client leaves while answers are under way (a guest is turned off).
 *
 * Blocking; any thread.  Each takes the lock in.serving, before the relation's. */

struct serving {             /* one server; the list is under in.serving */
    char *socket;
    struct uuid point, guest;
    gint64 until;            /* monotonic: so long the guest is looked after, since QEMU may give up a request late */
};
void serving_free(gpointer serving);

/* `guest` reads the point at that socket.  A failed start leaves nothing.  Errors: serve_start's. */
bool serving_start(struct relation *rel, const struct uuid *point, const char *socket, const struct uuid *guest, GError **err);
bool serving_stop(struct relation *rel, const char *socket, GError **err); /* none is success */

gint64 serving_task(void *relation); /* in LANE_SERVE */
