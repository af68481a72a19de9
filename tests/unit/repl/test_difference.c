/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "acts.h"

#include "base/clean.h"
#include "base/err.h"
#include "fake_guest.h"
#include "log/format.h"
#include "log/reader.h"
#include "repl/compare.h"
#include "repl/proof.h"
#include "repl/work.h"
#include "store/layout.h"
#include "store/view.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

/* Both hosts are compared while the guest writes: nothing is called different that is not, nothing that is stays hidden, and a repair makes
 * the newest state right. */

enum { PAGE = 4096 };

static struct uuid
replicated(struct world *w, guint interval_ms)
{
    w->scrub_bytes_per_s = 64 << 20;
    world_open(w);
    const struct uuid vm = world_guest(w, 2);
    world_enable(w, &vm, interval_ms);
    world_start(w, &vm);
    for (int i = 0; i < 3; i++) {
        fake_scribble(w->a.fake, &vm, w->rand, 20);
        world_wait_cycle(w, &vm);
    }
    return vm;
}

static struct job_info
compare(struct world *w, const struct uuid *vm, bool repair)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    repl_compare(w->a.service, vm, repair, "test", job, &err);
    g_assert_no_error(err);
    return world_wait(&w->a, job);
}

static struct repl_statistics
look(struct host *h, const struct uuid *vm)
{
    struct repl_statistics s;
    g_assert_true(repl_statistics(h->service, vm, 0, &s, NULL, NULL));
    return s;
}

static void
expect(struct world *w, const struct uuid *vm, bool repair, guint64 different)
{
    struct job_info info = compare(w, vm, repair);
    g_assert_cmpint(info.state, ==, different ? JOB_WARNINGS : JOB_COMPLETED);
    if (different)
        g_assert_nonnull(strstr(info.warning, "disk vda at byte"));
    job_info_clear(&info);
    const struct repl_statistics s = look(&w->a, vm);
    g_assert_cmpuint(s.different_pages, ==, different);
    g_assert_cmpuint(s.compared_pages, ==, 2 * (2 << 20) / PAGE);
    g_assert_true(world_healthy(&w->a, vm, "different") == (different && !repair));
}

/* ---- a guest that writes all the time ---- */

struct writer {
    struct world *w;
    struct uuid vm;
    gint stop;
};

/* A burst, and then no more before the next instant: the fake's lock is not fair, and a thread that takes it again at once could keep
 * captures waiting for ever. */
static gpointer
write_on(gpointer user)
{
    enum { BURST = 40 };
    struct writer *x = user;
    GRand *rand = g_rand_new_with_seed(7);
    while (!g_atomic_int_get(&x->stop)) {
        const guint instants = fake_instants(x->w->a.fake);
        for (guint i = 0; i < BURST; i++)
            fake_scribble(x->w->a.fake, &x->vm, rand, 5);
        while (!g_atomic_int_get(&x->stop) && fake_instants(x->w->a.fake) == instants)
            g_usleep(1000);
    }
    g_rand_free(rand);
    return NULL;
}

static void
test_same(void)
{
    struct world w = { 0 };
    const struct uuid vm = replicated(&w, 250);
    struct writer x = { .w = &w, .vm = vm };
    GThread *t = g_thread_new("writer", write_on, &x);
    for (int i = 0; i < 5; i++)
        expect(&w, &vm, false, 0);
    g_atomic_int_set(&x.stop, 1);
    g_thread_join(t);
    world_close(&w);
}

/* ---- what is different ---- */

/* The disk changes and no bitmap says so: what the primary never sent. */
static void
write_unseen(struct world *w, const struct uuid *vm, guint64 offset)
{
    struct fake_host *h = w->a.fake;
    HOLD(&h->lock);
    struct fake_guest *g = fake_guest_locked(h, vm);
    struct fake_disk *d = g->disks->pdata[0];
    for (guint i = 0; i < PAGE; i++)
        d->data[offset + i] ^= 0x77;
}

