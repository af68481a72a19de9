/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "link.h"

#include "base/clean.h"
#include "base/err.h"
#include "log/reader.h"

#include <string.h>

/* How change logs are packed on their way from a to b, and what an older program on b is sent. */

static void
enable(struct world *w, const struct uuid *vm, const char *compression, bool enabled)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    struct repl_settings s = world_settings(w, 250);
    g_free(s.additional);
    s.additional = g_strdup_printf("{\"interval_ms\": 250, \"keep_every_cycle_s\": 3600, \"compression\": \"%s\"}", compression);
    s.compression = enabled;
    g_assert_true(repl_create(w->a.service, vm, &s, "test", job, &err));
    g_assert_no_error(err);
    repl_settings_clear(&s);
    world_done(&w->a, job);
}

/* The file of b's newest point. */
static char *
newest_log(struct world *w, const struct uuid *vm)
{
    char id[UUID_TEXT];
    g_autoptr(GArray) points = repl_points(w->b.service, vm, NULL);
    g_assert_cmpuint(points->len, >, 0);
    uuid_format(&g_array_index(points, struct repl_point, points->len - 1).id, id);
    g_autofree char *folder = world_folder(w, vm), *logs = g_build_filename(folder, "logs", NULL);
    g_autofree char *suffix = g_strconcat("-", id, ".vrl", NULL);
    g_autoptr(GDir) dir = g_dir_open(logs, 0, NULL);
    g_assert_nonnull(dir);
    for (const char *name; (name = g_dir_read_name(dir));)
        if (g_str_has_suffix(name, suffix))
            return g_build_filename(logs, name, NULL);
    g_error("point %s has no log", id);
}

struct seen {
    guint version;
    bool codec[3];
};

static struct seen
look(struct world *w, const struct uuid *vm)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *path = newest_log(w, vm);
    struct log_reader *r = log_reader_open(path, &err);
    g_assert_no_error(err);
    struct seen s = { .version = log_reader_info(r)->version };
    for (unsigned i = 0; i < log_reader_frames(r); i++)
        s.codec[log_reader_frame(r, i)->codec] = true;
    log_reader_close(r);
    return s;
}

/* A change that packs well has arrived; how. */
static struct seen
cycle(struct world *w, const struct uuid *vm)
{
    static const char line[] = "the same words again and again, as in a log file of a guest\n";
    g_autofree char *text = g_malloc(256 << 10);
    for (gsize at = 0; at < 256 << 10; at++)
        text[at] = line[at % (sizeof line - 1)];
    g_snprintf(text, 30, "%u", g_rand_int(w->rand));
    world_wait_cycle(w, vm); /* what was under way is over */
    fake_write(w->a.fake, vm, 0, 0, text, 256 << 10);
    for (;;) {
        world_wait_cycle(w, vm);
        const struct seen s = look(w, vm);
        if (s.codec[LOG_CODEC_RAW] || s.codec[LOG_CODEC_ZSTD] || s.codec[LOG_CODEC_LZ4])
            return s;
        fake_write(w->a.fake, vm, 0, 0, text, 256 << 10);
        text[0] ^= 1;
    }
}

static char *
now(struct world *w, const struct uuid *vm)
{
    struct repl_statistics s;
    g_assert_true(repl_statistics(w->a.service, vm, 0, &s, NULL, NULL));
    return g_strdup(s.compression);
}

static void
test_settings(void)
{
    static const struct {
        const char *setting;
        bool enabled;
        const char *now;
        guint version;
        enum log_codec codec;
    } cases[] = {
        { "auto", true, "zstd:1", 1, LOG_CODEC_ZSTD }, /* until a log was large enough to learn from */
        { "none", true, "none", 1, LOG_CODEC_RAW },
        { "lz4", true, "lz4", LOG_VERSION_LZ4, LOG_CODEC_LZ4 },
        { "zstd:-1", true, "zstd:-1", 1, LOG_CODEC_ZSTD },
        { "zstd:3", true, "zstd:3", 1, LOG_CODEC_ZSTD },
        { "lz4", false, "none", 1, LOG_CODEC_RAW }, /* CompressionEnabled */
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct world w = { 0 };
        world_open(&w);
        const struct uuid vm = world_guest(&w, 1);
        enable(&w, &vm, cases[i].setting, cases[i].enabled);
        world_start(&w, &vm);
        const struct seen s = cycle(&w, &vm);
        g_autofree char *is = now(&w, &vm);
        g_test_message("%s: %s, version %u", cases[i].setting, is, s.version);
        if (i > 0) /* a busy machine may have taught "auto" something already */
            g_assert_cmpstr(is, ==, cases[i].now);
        g_assert_true(s.codec[cases[i].codec] || i == 0);
        g_assert_true(s.version == cases[i].version || i == 0);
        g_assert_cmpuint(world_compare(&w, &vm), >=, 1);
        world_close(&w);
    }
}

static void
restart_b(struct world *w, guint log_version)
{
    host_down(&w->b);
    w->b.log_version = log_version;
    host_up(w, &w->b);
    link_target(w->link, w->b.port);
}

static void
downgrade(struct world *w, const struct uuid *vm)
{
    struct repl_statistics s;
    restart_b(w, 1);
    world_cut(w, false);
    UNTIL(cycle(w, vm).version == 1);
    g_assert_cmpuint(world_state(&w->a, vm), ==, STATE_REPLICATING);
    g_assert_cmpuint(world_compare(w, vm), >=, 2);
    g_assert_true(repl_statistics(w->a.service, vm, 0, &s, NULL, NULL));
    g_assert_cmpuint(s.scans, >=, 1); /* the disks were compared */
    g_assert_cmpuint(s.full_copies, ==, 0);
}

/* b's program gets newer, and then older again while a has logs that it would not read, or has just made one. */
static void
test_older_replica(void)
{
    struct world w = { .b = { .log_version = 1 } };
    world_open(&w);
    const struct uuid vm = world_guest(&w, 2);
    enable(&w, &vm, "lz4", true);
    world_start(&w, &vm);
    g_assert_cmpuint(cycle(&w, &vm).version, ==, 1);
    g_autofree char *older = now(&w, &vm);
    g_assert_cmpstr(older, ==, "zstd:-1");

    restart_b(&w, 0);
    UNTIL(cycle(&w, &vm).version == LOG_VERSION_LZ4);
    g_autofree char *newer = now(&w, &vm);
    g_assert_cmpstr(newer, ==, "lz4");

    world_cut(&w, true);
    const guint before = fake_instants(w.a.fake);
    fake_scribble(w.a.fake, &vm, w.rand, 30);
    UNTIL(fake_instants(w.a.fake) >= before + 3);
    downgrade(&w, &vm);
    restart_b(&w, 0);
    UNTIL(cycle(&w, &vm).version == LOG_VERSION_LZ4);
    downgrade(&w, &vm); /* without a cut: the connection may be made anew behind the sender's back */
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/packing/settings", test_settings);
    g_test_add_func("/repl/packing/older-replica", test_older_replica);
    return g_test_run();
}
