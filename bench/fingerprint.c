/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "log/writer.h"
#include "store/fingerprint.h"
#include "vm/nbdblock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* What fingerprints cost and gain, beside dd, nbdcopy and a log of exactly the changed pages.
 *
 * usage: fingerprint FOLDER [MiB]     a disk of that size (1024), half of it data, 1 % rewritten in random pages; medians of five */

enum { RUNS = 5, PAGE = 4096 };

static const char *dir;
static struct uuid head;
static guint64 sequence;

struct figure {
    double wall[RUNS], cpu[RUNS];
    guint64 bytes;
};

static double
cpu_now(void)
{
    double sum = 0;
    const int who[] = { RUSAGE_SELF, RUSAGE_CHILDREN };
    for (guint i = 0; i < G_N_ELEMENTS(who); i++) {
        struct rusage u;
        getrusage(who[i], &u);
        sum += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    }
    return sum;
}

static int
by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double
median(double *v)
{
    qsort(v, RUNS, sizeof *v, by_value);
    return v[RUNS / 2];
}

static void
tell(const char *name, struct figure *f, guint64 size)
{
    const double wall = median(f->wall), cpu = median(f->cpu);
    printf("%-58s %8.1f ms  cpu %8.1f ms  %7.0f MiB/s  %10" G_GUINT64_FORMAT " bytes\n", name, wall * 1e3, cpu * 1e3,
           (double)size / wall / (1 << 20), f->bytes);
    fflush(stdout);
}

static void
must(bool ok, GError *err)
{
    if (!ok)
        g_error("%s", err ? err->message : "failed");
}

static void
run(const char *command)
{
    g_autoptr(GError) err = NULL;
    int status;
    const char *argv[] = { "sh", "-c", command, NULL };
    must(g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, &err) && status == 0, err);
}

static void
fill(const char *path, guint64 size)
{
    g_autofree guint8 *stripe = g_malloc0(16 << 20);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0 && ftruncate(fd, (off_t)size) == 0, NULL);
    for (guint64 at = 0; at + (32 << 20) <= size; at += 32 << 20) {
        for (guint64 i = 0; i < 16 << 20; i += i % PAGE < PAGE / 2 ? 4 : PAGE / 2)
            *(guint32 *)(gpointer)(stripe + i) = i % PAGE < PAGE / 2 ? g_random_int() : 0;
        must(pwrite(fd, stripe, 16 << 20, (off_t)at) == 16 << 20, NULL);
    }
    fsync(fd);
    close(fd);
}

/* 1 % of the pages, and where they are. */
static struct extents *
rewrite(const char *path, guint64 size)
{
    guint8 page[PAGE] = { 0 };
    struct extents *set = extents_new();
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    for (guint64 n = size / PAGE / 100; n > 0; n--) {
        const guint64 at = (guint64)g_random_int_range(0, (gint32)(size / PAGE)) * PAGE;
        for (guint i = 0; i < PAGE / 2; i += 4)
            *(guint32 *)(gpointer)(page + i) = g_random_int();
        must(pwrite(fd, page, PAGE, (off_t)at) == PAGE, NULL);
        extents_add(set, at, PAGE, EXTENT_DATA);
    }
    close(fd);
    return set;
}

static bool
is_durable(void *user, const struct uuid *log)
{
    return uuid_equal(log, &head);
}

/* One log, with fingerprints or, f NULL, without. */
static guint64
make_log(struct fingerprint *f, struct block *disk, const struct extents *extents, bool commit)
{
    g_autoptr(GError) err = NULL;
    const struct log_writer_options options = { .level = 1, .threads = 1 };
    struct log_info info = { .vm = head, .id = uuid_random(), .parent = head, .sequence = ++sequence, .epoch = 1, .kind = LOG_KIND_STANDARD };
    struct log_totals totals;
    g_autofree char *path = g_build_filename(dir, "log.vrl", NULL);
    unlink(path);
    log_info_add_disk(&info, 0, "vda", disk->size);
    struct log_writer *w = log_writer_create(path, &info, &options, &err);
    must(w && (!f || fingerprint_begin(f, &info, &err)), err);
    must(f ? fingerprint_copy(f, w, 0, disk, extents, NULL, &err) : log_writer_copy(w, 0, disk, extents, NULL, &err), err);
    must((!f || fingerprint_prepare(f, &err)) && log_writer_finish(w, &totals, &err), err);
    log_writer_free(w);
    if (f && commit) {
        head = info.id;
        must(fingerprint_commit(f, &err), err);
    } else if (f) {
        fingerprint_drop(f);
    }
    log_info_clear(&info);
    unlink(path);
    return totals.file_bytes;
}

#define MEASURE(figure, statement) \
    do { \
        for (int run_ = 0; run_ < RUNS; run_++) { \
            const double cpu_ = cpu_now(); \
            const gint64 begun_ = g_get_monotonic_time(); \
            (figure)->bytes = (statement); \
            (figure)->wall[run_] = (double)(g_get_monotonic_time() - begun_) / 1e6; \
            (figure)->cpu[run_] = cpu_now() - cpu_; \
        } \
    } while (0)

static guint64
shell(const char *command)
{
    run(command);
    return 0;
}

