/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "small_disk.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "repl/work.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What is said about a guest: its name, and the numbers of events that monitoring looks for. */

static struct uuid
protected_guest(struct world *w)
{
    const struct uuid vm = world_guest(w, 1);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    return vm;
}

/* Whoever reads about it finds the new name, on both sides, while everything goes on. */
static void
test_renamed(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    g_assert_true(fake_vm_ops.rename(fake_conn(w.a.fake), &vm, "web", NULL));
    fake_power_set(w.a.fake, &vm, VM_RUNNING); /* libvirt says that something happened */
    struct host *const hosts[] = { &w.a, &w.b };
    for (guint i = 0; i < G_N_ELEMENTS(hosts); i++)
        UNTIL(({
            struct repl_relation r = world_relation(hosts[i], &vm);
            const bool there = !g_strcmp0(r.name, "web");
            repl_relation_clear(&r);
            there;
        }));
    world_wait_cycle(&w, &vm);
    world_compare(&w, &vm);
    g_autoptr(GError) err = NULL; /* and in words of refusals */
    g_assert_false(repl_start(w.a.service, &vm, 1, NULL, 0, "test", job, &err));
    g_assert_nonnull(strstr(err->message, "'web'"));
    world_close(&w);
}

/* ---- numbers ---- */

static char *journal; /* file that standard error goes to */
static bool may_mount;