static void
test_never_sent(void)
{
    struct world w = { 0 };
    const struct uuid vm = replicated(&w, 250);
    write_unseen(&w, &vm, 40 * PAGE);
    write_unseen(&w, &vm, 41 * PAGE);
    write_unseen(&w, &vm, 300 * PAGE);
    expect(&w, &vm, false, 3);
    host_down(&w.a);
    host_up(&w, &w.a); /* the reason stays */
    g_assert_true(world_healthy(&w.a, &vm, "different"));
    world_wait_cycle(&w, &vm);
    expect(&w, &vm, true, 3);
    world_wait_cycle(&w, &vm);
    expect(&w, &vm, false, 0);
    g_autoptr(GArray) points = repl_points(w.b.service, &vm, NULL);
    world_compare_point(&w, &vm, &g_array_index(points, struct repl_point, points->len - 1).id);
    world_close(&w);
}

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

/* The newest frame with data of a log: nothing has overwritten it as long as the guest rests.  `held` gets what it has. */
static guint64
damage_newest_frame(const char *folder, struct extents *held)
{
    g_autoptr(GArray) entries = layout_list_logs(folder, NULL);
    for (guint i = entries->len; i-- > 0;) {
        const struct layout_entry *e = &g_array_index(entries, struct layout_entry, i);
        g_autofree char *path = layout_log_path(folder, e->sequence, &e->id);
        struct log_reader *r = log_reader_open(path, NULL);
        guint64 at = 0, pages = 0;
        for (guint n = 0; r && !at && n < log_reader_frames(r); n++) {
            const struct log_frame *f = log_reader_frame(r, n);
            at = f->stored_length && f->disk == 0 ? f->file_offset + LOG_FRAME_FIXED + f->extents_length : 0;
            pages = f->raw_length / PAGE;
            struct log_extent_iter it = log_frame_extents(f);
            struct log_extent x;
            while (at && held && log_extent_next(&it, &x))
                if (!x.zero)
                    extents_add(held, x.offset, x.length, EXTENT_DATA);
        }
        log_reader_close(r);
        if (!at)
            continue;
        flip(path, at, 1);
        return pages;
    }
    g_assert_not_reached();
}

static const struct repl_point *
newest(const GArray *points)
{
    return &g_array_index(points, struct repl_point, points->len - 1);
}

/* A damaged frame in the middle of the logs, which nothing can read: the pages are sent again, and with them it is mended in place, so that
 * every point is whole. */
static void
test_damaged_log(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    const struct uuid vm = replicated(&w, 250);
    g_autofree char *folder = world_folder(&w, &vm);
    const guint64 pages = damage_newest_frame(folder, NULL);
    world_wait_cycle(&w, &vm);
    act_verify(&w.b, &vm);
    g_autoptr(GArray) before = repl_points(w.b.service, &vm, NULL);
    g_assert_true(newest(before)->damaged);
    g_assert_false(repl_failover(w.b.service, &vm, NULL, false, "test", job, NULL));
    expect(&w, &vm, false, pages);
    expect(&w, &vm, true, pages);
    fake_scribble(w.a.fake, &vm, w.rand, 20); /* that it is written now makes no difference */
    world_wait_cycle(&w, &vm);
    UNTIL(look(&w.b, &vm).proof.places == 0);
    act_verify(&w.b, &vm);
    g_assert_cmpuint(look(&w.b, &vm).proof.places, ==, 0);
    g_assert_cmpuint(look(&w.b, &vm).proof.points, ==, 0);
    g_assert_true(world_healthy(&w.b, &vm, NULL));
    g_assert_cmpuint(world_compare(&w, &vm), >, 3);
    expect(&w, &vm, false, 0);
    act_failover(&w.b, &vm, &newest(before)->id);
    world_close(&w);
}

static void
write_again(struct world *w, const struct uuid *vm, const struct extents *where)
{
    guint8 page[PAGE];
    for (size_t i = 0; i < extents_count(where); i++)
        for (guint64 at = 0; at < extents_at(where, i)->length; at += PAGE) {
            for (guint n = 0; n < PAGE; n++)
                page[n] = (guint8)g_rand_int(w->rand);
            fake_write(w->a.fake, vm, 0, extents_at(where, i)->offset + at, page, PAGE);
        }
}

