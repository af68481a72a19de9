/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/block.h"

/* Where a Linux guest's swap is on one of its disks, by signatures only:
 *
 *   a partition of the type "Linux swap" (GPT 0657FD6D-A4AB-43C4-84E5-0933C84B4F4F, MBR 0x82, also a logical one), or a disk without a
 *   partition table, whose first page ends with SWAPSPACE2 (pages of 4 to 64 KiB), with a header of version 1 that fits into it
 *
 * The header page is not part of an area: swapon needs it (UUID, label).  Nothing is found on a disk whose GPT has a wrong checksum, or
 * where such a partition overlaps another one.  Never found, on purpose: swap files and Windows' page file (their blocks may get another
 * owner without a write to what we could watch), swap in LVM or encrypted (no signature that would say so), a partition whose swap sleeps
 * (S1SUSPEND).
 *
 * What the answer depends on is in `watched`, with the bytes from which it was concluded: as long as these are the same on the disk, so is
 * the answer.  Bytes from a guest: every number is checked.  Errors are those of the block. */

struct swap_area {
    guint64 offset, length; /* bytes, whole pages of 4 KiB */
};
struct swap_watched {
    guint64 offset;
    guint length;           /* at most 4 KiB */
    char digest[65];        /* SHA-256, hexadecimal */
};
struct swap_map {
    GArray *areas;          /* struct swap_area, in order */
    GArray *watched;        /* struct swap_watched, in order */
};
void swap_map_clear(struct swap_map *m);
bool swap_find(struct block *b, struct swap_map *out, GError **err);
void swap_digest(const void *data, guint length, char digest[65]);
