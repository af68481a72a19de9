/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/point.h"
#include "cli/guest.h"

#include "store/layout.h"
#include "store/view.h"

#include <string.h>

/* point: finding it, and the table of what can be done with it. */

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

/* Newest whole log at or before a time, from the files alone; 0: the oldest. */
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
        if (log.fuzzy || (at && log.capture_us > at) || (!at && found))
            continue;
        *point = e->id;
        found = true;
    }
    return found || (entries && err_set(err, ERR_NOT_FOUND, "There is no recovery point in '%s'%s.", dir, at ? " that is that old" : ""));
}

static bool
pick_in_store(const char *dir, const char *wanted, struct uuid *point, GError **err)
{
    gint64 at;
    *point = UUID_NIL;
    if (strcmp(wanted, "latest") == 0 || uuid_parse(wanted, point))
        return true;
    if (strcmp(wanted, "oldest") == 0)
        return pick_by_time(dir, 0, point, err);
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
    const char *dir = store ? store : is_store(what) || strchr(what, '/') ? what : NULL;
    if (!dir)
        return find_by_guest(c, what, wanted, out, err);
    if (!is_store(dir))
        return err_set(err, ERR_NOT_FOUND, "'%s' is no replica: it has no store.json.", dir);
    out->dir = g_strdup(dir);
    out->name = store ? g_strdup(what) : g_path_get_basename(dir);
    return pick_in_store(dir, wanted, &out->point, err);
}

bool
point_find_other(struct cli *c, const char *what, const char *wanted, const struct point_place *place, struct uuid *point, GError **err)
{
    struct point_place other;
    if (is_store(what) || !c->client)
        return pick_in_store(place->dir, wanted, point, err);
    const bool fine = point_find(c, what, wanted, NULL, &other, err);
    *point = other.point;
    point_place_clear(&other);
    return fine;
}

bool
point_wanted_disk(const struct point_wish *w, const char *target)
{
    g_auto(GStrv) names = w->disks ? g_strsplit(w->disks, ",", -1) : NULL;
    return !names || g_strv_contains((const char *const *)names, target);
}

static bool
has_disk(const struct log_info *info, const char *target)
{
    for (unsigned i = 0; info && i < info->disk_count; i++)
        if (strcmp(info->disks[i].target, target) == 0)
            return true;
    return false;
}

bool
point_disks_exist(const struct point_wish *w, const struct log_info *info, const struct log_info *other, GError **err)
{
    g_auto(GStrv) names = w->disks ? g_strsplit(w->disks, ",", -1) : NULL;
    g_autoptr(GString) there = g_string_new(NULL);
    for (unsigned i = 0; i < info->disk_count; i++)
        g_string_append_printf(there, "%s%s", i ? ", " : "", info->disks[i].target);
    for (char **name = names; name && *name; name++)
        if (!has_disk(info, *name) && !has_disk(other, *name))
            return err_set(err, ERR_NOT_FOUND, "The point has no disk '%s'; it has %s.", *name, there->str);
    return !names || *names || err_set(err, ERR_USAGE, "--disks names no disk; the point has %s.", there->str);
}

/* --- what is done with it ----------------------------------------------------------------------------------------------------------- */

static bool
with_view(struct cli *c, char **args, const struct point_wish *w, point_action action, GError **err)
{
    struct point_place place;
    bool fine = point_find(c, args[1], args[2] ? args[2] : "latest", w->store, &place, err);
    struct view *v = fine ? view_open(place.dir, uuid_is_nil(&place.point) ? NULL : &place.point, err) : NULL;
    fine = v && action(c, &place, v, w, err);
    view_close(v);
    point_place_clear(&place);
    return fine;
}

static bool
do_export(struct cli *c, char **args, const struct point_wish *w, GError **err)
{
    return with_view(c, args, w, point_export, err);
}

static bool
do_mount(struct cli *c, char **args, const struct point_wish *w, GError **err)
{
    return with_view(c, args, w, point_mount, err);
}

static bool
do_umount(struct cli *c, char **args, const struct point_wish *w, GError **err)
{
    return point_umount(args[1], err);
}

static bool
do_check(struct cli *c, char **args, const struct point_wish *w, GError **err)
{
    struct point_place place;
    const bool fine = point_find(c, args[1], args[2] ? args[2] : "latest", w->store, &place, err) && point_check(c, &place, !args[2], err);
    point_place_clear(&place);
    return fine;
}

static bool
do_diff(struct cli *c, char **args, const struct point_wish *w, GError **err)
{
    return point_diff(c, args + 1, w, err);
}

static bool
use_files(struct cli *c, char **args, const struct point_wish *w, bool copies, GError **err)
{
    struct point_place place;
    bool fine = point_find(c, args[1], args[2], w->store, &place, err);
    struct view *v = fine ? view_open(place.dir, uuid_is_nil(&place.point) ? NULL : &place.point, err) : NULL;
    fine = v && point_files(c, &place, v, w, copies, args + 3, err);
    view_close(v);
    point_place_clear(&place);
    return fine;
}

