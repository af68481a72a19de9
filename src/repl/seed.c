/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/seed.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "log/info.h"
#include "repl/activity.h"
#include "repl/guest.h"
#include "repl/placeholder.h"
#include "store/store.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the record ---- */

static const struct vm_disk *
disk_of(const struct vm_facts *facts, const char *target)
{
    for (guint i = 0; i < facts->disks->len; i++)
        if (!g_strcmp0(((const struct vm_disk *)facts->disks->pdata[i])->target, target))
            return facts->disks->pdata[i];
    return NULL;
}

static char **
images_of(const struct vm_facts *facts, const char *const *targets, GError **err)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; targets[i]; i++) {
        const struct vm_disk *d = disk_of(facts, targets[i]);
        if (d && (!d->path || !d->format)) {
            err_set(err, ERR_INVALID_STATE, "Disk '%s' of guest '%s' has no image on this host.", targets[i], facts->name);
            return NULL;
        }
        /* One that was unplugged keeps its number. */
        g_ptr_array_add(out, d ? g_strdup_printf("%s:%s", d->format, d->path) : g_strdup(""));
    }
    g_ptr_array_add(out, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&out), FALSE);
}

/* "FORMAT:PATH" of a disk -> PATH; NULL: it was unplugged. */
static const char *
path_of(const struct relation *rel, guint i)
{
    const char *colon = strchr(rel->r.seeds[i], ':');
    return colon ? colon + 1 : NULL;
}

static char *
place_of(const struct relation *rel, guint i)
{
    return g_strdup_printf("%s/base/disk-%u.raw", rel->r.folder, i);
}

/* *there: something is.  False: that cannot be found out. */
static bool
look_at(const char *path, struct stat *st, bool *there, GError **err)
{
    *there = stat(path, st) == 0;
    return *there || errno == ENOENT || errno == ENOTDIR || err_errno(err, "'%s' cannot be looked at", path);
}

/* However it is named. */
static bool
is_same(const char *a, const char *b, bool *same, GError **err)
{
    struct stat x, y;
    bool first, second;
    if (!look_at(a, &x, &first, err) || !look_at(b, &y, &second, err))
        return false;
    *same = first && second && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
    return true;
}

/* What is in place is the only image of the guest, so an error is no answer. */
static bool
is_in_place(const struct relation *rel, guint i, bool *in_place, GError **err)
{
    g_autofree char *place = place_of(rel, i);
    *in_place = false;
    return !path_of(rel, i) || !g_str_has_prefix(rel->r.seeds[i], "raw:") || is_same(path_of(rel, i), place, in_place, err);
}

static bool
check_place(const struct relation *rel, guint i, GError **err)
{
    bool in_base = false, in_place;
    g_autofree char *base = g_build_filename(rel->r.folder, "base", NULL);
    g_autofree char *folder = path_of(rel, i) ? g_path_get_dirname(path_of(rel, i)) : NULL;
    if ((folder && !is_same(folder, base, &in_base, err)) || !is_in_place(rel, i, &in_place, err))
        return false;
    return !in_base || in_place ||
           err_set(err, ERR_INVALID_STATE,
                   "Image '%s' is in the folder where disk '%s' of guest '%s' as a replica goes; move it elsewhere first.",
                   path_of(rel, i), rel->r.disks[i], rel->r.name);
}

/* What is in the base and stays is its disk already; anything else there would be lost. */
static bool
check_places(const struct relation *rel, GError **err)
{
    for (guint i = 0; rel->r.seeds[i]; i++)
        if (!check_place(rel, i, err))
            return false;
    return true;
}

struct relation *
seed_new(struct core *c, const struct vm_facts *facts, const char *const *targets, const struct repl_entry *entry, GError **err)
{
    char **images = images_of(facts, targets, err);
    if (!images)
        return NULL;
    relation_auto rel = relation_new(c, c->db, &facts->uuid, 0, SIDE_RECEIVER);
    rel->r.mode = MODE_REPLICA;
    rel->r.state = STATE_WAITING_INITIAL;
    rel->r.name = g_strdup(facts->name);
    rel->r.folder = placeholder_folder(entry->location, &facts->uuid);
    rel->r.trust_group = g_strdup(entry->trust_group);
    rel->r.disks = g_strdupv((char **)(gsize)targets);
    rel->r.active_us = clock_wall_us();
    rel->r.epoch = 1;
    rel->r.seeding = true;
    rel->r.seeds = images;
    rel->r.seed = uuid_random();
    rel->r.seed_sequence = 1;
    return check_places(rel, err) ? g_steal_pointer(&rel) : NULL;
}

