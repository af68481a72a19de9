/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/clean.h"
#include "base/err.h"
#include "log/format.h"
#include "log/reader.h"
#include "repl/proof.h"
#include "repl/work.h"
#include "store/layout.h"
#include "store/scrub.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A replica with bytes that are not its own: they are found, said, refused. */

enum { PAGE = 4096, QUICK = 64 << 20 };

/* ---- a replica at rest ---- */

static GArray *
points(struct world *w, const struct uuid *vm)
{
    return repl_points(w->b.service, vm, NULL);
}

#define POINT(list, i) (&g_array_index(list, struct repl_point, i))

/* The first copy is whole and no log any more. */
static bool
is_merged(struct world *w, const struct uuid *vm)
{
    struct store_log base;
    relation_auto rel = core_find(w->b.service->core, vm, 0);
    return store_base(rel->in.store, &base);
}

/* Several points over a base, and nothing that changes any more. */
static struct uuid
rested(struct world *w, guint64 rate)
{
    w->scrub_bytes_per_s = rate;
    world_open(w);
    const struct uuid vm = world_guest(w, 2);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    for (int i = 0; i < 4; i++) {
        fake_scribble(w->a.fake, &vm, w->rand, 20);
        world_wait_cycle(w, &vm);
    }
    act_request(&w->a, &vm, 7);
    world_drain(w);
    UNTIL(is_merged(w, &vm));
    return vm;
}

static struct relation *
replica(struct world *w, const struct uuid *vm)
{
    return core_find(w->b.service->core, vm, 0);
}

static struct repl_proof
look(struct world *w, const struct uuid *vm)
{
    struct repl_statistics s;
    g_assert_true(repl_statistics(w->b.service, vm, 0, &s, NULL, NULL));
    return s.proof;
}

/* ---- damage ---- */

static void
flip(const char *path, guint64 at, gsize len)
{
    auto_fd fd = open(path, O_RDWR | O_CLOEXEC);
    g_autofree guint8 *data = g_malloc(len);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, data, len, (off_t)at), ==, (gssize)len);
    for (gsize i = 0; i < len; i++)
        data[i] ^= 0x5a;
    g_assert_cmpint(pwrite(fd, data, len, (off_t)at), ==, (gssize)len);
}

/* A byte of the data, or of the head, of a frame of a point's change log. */
static bool
damage_log(struct world *w, const struct uuid *vm, const struct uuid *point, bool head)
{
    guint64 at = 0;
    g_autofree char *folder = world_folder(w, vm);
    g_autoptr(GArray) entries = layout_list_logs(folder, NULL);
    const struct layout_entry *e = layout_find(entries, point);
    if (!e)
        return false;
    g_autofree char *path = layout_log_path(folder, e->sequence, &e->id);
    struct log_reader *r = log_reader_open(path, NULL);
    g_assert_nonnull(r);
    for (guint i = 0; i < log_reader_frames(r); i++) {
        const struct log_frame *f = log_reader_frame(r, i);
        if (f->stored_length)
            at = f->file_offset + (head ? 0 : LOG_FRAME_FIXED + f->extents_length);
    }
    log_reader_close(r);
    if (at)
        flip(path, at, 1);
    return at != 0;
}

static void
damage_base(struct world *w, const struct uuid *vm, guint64 at)
{
    g_autofree char *folder = world_folder(w, vm), *path = layout_disk_path(folder, 0);
    flip(path, at, PAGE);
}

/* ---- what comes of it ---- */

static guint
count_damaged(const GArray *list)
{
    guint n = 0;
    for (guint i = 0; i < list->len; i++)
        n += POINT(list, i)->damaged;
    return n;
}

static void
test_whole(void)
{
    struct world w = { 0 };
    const struct uuid vm = rested(&w, QUICK);
    UNTIL(look(&w, &vm).ended_us); /* the first pass begins by itself */
    act_verify(&w.b, &vm);
    g_autoptr(GArray) list = points(&w, &vm);
    g_assert_cmpuint(list->len, >=, 4);
    g_assert_cmpuint(count_damaged(list), ==, 0);
    g_assert_cmpuint(look(&w, &vm).places, ==, 0);
    g_assert_cmpuint(look(&w, &vm).checked, >, 0);
    world_close(&w);
}

