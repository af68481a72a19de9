/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vm/conn.h"

/* Networks for test guests.  Blocking; any thread. */

/* The libvirt network of that name is active afterwards; one that does not exist is made: isolated (no forwarding, no address of the
 * host, no DHCP), so a test guest can neither reach nor disturb the guest that it is a copy of. */
bool network_isolated(struct vm_conn *c, const char *name, GError **err);
