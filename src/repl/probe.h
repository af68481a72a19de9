/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* Split brain: the other host is asked, for at most probe_us of core. */

/* Before a failover, and before its guest is started: does it run on its primary?  No answer is no objection.  "It runs" is a warning of
 * the job (NULL: in the log), or ERR_INVALID_STATE when refuse_if_primary_running is configured.  The same for an
 * extended replica that is known to have failed over (supersede.h): a warning, or the error when it runs. */
bool probe_primary(struct core *c, struct relation *rel, struct job *job, GError **err);
/* Where a guest stands on a host (wire_status_clear).  identity NULL: this host has none. */
bool probe_host(const char *host, guint port, const struct net_identity *identity, gint64 limit_us, const struct uuid *vm,
                struct wire_status *out, GError **err);
/* Where the replica stands (wire_status_clear).  False with an error: it could not be asked. */
bool probe_replica(struct core *c, struct relation *rel, struct wire_status *out, GError **err);
