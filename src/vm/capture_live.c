/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/capture_int.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "vm/gather.h"
#include "vm/nbdblock.h"
#include "vm/qjob.h"
#include "vm/qmp.h"
#include "vm/scratch.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* QEMU copies in units of 64 KiB whatever the granularity of the bitmap, both in the job and before the guest's first write to one. */
enum { COPY_UNIT = 64 << 10 };
/* The guest's first write to what is not copied yet waits for its copy, so a scratch that is slower than this is given up. */
static const gint64 COPY_PATIENCE_US = 10 * G_USEC_PER_SEC;
enum { COPY_SLOWEST = 8 << 20 }; /* bytes per second */
static const char ESTIMATE[] = "vmr-estimate";
/* Of a first pass over the live disk: what it reads, and what was written meanwhile. */
static const char FIRST[] = "vmr-first", LATER[] = "vmr-later";

/* One disk while it is captured; what is set has to be undone. */
struct shot {
    const struct bitmap_disk *disk;
    const char *old;   /* bitmap to copy; NULL: everything */
    char *scratch;     /* path of its scratch file, which QEMU has open */
    struct block *early;    /* first pass: what was read from the live disk, in a file without a name; */
    int early_fd;           /* the same, to be completed; */
    struct extents *first;  /* and what was marked then */
};

struct live {
    struct capture *c;
    virDomainPtr dom;
    GArray *shots;     /* struct shot, in the order of c->items */
    GPtrArray *plan;
    guint64 promised;  /* of the engine's scratch, for the copies */
    guint64 kept;      /* of it, for what the first pass reads */
    bool two_passes;   /* QEMU has the bitmaps FIRST and LATER */
};

static struct shot *
shot_at(const struct live *l, guint i)
{
    return &g_array_index(l->shots, struct shot, i);
}

static char *
scratch_node(const struct shot *s)
{
    return g_strconcat("vmr-s-", s->disk->target, NULL);
}

static char *
job_name(const struct shot *s)
{
    return g_strconcat("vmr-", s->disk->target, NULL);
}

/* What the copies are made of. */
static const char *
copied_bitmap(const struct live *l, const struct shot *s)
{
    return l->two_passes ? LATER : s->old;
}

/* ---- room ---- */

static guint64
round_up(guint64 bytes)
{
    return (bytes + COPY_UNIT - 1) / COPY_UNIT * COPY_UNIT;
}

/* At worst every marked 4 KiB is in a copy unit of its own.  What lies below a snapshot is not counted here. */
static guint64
worst_case(const struct live *l, const json_t *nodes)
{
    guint64 sum = 0;
    for (guint i = 0; i < l->shots->len; i++) {
        const struct shot *s = shot_at(l, i);
        const guint64 most = round_up(s->disk->size);
        guint64 marked = 0;
        const bool known = bitmap_count(nodes, s->disk->node, copied_bitmap(l, s), &marked) && s->disk->below->len == 0;
        marked /= BITMAP_GRANULARITY;
        sum += known && marked < most / COPY_UNIT ? marked * COPY_UNIT : most;
    }
    return sum;
}

static json_t *
estimate_actions(const struct live *l)
{
    json_t *actions = json_array();
    for (guint i = 0; i < l->shots->len; i++) {
        const struct shot *s = shot_at(l, i);
        json_array_append_new(actions, json_pack("{s:s, s:{s:s, s:s, s:i, s:b, s:b}}", "type", "block-dirty-bitmap-add", "data",
                                                 "node", s->disk->node, "name", ESTIMATE, "granularity", COPY_UNIT, "persistent", 0,
                                                 "disabled", 1));
        json_array_append_new(actions, json_pack("{s:s, s:{s:s, s:s, s:[s]}}", "type", "block-dirty-bitmap-merge", "data", "node",
                                                 s->disk->node, "target", ESTIMATE, "bitmaps", copied_bitmap(l, s)));
    }
    return actions;
}

static void
drop_estimate(const struct live *l)
{
    for (guint i = 0; i < l->shots->len; i++)
        qmp_do(l->dom, "block-dirty-bitmap-remove", json_pack("{s:s, s:s}", "node", shot_at(l, i)->disk->node, "name", ESTIMATE), NULL);
}