static char *
issue_text(struct host *h, const struct uuid *vm, const char *id)
{
    struct repl_statistics s;
    g_autoptr(GPtrArray) issues = NULL;
    g_assert_true(repl_statistics(h->service, vm, 0, &s, &issues, NULL));
    for (guint i = 0; i < issues->len; i++) {
        const struct repl_issue *issue = issues->pdata[i];
        if (!strcmp(issue->id, id))
            return g_strdup(issue->message);
    }
    return g_strdup("");
}

/* The guest has written all of it since: the newest state is whole, older points stay damaged, and that is said. */
static void
test_overwritten_log(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    const struct uuid vm = replicated(&w, 250);
    extents_auto held = extents_new();
    g_autofree char *folder = world_folder(&w, &vm);
    damage_newest_frame(folder, held);
    act_verify(&w.b, &vm);
    g_autoptr(GArray) before = repl_points(w.b.service, &vm, NULL);
    g_assert_true(newest(before)->damaged);
    write_again(&w, &vm, held);
    world_wait_cycle(&w, &vm);
    expect(&w, &vm, true, 0);
    for (bool said = false; !said;) { /* with a later log it is looked at again */
        world_wait_cycle(&w, &vm);
        g_autofree char *text = issue_text(&w.b, &vm, "damaged");
        said = strstr(text, "cannot be mended") != NULL;
    }
    g_autoptr(GArray) after = repl_points(w.b.service, &vm, NULL);
    g_assert_false(newest(after)->damaged);
    g_assert_false(repl_failover(w.b.service, &vm, &newest(before)->id, false, "test", job, NULL));
    host_down(&w.b);
    host_up(&w, &w.b); /* it stays known */
    UNTIL(world_healthy(&w.b, &vm, "damaged"));
    g_autofree char *text = issue_text(&w.b, &vm, "damaged");
    g_assert_nonnull(strstr(text, "cannot be mended"));
    world_close(&w);
}

/* A log whose header is damaged cannot be opened at all, nor can any point after it.  The replica goes back, the primary goes on. */
static void
test_lost_log(void)
{
    struct world w = { 0 };
    const struct uuid vm = replicated(&w, 250);
    g_autofree char *folder = world_folder(&w, &vm);
    g_autoptr(GArray) entries = layout_list_logs(folder, NULL);
    const struct layout_entry *e = &g_array_index(entries, struct layout_entry, entries->len - 1);
    g_autofree char *path = layout_log_path(folder, e->sequence, &e->id);
    world_wait_cycle(&w, &vm); /* it is not the newest */
    flip(path, 30, 1);
    act_verify(&w.b, &vm);
    g_autoptr(GArray) before = repl_points(w.b.service, &vm, NULL);
    g_assert_true(newest(before)->damaged);
    struct job_info info = compare(&w, &vm, false);
    g_assert_cmpstr(info.error_id, ==, "corrupt");
    job_info_clear(&info);
    info = compare(&w, &vm, true);
    g_assert_true(job_state_final(info.state) && info.state != JOB_EXCEPTION);
    job_info_clear(&info);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    world_wait_cycle(&w, &vm);
    UNTIL(look(&w.b, &vm).proof.ended_us && look(&w.b, &vm).proof.places == 0);
    g_autoptr(GArray) after = repl_points(w.b.service, &vm, NULL);
    g_assert_false(newest(after)->damaged);
    world_compare_point(&w, &vm, &newest(after)->id);
    g_assert_true(uuid_equal(&g_array_index(after, struct repl_point, 0).id, &g_array_index(before, struct repl_point, 0).id));
    g_assert_cmpuint(fake_full_reads(w.a.fake), >=, 1);
    expect(&w, &vm, false, 0);
    world_close(&w);
}

/* Once this thread has seen the damaged log, the oldest one is merged with the next just before it is opened.  Called instead of libc's. */
static struct {
    GThread *by;
    struct store *store;
    struct uuid first, second;
    char *damaged, *oldest;
    bool seen, merged;
} between;

