/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/clean.h"
#include "base/err.h"
#include "repl/maystart.h"
#include "repl/work.h"
#include "link.h"
#include "vm/fence.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* A primary whose replica has failed over: it finds out, does not start, and takes it back when that was reverted. */

static bool
starts(struct host *h, const struct uuid *vm, GError **err)
{
    char job[UUID_TEXT];
    return repl_power(h->service, vm, 2, "test", job, err);
}

static struct uuid
off_and_replicated(struct world *w)
{
    const struct uuid vm = world_guest(w, 1);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    fake_power_set(w->a.fake, &vm, VM_OFF);
    return vm;
}

/* Replication is paused on the primary, so nothing is sent that could be refused. */
static void
test_start_is_refused(void)
{
    struct world w = { 0 };
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = off_and_replicated(&w);
    act_request(&w.a, &vm, 7);
    act_failover(&w.b, &vm, NULL);
    g_assert_false(starts(&w.a, &vm, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_clear_error(&err);
    g_assert_true(world_fenced(&w.a, &vm)); /* `virsh start` neither */
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_CRITICAL);
    host_down(&w.a);
    host_down(&w.b);
    host_up(&w, &w.a); /* the replica host does not answer any more, and what is known stays known */
    g_assert_true(world_fenced(&w.a, &vm));
    g_assert_false(starts(&w.a, &vm, &err));
    g_clear_error(&err);
    host_up(&w, &w.b);
    act_revert(&w.b, &vm);
    g_assert_true(starts(&w.a, &vm, &err));
    g_assert_no_error(err);
    g_assert_false(world_fenced(&w.a, &vm));
    world_close(&w);
}

/* Nobody who could be asked: the guest is what counts. */
static void
test_unknown_starts(void)
{
    struct world w = { 0 };
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = off_and_replicated(&w);
    world_cut(&w, true);
    act_failover(&w.b, &vm, NULL);
    g_assert_true(starts(&w.a, &vm, &err));
    g_assert_no_error(err);
    COVERS("fencing", "other host dies", "a start on the old primary is permitted: nobody can be asked");
    world_close(&w);
}

/* The link was cut while the replica took over: both run, until the old primary hears of it. */
static void
test_runs_on_both(void)
{
    struct world w = { 0 };
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = off_and_replicated(&w);
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    act_request(&w.a, &vm, 7);
    world_cut(&w, true);
    act_failover(&w.b, &vm, NULL);
    g_assert_true(starts(&w.b, &vm, &err));
    g_assert_no_error(err);
    g_assert_cmpuint(fake_power(w.a.fake, &vm), ==, VM_RUNNING);
    world_cut(&w, false);
    act_request(&w.a, &vm, 3);
    UNTIL(fake_power(w.a.fake, &vm) == VM_PAUSED);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_CRITICAL);
    g_assert_false(starts(&w.a, &vm, &err)); /* nor goes on */
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_assert_cmpuint(fake_power(w.b.fake, &vm), ==, VM_RUNNING);
    COVERS("fencing", "other host dies", "both run while the link is cut; when it is back, the old one is paused");
    world_close(&w);
}

/* What cannot be sent to need not be compared either. */
static void
test_no_resync(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = off_and_replicated(&w);
    act_failover(&w.b, &vm, NULL);
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    world_fails(&w.a, job, "invalid-state");
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_CRITICAL);
    world_close(&w);
}

/* Removing replication gives the guest back. */
static void
test_removed(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = off_and_replicated(&w);
    act_failover(&w.b, &vm, NULL);
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    UNTIL(world_fenced(&w.a, &vm));
    g_assert_true(repl_remove(w.a.service, &vm, 0, "test", job, NULL));
    world_done(&w.a, job);
    g_assert_false(world_fenced(&w.a, &vm));
    g_assert_true(starts(&w.a, &vm, &err));
    world_close(&w);
}

static void
test_prepared_removed(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = off_and_replicated(&w);
    act_request(&w.a, &vm, 4);
    g_assert_true(world_fenced(&w.a, &vm));
    g_assert_true(repl_remove(w.a.service, &vm, 0, "test", job, NULL));
    world_done(&w.a, job);
    g_assert_false(world_fenced(&w.a, &vm));
    world_close(&w);
}