static bool
said(guint event, const char *words)
{
    g_autofree char *text = NULL, *number = g_strdup_printf(" event=%u", event);
    g_assert_true(g_file_get_contents(journal, &text, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        if (g_str_has_suffix(*line, number) && strstr(*line, words))
            return true;
    return false;
}

static void
listen_to(struct world *w)
{
    g_assert_nonnull(freopen(journal, "w", stderr));
    setvbuf(stderr, NULL, _IOLBF, 0);
    w->loud = true;
    world_open(w);
}

static void
tick(struct host *h, const struct uuid *vm)
{
    relation_auto rel = core_find(h->service->core, vm, 0);
    core_tick_stats(h->service->core, rel, false);
}

static void
test_link(void)
{
    struct world w = { 0 };
    listen_to(&w);
    const struct uuid vm = protected_guest(&w);
    world_cut(&w, true);
    UNTIL(said(32022, "Guest 'guest': "));
    UNTIL(said(32315, "sending to 'b.localhost' is tried again in "));
    g_assert_false(said(33414, ""));
    {
        relation_auto rel = core_find(w.a.service->core, &vm, 0);
        HOLD(&rel->lock);
        rel->r.last_us = rel->r.active_us = clock_wall_us() - 2 * G_TIME_SPAN_HOUR;
    }
    UNTIL(said(33414, "nothing was sent for more than an hour."));
    {
        relation_auto rel = core_find(w.b.service->core, &vm, 0);
        HOLD(&rel->lock);
        rel->r.last_us = rel->r.active_us = clock_wall_us() - 2 * G_TIME_SPAN_HOUR;
    }
    tick(&w.b, &vm);
    g_assert_true(said(33414, "nothing was received for more than an hour."));
    world_cut(&w, false);
    world_wait_cycle(&w, &vm);
    world_close(&w);
}

static void
test_stopped(void)
{
    struct world w = { 0 };
    listen_to(&w);
    const struct uuid vm = protected_guest(&w);
    g_assert_true(repl_entry_remove(w.b.service, w.a.name, NULL));
    UNTIL(said(32086, "Guest 'guest': Replicating -> Critical, "));
    {
        relation_auto rel = core_find(w.b.service->core, &vm, 0);
        g_autoptr(GError) why = NULL;
        err_set(&why, ERR_IO, "The store cannot be written.");
        relation_trouble(rel, false, why);
    }
    g_assert_true(said(32032, "The store cannot be written."));
    world_close(&w);
}

static void
test_scan(void)
{
    struct world w = { 0 };
    listen_to(&w);
    const struct uuid vm = protected_guest(&w);
    fake_kill(w.a.fake, &vm);
    UNTIL(said(29242, "because tracking was lost: "));
    UNTIL(said(29244, "Guest 'guest': "));
    {
        relation_auto rel = core_find(w.a.service->core, &vm, 0);
        HOLD(&rel->lock);
        rel->stats.now.end_us = clock_wall_us() - 1;
    }
    tick(&w.a, &vm);
    g_assert_true(said(29174, "success="));
    world_close(&w);
}

static guint
times_said(const char *words)
{
    g_autofree char *text = NULL;
    guint n = 0;
    g_assert_true(g_file_get_contents(journal, &text, NULL, NULL));
    for (const char *at = text; (at = strstr(at, words)); at++)
        n++;
    return n;
}

static guint
troubles(struct host *h, const struct uuid *vm)
{
    relation_auto rel = core_find(h->service->core, vm, 0);
    HOLD(&rel->lock);
    return rel->troubles;
}

/* More than what is freed when logs that are with the replica go: no cycle between two that fail may have room.  What one could not write
 * is in the next one again. */
static void
write_noise(struct world *w, const struct uuid *vm)
{
    enum { BYTES = 512 << 10 };
    g_autofree guint32 *noise = g_malloc(BYTES);
    for (guint i = 0; i < BYTES / sizeof *noise; i++)
        noise[i] = g_rand_int(w->rand);
    fake_write(w->a.fake, vm, 0, 0, noise, BYTES);
}

/* Every cycle fails at another file: that is said when it begins and when it ends. */
static void
full_disk_of(struct world *w, const struct uuid *vm, struct host *h, const char *place, const char *event)
{
    const guint before = times_said(event), over = times_said("replication goes on");
    fake_block_reads(w->a.fake, true);
    write_noise(w, vm);
    UNTIL(fake_reads_waiting(w->a.fake) > 0);
    small_disk_fill(place);
    const guint had = troubles(h, vm);
    fake_block_reads(w->a.fake, false);
    UNTIL(({
        fake_scribble(w->a.fake, vm, w->rand, 20);
        troubles(h, vm) >= had + 6;
    }));
    g_assert_cmpuint(times_said(event), ==, before + 1);
    g_assert_cmpuint(times_said("replication goes on"), ==, over);
    small_disk_free(place);
    UNTIL(times_said("replication goes on") > over);
    world_wait_cycle(w, vm);
}

static void
test_full_disk(void)
{
    struct world w = { 0 };
    if (!may_mount)
        return g_test_skip("mounting a small file system needs root or user namespaces");
    listen_to(&w);
    struct host *const hosts[] = { &w.a, &w.b };
    static const char *const folders[] = { "state", "replicas" };
    char *places[2];
    for (guint i = 0; i < 2; i++) {
        host_down(hosts[i]);
        places[i] = g_build_filename(hosts[i]->dir, folders[i], NULL);
        small_disk_open(places[i], "16m");
        host_up(&w, hosts[i]);
    }
    const struct uuid vm = protected_guest(&w);
    full_disk_of(&w, &vm, &w.a, places[0], " event=32022");
    full_disk_of(&w, &vm, &w.b, places[1], " event=32032");
    for (guint i = 0; i < 2; i++) {
        host_down(hosts[i]);
        small_disk_close(places[i]);
        g_free(places[i]);
    }
    world_close(&w);
}

static void
test_jobs(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    listen_to(&w);
    const struct uuid vm = protected_guest(&w);
    world_cut(&w, true);
    g_assert_true(repl_test_connection(w.a.service, w.b.name, w.link_port, "test", job, NULL));
    world_fails(&w.a, job, "network");
    g_assert_true(said(33680, "b.localhost"));
    world_cut(&w, false);
    act_failover(&w.b, &vm, NULL);
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    g_assert_true(repl_resynchronize(w.a.service, &vm, 0, "test", job, NULL));
    world_fails(&w.a, job, "invalid-state");
    g_assert_true(said(32546, "failed: "));
    world_close(&w);
}

/* The host says for a month that its certificate ends. */
static void
test_certificate(void)
{
    struct world w = { 0 };
    listen_to(&w);
    g_autofree char *none = repl_certificate_warning(w.a.service);
    g_assert_cmpstr(none, ==, NULL);
    host_down(&w.a);
    net_identity_unref(w.a.identity);
    g_autofree char *cert = g_strdup_printf("%s/%s.pem", w.box.dir, w.a.name), *key = g_strdup_printf("%s/%s-key.pem", w.box.dir, w.a.name);
    g_assert_true(!unlink(cert) && !unlink(key));
    box_issue(&w.box, w.a.name, PKI_BOTH, 10, 0);
    w.a.identity = box_identity(&w.box, w.a.name);
    host_up(&w, &w.a);
    g_autofree char *soon = repl_certificate_warning(w.a.service);
    g_assert_nonnull(soon);
    g_assert_nonnull(strstr(soon, "expires on 2"));
    UNTIL(({
        g_autofree char *text = NULL;
        g_assert_true(g_file_get_contents(journal, &text, NULL, NULL));
        strstr(text, soon) != NULL;
    }));
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    may_mount = small_disk_namespace();
    g_autofree char *dir = g_dir_make_tmp("vmr-journal.XXXXXX", NULL);
    journal = g_build_filename(dir, "stderr", NULL);
    g_test_add_func("/repl/journal/renamed", test_renamed);
    g_test_add_func("/repl/journal/link", test_link);
    g_test_add_func("/repl/journal/stopped", test_stopped);
    g_test_add_func("/repl/journal/scan", test_scan);
    g_test_add_func("/repl/journal/full_disk", test_full_disk);
    g_test_add_func("/repl/journal/jobs", test_jobs);
    g_test_add_func("/repl/journal/certificate", test_certificate);
    const int status = g_test_run();
    file_remove_tree(dir, NULL);
    g_free(journal);
    return status;
}
