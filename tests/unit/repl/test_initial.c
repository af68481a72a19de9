/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "link.h"

#include "base/clean.h"
#include "base/file.h"
#include "repl/maintain.h"
#include "repl/work.h"
#include "store/store.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* The first copy: what it leaves undone to be fast, and what becomes of that when the power goes. */

static guint
fuzzy_logs(struct relation *rel, bool *has_base)
{
    struct store_log base;
    guint n = 0;
    g_autoptr(GArray) logs = store_logs(rel->in.store);
    for (guint i = 0; i < logs->len; i++)
        n += g_array_index(logs, struct store_log, i).fuzzy;
    *has_base = store_base(rel->in.store, &base);
    return n;
}

/* So that the copy is as long as the disk. */
static void
fill_with_noise(struct world *w, const struct uuid *vm, guint disk)
{
    enum { MIB = 1 << 20 };
    g_autofree guint32 *noise = g_malloc(MIB);
    for (guint64 at = 0; at < 2 * MIB; at += MIB) {
        for (guint i = 0; i < MIB / sizeof *noise; i++)
            noise[i] = g_rand_int(w->rand);
        fake_write(w->a.fake, vm, disk, at, noise, MIB);
    }
}

/* Merging leaves the disk to a first copy that is under way, and begins when that is whole. */
static void
test_copy_goes_first(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    bool base;
    world_open(&w);
    const struct uuid vm = world_guest(&w, 2);
    fill_with_noise(&w, &vm, 0);
    fill_with_noise(&w, &vm, 1);
    world_enable(&w, &vm, 250);
    fake_block_reads(w.a.fake, true);
    g_assert_true(repl_start(w.a.service, &vm, 1, NULL, 0, "test", job, NULL));
    relation_auto rel = core_find(w.b.service->core, &vm, 0);
    UNTIL(fake_reads_waiting(w.a.fake) > 0);
    link_cut_after(w.link, 3 << 20);
    fake_block_reads(w.a.fake, false);
    UNTIL(fuzzy_logs(rel, &base) >= 2); /* of four */
    const guint before = fuzzy_logs(rel, &base);
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_WAITING_INITIAL);
    UNTIL(task_hold(rel->in.maintain)); /* not beside the daemon's own */
    maintain_task(rel);
    task_release(rel->in.maintain);
    g_assert_cmpuint(fuzzy_logs(rel, &base), >=, before);
    g_assert_false(base);
    world_cut(&w, false);
    world_done(&w.a, job);
    UNTIL(fuzzy_logs(rel, &base) == 0 && base);
    g_assert_cmpuint(world_compare(&w, &vm), >=, 1);
    world_close(&w);
}

/* The first copy of a running guest comes in logs that are no cycles: what they send counts, too, where the contract wants it. */
static void
test_counts_what_is_sent(void)
{
    struct world w = { 0 };
    struct repl_statistics a, b;
    world_open(&w);
    const struct uuid vm = world_guest(&w, 2);
    char job[UUID_TEXT];
    struct repl_settings s = world_settings(&w, 60000);
    s.compression = false; /* else what TLS needs is more than what the disks hold */
    g_assert_true(repl_create(w.a.service, &vm, &s, "test", job, NULL));
    repl_settings_clear(&s);
    world_done(&w.a, job);
    const guint64 before = (guint64)link_bytes(w.link);
    world_start(&w, &vm);
    const guint64 sent = (guint64)link_bytes(w.link) - before;
    g_assert_true(repl_statistics(w.a.service, &vm, 0, &a, NULL, NULL) && repl_statistics(w.b.service, &vm, 0, &b, NULL, NULL));
    g_test_message("%" G_GUINT64_FORMAT " bytes of %" G_GUINT64_FORMAT " over the link, %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT
                   " unpacked", a.wire_bytes, sent, a.copied, a.size);
    g_assert_cmpuint(a.wire_bytes, <=, sent);
    g_assert_cmpuint(a.wire_bytes, >=, sent * 9 / 10);
    g_assert_cmpuint(b.wire_bytes, ==, a.wire_bytes);
    g_assert_cmpuint(a.copied, >, a.size); /* nothing was written meanwhile */
    g_assert_cmpuint(b.copied, ==, a.copied);
    world_close(&w);
}

/* ---- a power cut: the names of the logs are on the disk, their bytes were not forced there ---- */

enum harm { TORN, EMPTY, ZEROED, HARMS };

static char *
outbox_log_of(struct world *w, const struct uuid *vm, guint n)
{
    relation_auto rel = core_find(w->a.service->core, vm, 0);
    struct outbox_log log;
    UNTIL(outbox_count(rel->s.outbox) > n);
    g_assert_true(outbox_first(rel->s.outbox, &log));
    char *path = outbox_path(rel->s.outbox, &log);
    for (; n > 0; n--) {
        g_autofree char *dir = g_path_get_dirname(path), *prefix = g_strdup_printf("%016" G_GUINT64_FORMAT "-", ++log.sequence);
        g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
        const char *name;
        while ((name = g_dir_read_name(d)) && !g_str_has_prefix(name, prefix))
            continue;
        g_assert_nonnull(name);
        g_free(path);
        path = g_build_filename(dir, name, NULL);
    }
    return path;
}

static void
harm_file(const char *path, enum harm how)
{
    static const guint8 zeros[512];
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    if (how == TORN || how == EMPTY)
        g_assert_cmpint(truncate(path, how == TORN ? st.st_size / 2 : 0), ==, 0);
    if (how == ZEROED) { /* in a frame: only who reads that sees it */
        auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);
        g_assert_true(file_write_full(fd, zeros, sizeof zeros, (guint64)st.st_size / 2, path, NULL));
    }
}

static void
test_power_cut(void)
{
    for (enum harm how = 0; how < HARMS; how++) {
        for (guint n = 0; n < 2; n++) {
            struct world w = { 0 };
            char job[UUID_TEXT];
            world_open(&w);
            const struct uuid vm = world_guest(&w, 2);
            world_enable(&w, &vm, 250);
            world_cut(&w, true);
            g_assert_true(repl_start(w.a.service, &vm, 1, NULL, 0, "test", job, NULL));
            g_autofree char *path = outbox_log_of(&w, &vm, n);
            g_test_message("damage %d to log %u: %s", how, n, path);
            host_down(&w.a);
            harm_file(path, how);
            fake_kill(w.a.fake, &vm); /* the guest went with its host, and so did its bitmaps */
            fake_scribble(w.a.fake, &vm, w.rand, 5);
            host_up(&w, &w.a);
            world_cut(&w, false);
            world_wait_state(&w.a, &vm, STATE_REPLICATING);
            world_wait_state(&w.b, &vm, STATE_REPLICATING);
            UNTIL(world_compare(&w, &vm) >= 1);
            world_close(&w);
        }
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/initial/copy-goes-first", test_copy_goes_first);
    g_test_add_func("/repl/initial/counts", test_counts_what_is_sent);
    g_test_add_func("/repl/initial/power-cut", test_power_cut);
    return g_test_run();
}