/* ---- what libvirt's hook asks while no daemon runs ---- */

static char *
state_of(const struct host *h)
{
    return g_build_filename(h->dir, "state", NULL);
}

static bool
may_start(const struct host *h, const struct uuid *vm, char **why)
{
    g_autofree char *dir = state_of(h);
    return maystart_ask(dir, h->identity, h->service ? h->service->core->probe_us : WORLD_PROBE_US, vm, why);
}

static void
expect_silence(const struct host *h, const struct uuid *vm)
{
    g_autofree char *why = NULL;
    g_assert_true(may_start(h, vm, &why));
    g_assert_cmpstr(why, ==, NULL);
}

static void
expect_doubt(const struct host *h, const struct uuid *vm, const char *word)
{
    g_autofree char *why = NULL;
    g_assert_true(may_start(h, vm, &why));
    g_assert_nonnull(why);
    g_assert_nonnull(strstr(why, word));
}

static void
expect_refusal_by(const struct host *h, const struct uuid *vm, const char *words)
{
    g_autofree char *why = NULL;
    g_assert_false(may_start(h, vm, &why));
    g_assert_nonnull(why);
    g_assert_nonnull(strstr(why, words));
}

static void
expect_refusal(const struct host *h, const struct uuid *vm)
{
    expect_refusal_by(h, vm, "The replica of guest 'guest' on 'b.localhost' has failed over.");
}

/* Who is asked about the guest; NULL: nobody. */
static char *
whom(const struct host *h, const struct uuid *vm)
{
    char text[UUID_TEXT], *doc = NULL;
    g_autofree char *path = g_build_filename(h->dir, "state", "primaries", uuid_format_lower(vm, text), NULL);
    return g_file_get_contents(path, &doc, NULL, NULL) ? doc : NULL;
}

static void
test_hook_asks(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = off_and_replicated(&w), stranger = uuid_random();
    expect_silence(&w.a, &vm);
    expect_silence(&w.a, &stranger);
    host_down(&w.a);
    expect_silence(&w.a, &vm);
    act_failover(&w.b, &vm, NULL);
    expect_refusal(&w.a, &vm);
    expect_refusal(&w.a, &vm); /* it is only a question */
    expect_silence(&w.b, &vm);
    world_cut(&w, true);
    expect_doubt(&w.a, &vm, "Guest 'guest' starts without knowing");
    world_cut(&w, false);
    host_up(&w, &w.a);
    expect_refusal(&w.a, &vm); /* beside a daemon, too */
    act_revert(&w.b, &vm);
    expect_silence(&w.a, &vm);
    COVERS("fencing", "daemon killed", "libvirt's hook asks the replica's host itself, and refuses a start after a failover");
    world_close(&w);
}

/* A host that accepts connections and says nothing keeps nobody waiting. */
static void
test_hook_mute(void)
{
    struct world w = { 0 };
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    world_open(&w);
    const struct uuid vm = off_and_replicated(&w);
    auto_fd mute = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_true(!bind(mute, (struct sockaddr *)&at, len) && !getsockname(mute, (struct sockaddr *)&at, &len) && !listen(mute, 8));
    w.a.service->core->probe_us = CORE_PROBE_S * (gint64)G_USEC_PER_SEC;
    act_failover(&w.b, &vm, NULL);
    link_target(w.link, ntohs(at.sin_port));
    expect_doubt(&w.a, &vm, "Guest 'guest' starts without knowing");
    world_close(&w);
}