int
open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
    va_end(more);
    const bool ours = g_atomic_pointer_get(&between.by) == g_thread_self();
    if (ours && !strcmp(path, between.damaged))
        between.seen = true;
    if (ours && between.seen && !between.merged && !strcmp(path, between.oldest)) {
        between.merged = true;
        g_assert_true(store_consolidate(between.store, &between.first, &between.second, NULL, NULL));
    }
    return openat(AT_FDCWD, path, flags, mode);
}

/* The newest log is damaged, and the replica is asked about it. */
static void
ask_beside_merge(struct relation *rel)
{
    const guint8 key[HASH_SECRET] = { 0 };
    g_autoptr(GError) err = NULL;
    task_stop(rel->in.maintain); /* nobody else merges */
    g_autoptr(GArray) logs = store_logs(rel->in.store);
    const struct store_log *l = (const struct store_log *)(gpointer)logs->data, *last = l + logs->len - 1;
    g_assert_cmpuint(logs->len, >=, 3);
    between.store = rel->in.store;
    between.first = l[0].id;
    between.second = l[1].id;
    between.oldest = store_log_path(rel->in.store, &l[0].id);
    between.damaged = store_log_path(rel->in.store, &last->id);
    flip(between.damaged, 30, 1);
    const struct wire_hash_query query = { .vm = rel->vm, .log = last->id, .count = 1, .key = key, .mend = true };
    struct wire_hashes none = { 0 };
    g_atomic_pointer_set(&between.by, g_thread_self());
    g_assert_false(compare_answer(rel, &query, &none, &err));
    g_atomic_pointer_set(&between.by, NULL);
    g_assert_error(err, ERR, ERR_OUT_OF_SEQUENCE);
    g_assert_true(between.merged);
    struct store_log head;
    g_assert_true(store_head(rel->in.store, &head) && uuid_equal(&head.id, &last[-1].id));
    g_free(between.oldest);
    g_free(between.damaged);
}

/* While it is looked for the log that is lost, others are merged: these are not, and nothing before the lost one goes. */
static void
test_lost_beside_merge(void)
{
    struct world w = { 0 };
    const struct uuid vm = replicated(&w, 250);
    world_cut(&w, true);
    {
        relation_auto rel = core_find(w.b.service->core, &vm, 0);
        ask_beside_merge(rel);
    }
    world_close(&w);
}

static bool
has_fuzzy_log(const char *folder)
{
    g_autoptr(GArray) entries = layout_list_logs(folder, NULL);
    bool fuzzy = false;
    for (guint i = 0; i < entries->len && !fuzzy; i++) {
        const struct layout_entry *e = &g_array_index(entries, struct layout_entry, i);
        g_autofree char *path = layout_log_path(folder, e->sequence, &e->id);
        struct log_info info = { 0 };
        fuzzy = log_read_info(path, &info, NULL) && info.flags & LOG_FLAG_FUZZY;
        log_info_clear(&info);
    }
    return fuzzy;
}

/* A page of the base that nothing has written since: it is mended in place, and every point is whole again. */
static void
test_damaged_base(void)
{
    struct world w = { 0 };
    const struct uuid vm = replicated(&w, 250);
    g_autofree char *folder = world_folder(&w, &vm), *path = layout_disk_path(folder, 0);
    UNTIL(!has_fuzzy_log(folder)); /* the first copy is in the base then */
    struct damage *d = damage_new(true, &UUID_NIL, 1, 0);
    guint64 at = 0;
    for (d->until = 0; d->until != UINT64_MAX; at += PAGE) {
        d->until = UINT64_MAX;
        extents_clear(d->where);
        extents_add(d->where, at, PAGE, EXTENT_DATA);
        g_assert_true(damage_reach(d, folder, NULL));
    }
    damage_free(d);
    flip(path, at - PAGE, PAGE);
    act_verify(&w.b, &vm);
    g_autoptr(GArray) before = repl_points(w.b.service, &vm, NULL);
    g_assert_true(newest(before)->damaged && g_array_index(before, struct repl_point, 0).damaged);
    expect(&w, &vm, true, 1);
    UNTIL(({ /* first it is known to be whole, then the points are looked at */
        const struct repl_proof p = look(&w.b, &vm).proof;
        p.places == 0 && p.points == 0;
    }));
    UNTIL(world_healthy(&w.b, &vm, NULL));
    g_assert_cmpuint(world_compare(&w, &vm), >, 3);
    world_close(&w);
}

