/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "repl/maintain.h"
#include "repl/round.h"
#include "repl/together.h"
#include "repl/work.h"
#include "store/layout.h"
#include "store/store.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Guests of one group, written to by programs that depend on each other: a number goes to the first guest, and only when it is there to the
 * second, and so on.  So at every instant the numbers on all guests differ by one at most, and a guest that comes later in the row never
 * has more than one before it. */

enum { GUESTS = 3, PERIOD_MS = 300 };

struct chain {
    struct world *w;
    struct uuid vms[GUESTS];
    gint stop;
    GThread *thread;
};

static gpointer
write_in_turn(gpointer p)
{
    struct chain *c = p;
    for (guint64 n = 1; !g_atomic_int_get(&c->stop); n++)
        for (guint i = 0; i < GUESTS; i++)
            fake_guest_write(c->w->a.fake, &c->vms[i], 0, 0, &n, sizeof n);
    return NULL;
}

static void
put_group(struct world *w, const struct uuid *vms, guint n, struct group *out)
{
    g_autoptr(GPtrArray) members = g_ptr_array_new();
    g_autoptr(GError) err = NULL;
    char text[GUESTS][UUID_TEXT];
    for (guint i = 0; i < n; i++) {
        uuid_format(&vms[i], text[i]);
        g_ptr_array_add(members, text[i]);
    }
    g_ptr_array_add(members, NULL);
    struct group g = { .name = (char *)(gsize)"shop", .members = (char **)members->pdata };
    g_assert_true(repl_group_put(w->a.service, &g, &err));
    g_assert_no_error(err);
    g_assert_true(repl_group_get(w->a.service, &g.id, out, NULL));
}

static void
begin(struct world *w, struct chain *c, struct group *g)
{
    world_open(w);
    *c = (struct chain){ .w = w };
    for (guint i = 0; i < GUESTS; i++) {
        c->vms[i] = world_guest(w, 1);
        const guint64 zero = 0;
        fake_write(w->a.fake, &c->vms[i], 0, 0, &zero, sizeof zero);
        world_enable(w, &c->vms[i], PERIOD_MS);
        world_start(w, &c->vms[i]);
    }
    put_group(w, c->vms, GUESTS, g);
    c->thread = g_thread_new("writer", write_in_turn, c);
}

static void
end(struct chain *c, struct group *g)
{
    g_atomic_int_set(&c->stop, 1);
    g_thread_join(c->thread);
    group_clear(g);
    world_close(c->w);
}

static guint
group_points(struct world *w, const struct group *g)
{
    g_autoptr(GPtrArray) points = repl_group_points(w->b.service, &g->id, NULL);
    return points ? points->len : 0;
}

static guint64
number_at(struct world *w, const struct uuid *log)
{
    guint64 n;
    g_autoptr(GBytes) bytes = fake_instant(w->a.fake, log, 0);
    g_assert_nonnull(bytes);
    memcpy(&n, g_bytes_get_data(bytes, NULL), sizeof n);
    return n;
}

/* Every group point is of one instant, and byte for byte what each guest had. */
static void
check_points(struct world *w, const struct chain *c, const struct group *g)
{
    g_autoptr(GPtrArray) points = repl_group_points(w->b.service, &g->id, NULL);
    g_assert_nonnull(points);
    for (guint p = 0; p < points->len; p++) {
        const struct group_point *gp = points->pdata[p];
        guint64 n[GUESTS];
        g_assert_cmpuint(gp->points->len, ==, GUESTS);
        for (guint i = 0; i < GUESTS; i++) {
            const struct uuid *log = &g_array_index(gp->points, struct uuid, i);
            g_assert_true(uuid_equal(&c->vms[i], &g_array_index(gp->vms, struct uuid, i)));
            world_compare_point(w, &c->vms[i], log);
            n[i] = number_at(w, log);
        }
        for (guint i = 1; i < GUESTS; i++)
            g_assert_true(n[i] == n[i - 1] || n[i] + 1 == n[i - 1]);
        g_assert_cmpuint(n[0] - n[GUESTS - 1], <=, 1);
    }
}

