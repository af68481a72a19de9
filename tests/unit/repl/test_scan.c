/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"
#include "fake_guest.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "repl/work.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

/* Tracking is lost in every way: what the replica has is not sent again, its points stay, and every new one is right byte for byte. */

enum { PAGE = 4096, DISK = 2 << 20, DISKS = 2 };

static struct uuid
protected_guest(struct world *w)
{
    const struct uuid vm = world_guest(w, DISKS);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    world_wait_cycle(w, &vm);
    return vm;
}

static struct repl_statistics
statistics(struct host *h, const struct uuid *vm)
{
    struct repl_statistics s;
    g_assert_true(repl_statistics(h->service, vm, 0, &s, NULL, NULL));
    return s;
}

/* Bytes of data in the fuzzy logs of the newest scan that the replica has acknowledged. */
static guint64
scanned(struct host *h, const struct uuid *vm)
{
    relation_auto rel = core_find(h->service->core, vm, 0);
    HOLD(&rel->lock);
    return rel->s.read_acked;
}

static bool
has_reason(struct host *h, const struct uuid *vm, const char *text)
{
    struct repl_relation r = world_relation(h, vm);
    const bool yes = r.reason && strstr(r.reason, text);
    repl_relation_clear(&r);
    return yes;
}

static void
lose_fingerprints(struct host *h, const struct uuid *vm)
{
    char text[UUID_TEXT];
    g_autofree char *dir = g_build_filename(h->dir, "state", "fingerprints", uuid_format(vm, text), NULL);
    g_assert_true(g_file_test(dir, G_FILE_TEST_IS_DIR));
    g_assert_true(file_remove_tree(dir, NULL));
}

static void
test_killed(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    const guint points = world_compare(&w, &vm);
    for (guint i = 1; i <= 3; i++) {
        fake_kill(w.a.fake, &vm);
        fake_scribble(w.a.fake, &vm, w.rand, 10);
        UNTIL(statistics(&w.a, &vm).scans == i);
        fake_power_set(w.a.fake, &vm, VM_RUNNING);
        world_wait_cycle(&w, &vm);
        g_assert_cmpuint(scanned(&w.a, &vm), <=, 10 * PAGE);
    }
    g_assert_cmpuint(statistics(&w.a, &vm).full_copies, ==, 0);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    g_assert_cmpuint(world_compare(&w, &vm), >, points);
    world_close(&w);
}

/* The host lost its power: the daemon and the bitmaps went together. */
static void
test_host_died(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    for (int i = 0; i < 3; i++) {
        world_cut(&w, i == 1); /* once with logs that wait in the outbox */
        fake_scribble(w.a.fake, &vm, w.rand, 20);
        const guint before = fake_instants(w.a.fake);
        UNTIL(fake_instants(w.a.fake) > before + 1);
        host_down(&w.a);
        fake_kill(w.a.fake, &vm);
        fake_scribble(w.a.fake, &vm, w.rand, 5);
        fake_power_set(w.a.fake, &vm, VM_RUNNING);
        world_cut(&w, false);
        host_up(&w, &w.a);
        world_wait_cycle(&w, &vm);
        g_assert_cmpuint(scanned(&w.a, &vm), <=, 25 * PAGE);
    }
    g_assert_cmpuint(statistics(&w.a, &vm).full_copies, ==, 0);
    world_compare(&w, &vm);
    world_close(&w);
}

/* The same data written again costs nothing. */
static void
test_same_again(void)
{
    struct world w = { 0 };
    guint8 page[PAGE];
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    memset(page, 'x', sizeof page);
    fake_write(w.a.fake, &vm, 0, 5 * PAGE, page, sizeof page);
    world_wait_cycle(&w, &vm);
    world_wait_cycle(&w, &vm);
    const guint64 before = statistics(&w.a, &vm).size;
    g_assert_cmpuint(before, >=, PAGE);
    for (int i = 0; i < 3; i++) {
        fake_write(w.a.fake, &vm, 0, 5 * PAGE, page, sizeof page);
        world_wait_cycle(&w, &vm);
    }
    g_assert_cmpuint(statistics(&w.a, &vm).size, ==, before);
    world_compare(&w, &vm);
    world_close(&w);
}

