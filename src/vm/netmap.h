/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Which network of this host stands for one of the primary's when a guest fails over.  Pure functions over text; any thread.
 *
 * "prod=dr-prod; br0=bridge:br-dr; *=lab": the primary's network or bridge by name, then a libvirt network of this host, or with "bridge:"
 * a bridge; "*" is every card that no other entry names, also those on no network.  The first entry that fits wins.  A card without an
 * entry stays disconnected, as in the placeholder. */

struct netmap_entry {
    char *from, *to;
    bool bridge;
};
/* struct netmap_entry; empty text: no entries.  ERR_INVALID_PARAMETER with the entry. */
GPtrArray *netmap_parse(const char *text, GError **err);

/* The definition (vm/domxml.h) with its cards connected.  exists: is it there on this host?  A card whose target is not stays disconnected,
 * and the target's name is added to `missing` (char *).  g_free. */
char *netmap_connect(const char *xml, const GPtrArray *map, bool (*exists)(void *user, const struct netmap_entry *e), void *user,
                     GPtrArray *missing, GError **err);