/* The log of the second oldest point that is one. */
static const struct repl_point *
middle(struct world *w, const struct uuid *vm, GArray *list, bool head)
{
    for (guint i = 1; i + 1 < list->len; i++)
        if (damage_log(w, vm, &POINT(list, i)->id, head))
            return POINT(list, i);
    g_assert_not_reached();
}

static void
test_log(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT], id[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = rested(&w, QUICK);
    g_autoptr(GArray) list = points(&w, &vm);
    const struct repl_point *hit = middle(&w, &vm, list, false);
    act_verify(&w.b, &vm);
    UNTIL(world_healthy(&w.b, &vm, "damaged"));
    g_assert_cmpuint(look(&w, &vm).places, ==, 1);

    g_autoptr(GArray) after = points(&w, &vm);
    g_assert_cmpuint(count_damaged(after), >=, 1);
    for (guint i = 0; i < after->len; i++)
        g_assert_true(POINT(after, i)->damaged || POINT(after, i)->capture_us != hit->capture_us);
    g_assert_false(POINT(after, 0)->damaged);

    /* Refused, with a whole point named, which is taken. */
    g_assert_false(repl_failover(w.b.service, &vm, &hit->id, false, "test", job, &err));
    g_assert_error(err, ERR, ERR_CORRUPT);
    g_assert_nonnull(strstr(err->message, "disk vd"));
    guint before = 0;
    for (guint i = 0; i < after->len && !uuid_equal(&POINT(after, i)->id, &hit->id); i++)
        before = POINT(after, i)->damaged ? before : i;
    g_assert_nonnull(strstr(err->message, uuid_format(&POINT(after, before)->id, id)));
    g_clear_error(&err);
    g_assert_false(repl_test_failover(w.b.service, &vm, &hit->id, false, "test", job, &err));
    g_assert_error(err, ERR, ERR_CORRUPT);
    g_clear_error(&err);
    g_assert_true(repl_test_failover(w.b.service, &vm, &POINT(after, 0)->id, false, "test", job, &err));
    g_assert_no_error(err);
    world_done(&w.b, job);
    world_close(&w);
}

/* The index tells what the head must be, so nobody is asked. */
static void
test_head(void)
{
    struct world w = { 0 };
    const struct uuid vm = rested(&w, QUICK);
    g_autoptr(GArray) list = points(&w, &vm);
    middle(&w, &vm, list, true);
    act_verify(&w.b, &vm);
    UNTIL(look(&w, &vm).places == 0);
    act_verify(&w.b, &vm);
    g_assert_cmpuint(look(&w, &vm).places, ==, 0);
    g_assert_cmpuint(world_compare(&w, &vm), >=, list->len);
    world_close(&w);
}

/* Offset of a page of the base's first disk that no log has written again, so the newest state needs it. */
static guint64
untouched_page(struct world *w, const struct uuid *vm)
{
    g_autofree char *folder = world_folder(w, vm), *path = layout_disk_path(folder, 0);
    g_autoptr(GPtrArray) list = damage_list_new();
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    for (guint64 at = 0; at + PAGE <= (guint64)st.st_size; at += PAGE) {
        struct damage *d = damage_new(true, &UUID_NIL, 1, 0);
        extents_add(d->where, at, PAGE, EXTENT_DATA);
        g_ptr_array_add(list, d);
        g_assert_true(damage_reach(d, folder, NULL));
        if (d->until == UINT64_MAX)
            return at;
    }
    g_assert_not_reached();
}

static void
test_newest(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = rested(&w, QUICK);
    damage_base(&w, &vm, untouched_page(&w, &vm));
    act_verify(&w.b, &vm);
    g_autoptr(GArray) list = points(&w, &vm);
    g_assert_true(POINT(list, list->len - 1)->damaged);
    g_assert_false(repl_failover(w.b.service, &vm, NULL, false, "test", job, &err));
    g_assert_error(err, ERR, ERR_CORRUPT);
    g_assert_nonnull(strstr(err->message, "latest state"));
    g_clear_error(&err);
    g_assert_true(repl_failover(w.b.service, &vm, NULL, true, "test", job, &err)); /* forced */
    g_assert_no_error(err);
    world_done(&w.b, job);
    world_close(&w);
}

