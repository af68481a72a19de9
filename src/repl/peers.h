/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "wire/peer.h"

/* Connections to replica hosts that nobody uses at the moment.
 *
 * A connection belongs to the host it leads to, not to a guest: a thousand guests that kept one each would be a thousand threads over
 * there, and more than it accepts.  Who sends takes one out, or makes a new one, and gives it back when all is sent.  What failed or was
 * aborted is freed by its user and never comes back.  At most `most` wait here; the one that waited longest goes first.
 *
 * Any thread; the lock inside is a leaf. */

struct peers;
struct peers *peers_new(guint most);
void peers_free(struct peers *p);                                                         /* NULL is fine */
struct wire_peer *peers_take(struct peers *p, const char *host, guint port);              /* NULL: none waits */
void peers_give(struct peers *p, const char *host, guint port, struct wire_peer *peer);   /* takes it; NULL is fine */
