/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/block.h"
#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "link.h"
#include "repl/activity.h"
#include "repl/export.h"
#include "repl/exportdir.h"
#include "repl/extend.h"
#include "repl/extendfill.h"
#include "repl/work.h"
#include "store/view.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A -> B -> C: three services, real TLS between them; what C holds is what A's disks were. */

static void
begin(struct world *w, const struct uuid *vm, guint type, char job[UUID_TEXT])
{
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_start(w->b.service, vm, type, NULL, 0, "test", job, &err));
    g_assert_no_error(err);
}

static struct uuid
replicated(struct world *w)
{
    world_open(w);
    world_third(w);
    const struct uuid vm = world_guest(w, 2);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    return vm;
}

static struct uuid
extended(struct world *w)
{
    char job[UUID_TEXT];
    const struct uuid vm = replicated(w);
    world_extend(w, &vm);
    begin(w, &vm, 1, job);
    world_done(&w->b, job);
    return vm;
}

static enum repl_state
state_1(struct world *w, const struct uuid *vm)
{
    struct repl_relation r;
    g_assert_true(repl_relation_get(w->b.service, vm, 1, &r, NULL));
    const enum repl_state s = r.state;
    repl_relation_clear(&r);
    return s;
}

static guint
mode_on(struct host *h, const struct uuid *vm)
{
    struct repl_relation r = world_relation(h, vm);
    const guint mode = r.mode;
    repl_relation_clear(&r);
    return mode;
}

static void
change_1(struct world *w, const struct uuid *vm, guint requested)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_state_change(w->b.service, vm, 1, requested, "test", job, &err));
    g_assert_no_error(err);
    if (*job)
        world_done(&w->b, job);
}

static void
compare_point(struct host *primary, struct host *replica, const struct uuid *vm, const struct uuid *point)
{
    struct repl_relation r = world_relation(replica, vm);
    struct view *v = view_open(r.folder, point, NULL);
    g_assert_nonnull(v);
    for (guint d = 0; d < view_disks(v); d++) {
        g_autoptr(GBytes) expected = fake_instant(primary->fake, point, d);
        struct block *b = view_disk(v, d);
        g_assert_nonnull(expected);
        g_assert_cmpuint(b->size, ==, g_bytes_get_size(expected));
        g_autofree char *got = g_malloc(b->size);
        g_assert_true(block_read(b, got, b->size, 0, NULL));
        g_assert_true(memcmp(got, g_bytes_get_data(expected, NULL), b->size) == 0);
    }
    view_close(v);
    repl_relation_clear(&r);
}

/* Every point that c has. */
static guint
compare_c(struct world *w, struct host *primary, const struct uuid *vm)
{
    g_autoptr(GArray) points = repl_points(w->c.service, vm, NULL);
    for (guint i = 0; i < points->len; i++)
        compare_point(primary, &w->c, vm, &g_array_index(points, struct repl_point, i).id);
    return points->len;
}

static void
test_chain(void)
{
    struct world w = { 0 };
    const struct uuid vm = extended(&w);
    g_assert_cmpuint(state_1(&w, &vm), ==, STATE_REPLICATING);
    g_assert_cmpuint(world_state(&w.c, &vm), ==, STATE_REPLICATING);
    g_assert_cmpuint(mode_on(&w.c, &vm), ==, MODE_EXTENDED);
    g_assert_cmpuint(mode_on(&w.b, &vm), ==, MODE_REPLICA);
    for (guint round = 0; round < 3; round++) {
        fake_scribble(w.a.fake, &vm, w.rand, 20);
        world_wait_c(&w, &vm);
    }
    g_assert_cmpuint(compare_c(&w, &w.a, &vm), >=, 3);
    g_assert_cmpuint(fake_instants(w.b.fake), ==, 0); /* nothing was captured again */
    struct repl_statistics st;
    g_assert_true(repl_statistics(w.b.service, &vm, 1, &st, NULL, NULL));
    g_assert_cmpuint(st.success, >, 0);
    host_down(&w.b); /* it goes on by itself */
    host_up(&w, &w.b);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_c(&w, &vm);
    g_assert_cmpuint(compare_c(&w, &w.a, &vm), >=, 4);
    world_close(&w);
}

#define REFUSED(code, call) \
    do { \
        g_assert_false(call); \
        g_assert_error(err, ERR, (gint)(code)); \
        g_clear_error(&err); \
    } while (0)

