/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "net/identity.h"

/* What the user of a process that came over a Unix socket may do, by the groups of the system; only for auth.c.  Any thread. */

enum net_role auth_local_role(const struct net_peer *from); /* ROLE_NOBODY: nothing */
