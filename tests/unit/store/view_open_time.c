/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "log/writer.h"
#include "store/layout.h"
#include "store/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* How long it takes to open a recovery point (design, section 6): view_open_time [FOLDER] [LOGS] [EXTENTS] [GIB].
 * Not a test: it prints times, medians of 5.  The folder is made anew and removed at the end. */

#define RUNS 5

static void
die_on(GError *err)
{
    if (!err)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static int
by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Pages at random places; their content compresses well, since only the index matters here. */
static void
write_log(const char *dir, struct log_info *info, unsigned extents)
{
    GError *err = NULL;
    struct log_totals totals;
    struct log_writer_options options = {.level = 1};
    g_autofree char *path = layout_log_path(dir, info->sequence, &info->id);
    g_autofree uint64_t *pages = g_new(uint64_t, extents);
    uint8_t page[4096];
    struct log_writer *w = log_writer_create(path, info, &options, &err);
    die_on(err);
    for (unsigned i = 0; i < extents; i++)
        pages[i] = (((uint64_t)g_random_int() << 20) ^ g_random_int()) % (info->disks[0].size / 4096);
    qsort(pages, extents, sizeof *pages, by_value);
    memset(page, (int)info->sequence | 1, sizeof page);
    for (unsigned i = 0; i < extents; i++)
        if (i == 0 || pages[i] != pages[i - 1])
            log_writer_data(w, 0, pages[i] * 4096, page, sizeof page, &err);
    log_writer_finish(w, &totals, &err);
    die_on(err);
    log_writer_free(w);
}

static void
build(const char *dir, unsigned logs, unsigned extents, uint64_t size, struct uuid *first)
{
    GError *err = NULL;
    struct log_info info = {.vm = uuid_random(), .kind = LOG_KIND_STANDARD, .epoch = 1, .frame_raw_max = LOG_FRAME_RAW_DEFAULT};
    struct store *s = store_create(dir, &info.vm, "guest", &err);
    die_on(err);
    store_close(s);
    log_info_add_disk(&info, 0, "vda", size);
    for (unsigned i = 0; i < logs; i++) {
        info.sequence = i + 1;
        info.parent = info.id;
        info.id = uuid_random();
        write_log(dir, &info, extents);
        if (i == 0)
            *first = info.id;
    }
    log_info_clear(&info);
}

static double
ms(gint64 us)
{
    return (double)us / 1000;
}

static double
median(double *values)
{
    for (int i = 0; i < RUNS; i++)
        for (int j = i + 1; j < RUNS; j++)
            if (values[j] < values[i]) {
                double swap = values[i];
                values[i] = values[j];
                values[j] = swap;
            }
    return values[RUNS / 2];
}

static void
time_view(const char *what, const char *dir, const struct uuid *point)
{
    GError *err = NULL;
    double opening[RUNS], closing[RUNS];
    for (int i = 0; i < RUNS; i++) {
        gint64 start = clock_mono_us();
        struct view *v = view_open(dir, point, &err);
        opening[i] = ms(clock_mono_us() - start);
        die_on(err);
        start = clock_mono_us();
        view_close(v);
        closing[i] = ms(clock_mono_us() - start);
    }
    double open = median(opening);
    printf("view_open, %-18s %8.1f ms (%.1f .. %.1f), close %.1f ms\n", what, open, opening[0], opening[RUNS - 1], median(closing));
}

int
main(int argc, char **argv)
{
    GError *err = NULL;
    const char *dir = argc > 1 ? argv[1] : "/tmp/vmreplica-view-open-time";
    unsigned logs = argc > 2 ? (unsigned)atoi(argv[2]) : 2880, extents = argc > 3 ? (unsigned)atoi(argv[3]) : 1000;
    uint64_t size = (uint64_t)(argc > 4 ? atoi(argv[4]) : 100) << 30;
    struct uuid first;
    struct rusage usage;

    if (g_file_test(dir, G_FILE_TEST_EXISTS)) {
        fprintf(stderr, "'%s' exists; name a folder that does not.\n", dir);
        return 1;
    }
    gint64 start = clock_mono_us();
    build(dir, logs, extents, size, &first);
    printf("%u logs of %u extents on %u GiB, written in %.1f s\n",
           logs, extents, (unsigned)(size >> 30), ms(clock_mono_us() - start) / 1000);
    start = clock_mono_us();
    struct store *s = store_open(dir, &err);
    die_on(err);
    printf("store_open %31.1f ms\n", ms(clock_mono_us() - start));
    store_close(s);
    time_view("newest point", dir, NULL);
    time_view("oldest point", dir, &first);
    getrusage(RUSAGE_SELF, &usage);
    printf("memory, at most %24.1f MiB\n", (double)usage.ru_maxrss / 1024);
    file_remove_tree(dir, &err);
    die_on(err);
    return 0;
}