static void
create_refused(struct world *w, struct host *h, const struct uuid *vm, guint interval_ms, guint interval_s, const char *disk,
               enum err_code code)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    struct repl_settings s = world_settings_c(w, interval_ms);
    if (h == &w->a || h == &w->c) {
        g_free(s.recovery_host);
        s.recovery_host = g_strdup(w->b.name);
        g_free(s.thumbprint);
        s.thumbprint = g_strdup(net_identity_thumbprint(h->identity));
    }
    s.interval_s = interval_s;
    if (disk)
        s.disks = g_strsplit(disk, ",", -1);
    REFUSED(code, repl_create(h->service, vm, &s, "t", job, &err));
    repl_settings_clear(&s);
}

static void
test_refusals(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    world_third(&w);
    const struct uuid vm = world_guest(&w, 2);
    world_enable(&w, &vm, 250);
    struct repl_service *b = w.b.service;
    create_refused(&w, &w.b, &vm, 300, 300, NULL, ERR_INVALID_STATE); /* no copy yet */
    world_start(&w, &vm);
    create_refused(&w, &w.b, &vm, 300, 30, NULL, ERR_INVALID_PARAMETER);
    create_refused(&w, &w.b, &vm, 200, 300, NULL, ERR_INVALID_PARAMETER); /* oftener than a to b */
    create_refused(&w, &w.b, &vm, 300, 300, "vda", ERR_INVALID_PARAMETER);
    create_refused(&w, &w.a, &vm, 300, 300, NULL, ERR_INVALID_STATE); /* one outbound relationship */
    REFUSED(ERR_INVALID_STATE, repl_remove(b, &vm, 1, "t", job, &err));
    REFUSED(ERR_INVALID_PARAMETER, repl_promote(b, &vm, 1, "t", job, &err));
    world_extend(&w, &vm);
    g_assert_cmpuint(state_1(&w, &vm), ==, STATE_READY);
    g_assert_cmpuint(world_state(&w.c, &vm), ==, STATE_WAITING_INITIAL);
    create_refused(&w, &w.b, &vm, 300, 300, NULL, ERR_INVALID_STATE); /* twice */
    create_refused(&w, &w.c, &vm, 300, 300, NULL, ERR_INVALID_STATE); /* no fourth host */
    REFUSED(ERR_INVALID_STATE, repl_remove(b, &vm, 0, "t", job, &err)); /* the extended one first */
    REFUSED(ERR_INVALID_STATE, repl_state_change(b, &vm, 1, 4, "t", job, &err));
    REFUSED(ERR_INVALID_STATE, repl_state_change(b, &vm, 1, 2, "t", job, &err));
    REFUSED(ERR_INVALID_STATE, repl_promote(b, &vm, 1, "t", job, &err)); /* nothing was committed */
    REFUSED(ERR_INVALID_PARAMETER, repl_promote(b, &vm, 0, "t", job, &err));
    REFUSED(ERR_INVALID_STATE, repl_resynchronize(w.c.service, &vm, 0, "t", job, &err));
    begin(&w, &vm, 3, job); /* c has nothing to begin with */
    world_fails(&w.b, job, "invalid-state");
    g_assert_true(repl_failover(b, &vm, NULL, false, "t", job, NULL));
    world_done(&w.b, job);
    REFUSED(ERR_INVALID_STATE, repl_reverse(b, &vm, NULL, "t", job, &err)); /* extended */
    COVERS("extended replication", "called twice", "refused (32775): one extended replica");
    COVERS("extended replication", "wrong side", "refused (32775) on the primary and on the third host");
    world_close(&w);
}

static void
test_pause_and_remove(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    const struct uuid vm = extended(&w);
    change_1(&w, &vm, 7);
    g_assert_cmpuint(state_1(&w, &vm), ==, STATE_SUSPENDED);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_REPLICATING); /* the other one goes on */
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_cycle(&w, &vm);
    change_1(&w, &vm, 3);
    world_wait_c(&w, &vm);
    g_assert_cmpuint(compare_c(&w, &w.a, &vm), >, 0);
    g_assert_true(repl_remove(w.b.service, &vm, 1, "test", job, NULL));
    world_done(&w.b, job);
    g_assert_cmpuint(state_1(&w, &vm), ==, STATE_DISABLED);
    world_wait_cycle(&w, &vm);
    g_assert_true(repl_remove(w.c.service, &vm, 0, "test", job, NULL));
    world_done(&w.c, job);
    g_assert_true(repl_remove(w.b.service, &vm, 0, "test", job, NULL));
    world_done(&w.b, job);
    world_close(&w);
}

