/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/cli.h"

/* test-failover --verify and --verify-all: VerifyReplicaSystem for one replica or, one after the other, for all of this host; a report, as
 * a table or JSON.  The error says that not all have passed. */
bool verify_one(struct cli *c, const char *name, const char *point, GError **err); /* point NULL: the latest state */
bool verify_all(struct cli *c, GError **err);
