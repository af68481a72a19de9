/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "log/writer.h"
#include "store/layout.h"
#include "store/retention.h"
#include "store/spans.h"
#include "store/store.h"
#include "store/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* Stores to measure, and measuring views without nbdkit:
 *
 *   view image DIR IMAGE FRAME LEVEL        a store whose only log is the image, in frames of so many raw bytes; prints the log's bytes
 *   view points DIR LOGS EXTENTS GIB        logs of so many random pages each
 *   view append DIR LOGS EXTENTS            so many more after the newest of a store that nobody has open, pages of its first disk, with the
 *                                           guest's definition: as if they had come every 30 s
 *   view receive DIR LOGS EXTENTS           so many more come: verified, durable, and retention looks whether to merge; prints ms of wall
 *                                           and of CPU, a line each; the maker's part is not in them
 *   view open DIR RUNS first|middle|last    opens that point; prints milliseconds of wall and of CPU, a line each
 *   view read DIR THREADS sequential        reads all disks' data once, 256 KiB at a time; prints MiB/s and CPU seconds
 *   view read DIR THREADS random|unpack SECONDS   4 KiB at random; prints reads per second and CPU seconds per 1000 reads; unpack: only the
 *                                           last 64 MiB of frames are kept, so that most reads unpack one
 *   view index DIR                          saves the indexes that opening uses (store/spans.h); prints files, bytes and CPU seconds
 *   view apply DIR | consolidate DIR        all logs into the base, or into one log; prints seconds and bytes written
 */

#define CHUNK (256u << 10)

