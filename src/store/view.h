/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/block.h"
#include "log/info.h"

/* A recovery point, readable: an index in memory over the base and the logs up to the point (design D3).  Nothing is copied.
 *
 * Opens a store folder by itself, without the daemon and without store.lock, so it works in the nbdkit plugin, in the CLI and in tests;
 * while open it holds its byte of base.lock.  Log files that are merged or deleted meanwhile stay readable through open descriptors.
 * view_disk gives blocks that live as long as the view; reading is possible from any number of threads. */

struct view;
/* point NULL: the newest whole log, or the base if there is none.  ERR_NOT_FOUND: no such point; ERR_CORRUPT names the file. */
struct view *view_open(const char *store_dir, const struct uuid *point, GError **err);
/* The same for any committed log, fuzzy ones too: what the disks hold after it, be it an instant or not.  For comparing, not for guests. */
struct view *view_open_log(const char *store_dir, const struct uuid *log, GError **err);
void view_close(struct view *v);
/* How many bytes of unpacked frames may be in memory that the kernel can take back (framecache.h); without it an eighth of the machine's.
 * Before the first read. */
void view_lend(struct view *v, size_t max_bytes);
const struct log_info *view_info(const struct view *v); /* of the point's log: disk table, kind, capture time */
char *view_section(struct view *v, enum log_section type, size_t *len, GError **err);
unsigned view_disks(const struct view *v);
struct block *view_disk(struct view *v, unsigned i);                  /* in the order of view_info()->disks; do not close */
struct block *view_disk_by_id(struct view *v, uint16_t id);            /* NULL: no such disk */
struct block *view_disk_by_target(struct view *v, const char *target); /* likewise */
