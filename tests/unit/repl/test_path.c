/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "link.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "repl/work.h"
#include "store/store.h"
#include "store/view.h"

#include <sched.h>
#include <string.h>
#include <sys/mount.h>

static bool own_mounts; /* this process has a mount namespace of its own */

/* The way of the data: a's disks arrive at b, whatever happens to the link and to either service. */

static struct uuid
protected_guest(struct world *w, guint interval_ms)
{
    const struct uuid vm = world_guest(w, 2);
    world_enable(w, &vm, interval_ms);
    world_start(w, &vm);
    return vm;
}

static void
test_cycles(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_guest(&w, 2);
    world_enable(&w, &vm, 250);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_READY);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_WAITING_INITIAL);
    g_autofree char *placeholder = fake_definition(w.b.fake, &vm);
    g_assert_nonnull(placeholder);
    g_assert_nonnull(strstr(placeholder, "disk-1.raw"));
    world_start(&w, &vm);
    for (int i = 0; i < 4; i++) {
        fake_scribble(w.a.fake, &vm, w.rand, 20);
        world_wait_cycle(&w, &vm);
    }
    g_assert_cmpuint(world_compare(&w, &vm), >=, 4);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    UNTIL(world_on_its_way(&w.a, &vm));
    UNTIL(world_healthy(&w.b, &vm, NULL));
    struct repl_statistics s;
    g_assert_true(repl_statistics(w.a.service, &vm, 0, &s, NULL, NULL));
    g_assert_cmpuint(s.success, >=, 4);
    g_assert_cmpuint(s.failures, ==, 0);
    g_assert_cmpuint(s.wire_bytes, >, 0);
    world_close(&w);
}


/* ---- the link ---- */

static void
test_link_cut(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    for (int i = 0; i < 3; i++) {
        world_cut(&w, true);
        const guint before = fake_instants(w.a.fake);
        fake_scribble(w.a.fake, &vm, w.rand, 30);
        UNTIL(fake_instants(w.a.fake) >= before + 3); /* logs queue meanwhile */
        UNTIL(world_healthy(&w.a, &vm, "cannot-send"));
        g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
        world_cut(&w, false);
        world_wait_cycle(&w, &vm);
        UNTIL(!world_healthy(&w.a, &vm, "cannot-send"));
    }
    struct repl_statistics st;
    g_assert_true(repl_statistics(w.a.service, &vm, 0, &st, NULL, NULL));
    g_assert_cmpuint(st.network_failures, >=, 3);
    g_assert_cmpuint(st.misses, >, 0);
    g_assert_cmpuint(world_compare(&w, &vm), >=, 9); /* every queued point arrived */
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    world_close(&w);
}

/* Connections are lent to whoever sends: more guests do not need more of them. */
static void
test_connections(void)
{
    enum { GUESTS = 7, SENDERS = 3 }; /* as many as world.c's hosts send at a time */
    struct world w = { 0 };
    struct uuid vms[GUESTS];
    world_open(&w);
    for (guint i = 0; i < GUESTS; i++)
        vms[i] = protected_guest(&w, 250);
    for (guint i = 0; i < GUESTS; i++)
        world_wait_cycle(&w, &vms[i]);
    UNTIL(link_open(w.link) <= SENDERS); /* the jobs' own are over */
    for (guint round = 0; round < 3; round++)
        for (guint i = 0; i < GUESTS; i++) {
            world_wait_cycle(&w, &vms[i]);
            g_assert_cmpuint(link_open(w.link), <=, SENDERS);
        }
    world_close(&w);
}

/* True between two cycles. */
static bool
counted_alike(struct world *w, const struct uuid *vm)
{
    struct repl_statistics a, b;
    g_assert_true(repl_statistics(w->a.service, vm, 0, &a, NULL, NULL) && repl_statistics(w->b.service, vm, 0, &b, NULL, NULL));
    return a.wire_bytes == b.wire_bytes;
}

/* A log breaks in the middle again and again: what arrived is not sent twice, and counts on both hosts. */
static void
test_half_logs(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    g_autofree guint8 *noise = g_malloc(1 << 20);
    for (int i = 0; i < 4; i++) {
        for (gsize j = 0; j < 1 << 20; j++)
            noise[j] = (guint8)g_rand_int(w.rand);
        const gint64 before = link_bytes(w.link);
        link_cut_after(w.link, 600000);
        fake_write(w.a.fake, &vm, 0, 0, noise, 1 << 20);
        UNTIL(world_healthy(&w.a, &vm, "cannot-send"));
        world_cut(&w, false);
        world_wait_cycle(&w, &vm);
        g_assert_cmpint(link_bytes(w.link) - before, <, 1 << 21); /* 1 MiB of noise, frames, TLS; not twice the MiB */
        UNTIL(counted_alike(&w, &vm));
    }
    world_compare(&w, &vm);
    world_close(&w);
}

