/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* Split brain: before a failover the other host is asked whether the guest runs there, for at most two seconds.  No answer is no objection.
 * "It runs" is a warning of the job, or ERR_INVALID_STATE when refuse_if_primary_running is configured. */
bool probe_primary(struct core *c, struct relation *rel, struct job *job, GError **err);
