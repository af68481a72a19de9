/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/block.h"
#include "base/clean.h"
#include "base/err.h"
#include "repl/work.h"
#include "store/view.h"
#include "vm/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The roles swap: after a planned failover nothing but the differences travels, and the way back works as the way there. */

/* Each host takes replicas of the other. */
static void
open_both_ways(struct world *w)
{
    struct repl_host_settings s;
    char job[UUID_TEXT];
    bool listening;
    world_open(w);
    repl_host_settings(w->a.service, &s, &listening);
    s.recovery_enabled = true;
    s.allowed_authentication = 2;
    s.https_port = w->a.port;
    g_assert_true(repl_modify_service(w->a.service, &s, "test", job, NULL));
    repl_host_settings_clear(&s);
    world_done(&w->a, job);
    g_autofree char *location = g_build_filename(w->a.dir, "replicas-of-b", NULL);
    g_assert_true(g_mkdir_with_parents(location, 0755) == 0);
    g_autofree char *group = g_strdup("T");
    const struct repl_entry entry = { .host = w->b.name, .trust_group = group, .location = location };
    g_autoptr(GError) err = NULL;
    repl_entry_add(w->a.service, &entry, &err);
    g_assert_no_error(err);
}

static struct uuid
replicated(struct world *w)
{
    const struct uuid vm = world_guest(w, 2);
    fake_device_add(w->a.fake, &vm, WORLD_TPM);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    fake_scribble(w->a.fake, &vm, w->rand, 20);
    world_wait_cycle(w, &vm);
    return vm;
}

static void
reverse(struct host *h, const struct uuid *vm)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_reverse(h->service, vm, NULL, "test", job, &err));
    g_assert_no_error(err);
    world_done(h, job);
}

static void
reverse_fails(struct host *h, const struct uuid *vm, const char *id)
{
    char job[UUID_TEXT];
    g_assert_true(repl_reverse(h->service, vm, NULL, "test", job, NULL));
    world_fails(h, job, id);
}

static guint
points_on(struct host *h, const struct uuid *vm)
{
    g_autoptr(GArray) points = repl_points(h->service, vm, NULL);
    return points->len;
}

/* Until the replica has a point that was captured after this call began. */
static void
wait_cycle(struct host *replica, const struct uuid *vm)
{
    const gint64 now = g_get_real_time();
    UNTIL(({
        g_autoptr(GArray) p = repl_points(replica->service, vm, NULL);
        p->len && g_array_index(p, struct repl_point, p->len - 1).capture_us >= now;
    }));
}

static void
compare_disk(struct host *primary, struct view *v, const struct uuid *point, guint disk)
{
    g_autoptr(GBytes) expected = fake_instant(primary->fake, point, disk);
    struct block *b = view_disk(v, disk);
    g_assert_nonnull(expected);
    g_assert_cmpuint(b->size, ==, g_bytes_get_size(expected));
    g_autofree char *got = g_malloc(b->size);
    g_assert_true(block_read(b, got, b->size, 0, NULL));
    g_assert_true(memcmp(got, g_bytes_get_data(expected, NULL), b->size) == 0);
}

/* The replica's newest point is what the primary's disks were; how many. */
static guint
compare_newest(struct host *primary, struct host *replica, const struct uuid *vm)
{
    g_autoptr(GArray) points = repl_points(replica->service, vm, NULL);
    g_assert_cmpuint(points->len, >, 0);
    const struct uuid id = g_array_index(points, struct repl_point, points->len - 1).id;
    struct repl_relation r = world_relation(replica, vm);
    struct view *v = view_open(r.folder, &id, NULL);
    g_assert_nonnull(v);
    const guint disks = view_disks(v);
    for (guint d = 0; d < disks; d++)
        compare_disk(primary, v, &id, d);
    view_close(v);
    repl_relation_clear(&r);
    return disks;
}

/* Its TPM is as it was on the other host at last. */
static void
check_tpm(struct host *h, const struct uuid *vm)
{
    char text[UUID_TEXT];
    g_autoptr(GArray) points = repl_points(h->service, vm, NULL);
    const struct uuid last = g_array_index(points, struct repl_point, points->len - 1).id;
    g_autofree char *state = world_tpm(h, vm);
    g_assert_cmpstr(state, ==, uuid_format(&last, text));
}