static guint64
waiting_bytes(struct world *w, const struct uuid *vm)
{
    relation_auto rel = core_find(w->a.service->core, vm, 0);
    return outbox_bytes(rel->s.outbox);
}

/* While a quarter of a MiB waits in the bitmap or the outbox. */
static guint
failed_captures(struct world *w, const struct uuid *vm)
{
    struct repl_statistics st;
    g_assert_true(repl_statistics(w->a.service, vm, 0, &st, NULL, NULL));
    return st.pending >= 1 << 18 ? st.failures - st.network_failures : 0;
}

/* The outbox has a limit; what exceeds it stays in the bitmap. */
static void
test_outbox_full(void)
{
    struct world w = { .outbox_max = 200000 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    g_autofree guint8 *noise = g_malloc(1 << 18);
    world_cut(&w, true);
    for (int i = 0; i < 4; i++) {
        for (gsize j = 0; j < 1 << 18; j++)
            noise[j] = (guint8)g_rand_int(w.rand);
        fake_write(w.a.fake, &vm, 1, 1 << 18, noise, 1 << 18);
        if (i == 0)
            UNTIL(waiting_bytes(&w, &vm) >= w.outbox_max);
    }
    UNTIL(failed_captures(&w, &vm) > 0);
    const guint stuck = fake_instants(w.a.fake), failed = failed_captures(&w, &vm);
    UNTIL(failed_captures(&w, &vm) >= failed + 2);
    g_assert_cmpuint(fake_instants(w.a.fake), ==, stuck); /* nothing was captured in two periods */
    world_cut(&w, false);
    world_wait_cycle(&w, &vm);
    world_compare(&w, &vm);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    world_close(&w);
}

/* ---- the replica host ---- */

static void
test_replica_gone(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    host_down(&w.b);
    const guint before = fake_instants(w.a.fake);
    fake_scribble(w.a.fake, &vm, w.rand, 30);
    UNTIL(fake_instants(w.a.fake) >= before + 4);
    host_up(&w, &w.b);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >=, 5);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    world_close(&w);
}

static struct store *
store_of(struct world *w, const struct uuid *vm)
{
    struct relation *rel = core_find(w->b.service->core, vm, 0);
    struct store *s = rel->in.store;
    relation_unref(rel);
    return s;
}

/* The replica's disk is really full: nothing is lost, and it goes on when there is room. */
static void
test_disk_full(void)
{
    struct world w = { 0 };
    if (!own_mounts) {
        g_test_skip("needs root for a mount of its own");
        return;
    }
    world_open(&w);
    g_autofree char *location = g_build_filename(w.b.dir, "replicas", NULL);
    g_assert_cmpint(mount("tmpfs", location, "tmpfs", 0, "size=5m,mode=0755"), ==, 0);
    const struct uuid vm = protected_guest(&w, 250);
    g_autofree guint8 *noise = g_malloc(1 << 20);
    for (int i = 0; !world_healthy(&w.a, &vm, "cannot-send"); i++) {
        for (gsize j = 0; j < 1 << 20; j++)
            noise[j] = (guint8)g_rand_int(w.rand);
        fake_write(w.a.fake, &vm, 0, 0, noise, 1 << 20);
        g_assert_cmpint(i, <, 100);
        g_usleep(250000);
    }
    struct repl_relation r = world_relation(&w.a, &vm);
    g_assert_cmpuint(r.state, ==, STATE_REPLICATING);
    g_assert_nonnull(strstr(r.reason, "No space left"));
    repl_relation_clear(&r);
    g_assert_true(world_healthy(&w.b, &vm, "cycle-failed"));
    world_compare(&w, &vm);
    g_assert_cmpint(mount("tmpfs", location, "tmpfs", MS_REMOUNT, "size=100m"), ==, 0);
    world_wait_cycle(&w, &vm);
    UNTIL(world_healthy(&w.b, &vm, NULL));
    world_compare(&w, &vm);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    host_down(&w.b);
    g_assert_cmpint(umount2(location, MNT_DETACH), ==, 0);
    world_close(&w);
}