/* The file follows the relationship, through restarts and to its end. */
static void
test_hook_file(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT], text[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_guest(&w, 1);
    world_enable(&w, &vm, 250);
    g_autofree char *none = whom(&w.a, &vm);
    g_assert_cmpstr(none, ==, NULL); /* a replica without data cannot fail over */
    world_start(&w, &vm);
    g_autofree char *first = whom(&w.a, &vm), *receiver = whom(&w.b, &vm);
    g_assert_nonnull(strstr(first, "b.localhost"));
    g_assert_cmpstr(receiver, ==, NULL);

    g_autofree char *path = g_build_filename(w.a.dir, "state", "primaries", uuid_format_lower(&vm, text), NULL);
    host_down(&w.a);
    g_assert_true(g_file_set_contents(path, "{", -1, NULL));
    expect_doubt(&w.a, &vm, "starts without knowing");
    g_assert_true(g_file_set_contents(path, "{}", -1, NULL));
    expect_doubt(&w.a, &vm, "does not say whom to ask");
    host_up(&w, &w.a); /* mended */
    g_autofree char *second = whom(&w.a, &vm);
    g_assert_cmpstr(second, ==, first);

    g_assert_true(repl_remove(w.a.service, &vm, 0, "test", job, NULL));
    world_done(&w.a, job);
    g_autofree char *gone = whom(&w.a, &vm);
    g_assert_cmpstr(gone, ==, NULL);
    world_close(&w);
}

/* ---- the third host of a chain has failed over ---- */

static const char BY_C[] = "The replica of guest 'guest' on 'c.localhost' has failed over.";

static enum repl_state
state_to_c(struct world *w, const struct uuid *vm)
{
    struct repl_relation r;
    g_assert_true(repl_relation_get(w->b.service, vm, 1, &r, NULL));
    const enum repl_state s = r.state;
    repl_relation_clear(&r);
    return s;
}

static struct uuid
chained(struct world *w)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(w);
    world_third(w);
    const struct uuid vm = off_and_replicated(w);
    world_extend(w, &vm);
    g_assert_true(repl_start(w->b.service, &vm, 1, NULL, 0, "test", job, &err));
    g_assert_no_error(err);
    world_done(&w->b, job);
    UNTIL(state_to_c(w, &vm) == STATE_REPLICATING);
    return vm;
}

static char *
fence_text(struct host *h, const struct uuid *vm)
{
    char text[UUID_TEXT], *words = NULL;
    g_autofree char *path = g_build_filename(h->service->core->fence_dir, uuid_format_lower(vm, text), NULL);
    return g_file_get_contents(path, &words, NULL, NULL) ? words : NULL;
}

