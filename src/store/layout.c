/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/layout.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SPAN_NAME_LENGTH (16 + 1 + 16 + 4)
#define NAME_LENGTH (16 + 1 + 36 + 4) /* sequence, dash, id, ".vrl" */

char *
layout_path(const char *dir, const char *name)
{
    return g_build_filename(dir, name, NULL);
}

char *
layout_log_path(const char *dir, uint64_t sequence, const struct uuid *id)
{
    char text[UUID_TEXT];
    return g_strdup_printf("%s/logs/%016" G_GUINT64_FORMAT "-%s.vrl", dir, (guint64)sequence, uuid_format(id, text));
}

static char *
path_by_id(const char *dir, const char *sub, const struct uuid *id, const char *suffix)
{
    char text[UUID_TEXT];
    return g_strdup_printf("%s/%s/%s%s", dir, sub, uuid_format(id, text), suffix);
}

char *
layout_part_path(const char *dir, const struct uuid *id)
{
    return path_by_id(dir, "incoming", id, ".part");
}

char *
layout_merge_path(const char *dir, const struct uuid *id)
{
    return path_by_id(dir, "incoming", id, ".merge");
}

char *
layout_header_path(const char *dir, const struct uuid *id)
{
    return path_by_id(dir, "base", id, ".header");
}

char *
layout_disk_path(const char *dir, uint16_t disk)
{
    return g_strdup_printf("%s/base/disk-%u.raw", dir, disk);
}

char *
layout_sums_path(const char *dir, uint16_t disk)
{
    return g_strdup_printf("%s/base/disk-%u.sums", dir, disk);
}

static bool
parse_sequence(const char *digits, uint64_t *out)
{
    *out = 0;
    for (int i = 0; i < 16; i++) {
        if (!g_ascii_isdigit(digits[i]))
            return false;
        *out = *out * 10 + (uint64_t)(digits[i] - '0');
    }
    return true;
}

static bool
parse_name(const char *name, struct layout_entry *out)
{
    char id[UUID_TEXT];
    if (strlen(name) != NAME_LENGTH || name[16] != '-' || strcmp(name + NAME_LENGTH - 4, ".vrl") != 0)
        return false;
    if (!parse_sequence(name, &out->sequence))
        return false;
    g_strlcpy(id, name + 17, sizeof id);
    return uuid_parse(id, &out->id);
}

GPtrArray *
layout_list_names(const char *dir, const char *sub, GError **err)
{
    g_autofree char *path = layout_path(dir, sub);
    DIR *d = opendir(path);
    if (!d) {
        err_errno(err, "Cannot list folder '%s'", path);
        return NULL;
    }
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            g_ptr_array_add(names, g_strdup(e->d_name));
    closedir(d);
    return names;
}

static gint
by_sequence(gconstpointer a, gconstpointer b)
{
    uint64_t x = ((const struct layout_entry *)a)->sequence, y = ((const struct layout_entry *)b)->sequence;
    return x < y ? -1 : x > y;
}

GArray *
layout_list_logs(const char *dir, GError **err)
{
    g_autoptr(GPtrArray) names = layout_list_names(dir, "logs", err);
    struct layout_entry entry;
    if (!names)
        return NULL;
    GArray *entries = g_array_new(FALSE, FALSE, sizeof entry);
    for (guint i = 0; i < names->len; i++)
        if (parse_name(names->pdata[i], &entry))
            g_array_append_val(entries, entry);
    g_array_sort(entries, by_sequence);
    return entries;
}

const struct layout_entry *
layout_find(const GArray *entries, const struct uuid *id)
{
    for (guint i = entries->len; i-- > 0;) {
        const struct layout_entry *e = &g_array_index(entries, struct layout_entry, i);
        if (uuid_equal(&e->id, id))
            return e;
    }
    return NULL;
}

char *
layout_span_path(const char *dir, uint64_t first, uint64_t last)
{
    return g_strdup_printf("%s/index/%016" G_GUINT64_FORMAT "-%016" G_GUINT64_FORMAT ".vri", dir, (guint64)first, (guint64)last);
}