/* The file system with the replicas is mounted later than the daemon starts: the primary must not take that for an empty replica, and
 * nobody has to resume anything. */
static void
test_replica_not_mounted(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    g_autofree char *location = g_build_filename(w.b.dir, "replicas", NULL), *away = g_strconcat(location, ".away", NULL);
    world_wait_cycle(&w, &vm);
    host_down(&w.b);
    g_assert_cmpint(rename(location, away), ==, 0);
    host_up(&w, &w.b);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_CRITICAL);
    fake_scribble(w.a.fake, &vm, w.rand, 30);
    UNTIL(world_healthy(&w.a, &vm, "cannot-send"));
    UNTIL(({ /* it hears that nobody is there first */
        struct repl_relation r = world_relation(&w.a, &vm);
        const bool said = r.reason && strstr(r.reason, location);
        repl_relation_clear(&r);
        said;
    }));
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    g_assert_cmpint(rename(away, location), ==, 0);
    world_wait_state(&w.b, &vm, STATE_REPLICATING);
    world_wait_cycle(&w, &vm);
    world_compare(&w, &vm);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    world_close(&w);
}

/* The replica is put back to an earlier state: the chain goes on from there after a full read. */
static void
test_replica_restored(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    fake_scribble(w.a.fake, &vm, w.rand, 30);
    world_wait_cycle(&w, &vm);
    world_wait_cycle(&w, &vm);
    world_wait_cycle(&w, &vm);
    world_cut(&w, true);
    {
        g_autoptr(GArray) logs = store_logs(store_of(&w, &vm));
        g_assert_cmpuint(logs->len, >, 3); /* the last one may be unacknowledged */
        g_assert_true(store_truncate(store_of(&w, &vm), &g_array_index(logs, struct store_log, logs->len - 3).id, NULL));
    }
    world_cut(&w, false);
    UNTIL(fake_full_reads(w.a.fake) == 2);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    world_compare(&w, &vm);
    world_close(&w);
}

/* ---- the guest ---- */

static void
test_guest_killed(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    world_wait_cycle(&w, &vm);
    const guint points = world_compare(&w, &vm);
    fake_kill(w.a.fake, &vm);
    fake_scribble(w.a.fake, &vm, w.rand, 30);
    UNTIL(fake_full_reads(w.a.fake) == 2);
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    g_assert_cmpuint(world_compare(&w, &vm), >, points); /* the old ones are still there */
    world_close(&w);
}

static void
test_full_read_is_told(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    fake_block_reads(w.a.fake, true);
    fake_kill(w.a.fake, &vm);
    UNTIL(world_healthy(&w.a, &vm, "tracking-lost"));
    struct repl_relation r = world_relation(&w.a, &vm);
    g_assert_nonnull(strstr(r.reason, "Tracking was lost: "));
    g_assert_nonnull(strstr(r.reason, "(0 % read"));
    g_assert_cmpuint(r.state, ==, STATE_REPLICATING);
    repl_relation_clear(&r);
    fake_block_reads(w.a.fake, false);
    UNTIL(!world_healthy(&w.a, &vm, "tracking-lost"));
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    world_wait_cycle(&w, &vm);
    world_close(&w);
}

static void
test_guest_off(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    fake_power_set(w.a.fake, &vm, VM_OFF);
    world_wait_cycle(&w, &vm); /* once more after it stopped */
    UNTIL(({
        const guint a = fake_instants(w.a.fake);
        g_usleep(700000);
        fake_instants(w.a.fake) == a;
    }));
    struct repl_relation r = world_relation(&w.a, &vm);
    const gint64 last = r.last_us;
    repl_relation_clear(&r);
    UNTIL(({
        r = world_relation(&w.a, &vm);
        const bool later = r.last_us > last;
        repl_relation_clear(&r);
        later;
    }));
    const guint idle = fake_instants(w.a.fake);
    fake_scribble(w.a.fake, &vm, w.rand, 1); /* somebody edits the image */
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(fake_instants(w.a.fake), >, idle);
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    world_wait_cycle(&w, &vm);
    world_wait_cycle(&w, &vm);
    world_compare(&w, &vm);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    world_close(&w);
}

