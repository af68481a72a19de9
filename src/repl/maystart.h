/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/relation.h"

/* May a guest be started on this host?  Asked by libvirt's hook (tools/hooks/qemu, `vmreplicad --may-start`), because libvirt starts
 * guests by itself at boot, before a daemon of ours could say no: one whose replica has failed over meanwhile must not run beside it.
 *
 * A guest that this host is the primary of has a file <state>/primaries/<uuid, lower case> that says whom to ask; other guests are never
 * held up.  It is not read from the database, which belongs to the daemon alone: who reads it beside could keep the daemon from starting.
 * The file is durable before the record that it follows; one that is there too long only asks in vain. */

/* The file becomes what the record says.  With the relation's lock; a failure is logged, and made good by the next save. */
void maystart_note_locked(struct relation *rel);
/* Before the record goes. */
bool maystart_forget(struct relation *rel, GError **err);

/* Asks the replica host, for at most limit_us; without daemon, database and libvirt, which waits for the answer.  False: the replica, or
 * the one behind it (supersede.h), has failed over, and *why says so.  True in any other case; *why is then what kept us from asking, or
 * NULL.  g_free. */
bool maystart_ask(const char *state_dir, const struct net_identity *identity, gint64 limit_us, const struct uuid *vm, char **why);
