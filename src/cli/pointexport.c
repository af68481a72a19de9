/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/point.h"

#include "store/view.h"

#include <stdlib.h>
#include <string.h>

/* point export: which disks go where. */

static char *
replace(const char *text, const char *what, const char *with)
{
    g_auto(GStrv) parts = g_strsplit(text, what, -1);
    return g_strjoinv(with, parts);
}

static guint
count_wanted(const struct log_info *info, const struct point_wish *w)
{
    guint count = 0;
    for (unsigned i = 0; i < info->disk_count; i++)
        count += point_wanted_disk(w, info->disks[i].target);
    return count;
}

static bool
check_wish(const struct log_info *info, const struct point_wish *w, GError **err)
{
    const guint count = count_wanted(info, w);
    if (!point_disks_exist(w, info, NULL, err))
        return false;
    if (w->output && count > 1 && !strstr(w->output, "%t"))
        return err_set(err, ERR_USAGE, "The point has %u disks: write %%t into --output where the disk's name shall stand.", count);
    return true;
}

/* Said before anything is written.  What stands in the replica's own folder would be taken for a part of it, or go with it. */
static bool
check_target(const struct point_place *place, const char *path, GError **err)
{
    g_autofree char *parent = g_path_get_dirname(path), *store = realpath(place->dir, NULL), *folder = realpath(parent, NULL);
    const size_t len = store ? strlen(store) : 0;
    if (!folder)
        return err_errno(err, "The folder '%s' cannot be used; make it, or name another with --output", parent);
    if (store && strncmp(folder, store, len) == 0 && (folder[len] == '/' || !folder[len]))
        return err_set(err, ERR_USAGE, "'%s' would lie in the replica's own folder '%s'. Name a place outside of it.", path, store);
    if (g_file_test(path, G_FILE_TEST_IS_DIR))
        return err_set(err, ERR_USAGE, "'%s' is a folder. Name a file in it: --output '%s/%%t.raw'.", path, path);
    return true;
}

/* With --resume what is there was finished by the export that was cut off. */
static bool
is_done(const char *path, const struct point_wish *w)
{
    return w->resume && !w->force && g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

bool
point_export(struct cli *c, const struct point_place *place, struct view *v, const struct point_wish *w, GError **err)
{
    const struct log_info *info = view_info(v);
    char id[UUID_TEXT];
    const bool qcow2 = g_strcmp0(w->format, "qcow2") == 0;
    g_autofree char *fallback = g_strdup_printf("%s-%s-%%t.%s", place->name, uuid_format(&info->id, id), qcow2 ? "qcow2" : "raw");
    bool fine = check_wish(info, w, err);
    for (unsigned i = 0; fine && i < info->disk_count; i++) {
        g_autofree char *path = replace(w->output ? w->output : fallback, "%t", info->disks[i].target);
        fine = !point_wanted_disk(w, info->disks[i].target) || check_target(place, path, err);
    }
    for (unsigned i = 0; fine && i < info->disk_count; i++) {
        g_autofree char *path = replace(w->output ? w->output : fallback, "%t", info->disks[i].target);
        const struct export_job job = {.disk = view_disk(v, i), .path = path, .target = info->disks[i].target, .point = info->id,
                                       .qcow2 = qcow2, .force = w->force, .resume = w->resume};
        if (!point_wanted_disk(w, info->disks[i].target))
            continue;
        fine = is_done(path, w) || export_disk(&job, err);
        if (fine)
            puts(path);
    }
    return fine;
}