static void
switch_over(struct host *from, struct host *to, const struct uuid *vm)
{
    fake_power_set(from->fake, vm, VM_OFF);
    act_request(from, vm, 4);
    act_failover(to, vm, NULL);
    check_tpm(to, vm);
    reverse(to, vm);
    g_assert_cmpuint(world_state(to, vm), ==, STATE_REPLICATING);
    UNTIL(!world_healthy(from, vm, "seeding") && world_state(from, vm) == STATE_REPLICATING);
    struct repl_relation a = world_relation(from, vm), b = world_relation(to, vm);
    g_assert_cmpuint(a.mode, ==, MODE_REPLICA);
    g_assert_cmpuint(b.mode, ==, MODE_PRIMARY);
    g_assert_cmpstr(b.settings.recovery_host, ==, from->name);
    g_assert_cmpstr(a.settings.primary_host_system, ==, to->name);
    g_assert_true(fence_is_up(from->service->core->fence_dir, vm));
    g_assert_false(fence_is_up(to->service->core->fence_dir, vm));
    repl_relation_clear(&a);
    repl_relation_clear(&b);
}

static void
test_there_and_back(void)
{
    struct world w = { 0 };
    open_both_ways(&w);
    const struct uuid vm = replicated(&w);
    const guint full = fake_full_reads(w.a.fake);
    struct host *from = &w.a, *to = &w.b;
    for (guint round = 0; round < 3; round++) {
        switch_over(from, to, &vm);
        act_power(to, &vm, 2);
        fake_scribble(to->fake, &vm, w.rand, 15);
        wait_cycle(from, &vm);
        g_assert_cmpuint(compare_newest(to, from, &vm), ==, 2);
        g_assert_cmpuint(points_on(to, &vm), ==, 0);
        struct host *swap = from;
        from = to;
        to = swap;
    }
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, full); /* only differences travelled */
    g_assert_cmpuint(fake_full_reads(w.b.fake), ==, 0);
    world_close(&w);
}

/* A disk that was unplugged keeps its number, so both hosts still mean the same ones. */
static void
test_unplugged(void)
{
    struct world w = { 0 };
    open_both_ways(&w);
    const struct uuid vm = replicated(&w);
    fake_disk_remove(w.a.fake, &vm, "vda");
    wait_cycle(&w.b, &vm);
    wait_cycle(&w.b, &vm);
    struct host *from = &w.a, *to = &w.b;
    for (guint round = 0; round < 2; round++) {
        switch_over(from, to, &vm);
        act_power(to, &vm, 2);
        fake_scribble(to->fake, &vm, w.rand, 15);
        wait_cycle(from, &vm);
        g_assert_cmpuint(compare_newest(to, from, &vm), ==, 1);
        struct host *swap = from;
        from = to;
        to = swap;
    }
    world_close(&w);
}

static void
test_refusals(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    open_both_ways(&w);
    const struct uuid vm = replicated(&w);
    g_assert_false(repl_reverse(w.b.service, &vm, NULL, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE); /* not failed over */
    g_clear_error(&err);
    g_assert_false(repl_reverse(w.a.service, &vm, NULL, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE); /* the primary */
    act_failover(&w.b, &vm, NULL);
    reverse_fails(&w.b, &vm, "invalid-state"); /* the old primary still replicates */
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_RECOVERED);
    host_down(&w.a);
    reverse_fails(&w.b, &vm, "network");
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_RECOVERED);
    g_assert_cmpuint(points_on(&w.b, &vm), >, 0);
    g_assert_true(repl_revert(w.b.service, &vm, "test", job, NULL)); /* nothing was given up */
    world_done(&w.b, job);
    COVERS("reversal", "other host dies", "the job fails, nothing was given up: points and the way back (revert) are there");
    COVERS("reversal", "wrong side", "refused (32775) on the primary, and on a replica that has not failed over");
    world_close(&w);
}