bool
layout_span_name(const char *name, struct layout_span *out)
{
    return strlen(name) == SPAN_NAME_LENGTH && name[16] == '-' && strcmp(name + 33, ".vri") == 0 && parse_sequence(name, &out->first) &&
           parse_sequence(name + 17, &out->last) && out->first <= out->last;
}

static gint
by_end(gconstpointer a, gconstpointer b)
{
    const struct layout_span *x = a, *y = b;
    if (x->last != y->last)
        return x->last < y->last ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

GArray *
layout_list_spans(const char *dir)
{
    GArray *spans = g_array_new(FALSE, FALSE, sizeof(struct layout_span));
    g_autoptr(GPtrArray) names = layout_list_names(dir, "index", NULL);
    struct layout_span s;
    for (guint i = 0; names && i < names->len; i++)
        if (layout_span_name(names->pdata[i], &s))
            g_array_append_val(spans, s);
    g_array_sort(spans, by_end);
    return spans;
}

static bool
read_header_fd(int fd, const char *path, struct log_header *out, GError **err)
{
    guint8 prefix[LOG_HEADER_PREFIX];
    guint32 length;

    if (!file_read_full(fd, prefix, sizeof prefix, 0, path, err))
        return false;
    if (!log_header_length(prefix, &length, err)) {
        g_prefix_error(err, "Change log '%s': ", path);
        return false;
    }
    g_autofree guint8 *bytes = g_malloc(length);
    if (!file_read_full(fd, bytes, length, 0, path, err))
        return false;
    if (log_header_decode(bytes, length, out, err))
        return true;
    g_prefix_error(err, "Change log '%s': ", path);
    return false;
}

bool
layout_read_header(const char *path, struct log_header *out, GError **err)
{
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "Cannot open '%s'", path);
    return read_header_fd(fd, path, out, err);
}

void
layout_log_from_info(const struct log_info *info, struct store_log *out)
{
    *out = (struct store_log){
        .id = info->id,
        .parent = info->parent,
        .sequence = info->sequence,
        .epoch = info->epoch,
        .capture_us = info->capture_us,
        .kind = info->kind,
        .fuzzy = info->flags & LOG_FLAG_FUZZY,
    };
}

static bool
read_totals(int fd, const char *path, struct store_log *out, GError **err)
{
    guint8 bytes[LOG_TRAILER_SIZE];
    struct log_trailer trailer;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_errno(err, "Cannot ask for the size of '%s'", path);
    if (st.st_size < LOG_TRAILER_SIZE)
        return err_set(err, ERR_CORRUPT, "Change log '%s' is torn.", path);
    if (!file_read_full(fd, bytes, sizeof bytes, (uint64_t)st.st_size - sizeof bytes, path, err))
        return false;
    if (!log_trailer_decode(bytes, &trailer, err)) {
        g_prefix_error(err, "Change log '%s': ", path);
        return false;
    }
    out->file_bytes = (uint64_t)st.st_size;
    out->raw_bytes = trailer.raw_bytes;
    out->received_us = clock_timespec_us(&st.st_mtim);
    return true;
}

bool
layout_read_log(const char *path, struct store_log *out, GError **err)
{
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "Cannot open change log '%s'", path);
    return layout_read_log_fd(fd, path, out, NULL, err);
}

static struct hash128
definition_of(const struct log_header *h)
{
    const struct log_section_bytes *s = log_header_find(h, LOG_SECTION_DOMAIN_XML);
    return s ? hash128_of(h->bytes->data + s->offset, s->stored_length) : (struct hash128){ { 0 } };
}

bool
layout_read_log_fd(int fd, const char *path, struct store_log *out, struct hash128 *definition, GError **err)
{
    struct log_header header;
    if (!read_header_fd(fd, path, &header, err))
        return false;
    layout_log_from_info(&header.info, out);
    out->grouped = log_header_find(&header, LOG_SECTION_GROUP) != NULL;
    if (definition)
        *definition = definition_of(&header);
    log_header_clear(&header);
    return read_totals(fd, path, out, err);
}