/* While what was found cannot be read, no point can be taken, for it might be a damaged one; that is tried again. */
static void
up_without_record(struct world *w, const struct uuid *vm, const struct uuid *damaged)
{
    char job[UUID_TEXT];
    g_autofree char *folder = world_folder(w, vm), *path = layout_path(folder, "scrub.json"), *aside = g_strconcat(folder, ".aside", NULL);
    g_assert_cmpint(rename(path, aside), ==, 0);
    g_assert_cmpint(symlink(path, path), ==, 0); /* ELOOP */
    host_up(w, &w->b);
    g_assert_false(repl_failover(w->b.service, vm, damaged, false, "test", job, NULL));
    g_assert_cmpint(rename(aside, path), ==, 0);
}

/* Little by little, over a restart: what was found stays known, and the pass goes on where it was. */
static void
test_restart(void)
{
    struct world w = { 0 };
    const struct uuid vm = rested(&w, 0);
    g_autoptr(GArray) list = points(&w, &vm);
    const struct repl_point *hit = middle(&w, &vm, list, false);
    host_down(&w.b);
    w.scrub_bytes_per_s = QUICK;
    host_up(&w, &w.b);
    UNTIL(look(&w, &vm).ended_us);
    g_assert_cmpuint(look(&w, &vm).places, ==, 1);
    const gint64 ended = look(&w, &vm).ended_us;
    host_down(&w.b);
    w.scrub_bytes_per_s = 0; /* nothing more is read */
    up_without_record(&w, &vm, &hit->id);
    UNTIL(world_healthy(&w.b, &vm, "damaged"));
    g_assert_cmpint(look(&w, &vm).ended_us, ==, ended);
    g_autoptr(GArray) after = points(&w, &vm);
    g_assert_cmpuint(count_damaged(after), >=, 1);
    world_close(&w);
}

/* As if the daemon had ended in the middle of a pass that had found all that is known. */
static void
cut_pass(struct world *w, const struct uuid *vm)
{
    struct scrub_record r;
    g_autofree char *folder = world_folder(w, vm);
    g_assert_true(scrub_record_load(&r, folder, NULL));
    GPtrArray *known = r.damage;
    r.damage = r.found;
    r.found = known;
    r.begun_us = r.ended_us;
    r.goal = r.done = 1;
    g_assert_true(scrub_record_save(&r, folder, NULL));
    scrub_record_clear(&r);
}

static bool
is_begun(struct relation *rel)
{
    HOLD(&rel->lock);
    return rel->in.proof.record.begun_us != 0;
}

/* Asked for while a pass is under way: all is read again, and what the other had found stays known. */
static void
test_begun_anew(void)
{
    struct world w = { 0 };
    const struct uuid vm = rested(&w, QUICK);
    damage_base(&w, &vm, untouched_page(&w, &vm));
    act_verify(&w.b, &vm);
    host_down(&w.b);
    cut_pass(&w, &vm);
    w.scrub_bytes_per_s = 1024; /* a piece is paid for in hours */
    host_up(&w, &w.b);
    relation_auto rel = replica(&w, &vm);
    g_assert_true(is_begun(rel));
    act_verify_begin(&w.b, &vm);
    g_assert_false(is_begun(rel));
    g_assert_cmpint(look(&w, &vm).ended_us, ==, 0);
    g_assert_cmpuint(look(&w, &vm).places, ==, 1);
    world_close(&w);
}

/* Slow, while cycles come and a failover wants the store: neither waits. */
static void
test_beside(void)
{
    struct world w = { 0 };
    const struct uuid vm = rested(&w, 1024); /* a piece is paid for in hours */
    act_request(&w.a, &vm, 3);
    for (int i = 0; i < 3; i++) {
        relation_auto rel = replica(&w, &vm);
        proof_begin(rel);
        fake_scribble(w.a.fake, &vm, w.rand, 20);
        world_wait_cycle(&w, &vm);
    }
    act_failover(&w.b, &vm, NULL);
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/proof/whole", test_whole);
    g_test_add_func("/repl/proof/log", test_log);
    g_test_add_func("/repl/proof/head", test_head);
    g_test_add_func("/repl/proof/newest", test_newest);
    g_test_add_func("/repl/proof/restart", test_restart);
    g_test_add_func("/repl/proof/begun-anew", test_begun_anew);
    g_test_add_func("/repl/proof/beside", test_beside);
    return g_test_run();
}