static void
test_capture_fails(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    fake_fail(w.a.fake, FAKE_COPY, ERR_IO, G_MAXUINT); /* until it was seen */
    fake_scribble(w.a.fake, &vm, w.rand, 30);
    UNTIL(world_healthy(&w.a, &vm, "cycle-failed"));
    fake_fail(w.a.fake, FAKE_COPY, ERR_IO, 0);
    UNTIL(!world_healthy(&w.a, &vm, "cycle-failed"));
    fake_fail(w.a.fake, FAKE_BEGIN, ERR_NOT_AVAILABLE, G_MAXUINT);
    UNTIL(world_healthy(&w.a, &vm, "cycle-failed"));
    fake_fail(w.a.fake, FAKE_BEGIN, ERR_NOT_AVAILABLE, 0);
    world_wait_cycle(&w, &vm);
    world_compare(&w, &vm);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    world_close(&w);
}

/* More dirty pages than scratch: fuzzy passes first. */
static void
test_scratch_small(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    fake_scratch_small(w.a.fake, 40 * 4096);
    fake_scribble(w.a.fake, &vm, w.rand, 200);
    world_wait_cycle(&w, &vm);
    world_wait_cycle(&w, &vm);
    world_compare(&w, &vm);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    world_close(&w);
}

/* The fake lists the disk that came back last, its log the other way round, so world_compare has to look by name. */
static void
newest_is_the_guest(struct world *w, const struct uuid *vm)
{
    static const char *const NAMES[] = { "vda", "vdb" };
    g_autofree char *folder = world_folder(w, vm);
    g_autoptr(GArray) points = repl_points(w->b.service, vm, NULL);
    const struct uuid id = g_array_index(points, struct repl_point, points->len - 1).id;
    struct view *v = view_open(folder, &id, NULL);
    g_assert_nonnull(v);
    for (guint i = 0; i < G_N_ELEMENTS(NAMES); i++) {
        g_autoptr(GBytes) wanted = fake_instant(w->a.fake, &id, i);
        struct block *b = view_disk_by_target(v, NAMES[i]);
        g_assert_cmpuint(b->size, ==, g_bytes_get_size(wanted));
        g_autofree guint8 *data = g_malloc(b->size);
        g_assert_true(block_read(b, data, b->size, 0, NULL));
        g_assert_cmpmem(data, b->size, g_bytes_get_data(wanted, NULL), b->size);
    }
    view_close(v);
}

static void
test_disks_come_and_go(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    fake_disk_add(w.a.fake, &vm, "vdc", 1 << 20);
    UNTIL(world_healthy(&w.a, &vm, "disks-not-protected"));
    world_wait_cycle(&w, &vm);
    fake_disk_remove(w.a.fake, &vm, "vdc");
    UNTIL(!world_healthy(&w.a, &vm, "disks-not-protected"));
    /* One of ours: it goes on without it, and nothing else is read again. */
    const guint reads = fake_full_reads(w.a.fake);
    fake_disk_remove(w.a.fake, &vm, "vda");
    UNTIL(world_newest_disks(&w, &vm) == 1);
    fake_scribble(w.a.fake, &vm, w.rand, 10);
    world_wait_cycle(&w, &vm);
    g_assert_true(world_on_its_way(&w.a, &vm));
    g_assert_cmpuint(world_compare(&w, &vm), >, 2); /* also the points that have both */
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, reads);
    host_down(&w.a);
    host_up(&w, &w.a);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_newest_disks(&w, &vm), ==, 1);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, reads);
    /* It comes back with another size and no bitmap. */
    fake_disk_add(w.a.fake, &vm, "vda", 2 << 20);
    fake_kill(w.a.fake, &vm);
    UNTIL(world_newest_disks(&w, &vm) == 2);
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    fake_scribble(w.a.fake, &vm, w.rand, 10);
    world_wait_cycle(&w, &vm);
    newest_is_the_guest(&w, &vm);
    COVERS("guest changes", "daemon killed",
           "ended and started while a disk is gone: the points have what the guest has, nothing is read again");
    world_close(&w);
}

static void
test_definition_follows(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    fake_set_title(w.a.fake, &vm, "A new title");
    UNTIL(({
        g_autofree char *xml = fake_definition(w.b.fake, &vm);
        strstr(xml, "A new title") != NULL;
    }));
    world_close(&w);
}

/* ---- who may ---- */

