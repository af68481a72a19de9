/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"
#include "log/writer.h"
#include "store/retention.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Does merging keep up with what arrives, and does it stay so with the number of points?
 *
 * usage: merge FOLDER [POINTS...]     default 64 256 1024 points of 1,000 random pages each, on a disk of 1 GiB
 *        merge FOLDER day [POINTS]    default 2880, one every 30 s
 *
 * For each number: the logs are received (verified, written, made durable, one by one); then all but the newest are merged into the base;
 * then, in a second store with the oldest point kept, all between the two are merged with one another.  Rates are the guest's changed bytes
 * by wall time, and by processor time of all threads.
 *
 * A day: the logs are received and, whenever two are there (a minute of them), merged, as it goes day in, day out; without the waiting. */

enum { PAGE = 4096, PAGES = 1000 };
static const guint64 DISK = G_GUINT64_CONSTANT(1) << 30;

static void
must(bool ok, GError *err)
{
    if (!ok)
        g_error("%s", err ? err->message : "failed");
}

static int
by_value(const void *a, const void *b)
{
    const guint64 x = *(const guint64 *)a, y = *(const guint64 *)b;
    return (x > y) - (x < y);
}

/* Random pages, half of each compressible; how many bytes. */
static guint64
make_log(const char *path, const struct log_info *info)
{
    g_autoptr(GError) err = NULL;
    const struct log_writer_options options = { .level = 1 };
    struct log_totals totals;
    guint64 pages[PAGES];
    guint32 page[PAGE / 4] = { 0 };
    struct log_writer *w = log_writer_create(path, info, &options, &err);
    must(w != NULL, err);
    for (guint i = 0; i < PAGES; i++)
        pages[i] = (guint64)g_random_int_range(0, (gint32)(DISK / PAGE)) * PAGE;
    qsort(pages, PAGES, sizeof pages[0], by_value);
    for (guint i = 0; i < PAGES; i++) {
        for (guint n = 0; n < PAGE / 8; n++)
            page[n] = g_random_int();
        must(i && pages[i] == pages[i - 1] ? true : log_writer_data(w, 0, pages[i], page, PAGE, &err), err);
    }
    must(log_writer_finish(w, &totals, &err), err);
    log_writer_free(w);
    return totals.raw_bytes;
}

struct chain {
    char *dir;
    guint count;
    struct uuid vm, *ids;
    guint64 raw;
};

static char *
log_path(const struct chain *c, guint i)
{
    return g_strdup_printf("%s/%u.vrl", c->dir, i);
}

static void
make_next(struct chain *c, guint i)
{
    struct log_info info = { .vm = c->vm, .epoch = 1, .kind = LOG_KIND_STANDARD, .frame_raw_max = LOG_FRAME_RAW_DEFAULT };
    g_autofree char *path = log_path(c, i);
    log_info_add_disk(&info, 0, "vda", DISK);
    info.sequence = i + 1;
    info.parent = i ? c->ids[i - 1] : UUID_NIL;
    info.id = c->ids[i] = uuid_random();
    info.capture_us = (gint64)(i + 1) * G_USEC_PER_SEC;
    c->raw += make_log(path, &info);
    log_info_clear(&info);
}

static void
receive(struct store *s, const struct chain *c, guint i)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *path = log_path(c, i), *bytes = NULL;
    struct store_log log;
    size_t len;
    must(file_read_all(path, 1 << 30, &bytes, &len, &err), err);
    struct store_intake *in = store_intake_open(s, &c->ids[i], 0, &err);
    must(in && store_intake_write(in, bytes, len, &err) && store_intake_commit(in, &log, &err), err);
    store_intake_close(in);
}

struct cost {
    double wall_s, cpu_s;
};

static double
cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / G_USEC_PER_SEC;
}

static double
wall_s(void)
{
    return (double)g_get_monotonic_time() / G_USEC_PER_SEC;
}

static void
begin(struct cost *c)
{
    c->wall_s -= wall_s();
    c->cpu_s -= cpu_s();
}

static void
end(struct cost *c)
{
    c->wall_s += wall_s();
    c->cpu_s += cpu_s();
}

static double
rate(const struct chain *c, double seconds)
{
    return (double)c->raw / (1 << 20) / seconds;
}

static struct cost
receive_all(struct store *s, const struct chain *c)
{
    struct cost cost = { 0 };
    begin(&cost);
    for (guint i = 0; i < c->count; i++)
        receive(s, c, i);
    end(&cost);
    return cost;
}

static void
merge_all(struct store *s, GHashTable *pinned, struct cost *cost)
{
    const struct retention_rules none = { 0 };
    bool more = true;
    begin(cost);
    while (more) {
        g_autoptr(GError) err = NULL;
        must(retention_step(s, &none, pinned, 16, NULL, &more, &err), err);
    }
    end(cost);
}

static struct store *
make_store(const struct chain *c, const char *name)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_build_filename(c->dir, name, NULL);
    struct store *s = store_create(dir, &c->vm, "guest", &err);
    must(s != NULL, err);
    return s;
}