/* With what does not compress. */
static void
fill_disks(struct world *w, const struct uuid *vm)
{
    guint32 page[1024];
    for (guint64 at = 0; at < (2 << 20); at += sizeof page)
        for (guint d = 0; d < 2; d++) {
            for (guint i = 0; i < G_N_ELEMENTS(page); i++)
                page[i] = g_rand_int(w->rand);
            fake_write(w->a.fake, vm, d, at, page, sizeof page);
        }
}

/* The link to c breaks in the middle of the first copy; b's daemon ends, too. */
static void
test_interrupted(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    const struct uuid vm = replicated(&w);
    fill_disks(&w, &vm);
    world_wait_cycle(&w, &vm);
    world_extend(&w, &vm);
    link_cut_after(w.link_c, 3 << 20); /* in the second disk */
    begin(&w, &vm, 1, job);
    UNTIL(link_bytes(w.link_c) > (5 << 19));
    host_down(&w.b);
    host_up(&w, &w.b);
    g_assert_cmpuint(state_1(&w, &vm), ==, STATE_WAITING_INITIAL);
    world_cut(&w, false);
    link_cut(w.link_c, false);
    UNTIL(state_1(&w, &vm) == STATE_REPLICATING);
    world_wait_c(&w, &vm);
    g_assert_cmpuint(compare_c(&w, &w.a, &vm), >, 0);
    COVERS("extended replication", "daemon killed", "ended in the first copy: the next one goes on with it");
    world_close(&w);
}

/* ---- the first copy goes through a folder ---- */

static char *
folder_on(struct host *h)
{
    char *dir = g_build_filename(h->dir, "usb", NULL);
    g_assert_true(file_make_dirs(dir, 0755, NULL));
    return dir;
}

static void
begin_export(struct world *w, const struct uuid *vm, const char *usb, char job[UUID_TEXT])
{
    g_autoptr(GError) err = NULL;
    repl_start(w->b.service, vm, 2, usb, 0, "test", job, &err);
    g_assert_no_error(err);
}

static bool
is_exported(struct world *w, const struct uuid *vm)
{
    relation_auto rel = extend_of(w->b.service->core, vm);
    HOLD(&rel->lock);
    return rel->r.exported;
}

static void
import_on_c(struct world *w, const struct uuid *vm, const char *usb)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    repl_import(w->c.service, vm, usb, "test", job, &err);
    g_assert_no_error(err);
    world_done(&w->c, job);
}

/* It goes on over the network. */
static void
expect_chain(struct world *w, const struct uuid *vm)
{
    UNTIL(state_1(w, vm) == STATE_REPLICATING);
    fake_scribble(w->a.fake, vm, w->rand, 20);
    world_wait_c(w, vm);
    g_assert_cmpuint(compare_c(w, &w->a, vm), >, 1);
}

static void
test_export(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    const struct uuid vm = replicated(&w);
    fill_disks(&w, &vm);
    world_wait_cycle(&w, &vm);
    world_extend(&w, &vm);
    g_autofree char *usb = folder_on(&w.b);
    link_cut(w.link_c, true); /* nothing of this needs the link */
    begin_export(&w, &vm, usb, job);
    world_done(&w.b, job);
    g_assert_cmpuint(state_1(&w, &vm), ==, STATE_WAITING_INITIAL);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_REPLICATING);
    for (guint i = 0; i < 3; i++) { /* meanwhile a goes on */
        fake_scribble(w.a.fake, &vm, w.rand, 20);
        world_wait_cycle(&w, &vm);
    }
    host_down(&w.b);
    host_up(&w, &w.b);
    g_assert_true(is_exported(&w, &vm));
    import_on_c(&w, &vm, usb);
    g_assert_cmpuint(compare_c(&w, &w.a, &vm), ==, 1);
    const gint64 before = link_bytes(w.link_c);
    link_cut(w.link_c, false);
    change_1(&w, &vm, 7); /* no back-off */
    change_1(&w, &vm, 3);
    expect_chain(&w, &vm);
    g_assert_cmpint(link_bytes(w.link_c) - before, <, 2 << 20); /* of four */
    world_close(&w);
}

