/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"
#include "log/writer.h"
#include "store/retention.h"

#include <stdio.h>
#include <stdlib.h>

/* Does merging keep up with what arrives, and does it stay so with the number of points?
 *
 * usage: merge FOLDER [POINTS...]     default 64 256 1024 points of 1,000 random pages each, on a disk of 1 GiB
 *
 * For each number: the logs are received (verified, written, made durable, one by one); then all but the newest are merged into the base;
 * then, in a second store with the oldest point kept, all between the two are merged with one another.  Rates are the guest's changed bytes
 * by wall time. */

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
make_chain(struct chain *c)
{
    struct log_info info = { .vm = c->vm, .epoch = 1, .kind = LOG_KIND_STANDARD, .frame_raw_max = LOG_FRAME_RAW_DEFAULT };
    log_info_add_disk(&info, 0, "vda", DISK);
    for (guint i = 0; i < c->count; i++) {
        g_autofree char *path = log_path(c, i);
        info.sequence = i + 1;
        info.parent = info.id;
        info.id = c->ids[i] = uuid_random();
        info.capture_us = (gint64)(i + 1) * G_USEC_PER_SEC;
        c->raw += make_log(path, &info);
    }
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

/* MiB/s. */
static double
rate(const struct chain *c, gint64 begun_us)
{
    return (double)c->raw / (1 << 20) / ((double)(g_get_monotonic_time() - begun_us) / G_USEC_PER_SEC);
}

static double
receive_all(struct store *s, const struct chain *c)
{
    const gint64 begun = g_get_monotonic_time();
    for (guint i = 0; i < c->count; i++)
        receive(s, c, i);
    return rate(c, begun);
}

static double
merge_all(struct store *s, const struct chain *c, GHashTable *pinned)
{
    const struct retention_rules none = { 0 };
    const gint64 begun = g_get_monotonic_time();
    bool more = true;
    while (more) {
        g_autoptr(GError) err = NULL;
        must(retention_step(s, &none, pinned, 16, NULL, &more, &err), err);
    }
    return rate(c, begun);
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

static void
measure(const char *folder, guint count)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GHashTable) pinned = g_hash_table_new(uuid_hash, uuid_same);
    struct chain c = { g_build_filename(folder, "merge", NULL), count, uuid_random(), g_new0(struct uuid, count), 0 };
    must(file_remove_tree(c.dir, &err) && file_make_dirs(c.dir, 0700, &err), err);
    make_chain(&c);
    struct store *a = make_store(&c, "apply"), *b = make_store(&c, "consolidate");
    const double in = receive_all(a, &c), applied = merge_all(a, &c, NULL);
    receive_all(b, &c);
    g_hash_table_add(pinned, &c.ids[0]);
    const double merged = merge_all(b, &c, pinned);
    printf("%6u points: received %7.1f MiB/s, into the base %7.1f MiB/s (%.2f), with one another %7.1f MiB/s (%.2f)\n", count, in, applied,
           applied / in, merged, merged / in);
    fflush(stdout);
    store_close(a);
    store_close(b);
    file_remove_tree(c.dir, NULL);
    g_free(c.dir);
    g_free(c.ids);
}

int
main(int argc, char **argv)
{
    static const guint usual[] = { 64, 256, 1024 };
    if (argc < 2) {
        fputs("usage: merge FOLDER [POINTS...]\n", stderr);
        return 64;
    }
    for (int i = 2; i < argc; i++)
        measure(argv[1], (guint)MAX(strtoul(argv[i], NULL, 10), 2));
    for (guint i = 0; argc == 2 && i < G_N_ELEMENTS(usual); i++)
        measure(argv[1], usual[i]);
    return 0;
}
