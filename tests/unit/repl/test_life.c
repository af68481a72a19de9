/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/clean.h"
#include "base/err.h"
#include "repl/extend.h"
#include "repl/intake.h"
#include "repl/work.h"
#include "store/view.h"
#include "vm/fence.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What comes between in a guest's life where no operation has a file of its own: changes of the guest, the fence, who may send. */

/* ---- changes of the guest ---- */

static void
test_changes_without_replica(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    const guint before = world_compare(&w, &vm), reads = fake_full_reads(w.a.fake);
    host_down(&w.b);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    fake_disk_remove(w.a.fake, &vm, "vdb");
    fake_set_title(w.a.fake, &vm, "of another time");
    host_up(&w, &w.b);
    UNTIL(world_newest_disks(&w, &vm) == 1);
    UNTIL(({ g_autofree char *xml = fake_definition(w.b.fake, &vm); strstr(xml, "of another time") != NULL; }));
    g_assert_cmpuint(world_compare(&w, &vm), >, before);
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, reads);
    COVERS("guest changes", "other host dies", "the replica has disks and definition when its host is back; nothing is read again");
    world_close(&w);
}

/* While the disks are read. */
static void
test_changes_in_first_copy(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_guest(&w, 2);
    world_enable(&w, &vm, 250);
    fake_block_reads(w.a.fake, true);
    g_assert_true(repl_start(w.a.service, &vm, 1, NULL, 0, "test", job, NULL));
    UNTIL(fake_reads_waiting(w.a.fake) > 0);
    fake_disk_add(w.a.fake, &vm, "vdc", 1 << 20);
    fake_set_title(w.a.fake, &vm, "of another time");
    fake_block_reads(w.a.fake, false);
    world_done(&w.a, job);
    UNTIL(world_healthy(&w.a, &vm, "disks-not-protected"));
    UNTIL(({ g_autofree char *xml = fake_definition(w.b.fake, &vm); strstr(xml, "of another time") != NULL; }));
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_newest_disks(&w, &vm), ==, 2);
    g_assert_cmpuint(world_compare(&w, &vm), >, 0);
    COVERS("guest changes", "during another job",
           "during the first copy: a new disk is not protected and health says so; the new definition is on the replica afterwards");
    world_close(&w);
}