/* As if b's daemon had ended when the first log was in the folder: what came after goes, and is not noted. */
static char *
forget_after_first(struct world *w, const struct uuid *vm, bool state_gone)
{
    relation_auto rel = extend_of(w->b.service->core, vm);
    activity_detach(rel); /* else the next round goes on at once */
    HOLD(&rel->lock);
    g_autoptr(GPtrArray) logs = exportdir_read(rel->r.export_dir, vm, NULL);
    g_assert_true(logs && logs->len > 2);
    const struct exported_log *first = logs->pdata[0];
    for (guint i = 1; i < logs->len; i++)
        g_assert_cmpint(unlink(((const struct exported_log *)logs->pdata[i])->path), ==, 0);
    rel->r.acked = first->id;
    rel->r.acked_sequence = first->sequence;
    rel->r.exported = false;
    if (state_gone)
        rel->r.export_point = uuid_random();
    g_assert_true(relation_save_locked(rel, NULL));
    return g_strdup(first->path);
}

/* What was in the folder stays, of the state that was the newest then; one that b has not got any more is exported anew. */
static void
go_on(bool state_gone)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    const struct uuid vm = replicated(&w);
    fill_disks(&w, &vm);
    world_wait_cycle(&w, &vm);
    world_extend(&w, &vm);
    g_autofree char *usb = folder_on(&w.b);
    begin_export(&w, &vm, usb, job);
    world_done(&w.b, job);
    g_autofree char *first = forget_after_first(&w, &vm, state_gone), *away = g_strconcat(first, ".away", NULL);
    host_down(&w.b);
    fill_disks(&w, &vm);
    g_assert_true(rename(first, away) == 0 && symlink(first, first) == 0); /* it cannot be read for a while */
    host_up(&w, &w.b);
    world_wait_cycle(&w, &vm);
    UNTIL(({ relation_auto rel = extend_of(w.b.service->core, &vm); HOLD(&rel->lock); rel->trouble || rel->r.exported; }));
    g_assert_cmpint(rename(away, first), ==, 0);
    UNTIL(is_exported(&w, &vm));
    g_assert_true(g_file_test(first, G_FILE_TEST_EXISTS) == !state_gone);
    import_on_c(&w, &vm, usb);
    g_assert_cmpuint(compare_c(&w, &w.a, &vm), ==, 1);
    expect_chain(&w, &vm);
    world_close(&w);
}

static void
test_export_goes_on(void)
{
    go_on(false);
    go_on(true);
}

/* The daemon of b ends again and again meanwhile; the export is whole at last. */
static void
test_export_restarted(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    const struct uuid vm = replicated(&w);
    fill_disks(&w, &vm);
    world_wait_cycle(&w, &vm);
    world_extend(&w, &vm);
    g_autofree char *usb = folder_on(&w.b);
    begin_export(&w, &vm, usb, job);
    UNTIL(state_1(&w, &vm) == STATE_WAITING_INITIAL);
    for (guint i = 0; i < 6 && !is_exported(&w, &vm); i++) {
        g_usleep((gulong)g_rand_int_range(w.rand, 0, 30000));
        host_down(&w.b);
        fake_scribble(w.a.fake, &vm, w.rand, 20);
        host_up(&w, &w.b);
        g_assert_cmpuint(state_1(&w, &vm), ==, STATE_WAITING_INITIAL);
    }
    UNTIL(is_exported(&w, &vm));
    import_on_c(&w, &vm, usb);
    expect_chain(&w, &vm);
    world_close(&w);
}

