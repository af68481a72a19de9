/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/extent.h"
#include "base/uuid.h"

#include <jansson.h>

/* What is damaged in a store, and which recovery points cannot be used because of it.
 *
 * A place that is damaged is needed by the points from its own log on (the base: from the oldest point on) until a newer log has written
 * all of it again.  So the points that need it are the logs of one range of sequences: from `first`, below `until`.
 *
 * A list of damages is a GPtrArray of struct damage.  Not locked. */

struct damage {
    bool of_base;            /* else of the log */
    bool lost;               /* nothing of the file can be read, so it is not known what it held */
    struct uuid log;
    uint16_t disk;
    uint64_t first, until;   /* sequences of points; until UINT64_MAX: the newest one, too */
    struct extents *where;   /* on the disk; empty when lost, or when no point needs it */
    char *text;              /* a sentence that names the file */
    char *stays;             /* a sentence that says why it cannot be mended in place (heal.h); NULL: it was, or may be yet */
    bool tried;              /* to mend it; not kept */
};

struct damage *damage_new(bool of_base, const struct uuid *log, uint64_t first, uint16_t disk);
void damage_free(struct damage *d);
GPtrArray *damage_list_new(void);
struct damage *damage_copy(const struct damage *d);

/* Sets `until`, unless that is known, from the logs that are in the store now; a log that cannot be read overwrites nothing. */
bool damage_reach(struct damage *d, const char *dir, GError **err);
/* The first one that the point of that sequence needs; NULL: it is whole. */
const struct damage *damage_of_point(const GPtrArray *list, uint64_t sequence);

/* As kept in scrub.json. */
json_t *damage_to_json(const struct damage *d);
struct damage *damage_from_json(const json_t *o); /* NULL: not understood */
