/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "log/reader.h"
#include "log/verify.h"
#include "log/writer.h"

#include <string.h>

#define SIZE_A (3u << 20)
#define SIZE_B ((1u << 20) + 512)

struct fixture {
    char *dir, *path;
    struct block *disk[2];
    guint8 *data[2];
};

static void
set_up(struct fixture *f, gconstpointer user)
{
    f->dir = g_dir_make_tmp("vmr-log-XXXXXX", NULL);
    f->path = g_build_filename(f->dir, "a.vrl", NULL);
    f->disk[0] = block_mem_new(SIZE_A, &f->data[0]);
    f->disk[1] = block_mem_new(SIZE_B, &f->data[1]);
    for (guint d = 0; d < 2; d++)
        for (guint64 i = 0; i < f->disk[d]->size; i += 4096)
            if (g_test_rand_int_range(0, 3))
                for (guint64 j = i; j < MIN(i + 4096, f->disk[d]->size); j++)
                    f->data[d][j] = (guint8)g_test_rand_int_range(0, g_test_rand_int_range(0, 2) ? 255 : 4);
}

static void
tear_down(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    g_assert_true(file_remove_tree(f->dir, &err));
    g_assert_no_error(err);
    block_close(f->disk[0]);
    block_close(f->disk[1]);
    g_free(f->dir);
    g_free(f->path);
}

static struct log_info
some_info(void)
{
    struct log_info info = {.vm = uuid_random(), .id = uuid_random(), .parent = uuid_random(), .epoch = 7, .sequence = 42,
                            .capture_us = 1234567890, .kind = LOG_KIND_STANDARD};
    log_info_add_disk(&info, 0, "vda", SIZE_A);
    log_info_add_disk(&info, 5, "vdb", SIZE_B);
    return info;
}

static void
write_log(struct fixture *f, const struct extents *a, const struct extents *b, unsigned threads, int level, guint32 frame)
{
    GError *err = NULL;
    struct log_info info = some_info();
    struct log_writer_options opts = {.level = level, .threads = threads, .frame_raw = frame};
    struct log_writer *w = log_writer_create(f->path, &info, &opts, &err);
    g_assert_no_error(err);
    g_assert_true(log_writer_section(w, LOG_SECTION_DOMAIN_XML, "<domain/>", 9, &err));
    g_assert_true(log_writer_copy(w, 0, f->disk[0], a, NULL, &err));
    g_assert_true(log_writer_copy(w, 5, f->disk[1], b, NULL, &err));
    struct log_totals totals;
    g_assert_true(log_writer_finish(w, &totals, &err));
    g_assert_no_error(err);
    g_assert_cmpuint(totals.raw_bytes + totals.zero_bytes, ==, extents_bytes(a) + extents_bytes(b));
    log_writer_free(w);
    log_info_clear(&info);
}

static void
apply(struct log_reader *r, guint8 *to[2])
{
    GError *err = NULL;
    g_autofree guint8 *raw = g_malloc(LOG_FRAME_RAW_MAX);
    for (unsigned i = 0; i < log_reader_frames(r); i++) {
        const struct log_frame *fr = log_reader_frame(r, i);
        g_assert_true(log_reader_data(r, i, raw, &err));
        struct log_extent_iter it = log_frame_extents(fr);
        struct log_extent e;
        while (log_extent_next(&it, &e)) {
            guint8 *at = to[fr->disk == 5] + e.offset;
            if (e.zero)
                memset(at, 0, e.length);
            else
                memcpy(at, raw + e.raw_offset, e.length);
        }
    }
}

static void
test_round_trip(struct fixture *f, gconstpointer user)
{
    const guint setups[][3] = {{0, 1, 0}, {2, 1, 0}, {2, 0, 4096}, {3, 3, 65536}};
    for (guint i = 0; i < G_N_ELEMENTS(setups); i++) {
        GError *err = NULL;
        extents_auto a = extents_new(), *b = extents_new();
        extents_add(a, 0, SIZE_A, EXTENT_DATA);
        extents_add(b, 0, SIZE_B, EXTENT_DATA);
        write_log(f, a, b, setups[i][0], (int)setups[i][1], setups[i][2]);
        g_assert_true(log_check_file(f->path, &err));
        struct log_reader *r = log_reader_open(f->path, &err);
        g_assert_no_error(err);
        g_autofree guint8 *x = g_malloc(SIZE_A), *y = g_malloc(SIZE_B);
        memset(x, 0xee, SIZE_A);
        memset(y, 0xee, SIZE_B);
        apply(r, (guint8 *[]){x, y});
        g_assert_cmpmem(x, SIZE_A, f->data[0], SIZE_A);
        g_assert_cmpmem(y, SIZE_B, f->data[1], SIZE_B);
        g_autofree char *xml = log_reader_section(r, LOG_SECTION_DOMAIN_XML, NULL, &err);
        g_assert_cmpstr(xml, ==, "<domain/>");
        g_assert_null(log_reader_section(r, LOG_SECTION_NVRAM, NULL, &err));
        g_autoptr(GString) text = g_string_new(NULL);
        g_assert_true(log_dump_file(f->path, text, &err));
        g_assert_nonnull(strstr(text->str, "vdb"));
        log_reader_close(r);
        g_assert_true(file_unlink_durably(f->path, &err));
    }
}

