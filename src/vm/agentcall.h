/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/handle.h"

#include <jansson.h>

/* Commands to the guest agent for which libvirt has no function of its own.  Blocking; any thread.  Inside vm/ only.
 * ERR_NOT_AVAILABLE: no agent answers; ERR_NOT_SUPPORTED: it does not know the command, or is forbidden to run it. */

enum { AGENT_CALL_S = 5 };

/* Takes args (may be NULL).  The "return" member, json_decref; NULL: error. */
json_t *agent_call(virDomainPtr dom, const char *command, json_t *args, GError **err);
/* Starts a program in the guest and does not wait for it; its process number there, 0: error.  input may be NULL. */
gint64 agent_exec(virDomainPtr dom, const char *const *argv, const char *input, bool capture, GError **err);