static void
die_on(GError *err)
{
    if (!err)
        return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

static double
cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double
seconds_since(gint64 start)
{
    return (double)(clock_mono_us() - start) / 1e6;
}

/* ---- making stores ---- */

static void
start_store(const char *dir, struct log_info *info, uint64_t size, uint32_t frame)
{
    GError *err = NULL;
    *info = (struct log_info){.vm = uuid_random(), .id = uuid_random(), .kind = LOG_KIND_STANDARD, .epoch = 1, .frame_raw_max = frame};
    info->sequence = 1;
    info->capture_us = clock_wall_us();
    log_info_add_disk(info, 0, "vda", size);
    struct store *s = store_create(dir, &info->vm, "guest", &err);
    die_on(err);
    store_close(s);
}

static struct log_writer *
start_log(const char *dir, const struct log_info *info, const struct log_writer_options *options)
{
    GError *err = NULL;
    g_autofree char *path = layout_log_path(dir, info->sequence, &info->id);
    struct log_writer *w = log_writer_create(path, info, options, &err);
    die_on(err);
    return w;
}

static int
make_image(char **argv)
{
    GError *err = NULL;
    struct log_info info;
    struct log_totals totals;
    struct log_writer_options options = {.level = atoi(argv[3]), .threads = 2, .frame_raw = (uint32_t)atoi(argv[2])};
    block_auto from = block_file_open(argv[1], &err);
    die_on(err);
    extents_auto all = extents_new();
    block_extents(from, 0, from->size, all, &err);
    die_on(err);
    start_store(argv[0], &info, from->size, options.frame_raw);
    struct log_writer *w = start_log(argv[0], &info, &options);
    log_writer_copy(w, 0, from, all, NULL, &err);
    die_on(err);
    log_writer_finish(w, &totals, &err);
    die_on(err);
    log_writer_free(w);
    log_info_clear(&info);
    printf("%llu %llu\n", (unsigned long long)totals.file_bytes, (unsigned long long)totals.raw_bytes);
    return 0;
}

static int
by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* A little of each page is random: the index matters here, not the bytes.  xml: the guest's definition, NULL: none. */
static void
write_pages(const char *dir, const struct log_info *info, unsigned extents, const char *xml)
{
    GError *err = NULL;
    struct log_totals totals;
    struct log_writer_options options = {.level = 1, .relaxed = true};
    g_autofree uint64_t *pages = g_new(uint64_t, extents);
    guint32 page[1024] = {0};
    struct log_writer *w = start_log(dir, info, &options);
    if (xml && !log_writer_section(w, LOG_SECTION_DOMAIN_XML, xml, strlen(xml), &err))
        die_on(err);
    for (unsigned i = 0; i < extents; i++)
        pages[i] = (((uint64_t)g_random_int() << 20) ^ g_random_int()) % (info->disks[0].size / sizeof page);
    qsort(pages, extents, sizeof *pages, by_value);
    for (unsigned i = 0; i < extents; i++) {
        for (unsigned k = 0; k < 32; k++)
            page[k] = g_random_int();
        if (i == 0 || pages[i] != pages[i - 1])
            log_writer_data(w, info->disks[0].id, pages[i] * sizeof page, page, sizeof page, &err);
    }
    log_writer_finish(w, &totals, &err);
    die_on(err);
    log_writer_free(w);
}

/* The first is *info, the others follow it. */
static void
write_logs(const char *dir, struct log_info *info, unsigned logs, unsigned extents, const char *xml)
{
    for (unsigned i = 0; i < logs; i++) {
        write_pages(dir, info, extents, xml);
        info->sequence++;
        info->parent = info->id;
        info->id = uuid_random();
        info->capture_us += 30 * G_USEC_PER_SEC;
    }
}

static int
make_points(char **argv)
{
    struct log_info info;
    unsigned logs = (unsigned)atoi(argv[1]), extents = (unsigned)atoi(argv[2]);
    start_store(argv[0], &info, (uint64_t)atoi(argv[3]) << 30, LOG_FRAME_RAW_DEFAULT);
    write_logs(argv[0], &info, logs, extents, NULL);
    log_info_clear(&info);
    return 0;
}

/* The log that follows the newest, with its disks; its definition of the guest. */
static char *
follow_newest(struct store *s, struct log_info *info)
{
    GError *err = NULL;
    struct store_log head;
    size_t len;
    if (!store_head(s, &head))
        return NULL;
    struct view *v = view_open_log(store_dir(s), &head.id, &err);
    die_on(err);
    log_info_copy(info, view_info(v));
    view_close(v);
    info->flags = 0;
    info->kind = LOG_KIND_STANDARD;
    info->frame_raw_max = LOG_FRAME_RAW_DEFAULT;
    info->sequence++;
    info->parent = info->id;
    info->id = uuid_random();
    info->capture_us += 30 * G_USEC_PER_SEC;
    char *xml = store_section(s, &head.id, LOG_SECTION_DOMAIN_XML, &len, &err);
    die_on(err);
    return xml;
}

static int
append_points(char **argv)
{
    GError *err = NULL;
    struct log_info info = {0};
    struct store *s = store_open(argv[0], &err);
    die_on(err);
    g_autofree char *xml = follow_newest(s, &info);
    store_close(s);
    if (!xml) {
        fprintf(stderr, "'%s' has no log with a guest's definition.\n", argv[0]);
        return 1;
    }
    write_logs(argv[0], &info, (unsigned)atoi(argv[1]), (unsigned)atoi(argv[2]), xml);
    log_info_clear(&info);
    return 0;
}

/* The log that comes after the store's newest, beside the store. */
static char *
next_log(const char *dir, struct store *s, struct log_info *info, unsigned extents)
{
    GError *err = NULL;
    g_autofree char *aside = g_strconcat(dir, ".next", NULL), *logs = g_build_filename(aside, "logs", NULL);
    struct store_log head;
    if (!store_head(s, &head) || !file_make_dirs(logs, 0700, &err))
        die_on(err);
    info->sequence = head.sequence + 1;
    info->parent = head.id;
    info->id = uuid_random();
    info->capture_us = head.capture_us + 30 * G_USEC_PER_SEC;
    write_pages(aside, info, extents, NULL);
    return layout_log_path(aside, info->sequence, &info->id);
}

static void
receive_one(struct store *s, const struct uuid *id, const char *path)
{
    const struct retention_rules rules = {.keep_every_us = G_TIME_SPAN_DAY * 365};
    GError *err = NULL;
    g_autofree char *bytes = NULL;
    struct store_log log;
    size_t len;
    bool more;
    if (!file_read_all(path, 1 << 30, &bytes, &len, &err))
        die_on(err);
    gint64 start = clock_mono_us();
    double cpu = cpu_s();
    struct store_intake *in = store_intake_open(s, id, 0, &err);
    die_on(err);
    if (!store_intake_write(in, bytes, len, &err) || !store_intake_commit(in, &log, &err) ||
        !retention_step(s, &rules, NULL, 16, NULL, &more, &err))
        die_on(err);
    store_intake_close(in);
    printf("%.3f %.3f\n", seconds_since(start) * 1000, (cpu_s() - cpu) * 1000);
    unlink(path);
}

static int
receive_points(char **argv)
{
    GError *err = NULL;
    struct log_info info = {.epoch = 1, .kind = LOG_KIND_STANDARD, .frame_raw_max = LOG_FRAME_RAW_DEFAULT};
    struct store *s = store_open(argv[0], &err);
    die_on(err);
    info.vm = *store_vm(s);
    log_info_add_disk(&info, 0, "vda", G_GUINT64_CONSTANT(4) << 30);
    for (int i = atoi(argv[1]); i > 0; i--) {
        g_autofree char *path = next_log(argv[0], s, &info, (unsigned)atoi(argv[2]));
        receive_one(s, &info.id, path);
    }
    store_close(s);
    log_info_clear(&info);
    return 0;
}

/* ---- opening ---- */

static int
open_views(char **argv)
{
    GError *err = NULL;
    g_autoptr(GArray) logs = layout_list_logs(argv[0], &err);
    die_on(err);
    guint i = !strcmp(argv[2], "first") ? 0 : !strcmp(argv[2], "middle") ? logs->len / 2 : logs->len - 1;
    for (int run = atoi(argv[1]); run > 0; run--) {
        gint64 start = clock_mono_us();
        double cpu = cpu_s();
        struct view *v = view_open(argv[0], &g_array_index(logs, struct layout_entry, i).id, &err);
        die_on(err);
        printf("%.3f %.3f\n", seconds_since(start) * 1000, (cpu_s() - cpu) * 1000);
        view_close(v);
    }
    return 0;
}

/* ---- reading ---- */

struct reading {
    struct block *disk;
    struct extents *data;
    GMutex lock;
    size_t extent;      /* sequential: where the next chunk is, under the lock */
    uint64_t within;
    gint64 end;         /* random: when */
    uint64_t bytes, reads;
};

static bool
claim_chunk(struct reading *r, uint64_t *offset, uint32_t *length)
{
    g_mutex_lock(&r->lock);
    bool more = r->extent < extents_count(r->data);
    if (more) {
        const struct extent *e = extents_at(r->data, r->extent);
        *offset = e->offset + r->within;
        *length = (uint32_t)MIN(CHUNK, e->length - r->within);
        r->within += *length;
        r->bytes += *length;
        if (r->within == e->length) {
            r->within = 0;
            r->extent++;
        }
    }
    g_mutex_unlock(&r->lock);
    return more;
}

static void *
read_sequential(void *user)
{
    struct reading *r = user;
    g_autofree guint8 *buf = g_malloc(CHUNK);
    GError *err = NULL;
    uint64_t offset;
    uint32_t length;
    while (claim_chunk(r, &offset, &length))
        if (!block_read(r->disk, buf, length, offset, &err))
            die_on(err);
    return NULL;
}

static void *
read_random(void *user)
{
    struct reading *r = user;
    guint8 page[4096];
    GRand *rand = g_rand_new();
    GError *err = NULL;
    for (;;) {
        for (int i = 0; i < 100; i++) {
            const struct extent *e = extents_at(r->data, (size_t)g_rand_int_range(rand, 0, (gint32)extents_count(r->data)));
            uint64_t pages = MAX(e->length / sizeof page, 1);
            uint64_t offset = e->offset + (g_rand_int(rand) % pages) * sizeof page;
            if (!block_read(r->disk, page, MIN(sizeof page, r->disk->size - offset), offset, &err))
                die_on(err);
        }
        g_mutex_lock(&r->lock);
        r->reads += 100;
        g_mutex_unlock(&r->lock);
        if (clock_mono_us() > r->end)
            break;
    }
    g_rand_free(rand);
    return NULL;
}

/* Long extents only: what is chosen is a place of the disk, not an extent. */
static struct extents *
data_of(struct block *disk)
{
    GError *err = NULL;
    extents_auto all = extents_new();
    struct extents *data = extents_new();
    block_extents(disk, 0, disk->size, all, &err);
    die_on(err);
    for (size_t i = 0; i < extents_count(all); i++) {
        const struct extent *e = extents_at(all, i);
        if (e->kind == EXTENT_DATA)
            extents_add(data, e->offset, e->length, EXTENT_DATA);
    }
    return data;
}

static int
read_view(char **argv)
{
    GError *err = NULL;
    GThread *threads[64];
    unsigned count = (unsigned)CLAMP(atoi(argv[1]), 1, 64);
    const bool unpack = strcmp(argv[2], "unpack") == 0, random = unpack || strcmp(argv[2], "random") == 0;
    struct view *v = view_open(argv[0], NULL, &err);
    die_on(err);
    if (unpack)
        view_lend(v, 0);
    struct reading r = {.disk = view_disk(v, 0), .data = data_of(view_disk(v, 0))};
    double cpu = cpu_s();
    gint64 start = clock_mono_us();
    r.end = start + (random ? atoi(argv[3]) * (gint64)G_USEC_PER_SEC : 0);
    for (unsigned i = 0; i < count; i++)
        threads[i] = g_thread_new("read", random ? read_random : read_sequential, &r);
    for (unsigned i = 0; i < count; i++)
        g_thread_join(threads[i]);
    double wall = seconds_since(start);
    cpu = cpu_s() - cpu;
    if (random)
        printf("%.0f %.4f\n", (double)r.reads / wall, cpu * 1000 / (double)r.reads);
    else
        printf("%.0f %.3f\n", (double)r.bytes / wall / (1 << 20), cpu);
    extents_free(r.data);
    view_close(v);
    return 0;
}

/* ---- merging ---- */

static int
merge(char **argv, bool apply)
{
    GError *err = NULL;
    struct store *s = store_open(argv[0], &err);
    die_on(err);
    g_autoptr(GArray) logs = store_logs(s);
    const struct store_log *first = &g_array_index(logs, struct store_log, 0);
    const struct store_log *last = &g_array_index(logs, struct store_log, logs->len - 1);
    gint64 start = clock_mono_us();
    if (apply)
        store_apply(s, &last->id, NULL, &err);
    else
        store_consolidate(s, &first->id, &last->id, NULL, &err);
    die_on(err);
    printf("%.3f %llu\n", seconds_since(start), (unsigned long long)store_disk_bytes(s));
    store_close(s);
    return 0;
}

/* ---- saved indexes ---- */

static int
save_indexes(char **argv)
{
    GError *err = NULL;
    struct store *s = store_open(argv[0], &err);
    die_on(err);
    const double cpu = cpu_s();
    for (bool more = true; more;) {
        spans_step(s, true, NULL, &more, &err);
        die_on(err);
    }
    uint64_t bytes = 0;
    g_autoptr(GArray) spans = layout_list_spans(argv[0]);
    for (guint i = 0; i < spans->len; i++) {
        const struct layout_span *span = &g_array_index(spans, struct layout_span, i);
        struct stat st;
        g_autofree char *path = layout_span_path(argv[0], span->first, span->last);
        bytes += stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
    }
    printf("%u %llu %.3f\n", spans->len, (unsigned long long)bytes, cpu_s() - cpu);
    store_close(s);
    return 0;
}

int
main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    if (!strcmp(what, "image") && argc == 6)
        return make_image(argv + 2);
    if (!strcmp(what, "points") && argc == 6)
        return make_points(argv + 2);
    if (!strcmp(what, "append") && argc == 5)
        return append_points(argv + 2);
    if (!strcmp(what, "receive") && argc == 5)
        return receive_points(argv + 2);
    if (!strcmp(what, "open") && argc == 5)
        return open_views(argv + 2);
    if (!strcmp(what, "read") && argc >= 5)
        return read_view(argv + 2);
    if (!strcmp(what, "index"))
        return save_indexes(argv + 2);
    if (!strcmp(what, "apply") || !strcmp(what, "consolidate"))
        return merge(argv + 2, what[0] == 'a');
    fprintf(stderr, "usage: see the head of bench/view.c\n");
    return 2;
}
