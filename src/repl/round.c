/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/round.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "vm/release.h"

#include <errno.h>
#include <glib/gstdio.h>

enum step { GATHER, READY, HELD, TAKEN, DONE, STEPS };
static const gint64 PATIENCE_US[STEPS] = {
    [GATHER] = 15 * (gint64)G_USEC_PER_SEC, [READY] = 10 * (gint64)G_USEC_PER_SEC, [HELD] = 2 * (gint64)G_USEC_PER_SEC,
    [TAKEN] = 2 * (gint64)G_USEC_PER_SEC, [DONE] = 60 * (gint64)G_USEC_PER_SEC,
};

struct round {
    gatomicrefcount refs;
    struct rounds *all;
    struct group group;
    struct uuid point;
    guint expected;
    GMutex lock;
    GCond changed;
    /* under lock */
    guint joined, at[STEPS]; /* members that came to each step */
    bool broken;
    gint64 paused_us;        /* monotonic: when the first guest was */
    gint64 instant_us;       /* wall: what all their logs say */
};

struct rounds {
    struct core *core;
    GMutex lock;
    GHashTable *open;        /* group's GUID -> struct round that members may join; under lock */
    struct release *release; /* NULL: not needed yet; under lock */
};

struct rounds *
rounds_new(struct core *c)
{
    struct rounds *all = g_new0(struct rounds, 1);
    all->core = c;
    g_mutex_init(&all->lock);
    all->open = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return all;
}

void
rounds_free(struct rounds *all)
{
    if (!all)
        return;
    release_stop(all->release);
    g_hash_table_unref(all->open);
    g_mutex_clear(&all->lock);
    g_free(all);
}

static void
round_unref(struct round *r)
{
    if (!g_atomic_ref_count_dec(&r->refs))
        return;
    group_clear(&r->group);
    g_mutex_clear(&r->lock);
    g_cond_clear(&r->changed);
    g_free(r);
}

/* ---- the way back ---- */

static char *
held_path(struct core *c, const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_build_filename(c->config.runtime_dir, RELEASE_FOLDER, uuid_format(vm, text), NULL);
}

static bool
note_held(struct core *c, const struct uuid *vm, GError **err)
{
    g_autofree char *dir = g_build_filename(c->config.runtime_dir, RELEASE_FOLDER, NULL), *path = held_path(c, vm);
    return file_make_dirs(dir, 0700, err) && g_file_set_contents(path, "", 0, err);
}

static void
note_released(struct core *c, const struct uuid *vm)
{
    g_autofree char *path = held_path(c, vm);
    if (g_unlink(path) != 0 && errno != ENOENT)
        log_warning("'%s' cannot be removed: %s", path, g_strerror(errno));
}

static void
let_go(struct core *c, const struct uuid *vm)
{
    char text[UUID_TEXT];
    g_autoptr(GError) why = NULL;
    enum vm_power power;
    if (c->vm->power_get(c->vms, vm, &power, &why) && (power != VM_PAUSED || c->vm->resume(c->vms, vm, &why))) {
        note_released(c, vm);
        return;
    }
    if (err_is(why, ERR_NO_SUCH_INSTANCE))
        note_released(c, vm);
    else
        log_error("Guest '%s' was paused for its group and cannot be resumed: %s", uuid_format(vm, text), why->message);
}

void
rounds_recover(struct core *c)
{
    g_autofree char *dir = g_build_filename(c->config.runtime_dir, RELEASE_FOLDER, NULL);
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d && (name = g_dir_read_name(d))) {
        struct uuid vm;
        if (!uuid_parse(name, &vm))
            continue;
        log_warning("Guest '%s' may have been left paused by an earlier run, and goes on now.", name);
        let_go(c, &vm);
    }
}

