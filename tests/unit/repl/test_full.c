/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "repl/work.h"
#include "small_disk.h"
#include "store/view.h"

#include <string.h>

/* Operations of a guest's life while a disk is full: that of the replicas, or that of a host's own state. */

static bool may_mount;

static bool
possible(void)
{
    if (!may_mount)
        g_test_skip("mounting a small file system needs root or user namespaces");
    return may_mount;
}

static char *
replicas_of(const struct host *h)
{
    return g_build_filename(h->dir, "replicas", NULL);
}

/* Two hosts, the replicas of b on a small disk. */
static char *
open_small(struct world *w)
{
    world_open(w);
    char *place = replicas_of(&w->b);
    small_disk_open(place, "32m");
    return place;
}

static void
close_small(struct world *w, struct host *h, const char *place)
{
    host_down(h);
    small_disk_close(place);
    world_close(w);
}

/* The state folder of a host moves onto a small disk. */
static char *
state_on_small(struct world *w, struct host *h)
{
    char *place = g_build_filename(h->dir, "state", NULL);
    host_down(h);
    small_disk_open(place, "16m");
    host_up(w, h);
    return place;
}

/* 256 KiB that do not compress. */
static void
change(struct world *w, const struct uuid *vm)
{
    g_autofree guint32 *data = g_malloc(256 << 10);
    for (guint i = 0; i < (64 << 10); i++)
        data[i] = g_rand_int(w->rand);
    fake_write(w->a.fake, vm, 0, 0, data, 256 << 10);
}

static void
test_planned(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    if (!possible())
        return;
    g_autofree char *place = open_small(&w);
    const struct uuid vm = world_replicated(&w);
    act_request(&w.a, &vm, 7);
    change(&w, &vm);
    fake_power_set(w.a.fake, &vm, VM_OFF);
    small_disk_fill(place);
    act_request(&w.a, &vm, 3);
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 4, "test", job, NULL));
    struct job_info failed = world_wait(&w.a, job);
    g_assert_cmpuint(failed.state, ==, JOB_EXCEPTION);
    g_assert_nonnull(strstr(failed.error_text, "No space left"));
    job_info_clear(&failed);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    g_assert_false(world_fenced(&w.a, &vm));
    small_disk_free(place);
    act_request(&w.a, &vm, 4);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_PREPARED);
    g_assert_cmpuint(world_compare(&w, &vm), >, 1);
    COVERS("planned failover", "disk full", "the preparation fails, the guest is free again; when there is space it works at once");
    close_small(&w, &w.b, place);
}

static void
test_revert(void)
{
    struct world w = { 0 };
    if (!possible())
        return;
    g_autofree char *place = open_small(&w);
    const struct uuid vm = world_replicated(&w);
    host_down(&w.a);
    world_drain(&w);
    const guint before = world_compare(&w, &vm);
    act_failover(&w.b, &vm, NULL);
    small_disk_fill(place);
    act_revert(&w.b, &vm);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_REPLICATING);
    g_assert_true(world_fenced(&w.b, &vm));
    g_assert_cmpuint(world_compare(&w, &vm), ==, before);
    COVERS("revert", "disk full", "it needs no space; every point is still there");
    small_disk_free(place);
    host_up(&w, &w.a);
    close_small(&w, &w.b, place);
}

static void
test_resync(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    if (!possible())
        return;
    g_autofree char *place = open_small(&w);
    const struct uuid vm = world_replicated(&w);
    act_request(&w.a, &vm, 7);
    change(&w, &vm);
    world_drain(&w);
    small_disk_fill(place);
    const guint before = world_compare(&w, &vm);
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    UNTIL(world_healthy(&w.a, &vm, "cannot-send"));
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_RESYNC);
    g_assert_cmpuint(world_compare(&w, &vm), ==, before);
    small_disk_free(place);
    world_done(&w.a, job);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >, before);
    COVERS("resynchronisation", "disk full", "it waits and health says why; it goes on when there is space; points stay");
    close_small(&w, &w.b, place);
}

