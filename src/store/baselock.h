/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/clean.h"

#include <stdbool.h>
#include <stdint.h>

/* <dir>/base.lock: one byte per log sequence, locked through open file descriptions (fcntl F_OFD_SETLK), so that a lock lives exactly as
 * long as the descriptor and its copies in child processes.  Never waits; ERR_IN_USE when somebody else holds a byte.  Any thread. */

int baselock_share(const char *dir, uint64_t sequence, GError **err);                /* a view of that point; close to release */
int baselock_exclude_below(const char *dir, uint64_t sequence, GError **err);        /* who merges that log into the base */
int baselock_exclude_above(const char *dir, uint64_t sequence, GError **err);        /* who drops the logs after that one */