static void
test_one_instant(void)
{
    struct world w = { 0 };
    struct chain c;
    struct group g, learnt;
    begin(&w, &c, &g);
    UNTIL(group_points(&w, &g) >= 3);
    check_points(&w, &c, &g);
    g_assert_true(repl_group_get(w.b.service, &g.id, &learnt, NULL)); /* the replica host knows the group */
    g_assert_cmpstr(learnt.name, ==, "shop");
    g_assert_cmpuint(g_strv_length(learnt.members), ==, GUESTS);
    group_clear(&learnt);
    for (guint i = 0; i < GUESTS; i++)
        UNTIL(fake_power(w.a.fake, &c.vms[i]) == VM_RUNNING);
    end(&c, &g);
}

/* A guest that is off takes part as it is. */
static void
test_one_is_off(void)
{
    struct world w = { 0 };
    struct chain c;
    struct group g;
    begin(&w, &c, &g);
    UNTIL(group_points(&w, &g) >= 1);
    g_atomic_int_set(&c.stop, 1);
    g_thread_join(c.thread);
    c.thread = g_thread_new("nothing", (GThreadFunc)g_strdup, NULL);
    fake_power_set(w.a.fake, &c.vms[1], VM_OFF);
    const guint before = group_points(&w, &g);
    UNTIL(group_points(&w, &g) >= before + 2);
    check_points(&w, &c, &g);
    g_assert_cmpint(fake_power(w.a.fake, &c.vms[1]), ==, VM_OFF);
    end(&c, &g);
}

static guint
points_of(struct world *w, const struct uuid *vm)
{
    g_autoptr(GArray) points = repl_points(w->b.service, vm, NULL);
    return points ? points->len : 0;
}

/* The others go on with points of their own, and nobody stays paused. */
static void
test_one_fails(void)
{
    struct world w = { 0 };
    struct chain c;
    struct group g;
    begin(&w, &c, &g);
    UNTIL(group_points(&w, &g) >= 1);
    fake_fail(w.a.fake, FAKE_BEGIN, ERR_IO, 1);
    const guint before = group_points(&w, &g);
    UNTIL(group_points(&w, &g) >= before + 2);
    check_points(&w, &c, &g);
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_state_change(w.a.service, &c.vms[2], 0, 7, "test", job, &err)); /* suspended */
    g_assert_no_error(err);
    world_wait_state(&w.a, &c.vms[2], STATE_SUSPENDED);
    const guint alone = points_of(&w, &c.vms[0]);
    world_wait_cycle(&w, &c.vms[0]);
    world_wait_cycle(&w, &c.vms[1]);
    g_assert_cmpuint(points_of(&w, &c.vms[0]), >=, alone);
    check_points(&w, &c, &g);
    for (guint i = 0; i < GUESTS; i++)
        UNTIL(fake_power(w.a.fake, &c.vms[i]) == VM_RUNNING);
    end(&c, &g);
}

/* ---- retention ---- */

static void
request(struct world *w, const struct uuid *vm, guint requested, enum repl_state state)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_state_change(w->a.service, vm, 0, requested, "test", job, &err));
    g_assert_no_error(err);
    world_done(&w->a, job);
    world_wait_state(&w->a, vm, state);
}

/* As if it came from the primary. */
static void
rule(struct world *w, const struct uuid *vm, const char *rules)
{
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    HOLD(&rel->lock);
    rel->settings.keep_every_s = rel->settings.history = 0;
    g_free(rel->settings.retention);
    rel->settings.retention = g_strdup(rules);
    g_assert_true(relation_save_locked(rel, NULL));
}

/* What must be left: the oldest of each second, the newest, and the pinned one. */
static GHashTable *
expected(const GPtrArray *all, guint pinned)
{
    GHashTable *out = g_hash_table_new(uuid_hash, uuid_same);
    gint64 slot = 0;
    for (guint i = 0; i < all->len; i++) {
        const struct group_point *p = all->pdata[i];
        if (i == pinned || i + 1 == all->len || p->capture_us / G_USEC_PER_SEC != slot)
            g_hash_table_add(out, (gpointer)(gsize)&p->id);
        slot = p->capture_us / G_USEC_PER_SEC;
    }
    return out;
}

