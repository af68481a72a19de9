/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/plan.h"

#include "base/err.h"

static void
op_free(void *p)
{
    struct plan_op *op = p;
    g_free(op->name);
    g_free(op->from);
    g_free(op->from_node);
    g_free(op);
}

GPtrArray *
plan_new(void)
{
    return g_ptr_array_new_with_free_func(op_free);
}

static void
put_merge(GPtrArray *plan, const struct bitmap_disk *disk, const char *name, const char *from, const char *from_node)
{
    struct plan_op *op = g_new0(struct plan_op, 1);
    op->kind = PLAN_MERGE;
    op->disk = disk;
    op->name = g_strdup(name);
    op->from = g_strdup(from);
    op->from_node = g_strdup(from_node);
    g_ptr_array_add(plan, op);
}

static void
put(GPtrArray *plan, enum plan_kind kind, const struct bitmap_disk *disk, const char *name)
{
    struct plan_op *op = g_new0(struct plan_op, 1);
    op->kind = kind;
    op->disk = disk;
    op->name = g_strdup(name);
    g_ptr_array_add(plan, op);
}

static guint64
highest_number(const GPtrArray *disks)
{
    guint64 highest = 0;
    for (guint i = 0; i < disks->len; i++) {
        const struct bitmap_disk *d = disks->pdata[i];
        for (guint j = 0; j < d->bitmaps->len; j++)
            highest = MAX(highest, ((const struct bitmap *)d->bitmaps->pdata[j])->number);
    }
    return highest;
}

static struct bitmap *
newest(const struct bitmap_disk *disk)
{
    struct bitmap *found = NULL;
    for (guint i = 0; i < disk->bitmaps->len; i++) {
        struct bitmap *b = disk->bitmaps->pdata[i];
        if (!found || b->number > found->number)
            found = b;
    }
    return found;
}

/* The newest usable one that is older than `number`. */
static struct bitmap *
before(const struct bitmap_disk *disk, guint64 number)
{
    struct bitmap *found = NULL;
    for (guint i = 0; i < disk->bitmaps->len; i++) {
        struct bitmap *b = disk->bitmaps->pdata[i];
        if (!b->inconsistent && b->number < number && (!found || b->number > found->number))
            found = b;
    }
    return found;
}

static bool
no_such_target(const char *target, GError **err)
{
    return err_set(err, ERR_NOT_FOUND, "The guest has no disk '%s' with an image any more.", target);
}

/* The bitmap that tracks the disk, or NULL with the reason. */
static struct bitmap *
tracking(const struct bitmap_disk *disk, GError **err)
{
    struct bitmap *b = newest(disk);
    const char *why = NULL;
    if (!b)
        why = "it has no bitmap (a new disk, or a raw image after its guest was off)";
    else if (b->inconsistent)
        why = "its bitmap is inconsistent after QEMU was killed";
    else if (!b->recording)
        why = "its bitmap does not record";
    if (why)
        err_set(err, ERR_TRACKING_LOST, "Changes of disk '%s' are not tracked: %s.", disk->target, why);
    return why ? NULL : b;
}

/* Writes made below an external snapshot before it was taken. */
static void
merge_below(GPtrArray *plan, const struct bitmap_disk *disk, const char *name)
{
    for (guint i = 0; i < disk->below->len; i++) {
        const struct bitmap_below *below = disk->below->pdata[i];
        if (below->usable && g_str_equal(below->name, name))
            put_merge(plan, disk, name, name, below->node);
    }
}

static void
remove_older(GPtrArray *plan, const struct bitmap_disk *disk, guint64 number)
{
    for (guint i = 0; i < disk->bitmaps->len; i++) {
        const struct bitmap *b = disk->bitmaps->pdata[i];
        if (b->number < number)
            put(plan, PLAN_REMOVE, disk, b->name);
    }
}

/* All targets must be tracked since one log; which one is for capture_recover and the caller to know. */
static bool
same_log(const GPtrArray *disks, const char *const *targets, GError **err)
{
    const struct bitmap *first = NULL;
    for (guint i = 0; targets[i]; i++) {
        const struct bitmap_disk *disk = bitmap_find_disk(disks, targets[i]);
        if (!disk)
            return no_such_target(targets[i], err);
        const struct bitmap *b = tracking(disk, err);
        if (!b)
            return false;
        if (first && !uuid_equal(&first->log, &b->log))
            return err_set(err, ERR_TRACKING_LOST, "Disks '%s' and '%s' are tracked since different change logs.", targets[0], targets[i]);
        const struct bitmap *older = before(disk, b->number);
        if (older && !older->recording)
            return err_set(err, ERR_TRACKING_LOST, "An earlier capture of disk '%s' was cut off; recover it first.", targets[i]);
        first = b;
    }
    return true;
}

bool
plan_begin(const GPtrArray *disks, const char *const *targets, const struct uuid *log, GPtrArray *plan, GPtrArray *old, GError **err)
{
    if (!same_log(disks, targets, err))
        return false;
    g_autofree char *name = bitmap_name(log, highest_number(disks) + 1);
    for (guint i = 0; targets[i]; i++) {
        const struct bitmap_disk *disk = bitmap_find_disk(disks, targets[i]);
        struct bitmap *b = newest(disk);
        remove_older(plan, disk, b->number);
        merge_below(plan, disk, b->name);
        put(plan, PLAN_ADD, disk, name);
        put(plan, PLAN_DISABLE, disk, b->name);
        g_ptr_array_add(old, b->name);
    }
    return true;
}