static void
test_authorisation_removed(void)
{
    struct world w = { 0 };
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    g_autofree char *location = g_build_filename(w.b.dir, "replicas", NULL);
    g_assert_true(repl_entry_remove(w.b.service, w.a.name, NULL));
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    UNTIL(world_healthy(&w.a, &vm, "stopped"));
    /* The same host by another entry of another group is not let in. */
    struct repl_entry entry = { w.a.name, g_strdup("OTHER"), location };
    g_assert_true(repl_entry_add(w.b.service, &entry, &err));
    act_request(&w.a, &vm, 3);
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    g_free(entry.trust_group);
    entry.trust_group = g_strdup("DEFAULT");
    g_assert_true(repl_entry_modify(w.b.service, &entry, &err));
    g_free(entry.trust_group);
    act_request(&w.a, &vm, 3);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    world_compare(&w, &vm);
    COVERS("authorisation", "during another job",
           "taken away while a guest replicates: its primary stops (8), and goes on once it is back; nothing is read again");
    world_close(&w);
}

static void
test_wrong_certificate(void)
{
    struct world w = { 0 };
    struct box other;
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    box_open(&other);
    struct net_identity *stranger = box_stranger(&other, &w.box, w.a.name);
    struct net_identity *own = w.a.identity;
    host_down(&w.a);
    w.a.identity = stranger; /* right name, wrong CA */
    host_up(&w, &w.a);
    UNTIL(world_state(&w.a, &vm) == STATE_CRITICAL || world_healthy(&w.a, &vm, "cannot-send"));
    const guint points = world_compare(&w, &vm);
    host_down(&w.a);
    w.a.identity = own;
    host_up(&w, &w.a);
    if (world_state(&w.a, &vm) == STATE_CRITICAL)
        act_request(&w.a, &vm, 3);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >, points);
    net_identity_unref(stranger);
    box_close(&other);
    COVERS("authorisation", "wrong side", "a host with a certificate that is not trusted gets nowhere");
    world_close(&w);
}

/* ---- pause ---- */

static void
change_state(struct host *h, const struct uuid *vm, guint requested)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_state_change(h->service, vm, 0, requested, "test", job, &err));
    g_assert_no_error(err);
    if (*job)
        world_done(h, job);
}

static void
test_paused_on_primary(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    change_state(&w.a, &vm, 7);
    change_state(&w.a, &vm, 7); /* once more is nothing */
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_SUSPENDED);
    g_assert_true(world_healthy(&w.a, &vm, "paused"));
    UNTIL(({ /* what was under way ends */
        const guint before = fake_instants(w.a.fake);
        g_usleep(600000);
        fake_instants(w.a.fake) == before;
    }));
    fake_scribble(w.a.fake, &vm, w.rand, 30);
    change_state(&w.a, &vm, 3);
    change_state(&w.a, &vm, 3);
    world_wait_cycle(&w, &vm);
    world_compare(&w, &vm);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    world_close(&w);
}

static void
test_paused_on_replica(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    change_state(&w.b, &vm, 7);
    g_assert_true(world_healthy(&w.b, &vm, "paused-on-replica"));
    UNTIL(world_healthy(&w.a, &vm, "cannot-send"));
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING); /* goes on by itself */
    change_state(&w.b, &vm, 3);
    world_wait_cycle(&w, &vm);
    world_compare(&w, &vm);
    world_close(&w);
}

/* ---- restarts ---- */

static void
test_restarts(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w, 250);
    for (int i = 0; i < 12; i++) {
        struct host *h = g_rand_boolean(w.rand) ? &w.a : &w.b;
        fake_scribble(w.a.fake, &vm, w.rand, 30);
        g_usleep(g_rand_int(w.rand) % 300000);
        host_down(h);
        fake_scribble(w.a.fake, &vm, w.rand, 5);
        host_up(&w, h);
    }
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >, 3);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 1);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    world_close(&w);
}

/* The initial copy is cut by restarts and goes on under the same job. */
static void
test_restart_in_initial(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_guest(&w, 2);
    world_enable(&w, &vm, 250);
    fake_block_reads(w.a.fake, true);
    g_assert_true(repl_start(w.a.service, &vm, 1, NULL, 0, "test", job, NULL));
    UNTIL(fake_reads_waiting(w.a.fake) > 0);
    fake_block_reads(w.a.fake, false);
    host_down(&w.a);
    host_up(&w, &w.a);
    world_done(&w.a, job);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    g_assert_cmpuint(world_compare(&w, &vm), >=, 1);
    world_close(&w);
}

static void
test_cancel_initial(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT], stop[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_guest(&w, 2);
    world_enable(&w, &vm, 250);
    world_cut(&w, true);
    g_assert_true(repl_start(w.a.service, &vm, 1, NULL, 0, "test", job, NULL));
    world_wait_state(&w.a, &vm, STATE_WAITING_INITIAL);
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 1, "test", stop, NULL));
    world_done(&w.a, stop);
    struct job_info i = world_wait(&w.a, job);
    g_assert_cmpuint(i.state, ==, JOB_TERMINATED);
    job_info_clear(&i);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_READY);
    world_cut(&w, false);
    world_start(&w, &vm); /* from the beginning */
    g_assert_cmpuint(world_compare(&w, &vm), >=, 1);
    world_close(&w);
}

