/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory for caches, which the kernel may take back when others need it, as it does with its own page cache (madvise MADV_FREE).
 *
 * lend_new gives whole pages.  What is lent is looked at with lend_peek only, until it is taken back; then it is either all there, or
 * some of it is lost and it has to be filled again.  One thread at a time for each piece.  Pieces of less than a page are never lent. */

void *lend_new(size_t len); /* lend_free; ends the program when there is no memory */
void lend_free(void *data);
/* NULL: it cannot be lent, nothing has changed.  Else what lend_take_back wants. */
uint8_t *lend(void *data, size_t len);
bool lend_take_back(void *data, size_t len, uint8_t *marks); /* frees the marks; false: lost */
/* Copies [from, from + n) out of what stays lent, which must hold these bytes; false: lost. */
bool lend_peek(const void *data, const uint8_t *marks, size_t from, void *to, size_t n);
void lend_lose(void *data, size_t len); /* for tests: what the kernel does when it needs memory */