/* ---- an extended replica ---- */

static struct uuid
extended(struct world *w)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    w->scrub_bytes_per_s = 64 << 20;
    world_open(w);
    world_third(w);
    const struct uuid vm = world_guest(w, 2);
    world_enable(w, &vm, 250);
    world_start(w, &vm);
    world_extend(w, &vm);
    g_assert_true(repl_start(w->b.service, &vm, 1, NULL, 0, "test", job, &err));
    world_done(&w->b, job);
    return vm;
}

static char *
folder_on(struct host *h, const struct uuid *vm)
{
    struct repl_relation r = world_relation(h, vm);
    char *folder = g_strdup(r.folder);
    repl_relation_clear(&r);
    return folder;
}

static bool
is_different(struct world *w, const struct uuid *vm)
{
    struct repl_statistics s;
    g_autoptr(GPtrArray) issues = NULL;
    bool yes = false;
    g_assert_true(repl_statistics(w->b.service, vm, 1, &s, &issues, NULL));
    for (guint i = 0; i < issues->len; i++)
        yes |= !strcmp(((struct repl_issue *)issues->pdata[i])->id, "different");
    return yes;
}

/* On the host in the middle. */
static void
expect_extended(struct world *w, const struct uuid *vm, bool repair, guint64 different)
{
    char job[UUID_TEXT];
    struct repl_statistics s;
    g_autoptr(GError) err = NULL;
    repl_compare(w->b.service, vm, repair, "test", job, &err);
    g_assert_no_error(err);
    struct job_info info = world_wait(&w->b, job);
    g_assert_cmpint(info.state, ==, different ? JOB_WARNINGS : JOB_COMPLETED);
    job_info_clear(&info);
    g_assert_true(repl_statistics(w->b.service, vm, 1, &s, NULL, NULL));
    g_assert_cmpuint(s.different_pages, ==, different);
    g_assert_cmpuint(s.compared_pages, ==, 2 * (2 << 20) / PAGE);
    g_assert_true(is_different(w, vm) == (different && !repair));
}

static void
test_extended_same(void)
{
    struct world w = { 0 };
    const struct uuid vm = extended(&w);
    struct writer x = { .w = &w, .vm = vm };
    GThread *t = g_thread_new("writer", write_on, &x);
    for (int i = 0; i < 4; i++) {
        expect_extended(&w, &vm, i == 2, 0);
        world_wait_c(&w, &vm);
    }
    g_atomic_int_set(&x.stop, 1);
    g_thread_join(t);
    world_close(&w);
}

/* What c cannot read any more, b has: it is found, sent with the next log of the chain, and c's newest point is a's disks again. */
static void
test_extended_damaged(void)
{
    struct world w = { 0 };
    const struct uuid vm = extended(&w);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_c(&w, &vm);
    world_wait_c(&w, &vm);
    g_autofree char *c = folder_on(&w.c, &vm);
    const guint64 pages = damage_newest_frame(c, NULL);
    expect_extended(&w, &vm, false, pages);
    host_down(&w.b);
    host_up(&w, &w.b); /* the reason stays */
    g_assert_true(is_different(&w, &vm));
    world_wait_c(&w, &vm);
    expect_extended(&w, &vm, true, pages);
    expect_extended(&w, &vm, false, 0);
    world_wait_c(&w, &vm);
    g_autoptr(GArray) points = repl_points(w.c.service, &vm, NULL);
    struct view *v = view_open(c, &newest(points)->id, NULL);
    g_assert_nonnull(v);
    for (guint d = 0; d < view_disks(v); d++) {
        g_autoptr(GBytes) expected = fake_instant(w.a.fake, &newest(points)->id, d);
        g_autofree char *got = g_malloc(2 << 20);
        g_assert_true(block_read(view_disk(v, d), got, 2 << 20, 0, NULL));
        g_assert_cmpmem(got, 2 << 20, g_bytes_get_data(expected, NULL), g_bytes_get_size(expected));
    }
    view_close(v);
    world_close(&w);
}