/* A was gone, B failed over and went on; A comes back as the replica. */
static void
test_unplanned(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    open_both_ways(&w);
    const struct uuid vm = replicated(&w);
    act_failover(&w.b, &vm, NULL);
    act_power(&w.b, &vm, 2);
    fake_scribble(w.b.fake, &vm, w.rand, 15);
    fake_scribble(w.a.fake, &vm, w.rand, 15); /* its last writes, which nobody got */
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    g_assert_false(repl_state_change(w.a.service, &vm, 0, 2, "test", job, NULL)); /* it is not off */
    UNTIL(fake_power(w.a.fake, &vm) == VM_PAUSED); /* it has been superseded; what pauses it must not come after the user */
    fake_power_set(w.a.fake, &vm, VM_OFF);
    act_request(&w.a, &vm, 2);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_WAITING_INITIAL);
    g_assert_false(repl_power(w.a.service, &vm, 2, "test", job, NULL));
    reverse(&w.b, &vm);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_READY);
    g_assert_true(repl_start(w.b.service, &vm, 3, NULL, 0, "test", job, NULL)); /* only differences */
    world_done(&w.b, job);
    struct repl_statistics st;
    g_assert_true(repl_statistics(w.b.service, &vm, 0, &st, NULL, NULL));
    g_assert_cmpuint(st.full_copies, ==, 0);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    fake_scribble(w.b.fake, &vm, w.rand, 15);
    wait_cycle(&w.a, &vm);
    compare_newest(&w.b, &w.a, &vm);
    world_close(&w);
}

/* The new primary's daemon ends when the old one has agreed already; the question is repeated. */
static void
test_repeated(void)
{
    struct world w = { 0 };
    open_both_ways(&w);
    const struct uuid vm = replicated(&w);
    fake_power_set(w.a.fake, &vm, VM_OFF);
    act_request(&w.a, &vm, 4);
    act_failover(&w.b, &vm, NULL);
    struct relation *rel = core_find(w.b.service->core, &vm, 0);
    struct relation_record *r = &rel->r;
    {
        HOLD(&rel->lock);
        r->reversing = true;
        g_free(rel->settings.recovery_host);
        rel->settings.recovery_host = g_strdup(w.a.name);
        rel->settings.recovery_port = w.a.port;
        rel->settings.authentication = 2;
        g_assert_true(relation_save_locked(rel, NULL));
    }
    relation_unref(rel);
    host_down(&w.b);
    host_up(&w, &w.b);
    world_wait_state(&w.b, &vm, STATE_REPLICATING);
    UNTIL(({
        struct repl_relation now = world_relation(&w.b, &vm);
        const bool primary = now.mode == MODE_PRIMARY;
        repl_relation_clear(&now);
        primary;
    }));
    act_power(&w.b, &vm, 2);
    fake_scribble(w.b.fake, &vm, w.rand, 15);
    wait_cycle(&w.a, &vm);
    compare_newest(&w.b, &w.a, &vm);
    COVERS("reversal", "daemon killed", "ended when the other host had agreed: the next one asks the other host again and finishes it");
    world_close(&w);
}

/* Storage that does not answer for a moment: the job's thread calls this one instead of libc's. */
static gint mute;
static GThread *caller;

int
stat(const char *path, struct stat *st)
{
    const bool fails = g_atomic_int_get(&mute) && g_thread_self() != caller && g_str_has_suffix(path, "/base/disk-0.raw");
    errno = EIO;
    return fails ? -1 : fstatat(AT_FDCWD, path, st, 0);
}

/* The job fails, and the guest's only image is where it was. */
static void
demote_while_mute(struct host *h, const struct uuid *vm)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    caller = g_thread_self();
    g_atomic_int_set(&mute, 1);
    g_assert_true(repl_state_change(h->service, vm, 0, 2, "test", job, &err));
    g_assert_no_error(err);
    world_fails(h, job, "io");
    g_atomic_int_set(&mute, 0);
}

/* b was a's replica and its replication was removed, so the guest there lives in what was the base; then b is a replica again: the base is
 * where the disks are already.  (The folder is reached on another way, as it may be in life.) */
static void
test_in_its_own_base(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    open_both_ways(&w);
    const struct uuid vm = replicated(&w);
    g_autofree char *folder = world_folder(&w, &vm), *first = g_build_filename(folder, "base", "disk-0.raw", NULL);
    g_autofree char *all = g_build_filename(w.b.dir, "replicas", NULL);
    struct stat before, after;
    g_assert_true(repl_remove(w.a.service, &vm, 0, "test", job, NULL));
    world_done(&w.a, job);
    g_assert_true(repl_remove(w.b.service, &vm, 0, "test", job, NULL));
    world_done(&w.b, job);
    g_assert_true(stat(first, &before) == 0);
    g_assert_true(symlink(all, w.b.service->core->replica_dir) == 0);
    demote_while_mute(&w.b, &vm);
    g_assert_true(stat(first, &after) == 0 && after.st_ino == before.st_ino);
    act_request(&w.b, &vm, STATE_REPLICATING); /* resumed */
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_WAITING_INITIAL);
    g_assert_true(stat(first, &after) == 0 && after.st_ino == before.st_ino);
    fake_scribble(w.a.fake, &vm, w.rand, 5);
    world_enable(&w, &vm, 250);
    g_assert_true(repl_start(w.a.service, &vm, 3, NULL, 0, "test", job, NULL));
    world_done(&w.a, job);
    wait_cycle(&w.b, &vm);
    g_assert_cmpuint(compare_newest(&w.a, &w.b, &vm), ==, 2);
    struct repl_statistics st;
    g_assert_true(repl_statistics(w.a.service, &vm, 0, &st, NULL, NULL));
    g_assert_cmpuint(st.full_copies, ==, 0);
    world_close(&w);
}

