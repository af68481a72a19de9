/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "patience.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "base/order.h"
#include "log/writer.h"
#include "repl/health.h"
#include "repl/outbox.h"
#include "repl/schedule.h"
#include "repl/stats.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The parts without a hypervisor: statistics, health, outbox, schedule. */

/* ---- statistics ---- */

static gint64
at(guint hour, guint minute)
{
    return ((gint64)20000 * 24 * 60 + hour * 60 + minute) * 60 * G_USEC_PER_SEC;
}

static void
test_windows(void)
{
    struct stats s = { 0 };
    const gint64 anchor = 6 * G_TIME_SPAN_HOUR;
    /* The contract's example: anchor 06:00, 12 h, enabled at 14:00 -> 14-18, 18-06, 06-18. */
    stats_open(&s, at(14, 0), anchor, 43200);
    g_assert_cmpint(s.now.end_us, ==, at(18, 0));
    g_assert_cmpint(stats_window_end(at(18, 0), anchor, 43200), ==, at(30, 0));
    g_assert_cmpint(stats_window_end(at(3, 0), anchor, 43200), ==, at(6, 0));
    stats_success(&s, 100, 40, 5);
    stats_success(&s, 50, 20, 9);
    stats_failure(&s, true);
    stats_failure(&s, false);
    stats_miss(&s, 3);
    s.now.last_test_us = 77;
    g_assert_false(stats_roll(&s, "x", at(17, 59), anchor, 43200));
    g_assert_cmpuint(s.now.success, ==, 2);
    g_assert_cmpuint(s.now.size, ==, 150);
    g_assert_cmpuint(s.now.max_size, ==, 100);
    g_assert_cmpuint(s.now.wire_bytes, ==, 60);
    g_assert_cmpint(s.now.latency_us, ==, 14);
    g_assert_cmpint(s.now.max_latency_us, ==, 9);
    g_assert_cmpuint(s.now.failures, ==, 2);
    g_assert_cmpuint(s.now.network_failures, ==, 1);
    g_autofree char *doc = stats_save(&s);
    struct stats back = { 0 };
    g_assert_true(stats_load(&back, doc, NULL));
    g_assert_true(!memcmp(&back.now, &s.now, sizeof s.now));
    g_assert_true(stats_roll(&s, "x", at(18, 0), anchor, 43200));
    g_assert_cmpuint(s.now.success + s.now.misses + s.now.failures, ==, 0);
    g_assert_cmpint(s.now.start_us, ==, at(18, 0));
    g_assert_cmpint(s.now.last_test_us, ==, 77);
}

/* ---- health ---- */

static guint
health(struct health_facts f, const char *issue)
{
    g_autoptr(GPtrArray) issues = g_ptr_array_new_with_free_func((GDestroyNotify)repl_issue_free);
    const guint h = health_of(&f, issues);
    bool found = !issue && !issues->len;
    for (guint i = 0; i < issues->len; i++) {
        const struct repl_issue *x = issues->pdata[i];
        g_assert_true(x->message && x->action);
        found |= !g_strcmp0(x->id, issue);
    }
    g_assert_true(found);
    g_assert_cmpuint(h, ==, health_of(&f, NULL));
    return h;
}

static void
test_health_states(void)
{
    struct health_facts f = { .side = SIDE_SENDER, .state = STATE_REPLICATING, .last_us = 1, .active_us = 1, .now_us = 2 };
    g_assert_cmpuint(health(f, NULL), ==, HEALTH_OK);
    f.state = STATE_DISABLED;
    g_assert_cmpuint(health(f, NULL), ==, HEALTH_NONE);
    f.state = STATE_READY;
    g_assert_cmpuint(health(f, "initial-pending"), ==, HEALTH_WARNING);
    f.state = STATE_SUSPENDED;
    g_assert_cmpuint(health(f, "paused"), ==, HEALTH_WARNING);
    f.side = SIDE_RECEIVER;
    g_assert_cmpuint(health(f, "paused-on-replica"), ==, HEALTH_CRITICAL);
    f.state = STATE_RECOVERED;
    g_assert_cmpuint(health(f, "failed-over"), ==, HEALTH_WARNING);
    f.state = STATE_CRITICAL;
    g_assert_cmpuint(health(f, "stopped"), ==, HEALTH_CRITICAL);
    f.state = STATE_RESYNC;
    g_assert_cmpuint(health(f, "resync-running"), ==, HEALTH_WARNING);
    f.state = STATE_WAITING_RESYNC;
    g_assert_cmpuint(health(f, "resync-required"), ==, HEALTH_CRITICAL);
}

