/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/file.h"
#include "log/writer.h"
#include "store/retention.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* What a store costs that keeps points for so many days: bytes on the disk, and processor time of merging.
 *
 *   days FOLDER DAYS PAGES MIB RULES     a log of PAGES pages, all over a disk of MIB, every five minutes for DAYS days; both hosts'
 *                                        clocks are set on, nothing waits
 *
 * Prints of the last day: points, bytes of the store, bytes that came, raw bytes of them, and CPU seconds of receiving and of merging. */

enum { PAGE = 4096, CYCLE_S = 300, BATCH = 16 };

struct days {
    struct store *store;
    struct log_info info;
    struct retention_rules rules;
    char *part;
    guint pages;
    guint64 raw, came;
    double receiving, merging;
};

static void
must(bool ok, GError *err)
{
    if (!ok)
        g_error("%s", err ? err->message : "failed");
}

static double
cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* One page at random in each part of the disk, half of it random. */
static void
make_log(struct days *d)
{
    g_autoptr(GError) err = NULL;
    const struct log_writer_options options = { .level = 1 };
    const guint64 stride = d->info.disks[0].size / PAGE / d->pages;
    struct log_totals totals;
    guint32 page[PAGE / 4] = { 0 };
    struct log_writer *w = log_writer_create(d->part, &d->info, &options, &err);
    must(w != NULL, err);
    for (guint i = 0; i < d->pages; i++) {
        for (guint n = 0; n < PAGE / 8; n++)
            page[n] = g_random_int();
        must(log_writer_data(w, 0, (i * stride + g_random_int() % stride) * PAGE, page, PAGE, &err), err);
    }
    must(log_writer_finish(w, &totals, &err), err);
    log_writer_free(w);
    d->raw += totals.raw_bytes;
}

static void
receive(struct days *d)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *bytes = NULL;
    struct store_log log;
    size_t len;
    must(file_read_all(d->part, 1 << 30, &bytes, &len, &err), err);
    d->came += len;
    const double cpu = cpu_s();
    struct store_intake *in = store_intake_open(d->store, &d->info.id, 0, &err);
    must(in && store_intake_write(in, bytes, len, &err) && store_intake_commit(in, &log, &err), err);
    store_intake_close(in);
    d->receiving += cpu_s() - cpu;
    unlink(d->part);
}

static void
merge(struct days *d)
{
    const double cpu = cpu_s();
    for (bool more = true; more;) {
        g_autoptr(GError) err = NULL;
        must(retention_step(d->store, &d->rules, NULL, BATCH, NULL, &more, &err), err);
    }
    d->merging += cpu_s() - cpu;
}

static void
cycle(struct days *d)
{
    clock_shift_for_test(CYCLE_S * (gint64)G_USEC_PER_SEC, 0);
    d->info.sequence++;
    d->info.parent = d->info.id;
    d->info.id = uuid_random();
    d->info.capture_us = clock_wall_us();
    make_log(d);
    receive(d);
    merge(d);
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) err = NULL;
    struct days d = { .rules.cycle_us = CYCLE_S * (gint64)G_USEC_PER_SEC };
    if (argc != 6) {
        fputs("usage: days FOLDER DAYS PAGES MIB RULES\n", stderr);
        return 2;
    }
    const guint64 a_day = 86400 / CYCLE_S, cycles = g_ascii_strtoull(argv[2], NULL, 10) * a_day;
    g_autofree char *dir = g_build_filename(argv[1], "store", NULL);
    d.part = g_build_filename(argv[1], "arriving.vrl", NULL);
    d.pages = (guint)MAX(atoi(argv[3]), 1);
    must(rules_parse(argv[5], &d.rules.more, &err), err);
    d.info = (struct log_info){ .vm = uuid_random(), .epoch = 1, .kind = LOG_KIND_STANDARD, .frame_raw_max = LOG_FRAME_RAW_DEFAULT };
    log_info_add_disk(&d.info, 0, "vda", g_ascii_strtoull(argv[4], NULL, 10) << 20);
    d.store = store_create(dir, &d.info.vm, "guest", &err);
    must(d.store != NULL, err);
    for (guint64 i = 0; i < cycles; i++) {
        if (i + a_day == cycles)
            d.raw = d.came = 0, d.receiving = d.merging = 0;
        cycle(&d);
    }
    g_autoptr(GArray) points = retention_points(d.store, &d.rules);
    printf("%u %llu %llu %llu %.3f %.3f\n", points->len, (unsigned long long)store_disk_bytes(d.store), (unsigned long long)d.came,
           (unsigned long long)d.raw, d.receiving, d.merging);
    store_close(d.store);
    log_info_clear(&d.info);
    g_free(d.part);
    return 0;
}