static bool
is_left(struct world *w, const struct group *g, GHashTable *wanted)
{
    g_autoptr(GPtrArray) points = repl_group_points(w->b.service, &g->id, NULL);
    bool same = points->len == g_hash_table_size(wanted);
    for (guint i = 0; i < points->len; i++)
        same = same && g_hash_table_contains(wanted, &((const struct group_point *)points->pdata[i])->id);
    return same;
}

static guint
logs_of(struct world *w, const struct uuid *vm)
{
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    g_autoptr(GArray) logs = store_logs(rel->in.store);
    return logs->len;
}

/* Members have logs of their own now and then, and rules that differ: all keep the same instants, what one keeps stays with all. */
static void
test_retention(void)
{
    static const char *const rules[GUESTS] = { "every 1h for 1d", "every 1s for 1d, application daily for 1d", "every 2s for 1h" };
    struct world w = { 0 };
    struct chain c;
    struct group g;
    begin(&w, &c, &g);
    for (guint i = 0; i < GUESTS; i++) {
        const guint before = group_points(&w, &g);
        request(&w, &c.vms[i], 7, STATE_SUSPENDED);
        for (guint n = 0; n < 5; n++) /* longer than a second */
            world_wait_cycle(&w, &c.vms[(i + 1) % GUESTS]);
        request(&w, &c.vms[i], 3, STATE_REPLICATING);
        UNTIL(group_points(&w, &g) >= before + 5);
    }
    for (guint i = 0; i < GUESTS; i++)
        request(&w, &c.vms[i], 7, STATE_SUSPENDED);
    world_drain(&w);
    g_autoptr(GPtrArray) all = repl_group_points(w.b.service, &g.id, NULL);
    const guint middle = all->len / 2, before = logs_of(&w, &c.vms[0]);
    const struct group_point *point = all->pdata[middle];
    const bool pinned = true;
    g_autoptr(GHashTable) wanted = expected(all, middle);
    g_assert_cmpuint(g_hash_table_size(wanted), <, all->len);
    g_assert_true(repl_point_keep(w.b.service, &g_array_index(point->points, struct uuid, 1), &pinned, 0, NULL));
    for (guint i = 0; i < GUESTS; i++)
        rule(&w, &c.vms[i], rules[i]);
    g_assert_true(is_left(&w, &g, wanted));
    for (guint i = 0; i < GUESTS; i++) {
        relation_auto rel = core_find(w.b.service->core, &c.vms[i], 0);
        task_now(rel->in.maintain);
    }
    UNTIL(logs_of(&w, &c.vms[0]) < before / 2);
    g_assert_true(is_left(&w, &g, wanted));
    check_points(&w, &c, &g);
    end(&c, &g);
}

static bool
is_open(struct world *w, const struct uuid *vm)
{
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    HOLD(&rel->lock);
    return rel->in.store != NULL;
}

/* b begins with a member whose folder is away; *folder and *away are g_free'd. */
static void
shut_one(struct world *w, const struct chain *c, const char *const *rules, char **folder, char **away)
{
    *folder = world_folder(w, &c->vms[1]);
    *away = g_strconcat(*folder, "-away", NULL);
    host_down(&w->b);
    g_assert_cmpint(rename(*folder, *away), ==, 0);
    host_up(w, &w->b);
    for (guint i = 0; i < GUESTS; i++)
        rule(w, &c->vms[i], rules[i]);
}