static bool
have_release(struct rounds *all, GError **err)
{
    HOLD(&all->lock);
    if (!all->core->config.thaw_program || (all->release && release_runs(all->release)))
        return true;
    release_stop(all->release);
    all->release = release_start(all->core->vms, all->core->config.thaw_program, all->core->config.runtime_dir, err);
    return all->release != NULL;
}

/* ---- who takes part ---- */

static bool
takes_part(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->side == SIDE_SENDER && !rel->index && rel->r.state == STATE_REPLICATING && !rel->s.want_last && !rel->s.taking_last &&
           !rel->s.tracking && !rel->s.rebase && !rel->s.want_compare && rel->s.cycle && !(rel->trouble && !rel->trouble_sends) &&
           !g_atomic_int_get(&rel->halt);
}

/* The relationships of all members; NULL: not all take part. */
static GPtrArray *
members_of(struct core *c, const struct group *g)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func((GDestroyNotify)relation_unref);
    for (char **m = g->members; m && *m; m++) {
        struct uuid vm;
        struct relation *rel = uuid_parse(*m, &vm) ? core_find(c, &vm, 0) : NULL;
        if (!rel)
            return NULL;
        g_ptr_array_add(out, rel);
        if (!takes_part(rel))
            return NULL;
    }
    return out->len > 1 ? g_steal_pointer(&out) : NULL;
}

static struct round *
open_round(struct rounds *all, struct group *g, guint members)
{
    char key[UUID_TEXT];
    struct round *r = g_new0(struct round, 1);
    g_atomic_ref_count_init(&r->refs);
    g_mutex_init(&r->lock);
    g_cond_init(&r->changed);
    r->all = all;
    r->group = *g;
    *g = (struct group){ 0 };
    r->point = uuid_random();
    r->expected = members;
    g_hash_table_insert(all->open, g_strdup(uuid_format(&r->group.id, key)), r);
    return r;
}

static void
wake(GPtrArray *members, const struct relation *but)
{
    for (guint i = 0; i < members->len; i++) {
        struct relation *rel = members->pdata[i];
        if (rel == but)
            continue;
        HOLD(&rel->lock);
        rel->s.want_round = true;
        if (rel->s.cycle)
            task_now(rel->s.cycle);
    }
}

static bool
was_woken(struct relation *rel)
{
    HOLD(&rel->lock);
    const bool woken = rel->s.want_round;
    rel->s.want_round = false;
    return woken;
}

/* A round that is complete or broken takes no more members. */
static void
close_locked(struct rounds *all, const struct round *r)
{
    char key[UUID_TEXT];
    uuid_format(&r->group.id, key);
    if (g_hash_table_lookup(all->open, key) == r)
        g_hash_table_remove(all->open, key);
}

static struct round *
enter_locked(struct rounds *all, struct relation *rel, struct group *g, bool woken, GPtrArray *members)
{
    char key[UUID_TEXT];
    struct round *r = g_hash_table_lookup(all->open, uuid_format(&g->id, key));
    if (r)
        g_atomic_ref_count_inc(&r->refs);
    else if (woken) /* too late */
        return NULL;
    else
        r = open_round(all, g, members->len);
    if (++r->joined == r->expected)
        close_locked(all, r);
    return r;
}

/* ---- the steps ---- */

static void
break_round(struct round *r)
{
    HOLD(&r->lock);
    r->broken = true;
    g_cond_broadcast(&r->changed);
}

/* Until all have come to the step.  False: the round is broken. */
static bool
meet(struct round *r, struct relation *rel, enum step step)
{
    static const gint64 LOOK_US = 20 * 1000;
    const gint64 end = g_get_monotonic_time() + PATIENCE_US[step];
    HOLD(&r->lock);
    r->at[step]++;
    g_cond_broadcast(&r->changed);
    while (!r->broken && r->at[step] < r->expected) {
        const gint64 now = g_get_monotonic_time();
        if (now >= end || g_atomic_int_get(&rel->halt))
            r->broken = true;
        else
            g_cond_wait_until(&r->changed, &r->lock, MIN(end, now + LOOK_US));
    }
    g_cond_broadcast(&r->changed);
    return !r->broken;
}

