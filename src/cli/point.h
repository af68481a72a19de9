/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/cli.h"

#include "base/uuid.h"
#include "base/block.h"

/* Reading recovery points straight from a replica's folder, without the daemon (store/view.h). */

/* Where and what: the store folder, and a point (nil: the newest).  "what" is a store folder or a guest; a guest is asked for over
 * the API. */
struct point_place {
    char *dir;
    struct uuid point;
    char *name;          /* for file names and messages */
};
void point_place_clear(struct point_place *p);
bool point_find(struct cli *c, const char *what, const char *wanted, const char *store, struct point_place *out, GError **err);

/* Reads every byte that is not a promised zero. each may be NULL; progress: see progress.h. */
typedef bool (*point_piece)(void *user, const void *data, size_t len, uint64_t offset, GError **err);
bool point_read(struct block *disk, point_piece each, void *user, const char *title, GError **err);

struct view;
/* Writes one disk as a sparse raw or a qcow2 file; the file appears whole or not at all.  ERR_EXISTS unless force. */
bool point_export(struct block *disk, const char *path, bool qcow2, bool force, GError **err);