static void
test_changes_on_replica(void)
{
    struct world w = { 0 };
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    const struct repl_guest_change change = { .name = "other" };
    g_assert_false(repl_change_guest(w.b.service, &vm, &change, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_autofree char *xml = fake_definition(w.b.fake, &vm);
    g_assert_null(strstr(xml, "<name>other</name>"));
    COVERS("guest changes", "wrong side", "refused (32775) on the replica: its definition comes from the primary");
    world_close(&w);
}

/* ---- a file system that is away ---- */

/* The second host cannot read what it has to send to the third: that is not "there is nothing to send". */
static void
test_middle_is_shut(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    world_third(&w);
    const struct uuid vm = world_replicated(&w);
    g_autofree char *folder = world_folder(&w, &vm), *away = g_strconcat(folder, "-away", NULL);
    world_extend(&w, &vm);
    g_assert_true(repl_start(w.b.service, &vm, 1, NULL, 0, "test", job, NULL));
    world_done(&w.b, job);
    host_down(&w.b);
    g_assert_cmpint(rename(folder, away), ==, 0);
    host_up(&w, &w.b);
    relation_auto rel = extend_of(w.b.service->core, &vm);
    g_assert_false(extend_send(w.b.service->core, rel, NULL, NULL, &err));
    g_assert_error(err, ERR, ERR_NOT_AVAILABLE);
    g_assert_cmpint(rename(away, folder), ==, 0);
    world_wait_state(&w.b, &vm, STATE_REPLICATING);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_c(&w, &vm);
    world_close(&w);
}

/* A replica that cannot be looked at is asked what it has, as by a primary that lost its record, and by one that became it. */
static void
test_offer_to_shut(void)
{
    struct world w = { 0 };
    struct wire_status st = { 0 };
    g_autoptr(GError) err = NULL;
    char *names[] = { (char *)(gsize)"a.localhost", NULL };
    const struct net_peer peer = { .names = names };
    world_open(&w);
    const struct uuid vm = world_guest(&w, 1);
    g_autofree char *folder = world_folder(&w, &vm), *away = g_strconcat(folder, "-away", NULL);
    world_enable(&w, &vm, 250);
    host_down(&w.a);
    host_down(&w.b);
    g_assert_cmpint(rename(folder, away), ==, 0);
    host_up(&w, &w.b);
    const struct wire_offer offer = { .vm = vm, .name = (char *)(gsize)"guest", .epoch = 1 };
    g_assert_false(intake_ops.offer(w.b.service->core, &peer, &offer, &st, &err));
    g_assert_error(err, ERR, ERR_NOT_AVAILABLE);
    g_clear_error(&err);
    g_assert_false(intake_ops.reverse(w.b.service->core, &peer, &offer, &st, &err));
    g_assert_error(err, ERR, ERR_NOT_AVAILABLE);
    host_up(&w, &w.a);
    world_close(&w);
}

/* ---- the fence ---- */

static void
test_fence(void)
{
    struct world w = { 0 };
    struct busy busy;
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    g_assert_false(repl_power(w.b.service, &vm, 2, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_clear_error(&err);
    g_assert_true(fence_is_up(w.b.service->core->fence_dir, &vm));
    COVERS("fencing", "wrong side", "a replica is not started (32775), also not with libvirt's tools, before its failover");
    fake_power_set(w.a.fake, &vm, VM_OFF);
    act_failover(&w.b, &vm, NULL);
    world_busy(&w.a, &vm, &busy);
    g_assert_false(repl_power(w.a.service, &vm, 2, "test", job, &err));
    g_assert_true(err_is(err, ERR_INVALID_STATE) && strstr(err->message, "failed over"));
    UNTIL(fence_is_up(w.a.service->core->fence_dir, &vm));
    world_idle(&busy);
    g_assert_cmpuint(fake_power(w.a.fake, &vm), ==, VM_OFF);
    COVERS("fencing", "during another job", "the old primary asks and refuses a start (32775) whatever else is under way");
    world_close(&w);
}

/* ---- who may send ---- */

static struct repl_entry
entry_of(const char *host, const char *location)
{
    return (struct repl_entry){ .host = (char *)(gsize)host, .trust_group = (char *)(gsize)"DEFAULT", .location = (char *)(gsize)location };
}

static bool
has_entry(struct host *h, const char *name)
{
    bool found = false;
    g_autoptr(GPtrArray) all = repl_entries(h->service);
    for (guint i = 0; i < all->len; i++)
        found |= !strcmp(((const struct repl_entry *)all->pdata[i])->host, name);
    return found;
}

static void
test_entries_twice(void)
{
    struct world w = { 0 };
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct repl_entry again = entry_of(w.a.name, w.b.dir);
    g_assert_false(repl_entry_add(w.b.service, &again, &err));
    g_assert_error(err, ERR, ERR_INVALID_PARAMETER);
    g_clear_error(&err);
    g_assert_true(repl_entry_remove(w.b.service, w.a.name, &err));
    g_assert_false(repl_entry_remove(w.b.service, w.a.name, &err));
    g_assert_error(err, ERR, ERR_INVALID_PARAMETER);
    COVERS("authorisation", "called twice", "the second addition and the second removal are refused; the first one counts");
    world_close(&w);
}

static void
test_entries_behind_the_back(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = world_replicated(&w);
    g_autofree char *location = g_build_filename(w.b.dir, "replicas", NULL);
    host_down(&w.a);
    world_drain(&w);
    g_autoptr(GArray) before = repl_points(w.b.service, &vm, NULL);
    g_assert_true(repl_entry_remove(w.b.service, w.a.name, NULL));
    host_up(&w, &w.a);
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    g_assert_cmpuint(world_compare(&w, &vm), ==, before->len);
    const struct repl_entry entry = entry_of(w.a.name, location);
    g_assert_true(repl_entry_add(w.b.service, &entry, NULL));
    act_request(&w.a, &vm, 3);
    world_wait_cycle(&w, &vm);
    COVERS("authorisation", "other host dies", "taken away meanwhile: the primary that comes back stops (8), its points stay");
    world_close(&w);
}

static const char *self;

/* --child DIR PORT: a daemon that is killed as soon as it has said yes. */
static int
child(char **argv)
{
    struct world w = { 0 };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    world_borrow(&w, argv[2], (guint)atoi(argv[3]));
    host_up(&w, &w.b);
    const struct repl_entry entry = entry_of("later.localhost", w.b.dir);
    if (repl_entry_add(w.b.service, &entry, NULL))
        kill(getpid(), SIGKILL);
    return 1;
}

static void
test_entries_killed(void)
{
    struct world w = { 0 };
    int status;
    g_autoptr(GError) err = NULL;
    world_open(&w);
    host_down(&w.b);
    g_autofree char *port = g_strdup_printf("%u", w.b.port);
    const char *argv[] = { self, "--child", w.box.dir, port, NULL };
    g_assert_true(g_spawn_sync(NULL, (char **)(gpointer)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &err));
    g_assert_no_error(err);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    host_up(&w, &w.b);
    g_assert_true(has_entry(&w.b, "later.localhost") && has_entry(&w.b, w.a.name));
    COVERS("authorisation", "daemon killed", "what was answered is kept");
    world_close(&w);
}

int
main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "--child"))
        return child(argv);
    self = argv[0];
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/life/changes-without-replica", test_changes_without_replica);
    g_test_add_func("/repl/life/changes-in-first-copy", test_changes_in_first_copy);
    g_test_add_func("/repl/life/changes-on-replica", test_changes_on_replica);
    g_test_add_func("/repl/life/middle-is-shut", test_middle_is_shut);
    g_test_add_func("/repl/life/offer-to-shut", test_offer_to_shut);
    g_test_add_func("/repl/life/fence", test_fence);
    g_test_add_func("/repl/life/entries-twice", test_entries_twice);
    g_test_add_func("/repl/life/entries-behind-the-back", test_entries_behind_the_back);
    g_test_add_func("/repl/life/entries-killed", test_entries_killed);
    return g_test_run();
}
