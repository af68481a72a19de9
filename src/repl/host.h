/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* The host as a replica server: its listener. */

/* Opens the replication port if the settings say so; repeatable. */
bool host_listen(struct core *c, GError **err);
void host_unlisten(struct core *c);
