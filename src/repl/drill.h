/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/work.h"

/* The boot check of a recovery point: a test failover (testvm.h) that ends by itself.
 *
 * The test guest is made on its isolated network and started.  It has come up when its agent answers or, where the setting verify_text is
 * given, when that text comes on one of its serial ports.  It has failed when it turns itself off or verify_timeout_s have passed since its
 * start.  Then its screen is kept, the guest is removed, and what was found stays with the point (bootcheck.h).  A point that is damaged,
 * and a guest that could not tell, are failed checks, too.  What this host could not do (libvirt, a network, an image, space) is an error
 * of the job and says nothing about the point; a cancelled check is none.
 *
 * Only while the guest is made are other jobs kept from it: a check must never stand in the way of a failover.  The record says that the
 * test guest belongs to a check before it is made, so whatever a crash leaves is removed at the next start. */

enum { DRILL_TIMEOUT_S = 300 };

/* False: the check failed, and err says why. */
bool drill_work(struct job *job, void *work, GError **err);