/* Killed in the middle of a scan, again and again: what was sent is not sent twice. */
static void
test_scan_interrupted(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    for (int i = 0; i < 4; i++) {
        fake_block_reads(w.a.fake, true);
        fake_kill(w.a.fake, &vm);
        fake_scribble(w.a.fake, &vm, w.rand, 10);
        UNTIL(fake_reads_waiting(w.a.fake) > 0);
        g_assert_true(world_healthy(&w.a, &vm, "tracking-lost"));
        g_assert_true(has_reason(&w.a, &vm, "compared with what the replica has"));
        relation_auto rel = core_find(w.a.service->core, &vm, 0);
        g_atomic_int_set(&rel->halt, 1);
        relation_unref(g_steal_pointer(&rel));
        fake_block_reads(w.a.fake, false);
        host_down(&w.a);
        host_up(&w, &w.a);
        fake_power_set(w.a.fake, &vm, VM_RUNNING);
        world_wait_cycle(&w, &vm);
    }
    g_assert_cmpuint(statistics(&w.a, &vm).full_copies, ==, 0);
    world_compare(&w, &vm);
    world_close(&w);
}

/* Fingerprints and bitmaps are lost together. */
static void
lose_all_down(struct world *w, const struct uuid *vm)
{
    host_down(&w->a);
    lose_fingerprints(&w->a, vm);
    fake_kill(w->a.fake, vm);
    fake_scribble(w->a.fake, vm, w->rand, 10);
}

static void
lose_all(struct world *w, const struct uuid *vm)
{
    lose_all_down(w, vm);
    host_up(w, &w->a);
}

static void
modify(struct world *w, const struct uuid *vm, const char *additional)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    struct repl_settings s = world_settings(w, 250);
    g_free(s.additional);
    s.additional = g_strdup(additional);
    g_assert_true(repl_modify(w->a.service, vm, &s, "test", job, &err));
    g_assert_no_error(err);
    repl_settings_clear(&s);
    if (*job)
        world_done(&w->a, job);
}

static void
test_random(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    for (int i = 0; i < 25; i++) {
        switch (g_rand_int_range(w.rand, 0, 6)) {
        case 0: fake_kill(w.a.fake, &vm); break;
        case 1: fake_power_set(w.a.fake, &vm, VM_OFF); break;
        case 2: host_down(&w.a); fake_scribble(w.a.fake, &vm, w.rand, 3); host_up(&w, &w.a); break;
        case 3: world_cut(&w, true); g_usleep((gulong)g_rand_int_range(w.rand, 0, 400000)); world_cut(&w, false); break;
        case 4: fake_fail(w.a.fake, FAKE_COPY, ERR_IO, 1); break;
        default: fake_scratch_small(w.a.fake, g_rand_boolean(w.rand) ? 8 * PAGE : 0); break;
        }
        fake_scribble(w.a.fake, &vm, w.rand, (guint)g_rand_int_range(w.rand, 0, 40));
        fake_power_set(w.a.fake, &vm, VM_RUNNING);
        world_wait_cycle(&w, &vm);
    }
    g_assert_cmpuint(statistics(&w.a, &vm).full_copies, ==, 0);
    world_compare(&w, &vm);
    world_close(&w);
}

/* The newest log of the replica cannot be found for a while (away), so it does not say what it has. */
static char *
hide_head(struct world *w, const struct uuid *vm)
{
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    struct store_log head;
    g_assert_true(store_head(rel->in.store, &head));
    char *path = store_log_path(rel->in.store, &head.id);
    g_assert_nonnull(path);
    g_autofree char *away = g_strconcat(path, ".away", NULL);
    g_assert_cmpint(rename(path, away), ==, 0);
    return path;
}

static char *
lose_all_and_hide(struct world *w, const struct uuid *vm)
{
    lose_all_down(w, vm);
    char *head = hide_head(w, vm);
    host_up(w, &w->a);
    return head;
}