struct round *
round_join(struct rounds *all, struct relation *rel)
{
    struct group g = { 0 };
    const bool woken = was_woken(rel);
    struct round *r = NULL;
    if (!groups_of(all->core->groups, &rel->vm, &g))
        return NULL;
    g_autoptr(GPtrArray) members = members_of(all->core, &g);
    if (members) {
        bool first;
        {
            HOLD(&all->lock);
            r = enter_locked(all, rel, &g, woken, members);
            first = r && r->joined == 1;
        }
        if (first)
            wake(members, rel);
    }
    group_clear(&g);
    if (!r)
        return NULL;
    rel->s.round_ran = rel->s.round_held = rel->s.round_met = false;
    if (meet(r, rel, GATHER))
        return r;
    round_part(r, rel);
    return NULL;
}

void
round_part(struct round *r, struct relation *rel)
{
    if (!rel->s.round_met)
        break_round(r);
    {
        HOLD(&r->all->lock);
        close_locked(r->all, r);
    }
    round_unref(r);
}

static bool
pause_guest(struct round *r, struct relation *rel)
{
    struct core *c = rel->core;
    g_autoptr(GError) why = NULL;
    enum vm_power power;
    const bool known = c->vm->power_get(c->vms, &rel->vm, &power, &why);
    if (known && power == VM_PAUSED) /* by its user: it stays so */
        return true;
    if (known && power == VM_RUNNING && have_release(r->all, &why) && note_held(c, &rel->vm, &why)) {
        rel->s.round_held = true;
        if (c->vm->pause(c->vms, &rel->vm, &why))
            return true;
    }
    log_warning("Guest '%s' cannot be paused for its group: %s", rel->r.name, why ? why->message : "it is not running.");
    return false;
}

void
round_hold(struct round *r, struct relation *rel)
{
    rel->s.round_ran = true;
    if (!meet(r, rel, READY))
        return;
    {
        HOLD(&r->lock);
        if (!r->paused_us)
            r->paused_us = g_get_monotonic_time();
        if (!r->instant_us)
            r->instant_us = clock_wall_us();
    }
    if (!pause_guest(r, rel))
        break_round(r);
    else
        meet(r, rel, HELD);
}

static void
say_how_long(struct round *r, const struct relation *rel)
{
    HOLD(&r->lock);
    log_debug("Guest '%s' stood still for its group for %.1f ms.", rel->r.name,
              (double)(g_get_monotonic_time() - r->paused_us) / 1000);
}

void
round_release(struct round *r, struct relation *rel)
{
    meet(r, rel, TAKEN);
    if (!rel->s.round_held)
        return;
    let_go(rel->core, &rel->vm);
    rel->s.round_held = false;
    say_how_long(r, rel);
}

/* Off before and after the instant, and nothing happened to it since its cycle began. */
static bool
stayed_off(struct relation *rel)
{
    struct core *c = rel->core;
    enum vm_power power;
    if (!c->vm->power_get(c->vms, &rel->vm, &power, NULL) || (power != VM_OFF && power != VM_SAVED))
        return false;
    HOLD(&rel->lock);
    return !rel->s.facts_stale;
}

char *
round_finish(struct round *r, struct relation *rel, bool good)
{
    if (good && !rel->s.round_ran)
        good = meet(r, rel, READY) && meet(r, rel, HELD) && meet(r, rel, TAKEN) && stayed_off(rel);
    if (!good)
        break_round(r);
    rel->s.round_met = good && meet(r, rel, DONE);
    if (!rel->s.round_met)
        return NULL;
    HOLD(&r->lock);
    if (!r->instant_us)
        r->instant_us = clock_wall_us();
    rel->s.common_us = r->instant_us;
    return group_section(&r->group, &r->point);
}
