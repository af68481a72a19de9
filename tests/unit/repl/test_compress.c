/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/compress.h"

#include <string.h>

#define MB 1e6

/* Which way is best, by link, speed of packing, gain and processors: worked out by hand from the formula in compress.h. */
static void
test_table(void)
{
    static const struct {
        const char *what;
        double pack, saved, link, processors;
        bool lz4;
        enum compress best;
    } cases[] = {
        { "nothing is known", 0, 0, 0, 2, true, COMPRESS_ZSTD_1 },
        { "the link is not known", 500 * MB, 0.6, 0, 2, true, COMPRESS_ZSTD_1 },
        { "packing is not known", 0, 0, 100 * MB, 2, true, COMPRESS_ZSTD_1 },
        { "1 Mbit/s: every byte counts", 500 * MB, 0.6, 0.125 * MB, 2, true, COMPRESS_ZSTD_3 },
        { "10 Mbit/s", 500 * MB, 0.6, 1.25 * MB, 2, true, COMPRESS_ZSTD_3 },
        { "100 Mbit/s", 500 * MB, 0.6, 12.5 * MB, 2, true, COMPRESS_ZSTD_3 },
        { "400 Mbit/s", 500 * MB, 0.6, 50 * MB, 2, true, COMPRESS_ZSTD_2 },
        { "100 Mbit/s, slow processor", 50 * MB, 0.6, 12.5 * MB, 1, true, COMPRESS_ZSTD_FAST },
        { "1 Gbit/s", 500 * MB, 0.6, 125 * MB, 2, true, COMPRESS_ZSTD_1 },
        { "1 Gbit/s, one processor", 500 * MB, 0.6, 125 * MB, 1, true, COMPRESS_ZSTD_FAST },
        { "1 Gbit/s, no processor left", 500 * MB, 0.6, 125 * MB, 0, true, COMPRESS_LZ4 },
        { "10 Gbit/s", 500 * MB, 0.6, 1250 * MB, 2, true, COMPRESS_LZ4 },
        { "10 Gbit/s, an older replica", 500 * MB, 0.6, 1250 * MB, 2, false, COMPRESS_ZSTD_FAST },
        { "10 Gbit/s, many processors", 500 * MB, 0.6, 1250 * MB, 16, true, COMPRESS_ZSTD_1 },
        { "nothing compresses", 7000 * MB, 0, 12.5 * MB, 2, true, COMPRESS_LZ4 },
        { "nothing compresses, an older replica", 7000 * MB, 0, 12.5 * MB, 2, false, COMPRESS_ZSTD_FAST },
        { "nearly all is saved", 800 * MB, 0.99, 12.5 * MB, 2, true, COMPRESS_ZSTD_1 },
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        const struct compress_meter m = { .pack = cases[i].pack, .saved = cases[i].saved, .link = cases[i].link };
        const enum compress best = compress_best(&m, cases[i].processors, cases[i].lz4);
        g_test_message("%s: %s, expected %s", cases[i].what, compress_name(best), compress_name(cases[i].best));
        g_assert_cmpint(best, ==, cases[i].best);
    }
}

/* More link never asks for harder packing, less processor neither. */
static void
test_monotone(void)
{
    for (double processors = 0.1; processors < 20; processors *= 1.7) {
        enum compress before = COMPRESS_ZSTD_3;
        for (double link = 0.01 * MB; link < 1e5 * MB; link *= 1.5) {
            const struct compress_meter m = { .pack = 400 * MB, .saved = 0.5, .link = link };
            const enum compress best = compress_best(&m, processors, true);
            g_assert_cmpint(best, <=, before);
            g_assert_cmpint(compress_best(&m, processors / 2, true), <=, best);
            before = best;
        }
    }
}

static void
learn(struct compress_meter *m, enum compress way, double mb_per_s, double ratio, double link_mb)
{
    const guint64 raw = 64 << 20;
    compress_note_packed(m, way, raw, (guint64)(ratio * (double)raw), (gint64)((double)raw / mb_per_s));
    compress_note_sent(m, raw, (gint64)((double)raw / link_mb));
}