static void
show_head(char *path)
{
    g_autofree char *away = g_strconcat(path, ".away", NULL);
    g_assert_cmpint(rename(away, path), ==, 0);
    g_free(path);
}

/* Fingerprints and bitmaps are lost together: the replica is asked. */
static void
test_in_doubt(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    for (guint i = 0; i < 3; i++) {
        const guint scans = statistics(&w.a, &vm).scans;
        lose_all(&w, &vm);
        UNTIL(statistics(&w.a, &vm).scans > scans);
        fake_power_set(w.a.fake, &vm, VM_RUNNING);
        world_wait_cycle(&w, &vm);
        g_assert_cmpuint(scanned(&w.a, &vm), <=, 15 * PAGE);
    }
    g_assert_cmpuint(statistics(&w.a, &vm).full_copies, ==, 0);
    world_compare(&w, &vm);
    world_close(&w);
}

/* ---- logs that wait are lost ---- */

static bool
is_idle(struct host *h, const struct uuid *vm)
{
    relation_auto rel = core_find(h->service->core, vm, 0);
    HOLD(&rel->lock);
    return rel->s.want_status;
}

/* The link is cut.  The guest is off and captured, so the next who reads its disks is a scan. */
static void
settle(struct world *w, const struct uuid *vm)
{
    fake_power_set(w->a.fake, vm, VM_OFF);
    UNTIL(is_idle(&w->a, vm));
}

static bool
hosts_agree(struct relation *a, struct relation *b)
{
    struct store_log head;
    HOLD(&a->lock);
    return store_head(b->in.store, &head) && uuid_equal(&head.id, &a->r.acked);
}

/* The link is cut, no acknowledgement with it, and at least three logs wait in the outbox. */
static void
fill_outbox(struct world *w, const struct uuid *vm)
{
    relation_auto a = core_find(w->a.service->core, vm, 0);
    relation_auto b = core_find(w->b.service->core, vm, 0);
    do {
        world_cut(w, false);
        UNTIL(outbox_count(a->s.outbox) == 0);
        world_cut(w, true);
        for (guint i = 1; i <= 3; i++) {
            fake_scribble(w->a.fake, vm, w->rand, 10);
            UNTIL(outbox_count(a->s.outbox) >= i);
        }
    } while (!hosts_agree(a, b));
}

/* Removes a file that waits: the log that the replica needs next, or the one after it. */
static void
lose_log(struct world *w, const struct uuid *vm, guint which)
{
    char text[UUID_TEXT];
    struct store_log head;
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    g_assert_true(store_head(rel->in.store, &head));
    g_autofree char *dir = g_build_filename(w->a.dir, "state", "outbox", uuid_format(vm, text), NULL);
    g_autofree char *number = g_strdup_printf("%016" G_GUINT64_FORMAT "-", head.sequence + 1 + which);
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while ((name = g_dir_read_name(d)) && !g_str_has_prefix(name, number))
        ;
    g_assert_nonnull(name);
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_assert_cmpint(unlink(path), ==, 0);
}

/* The link is back: what was lost is compared and said, differences are sent, points stay. */
static void
expect_comparison(struct world *w, const struct uuid *vm, const char *reason)
{
    g_autoptr(GArray) before = repl_points(w->b.service, vm, NULL);
    fake_block_reads(w->a.fake, true);
    world_cut(w, false);
    UNTIL(fake_reads_waiting(w->a.fake) > 0);
    UNTIL(has_reason(&w->a, vm, reason) && has_reason(&w->a, vm, "compared with what the replica has"));
    g_assert_true(world_healthy(&w->a, vm, "tracking-lost"));
    fake_block_reads(w->a.fake, false);
    UNTIL(statistics(&w->a, vm).scans == 1);
    fake_power_set(w->a.fake, vm, VM_RUNNING);
    world_wait_cycle(w, vm);
    g_assert_cmpuint(statistics(&w->a, vm).scans, ==, 1);
    g_assert_cmpuint(statistics(&w->a, vm).full_copies, ==, 0);
    g_assert_cmpuint(scanned(&w->a, vm), <=, 60 * PAGE);
    g_assert_cmpuint(world_compare(w, vm), >, before->len);
    UNTIL(!world_healthy(&w->a, vm, "tracking-lost") && !world_healthy(&w->a, vm, "cannot-send"));
}

