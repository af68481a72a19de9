/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/queue.h"

#include <stdint.h>

/* Begins to write files out while they are still being written to, in a thread of its own, so that the sync at the end has little to wait
 * for and the kernel's work for it goes on beside ours.
 *
 * It pays when each place of a file is written once and in ascending order.  Who is far ahead of the disk waits in behind_wrote.  Errors
 * are not reported here: the file's sync does that.  One caller thread; the descriptors must stay open until behind_free. */

struct behind;
struct behind *behind_new(void);
void behind_wrote(struct behind *b, int fd, uint64_t offset, uint64_t length);
void behind_free(struct behind *b); /* when all has been handed to the kernel */