/* What is learnt does not depend on the way that was in use: as zstd:1 would have done. */
static void
test_learns_alike(void)
{
    struct compress_meter a = { 0 }, b = { 0 };
    learn(&a, COMPRESS_ZSTD_1, 500, 0.4, 100);
    learn(&b, COMPRESS_LZ4, 500 * 1.65, 1 - 0.6 * 0.82, 100);
    g_assert_cmpfloat_with_epsilon(a.pack, b.pack, 0.01 * a.pack);
    g_assert_cmpfloat_with_epsilon(a.saved, b.saved, 0.01);
    /* Later logs move it by a part. */
    learn(&a, COMPRESS_ZSTD_1, 1000, 1.0, 200);
    g_assert_cmpfloat_with_epsilon(a.pack, 650 * MB, 5 * MB);
    g_assert_cmpfloat_with_epsilon(a.saved, 0.42, 0.01);
    g_assert_cmpfloat_with_epsilon(a.link, 130 * MB, 1 * MB);
    /* Log files have heads and an index: a log can be longer than its data. */
    learn(&b, COMPRESS_LZ4, 500, 1.01, 100);
    g_assert_cmpfloat(b.saved, >=, 0);
}

static void
test_teaches_nothing(void)
{
    struct compress_meter m = { 0 };
    compress_note_packed(&m, COMPRESS_ZSTD_1, COMPRESS_LEAST - 1, 100, 100);
    compress_note_packed(&m, COMPRESS_ZSTD_1, COMPRESS_LEAST, 100, 0);
    compress_note_packed(&m, COMPRESS_NONE, COMPRESS_LEAST, COMPRESS_LEAST, 100);
    compress_note_sent(&m, COMPRESS_LEAST - 1, 100);
    compress_note_sent(&m, COMPRESS_LEAST, 0);
    g_assert_cmpfloat(m.pack, ==, 0);
    g_assert_cmpfloat(m.link, ==, 0);
    g_assert_cmpint(compress_vote(&m, 2, true), ==, COMPRESS_ZSTD_1);
}

/* A change needs several wins in a row, each by more than a little. */
static void
test_does_not_flap(void)
{
    struct compress_meter m = { .pack = 500 * MB, .saved = 0.6, .link = 125 * MB };
    g_assert_cmpint(compress_vote(&m, 2, true), ==, COMPRESS_ZSTD_1);
    for (guint i = 0; i < 20; i++) { /* every other cycle, the link looks fast */
        m.link = (i % 2 ? 125 : 5000) * MB;
        g_assert_cmpint(compress_vote(&m, 2, true), ==, COMPRESS_ZSTD_1);
    }
    m.link = 5000 * MB;
    for (guint i = 1; i < COMPRESS_VOTES; i++)
        g_assert_cmpint(compress_vote(&m, 2, true), ==, COMPRESS_ZSTD_1);
    g_assert_cmpint(compress_vote(&m, 2, true), ==, COMPRESS_LZ4);
    /* Better by less than COMPRESS_GAIN: nothing changes however often. */
    m = (struct compress_meter){ .pack = 500 * MB, .saved = 0.6, .link = 125 * MB };
    g_assert_cmpint(compress_vote(&m, 2, true), ==, COMPRESS_ZSTD_1);
    m.link = 50 * MB;
    g_assert_cmpint(compress_best(&m, 2, true), !=, COMPRESS_ZSTD_1);
    for (guint i = 0; i < 20; i++)
        g_assert_cmpint(compress_vote(&m, 2, true), ==, COMPRESS_ZSTD_1);
}

/* The replica was put back to an older program: what it cannot read ends at once. */
static void
test_leaves_lz4(void)
{
    struct compress_meter m = { .pack = 500 * MB, .saved = 0.6, .link = 5000 * MB };
    g_assert_cmpint(compress_vote(&m, 2, true), ==, COMPRESS_LZ4);
    g_assert_cmpint(compress_vote(&m, 2, false), ==, COMPRESS_ZSTD_FAST);
}

static void
test_names(void)
{
    static const char *const wrong[] = { "", "zstd", "zstd:0", "zstd:-2", "zstd:4", "zstd:1 ", "LZ4", "gzip", "auto,none" };
    for (enum compress c = 0; c < COMPRESS_COUNT; c++) {
        enum compress back;
        g_assert_true(compress_parse(compress_name(c), &back));
        g_assert_cmpint(back, ==, c);
        if (g_str_has_prefix(compress_name(c), "zstd:"))
            g_assert_cmpint(compress_level(c), ==, g_ascii_strtoll(compress_name(c) + 5, NULL, 10));
        else
            g_assert_cmpint(compress_level(c), ==, 0);
    }
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        enum compress c;
        g_assert_false(compress_parse(wrong[i], &c));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/compress/table", test_table);
    g_test_add_func("/repl/compress/monotone", test_monotone);
    g_test_add_func("/repl/compress/learns-alike", test_learns_alike);
    g_test_add_func("/repl/compress/teaches-nothing", test_teaches_nothing);
    g_test_add_func("/repl/compress/does-not-flap", test_does_not_flap);
    g_test_add_func("/repl/compress/leaves-lz4", test_leaves_lz4);
    g_test_add_func("/repl/compress/names", test_names);
    return g_test_run();
}