static void
test_scheduled_start(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT], later[UUID_TEXT], stop[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_guest(&w, 1);
    world_enable(&w, &vm, 250);
    const gint64 hour = g_get_real_time() + G_TIME_SPAN_HOUR;
    g_assert_true(repl_start(w.a.service, &vm, 1, NULL, hour, "test", later, NULL));
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_READY);
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 1, "test", stop, NULL)); /* cancels the schedule */
    struct job_info i = world_wait(&w.a, later);
    g_assert_cmpuint(i.state, ==, JOB_TERMINATED);
    job_info_clear(&i);
    g_assert_true(repl_start(w.a.service, &vm, 1, NULL, hour, "test", later, NULL));
    g_assert_true(repl_start(w.a.service, &vm, 1, NULL, g_get_real_time() + 1500000, "test", job, NULL)); /* replaces */
    host_down(&w.a);
    host_up(&w, &w.a); /* survives */
    world_done(&w.a, job);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    world_close(&w);
}

static void *
power_on(void *user)
{
    struct world *w = user;
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) all = core_list(w->a.service->core);
    act_power(&w->a, &((struct relation *)all->pdata[0])->vm, 2);
    g_assert_no_error(err);
    return NULL;
}

static bool
halted(struct world *w, const struct uuid *vm)
{
    relation_auto rel = core_find(w->a.service->core, vm, 0);
    return g_atomic_int_get(&rel->halt);
}

/* The guest does not wait for replication, which reads, and so locks, the images of one that is off. */
static void
test_started_while_read(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_guest(&w, 2);
    world_enable(&w, &vm, 250);
    world_start(&w, &vm);
    fake_block_reads(w.a.fake, true);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    fake_power_set(w.a.fake, &vm, VM_OFF);
    UNTIL(fake_reads_waiting(w.a.fake) > 0);
    GThread *thread = g_thread_new("power", power_on, &w);
    UNTIL(halted(&w, &vm));
    fake_block_reads(w.a.fake, false);
    g_thread_join(thread);
    g_assert_cmpint(fake_power(w.a.fake, &vm), ==, VM_RUNNING);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_compare(&w, &vm), >=, 1);
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    /* Before there are threads: they share it then. */
    own_mounts = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    g_test_add_func("/repl/path/disk-full", test_disk_full);
    g_test_add_func("/repl/path/cycles", test_cycles);
    g_test_add_func("/repl/path/link-cut", test_link_cut);
    g_test_add_func("/repl/path/connections", test_connections);
    g_test_add_func("/repl/path/half-logs", test_half_logs);
    g_test_add_func("/repl/path/outbox-full", test_outbox_full);
    g_test_add_func("/repl/path/replica-gone", test_replica_gone);
    g_test_add_func("/repl/path/replica-not-mounted", test_replica_not_mounted);
    g_test_add_func("/repl/path/replica-restored", test_replica_restored);
    g_test_add_func("/repl/path/guest-killed", test_guest_killed);
    g_test_add_func("/repl/path/full-read-is-told", test_full_read_is_told);
    g_test_add_func("/repl/path/guest-off", test_guest_off);
    g_test_add_func("/repl/path/capture-fails", test_capture_fails);
    g_test_add_func("/repl/path/scratch-small", test_scratch_small);
    g_test_add_func("/repl/path/disks-come-and-go", test_disks_come_and_go);
    g_test_add_func("/repl/path/definition-follows", test_definition_follows);
    g_test_add_func("/repl/path/authorisation-removed", test_authorisation_removed);
    g_test_add_func("/repl/path/wrong-certificate", test_wrong_certificate);
    g_test_add_func("/repl/path/paused-on-primary", test_paused_on_primary);
    g_test_add_func("/repl/path/paused-on-replica", test_paused_on_replica);
    g_test_add_func("/repl/path/restarts", test_restarts);
    g_test_add_func("/repl/path/restart-in-initial", test_restart_in_initial);
    g_test_add_func("/repl/path/cancel-initial", test_cancel_initial);
    g_test_add_func("/repl/path/started-while-read", test_started_while_read);
    g_test_add_func("/repl/path/scheduled-start", test_scheduled_start);
    return g_test_run();
}
