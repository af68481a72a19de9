/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "repl/work.h"
#include "vm/nbdblock.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

/* Many relationships between two whole services, each in a process of its own: real stores, databases, TLS and outboxes.  The guests are
 * not real: every disk is the same NBD export, whose pages differ from cycle to cycle because the number of the cycle is put into them.
 *
 *   fleet COUNT INTERVAL_MS SECONDS PAGES SOCKET     SOCKET: nbdkit with the disk, at least INITIAL bytes
 *
 * Prints "steady" after the last initial replication (of INITIAL bytes), and one JSON object about the SECONDS after it.  PAGES, half of
 * each random, change per cycle and guest, all over the disk. */

enum {
    INITIAL = 256 << 10,
    PAGE = 4096,
    UNREAD = 4 << 20, /* of the fake guest's own disk: so large that its memory is never touched */
};

static struct block *source;
static guint64 disk_size;
static guint pages;
static struct core *core;

/* ---- what the hypervisor would say ---- */

struct capture {
    struct block block; /* first: the disk is the capture */
    struct extents *what;
    const char *xml;
    guint64 number;
};

static struct {
    GMutex lock;
    GArray *late;      /* gint64, us between due time and capture */
    GHashTable *tracked;
    GHashTable *definitions; /* as the fake host has them: what a replica host cannot take is tried again with every log */
    guint64 captures;
    bool counting;
} fleet;

/* What no page had before: the first half of each, so that it packs like a disk and not like a pattern. */
static void
mark(guint8 *page, guint64 seed)
{
    for (size_t at = 0; at < PAGE / 2; at += sizeof seed) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        memcpy(page + at, &seed, sizeof seed);
    }
    memset(page + PAGE / 2, 0, PAGE / 2);
}

static void
mark_all(const struct capture *c, guint8 *buf, size_t len, uint64_t off)
{
    for (size_t at = 0; at + PAGE <= len; at += PAGE)
        mark(buf + at, ((off + at + 1) << 20) ^ c->number);
}

static bool
read_all_marked(struct block *b, const struct block_range *ranges, size_t count, GError **err)
{
    if (!block_read_all(source, ranges, count, err))
        return false;
    for (size_t i = 0; i < count; i++)
        mark_all((const struct capture *)b, ranges[i].buf, ranges[i].len, ranges[i].off);
    return true;
}

static bool
read_marked(struct block *b, void *buf, size_t len, uint64_t off, GError **err)
{
    return read_all_marked(b, &(struct block_range){ buf, len, off }, 1, err);
}

static bool
all_extents(struct block *b, uint64_t off, uint64_t len, struct extents *out, GError **err)
{
    extents_add(out, off, len, EXTENT_DATA);
    return true;
}

static void
close_marked(struct block *b)
{
}

static const struct block_ops marked_ops = { read_marked, all_extents, close_marked, read_all_marked };

static bool
recover(struct capture_engine *e, const struct uuid *vm, const char *const *targets, bool (*durable)(void *, const struct uuid *), void *user,
        struct uuid *since, GError **err)
{
    char text[UUID_TEXT];
    HOLD(&fleet.lock);
    const struct uuid *log = g_hash_table_lookup(fleet.tracked, uuid_format(vm, text));
    if (log)
        *since = *log;
    return log || err_set(err, ERR_TRACKING_LOST, "nothing is tracked yet.");
}

static void
note_start(const struct uuid *vm)
{
    struct relation *rel = core_find(core, vm, 0);
    const gint64 late = g_get_monotonic_time() - rel->s.due; /* only the capture task changes it, and this is that */
    relation_unref(rel);
    HOLD(&fleet.lock);
    if (fleet.counting)
        g_array_append_val(fleet.late, late);
}

/* In order, as bitmaps are read: one at random in each part of the disk. */
static void
dirty_pages(struct extents *what)
{
    const guint64 stride = disk_size / PAGE / MAX(pages, 1);
    for (guint64 i = 0; i < pages; i++)
        extents_add(what, (i * stride + g_random_int() % stride) * PAGE, PAGE, EXTENT_DATA);
}

static struct capture *
begin(struct capture_engine *e, const struct uuid *vm, const char *const *targets, enum capture_mode mode, const struct uuid *log,
      GError **err)
{
    char text[UUID_TEXT];
    struct capture *c = g_new0(struct capture, 1);
    note_start(vm);
    c->block = (struct block){ &marked_ops, disk_size };
    c->what = extents_new();
    HOLD(&fleet.lock);
    c->number = ++fleet.captures;
    c->xml = g_hash_table_lookup(fleet.definitions, uuid_format(vm, text));
    if (mode == CAPTURE_FUZZY_ALL)
        extents_add(c->what, 0, INITIAL, EXTENT_DATA);
    else if (mode == CAPTURE_INSTANT)
        dirty_pages(c->what);
    g_hash_table_replace(fleet.tracked, g_strdup(uuid_format(vm, text)), g_memdup2(log, sizeof *log));
    return c;
}

