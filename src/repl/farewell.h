/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "repl/core.h"

/* The end of a replica's relationship on this host (contract 2.8): the guest stays, off or running, on disks of its own.
 *
 *   waiting for its first whole state   nothing usable: the placeholder goes
 *   replicating, paused, stopped        every whole log is merged into the base disks, which stay as they are defined
 *   failed over                         committed first
 *   committed                           only the record goes
 * Repeatable after a crash. */
bool farewell_replica(struct core *c, struct relation *rel, struct job *job, GError **err);
