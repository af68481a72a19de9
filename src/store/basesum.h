/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Checksums of one base disk, <dir>/base/disk-<number>.sums: frames of change logs carry theirs, the raw base would have none.
 *
 *   u8[8] magic "VMRSUM1\n" | per page of LOG_PAGE bytes: u64, the first half of its XXH3-128 mixed with the page's number; 0: all zeros
 *
 * A page beyond the end of the disk counts as zeros, so the last page may be short.  The file is sparse where the disk is: 0.2 % of its
 * data.  The number of the page is mixed in, so a page that lies in another one's place is found, too.
 *
 * Who writes the base (apply.c, seed.c) tells the sums of what it wrote, and syncs both before store.json says what the base stands for.
 * A merge that was cut off leaves pages and sums that do not fit; it is repeated before anybody reads them, and mends both.
 * What is told is gathered in memory and written by basesum_sync at the latest; basesum_close alone loses it.  One thread at a time. */

struct basesum;
struct basesum *basesum_create(const char *dir, uint16_t disk, GError **err); /* of an empty disk; replaces what is there */
struct basesum *basesum_open(const char *dir, uint16_t disk, bool write, GError **err); /* ERR_NOT_FOUND: there are none */
/* Of a disk whose content is believed: it is read once. */
struct basesum *basesum_build(const char *dir, uint16_t disk, int disk_fd, GError **err);
void basesum_close(struct basesum *b); /* NULL is fine */

/* The disk behind `disk_fd` has got these bytes at `offset`; data NULL: zeros.  Pages that were written in part are read back. */
bool basesum_wrote(struct basesum *b, int disk_fd, uint64_t offset, const void *data, uint64_t length, GError **err);
bool basesum_resized(struct basesum *b, int disk_fd, uint64_t size, GError **err); /* it has that many bytes now */
bool basesum_sync(struct basesum *b, GError **err);

/* The sums of `count` pages from `page` on; beyond the end of the file: 0. */
bool basesum_read(struct basesum *b, uint64_t page, size_t count, uint64_t *out, GError **err);
uint64_t basesum_of(uint64_t page, const void *data, size_t length); /* at most LOG_PAGE bytes, the rest counts as zeros */
