/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/point.h"

/* The disks of a recovery point as files and file systems below a folder:
 *
 *   <at>/vda.raw     the disk (FUSE: nbdfuse over nbdkit with our plugin)
 *   <at>/vda1/       file system of its first partition, read-only;  <at>/vdb/  one that fills a disk
 *
 * A point is like a machine whose plug was pulled, so journals must be played: writes go to a throw-away layer of nbdkit (its cow filter),
 * never to the store.  The servers end by themselves when their mount goes, and with them the view of the point.
 *
 * Needs root, and tells what else is missing.  One thread. */

struct mounted_fs {
    char *name;          /* "vda1" */
    char *type;          /* "ext4"; what cannot be mounted ("swap", "LVM2_member") is listed, too */
    guint64 bytes;
    char *path;          /* NULL: not mounted */
};

/* Appends struct mounted_fs.  tied: everything goes when this process ends, however it does.  When false, nothing remains mounted. */
bool mounted_start(const struct point_place *place, struct view *v, const struct point_wish *w, const char *at, bool tied, GPtrArray *out,
                   GError **err);
GPtrArray *mounted_list_new(void);
/* Unmounts all that lies below `at`, newest first, and removes what mounted_start made there. */
bool mounted_stop(const char *at, GError **err);