static void
test_health_counters(void)
{
    struct repl_statistics s = { .success = 80, .misses = 20 };
    struct health_facts f = {.side = SIDE_SENDER, .state = STATE_REPLICATING, .last_us = 1, .active_us = 1, .now_us = 2, .statistics = &s};
    g_assert_cmpuint(health(f, NULL), ==, HEALTH_OK); /* exactly 20 % is still good */
    s.misses = 21;
    g_assert_cmpuint(health(f, "missed-cycles"), ==, HEALTH_WARNING);
    s.misses = 0;
    s.latency_us = 80 * 300 * G_TIME_SPAN_SECOND;
    g_assert_cmpuint(health(f, NULL), ==, HEALTH_OK);
    s.latency_us += 81;
    g_assert_cmpuint(health(f, "slow-cycles"), ==, HEALTH_WARNING);
    s.latency_us = 0;
    f.now_us = 1 + 60 * G_TIME_SPAN_MINUTE;
    g_assert_cmpuint(health(f, NULL), ==, HEALTH_OK);
    f.now_us++;
    g_assert_cmpuint(health(f, "silence"), ==, HEALTH_WARNING);
    f.now_us = 2;
    f.disk_bytes = 400;
    f.pending = 101;
    g_assert_cmpuint(health(f, "backlog"), ==, HEALTH_WARNING);
    f.trouble = "No route to host.";
    f.trouble_sends = true;
    g_assert_cmpuint(health(f, "cannot-send"), ==, HEALTH_CRITICAL);
}

/* ---- outbox ---- */

static struct outbox_log
put_some(struct outbox *o, const struct uuid *parent, guint64 sequence, guint pages, bool fuzzy)
{
    g_autoptr(GError) err = NULL;
    struct log_info info = { .vm = uuid_random(), .id = uuid_random(), .parent = *parent, .sequence = sequence, .kind = LOG_KIND_STANDARD,
                             .flags = fuzzy ? LOG_FLAG_FUZZY : 0 };
    struct log_totals totals;
    g_autofree guint8 *data = g_malloc(pages * 4096);
    memset(data, (int)sequence, pages * 4096);
    log_info_add_disk(&info, 0, "vda", 1 << 20);
    g_autofree char *path = outbox_new_path(o, &info.id);
    const struct log_writer_options options = { .anew = outbox_take_spare(o, path, fuzzy), .relaxed = fuzzy };
    struct log_writer *w = log_writer_create(path, &info, &options, &err);
    g_assert_true(w && log_writer_data(w, 0, 0, data, pages * 4096, &err) && log_writer_finish(w, &totals, &err));
    log_writer_free(w);
    const struct outbox_log log = { .id = info.id, .parent = *parent, .sequence = sequence, .bytes = totals.file_bytes,
                                    .raw_bytes = totals.raw_bytes, .fuzzy = fuzzy };
    g_assert_true(outbox_add(o, &log, &err));
    log_info_clear(&info);
    return log;
}

static struct outbox_log
put(struct outbox *o, const struct uuid *parent, guint64 sequence)
{
    return put_some(o, parent, sequence, 1, false);
}