bool
seed_begin(struct core *c, struct relation *rel, const char *owner, char job[UUID_TEXT], GError **err)
{
    return work_post(work_new(c, rel, &rel->vm), JOB_IMPORT, true, false, 0, owner, seed_work, job, err);
}

/* ---- the disks ---- */

static bool
copy_disk(struct core *c, struct relation *rel, guint i, const gint *cancel, struct log_info *info, GError **err)
{
    g_auto(GStrv) part = g_strsplit(rel->r.seeds[i], ":", 2);
    g_autofree char *to = place_of(rel, i);
    struct stat st;
    bool in_place;
    if (!*rel->r.seeds[i])
        return true;
    if (!is_in_place(rel, i, &in_place, err))
        return false;
    if (!in_place && !c->vm->image_to_raw(part[1], part[0], to, cancel, err))
        return false;
    if (stat(to, &st) != 0)
        return err_errno(err, "Image '%s' cannot be looked at", to);
    log_info_add_disk(info, (guint16)i, rel->r.disks[i], (guint64)st.st_size);
    return true;
}

static bool
copy_disks(struct core *c, struct relation *rel, struct job *job, struct log_info *info, GError **err)
{
    const guint count = g_strv_length(rel->r.seeds);
    for (guint i = 0; i < count; i++) {
        job_progress(job, 5 + i * 85 / count, "Copying the guest's disks into the replica");
        if (!copy_disk(c, rel, i, job_cancel_flag(job), info, err))
            return false;
    }
    return true;
}

static bool
fill(struct core *c, struct relation *rel, struct job *job, struct store *store, GError **err)
{
    struct log_info info = { .vm = rel->vm, .id = rel->r.seed, .sequence = rel->r.seed_sequence, .epoch = rel->r.epoch,
                             .capture_us = clock_wall_us(), .kind = LOG_KIND_STANDARD, .flags = LOG_FLAG_FUZZY };
    const bool ok = copy_disks(c, rel, job, &info, err) && store_seed(store, &info, err);
    log_info_clear(&info);
    return ok;
}

static char **
names_to_keep(const struct relation *rel, GError **err)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; rel->r.seeds[i]; i++) {
        bool in_place;
        if (!is_in_place(rel, i, &in_place, err))
            return NULL;
        if (in_place)
            g_ptr_array_add(out, g_strdup_printf("disk-%u.raw", i));
    }
    g_ptr_array_add(out, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&out), FALSE);
}

static bool
make_store(struct core *c, struct relation *rel, struct job *job, GError **err)
{
    g_auto(GStrv) keep = names_to_keep(rel, err);
    struct store *store = keep ? placeholder_fresh_store(rel, (const char *const *)keep, err) : NULL;
    const bool ok = store && fill(c, rel, job, store, err);
    if (store)
        store_close(store);
    return ok;
}

/* ---- the end ---- */

static bool
define(struct core *c, struct relation *rel, GError **err)
{
    g_autofree char *xml = core_definition(c, &rel->vm, err);
    return xml && placeholder_define(c, rel, xml, err);
}

/* Nothing but the base holds the guest now. */
static void
drop_images(struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *ours = g_build_filename(rel->r.folder, "failover", NULL);
    if (!file_remove_tree(ours, &why))
        log_warning("Guest '%s': images that are not used any more could not be removed: %s", rel->r.name, why->message);
    for (guint i = 0; rel->r.seeds && rel->r.seeds[i]; i++) {
        const char *path = path_of(rel, i);
        bool in_place;
        if (path && !g_str_has_prefix(path, ours) && is_in_place(rel, i, &in_place, NULL) && !in_place)
            log_info("Guest '%s': the image '%s' is not used any more; its content is in the replica '%s'.", rel->r.name, path,
                     rel->r.folder);
    }
}

static bool
finish(struct relation *rel, GError **err)
{
    HOLD(&rel->lock);
    rel->r.seeding = false;
    if (relation_save_locked(rel, err))
        return true;
    rel->r.seeding = true;
    return false;
}

bool
seed_work(struct job *job, void *work, GError **err)
{
    struct work *w = work;
    struct core *c = w->core;
    struct relation *rel = w->rel;
    g_autoptr(GError) why = NULL;
    if (!make_store(c, rel, job, &why) || !define(c, rel, &why)) {
        if (core_running(c) && !relation_event(rel, EVENT_FAIL, why->message, NULL))
            log_warning("Guest '%s': its replication state could not be saved.", rel->r.name);
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (!guest_forget(c, rel, &why))
        log_info("Guest '%s': its dirty bitmaps were not removed: %s", rel->r.name, why->message);
    if (!activity_attach(c, rel, err) || !finish(rel, err))
        return false;
    drop_images(rel);
    activity_wake(rel);
    return true;
}