static void
test_twice(void)
{
    struct world w = { 0 };
    struct busy busy;
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    open_both_ways(&w);
    const struct uuid vm = replicated(&w);
    fake_power_set(w.a.fake, &vm, VM_OFF);
    act_request(&w.a, &vm, 4);
    act_failover(&w.b, &vm, NULL);
    world_busy(&w.b, &vm, &busy);
    g_assert_false(repl_reverse(w.b.service, &vm, NULL, "test", job, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    g_clear_error(&err);
    world_idle(&busy);
    world_busy(&w.a, &vm, &busy);
    reverse_fails(&w.b, &vm, "in-use");
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_PREPARED);
    g_assert_true(fence_is_up(w.a.service->core->fence_dir, &vm));
    world_idle(&busy);
    reverse(&w.b, &vm);
    COVERS("reversal", "during another job", "refused (32774); busy on the old primary, the job fails, nothing changes; later it works");
    g_assert_false(repl_reverse(w.b.service, &vm, NULL, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_REPLICATING);
    COVERS("reversal", "called twice", "the second is refused (32775): the roles are reversed");
    world_close(&w);
}

/* Filling an image waits for the test. */
static struct gate {
    struct repl_vm_ops ops;
    gint arrived, open;
} gate;

static bool
flatten_at_gate(const char *path, const gint *cancel, GError **err)
{
    g_atomic_int_set(&gate.arrived, 1);
    while (!g_atomic_int_get(&gate.open))
        g_usleep(1000);
    return fake_vm_ops.overlay_flatten(path, cancel, err);
}

/* The old primary was asked, and dies while the new one's disks are filled. */
static void
test_dies_between(void)
{
    gate = (struct gate){ .ops = fake_vm_ops };
    gate.ops.overlay_flatten = flatten_at_gate;
    struct world w = { .ops = &gate.ops };
    char job[UUID_TEXT];
    open_both_ways(&w);
    const struct uuid vm = replicated(&w);
    fake_power_set(w.a.fake, &vm, VM_OFF);
    act_request(&w.a, &vm, 4);
    act_failover(&w.b, &vm, NULL);
    g_assert_true(repl_reverse(w.b.service, &vm, NULL, "test", job, NULL));
    UNTIL(g_atomic_int_get(&gate.arrived));
    host_down(&w.a);
    g_atomic_int_set(&gate.open, 1);
    world_fails(&w.b, job, "network");
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_COMMITTED);
    act_power(&w.b, &vm, 2); /* the guest does not wait for it */
    host_up(&w, &w.a);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_PREPARED);
    reverse(&w.b, &vm);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_REPLICATING);
    world_wait_state(&w.a, &vm, STATE_REPLICATING);
    fake_scribble(w.b.fake, &vm, w.rand, 15);
    wait_cycle(&w.a, &vm);
    g_assert_cmpuint(compare_newest(&w.b, &w.a, &vm), ==, 2);
    COVERS("reversal", "other host dies", "after it had agreed: the job fails, the guest can run; called again later, it goes on");
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/reverse/there-and-back", test_there_and_back);
    g_test_add_func("/repl/reverse/unplugged", test_unplugged);
    g_test_add_func("/repl/reverse/refusals", test_refusals);
    g_test_add_func("/repl/reverse/twice", test_twice);
    g_test_add_func("/repl/reverse/unplanned", test_unplanned);
    g_test_add_func("/repl/reverse/repeated", test_repeated);
    g_test_add_func("/repl/reverse/dies-between", test_dies_between);
    g_test_add_func("/repl/reverse/in-its-own-base", test_in_its_own_base);
    return g_test_run();
}