static struct chain
make_chain(const char *folder, guint count)
{
    g_autoptr(GError) err = NULL;
    struct chain c = { g_build_filename(folder, "merge", NULL), count, uuid_random(), g_new0(struct uuid, count), 0 };
    must(file_remove_tree(c.dir, &err) && file_make_dirs(c.dir, 0700, &err), err);
    return c;
}

static void
remove_chain(struct chain *c)
{
    file_remove_tree(c->dir, NULL);
    g_free(c->dir);
    g_free(c->ids);
}

/* What the machine can do at best: as many random pages, each once and in the order of the disk, written to a file and made durable. */
static struct cost
write_plainly(const struct chain *c)
{
    struct cost cost = { 0 };
    g_autoptr(GError) err = NULL;
    g_autofree char *path = g_build_filename(c->dir, "plain", NULL);
    g_autofree guint8 *wanted = g_malloc0(DISK / PAGE);
    guint8 page[PAGE];
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0 && ftruncate(fd, (off_t)DISK) == 0, NULL);
    memset(page, 0xa5, sizeof page);
    for (guint64 i = 0; i < c->raw / PAGE; i++)
        wanted[g_random_int_range(0, (gint32)(DISK / PAGE))] = 1;
    begin(&cost);
    for (guint64 i = 0; i < DISK / PAGE; i++)
        must(!wanted[i] || file_write_full(fd, page, PAGE, i * PAGE, path, &err), err);
    must(file_sync(fd, path, &err), err);
    end(&cost);
    close(fd);
    must(remove(path) == 0, NULL);
    return cost;
}

static void
measure(const char *folder, guint count)
{
    g_autoptr(GHashTable) pinned = g_hash_table_new(uuid_hash, uuid_same);
    struct chain c = make_chain(folder, count);
    for (guint i = 0; i < count; i++)
        make_next(&c, i);
    printf("made\n"); /* bench/figures/profile.py looks from here */
    fflush(stdout);
    struct store *a = make_store(&c, "apply"), *b = make_store(&c, "consolidate");
    struct cost in = receive_all(a, &c), applied = { 0 }, merged = { 0 };
    merge_all(a, NULL, &applied);
    receive_all(b, &c);
    g_hash_table_add(pinned, &c.ids[0]);
    merge_all(b, pinned, &merged);
    printf("%6u points: received %7.1f MiB/s, into the base %7.1f MiB/s (%.2f), with one another %7.1f MiB/s (%.2f)\n", count,
           rate(&c, in.wall_s), rate(&c, applied.wall_s), in.wall_s / applied.wall_s, rate(&c, merged.wall_s), in.wall_s / merged.wall_s);
    printf("       by processor time: received %7.1f MiB/s, into the base %7.1f MiB/s (%.2f), with one another %7.1f MiB/s (%.2f)\n",
           rate(&c, in.cpu_s), rate(&c, applied.cpu_s), in.cpu_s / applied.cpu_s, rate(&c, merged.cpu_s), in.cpu_s / merged.cpu_s);
    struct cost plain = write_plainly(&c);
    printf("       as many pages written plainly, in order, once: %7.1f MiB/s, by processor time %7.1f MiB/s\n", rate(&c, plain.wall_s),
           rate(&c, plain.cpu_s));
    fflush(stdout);
    store_close(a);
    store_close(b);
    remove_chain(&c);
}

static void
measure_day(const char *folder, guint count)
{
    struct chain c = make_chain(folder, count);
    struct store *s = make_store(&c, "day");
    struct cost in = { 0 }, merged = { 0 };
    for (guint i = 0; i < count; i++) {
        make_next(&c, i);
        begin(&in);
        receive(s, &c, i);
        end(&in);
        g_autofree char *path = log_path(&c, i);
        must(remove(path) == 0, NULL);
        if (i % 2)
            merge_all(s, NULL, &merged);
    }
    printf("a day of %u points, %.0f MiB: received in %.2f s, %.2f s of a processor; ", count, (double)c.raw / (1 << 20), in.wall_s, in.cpu_s);
    printf("merged as they come in %.2f s, %.2f s of a processor\n", merged.wall_s, merged.cpu_s);
    store_close(s);
    remove_chain(&c);
}

int
main(int argc, char **argv)
{
    static const guint usual[] = { 64, 256, 1024 };
    if (argc < 2) {
        fputs("usage: merge FOLDER [POINTS...] | merge FOLDER day [POINTS]\n", stderr);
        return 64;
    }
    if (argc > 2 && strcmp(argv[2], "day") == 0) {
        measure_day(argv[1], argc > 3 ? (guint)MAX(strtoul(argv[3], NULL, 10), 2) : 2880);
        return 0;
    }
    for (int i = 2; i < argc; i++)
        measure(argv[1], (guint)MAX(strtoul(argv[i], NULL, 10), 2));
    for (guint i = 0; argc == 2 && i < G_N_ELEMENTS(usual); i++)
        measure(argv[1], usual[i]);
    return 0;
}