/* It may never come back: after a day the others go on without it, and still keep the same instants. */
static void
test_member_is_lost(void)
{
    static const char *const rules[GUESTS] = { "every 1s for 1h", "every 1h for 1d", "every 1h for 1d" };
    const gint64 day = 86400 * (gint64)G_USEC_PER_SEC;
    g_autofree char *folder = NULL, *away = NULL;
    struct world w = { 0 };
    struct chain c;
    struct group g;
    begin(&w, &c, &g);
    UNTIL(group_points(&w, &g) >= 10);
    for (guint i = 0; i < GUESTS; i++)
        request(&w, &c.vms[i], 7, STATE_SUSPENDED);
    world_drain(&w);
    g_autoptr(GPtrArray) all = repl_group_points(w.b.service, &g.id, NULL);
    g_autoptr(GHashTable) wanted = expected(all, G_MAXUINT);
    shut_one(&w, &c, rules, &folder, &away);
    relation_auto first = core_find(w.b.service->core, &c.vms[0], 0);
    relation_auto last = core_find(w.b.service->core, &c.vms[2], 0);
    const guint before = logs_of(&w, &c.vms[0]);
    maintain_task(first);
    g_assert_cmpuint(logs_of(&w, &c.vms[0]), ==, before);
    clock_shift_for_test(0, day);
    task_now(first->in.maintain);
    task_now(last->in.maintain);
    UNTIL(logs_of(&w, &c.vms[0]) < before && logs_of(&w, &c.vms[2]) < before);
    g_assert_cmpint(rename(away, folder), ==, 0);
    UNTIL(is_open(&w, &c.vms[1]));
    g_assert_true(is_left(&w, &g, wanted));
    check_points(&w, &c, &g);
    clock_shift_for_test(0, -day);
    end(&c, &g);
}

/* A guest's points that stay by "every 1s", and those before the newest that are merged with nothing yet. */
static guint
by_second(struct world *w, const struct uuid *vm)
{
    g_autoptr(GArray) points = repl_points(w->b.service, vm, NULL);
    guint kept = 0, behind = 0;
    gint64 slot = 0;
    for (guint i = 0; i < points->len; i++) {
        const gint64 second = g_array_index(points, struct repl_point, i).capture_us / G_USEC_PER_SEC;
        behind = second == slot ? behind + 1 : 0;
        kept += second != slot;
        slot = second;
    }
    return kept + behind;
}

/* Then what a guest's own rules do not keep goes before any point that they do. */
static void
test_shut_and_full(void)
{
    static const char *const rules[GUESTS] = { "every 1s for 1d", "all for 1d", "every 1s for 1d" };
    g_autofree char *folder = NULL, *away = NULL;
    struct repl_statistics s;
    struct world w = { 0 };
    struct chain c;
    struct group g;
    begin(&w, &c, &g);
    UNTIL(group_points(&w, &g) >= 16);
    for (guint i = 0; i < GUESTS; i++)
        request(&w, &c.vms[i], 7, STATE_SUSPENDED);
    world_drain(&w);
    const guint most = by_second(&w, &c.vms[0]);
    for (guint i = 0; i < GUESTS; i++) /* for the next daemon, which gives up at once; first the one that keeps all */
        rule(&w, &c.vms[(i + 1) % GUESTS], rules[(i + 1) % GUESTS]);
    w.reserve_percent = 100; /* there is never enough space */
    shut_one(&w, &c, rules, &folder, &away);
    UNTIL(points_of(&w, &c.vms[0]) == 1);
    g_assert_true(repl_statistics(w.b.service, &c.vms[0], 0, &s, NULL, NULL));
    g_assert_cmpuint(s.given_up, <=, most);
    end(&c, &g);
}

/* Nobody knows what its rules keep: the others keep everything. */
static void
test_member_is_shut(void)
{
    static const char *const rules[GUESTS] = { "every 1h for 1d", "all for 1d", "every 1h for 1d" };
    struct world w = { 0 };
    struct chain c;
    struct group g;
    begin(&w, &c, &g);
    UNTIL(group_points(&w, &g) >= 6);
    for (guint i = 0; i < GUESTS; i++)
        request(&w, &c.vms[i], 7, STATE_SUSPENDED);
    const guint instants = group_points(&w, &g), points = points_of(&w, &c.vms[0]);
    g_autofree char *folder = NULL, *away = NULL;
    shut_one(&w, &c, rules, &folder, &away);
    relation_auto rel = core_find(w.b.service->core, &c.vms[0], 0);
    g_assert_false(is_open(&w, &c.vms[1]));
    g_assert_cmpuint(points_of(&w, &c.vms[0]), >=, points);
    UNTIL(task_hold(rel->in.maintain)); /* not beside the daemon's own */
    maintain_task(rel);
    task_release(rel->in.maintain);
    g_assert_cmpuint(points_of(&w, &c.vms[0]), >=, points);
    g_assert_cmpint(rename(away, folder), ==, 0);
    UNTIL(is_open(&w, &c.vms[1]));
    g_assert_cmpuint(group_points(&w, &g), >=, instants);
    const guint logs = logs_of(&w, &c.vms[0]);
    rule(&w, &c.vms[1], rules[0]);
    task_now(rel->in.maintain);
    UNTIL(logs_of(&w, &c.vms[0]) < logs);
    check_points(&w, &c, &g);
    end(&c, &g);
}