static gint64
instant_us(const struct capture *c)
{
    return g_get_real_time();
}

static const char *
domain_xml(const struct capture *c)
{
    return c->xml;
}

static GBytes *
nvram(const struct capture *c)
{
    return NULL;
}

static struct block *
disk(struct capture *c, guint i)
{
    return &c->block;
}

static const struct extents *
changed(const struct capture *c, guint i)
{
    return c->what;
}

static bool
end(struct capture *c, bool durable, GError **err)
{
    extents_free(c->what);
    g_free(c);
    return true;
}

static bool
forget(struct capture_engine *e, const struct uuid *vm, GError **err)
{
    return true;
}

static guint64
pending(struct capture_engine *e, const struct uuid *vm)
{
    return 0;
}

static bool
power_get(struct vm_conn *c, const struct uuid *vm, enum vm_power *out, GError **err)
{
    *out = VM_RUNNING;
    return true;
}

/* ---- what a process costs ---- */

struct cost {
    double cpu_s;
    guint64 rss_kib;
    guint descriptors, threads;
};

static guint64
status_of(pid_t pid, const char *key)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", pid), *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    const char *at = strstr(text, key);
    return at ? g_ascii_strtoull(at + strlen(key), NULL, 10) : 0;
}

static struct cost
cost_of(pid_t pid)
{
    struct cost c = { 0, status_of(pid, "VmRSS:\t"), 0, (guint)status_of(pid, "Threads:\t") };
    g_autofree char *fds = g_strdup_printf("/proc/%d/fd", pid);
    clockid_t clock;
    struct timespec t;
    g_autoptr(GDir) dir = g_dir_open(fds, 0, NULL);
    while (g_dir_read_name(dir))
        c.descriptors++;
    g_assert_cmpint(clock_getcpuclockid(pid, &clock), ==, 0);
    g_assert_cmpint(clock_gettime(clock, &t), ==, 0);
    c.cpu_s = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
    return c;
}

static void
print_cost(const char *name, const struct cost *before, const struct cost *after, guint seconds)
{
    printf(", \"%s\": {\"cpu_percent\": %.3f, \"rss_mib\": %.1f, \"descriptors\": %u, \"threads\": %u}", name,
           (after->cpu_s - before->cpu_s) / seconds * 100, (double)after->rss_kib / 1024, after->descriptors, after->threads);
}

/* ---- two processes ---- */

static void
allow_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* fleet --replica DIR PORT: the other host, until its input ends. */
static int
replica(char **argv)
{
    struct world w = { 0 };
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    world_borrow(&w, argv[2], (guint)atoi(argv[3]));
    host_up(&w, &w.b);
    printf("up\n");
    fflush(stdout);
    while (read(0, &byte, 1) > 0)
        continue;
    host_down(&w.b);
    return 0;
}

static pid_t
start_replica(const char *self, struct world *w, int *input)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *port = g_strdup_printf("%u", w->b.port);
    const char *argv[] = { self, "--replica", w->box.dir, port, NULL };
    GPid pid;
    int out;
    char line[8];
    g_spawn_async_with_pipes(NULL, (char **)(gpointer)argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, input, &out, NULL, &err);
    g_assert_no_error(err);
    g_assert_cmpint(read(out, line, sizeof line), >, 0);
    return pid;
}

static void
enable(struct world *w, const struct uuid *vm, guint interval_ms)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    struct repl_settings s = world_settings(w, interval_ms);
    s.recovery_port = w->b.port;
    g_assert_true(repl_create(w->a.service, vm, &s, "test", job, &err));
    g_assert_no_error(err);
    repl_settings_clear(&s);
    world_done(&w->a, job);
    g_assert_true(repl_start(w->a.service, vm, 1, NULL, 0, "test", job, &err));
    g_assert_no_error(err);
}

static void
wait_all(struct world *w, const GArray *guests)
{
    for (guint i = 0; i < guests->len; i++)
        while (world_state(&w->a, &g_array_index(guests, struct uuid, i)) != STATE_REPLICATING)
            g_usleep(20000);
}

static gint
by_time(gconstpointer a, gconstpointer b)
{
    const gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;
    return x < y ? -1 : x > y;
}

static gint saves;

static void
count_save(void *user)
{
    g_atomic_int_inc(&saves);
}

/* Of all guests since their relationships were made. */
static struct repl_statistics
totals(struct world *w, const GArray *guests)
{
    struct repl_statistics sum = { 0 };
    for (guint i = 0; i < guests->len; i++) {
        struct repl_statistics s;
        g_autoptr(GPtrArray) issues = NULL;
        if (!repl_statistics(w->a.service, &g_array_index(guests, struct uuid, i), 0, &s, &issues, NULL))
            continue;
        sum.misses += s.misses;
        sum.success += s.success;
        sum.latency_us += s.latency_us;
        sum.wire_bytes += s.wire_bytes;
    }
    return sum;
}