/* Given up: nothing remains, and another kind of copy may follow.  A disk that is taken away ends it, too. */
static void
test_export_given_up(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT], text[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = replicated(&w);
    world_extend(&w, &vm);
    g_autofree char *usb = folder_on(&w.b), *none = g_build_filename(usb, "none", NULL);
    g_autofree char *dir = g_strdup_printf("%s/guest_%s", usb, uuid_format(&vm, text));
    g_assert_false(repl_start(w.b.service, &vm, 2, none, 0, "test", job, &err));
    g_assert_error(err, ERR, ERR_NOT_FOUND);
    {
        relation_auto base = core_find(w.b.service->core, &vm, 0);
        relation_auto rel = extend_of(w.b.service->core, &vm);
        g_assert_true(export_begin(w.b.service->core, rel, dir, NULL));
        g_assert_true(file_remove_tree(dir, NULL));
        g_autoptr(GError) why = NULL;
        g_assert_false(extendfill_export(w.b.service->core, rel, base->r.folder, dir, &why));
        g_assert_error(why, ERR, ERR_NOT_FOUND);
    }
    fake_scribble(w.a.fake, &vm, w.rand, 5);
    begin_export(&w, &vm, usb, job);
    g_assert_true(job_cancel(repl_jobs(w.b.service), job, NULL) || is_exported(&w, &vm));
    struct job_info i = world_wait(&w.b, job);
    const bool cancelled = i.state == JOB_TERMINATED;
    job_info_clear(&i);
    if (cancelled) {
        g_assert_cmpuint(state_1(&w, &vm), ==, STATE_READY);
        g_assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
        begin(&w, &vm, 1, job);
        world_done(&w.b, job);
    } else { /* it was faster */
        import_on_c(&w, &vm, usb);
    }
    expect_chain(&w, &vm);
    world_close(&w);
}

/* ---- b is killed ---- */

static const char *self;

/* --child DIR PORT VM TYPE USB: b, in a process of its own, until it is killed. */
G_NORETURN static void
child(char **argv)
{
    struct world w = { 0 };
    struct uuid vm;
    char job[UUID_TEXT];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    g_assert_true(uuid_parse(argv[4], &vm));
    world_borrow(&w, argv[2], (guint)atoi(argv[3]));
    host_up(&w, &w.b);
    if (state_1(&w, &vm) == STATE_READY)
        g_assert_true(repl_start(w.b.service, &vm, (guint)atoi(argv[5]), argv[6], 0, "test", job, NULL));
    g_print("up\n");
    fflush(stdout);
    for (;;)
        pause();
}

static void
live_and_die(struct world *w, const struct uuid *vm, guint type, const char *usb, gulong after_us)
{
    char text[UUID_TEXT], line[8];
    g_autofree char *port = g_strdup_printf("%u", w->b.port), *number = g_strdup_printf("%u", type);
    const char *argv[] = { self, "--child", w->box.dir, port, uuid_format(vm, text), number, usb, NULL };
    GPid pid;
    int out, status;
    g_assert_true(
        g_spawn_async_with_pipes(NULL, (char **)(gpointer)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, NULL, &out, NULL, NULL));
    g_assert_cmpint(read(out, line, sizeof line), >, 0);
    g_usleep(after_us);
    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* it did not fail before */
    close(out);
}

/* Again and again, at random moments: in the first copy, and later in the chain. */
static void
killed(guint type)
{
    struct world w = { 0 };
    const struct uuid vm = replicated(&w);
    g_autofree char *usb = folder_on(&w.b);
    fill_disks(&w, &vm);
    world_wait_cycle(&w, &vm);
    world_extend(&w, &vm);
    host_down(&w.b);
    for (guint i = 0; i < 8; i++) {
        live_and_die(&w, &vm, type, usb, (gulong)g_rand_int_range(w.rand, 0, 60000));
        fake_scribble(w.a.fake, &vm, w.rand, 20);
    }
    host_up(&w, &w.b);
    if (type == 2) {
        UNTIL(is_exported(&w, &vm));
        import_on_c(&w, &vm, usb);
    }
    expect_chain(&w, &vm);
    host_down(&w.b);
    for (guint i = 0; i < 8; i++) {
        live_and_die(&w, &vm, type, usb, (gulong)g_rand_int_range(w.rand, 0, 400000));
        fake_scribble(w.a.fake, &vm, w.rand, 20);
    }
    host_up(&w, &w.b);
    expect_chain(&w, &vm);
    world_close(&w);
}

static void
test_killed(void)
{
    killed(1);
}

static void
test_export_killed(void)
{
    killed(2);
}

static guint
logs_on_b(struct world *w, const struct uuid *vm)
{
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    HOLD(&rel->lock);
    g_autoptr(GArray) logs = store_logs(rel->in.store);
    return logs->len;
}

static struct uuid
base_on_b(struct world *w, const struct uuid *vm)
{
    struct store_log base = { 0 };
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    HOLD(&rel->lock);
    store_base(rel->in.store, &base);
    return base.id;
}

