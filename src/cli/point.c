/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/point.h"
#include "cli/guest.h"
#include "cli/show.h"

#include "store/layout.h"
#include "store/view.h"

#include <string.h>

/* point check, point export. */

#define DEFAULT_LOCATION "/var/lib/vmreplica/replicas"

void
point_place_clear(struct point_place *p)
{
    g_free(p->dir);
    g_free(p->name);
    memset(p, 0, sizeof *p);
}

/* --- which point -------------------------------------------------------------------------------------------------------------------- */

static bool
is_store(const char *dir)
{
    g_autofree char *manifest = g_build_filename(dir, "store.json", NULL);
    return g_file_test(manifest, G_FILE_TEST_EXISTS);
}

/* Newest whole log at or before a time, from the files alone. */
static bool
pick_by_time(const char *dir, gint64 at, struct uuid *point, GError **err)
{
    g_autoptr(GArray) entries = layout_list_logs(dir, err);
    bool found = false;
    for (guint i = 0; entries && i < entries->len; i++) {
        const struct layout_entry *e = &g_array_index(entries, struct layout_entry, i);
        g_autofree char *path = layout_log_path(dir, e->sequence, &e->id);
        struct store_log log;
        if (!layout_read_log(path, &log, err))
            return false;
        if (log.fuzzy || log.capture_us > at)
            continue;
        *point = e->id;
        found = true;
    }
    return found || (entries && err_set(err, ERR_NOT_FOUND, "No recovery point in '%s' is that old.", dir));
}

static bool
pick_in_store(const char *dir, const char *wanted, struct uuid *point, GError **err)
{
    gint64 at;
    *point = UUID_NIL;
    if (strcmp(wanted, "latest") == 0 || uuid_parse(wanted, point))
        return true;
    return cli_time(wanted, &at, err) && pick_by_time(dir, at, point, err);
}

static char *
store_of_guest(const struct cim_instance *guest, const struct cim_instance *point)
{
    const char *root = cim_get_string(point, "SnapshotDataRoot"), *guid = cim_get_string(guest, "Name");
    return root && *root ? g_strdup(root) : g_build_filename(DEFAULT_LOCATION, "vmreplica", guid, NULL);
}

static bool
find_by_guest(struct cli *c, const char *name, const char *wanted, struct point_place *out, GError **err)
{
    cim_instance_auto guest = guest_find(c, name, err);
    g_autoptr(GPtrArray) points = guest ? guest_points(c, guest, err) : NULL;
    const struct cim_instance *point = points ? guest_point_pick(points, wanted, err) : NULL;
    if (!point)
        return false;
    out->dir = store_of_guest(guest, point);
    out->name = g_strdup(cim_get_string(guest, "ElementName"));
    if (!uuid_parse(guest_point_id(point), &out->point))
        return err_set(err, ERR_CORRUPT, "The recovery point '%s' has no readable id.", guest_point_id(point));
    if (!is_store(out->dir))
        return err_set(err, ERR_NOT_FOUND, "There is no replica in '%s' on this host. Name its folder with --store.", out->dir);
    return true;
}

bool
point_find(struct cli *c, const char *what, const char *wanted, const char *store, struct point_place *out, GError **err)
{
    memset(out, 0, sizeof *out);
    const char *dir = store ? store : is_store(what) ? what : NULL;
    if (!dir)
        return find_by_guest(c, what, wanted, out, err);
    if (!is_store(dir))
        return err_set(err, ERR_NOT_FOUND, "'%s' is no replica: it has no store.json.", dir);
    out->dir = g_strdup(dir);
    out->name = store ? g_strdup(what) : g_path_get_basename(dir);
    return pick_in_store(dir, wanted, &out->point, err);
}

/* --- what is done with it ----------------------------------------------------------------------------------------------------------- */

static bool
check(struct view *v, GError **err)
{
    const struct log_info *info = view_info(v);
    char id[UUID_TEXT];
    for (unsigned i = 0; i < info->disk_count; i++)
        if (!point_read(view_disk(v, i), NULL, NULL, info->disks[i].target, err))
            return false;
    printf("%s: whole, %u disks\n", uuid_format(&info->id, id), info->disk_count);
    return true;
}

static char *
replace(const char *text, const char *what, const char *with)
{
    g_auto(GStrv) parts = g_strsplit(text, what, -1);
    return g_strjoinv(with, parts);
}