/* The old primary has no space for the replica that it becomes. */
static void
test_reversal(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    struct repl_host_settings s;
    bool listening;
    if (!possible())
        return;
    world_open(&w);
    repl_host_settings(w.a.service, &s, &listening);
    s.recovery_enabled = true;
    s.allowed_authentication = 2;
    s.https_port = w.a.port;
    g_assert_true(repl_modify_service(w.a.service, &s, "test", job, NULL));
    repl_host_settings_clear(&s);
    world_done(&w.a, job);
    g_autofree char *place = replicas_of(&w.a), *group = g_strdup("T");
    g_assert_true(file_make_dirs(place, 0755, NULL));
    small_disk_open(place, "32m");
    const struct repl_entry entry = { .host = w.b.name, .trust_group = group, .location = place };
    g_assert_true(repl_entry_add(w.a.service, &entry, NULL));
    const struct uuid vm = world_replicated(&w);
    fake_power_set(w.a.fake, &vm, VM_OFF);
    act_request(&w.a, &vm, 4);
    act_failover(&w.b, &vm, NULL);
    small_disk_fill(place);
    g_assert_true(repl_reverse(w.b.service, &vm, NULL, "test", job, NULL));
    world_done(&w.b, job);
    UNTIL(world_state(&w.a, &vm) == STATE_CRITICAL);
    struct repl_relation r = world_relation(&w.a, &vm);
    g_assert_nonnull(strstr(r.reason, "No space left"));
    repl_relation_clear(&r);
    act_power(&w.b, &vm, 2); /* the guest is not kept waiting */
    fake_scribble(w.b.fake, &vm, w.rand, 10);
    small_disk_free(place);
    act_request(&w.a, &vm, 3);
    UNTIL(({ g_autoptr(GArray) p = repl_points(w.a.service, &vm, NULL); p->len > 0; }));
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    COVERS("reversal", "disk full", "the new primary runs; its replica stops (8) and says why; resumed when there is space, it is made");
    close_small(&w, &w.a, place);
}

static struct repl_settings
settings_to_c(struct world *w)
{
    struct repl_settings s = world_settings(w, 300);
    g_free(s.recovery_host);
    g_free(s.thumbprint);
    s.recovery_host = g_strdup(w->c.name);
    s.recovery_port = w->link_c_port;
    s.thumbprint = g_strdup(net_identity_thumbprint(w->b.identity));
    s.interval_s = 300;
    return s;
}

static guint
points_on(struct host *h, const struct uuid *vm)
{
    g_autoptr(GArray) p = repl_points(h->service, vm, NULL);
    return p->len;
}

static struct uuid
newest_on(struct host *h, const struct uuid *vm)
{
    g_autoptr(GArray) p = repl_points(h->service, vm, NULL);
    g_assert_cmpuint(p->len, >, 0);
    return g_array_index(p, struct repl_point, p->len - 1).id;
}

static bool
has_point(struct host *h, const struct uuid *vm, const struct uuid *id)
{
    struct repl_point p;
    return repl_point_find(h->service, id, &p) && uuid_equal(&p.vm, vm);
}

static void
test_extended(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    if (!possible())
        return;
    world_open(&w);
    world_third(&w);
    g_autofree char *place = replicas_of(&w.c);
    small_disk_open(place, "32m");
    const struct uuid vm = world_replicated(&w);
    struct repl_settings s = settings_to_c(&w);
    g_assert_true(repl_create(w.b.service, &vm, &s, "test", job, &err));
    repl_settings_clear(&s);
    world_done(&w.b, job);
    g_assert_true(repl_start(w.b.service, &vm, 1, NULL, 0, "test", job, &err));
    world_done(&w.b, job);
    UNTIL(points_on(&w.c, &vm) > 0);
    small_disk_fill(place);
    change(&w, &vm);
    world_wait_cycle(&w, &vm); /* b goes on */
    const struct uuid missed = newest_on(&w.b, &vm);
    UNTIL(({ struct repl_statistics st; g_assert_true(repl_statistics(w.b.service, &vm, 1, &st, NULL, NULL)); st.failures > 0; }));
    world_wait_cycle(&w, &vm);
    g_assert_false(has_point(&w.c, &vm, &missed));
    small_disk_free(place);
    UNTIL(has_point(&w.c, &vm, &missed));
    COVERS("extended replication", "disk full", "the third's: the second goes on, and sends what is missing when there is space");
    close_small(&w, &w.c, place);
}

static void
test_guest_changes(void)
{
    struct world w = { 0 };
    if (!possible())
        return;
    g_autofree char *place = open_small(&w);
    const struct uuid vm = world_replicated(&w);
    const guint reads = fake_full_reads(w.a.fake);
    small_disk_fill(place);
    change(&w, &vm);
    fake_disk_remove(w.a.fake, &vm, "vdb");
    UNTIL(world_healthy(&w.a, &vm, "cannot-send"));
    g_assert_cmpuint(world_newest_disks(&w, &vm), ==, 2);
    small_disk_free(place);
    UNTIL(world_newest_disks(&w, &vm) == 1);
    g_assert_cmpuint(world_compare(&w, &vm), >, 1);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, reads);
    COVERS("guest changes", "disk full", "a disk is unplugged while the replica has no space: the points after that do not have it");
    close_small(&w, &w.b, place);
}