/* The replica was put back to an earlier state: it is asked, too. */
static void
test_replica_restored(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    for (int i = 0; i < 3; i++) {
        fake_scribble(w.a.fake, &vm, w.rand, 10);
        world_wait_cycle(&w, &vm);
    }
    world_cut(&w, true);
    {
        relation_auto rel = core_find(w.b.service->core, &vm, 0);
        g_autoptr(GArray) logs = store_logs(rel->in.store);
        g_assert_cmpuint(logs->len, >, 3);
        g_assert_true(store_truncate(rel->in.store, &g_array_index(logs, struct store_log, logs->len - 3).id, NULL));
    }
    settle(&w, &vm);
    expect_comparison(&w, &vm, "The replica was put back to an earlier state: it stands at change log");
    world_close(&w);
}

static void
lost_while_down(guint which, const char *reason)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    fill_outbox(&w, &vm);
    host_down(&w.a);
    lose_log(&w, &vm, which);
    host_up(&w, &w.a);
    if (which == 0)
        settle(&w, &vm); /* else nothing is captured before the comparison */
    expect_comparison(&w, &vm, reason);
    world_close(&w);
}

static void
test_outbox_first_lost(void)
{
    lost_while_down(0, "was lost from the outbox");
}

static void
test_outbox_middle_lost(void)
{
    lost_while_down(1, "was lost from the outbox");
}

static void
lost_while_up(guint which)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    fill_outbox(&w, &vm);
    settle(&w, &vm);
    lose_log(&w, &vm, which);
    expect_comparison(&w, &vm, "was lost from the outbox");
    world_close(&w);
}

static void
test_outbox_lost_up(void)
{
    lost_while_up(0);
    lost_while_up(1);
}

/* Every second time that this file is opened, which is when it is judged, there is no descriptor left.  Called instead of libc's. */
static char *scarce;
static gint opened;

int
open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    const char *of = g_atomic_pointer_get(&scarce);
    const bool fails = of && !strcmp(path, of) && g_atomic_int_add(&opened, 1) % 2;
    errno = EMFILE;
    return fails ? -1 : openat(AT_FDCWD, path, flags, mode);
}

/* The log that was made last, after the link was cut: the first one may be with the replica, its answer lost. */
static char *
damage_last(struct world *w, const struct uuid *vm, struct uuid *id)
{
    relation_auto rel = core_find(w->a.service->core, vm, 0);
    struct outbox_log log;
    UNTIL(outbox_last(rel->s.outbox, &log));
    char *path = outbox_path(rel->s.outbox, &log);
    g_autofree char *bytes = NULL;
    gsize len;
    g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    bytes[len / 2] ^= 4;
    g_assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
    *id = log.id;
    return path;
}

/* Said, and nothing is given up. */
static void
wait_unjudged(struct world *w, const struct uuid *vm, const char *path)
{
    UNTIL(({
        struct repl_relation r = world_relation(&w->a, vm);
        const bool said = r.reason && strstr(r.reason, "Too many open files");
        repl_relation_clear(&r);
        said;
    }));
    g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_cmpuint(fake_full_reads(w->a.fake), ==, 1);
}

/* A log in the outbox is damaged: refused there with a reason, then made good by a full read. */
static void
test_outbox_damaged(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    world_cut(&w, true);
    const guint before = fake_instants(w.a.fake);
    fake_scribble(w.a.fake, &vm, w.rand, 60);
    UNTIL(fake_instants(w.a.fake) > before + 1);
    struct uuid log;
    g_autofree char *path = damage_last(&w, &vm, &log);
    g_atomic_pointer_set(&scarce, path);
    world_cut(&w, false);
    wait_unjudged(&w, &vm, path);
    g_atomic_pointer_set(&scarce, NULL);
    UNTIL(fake_full_reads(w.a.fake) == 2);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_REPLICATING);
    world_compare(&w, &vm);
    {
        relation_auto rel = core_find(w.b.service->core, &vm, 0);
        g_assert_false(store_find(rel->in.store, &log, &(struct store_log){ 0 }));
    }
    world_close(&w);
}

