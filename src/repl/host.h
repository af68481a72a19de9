/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* The host as a replica server: its listener and its certificate. */

/* Opens the replication port if the settings say so; repeatable. */
bool host_listen(struct core *c, GError **err);
void host_unlisten(struct core *c);
/* Every relationship of a host stops with its certificate, so its end is announced for thirty days, once a day (contract 5.5). */
gint64 host_certificate_task(void *core);