/* ---- the disk with a host's own state ---- */

static void
test_addresses(void)
{
    struct world w = { 0 };
    static char mac[] = "52:54:00:00:00:01";
    char *first[] = { (char *)(gsize)"10.1.2.3", NULL }, *second[] = { (char *)(gsize)"10.1.2.4", NULL };
    char *masks[] = { (char *)(gsize)"255.0.0.0", NULL }, *none[] = { NULL };
    struct repl_addresses card = { .mac = mac, .family = 4096, .addresses = first, .subnets = masks, .gateways = none, .dns = none };
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    g_autoptr(GError) err = NULL;
    if (!possible())
        return;
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    g_autofree char *place = state_on_small(&w, &w.b);
    g_ptr_array_add(list, &card);
    g_assert_true(repl_addresses_set(w.b.service, &vm, list, &err));
    small_disk_fill(place);
    card.addresses = second;
    UNTIL(!repl_addresses_set(w.b.service, &vm, list, &err)); /* the database has some space of its own */
    g_assert_error(err, ERR, ERR_NO_SPACE);
    g_clear_error(&err);
    small_disk_free(place);
    g_assert_true(repl_addresses_set(w.b.service, &vm, list, &err));
    g_assert_no_error(err);
    host_down(&w.b);
    host_up(&w, &w.b);
    g_autoptr(GPtrArray) kept = repl_addresses_get(w.b.service, &vm);
    g_assert_cmpuint(kept->len, ==, 1);
    g_assert_cmpstr(((const struct repl_addresses *)kept->pdata[0])->addresses[0], ==, "10.1.2.4");
    COVERS("addresses", "disk full", "refused, those of before stay; later it works");
    close_small(&w, &w.b, place);
}

/* Asked for and not done: refused at once, or by the job. */
static void
not_done(struct host *h, bool posted, const char *job, GError *err)
{
    g_autoptr(GError) why = err;
    if (!posted) {
        g_assert_error(why, ERR, ERR_NO_SPACE);
        return;
    }
    world_fails(h, job, "no-space");
}

/* Every step that is saved: nothing is done that could not be, and later it can. */
static void
test_state(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    GError *err = NULL;
    if (!possible())
        return;
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    g_autofree char *place = state_on_small(&w, &w.a);
    world_wait_cycle(&w, &vm);
    fake_power_set(w.a.fake, &vm, VM_OFF);
    small_disk_fill(place);
    bool posted = repl_state_change(w.a.service, &vm, 0, 4, "test", job, &err);
    not_done(&w.a, posted, job, err);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    small_disk_free(place);
    act_request(&w.a, &vm, 4);
    COVERS("planned failover", "disk full", "(that with the primary's state) it is not prepared, later it can be");

    g_autofree char *theirs = state_on_small(&w, &w.b);
    small_disk_fill(theirs);
    err = NULL;
    posted = repl_failover(w.b.service, &vm, NULL, false, "test", job, &err);
    not_done(&w.b, posted, job, err);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_REPLICATING);
    g_assert_true(world_fenced(&w.b, &vm));
    small_disk_free(theirs);
    act_failover(&w.b, &vm, NULL);
    small_disk_fill(theirs);
    err = NULL;
    posted = repl_revert(w.b.service, &vm, "test", job, &err);
    not_done(&w.b, posted, job, err);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_RECOVERED);
    err = NULL;
    posted = repl_commit(w.b.service, &vm, "test", job, &err);
    not_done(&w.b, posted, job, err);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_RECOVERED);
    small_disk_free(theirs);
    act_revert(&w.b, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >, 1);
    COVERS("unplanned failover", "disk full", "(that with the host's state) it is not done, the replica stays fenced; later it works");
    COVERS("revert", "disk full", "(that with the host's state) it is not done; later it works");
    COVERS("commit", "disk full", "(that with the host's state) it is not done, and can still be reverted");
    host_down(&w.b);
    small_disk_close(theirs);
    close_small(&w, &w.a, place);
}