static ino_t bad_sector; /* file whose reading fails in the thread that asked for it; 0: none */
static GThread *reader;

ssize_t pread64(int fd, void *buf, size_t len, off64_t off);
ssize_t
pread64(int fd, void *buf, size_t len, off64_t off)
{
    ssize_t (*real)(int, void *, size_t, off64_t) = (ssize_t (*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    struct stat st;
    if (g_atomic_pointer_get(&reader) != g_thread_self() || fstat(fd, &st) != 0 || st.st_ino != bad_sector)
        return real(fd, buf, len, off);
    errno = EIO;
    return -1;
}

/* A log with a bad sector says as little tomorrow: it is of no instant, and retention goes on. */
static void
test_bad_sector(void)
{
    g_autoptr(GError) err = NULL;
    struct world w = { 0 };
    struct chain c;
    struct group g;
    struct uuid group, point;
    struct stat st;
    guint members;
    begin(&w, &c, &g);
    UNTIL(group_points(&w, &g) >= 2);
    for (guint i = 0; i < GUESTS; i++)
        request(&w, &c.vms[i], 7, STATE_SUSPENDED);
    world_drain(&w);
    relation_auto rel = core_find(w.b.service->core, &c.vms[0], 0);
    g_autoptr(GArray) logs = store_logs(rel->in.store);
    const struct store_log *newest = &g_array_index(logs, struct store_log, logs->len - 1);
    g_autofree char *folder = world_folder(&w, &c.vms[0]), *path = layout_log_path(folder, newest->sequence, &newest->id);
    g_assert_cmpint(stat(path, &st), ==, 0);
    bad_sector = st.st_ino;
    {
        HOLD(&rel->lock);
        g_clear_pointer(&rel->in.instants, g_hash_table_unref);
        g_atomic_pointer_set(&reader, g_thread_self());
        g_assert_false(group_point_of_locked(rel, &newest->id, &group, &point, &members, &err));
        g_atomic_pointer_set(&reader, NULL);
    }
    g_assert_no_error(err);
    end(&c, &g);
}

/* What an earlier run left paused goes on at the next start. */
static void
test_left_paused(void)
{
    struct world w = { 0 };
    struct chain c;
    struct group g;
    char text[UUID_TEXT];
    begin(&w, &c, &g);
    UNTIL(group_points(&w, &g) >= 1);
    g_autofree char *dir = g_build_filename(w.a.service->core->config.runtime_dir, "held", NULL);
    host_down(&w.a);
    g_autofree char *path = g_build_filename(dir, uuid_format(&c.vms[0], text), NULL);
    g_assert_true(g_file_set_contents(path, "", 0, NULL));
    fake_power_set(w.a.fake, &c.vms[0], VM_PAUSED);
    host_up(&w, &w.a);
    UNTIL(fake_power(w.a.fake, &c.vms[0]) == VM_RUNNING);
    UNTIL(!g_file_test(path, G_FILE_TEST_EXISTS));
    const guint before = group_points(&w, &g);
    UNTIL(group_points(&w, &g) >= before + 1);
    check_points(&w, &c, &g);
    COVERS("groups", "daemon killed", "a member that it left paused runs on with the next daemon, if not before (helper)");
    end(&c, &g);
}

static void
test_refusals(void)
{
    struct world w = { 0 };
    struct group g, other = { 0 };
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vms[GUESTS] = { world_guest(&w, 1), world_guest(&w, 1), world_guest(&w, 1) }, nobody = uuid_random();
    put_group(&w, vms, 2, &g);
    g_assert_false(repl_group_change(w.a.service, &g.id, &vms[0], true, &err));
    g_assert_error(err, ERR, ERR_EXISTS);
    g_clear_error(&err);
    g_assert_false(repl_group_change(w.a.service, &g.id, &vms[2], false, &err));
    g_assert_error(err, ERR, ERR_NOT_FOUND);
    g_clear_error(&err);
    g_assert_false(repl_group_change(w.a.service, &g.id, &nobody, true, &err));
    g_assert_error(err, ERR, ERR_NO_SUCH_INSTANCE);
    g_clear_error(&err);
    other.name = (char *)(gsize)"shop";
    g_assert_false(repl_group_put(w.a.service, &other, &err));
    g_assert_error(err, ERR, ERR_EXISTS);
    g_clear_error(&err);
    g_assert_true(repl_group_change(w.a.service, &g.id, &vms[2], true, NULL));
    host_down(&w.a);
    host_up(&w, &w.a);
    group_clear(&g);
    g_autoptr(GPtrArray) all = repl_groups(w.a.service);
    g_assert_cmpuint(all->len, ==, 1);
    const struct group *kept = all->pdata[0];
    g_assert_cmpuint(g_strv_length(kept->members), ==, 3);
    g_assert_true(repl_group_remove(w.a.service, &kept->id, NULL));
    g_autoptr(GPtrArray) none = repl_groups(w.a.service);
    g_assert_cmpuint(none->len, ==, 0);
    world_close(&w);
}

static void
call(struct host *h, const struct group *g, const struct group_call *what, bool fine)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_group_call(h->service, &g->id, what, "test", job, &err));
    g_assert_no_error(err);
    struct job_info info = world_wait(h, job);
    g_assert_cmpint(info.state == JOB_COMPLETED || info.state == JOB_WARNINGS, ==, fine);
    job_info_clear(&info);
}

