/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* A TCP forwarder on loopback that can break: one thread, any number of connections. */
struct link;
struct link *link_new(guint *own_port);
void link_free(struct link *l);
void link_target(struct link *l, guint port);          /* where to; may change */
void link_cut(struct link *l, bool cut);               /* breaks what is open and what comes */
void link_cut_after(struct link *l, gint64 bytes);     /* towards the target; then it is cut */
guint link_open(struct link *l);                       /* connections at the moment */
gint64 link_bytes(struct link *l);                     /* sent towards the target so far */