/* The daemon starts on a disk that is full already; later calls work, and nothing was lost. */
static void
test_start(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    GError *err = NULL;
    if (!possible())
        return;
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    g_autofree char *place = state_on_small(&w, &w.b);
    small_disk_fill(place);
    host_down(&w.b);
    host_up(&w, &w.b);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_REPLICATING);
    g_assert_cmpuint(world_compare(&w, &vm), >, 1);
    bool posted = repl_test_failover(w.b.service, &vm, NULL, false, "test", job, &err);
    not_done(&w.b, posted, job, err);
    small_disk_free(place);
    g_assert_true(repl_test_failover(w.b.service, &vm, NULL, false, "test", job, NULL));
    world_done(&w.b, job);
    COVERS("test failover", "disk full", "(that with the host's state, also when the daemon starts) it is not done; later it works");
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_cycle(&w, &vm);
    close_small(&w, &w.b, place);
}

static guint
entries_on(struct host *h)
{
    g_autoptr(GPtrArray) all = repl_entries(h->service);
    return all->len;
}

static void
test_authorisation(void)
{
    struct world w = { 0 };
    g_autoptr(GError) err = NULL;
    if (!possible())
        return;
    world_open(&w);
    g_autofree char *place = state_on_small(&w, &w.b), *location = replicas_of(&w.b), *group = g_strdup("DEFAULT");
    small_disk_fill(place);
    guint before, n = 0;
    do {
        g_autofree char *name = g_strdup_printf("more%u.localhost", n++);
        struct repl_entry entry = { .host = name, .trust_group = group, .location = location };
        before = entries_on(&w.b);
        repl_entry_add(w.b.service, &entry, &err);
        g_assert_cmpuint(n, <, 10000);
    } while (!err);
    g_assert_error(err, ERR, ERR_NO_SPACE);
    g_assert_cmpuint(entries_on(&w.b), ==, before);
    small_disk_free(place);
    host_down(&w.b);
    host_up(&w, &w.b);
    g_assert_cmpuint(entries_on(&w.b), ==, before);
    const struct uuid vm = world_replicated(&w);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_REPLICATING);
    COVERS("authorisation", "disk full", "refused, the entries of before stay");
    close_small(&w, &w.b, place);
}

/* The fence is a file, and cannot be raised now. */
static void
test_fencing(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    if (!possible())
        return;
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    g_autofree char *place = state_on_small(&w, &w.a);
    world_wait_cycle(&w, &vm);
    fake_power_set(w.a.fake, &vm, VM_OFF);
    world_cut(&w, true);
    small_disk_fill(place);
    act_failover(&w.b, &vm, NULL);
    world_cut(&w, false);
    g_assert_false(repl_power(w.a.service, &vm, 2, "test", job, &err));
    g_assert_cmpuint(fake_power(w.a.fake, &vm), ==, VM_OFF);
    g_assert_nonnull(strstr(err->message, "failed over"));
    small_disk_free(place);
    UNTIL(world_fenced(&w.a, &vm));
    COVERS("fencing", "disk full", "the old primary's guest is not started by the API; the fence against others is up once there is space");
    close_small(&w, &w.a, place);
}

/* Both run; the pause does not wait for the disk either. */
static void
test_fencing_running(void)
{
    struct world w = { 0 };
    if (!possible())
        return;
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    g_autofree char *place = state_on_small(&w, &w.a);
    world_wait_cycle(&w, &vm);
    world_cut(&w, true);
    act_failover(&w.b, &vm, NULL);
    act_power(&w.b, &vm, 2);
    g_assert_cmpuint(fake_power(w.a.fake, &vm), ==, VM_RUNNING);
    small_disk_fill(place);
    world_cut(&w, false);
    UNTIL(fake_power(w.a.fake, &vm) == VM_PAUSED);
    g_assert_cmpuint(fake_power(w.b.fake, &vm), ==, VM_RUNNING);
    COVERS("fencing", "disk full", "both run: the old primary pauses its guest all the same");
    close_small(&w, &w.a, place);
}

int
main(int argc, char **argv)
{
    may_mount = small_disk_namespace();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/full/planned", test_planned);
    g_test_add_func("/repl/full/revert", test_revert);
    g_test_add_func("/repl/full/resync", test_resync);
    g_test_add_func("/repl/full/reversal", test_reversal);
    g_test_add_func("/repl/full/extended", test_extended);
    g_test_add_func("/repl/full/guest-changes", test_guest_changes);
    g_test_add_func("/repl/full/addresses", test_addresses);
    g_test_add_func("/repl/full/state", test_state);
    g_test_add_func("/repl/full/start", test_start);
    g_test_add_func("/repl/full/authorisation", test_authorisation);
    g_test_add_func("/repl/full/fencing", test_fencing);
    g_test_add_func("/repl/full/fencing-running", test_fencing_running);
    return g_test_run();
}