/* b keeps no points, so that everything is merged at once -- but what c has not got. */
static void
keep_nothing_on_b(struct world *w, const struct uuid *vm)
{
    char job[UUID_TEXT];
    struct repl_settings s = world_settings(w, 250);
    s.history = 0;
    g_free(s.additional);
    s.additional = g_strdup("{\"interval_ms\": 250}");
    g_assert_true(repl_modify(w->a.service, vm, &s, "test", job, NULL));
    repl_settings_clear(&s);
    world_done(&w->a, job);
}

static void
merge_on_b(struct world *w, const struct uuid *vm)
{
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    HOLD(&rel->lock);
    task_now(rel->in.maintain);
}

static guint64
head_of_b(struct world *w, const struct uuid *vm)
{
    struct store_log head = { 0 };
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    HOLD(&rel->lock);
    store_head(rel->in.store, &head);
    return head.sequence;
}

static void
test_retention(void)
{
    struct world w = { 0 };
    const struct uuid vm = extended(&w);
    world_wait_c(&w, &vm);
    keep_nothing_on_b(&w, &vm);
    link_cut(w.link_c, true);
    guint64 now = head_of_b(&w, &vm);
    UNTIL(head_of_b(&w, &vm) > now + 4);
    merge_on_b(&w, &vm);
    UNTIL(head_of_b(&w, &vm) > now + 8);
    g_assert_cmpuint(logs_on_b(&w, &vm), >, 5); /* they wait for c */
    link_cut(w.link_c, false);
    change_1(&w, &vm, 7); /* no back-off */
    change_1(&w, &vm, 3);
    UNTIL(({ merge_on_b(&w, &vm); g_usleep(50000); logs_on_b(&w, &vm) < 5; })); /* c has them */
    g_assert_cmpuint(compare_c(&w, &w.a, &vm), >, 0);
    COVERS("extended replication", "other host dies", "third away: the second goes on, keeps what the third lacks and sends it later");
    world_close(&w);
}

/* More waits for c than an outbox holds: b merges it, and c gets the differences by comparison. */
static void
test_beyond_budget(void)
{
    struct world w = { .outbox_max = 1 << 20 };
    const struct uuid vm = extended(&w);
    world_wait_c(&w, &vm);
    keep_nothing_on_b(&w, &vm);
    link_cut(w.link_c, true);
    const struct uuid before = base_on_b(&w, &vm);
    fill_disks(&w, &vm);
    const guint64 now = head_of_b(&w, &vm);
    UNTIL(head_of_b(&w, &vm) > now + 2);
    UNTIL(({ merge_on_b(&w, &vm); g_usleep(50000); const struct uuid b = base_on_b(&w, &vm);
             logs_on_b(&w, &vm) < 4 && !uuid_equal(&b, &before); }));
    link_cut(w.link_c, false);
    change_1(&w, &vm, 7);
    change_1(&w, &vm, 3);
    world_wait_c(&w, &vm);
    g_assert_cmpuint(state_1(&w, &vm), ==, STATE_REPLICATING);
    g_assert_cmpuint(compare_c(&w, &w.a, &vm), >, 0); /* older points are still there */
    world_close(&w);
}

static void
test_resync(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = extended(&w);
    change_1(&w, &vm, 7);
    g_assert_true(repl_resynchronize(w.b.service, &vm, 0, "test", job, &err));
    g_assert_no_error(err);
    world_done(&w.b, job);
    g_assert_cmpuint(state_1(&w, &vm), ==, STATE_REPLICATING);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_c(&w, &vm);
    g_assert_cmpuint(compare_c(&w, &w.a, &vm), >, 0);
    world_close(&w);
}

static void
run_job(struct host *h, bool posted, const char *job)
{
    g_assert_true(posted);
    world_done(h, job);
}

/* A and B are gone. */
static void
test_last_host(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    const struct uuid vm = extended(&w);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_c(&w, &vm);
    host_down(&w.a);
    host_down(&w.b);
    g_autoptr(GArray) points = repl_points(w.c.service, &vm, NULL);
    const struct uuid newest = g_array_index(points, struct repl_point, points->len - 1).id;
    compare_point(&w.a, &w.c, &vm, &newest);
    run_job(&w.c, repl_failover(w.c.service, &vm, NULL, false, "t", job, NULL), job);
    g_assert_cmpuint(world_state(&w.c, &vm), ==, STATE_RECOVERED);
    act_power(&w.c, &vm, 2);
    host_up(&w, &w.b); /* b comes back and finds out */
    UNTIL(state_1(&w, &vm) == STATE_CRITICAL);
    run_job(&w.c, repl_commit(w.c.service, &vm, "t", job, NULL), job);
    g_assert_cmpuint(world_state(&w.c, &vm), ==, STATE_COMMITTED);
    COVERS("extended replication", "other host dies",
           "first and second dead: the third fails over; the second comes back, finds out and stops (8)");
    world_close(&w);
}