static bool
wanted_disk(const char *list, const char *target)
{
    g_auto(GStrv) names = list ? g_strsplit(list, ",", -1) : NULL;
    return !names || g_strv_contains((const char *const *)names, target);
}

struct export_wish {
    char *format, *output, *disks;
    gboolean force;
};

static bool
check_output(const struct export_wish *w, unsigned count, GError **err)
{
    if (w->output && count > 1 && !strstr(w->output, "%t"))
        return err_set(err, ERR_USAGE, "The point has %u disks: write %%t into --output where the disk's name shall stand.", count);
    return true;
}

static bool
export_all(struct view *v, const struct point_place *place, const struct export_wish *w, GError **err)
{
    const struct log_info *info = view_info(v);
    char id[UUID_TEXT];
    bool qcow2 = g_strcmp0(w->format, "qcow2") == 0;
    guint count = 0;
    g_autofree char *fallback = g_strdup_printf("%s-%s-%%t.%s", place->name, uuid_format(&info->id, id), qcow2 ? "qcow2" : "raw");
    for (unsigned i = 0; i < info->disk_count; i++)
        count += wanted_disk(w->disks, info->disks[i].target);
    if (count == 0)
        return err_set(err, ERR_NOT_FOUND, "The point has no disk of '%s'.", w->disks ? w->disks : "");
    if (!check_output(w, count, err))
        return false;
    for (unsigned i = 0; i < info->disk_count; i++) {
        g_autofree char *path = replace(w->output ? w->output : fallback, "%t", info->disks[i].target);
        if (!wanted_disk(w->disks, info->disks[i].target))
            continue;
        if (!point_export(view_disk(v, i), path, qcow2, w->force, err))
            return false;
        puts(path);
    }
    return true;
}

static bool
run(struct cli *c, char **args, const char *store, const struct export_wish *w, GError **err)
{
    struct point_place place;
    bool checks = strcmp(args[0], "check") == 0;
    bool fine = point_find(c, args[1], args[2] ? args[2] : "latest", store, &place, err);
    struct view *v = fine ? view_open(place.dir, uuid_is_nil(&place.point) ? NULL : &place.point, err) : NULL;
    fine = v && (checks ? check(v, err) : export_all(v, &place, w, err));
    view_close(v);
    point_place_clear(&place);
    return fine;
}

VERB(verb_point)
{
    static const struct usage usage = {
        "check|export VM|DIR [ID|TIME|latest]", "Reads a recovery point: to verify every byte of it, or into disk images.",
        "Works on the files of the replica. DIR is the replica's folder (it holds\n"
        "store.json) and needs no daemon; a VM is looked up through the daemon.\n"
        "Images are sparse; %t in --output stands for the disk's name (vda)."};
    struct export_wish w = {0};
    g_autofree char *store = NULL;
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"format", 'f', 0, G_OPTION_ARG_STRING, &w.format, "raw (default) or qcow2", "FORMAT"},
        {"output", 'o', 0, G_OPTION_ARG_FILENAME, &w.output, "name of the images", "PATTERN"},
        {"disks", 0, 0, G_OPTION_ARG_STRING, &w.disks, "only these: vda,vdb", "LIST"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &w.force, "replace existing files", NULL},
        {"store", 0, 0, G_OPTION_ARG_FILENAME, &store, "the replica's folder", "DIR"},
        {0},
    };
    bool fine = cli_parse(c, &usage, CLI_CONNECTS, options, argc, argv, &args, err);
    if (!fine)
        fine = c->helped;
    else if (!cli_count(args, 2, 3, &usage, argv[0], err))
        fine = false;
    else if (strcmp(args[0], "check") != 0 && strcmp(args[0], "export") != 0)
        fine = err_set(err, ERR_USAGE, "'%s' is nothing that point does. Usage: vmreplica point %s", args[0], usage.synopsis);
    else if (w.format && strcmp(w.format, "raw") != 0 && strcmp(w.format, "qcow2") != 0)
        fine = err_set(err, ERR_USAGE, "'%s' is no format; there are raw and qcow2.", w.format);
    else
        fine = run(c, args, store, &w, err);
    g_free(w.format);
    g_free(w.output);
    g_free(w.disks);
    return fine;
}