/* The exact need: the bitmaps merged into ones of the copy unit's granularity. */
static bool
exact_case(const struct live *l, guint64 *need, GError **err)
{
    drop_estimate(l); /* of a run that died here */
    if (!qmp_do(l->dom, "transaction", json_pack("{s:o}", "actions", estimate_actions(l)), err))
        return false;
    json_scoped nodes = track_nodes(l->dom, err);
    *need = 0;
    for (guint i = 0; i < l->shots->len; i++) {
        const struct shot *s = shot_at(l, i);
        guint64 bytes = 0;
        const bool known = bitmap_count(nodes, s->disk->node, ESTIMATE, &bytes) && s->disk->below->len == 0;
        *need += known ? bytes : round_up(s->disk->size);
    }
    drop_estimate(l);
    return nodes != NULL;
}

/* Writes go on between the count and the capture. */
static guint64
with_margin(guint64 need)
{
    return need + need / 8 + (1 << 20);
}

static bool
promise(struct live *l, guint64 need, guint64 *available, GError **err)
{
    if (!capture_promise(l->c->engine, need, available, err))
        return false;
    l->promised = need;
    return true;
}

static void
keep_no_promise(struct live *l)
{
    capture_unpromise(l->c->engine, l->promised);
    l->promised = 0;
}

/* A full scratch file system would fail the guest's own writes (QEMU copies before it writes), so the need is known beforehand. */
static bool
reserve_room(struct live *l, const json_t *nodes, GError **err)
{
    g_autoptr(GError) why = NULL;
    guint64 available = 0, need = with_margin(worst_case(l, nodes));
    if (promise(l, need, &available, &why))
        return true;
    if (!why && exact_case(l, &need, &why)) {
        need = with_margin(need);
        if (promise(l, need, &available, &why))
            return true;
    }
    return capture_lacks_room(l->c->engine, need, available, g_steal_pointer(&why), err);
}

/* ---- steps ---- */

/* QEMU still has the file of the last capture open, and the disk was not resized. */
static bool
still_good(const struct shot *s, const char *path, const json_t *node)
{
    return path && g_strcmp0(qmp_text(json_object_get(node, "image"), "filename"), path) == 0 &&
           qmp_number(json_object_get(node, "image"), "virtual-size") == s->disk->size;
}

static bool
drop_node(struct live *l, const struct shot *s, GError **err)
{
    g_autofree char *node = scratch_node(s);
    return qmp_do(l->dom, "blockdev-del", json_pack("{s:s}", "node-name", node), err);
}

static bool
add_node(struct live *l, struct shot *s, GError **err)
{
    const struct capture_engine *e = l->c->engine;
    g_autofree char *node = scratch_node(s);
    g_autofree char *path = scratch_create(e->scratch_dir, &l->c->vm, s->disk->target, s->disk->size, e->qemu_uid, e->qemu_gid, err);
    if (!path)
        return false;
    if (!qmp_do(l->dom, "blockdev-add", json_pack("{s:s, s:s, s:s, s:s}", "driver", "file", "node-name", node, "filename", path, "discard",
                                                  "unmap"), err)) {
        unlink(path);
        return false;
    }
    capture_set_scratch(l->c->engine, &l->c->vm, s->disk->target, path);
    s->scratch = g_steal_pointer(&path);
    return true;
}

static bool
ready_scratch(struct live *l, const json_t *nodes, GError **err)
{
    for (guint i = 0; i < l->shots->len; i++) {
        struct shot *s = shot_at(l, i);
        g_autofree char *name = scratch_node(s), *path = capture_scratch_of(l->c->engine, &l->c->vm, s->disk->target);
        const json_t *node = bitmap_find_node(nodes, name);
        if (still_good(s, path, node)) {
            scratch_clear(path);
            s->scratch = g_steal_pointer(&path);
            continue;
        }
        if (node && !drop_node(l, s, err))
            return false;
        if (path)
            unlink(path);
        if (!add_node(l, s, err))
            return false;
    }
    return true;
}

/* After a failure nothing is kept. */
static void
drop_scratch(struct live *l)
{
    for (guint i = 0; i < l->shots->len; i++) {
        struct shot *s = shot_at(l, i);
        if (!s->scratch)
            continue;
        drop_node(l, s, NULL);
        unlink(s->scratch);
        capture_set_scratch(l->c->engine, &l->c->vm, s->disk->target, NULL);
    }
}

static json_t *
mark_action(const char *type, const struct shot *s, const char *name)
{
    return json_pack("{s:s, s:{s:s, s:s}}", "type", type, "data", "node", s->disk->node, "name", name);
}