static void
expect_no_start(struct host *h, const struct uuid *vm, const char *words)
{
    g_autoptr(GError) err = NULL;
    g_assert_false(starts(h, vm, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_assert_nonnull(strstr(err->message, words));
}

/* The host in the middle has learnt of it before the first one is back. */
static void
test_third(void)
{
    struct world w = { 0 };
    const struct uuid vm = chained(&w);
    host_down(&w.a);
    host_down(&w.b);
    act_failover(&w.c, &vm, NULL);
    host_up(&w, &w.b);
    UNTIL(state_to_c(&w, &vm) == STATE_CRITICAL);
    expect_refusal_by(&w.a, &vm, BY_C); /* at boot */
    host_up(&w, &w.a);
    expect_no_start(&w.a, &vm, BY_C);
    g_assert_true(world_fenced(&w.a, &vm));
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_CRITICAL);
    g_assert_true(world_fenced(&w.b, &vm));

    host_down(&w.b);
    host_down(&w.a);
    host_up(&w, &w.a); /* what is known stays known, and where the guest is */
    g_autofree char *words = fence_text(&w.a, &vm);
    g_assert_nonnull(strstr(words, BY_C));
    expect_no_start(&w.a, &vm, BY_C);
    link_cut(w.link_c, true);
    host_up(&w, &w.b); /* b too: the third host is not asked again */
    expect_refusal_by(&w.a, &vm, BY_C);
    COVERS("fencing", "other host dies", "the third host has failed over: the second tells the first, which does not start (32775)");
    world_close(&w);
}

/* Taken back where it was begun, all three may go on. */
static void
test_third_reverted(void)
{
    struct world w = { 0 };
    const struct uuid vm = chained(&w);
    host_down(&w.a);
    act_failover(&w.c, &vm, NULL);
    UNTIL(state_to_c(&w, &vm) == STATE_CRITICAL);
    host_up(&w, &w.a);
    expect_no_start(&w.a, &vm, BY_C);
    act_revert(&w.c, &vm);
    UNTIL(starts(&w.a, &vm, NULL)); /* the one in the middle asks again because it was asked */
    g_assert_false(world_fenced(&w.a, &vm));
    g_assert_true(world_fenced(&w.b, &vm)); /* a replica all the same */
    expect_silence(&w.a, &vm);
    char job[UUID_TEXT];
    g_assert_true(repl_state_change(w.b.service, &vm, 1, 3, "test", job, NULL));
    if (*job)
        world_done(&w.b, job);
    act_request(&w.a, &vm, 3);
    UNTIL(state_to_c(&w, &vm) == STATE_REPLICATING);
    world_wait_state(&w.a, &vm, STATE_REPLICATING);
    world_wait_cycle(&w, &vm);
    world_close(&w);
}

/* Nobody was away for long: the guest runs at the first host, and begins to run at the third. */
static void
test_third_runs(void)
{
    struct world w = { 0 };
    g_autoptr(GError) err = NULL;
    const struct uuid vm = chained(&w);
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    link_cut(w.link_c, true); /* who hears of it before the guest runs asks again after half a minute only */
    act_failover(&w.c, &vm, NULL);
    g_assert_true(starts(&w.c, &vm, &err));
    g_assert_no_error(err);
    link_cut(w.link_c, false);
    UNTIL(fake_power(w.a.fake, &vm) == VM_PAUSED);
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    expect_no_start(&w.a, &vm, BY_C); /* nor goes on */
    g_assert_cmpuint(fake_power(w.c.fake, &vm), ==, VM_RUNNING);
    world_close(&w);
}

/* Whoever lets the one in the middle take over, too, is told; without the third one in its records, it knows of none. */
static void
test_third_middle(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = chained(&w);
    act_failover(&w.c, &vm, NULL);
    UNTIL(state_to_c(&w, &vm) == STATE_CRITICAL);
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    g_assert_true(repl_failover(w.b.service, &vm, NULL, false, "test", job, NULL));
    struct job_info info = world_wait(&w.b, job);
    g_assert_cmpuint(info.state, ==, JOB_WARNINGS);
    g_assert_nonnull(strstr(info.warning, "has failed over to 'c.localhost'"));
    job_info_clear(&info);
    expect_no_start(&w.a, &vm, "on 'b.localhost' has failed over"); /* nearer */
    act_revert(&w.b, &vm);
    expect_no_start(&w.a, &vm, BY_C);
    g_assert_true(repl_remove(w.b.service, &vm, 1, "test", job, NULL));
    world_done(&w.b, job);
    g_assert_true(starts(&w.a, &vm, &err));
    g_assert_no_error(err);
    world_close(&w);
}

static void
test_third_refuses(void)
{
    struct world w = { .refuse_if_primary_running = true };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = chained(&w);
    link_cut(w.link_c, true);
    act_failover(&w.c, &vm, NULL);
    g_assert_true(starts(&w.c, &vm, &err));
    g_assert_no_error(err);
    link_cut(w.link_c, false);
    UNTIL(state_to_c(&w, &vm) == STATE_CRITICAL);
    g_assert_true(repl_failover(w.b.service, &vm, NULL, false, "test", job, NULL));
    world_fails(&w.b, job, "invalid-state");
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/supersede/start-is-refused", test_start_is_refused);
    g_test_add_func("/repl/supersede/unknown-starts", test_unknown_starts);
    g_test_add_func("/repl/supersede/runs-on-both", test_runs_on_both);
    g_test_add_func("/repl/supersede/no-resync", test_no_resync);
    g_test_add_func("/repl/supersede/removed", test_removed);
    g_test_add_func("/repl/supersede/prepared-removed", test_prepared_removed);
    g_test_add_func("/repl/supersede/hook-asks", test_hook_asks);
    g_test_add_func("/repl/supersede/hook-mute", test_hook_mute);
    g_test_add_func("/repl/supersede/hook-file", test_hook_file);
    g_test_add_func("/repl/supersede/third", test_third);
    g_test_add_func("/repl/supersede/third-reverted", test_third_reverted);
    g_test_add_func("/repl/supersede/third-runs", test_third_runs);
    g_test_add_func("/repl/supersede/third-middle", test_third_middle);
    g_test_add_func("/repl/supersede/third-refuses", test_third_refuses);
    return g_test_run();
}