/* All members come up from the same instant, the newest or a named one, and go back together. */
static void
test_failover(void)
{
    struct world w = { 0 };
    struct chain c;
    struct group g;
    char job[UUID_TEXT];
    begin(&w, &c, &g);
    UNTIL(group_points(&w, &g) >= 2);
    host_down(&w.a);
    world_drain(&w);
    g_autoptr(GPtrArray) points = repl_group_points(w.b.service, &g.id, NULL);
    const struct group_point *oldest = points->pdata[0], *newest = points->pdata[points->len - 1];
    const struct uuid nothing = uuid_random();
    g_autoptr(GError) err = NULL;
    g_assert_false(repl_group_call(w.b.service, &g.id, &(struct group_call){ GROUP_FAILOVER, .point = &nothing }, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_PARAMETER);
    g_clear_error(&err);
    g_assert_false(repl_group_call(w.b.service, &g.id, &(struct group_call){ GROUP_REVERT }, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    call(&w.b, &g, &(struct group_call){ GROUP_FAILOVER, .point = &oldest->id }, true);
    for (guint i = 0; i < GUESTS; i++) {
        struct repl_relation r = world_relation(&w.b, &c.vms[i]);
        g_assert_cmpint(r.state, ==, STATE_RECOVERED);
        g_assert_true(uuid_equal(&r.applied_point, &g_array_index(oldest->points, struct uuid, i)));
        repl_relation_clear(&r);
    }
    call(&w.b, &g, &(struct group_call){ GROUP_REVERT }, true);
    call(&w.b, &g, &(struct group_call){ GROUP_FAILOVER }, true);
    for (guint i = 0; i < GUESTS; i++) {
        struct repl_relation r = world_relation(&w.b, &c.vms[i]);
        g_assert_true(uuid_equal(&r.applied_point, &g_array_index(newest->points, struct uuid, i)));
        repl_relation_clear(&r);
    }
    host_up(&w, &w.a);
    COVERS("groups", "other host dies", "all members come up from one instant, and go back together");
    end(&c, &g);
}

/* A failover that ended half way goes on with the members that are left. */
static void
test_half_way(void)
{
    struct world w = { 0 };
    struct chain c;
    struct group g;
    begin(&w, &c, &g);
    UNTIL(group_points(&w, &g) >= 1);
    host_down(&w.a);
    world_drain(&w);
    fake_fail(w.b.fake, FAKE_OVERLAY, ERR_NO_SPACE, 1);
    call(&w.b, &g, &(struct group_call){ GROUP_FAILOVER }, false);
    guint there = 0;
    for (guint i = 0; i < GUESTS; i++)
        there += world_state(&w.b, &c.vms[i]) == STATE_RECOVERED;
    g_assert_cmpuint(there, ==, GUESTS - 1);
    call(&w.b, &g, &(struct group_call){ GROUP_FAILOVER }, true);
    for (guint i = 0; i < GUESTS; i++)
        g_assert_cmpint(world_state(&w.b, &c.vms[i]), ==, STATE_RECOVERED);
    call(&w.b, &g, &(struct group_call){ GROUP_COMMIT }, true);
    for (guint i = 0; i < GUESTS; i++)
        g_assert_cmpint(world_state(&w.b, &c.vms[i]), ==, STATE_COMMITTED);
    host_up(&w, &w.a);
    COVERS("groups", "disk full", "the others come up; called again, so do those that are left");
    COVERS("groups", "called twice", "done for those for which it is not done yet");
    end(&c, &g);
}

/* A member has another job; the group is called where the primaries are. */
static void
test_busy(void)
{
    struct world w = { 0 };
    struct chain c;
    struct group g;
    struct busy busy;
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    begin(&w, &c, &g);
    UNTIL(group_points(&w, &g) >= 1);
    g_assert_false(repl_group_call(w.a.service, &g.id, &(struct group_call){ GROUP_FAILOVER }, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    for (guint i = 0; i < GUESTS; i++)
        g_assert_cmpint(world_state(&w.a, &c.vms[i]), ==, STATE_REPLICATING);
    COVERS("groups", "wrong side", "refused (32775), no member changes");
    host_down(&w.a);
    world_busy(&w.b, &c.vms[1], &busy);
    call(&w.b, &g, &(struct group_call){ GROUP_FAILOVER }, false);
    g_assert_cmpint(world_state(&w.b, &c.vms[0]), ==, STATE_RECOVERED);
    g_assert_cmpint(world_state(&w.b, &c.vms[1]), ==, STATE_REPLICATING);
    world_idle(&busy);
    call(&w.b, &g, &(struct group_call){ GROUP_FAILOVER }, true);
    g_assert_cmpint(world_state(&w.b, &c.vms[1]), ==, STATE_RECOVERED);
    COVERS("groups", "during another job", "the job fails and names the busy member; the others are done, and called again, so is that");
    host_up(&w, &w.a);
    end(&c, &g);
}

/* ---- the daemon dies before and after every change that a failover makes outside of its database ---- */

static const char *self;

/* --child DIR PORT GROUP N: this program again, as the daemon that dies. */
static int
child(char **argv)
{
    struct world w = { 0 };
    struct uuid group;
    char job[UUID_TEXT];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    g_assert_true(uuid_parse(argv[4], &group));
    world_borrow(&w, argv[2], (guint)atoi(argv[3]));
    host_up(&w, &w.b);
    fake_die_in(w.b.fake, (guint)atoi(argv[5]));
    g_assert_true(repl_group_call(w.b.service, &group, &(struct group_call){ GROUP_FAILOVER }, "test", job, NULL));
    struct job_info i = world_wait(&w.b, job);
    _exit(i.state == JOB_COMPLETED || i.state == JOB_WARNINGS ? 0 : 3);
}

static void
copy_tree(const char *from, const char *to)
{
    const char *argv[] = { "cp", "-a", from, to, NULL };
    g_assert_true(file_remove_tree(to, NULL));
    g_assert_true(g_spawn_sync(NULL, (char **)(gpointer)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
}

/* True: it came to its end. */
static bool
run_child(struct world *w, const struct group *g, guint n)
{
    char id[UUID_TEXT];
    int status;
    g_autofree char *number = g_strdup_printf("%u", n), *port = g_strdup_printf("%u", w->b.port);
    const char *argv[] = { self, "--child", w->box.dir, port, uuid_format(&g->id, id), number, NULL };
    g_autoptr(GError) err = NULL;
    g_assert_true(g_spawn_sync(NULL, (char **)(gpointer)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &err));
    g_assert_no_error(err);
    g_assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9));
    return WEXITSTATUS(status) == 0;
}

static bool
nothing_runs(struct host *h)
{
    bool idle = true;
    g_autoptr(GPtrArray) jobs = job_list(repl_jobs(h->service));
    for (guint i = 0; i < jobs->len; i++)
        idle &= job_state_final(((const struct job_info *)jobs->pdata[i])->state);
    return idle;
}

/* All members come up from one instant, whatever was done already. */
static void
finish(struct world *w, const struct chain *c, const struct group *g, const struct group_point *newest)
{
    bool done = true;
    UNTIL(nothing_runs(&w->b));
    for (guint i = 0; i < GUESTS; i++) {
        const enum repl_state s = world_state(&w->b, &c->vms[i]);
        g_assert_true(s == STATE_REPLICATING || s == STATE_RECOVERED);
        done &= s == STATE_RECOVERED;
    }
    if (!done)
        call(&w->b, g, &(struct group_call){ GROUP_FAILOVER }, true);
    for (guint i = 0; i < GUESTS; i++) {
        struct repl_relation r = world_relation(&w->b, &c->vms[i]);
        g_assert_cmpint(r.state, ==, STATE_RECOVERED);
        g_assert_true(uuid_equal(&r.applied_point, &g_array_index(newest->points, struct uuid, i)));
        repl_relation_clear(&r);
    }
}

static void
test_killed(void)
{
    struct world w = { 0 };
    struct chain c;
    struct group g;
    guint n = 1;
    begin(&w, &c, &g);
    UNTIL(group_points(&w, &g) >= 2);
    host_down(&w.a);
    world_drain(&w);
    g_autoptr(GPtrArray) points = repl_group_points(w.b.service, &g.id, NULL);
    host_down(&w.b);
    g_autofree char *copy = g_strdup_printf("%s.copy", w.b.dir);
    copy_tree(w.b.dir, copy);
    for (bool over = false; !over; n += 2) { /* members' changes come in another order each time */
        g_assert_cmpuint(n, <, 200);
        copy_tree(copy, w.b.dir);
        over = run_child(&w, &g, n);
        host_up(&w, &w.b);
        finish(&w, &c, &g, points->pdata[points->len - 1]);
        host_down(&w.b);
    }
    g_assert_cmpuint(n, >, 6); /* it did die on the way */
    g_assert_true(file_remove_tree(copy, NULL));
    COVERS("groups", "daemon killed", "in a failover, between any two changes: called again, all members come up from one instant");
    host_up(&w, &w.b);
    host_up(&w, &w.a);
    end(&c, &g);
}

int
main(int argc, char **argv)
{
    if (argc == 6 && !strcmp(argv[1], "--child"))
        return child(argv);
    self = argv[0];
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/group/refusals", test_refusals);
    g_test_add_func("/repl/group/one-instant", test_one_instant);
    g_test_add_func("/repl/group/one-is-off", test_one_is_off);
    g_test_add_func("/repl/group/one-fails", test_one_fails);
    g_test_add_func("/repl/group/retention", test_retention);
    g_test_add_func("/repl/group/member-is-shut", test_member_is_shut);
    g_test_add_func("/repl/group/member-is-lost", test_member_is_lost);
    g_test_add_func("/repl/group/shut-and-full", test_shut_and_full);
    g_test_add_func("/repl/group/bad-sector", test_bad_sector);
    g_test_add_func("/repl/group/left-paused", test_left_paused);
    g_test_add_func("/repl/group/failover", test_failover);
    g_test_add_func("/repl/group/half-way", test_half_way);
    g_test_add_func("/repl/group/busy", test_busy);
    g_test_add_func("/repl/group/killed", test_killed);
    return g_test_run();
}