static void
test_extended_refused(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = extended(&w);
    g_assert_false(repl_compare(w.c.service, &vm, false, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_clear_error(&err);
    g_assert_true(repl_state_change(w.b.service, &vm, 1, 7, "test", job, &err));
    if (*job)
        world_done(&w.b, job);
    g_assert_false(repl_compare(w.b.service, &vm, false, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    world_close(&w);
}

/* A repair waits for a log that the primary does not make: it can be given up. */
static void
test_extended_given_up(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = extended(&w);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    world_wait_c(&w, &vm);
    world_cut(&w, true);
    world_drain(&w); /* else a log that comes late would end the repair */
    relation_auto base = core_find(w.b.service->core, &vm, 0);
    relation_auto rel = core_find(w.b.service->core, &vm, 1);
    UNTIL(({
        struct store_log head;
        HOLD(&rel->lock);
        store_head(base->in.store, &head) && uuid_equal(&head.id, &rel->r.acked);
    }));
    g_autofree char *c = folder_on(&w.c, &vm);
    damage_newest_frame(c, NULL);
    g_assert_true(repl_compare(w.b.service, &vm, true, "test", job, &err));
    UNTIL(({
        HOLD(&rel->lock);
        rel->s.mend != NULL;
    }));
    g_assert_false(repl_compare(w.b.service, &vm, false, "test", (char[UUID_TEXT]){ 0 }, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    g_clear_error(&err);
    g_assert_true(job_cancel(repl_jobs(w.b.service), job, &err));
    struct job_info info = world_wait(&w.b, job);
    g_assert_cmpint(info.state, ==, JOB_TERMINATED);
    job_info_clear(&info);
    world_cut(&w, false);
    world_wait_c(&w, &vm);
    world_close(&w);
}

/* ---- by the way ---- */

static void
test_refused(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT], pause[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = replicated(&w, 250);
    g_assert_false(repl_compare(w.b.service, &vm, false, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_clear_error(&err);
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 7, "test", pause, &err));
    if (*pause)
        world_done(&w.a, pause);
    g_assert_false(repl_compare(w.a.service, &vm, false, "test", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    world_close(&w);
}

/* In the middle of reading. */
static void
test_cancel(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    const struct uuid vm = replicated(&w, 250);
    fake_block_reads(w.a.fake, true);
    g_assert_true(repl_compare(w.a.service, &vm, false, "test", job, &err));
    g_assert_no_error(err);
    UNTIL(fake_reads_waiting(w.a.fake));
    g_assert_true(job_cancel(repl_jobs(w.a.service), job, &err));
    fake_block_reads(w.a.fake, false);
    struct job_info info = world_wait(&w.a, job);
    g_assert_cmpint(info.state, ==, JOB_TERMINATED);
    job_info_clear(&info);
    expect(&w, &vm, false, 0);
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/difference/same", test_same);
    g_test_add_func("/repl/difference/never-sent", test_never_sent);
    g_test_add_func("/repl/difference/damaged-log", test_damaged_log);
    g_test_add_func("/repl/difference/overwritten-log", test_overwritten_log);
    g_test_add_func("/repl/difference/lost-log", test_lost_log);
    g_test_add_func("/repl/difference/lost-beside-merge", test_lost_beside_merge);
    g_test_add_func("/repl/difference/damaged-base", test_damaged_base);
    g_test_add_func("/repl/difference/extended-same", test_extended_same);
    g_test_add_func("/repl/difference/extended-damaged", test_extended_damaged);
    g_test_add_func("/repl/difference/extended-refused", test_extended_refused);
    g_test_add_func("/repl/difference/extended-given-up", test_extended_given_up);
    g_test_add_func("/repl/difference/refused", test_refused);
    g_test_add_func("/repl/difference/cancel", test_cancel);
    return g_test_run();
}