static void
measure_scans(struct fingerprint *f, const char *path, const char *socket, struct block *nbd, guint64 size, const struct extents *changed)
{
    struct figure v = { 0 };
    g_autofree char *dd = g_strdup_printf("dd if=%s of=/dev/null bs=1M status=none", path);
    g_autofree char *copy = g_strdup_printf("nbdcopy 'nbd+unix:///?socket=%s' null:", socket);
    g_autoptr(GError) err = NULL;
    block_auto file = block_file_open(path, &err);
    extents_auto all = extents_new();
    extents_add(all, 0, size, EXTENT_DATA);
    must(file != NULL, err);
    MEASURE(&v, shell(dd));
    tell("dd of the image", &v, size);
    MEASURE(&v, shell(copy));
    tell("nbdcopy to null (qemu-nbd)", &v, size);
    MEASURE(&v, make_log(f, file, all, false));
    tell("scan of the image's file, 1 % differs", &v, size);
    MEASURE(&v, make_log(f, nbd, all, false));
    tell("scan through qemu-nbd, 1 % differs", &v, size);
    MEASURE(&v, make_log(NULL, nbd, changed, false));
    tell("log of exactly the changed pages", &v, extents_bytes(changed));
}

/* The disk itself and not the page cache. */
static void
measure_direct(struct fingerprint *f, const char *path, const char *socket, guint64 size)
{
    struct figure v = { 0 };
    g_autoptr(GError) err = NULL;
    g_autofree char *dd = g_strdup_printf("dd if=%s of=/dev/null bs=1M iflag=direct status=none", path);
    struct block *nbd = nbdblock_open(socket, "", &err);
    extents_auto all = extents_new();
    must(nbd != NULL, err);
    extents_add(all, 0, size, EXTENT_DATA);
    MEASURE(&v, shell(dd));
    tell("dd of the image, direct", &v, size);
    MEASURE(&v, make_log(f, nbd, all, false));
    tell("scan through qemu-nbd, direct, 1 % differs", &v, size);
    block_close(nbd);
}

static void
measure_cycles(struct fingerprint *f, const char *path, struct block *nbd, guint64 size)
{
    struct figure with = { 0 }, without = { 0 }, idle = { 0 }, idle_without = { 0 };
    extents_auto none = extents_new();
    for (int i = 0; i < RUNS; i++) {
        extents_auto set = rewrite(path, size);
        double cpu = cpu_now();
        gint64 begun = g_get_monotonic_time();
        without.bytes = make_log(NULL, nbd, set, false);
        without.wall[i] = (double)(g_get_monotonic_time() - begun) / 1e6;
        without.cpu[i] = cpu_now() - cpu;
        cpu = cpu_now();
        begun = g_get_monotonic_time();
        with.bytes = make_log(f, nbd, set, true);
        with.wall[i] = (double)(g_get_monotonic_time() - begun) / 1e6;
        with.cpu[i] = cpu_now() - cpu;
    }
    tell("cycle with 1 % rewritten, without fingerprints", &without, size / 100);
    tell("cycle with 1 % rewritten, with fingerprints", &with, size / 100);
    MEASURE(&idle_without, make_log(NULL, nbd, none, false));
    tell("idle cycle, without fingerprints", &idle_without, 0);
    MEASURE(&idle, make_log(f, nbd, none, true));
    tell("idle cycle, with fingerprints", &idle, 0);
}

int
main(int argc, char **argv)
{
    if (argc < 2)
        g_error("usage: fingerprint FOLDER [MiB]");
    dir = argv[1];
    const guint64 size = (argc > 2 ? g_ascii_strtoull(argv[2], NULL, 10) : 1024) << 20;
    g_autoptr(GError) err = NULL;
    g_autofree char *path = g_build_filename(dir, "disk.raw", NULL), *prints = g_build_filename(dir, "prints", NULL);
    g_autofree char *socket = g_build_filename(dir, "nbd.sock", NULL), *pid = g_build_filename(dir, "nbd.pid", NULL);
    g_autofree char *serve = g_strdup_printf("qemu-nbd -r -t -k %s -f raw --fork --shared=8 --pid-file=%s %s", socket, pid, path);
    g_autofree char *direct = g_strdup_printf("%s.direct", socket), *stop = g_strdup_printf("kill $(cat %s %s.direct)", pid, pid);
    g_autofree char *serve_direct = g_strdup_printf("qemu-nbd -r -t -k %s -f raw -n --aio=native --fork --shared=8 --pid-file=%s.direct %s",
                                                    direct, pid, path);
    fill(path, size);
    run(serve);
    run(serve_direct);
    struct block *nbd = nbdblock_open(socket, "", &err);
    must(nbd != NULL, err);
    struct fingerprint *f = fingerprint_open(prints, is_durable, NULL, &err);
    must(f != NULL, err);
    struct extents *all = extents_new();
    extents_add(all, 0, size, EXTENT_DATA);
    make_log(f, nbd, all, true);
    extents_auto changed = rewrite(path, size);
    measure_scans(f, path, socket, nbd, size, changed);
    measure_direct(f, path, direct, size);
    make_log(f, nbd, all, true);
    measure_cycles(f, path, nbd, size);
    extents_free(all);
    fingerprint_close(f);
    block_close(nbd);
    run(stop);
    return 0;
}
