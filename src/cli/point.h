/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/cli.h"

#include "base/block.h"
#include "base/uuid.h"
#include "log/info.h"

/* Reading recovery points straight from a replica's folder, without the daemon (store/view.h): what `point` does, an action per file. */

/* Where and what: the store folder, and a point (nil: the newest).  "what" is a store folder or a guest; a guest is asked for over
 * the API. */
struct point_place {
    char *dir;
    struct uuid point;
    char *name;          /* for file names and messages */
};
void point_place_clear(struct point_place *p);
bool point_find(struct cli *c, const char *what, const char *wanted, const char *store, struct point_place *out, GError **err);
/* Another point of the store that point_find found. */
bool point_find_other(struct cli *c, const char *what, const char *wanted, const struct point_place *place, struct uuid *point,
                      GError **err);

/* The options of all actions together. */
struct point_wish {
    char *format, *output, *disks, *store, *at, *plugin, *until;
    gboolean force, resume;
};
bool point_wanted_disk(const struct point_wish *w, const char *target);
/* Is each disk that --disks names in one of the two points?  other: NULL: there is one point only. */
bool point_disks_exist(const struct point_wish *w, const struct log_info *info, const struct log_info *other, GError **err);

/* pin, unpin, protect: asks the daemon.  until: only with protect. */
bool point_keep(struct cli *c, const char *action, const char *guest, const char *wanted, const char *until, GError **err);

struct view;
typedef bool (*point_action)(struct cli *c, const struct point_place *place, struct view *v, const struct point_wish *w, GError **err);
bool point_export(struct cli *c, const struct point_place *place, struct view *v, const struct point_wish *w, GError **err);
/* Every digest of one point (*all false), or of the whole store. */
bool point_check(struct cli *c, const struct point_place *place, bool all, GError **err);
/* args: VM|DIR POINT POINT */
bool point_diff(struct cli *c, char **args, const struct point_wish *w, GError **err);
/* Mounts the disks of a point, or takes such a mount away. */
bool point_mount(struct cli *c, const struct point_place *place, struct view *v, const struct point_wish *w, GError **err);
bool point_umount(const char *at, GError **err);
/* words: the paths of ls, or the sources of cp and where they go.  Mounted for as long as it takes, and for nobody else to see. */
bool point_files(struct cli *c, const struct point_place *place, struct view *v, const struct point_wish *w, bool copies, char **words,
                 GError **err);

/* Writes one disk into a file that appears whole or not at all, or onto a block device (ends in `path` existing as one).  `point` names
 * what a later `resume` must find the same.  Sparse: zeros stay holes. */
struct export_job {
    struct block *disk;
    const char *path, *target;
    struct uuid point;
    bool qcow2, force, resume;
};
bool export_disk(const struct export_job *job, GError **err);