static bool
do_ls(struct cli *c, char **args, const struct point_wish *w, GError **err)
{
    return use_files(c, args, w, false, err);
}

static bool
do_cp(struct cli *c, char **args, const struct point_wish *w, GError **err)
{
    return use_files(c, args, w, true, err);
}

static bool
do_keep(struct cli *c, char **args, const struct point_wish *w, GError **err)
{
    return point_keep(c, args[0], args[1], args[2], w->until, err);
}

static const struct action {
    const char *name;
    guint min, max; /* arguments, the action's name among them */
    bool (*run)(struct cli *c, char **args, const struct point_wish *w, GError **err);
} actions[] = {
    {"check", 2, 3, do_check}, {"export", 2, 3, do_export}, {"diff", 4, 4, do_diff}, {"mount", 2, 3, do_mount},
    {"umount", 2, 2, do_umount}, {"ls", 3, G_MAXINT, do_ls}, {"browse", 3, G_MAXINT, do_ls}, {"cp", 5, G_MAXINT, do_cp},
    {"pin", 3, 3, do_keep}, {"unpin", 3, 3, do_keep}, {"protect", 3, 3, do_keep},
};

static bool
run(struct cli *c, char **args, const struct usage *usage, const struct point_wish *w, GError **err)
{
    if (w->format && strcmp(w->format, "raw") != 0 && strcmp(w->format, "qcow2") != 0)
        return err_set(err, ERR_USAGE, "'%s' is no format; there are raw and qcow2.", w->format);
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
        if (strcmp(args[0], actions[i].name) == 0)
            return cli_count(args, actions[i].min, actions[i].max, usage, "point", err) && actions[i].run(c, args, w, err);
    return err_set(err, ERR_USAGE, "'%s' is nothing that point does. Usage: vmreplica point %s", args[0], usage->synopsis);
}

static void
wish_clear(struct point_wish *w)
{
    char *texts[] = {w->format, w->output, w->disks, w->store, w->at, w->plugin, w->until};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
}

VERB(verb_point)
{
    static const struct usage usage = {
        "ACTION VM|DIR [POINT] ...", "Recovery points: verify, export, compare, look into their files, keep.",
        "  check VM|DIR [POINT]          every digest of a point, or of all there is\n"
        "  export VM|DIR [POINT]         disks into images or onto block devices\n"
        "  diff VM|DIR POINT POINT       how much changed between two, and where\n"
        "  mount VM|DIR [POINT] --at DIR disks and file systems, read-only\n"
        "  umount DIR                    the end of that\n"
        "  ls VM|DIR POINT [FS:PATH...]  file systems, or files of one (also: browse)\n"
        "  cp VM|DIR POINT FS:PATH... TO single files\n"
        "  pin, unpin VM POINT           it stays until it is unpinned\n"
        "  protect VM POINT --until DATE nobody deletes it before\n"
        "\n"
        "DIR is the replica's folder (it holds store.json) and needs no daemon; a VM\n"
        "is looked up through the daemon. POINT is an id, a time, oldest or latest.\n"
        "FS is a name that ls shows, such as vda1."};
    struct point_wish w = {0};
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"format", 'f', 0, G_OPTION_ARG_STRING, &w.format, "raw (default) or qcow2", "FORMAT"},
        {"output", 'o', 0, G_OPTION_ARG_FILENAME, &w.output, "images or devices; %t: disk", "PATTERN"},
        {"disks", 0, 0, G_OPTION_ARG_STRING, &w.disks, "only these: vda,vdb", "LIST"},
        {"force", 0, 0, G_OPTION_ARG_NONE, &w.force, "replace existing files", NULL},
        {"resume", 0, 0, G_OPTION_ARG_NONE, &w.resume, "go on with a cut off export", NULL},
        {"at", 0, 0, G_OPTION_ARG_FILENAME, &w.at, "where to mount", "DIR"},
        {"store", 0, 0, G_OPTION_ARG_FILENAME, &w.store, "the replica's folder", "DIR"},
        {"until", 0, 0, G_OPTION_ARG_STRING, &w.until, "protect: 2026-12-24T00:00", "DATE"},
        {"plugin", 0, 0, G_OPTION_ARG_FILENAME, &w.plugin, "nbdkit plugin to use", "FILE"},
        {0},
    };
    bool fine = cli_parse(c, &usage, CLI_CONNECTS | CLI_JSON, options, argc, argv, &args, err);
    if (!fine)
        fine = c->helped;
    else
        fine = cli_count(args, 1, G_MAXINT, &usage, argv[0], err) && run(c, args, &usage, &w, err);
    wish_clear(&w);
    return fine;
}
