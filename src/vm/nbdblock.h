/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/block.h"

/* An NBD export on a Unix socket as a block, and the dirty bitmap of one.
 *
 * Reads are cut into pieces that are in flight together, also those of several ranges (block_read_all); several threads read over
 * connections of their own (a small pool).  A server that goes away is ERR_NOT_AVAILABLE.  block_extents answers from base:allocation.
 * Any thread.
 * Source: NBD protocol document (structured replies, metadata contexts); QEMU "qemu:dirty-bitmap:<name>". */

struct block *nbdblock_open(const char *socket, const char *export_name, GError **err);

/* Adds the ranges that `bitmap` has marked, as data. */
bool nbdblock_bitmap(const char *socket, const char *export_name, const char *bitmap, struct extents *out, GError **err);

/* Whether somebody speaks NBD on the socket. */
bool nbdblock_answers(const char *socket);
