/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "log/coding.h"
#include "store/store.h"

/* Where things lie in a store folder (the drawing is in store.h), and what can be learnt about a log without reading it whole.
 * Paths are freed with g_free.  Any thread. */

#define LAYOUT_SEQUENCE_MAX G_GUINT64_CONSTANT(9999999999999999) /* 16 digits */

char *layout_path(const char *dir, const char *name);
char *layout_log_path(const char *dir, uint64_t sequence, const struct uuid *id);
char *layout_part_path(const char *dir, const struct uuid *id);
char *layout_merge_path(const char *dir, const struct uuid *id);
char *layout_header_path(const char *dir, const struct uuid *id);
char *layout_sums_path(const char *dir, uint16_t disk); /* its checksums, basesum.h */
char *layout_disk_path(const char *dir, uint16_t disk); /* by number: a disk may change its target name, and names come from outside */

/* A file below logs/, as its name tells. */
struct layout_entry {
    uint64_t sequence;
    struct uuid id;
};
GArray *layout_list_logs(const char *dir, GError **err); /* ascending by sequence; other names are left out */
const struct layout_entry *layout_find(const GArray *entries, const struct uuid *id);
/* A file below index/ (span.h): the sequences of its first and last log. */
struct layout_span {
    uint64_t first, last;
};
char *layout_span_path(const char *dir, uint64_t first, uint64_t last);
bool layout_span_name(const char *name, struct layout_span *out); /* false: some other file */
GArray *layout_list_spans(const char *dir); /* of layout_span, longest first among those with one end; none when they cannot be listed */
GPtrArray *layout_list_names(const char *dir, const char *sub, GError **err); /* char *, everything in <dir>/<sub> */

bool layout_read_header(const char *path, struct log_header *out, GError **err);
bool layout_read_log(const char *path, struct store_log *out, GError **err); /* header, trailer and file times only */
/* Of an open file.  definition may be NULL: store_definition's digest, zeros when there is none. */
bool layout_read_log_fd(int fd, const char *path, struct store_log *out, struct hash128 *definition, GError **err);
void layout_log_from_info(const struct log_info *info, struct store_log *out);