/* A is gone: B fails over, commits, and goes on as C's primary. */
static void
test_promote(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = extended(&w);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_c(&w, &vm);
    host_down(&w.a);
    run_job(&w.b, repl_failover(w.b.service, &vm, NULL, false, "t", job, NULL), job);
    act_power(&w.b, &vm, 2);
    run_job(&w.b, repl_commit(w.b.service, &vm, "t", job, NULL), job);
    g_assert_true(repl_promote(w.b.service, &vm, 1, "t", job, &err));
    g_assert_no_error(err);
    world_done(&w.b, job);
    g_assert_cmpuint(mode_on(&w.b, &vm), ==, MODE_PRIMARY);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_REPLICATING);
    REFUSED(ERR_INVALID_PARAMETER, repl_promote(w.b.service, &vm, 1, "t", job, &err)); /* twice: there is none any more */
    fake_scribble(w.b.fake, &vm, w.rand, 20);
    world_wait_c(&w, &vm);
    UNTIL(mode_on(&w.c, &vm) == MODE_REPLICA);
    g_autoptr(GArray) points = repl_points(w.c.service, &vm, NULL);
    g_assert_cmpuint(points->len, >, 1); /* those of before are still there */
    const struct uuid newest = g_array_index(points, struct repl_point, points->len - 1).id;
    compare_point(&w.b, &w.c, &vm, &newest);
    host_down(&w.b);
    host_up(&w, &w.b);
    g_assert_cmpuint(mode_on(&w.b, &vm), ==, MODE_PRIMARY);
    world_close(&w);
}

static void
test_in_use(void)
{
    struct world w = { 0 };
    struct busy busy;
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = replicated(&w);
    struct repl_settings s = world_settings_c(&w, 300);
    world_busy(&w.b, &vm, &busy);
    REFUSED(ERR_IN_USE, repl_create(w.b.service, &vm, &s, "t", job, &err));
    repl_settings_clear(&s);
    world_idle(&busy);
    world_extend(&w, &vm);
    world_busy(&w.b, &vm, &busy);
    REFUSED(ERR_IN_USE, repl_start(w.b.service, &vm, 1, NULL, 0, "t", job, &err));
    world_idle(&busy);
    begin(&w, &vm, 1, job);
    world_done(&w.b, job);
    UNTIL(state_1(&w, &vm) == STATE_REPLICATING);
    world_busy(&w.c, &vm, &busy);
    REFUSED(ERR_IN_USE, repl_failover(w.c.service, &vm, NULL, false, "t", job, &err));
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_c(&w, &vm); /* what comes does not mind */
    world_idle(&busy);
    COVERS("extended replication", "during another job", "calls are refused (32774), what is under way goes on; later they work");
    world_close(&w);
}

int
main(int argc, char **argv)
{
    if (argc == 7 && !strcmp(argv[1], "--child"))
        child(argv);
    self = argv[0];
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/extended/chain", test_chain);
    g_test_add_func("/repl/extended/refusals", test_refusals);
    g_test_add_func("/repl/extended/pause-and-remove", test_pause_and_remove);
    g_test_add_func("/repl/extended/interrupted", test_interrupted);
    g_test_add_func("/repl/extended/export", test_export);
    g_test_add_func("/repl/extended/export-goes-on", test_export_goes_on);
    g_test_add_func("/repl/extended/export-restarted", test_export_restarted);
    g_test_add_func("/repl/extended/export-given-up", test_export_given_up);
    g_test_add_func("/repl/extended/killed", test_killed);
    g_test_add_func("/repl/extended/export-killed", test_export_killed);
    g_test_add_func("/repl/extended/retention", test_retention);
    g_test_add_func("/repl/extended/beyond-budget", test_beyond_budget);
    g_test_add_func("/repl/extended/resync", test_resync);
    g_test_add_func("/repl/extended/last-host", test_last_host);
    g_test_add_func("/repl/extended/promote", test_promote);
    g_test_add_func("/repl/extended/in-use", test_in_use);
    return g_test_run();
}