static void
print_cycles(const struct repl_statistics *before, const struct repl_statistics *after)
{
    const guint n = after->success - before->success;
    printf("{\"cycles\": %u, \"missed\": %u, \"saves\": %d", fleet.late->len, after->misses - before->misses, g_atomic_int_get(&saves));
    if (n)
        printf(", \"durable_ms\": %.3f, \"wire_bytes\": %.0f", (double)(after->latency_us - before->latency_us) / 1000 / n,
               (double)(after->wire_bytes - before->wire_bytes) / n);
}

static void
observe(struct world *w, const GArray *guests, guint seconds, pid_t child)
{
    printf("steady %d %d\n", (int)getpid(), (int)child);
    fflush(stdout);
    const struct cost a = cost_of(getpid()), b = cost_of(child);
    const struct repl_statistics before = totals(w, guests);
    repl_service_on_change(w->a.service, count_save, NULL);
    {
        HOLD(&fleet.lock);
        fleet.counting = true;
    }
    g_usleep((gulong)seconds * G_USEC_PER_SEC);
    const struct cost a2 = cost_of(getpid()), b2 = cost_of(child);
    const struct repl_statistics after = totals(w, guests);
    repl_service_on_change(w->a.service, NULL, NULL);
    HOLD(&fleet.lock);
    fleet.counting = false;
    g_array_sort(fleet.late, by_time);
    const guint n = fleet.late->len;
    print_cycles(&before, &after);
    if (n)
        printf(", \"late_ms\": {\"median\": %.3f, \"p99\": %.3f, \"max\": %.3f}", (double)g_array_index(fleet.late, gint64, n / 2) / 1000,
               (double)g_array_index(fleet.late, gint64, n * 99 / 100) / 1000, (double)g_array_index(fleet.late, gint64, n - 1) / 1000);
    print_cost("primary", &a, &a2, seconds);
    print_cost("replica", &b, &b2, seconds);
    printf("}\n");
    fflush(stdout);
}

static struct repl_vm_ops
ops(void)
{
    struct repl_vm_ops o = fake_vm_ops;
    o.power_get = power_get;
    o.recover = recover;
    o.begin = begin;
    o.instant_us = instant_us;
    o.domain_xml = domain_xml;
    o.nvram = nvram;
    o.disk = disk;
    o.extents = changed;
    o.end = end;
    o.forget = forget;
    o.pending = pending;
    return o;
}

static void
open_fleet(const char *socket)
{
    g_autoptr(GError) err = NULL;
    source = nbdblock_open(socket, "", &err);
    g_assert_no_error(err);
    g_assert_cmpuint(source->size, >=, INITIAL);
    disk_size = source->size;
    fleet.late = g_array_new(FALSE, FALSE, sizeof(gint64));
    fleet.definitions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    fleet.tracked = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

static void
note_definition(struct fake_host *host, const struct uuid *vm)
{
    char text[UUID_TEXT];
    HOLD(&fleet.lock);
    g_hash_table_insert(fleet.definitions, g_strdup(uuid_format(vm, text)), fake_definition(host, vm));
}

int
main(int argc, char **argv)
{
    const struct repl_vm_ops table = ops();
    struct world w = { .ops = &table };
    int input;
    allow_descriptors();
    if (argc == 4 && !strcmp(argv[1], "--replica"))
        return replica(argv);
    if (argc != 6) {
        fprintf(stderr, "usage: fleet COUNT INTERVAL_MS SECONDS PAGES SOCKET\n");
        return 2;
    }
    pages = (guint)atoi(argv[4]);
    open_fleet(argv[5]);
    world_open(&w);
    core = w.a.service->core;
    host_down(&w.b);
    const pid_t child = start_replica(argv[0], &w, &input);
    g_autoptr(GArray) guests = g_array_new(FALSE, FALSE, sizeof(struct uuid));
    for (int i = 0; i < atoi(argv[1]); i++) {
        g_autofree char *name = g_strdup_printf("guest%04d", i);
        const struct uuid vm = fake_guest_add(w.a.fake, name, 1, UNREAD);
        g_array_append_val(guests, vm);
        note_definition(w.a.fake, &vm);
        enable(&w, &vm, (guint)atoi(argv[2]));
    }
    wait_all(&w, guests);
    observe(&w, guests, (guint)atoi(argv[3]), child);
    close(input);
    waitpid(child, NULL, 0);
    file_remove_tree(w.box.dir, NULL);
    _exit(0); /* all was said; an orderly end would take the time of one more cycle of each */
}