/* The instant: bitmaps change over and the copies start in one transaction over all disks. */
static bool
turn_over(struct live *l, bool copy, bool *turned, GError **err)
{
    json_t *actions = track_actions(l->plan);
    for (guint i = 0; copy && i < l->shots->len; i++) {
        const struct shot *s = shot_at(l, i);
        if (l->two_passes)
            json_array_append_new(actions, mark_action("block-dirty-bitmap-disable", s, LATER));
        g_autofree char *node = scratch_node(s), *job = job_name(s);
        json_array_append_new(actions, json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:b}}", "type", "blockdev-backup", "data",
                                                 "device", s->disk->node, "job-id", job, "target", node, "sync", "bitmap", "bitmap",
                                                 copied_bitmap(l, s), "bitmap-mode", "never", "auto-dismiss", 0));
    }
    l->c->instant_us = clock_wall_us();
    *turned = true; /* an answer that is lost may have been a yes */
    if (!qmp_do(l->dom, "transaction", json_pack("{s:o}", "actions", actions), err))
        return false;
    capture_took(l->c);
    return true;
}

bool
live_close_nbd(virDomainPtr dom, GError **err)
{
    g_autoptr(GError) why = NULL;
    bool active;
    if (qmp_do(dom, "nbd-server-stop", NULL, &why)) /* closes its exports, too */
        return true;
    if (strstr(why->message, "NBD server not running") || (domain_active(dom, &active, NULL) && !active))
        return true;
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

static bool
open_nbd(struct live *l, GError **err)
{
    g_autofree char *path = capture_socket_path(l->c->engine, &l->c->vm);
    g_autoptr(GError) why = NULL;
    if (!qmp_do(l->dom, "nbd-server-start", json_pack("{s:{s:s, s:{s:s}}}", "addr", "type", "unix", "data", "path", path), &why)) {
        if (strstr(why->message, "already running"))
            return err_set(err, ERR_IN_USE, "Guest '%s' has an NBD server of somebody else (a libvirt backup or a migration).",
                           virDomainGetName(l->dom));
        l->c->left_open = true; /* an answer that is lost may have been a yes */
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    l->c->socket = g_steal_pointer(&path);
    return true;
}

static bool
add_export(struct live *l, const struct shot *s, const char *bitmap, GError **err)
{
    g_autofree char *id = job_name(s);
    json_t *args = json_pack("{s:s, s:s, s:s, s:s}", "type", "nbd", "id", id, "node-name", s->disk->node, "name", s->disk->target);
    if (bitmap)
        json_object_set_new(args, "bitmaps", json_pack("[s]", bitmap));
    return qmp_do(l->dom, "block-export-add", args, err);
}

/* ---- CAPTURE_INSTANT ---- */

/* Marks only become more until the instant. */
static bool
all_marked(const struct live *l, const json_t *before)
{
    guint64 marked = 0;
    for (guint i = 0; i < l->shots->len; i++) {
        const struct shot *s = shot_at(l, i);
        if (!bitmap_count(before, s->disk->node, copied_bitmap(l, s), &marked) || marked == 0)
            return false;
    }
    return true;
}

/* `before` is how the nodes were before the instant: an export that nothing is marked for is not opened. */
static bool
read_bitmaps(struct live *l, const json_t *before, GPtrArray *dirty, GError **err)
{
    json_scoped after = NULL;
    if (!all_marked(l, before) && !(after = track_nodes(l->dom, err)))
        return false;
    for (guint i = 0; i < l->shots->len; i++) {
        const struct shot *s = shot_at(l, i);
        const char *bitmap = copied_bitmap(l, s);
        guint64 marked = 0;
        if (after && bitmap_count(after, s->disk->node, bitmap, &marked) && marked == 0)
            continue;
        if ((!l->c->socket && !open_nbd(l, err)) || !add_export(l, s, bitmap, err) ||
            !nbdblock_bitmap(l->c->socket, s->disk->target, bitmap, dirty->pdata[i], err))
            return false;
    }
    return true;
}

static void
close_nbd(struct live *l)
{
    if (!l->c->socket)
        return;
    if (!live_close_nbd(l->dom, NULL))
        l->c->left_open = true;
    unlink(l->c->socket);
    g_clear_pointer(&l->c->socket, g_free);
}

/* What is marked, as zero where there is a hole in the file. */
static bool
map_item(struct capture_item *item, struct extents *dirty, GError **err)
{
    extents_auto map = extents_new();
    extents_clip(dirty, item->block->size);
    if (extents_count(dirty) == 0)
        return true;
    if (!block_extents(item->block, 0, item->block->size, map, err))
        return false;
    extents_free(item->extents);
    item->extents = extents_intersect(dirty, map);
    return true;
}

/* What was written during the first pass replaces what that has read. */
static bool
complete_early(struct shot *s, struct block *scratch, struct extents *later, GError **err)
{
    extents_auto map = extents_new();
    extents_clip(later, scratch->size);
    if (extents_count(later) == 0)
        return true;
    if (!block_extents(scratch, 0, scratch->size, map, err))
        return false;
    extents_auto copied = extents_intersect(later, map);
    for (size_t i = 0; i < extents_count(copied); i++) {
        const struct extent *e = extents_at(copied, i);
        if (e->kind == EXTENT_ZERO &&
            fallocate(s->early_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)e->offset, (off_t)e->length) != 0)
            return err_errno(err, "What was read of disk '%s' cannot be emptied", s->disk->target);
        extents_add(s->first, e->offset, e->length, EXTENT_DATA);
    }
    return gather(scratch, copied, s->early_fd, s->disk->target, 0, err);
}

static bool
open_item(struct live *l, guint i, struct extents *dirty, GError **err)
{
    struct shot *s = shot_at(l, i);
    struct capture_item *item = l->c->items->pdata[i];
    struct block *scratch = block_file_open(s->scratch, err);
    item->block = scratch;
    if (!scratch || !l->two_passes)
        return scratch && map_item(item, dirty, err);
    const bool ok = complete_early(s, scratch, dirty, err);
    item->block = g_steal_pointer(&s->early);
    block_close(scratch);
    return ok && map_item(item, s->first, err);
}

static void
free_extents(void *set)
{
    extents_free(set);
}

/* A guest whose file systems are frozen has written what it held back, so there is more to copy than was counted before. */
static bool
turn_over_still(struct live *l, bool *turned, GError **err)
{
    capture_before(l->c);
    json_scoped nodes = track_nodes(l->dom, err);
    keep_no_promise(l);
    const bool ok = nodes && reserve_room(l, nodes, err) && turn_over(l, true, turned, err);
    capture_after(l->c);
    return ok;
}

static gint64
patience(guint64 bytes)
{
    return COPY_PATIENCE_US + (gint64)(bytes * G_USEC_PER_SEC / COPY_SLOWEST);
}

/* Why something was not written to the scratch folder; takes it. */
static bool
not_copied(const struct live *l, GError *why, GError **err)
{
    if (!err_is(why, ERR_TIMEOUT)) {
        g_propagate_error(err, why);
        return false;
    }
    g_error_free(why);
    return err_set(err, ERR_TIMEOUT, "The scratch folder '%s' is too slow: what changed on guest '%s' was not copied in time, "
                   "and the cycle is given up for the guest's sake. Put the folder on a tmpfs.",
                   l->c->engine->scratch_dir, virDomainGetName(l->dom));
}

static bool
wait_for_copies(struct live *l, GError **err)
{
    GError *why = NULL;
    return qjob_finish(l->dom, l->shots->len, patience(l->promised), &why) || not_copied(l, why, err);
}

/* ---- two passes: most of what is marked is read from the live disk before the instant ----
 *
 * The copies are made in units of 64 KiB while the guest's writes wait for them, so single pages cost sixteen times their size.  The bitmap
 * that tracks the log before stays as it is: whatever happens here, nothing is lost with these two, which are not even stored. */

/* A read of the whole set, before which others wait for us, or which the bitmaps below a snapshot add to, is left alone. */
static bool
wants_two_passes(struct live *l, const json_t *nodes)
{
    guint64 sum = 0, available = 0;
    if (l->c->around && l->c->around->others_wait)
        return false;
    for (guint i = 0; i < l->shots->len; i++) {
        const struct shot *s = shot_at(l, i);
        guint64 marked = 0;
        if (s->disk->below->len > 0 || !bitmap_count(nodes, s->disk->node, s->old, &marked))
            return false;
        sum += marked;
    }
    if (sum < l->c->engine->live_first || !capture_promise(l->c->engine, with_margin(sum), &available, NULL))
        return false;
    l->kept = with_margin(sum);
    return true;
}

/* LATER comes first: a write is in the old bitmap when FIRST is made of it, or in LATER, or in both. */
static json_t *
first_actions(const struct live *l)
{
    json_t *actions = json_array();
    for (guint i = 0; i < l->shots->len; i++) {
        const struct shot *s = shot_at(l, i);
        for (guint j = 0; j < 2; j++)
            json_array_append_new(actions, json_pack("{s:s, s:{s:s, s:s, s:i, s:b, s:b}}", "type", "block-dirty-bitmap-add", "data",
                                                     "node", s->disk->node, "name", j ? FIRST : LATER, "granularity", BITMAP_GRANULARITY,
                                                     "persistent", 0, "disabled", (int)j));
        json_array_append_new(actions, json_pack("{s:s, s:{s:s, s:s, s:[s]}}", "type", "block-dirty-bitmap-merge", "data", "node",
                                                 s->disk->node, "target", FIRST, "bitmaps", s->old));
    }
    return actions;
}

/* In one command, or one by one when something is not there any more. */
static void
drop_passes(const struct live *l)
{
    static const char *const names[] = { FIRST, LATER };
    json_t *all = json_array();
    for (guint i = 0; i < l->shots->len; i++)
        for (guint j = 0; j < G_N_ELEMENTS(names); j++)
            json_array_append_new(all, mark_action("block-dirty-bitmap-remove", shot_at(l, i), names[j]));
    if (qmp_do(l->dom, "transaction", json_pack("{s:o}", "actions", all), NULL))
        return;
    for (guint i = 0; i < l->shots->len; i++)
        for (guint j = 0; j < G_N_ELEMENTS(names); j++)
            qmp_do(l->dom, "block-dirty-bitmap-remove", json_pack("{s:s, s:s}", "node", shot_at(l, i)->disk->node, "name", names[j]), NULL);
}

/* A capture before this one that could not drop its own. */
static bool
has_passes(const struct live *l, const json_t *nodes)
{
    guint64 marked;
    for (guint i = 0; i < l->shots->len; i++) {
        const char *node = shot_at(l, i)->disk->node;
        if (bitmap_count(nodes, node, FIRST, &marked) || bitmap_count(nodes, node, LATER, &marked))
            return true;
    }
    return false;
}

/* A file without a name, so that none is left whatever happens. */
static bool
make_early(struct live *l, struct shot *s, GError **err)
{
    const struct capture_engine *e = l->c->engine;
    g_autofree char *path = scratch_create(e->scratch_dir, &l->c->vm, s->disk->target, s->disk->size, e->qemu_uid, e->qemu_gid, err);
    if (!path)
        return false;
    s->early_fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (s->early_fd < 0)
        err_errno(err, "Scratch file '%s' cannot be opened", path);
    else
        s->early = block_file_open(path, err);
    unlink(path);
    return s->early != NULL;
}

static bool
read_early(struct live *l, struct shot *s, GError **err)
{
    extents_auto dirty = extents_new();
    extents_auto map = extents_new();
    if (!make_early(l, s, err) || !add_export(l, s, FIRST, err) ||
        !nbdblock_bitmap(l->c->socket, s->disk->target, FIRST, dirty, err))
        return false;
    block_auto disk = nbdblock_open(l->c->socket, s->disk->target, err);
    if (!disk || !block_extents(disk, 0, disk->size, map, err))
        return false;
    extents_auto what = extents_intersect(dirty, map);
    GError *why = NULL;
    s->first = g_steal_pointer(&dirty);
    return gather(disk, what, s->early_fd, s->disk->target, patience(l->kept), &why) || not_copied(l, why, err);
}

static bool
read_first(struct live *l, const json_t *nodes, GError **err)
{
    if (has_passes(l, nodes))
        drop_passes(l);
    l->two_passes = true;
    bool ok = qmp_do(l->dom, "transaction", json_pack("{s:o}", "actions", first_actions(l)), err) && open_nbd(l, err);
    for (guint i = 0; ok && i < l->shots->len; i++)
        ok = read_early(l, shot_at(l, i), err);
    close_nbd(l);
    return ok;
}

static bool
take_instant(struct live *l, const json_t *before, bool *turned, GError **err)
{
    json_scoped later = NULL;
    const json_t *nodes = before;
    if (wants_two_passes(l, before)) {
        if (!read_first(l, before, err) || !(later = track_nodes(l->dom, err)))
            return false;
        nodes = later;
    }

    g_autoptr(GPtrArray) dirty = g_ptr_array_new_with_free_func(free_extents);
    for (guint i = 0; i < l->shots->len; i++)
        g_ptr_array_add(dirty, extents_new());
    if (!reserve_room(l, nodes, err) || !ready_scratch(l, nodes, err) ||
        !(l->c->around ? turn_over_still(l, turned, err) : turn_over(l, true, turned, err)) ||
        !wait_for_copies(l, err) || !read_bitmaps(l, nodes, dirty, err))
        return false;
    close_nbd(l);
    for (guint i = 0; i < l->shots->len; i++)
        if (!open_item(l, i, dirty->pdata[i], err))
            return false;
    return true;
}

/* ---- CAPTURE_FUZZY_* ---- */

static bool
open_live_item(struct live *l, guint i, GError **err)
{
    const struct shot *s = shot_at(l, i);
    struct capture_item *item = l->c->items->pdata[i];
    if (!add_export(l, s, s->old, err))
        return false;
    item->block = nbdblock_open(l->c->socket, s->disk->target, err);
    if (!item->block)
        return false;
    if (!s->old)
        return block_extents(item->block, 0, item->block->size, item->extents, err);
    extents_auto dirty = extents_new();
    extents_auto map = extents_new();
    if (!nbdblock_bitmap(l->c->socket, s->disk->target, s->old, dirty, err) ||
        !block_extents(item->block, 0, item->block->size, map, err))
        return false;
    extents_free(item->extents);
    item->extents = extents_intersect(dirty, map);
    return true;
}

static bool
take_fuzzy(struct live *l, bool *turned, GError **err)
{
    if (!turn_over(l, false, turned, err) || !open_nbd(l, err))
        return false;
    for (guint i = 0; i < l->shots->len; i++)
        if (!open_live_item(l, i, err))
            return false;
    return true;
}

/* ---- together ---- */

static void
undo(struct live *l, bool turned, bool full)
{
    bool active;
    if (turned && (!domain_active(l->dom, &active, NULL) || active)) {
        if (!qjob_cancel(l->dom, NULL))
            l->c->left_open = true;
        if (full)
            capture_unstall(l->dom);
    }
    close_nbd(l);
    drop_scratch(l);
}

static void
shots_clear(struct live *l)
{
    for (guint i = 0; i < l->shots->len; i++) {
        struct shot *s = shot_at(l, i);
        g_free(s->scratch);
        extents_free(s->first);
        block_close(s->early);
        if (s->early_fd > 0)
            close(s->early_fd);
    }
    g_array_unref(l->shots);
    keep_no_promise(l);
    capture_unpromise(l->c->engine, l->kept);
}

static bool
plan_live(struct live *l, const struct track *t, const char *const *targets, GError **err)
{
    g_autoptr(GPtrArray) old = g_ptr_array_new();
    const bool anew = l->c->mode == CAPTURE_FUZZY_ALL;
    const bool planned = anew ? plan_begin_anew(t->disks, targets, &l->c->log, l->plan, err)
                              : plan_begin(t->disks, targets, &l->c->log, l->plan, old, err);
    for (guint i = 0; planned && targets[i]; i++) {
        const struct shot s = { .disk = bitmap_find_disk(t->disks, targets[i]), .old = anew ? NULL : old->pdata[i] };
        g_array_append_val(l->shots, s);
    }
    return planned;
}

static json_t *
retire_actions(const struct live *l)
{
    json_t *actions = json_array();
    for (guint i = 0; i < l->shots->len; i++) {
        const struct shot *s = shot_at(l, i);
        json_array_append_new(actions, json_pack("{s:s, s:{s:s, s:s}}", "type", "block-dirty-bitmap-remove", "data", "node", s->disk->node,
                                                 "name", s->old));
    }
    return actions;
}

bool
live_begin(struct capture *c, virDomainPtr dom, const struct track *t, const char *const *targets, bool *turned, GError **err)
{
    g_autoptr(GPtrArray) plan = plan_new();
    g_autoptr(GError) why = NULL;
    struct live l = { .c = c, .dom = dom, .plan = plan, .shots = g_array_new(FALSE, TRUE, sizeof(struct shot)) };
    bool ok = plan_live(&l, t, targets, &why);
    if (ok)
        ok = c->mode == CAPTURE_INSTANT ? take_instant(&l, t->nodes, turned, &why) : take_fuzzy(&l, turned, &why);
    if (ok && c->mode != CAPTURE_FUZZY_ALL)
        c->retire = retire_actions(&l);
    if (!ok) {
        undo(&l, *turned, err_is(why, ERR_NO_SPACE));
        g_propagate_error(err, g_steal_pointer(&why));
    }
    if (l.two_passes)
        drop_passes(&l);
    shots_clear(&l);
    return ok;
}