static void
small_log(struct fixture *f)
{
    extents_auto a = extents_new(), *b = extents_new();
    extents_add(a, 8192, 4096, EXTENT_DATA);
    extents_add(a, 65536, 512, EXTENT_DATA);
    extents_add(b, SIZE_B - 1024, 1024, EXTENT_ZERO);
    write_log(f, a, b, 0, 1, 0);
}

static enum log_verify_state
feed(const char *data, gsize len, gsize piece)
{
    struct log_verifier *v = log_verifier_new();
    enum log_verify_state state = LOG_VERIFY_MORE;
    for (gsize at = 0; at < len && state != LOG_VERIFY_BAD; at += piece)
        state = log_verifier_feed(v, data + at, MIN(piece, len - at), NULL);
    log_verifier_free(v);
    return state;
}

/* Whatever bit is wrong, both ways of checking find it. */
static void
test_every_flip(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    char *data;
    gsize len;
    small_log(f);
    g_assert_true(file_read_all(f->path, 1 << 20, &data, &len, &err));
    g_assert_cmpint(feed(data, len, len), ==, LOG_VERIFY_COMPLETE);
    g_assert_cmpint(feed(data, len, 1), ==, LOG_VERIFY_COMPLETE);
    for (gsize i = 0; i < len; i++) {
        data[i] ^= (char)(1 << (i % 8));
        g_assert_cmpint(feed(data, len, 97), !=, LOG_VERIFY_COMPLETE);
        if (i % 5 == 0) {
            g_assert_true(g_file_set_contents(f->path, data, (gssize)len, NULL));
            g_assert_false(log_check_file(f->path, &err));
            g_assert_nonnull(strstr(err->message, f->path));
            g_clear_error(&err);
        }
        data[i] ^= (char)(1 << (i % 8));
    }
    g_free(data);
}

static void
test_every_truncation(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    g_autofree char *data = NULL;
    gsize len;
    small_log(f);
    g_assert_true(file_read_all(f->path, 1 << 20, &data, &len, &err));
    for (gsize n = 0; n < len; n++) {
        g_assert_cmpint(feed(data, n, 64), ==, LOG_VERIFY_MORE);
        if (n % 7 == 0) {
            g_assert_true(g_file_set_contents(f->path, data, (gssize)n, NULL));
            g_assert_false(log_check_file(f->path, NULL));
            g_assert_null(log_reader_open(f->path, NULL));
        }
    }
    g_autofree char *longer = g_malloc0(len + 1);
    memcpy(longer, data, len);
    g_assert_cmpint(feed(longer, len + 1, 50), ==, LOG_VERIFY_BAD);
}

static void
test_unfinished_leaves_nothing(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    struct log_info info = some_info();
    struct log_writer_options opts = {.level = 1, .threads = 2};
    struct log_writer *w = log_writer_create(f->path, &info, &opts, &err);
    g_assert_true(log_writer_data(w, 0, 0, f->data[0], 100 * 4096, &err));
    g_assert_null(log_writer_create(f->path, &info, &opts, NULL));
    log_writer_free(w);
    g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
    log_info_clear(&info);
}

static void
test_cancel(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    gint cancel = 1;
    struct log_info info = some_info();
    struct log_writer_options opts = {.level = 1};
    struct log_writer *w = log_writer_create(f->path, &info, &opts, &err);
    extents_auto a = extents_new();
    extents_add(a, 0, SIZE_A, EXTENT_DATA);
    g_assert_false(log_writer_copy(w, 0, f->disk[0], a, &cancel, &err));
    g_assert_true(err_is(err, ERR_CANCELLED));
    g_clear_error(&err);
    log_writer_free(w);
    log_info_clear(&info);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(path, fn) g_test_add(path, struct fixture, NULL, set_up, fn, tear_down)
    ADD("/log/round-trip", test_round_trip);
    ADD("/log/every-flip", test_every_flip);
    ADD("/log/every-truncation", test_every_truncation);
    ADD("/log/unfinished", test_unfinished_leaves_nothing);
    ADD("/log/cancel", test_cancel);
    return g_test_run();
}