/* The acknowledgement was lost, and the file with it; what waits goes on where the replica stands. */
static void
test_acknowledgement_lost(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    fill_outbox(&w, &vm);
    settle(&w, &vm);
    {
        relation_auto rel = core_find(w.a.service->core, &vm, 0);
        HOLD(&rel->lock);
        rel->r.acked = uuid_random();
        rel->r.acked_sequence--;
    }
    world_cut(&w, false);
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(statistics(&w.a, &vm).scans, ==, 0);
    world_compare(&w, &vm);
    world_close(&w);
}

/* Without a link the question waits, and so does the copy, which would need the link no less. */
static void
test_doubt_without_link(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    world_cut(&w, true);
    lose_all(&w, &vm);
    UNTIL(world_healthy(&w.a, &vm, "cycle-failed") || world_healthy(&w.a, &vm, "cannot-send"));
    g_assert_cmpuint(statistics(&w.a, &vm).scans, ==, 0);
    world_cut(&w, false);
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    world_wait_cycle(&w, &vm);
    UNTIL(statistics(&w.a, &vm).scans == 1);
    g_assert_cmpuint(statistics(&w.a, &vm).full_copies, ==, 0);
    world_wait_cycle(&w, &vm);
    world_compare(&w, &vm);
    world_close(&w);
}

/* Nothing says what the replica has: the copy is announced and counted. */
static void
test_full_copy(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    char *head = lose_all_and_hide(&w, &vm);
    UNTIL(statistics(&w.a, &vm).full_copies == 1);
    show_head(head);
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(statistics(&w.a, &vm).scans, ==, 1);
    world_compare(&w, &vm);
    fake_kill(w.a.fake, &vm); /* it taught the fingerprints everything */
    fake_scribble(w.a.fake, &vm, w.rand, 2);
    UNTIL(statistics(&w.a, &vm).scans == 2);
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(statistics(&w.a, &vm).full_copies, ==, 1);
    world_close(&w);
}

/* A replica that lets nobody in may know everything: no copy begins, and the primary stops for the right reason. */
static void
test_not_let_in(void)
{
    struct world w = { 0 };
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    g_autofree char *location = g_build_filename(w.b.dir, "replicas", NULL);
    const struct repl_entry entry = { w.a.name, (char *)(gsize)"DEFAULT", location };
    modify(&w, &vm, "{\"interval_ms\": 250, \"full_copy\": \"forbid\"}");
    lose_all_down(&w, &vm);
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    fake_block_reads(w.a.fake, true); /* of what goes with the question */
    host_up(&w, &w.a);
    UNTIL(fake_reads_waiting(w.a.fake) > 0);
    g_assert_true(repl_entry_remove(w.b.service, w.a.name, NULL));
    fake_block_reads(w.a.fake, false);
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    g_assert_false(has_reason(&w.a, &vm, "full copy"));
    g_assert_true(repl_entry_add(w.b.service, &entry, NULL));
    act_request(&w.a, &vm, 3);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(statistics(&w.a, &vm).full_copies, ==, 0);
    world_compare(&w, &vm);
    world_close(&w);
}

