/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/db.h"
#include "repl/service.h"

/* Who may send to this host, and where its replicas go (contract 2.1, 5.4).
 *
 * The most specific entry wins: exact name, then `*.domain` (one label), then `*`.  `*` is exclusive.  Every function is its own
 * transaction: saved before it is visible.  Any thread; the lock inside is a leaf above the database. */

struct entries;
struct entries *entries_load(struct db *db, GError **err);
void entries_free(struct entries *e);

GPtrArray *entries_list(struct entries *e); /* struct repl_entry copies, by host */
/* ERR_INVALID_PARAMETER pattern, group, exists; ERR_NOT_FOUND location; ERR_ACCESS_DENIED not writable; ERR_INVALID_STATE `*` rule. */
bool entries_add(struct entries *e, const struct repl_entry *entry, GError **err);
bool entries_modify(struct entries *e, const struct repl_entry *entry, GError **err);
bool entries_remove(struct entries *e, const char *host, GError **err);

/* The entry for exactly that AllowedPrimaryHostSystem; NULL with ERR_INVALID_PARAMETER.  repl_entry_free. */
struct repl_entry *entries_get(struct entries *e, const char *host, GError **err);
/* The entry for a verified set of certificate names; NULL with ERR_PEER_REFUSED: none.  repl_entry_free. */
struct repl_entry *entries_match(struct entries *e, const struct net_peer *peer, GError **err);
/* May this peer send for a replica of trust group `group`?  ERR_PEER_REFUSED. */
bool entries_allow(struct entries *e, const struct net_peer *peer, const char *group, GError **err);