static void
test_outbox(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmr-outbox-XXXXXX", NULL);
    struct outbox *o = outbox_open(dir, 0, &err);
    struct outbox_log x, logs[4];
    struct uuid parent = UUID_NIL;
    g_assert_false(outbox_first(o, &x));
    for (guint i = 0; i < 4; i++) {
        logs[i] = put(o, &parent, i + 1);
        parent = logs[i].id;
    }
    g_assert_cmpuint(outbox_count(o), ==, 4);
    g_assert_cmpuint(outbox_raw_bytes(o), ==, 4 * 4096);
    g_autofree char *junk = g_build_filename(dir, "half.tmp", NULL);
    g_assert_true(g_file_set_contents(junk, "x", 1, NULL));
    outbox_close(o);

    o = outbox_open(dir, 0, &err); /* the folder is the truth */
    g_assert_no_error(err);
    g_assert_false(g_file_test(junk, G_FILE_TEST_EXISTS));
    g_assert_true(outbox_first(o, &x) && uuid_equal(&x.id, &logs[0].id));
    g_assert_true(outbox_last(o, &x) && uuid_equal(&x.id, &logs[3].id));
    g_assert_cmpuint(x.raw_bytes, ==, 4096);
    g_assert_true(outbox_drop_through(o, &logs[0].id, &err));
    g_assert_true(outbox_drop_through(o, &logs[0].id, &err)); /* gone already */
    g_assert_cmpuint(outbox_count(o), ==, 3);
    g_assert_false(outbox_find(o, &logs[0].id, NULL));
    g_autofree char *second = outbox_path(o, &logs[2]);
    outbox_close(o);

    g_assert_cmpint(truncate(second, 50), ==, 0); /* torn: it and what follows it cannot be used */
    o = outbox_open(dir, 0, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(outbox_count(o), ==, 1);
    g_assert_true(outbox_last(o, &x) && uuid_equal(&x.id, &logs[1].id));
    gint cancel = 0;
    g_assert_true(outbox_wait_below(o, outbox_bytes(o) + 1, &cancel));
    cancel = 1;
    g_assert_false(outbox_wait_below(o, 0, &cancel));
    g_assert_true(outbox_clear(o, &err));
    outbox_close(o);
    g_assert_true(file_remove_tree(dir, NULL));
}

/* A log that cannot be read now may be read later: nothing is cut. */
static void
test_outbox_unreadable(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmr-outbox-XXXXXX", NULL), *aside = g_strconcat(dir, ".aside", NULL);
    struct outbox *o = outbox_open(dir, 0, &err);
    const struct outbox_log first = put(o, &UUID_NIL, 1), second = put(o, &first.id, 2), third = put(o, &second.id, 3);
    g_autofree char *path = outbox_path(o, &second), *last = outbox_path(o, &third);
    outbox_close(o);
    g_assert_cmpint(rename(path, aside), ==, 0);
    g_assert_cmpint(symlink(path, path), ==, 0); /* ELOOP */
    g_assert_null(outbox_open(dir, 0, &err));
    g_assert_error(err, ERR, ERR_IO);
    g_clear_error(&err);
    g_assert_cmpint(access(last, F_OK), ==, 0);
    g_assert_cmpint(rename(aside, path), ==, 0);
    o = outbox_open(dir, 0, &err);
    g_assert_no_error(err);
    g_assert_null(outbox_cut(o));
    g_assert_cmpuint(outbox_count(o), ==, 3);
    outbox_close(o);
    g_assert_true(file_remove_tree(dir, NULL));
}

/* A disk with a bad sector in that file: it is opened, and cannot be read. */
static struct stat bad;

ssize_t pread64(int fd, void *buf, size_t len, off64_t off);
ssize_t
pread64(int fd, void *buf, size_t len, off64_t off)
{
    ssize_t (*real)(int, void *, size_t, off64_t) = (ssize_t (*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    struct stat st;
    if (bad.st_ino && fstat(fd, &st) == 0 && st.st_ino == bad.st_ino && st.st_dev == bad.st_dev) {
        errno = EIO;
        return -1;
    }
    return real(fd, buf, len, off);
}

/* It will not be read the next time either: it is cut away, so that replication goes on. */
static void
test_outbox_bad_sector(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmr-outbox-XXXXXX", NULL);
    struct outbox *o = outbox_open(dir, 0, &err);
    const struct outbox_log first = put(o, &UUID_NIL, 1), second = put(o, &first.id, 2), third = put(o, &second.id, 3);
    g_autofree char *path = outbox_path(o, &second), *last = outbox_path(o, &third);
    outbox_close(o);
    g_assert_cmpint(stat(path, &bad), ==, 0);
    o = outbox_open(dir, 0, &err);
    bad.st_ino = 0;
    g_assert_no_error(err);
    g_assert_nonnull(strstr(outbox_cut(o), path));
    g_assert_cmpuint(outbox_count(o), ==, 1);
    g_assert_cmpint(access(path, F_OK), ==, -1);
    g_assert_cmpint(access(last, F_OK), ==, -1);
    outbox_close(o);
    g_assert_true(file_remove_tree(dir, NULL));
}

/* Acknowledged logs are off the list at once; their files go when that is saved, and those that come back go at open. */
static void
test_outbox_sweep(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmr-outbox-XXXXXX", NULL);
    struct outbox *o = outbox_open(dir, 0, &err);
    struct outbox_log x, logs[5];
    char *paths[5];
    struct uuid parent = UUID_NIL;
    for (guint i = 0; i < 5; i++) {
        logs[i] = put(o, &parent, i + 7);
        paths[i] = outbox_path(o, &logs[i]);
        parent = logs[i].id;
    }
    outbox_acknowledged(o, &logs[2].id);
    outbox_acknowledged(o, &logs[2].id);
    g_assert_cmpuint(outbox_count(o), ==, 2);
    g_assert_true(outbox_first(o, &x) && uuid_equal(&x.id, &logs[3].id));
    g_assert_true(outbox_sweep(o, 8, &err));
    g_assert_cmpint(access(paths[1], F_OK), ==, -1);
    g_assert_cmpint(access(paths[2], F_OK), ==, 0);
    outbox_close(o);

    o = outbox_open(dir, 8, &err); /* not saved: it waits again */
    g_assert_cmpuint(outbox_count(o), ==, 3);
    outbox_close(o);
    o = outbox_open(dir, 9, &err); /* saved, but its file came back */
    g_assert_cmpuint(outbox_count(o), ==, 2);
    g_assert_cmpint(access(paths[2], F_OK), ==, -1);
    outbox_acknowledged(o, &logs[3].id);
    g_assert_true(outbox_clear(o, &err));
    g_assert_cmpint(access(paths[3], F_OK), ==, -1);
    for (guint i = 0; i < 5; i++)
        g_free(paths[i]);
    outbox_close(o);
    g_assert_true(file_remove_tree(dir, NULL));
}

static guint64
inode(const char *path)
{
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    return st.st_ino;
}

/* The file of a log that was sent is the next one's; where a power cut brings its old name back, with what is in it now, that goes. */
static void
test_outbox_spare(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmr-outbox-XXXXXX", NULL);
    struct outbox *o = outbox_open(dir, 0, &err);
    struct outbox_log x;
    const struct outbox_log first = put(o, &UUID_NIL, 1), second = put(o, &first.id, 2);
    g_autofree char *old = outbox_path(o, &first);
    const guint64 file = inode(old);
    outbox_acknowledged(o, &first.id);
    g_assert_true(outbox_sweep(o, 1, &err));
    g_assert_cmpint(access(old, F_OK), ==, -1);
    const struct outbox_log third = put(o, &second.id, 3), fourth = put(o, &third.id, 4);
    g_autofree char *again = outbox_path(o, &third), *other = outbox_path(o, &fourth);
    g_assert_cmpuint(inode(again), ==, file);
    g_assert_cmpuint(inode(other), !=, file);
    outbox_close(o);

    g_assert_cmpint(link(again, old), ==, 0);
    o = outbox_open(dir, 1, &err);
    g_assert_no_error(err);
    g_assert_null(outbox_cut(o));
    g_assert_cmpint(access(old, F_OK), ==, -1);
    g_assert_true(outbox_count(o) == 3 && outbox_last(o, &x) && uuid_equal(&x.id, &fourth.id));
    outbox_acknowledged(o, &fourth.id);
    g_assert_true(outbox_clear(o, &err));
    outbox_close(o);
    g_assert_cmpint(rmdir(dir), ==, 0); /* nothing is left */
}

/* ---- schedule ---- */

struct counted {
    GMutex lock;
    GCond changed;
    guint runs, inside, most;
    gint64 every_us, last;
};

static gint64
count(void *user)
{
    struct counted *c = user;
    HOLD(&c->lock);
    c->inside++;
    c->most = MAX(c->most, c->inside);
    c->runs++;
    c->last = g_get_monotonic_time();
    g_cond_broadcast(&c->changed);
    g_cond_wait_until(&c->changed, &c->lock, c->last + 2000);
    c->inside--;
    return c->every_us ? c->last + c->every_us : SCHEDULE_IDLE;
}

static void
await(struct counted *c, guint runs)
{
    const gint64 end = g_get_monotonic_time() + PATIENCE_S * (gint64)G_USEC_PER_SEC;
    HOLD(&c->lock);
    while (c->runs < runs)
        g_assert_true(g_cond_wait_until(&c->changed, &c->lock, end));
}

static void
test_schedule(void)
{
    const guint workers[LANES] = { 4, 1, 1, 1, 1 };
    struct counted once = { 0 }, often = { .every_us = 5000 };
    struct schedule *s = schedule_new(workers);
    struct task *a = task_new(s, LANE_CAPTURE, count, &once), *b = task_new(s, LANE_CAPTURE, count, &often);
    const gint64 due = g_get_monotonic_time() + 50000;
    task_at(a, due);
    await(&once, 1);
    g_assert_cmpint(once.last, >=, due);
    for (int i = 0; i < 50; i++)
        task_now(b);
    await(&often, 20);
    task_stop(b);
    g_mutex_lock(&often.lock);
    const guint runs = often.runs;
    g_assert_cmpuint(often.most, ==, 1); /* never twice at a time */
    g_assert_cmpuint(often.inside, ==, 0);
    g_mutex_unlock(&often.lock);
    task_now(b);
    task_now(a);
    await(&once, 2);
    g_assert_cmpuint(often.runs, ==, runs); /* stopped for good */
    task_free(a);
    task_free(b);
    schedule_free(s);
}

/* ---- who goes first ---- */

struct runner {
    struct gate *gate;
    guint number;
};

struct gate {
    GMutex lock;
    GCond changed;
    bool shut, inside;
    struct task *task; /* of the one at the gate */
    bool crowded;
    GString *ran;
};

static gint64
wait_at_gate(void *user)
{
    struct gate *g = user;
    HOLD(&g->lock);
    g->inside = true;
    g_cond_broadcast(&g->changed);
    while (g->shut)
        g_cond_wait(&g->changed, &g->lock);
    g->crowded = task_crowded(g->task);
    return SCHEDULE_IDLE;
}

static gint64
note_number(void *user)
{
    const struct runner *r = user;
    HOLD(&r->gate->lock);
    g_string_append_printf(r->gate->ran, "%u ", r->number);
    g_cond_broadcast(&r->gate->changed);
    return SCHEDULE_IDLE;
}

/* One worker is busy; of those that became due meanwhile, the nearest deadline goes first, and those without one as they came. */
static void
test_deadlines(void)
{
    enum { RUNNERS = 6 };
    static const gint64 DEADLINES_S[RUNNERS] = { 900, 0, 30, 60, 0, 30 }; /* from now; 0: none */
    const guint workers[LANES] = { 1, 1, 1, 1, 1 };
    struct gate gate = { .shut = true, .ran = g_string_new(NULL) };
    struct runner runners[RUNNERS];
    struct task *tasks[RUNNERS];
    struct schedule *s = schedule_new(workers);
    gate.task = task_new(s, LANE_CAPTURE, wait_at_gate, &gate);
    struct task *moved = task_new(s, LANE_CAPTURE, note_number, &(struct runner){ &gate, 99 });
    task_now(gate.task);
    g_mutex_lock(&gate.lock);
    while (!gate.inside)
        g_cond_wait(&gate.changed, &gate.lock);
    g_mutex_unlock(&gate.lock);
    const gint64 now = g_get_monotonic_time();
    for (guint i = 0; i < RUNNERS; i++) {
        runners[i] = (struct runner){ &gate, i };
        tasks[i] = task_new(s, LANE_CAPTURE, note_number, &runners[i]);
        task_deadline(tasks[i], DEADLINES_S[i] ? now + DEADLINES_S[i] * G_TIME_SPAN_SECOND * 1000 : 0);
        task_now(tasks[i]);
        while (task_hold(tasks[i])) { /* until it stands in the line */
            task_release(tasks[i]);
            g_thread_yield();
        }
    }
    task_move(moved, LANE_READ);
    task_now(moved);
    g_mutex_lock(&gate.lock);
    while (gate.ran->len == 0)
        g_cond_wait(&gate.changed, &gate.lock); /* another lane's worker is free */
    task_stop(tasks[3]); /* leaves the line */
    gate.shut = false;
    g_cond_broadcast(&gate.changed);
    while (strlen(gate.ran->str) < strlen("99 1 4 2 5 0 "))
        g_cond_wait(&gate.changed, &gate.lock);
    g_assert_cmpstr(gate.ran->str, ==, "99 1 4 2 5 0 ");
    g_assert_true(gate.crowded);
    g_mutex_unlock(&gate.lock);
    for (guint i = 0; i < RUNNERS; i++)
        task_free(tasks[i]);
    task_free(moved);
    task_free(gate.task);
    schedule_free(s);
    g_string_free(gate.ran, TRUE);
}

/* One worker, more work than it can do, a clock of our own: guests in a hurry go first, and the others have their turn all the same. */
static void
test_nobody_starves(void)
{
    enum { GUESTS = 12, SHORT = 10, COST = 200 }; /* ten at 1 s that take 200 ms each are twice what one worker does; two at 60 s */
    struct order *line = order_new(), *due = order_new();
    struct guest {
        struct order_item place; /* first */
        gint64 period, last, worst;
        guint runs;
    } guests[GUESTS] = { 0 };
    for (guint i = 0; i < GUESTS; i++) {
        guests[i].period = i < SHORT ? 1000 : 60000;
        order_add(due, &guests[i].place, guests[i].period);
    }
    for (gint64 now = 0; now < 3600 * 1000; now += COST) {
        struct order_item *first;
        while ((first = order_first(due)) && first->key <= now) {
            const struct guest *g = (struct guest *)first;
            order_remove(due, first);
            order_add(line, first, schedule_turn(g->last + 2 * g->period, now));
        }
        struct guest *g = (struct guest *)order_first(line);
        if (!g)
            continue;
        order_remove(line, &g->place);
        g->worst = MAX(g->worst, now - g->last);
        g->last = now;
        g->runs++;
        order_add(due, &g->place, now + g->period);
    }
    for (guint i = 0; i < GUESTS; i++) {
        g_assert_cmpuint(guests[i].runs, >, i < SHORT ? 1000 : 25);
        g_assert_cmpint(guests[i].worst, <, i < SHORT ? 4000 : 125000); /* the hurried share the rest */
    }
    while (order_first(line))
        order_remove(line, order_first(line));
    while (order_first(due))
        order_remove(due, order_first(due));
    order_free(line);
    order_free(due);
}

static void
test_backoff(void)
{
    static const guint MINUTES[] = { 5, 5, 5, 8, 10, 30, 30 };
    for (guint i = 0; i < G_N_ELEMENTS(MINUTES); i++)
        g_assert_cmpint(schedule_backoff_us(i + 1, 300000), ==, MINUTES[i] * G_TIME_SPAN_MINUTE); /* not more often than the interval */
    g_assert_cmpint(schedule_backoff_us(1, 60000), ==, G_TIME_SPAN_MINUTE);
    g_assert_cmpint(schedule_backoff_us(3, 60000), ==, 4 * G_TIME_SPAN_MINUTE);
    g_assert_cmpint(schedule_backoff_us(1, 1000), ==, G_TIME_SPAN_SECOND);
    g_assert_cmpint(schedule_backoff_us(4, 1000), ==, 8 * G_TIME_SPAN_SECOND);
    g_assert_cmpint(schedule_backoff_us(100, 1000), ==, G_TIME_SPAN_MINUTE);
    g_assert_cmpint(schedule_backoff_us(2, 30000), ==, G_TIME_SPAN_MINUTE);
}

/* While all disks are read, the files of their logs go round; a shorter log in a longer one's file ends where it ends. */
static void
test_outbox_recycle(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmr-outbox-XXXXXX", NULL);
    struct outbox *o = outbox_open(dir, 0, &err);
    struct outbox_log x;
    const struct outbox_log first = put_some(o, &UUID_NIL, 1, 200, true), second = put_some(o, &first.id, 2, 200, true);
    g_autofree char *one = outbox_path(o, &first);
    const guint64 file = inode(one);
    outbox_recycle(o, true);
    outbox_acknowledged(o, &first.id);
    g_assert_true(outbox_sweep(o, 1, &err));
    const struct outbox_log third = put(o, &second.id, 3), fourth = put_some(o, &third.id, 4, 10, true);
    g_autofree char *three = outbox_path(o, &third), *four = outbox_path(o, &fourth);
    g_assert_cmpuint(inode(three), !=, file);
    g_assert_cmpuint(inode(four), ==, file);
    outbox_acknowledged(o, &third.id);
    g_assert_true(outbox_sweep(o, 3, &err));
    outbox_recycle(o, false);
    outbox_close(o);

    o = outbox_open(dir, 3, &err);
    g_assert_null(outbox_cut(o));
    g_assert_true(outbox_count(o) == 1 && outbox_first(o, &x) && uuid_equal(&x.id, &fourth.id) && x.bytes == fourth.bytes);
    outbox_recycle(o, true);
    outbox_acknowledged(o, &fourth.id);
    g_assert_true(outbox_sweep(o, 4, &err));
    g_assert_cmpint(rmdir(dir), ==, -1); /* it is kept ... */
    outbox_recycle(o, false);
    outbox_close(o);
    g_assert_cmpint(rmdir(dir), ==, 0); /* ... until then */
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/small/windows", test_windows);
    g_test_add_func("/repl/small/health-states", test_health_states);
    g_test_add_func("/repl/small/health-counters", test_health_counters);
    g_test_add_func("/repl/small/outbox", test_outbox);
    g_test_add_func("/repl/small/outbox-unreadable", test_outbox_unreadable);
    g_test_add_func("/repl/small/outbox-bad-sector", test_outbox_bad_sector);
    g_test_add_func("/repl/small/outbox-sweep", test_outbox_sweep);
    g_test_add_func("/repl/small/outbox-recycle", test_outbox_recycle);
    g_test_add_func("/repl/small/outbox-spare", test_outbox_spare);
    g_test_add_func("/repl/small/schedule", test_schedule);
    g_test_add_func("/repl/small/deadlines", test_deadlines);
    g_test_add_func("/repl/small/nobody-starves", test_nobody_starves);
    g_test_add_func("/repl/small/backoff", test_backoff);
    return g_test_run();
}