static void
test_forbidden(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    modify(&w, &vm, "{\"interval_ms\": 250, \"full_copy\": \"forbid\"}");
    fake_kill(w.a.fake, &vm);
    fake_scribble(w.a.fake, &vm, w.rand, 2);
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    world_wait_cycle(&w, &vm); /* comparing is allowed */
    g_assert_cmpuint(statistics(&w.a, &vm).scans, ==, 1);
    const guint points = world_compare(&w, &vm);
    char *head = lose_all_and_hide(&w, &vm);
    world_wait_state(&w.a, &vm, STATE_CRITICAL);
    show_head(head);
    g_assert_true(has_reason(&w.a, &vm, "\"full_copy\" to \"allow\""));
    g_assert_cmpuint(world_compare(&w, &vm), ==, points);
    modify(&w, &vm, "{\"interval_ms\": 250, \"full_copy\": \"allow\"}");
    fake_power_set(w.a.fake, &vm, VM_RUNNING);
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 3, "test", job, &err));
    g_assert_no_error(err);
    if (*job)
        world_done(&w.a, job);
    world_wait_cycle(&w, &vm);
    g_assert_cmpuint(statistics(&w.a, &vm).full_copies, ==, 0); /* the replica is asked again, and can tell now */
    world_compare(&w, &vm);
    world_close(&w);
}

static enum capture_kind
kind_of(struct host *h, const struct uuid *vm)
{
    HOLD(&h->fake->lock);
    return fake_guest_locked(h->fake, vm)->kind;
}

/* From one engine to the other and back: refused for raw disks; what the replica has is compared, points stay, nothing is lost. */
static void
test_engine(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    const struct uuid vm = protected_guest(&w);
    struct repl_settings s = world_settings(&w, 250);
    g_free(s.additional);
    s.additional = g_strdup("{\"interval_ms\": 250, \"engine\": \"pull\"}");
    g_assert_false(repl_modify(w.a.service, &vm, &s, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_PARAMETER);
    g_assert_nonnull(strstr(err->message, "has format raw, which engine \"pull\" cannot track"));
    repl_settings_clear(&s);
    {
        HOLD(&w.a.fake->lock);
        fake_guest_locked(w.a.fake, &vm)->qcow2 = true;
    }
    for (guint i = 1; i <= 2; i++) {
        const guint64 before = statistics(&w.a, &vm).scans;
        fake_scribble(w.a.fake, &vm, w.rand, 10);
        modify(&w, &vm, i == 1 ? "{\"interval_ms\": 250, \"engine\": \"pull\"}" : "{\"interval_ms\": 250}");
        UNTIL(statistics(&w.a, &vm).scans == before + 1);
        world_wait_cycle(&w, &vm);
        g_assert_cmpint(kind_of(&w.a, &vm), ==, i == 1 ? CAPTURE_PULL : CAPTURE_PUSH);
        g_assert_cmpuint(scanned(&w.a, &vm), <=, 10 * PAGE);
        if (i == 1) { /* the next daemon knows which engine it was */
            host_down(&w.a);
            host_up(&w, &w.a);
            world_wait_cycle(&w, &vm);
            g_assert_cmpint(kind_of(&w.a, &vm), ==, CAPTURE_PULL);
        }
    }
    g_assert_cmpuint(statistics(&w.a, &vm).full_copies, ==, 0);
    world_compare(&w, &vm);
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/scan/killed", test_killed);
    g_test_add_func("/repl/scan/host-died", test_host_died);
    g_test_add_func("/repl/scan/same-again", test_same_again);
    g_test_add_func("/repl/scan/interrupted", test_scan_interrupted);
    g_test_add_func("/repl/scan/in-doubt", test_in_doubt);
    g_test_add_func("/repl/scan/replica-restored", test_replica_restored);
    g_test_add_func("/repl/scan/outbox-first-lost", test_outbox_first_lost);
    g_test_add_func("/repl/scan/outbox-middle-lost", test_outbox_middle_lost);
    g_test_add_func("/repl/scan/outbox-lost-up", test_outbox_lost_up);
    g_test_add_func("/repl/scan/outbox-damaged", test_outbox_damaged);
    g_test_add_func("/repl/scan/acknowledgement-lost", test_acknowledgement_lost);
    g_test_add_func("/repl/scan/doubt-without-link", test_doubt_without_link);
    g_test_add_func("/repl/scan/full-copy", test_full_copy);
    g_test_add_func("/repl/scan/not-let-in", test_not_let_in);
    g_test_add_func("/repl/scan/forbidden", test_forbidden);
    g_test_add_func("/repl/scan/engine", test_engine);
    g_test_add_func("/repl/scan/random", test_random);
    return g_test_run();
}