bool
plan_begin_anew(const GPtrArray *disks, const char *const *targets, const struct uuid *log, GPtrArray *plan, GError **err)
{
    g_autofree char *name = bitmap_name(log, highest_number(disks) + 1);
    for (guint i = 0; targets[i]; i++) {
        const struct bitmap_disk *disk = bitmap_find_disk(disks, targets[i]);
        if (!disk)
            return no_such_target(targets[i], err);
        put(plan, PLAN_ADD, disk, name);
    }
    return true;
}

/* B goes; what it recorded goes back to the one before it, unless that recorded all the while. */
static void
take_back(GPtrArray *plan, const struct bitmap_disk *disk, const struct bitmap *b)
{
    const struct bitmap *a = before(disk, b->number);
    if (a && !b->inconsistent) {
        if (!a->recording)
            put(plan, PLAN_ENABLE, disk, a->name);
        put_merge(plan, disk, a->name, b->name, NULL);
    }
    put(plan, PLAN_REMOVE, disk, b->name);
}

void
plan_end(const GPtrArray *disks, const struct uuid *log, bool durable, GPtrArray *plan)
{
    for (guint i = 0; i < disks->len; i++) {
        const struct bitmap_disk *disk = disks->pdata[i];
        const struct bitmap *b = bitmap_find(disk, log);
        if (!b)
            continue;
        if (durable)
            remove_older(plan, disk, b->number);
        else
            take_back(plan, disk, b);
    }
}

void
plan_forget(const GPtrArray *disks, GPtrArray *plan)
{
    for (guint i = 0; i < disks->len; i++)
        remove_older(plan, disks->pdata[i], G_MAXUINT64);
}

/* Whether the disk knows all writes since its bitmap b: b records, or something newer has recorded since b was frozen. */
static bool
covers(const struct bitmap_disk *disk, const struct bitmap *b)
{
    if (b->inconsistent)
        return false;
    const struct bitmap *last = newest(disk);
    return b->recording || (last != b && last->recording && !last->inconsistent);
}

static bool
all_cover(const GPtrArray *disks, const char *const *targets, const struct uuid *log)
{
    for (guint i = 0; targets[i]; i++) {
        const struct bitmap_disk *disk = bitmap_find_disk(disks, targets[i]);
        const struct bitmap *b = disk ? bitmap_find(disk, log) : NULL;
        if (!b || !covers(disk, b))
            return false;
    }
    return true;
}

/* The newest durable log since which every target is tracked. */
static bool
find_since(const GPtrArray *disks, const char *const *targets, bool (*durable)(void *, const struct uuid *), void *user,
           struct uuid *since)
{
    const struct bitmap_disk *first = targets[0] ? bitmap_find_disk(disks, targets[0]) : NULL;
    guint64 below = G_MAXUINT64;
    const struct bitmap *b;
    while (first && (b = before(first, below))) {
        if (durable(user, &b->log) && all_cover(disks, targets, &b->log)) {
            *since = b->log;
            return true;
        }
        below = b->number;
    }
    return false;
}

/* Leaves only the bitmap of `since`, with everything that newer ones recorded. */
static void
settle(GPtrArray *plan, const struct bitmap_disk *disk, const struct uuid *since)
{
    const struct bitmap *a = bitmap_find(disk, since);
    if (!a->recording)
        put(plan, PLAN_ENABLE, disk, a->name);
    for (guint i = 0; i < disk->bitmaps->len; i++) {
        const struct bitmap *b = disk->bitmaps->pdata[i];
        if (b == a)
            continue;
        if (b->number > a->number && !b->inconsistent)
            put_merge(plan, disk, a->name, b->name, NULL);
        put(plan, PLAN_REMOVE, disk, b->name);
    }
}

static bool
is_target(const char *const *targets, const char *name)
{
    return g_strv_contains(targets, name);
}

static void
remove_useless(GPtrArray *plan, const GPtrArray *disks, const char *const *targets)
{
    for (guint i = 0; i < disks->len; i++) {
        const struct bitmap_disk *disk = disks->pdata[i];
        const bool ours = is_target(targets, disk->target);
        for (guint j = 0; j < disk->bitmaps->len; j++) {
            const struct bitmap *b = disk->bitmaps->pdata[j];
            if (b->inconsistent || !ours)
                put(plan, PLAN_REMOVE, disk, b->name);
        }
    }
}

/* Says what is wrong with the first target that is not covered. */
static bool
why_lost(const GPtrArray *disks, const char *const *targets, GError **err)
{
    for (guint i = 0; targets[i]; i++) {
        const struct bitmap_disk *disk = bitmap_find_disk(disks, targets[i]);
        if (!disk)
            return no_such_target(targets[i], err);
        if (!tracking(disk, err))
            return false;
    }
    return err_set(err, ERR_TRACKING_LOST, "The disks are not all tracked since one change log that is known to be durable.");
}

bool
plan_recover(const GPtrArray *disks, const char *const *targets, bool (*durable)(void *user, const struct uuid *log), void *user,
             GPtrArray *plan, struct uuid *since, GError **err)
{
    if (!find_since(disks, targets, durable, user, since)) {
        remove_useless(plan, disks, targets);
        return why_lost(disks, targets, err);
    }
    for (guint i = 0; i < disks->len; i++) {
        const struct bitmap_disk *disk = disks->pdata[i];
        if (is_target(targets, disk->target))
            settle(plan, disk, since);
        else
            remove_older(plan, disk, G_MAXUINT64);
    }
    return true;
}
