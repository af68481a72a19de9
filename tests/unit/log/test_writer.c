/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "fixture.h"
#include "log/coding.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

static void
apply(struct log_reader *r, guint8 *to[2])
{
    GError *err = NULL;
    g_autofree guint8 *raw = g_malloc(LOG_FRAME_RAW_MAX);
    for (unsigned i = 0; i < log_reader_frames(r); i++) {
        const struct log_frame *fr = log_reader_frame(r, i);
        struct log_extent_iter it = log_frame_extents(fr);
        struct log_extent e;
        g_assert_true(log_reader_data(r, i, raw, &err));
        while (log_extent_next(&it, &e)) {
            guint8 *at = to[fr->disk == DISK_B] + e.offset;
            if (e.zero)
                memset(at, 0, e.length);
            else
                memcpy(at, raw + e.raw_offset, e.length);
        }
    }
}

/* What a set of extents makes of a disk full of 0xee. */
static guint8 *
expected(const guint8 *data, gsize size, const struct extents *set)
{
    guint8 *out = g_malloc(size);
    memset(out, 0xee, size);
    for (size_t i = 0; i < extents_count(set); i++) {
        const struct extent *e = extents_at(set, i);
        if (e->kind == EXTENT_ZERO)
            memset(out + e->offset, 0, e->length);
        else
            memcpy(out + e->offset, data + e->offset, e->length);
    }
    return out;
}

static void
round_trip(struct fixture *f, const struct extents *a, const struct extents *b, const struct log_writer_options *opts)
{
    GError *err = NULL;
    fixture_write(f, a, b, opts);
    log_check_file(f->path, &err);
    g_assert_no_error(err);
    struct log_reader *r = log_reader_open(f->path, &err);
    g_assert_no_error(err);
    g_autofree guint8 *x = g_malloc(SIZE_A), *y = g_malloc(SIZE_B);
    g_autofree guint8 *want_x = expected(f->data[0], SIZE_A, a), *want_y = expected(f->data[1], SIZE_B, b);
    memset(x, 0xee, SIZE_A);
    memset(y, 0xee, SIZE_B);
    apply(r, (guint8 *[]){x, y});
    g_assert_cmpmem(x, SIZE_A, want_x, SIZE_A);
    g_assert_cmpmem(y, SIZE_B, want_y, SIZE_B);
    g_assert_cmpuint(log_reader_raw_bytes(r) + log_reader_zero_bytes(r), ==, extents_bytes(a) + extents_bytes(b));
    log_reader_close(r);
    g_assert_true(file_unlink_durably(f->path, &err));
}

static const struct log_writer_options setups[] = {
    {.level = 1},
    {.level = 1, .threads = 2},
    {.level = 0, .threads = 2, .frame_raw = 4096},
    {.level = 3, .threads = 3, .frame_raw = 65536},
    {.level = 1, .threads = 1, .frame_raw = 5000},
    {.level = 1, .threads = 2, .frame_raw = G_MAXUINT32},
    {.level = -1, .threads = 1},
    {.lz4 = true},
    {.lz4 = true, .threads = 2, .frame_raw = 16384},
};

static void
test_whole_disks(struct fixture *f, gconstpointer user)
{
    extents_auto a = extents_new(), *b = extents_new();
    extents_add(a, 0, SIZE_A, EXTENT_DATA);
    extents_add(b, 0, SIZE_B, EXTENT_DATA);
    for (guint i = 0; i < G_N_ELEMENTS(setups); i++)
        round_trip(f, a, b, &setups[i]);
}

static struct extents *
random_extents(guint64 size)
{
    struct extents *set = extents_new();
    for (gint i = g_test_rand_int_range(0, 300); i > 0; i--) {
        guint64 sector = (guint64)g_test_rand_int_range(0, (gint)(size / LOG_SECTOR)), left = size / LOG_SECTOR - sector;
        guint64 n = (guint64)g_test_rand_int_range(1, g_test_rand_bit() ? 9 : 600);
        extents_add(set, sector * LOG_SECTOR, MIN(n, left) * LOG_SECTOR, g_test_rand_int_range(0, 3) ? EXTENT_DATA : EXTENT_ZERO);
    }
    return set;
}

static void
test_random_extents(struct fixture *f, gconstpointer user)
{
    for (guint i = 0; i < 40; i++) {
        extents_auto a = random_extents(SIZE_A), *b = random_extents(SIZE_B);
        round_trip(f, a, b, &setups[i % G_N_ELEMENTS(setups)]);
    }
}

/* Data that does not compress is stored as it is; zero pages cost a few bytes; order of frames does not depend on threads. */
static void
test_sizes(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    extents_auto a = extents_new(), *none = extents_new();
    for (guint i = 0; i < 1 << 20; i++)
        f->data[0][i] = (guint8)g_test_rand_int();
    memset(f->data[0] + (1 << 20), 0, 2 << 20);
    extents_add(a, 0, SIZE_A, EXTENT_DATA);
    fixture_write(f, a, none, &(struct log_writer_options){.level = 1, .threads = 3});
    struct log_reader *r = log_reader_open(f->path, &err);
    g_assert_cmpuint(log_reader_raw_bytes(r), ==, 1 << 20);
    g_assert_cmpuint(log_reader_zero_bytes(r), ==, 2 << 20);
    g_assert_cmpuint(log_reader_file_bytes(r), <, (1 << 20) + 2048);
    g_assert_cmpuint(log_reader_frames(r), ==, (1 << 20) / LOG_FRAME_RAW_DEFAULT + 1);
    for (unsigned i = 0; i < log_reader_frames(r); i++) {
        struct log_extent_iter it = log_frame_extents(log_reader_frame(r, i));
        struct log_extent e;
        g_assert_true(log_extent_next(&it, &e));
        g_assert_cmpuint(e.offset, ==, i * LOG_FRAME_RAW_DEFAULT);
        g_assert_cmpint(log_reader_frame(r, i)->codec, ==, LOG_CODEC_RAW);
        g_assert_cmpuint(log_reader_frame(r, i)->extent_count, ==, 1);
    }
    log_reader_close(r);
}

/* The same input gives the same bytes, however many threads work on it. */
static void
test_threads_change_nothing(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    struct log_info info = fixture_info();
    g_autoptr(GByteArray) first = NULL;
    extents_auto a = random_extents(SIZE_A);
    for (unsigned threads = 0; threads < 5; threads++) {
        struct log_writer_options opts = {.level = 1, .threads = threads, .frame_raw = 16384};
        struct log_writer *w = log_writer_create(f->path, &info, &opts, &err);
        g_assert_true(log_writer_copy(w, 0, f->disk[0], a, NULL, &err));
        g_assert_true(log_writer_finish(w, NULL, &err));
        log_writer_free(w);
        g_autoptr(GByteArray) bytes = fixture_bytes(f);
        if (!first)
            first = g_byte_array_ref(bytes);
        g_assert_cmpmem(bytes->data, bytes->len, first->data, first->len);
        g_assert_true(file_unlink_durably(f->path, &err));
    }
    log_info_clear(&info);
}

/* Version 2 is claimed by logs with LZ4 only, so that older readers read all others; frames say what they are packed with. */
static void
test_versions(struct fixture *f, gconstpointer user)
{
    static const struct {
        struct log_writer_options options;
        guint version;
        enum log_codec codec;
    } cases[] = {
        {{.level = 0}, 1, LOG_CODEC_RAW},
        {{.level = 1}, 1, LOG_CODEC_ZSTD},
        {{.level = -1}, 1, LOG_CODEC_ZSTD},
        {{.lz4 = true}, LOG_VERSION_LZ4, LOG_CODEC_LZ4},
    };
    GError *err = NULL;
    extents_auto a = extents_new(), *none = extents_new();
    memset(f->data[0], 'v', 65536);
    extents_add(a, 0, 65536, EXTENT_DATA);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GString) dump = g_string_new(NULL);
        fixture_write(f, a, none, &cases[i].options);
        struct log_reader *r = log_reader_open(f->path, &err);
        g_assert_no_error(err);
        g_assert_cmpuint(log_reader_info(r)->version, ==, cases[i].version);
        g_assert_cmpint(log_reader_frame(r, 0)->codec, ==, cases[i].codec);
        log_reader_close(r);
        g_assert_true(log_dump_file(f->path, dump, &err));
        g_assert_nonnull(strstr(dump->str, log_codec_name(cases[i].codec)));
        g_assert_true(file_unlink_durably(f->path, &err));
    }
}

static void
test_ready_bytes(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    struct log_info info = fixture_info();
    struct log_writer *w = log_writer_create(f->path, &info, &(struct log_writer_options){.level = 1}, &err);
    guint8 raw[4096];
    /* Descending offsets and a change of disk each begin a new frame. */
    g_assert_true(log_writer_data(w, 0, 8192, f->data[0], 1024, &err));
    g_assert_true(log_writer_zero(w, 0, 4096, 512, &err));
    g_assert_true(log_writer_data(w, DISK_B, 8192, f->data[0], 512, &err));
    g_assert_true(log_writer_zero(w, DISK_B, 0, 0, &err));
    g_assert_cmpuint(log_writer_raw_bytes(w), ==, 1536);
    g_assert_true(log_writer_finish(w, NULL, &err));
    log_writer_free(w);
    struct log_reader *r = log_reader_open(f->path, &err);
    g_assert_cmpuint(log_reader_frames(r), ==, 3);
    g_assert_true(log_reader_data(r, 0, raw, &err));
    g_assert_cmpmem(raw, 1024, f->data[0], 1024);
    log_reader_close(r);
    log_info_clear(&info);
}

static void
test_empty(struct fixture *f, gconstpointer user)
{
    extents_auto none = extents_new();
    round_trip(f, none, none, &(struct log_writer_options){.level = 1, .threads = 2});
}

static void
test_unfinished_leaves_nothing(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    struct log_info info = fixture_info();
    struct log_writer_options opts = {.level = 1, .threads = 2, .frame_raw = 4096};
    struct log_writer *w = log_writer_create(f->path, &info, &opts, &err);
    g_assert_true(log_writer_data(w, 0, 0, f->data[0], 100 * 4096, &err));
    g_assert_null(log_writer_create(f->path, &info, &opts, &err)); /* exists */
    g_assert_nonnull(strstr(err->message, f->path));
    g_clear_error(&err);
    g_assert_true(g_file_test(f->path, G_FILE_TEST_EXISTS));
    log_writer_free(w);
    g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
    log_info_clear(&info);
}

static void
test_cancel(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    gint cancel = 1;
    struct log_info info = fixture_info();
    extents_auto a = extents_new();
    extents_add(a, 0, SIZE_A, EXTENT_DATA);
    for (unsigned threads = 0; threads < 3; threads++) {
        struct log_writer *w = log_writer_create(f->path, &info, &(struct log_writer_options){.level = 1, .threads = threads}, &err);
        g_assert_false(log_writer_copy(w, 0, f->disk[0], a, &cancel, &err));
        g_assert_true(err_is(err, ERR_CANCELLED));
        g_clear_error(&err);
        log_writer_free(w);
    }
    log_info_clear(&info);
}

static bool
fail_late(struct block *b, void *buf, size_t len, uint64_t off, GError **err)
{
    memset(buf, 1, len);
    return off < 1 << 20 || err_set(err, ERR_NOT_AVAILABLE, "The disk is gone at byte %" G_GUINT64_FORMAT ".", (guint64)off);
}

static void
test_source_fails(struct fixture *f, gconstpointer user)
{
    const struct block_ops ops = {.read = fail_late};
    struct block bad = {&ops, SIZE_A};
    struct log_info info = fixture_info();
    extents_auto a = extents_new();
    extents_add(a, 0, SIZE_A, EXTENT_DATA);
    for (unsigned threads = 0; threads < 3; threads++) {
        g_autoptr(GError) err = NULL;
        struct log_writer *w = log_writer_create(f->path, &info, &(struct log_writer_options){.level = 1, .threads = threads}, &err);
        g_assert_false(log_writer_copy(w, 0, &bad, a, NULL, &err));
        g_assert_cmpstr(err->message, ==, "The disk is gone at byte 1048576.");
        log_writer_free(w);
        g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
    }
    log_info_clear(&info);
}

/* A limit on the file's size is the cheapest full disk there is. */
static void
test_no_room(struct fixture *f, gconstpointer user)
{
    struct rlimit before, small = {1 << 20, RLIM_INFINITY};
    struct log_info info = fixture_info();
    extents_auto a = extents_new();
    g_autoptr(GError) err = NULL;
    extents_add(a, 0, SIZE_A, EXTENT_DATA);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &small), ==, 0);
    struct log_writer *w = log_writer_create(f->path, &info, &(struct log_writer_options){.threads = 2}, &err);
    for (guint i = 0; i < SIZE_A; i++)
        f->data[0][i] |= 1;
    g_assert_false(log_writer_copy(w, 0, f->disk[0], a, NULL, &err));
    g_assert_nonnull(strstr(err->message, f->path));
    log_writer_free(w);
    g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &before), ==, 0);
    g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
    log_info_clear(&info);
}

static void
refused(struct fixture *f, struct log_info *info, const char *why)
{
    GError *err = NULL;
    g_assert_null(log_writer_create(f->path, info, &(struct log_writer_options){.level = 1}, &err));
    g_assert_true(err_is(err, ERR_INVALID_PARAMETER));
    g_assert_nonnull(strstr(err->message, why));
    g_assert_nonnull(strstr(err->message, f->path));
    g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
    g_clear_error(&err);
    log_info_clear(info);
}

static void
test_bad_infos(struct fixture *f, gconstpointer user)
{
    struct log_info info = fixture_info();
    info.disks[0].size = 1000;
    refused(f, &info, "multiple");
    info = fixture_info();
    info.disks[0].size = LOG_DISK_SIZE_MAX + LOG_SECTOR;
    refused(f, &info, "too large");
    info = fixture_info();
    info.kind = 9;
    refused(f, &info, "kind");
    info = fixture_info();
    info.id = UUID_NIL;
    refused(f, &info, "no id");
    info = fixture_info();
    log_info_add_disk(&info, DISK_B, "vdc", 512);
    refused(f, &info, "twice");
    info = fixture_info();
    for (guint16 i = 0; i < LOG_DISKS_MAX; i++)
        log_info_add_disk(&info, (guint16)(100 + i), "x", 512);
    refused(f, &info, "258 disks");
    info = fixture_info();
    log_info_add_disk(&info, 9, "0123456789012345678901234567890123456789012345678901234567890123456789", 512);
    refused(f, &info, "name");
}

static void
test_bad_ranges(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    struct log_info info = fixture_info();
    struct log_writer *w = log_writer_create(f->path, &info, &(struct log_writer_options){.level = 1}, &err);
    const struct extent bad[] = {{SIZE_A, 512, EXTENT_ZERO},
                                 {0, SIZE_A + 512, EXTENT_ZERO},
                                 {100, 512, EXTENT_DATA},
                                 {512, 100, EXTENT_DATA},
                                 {G_MAXUINT64 - 511, 1024, EXTENT_ZERO}};
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(log_writer_zero(w, 0, bad[i].offset, bad[i].length, &err));
        g_assert_true(err_is(err, ERR_INVALID_PARAMETER) && strstr(err->message, "vda"));
        g_clear_error(&err);
    }
    g_assert_false(log_writer_zero(w, 3, 0, 512, &err));
    g_assert_true(err_is(err, ERR_INVALID_PARAMETER));
    g_clear_error(&err);
    /* The table says that disk 0 is longer than what there is to read. */
    extents_auto a = extents_new();
    extents_add(a, 0, SIZE_A, EXTENT_DATA);
    g_assert_false(log_writer_copy(w, 0, f->disk[1], a, NULL, &err));
    g_assert_true(err_is(err, ERR_INVALID_PARAMETER));
    g_clear_error(&err);
    log_writer_free(w);
    log_info_clear(&info);
}

static void
test_too_many_sections(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    struct log_info info = fixture_info();
    struct log_writer *w = log_writer_create(f->path, &info, &(struct log_writer_options){.level = 1}, &err);
    for (guint i = 0; i < LOG_SECTIONS_MAX; i++)
        g_assert_true(log_writer_section(w, LOG_SECTION_TPM, "x", 1, &err));
    g_assert_false(log_writer_section(w, LOG_SECTION_TPM, "x", 1, &err));
    g_assert_true(err_is(err, ERR_TOO_BIG));
    g_clear_error(&err);
    log_writer_free(w);

    g_autofree guint8 *noise = g_malloc(LOG_SECTION_MAX + 1);
    for (guint i = 0; i <= LOG_SECTION_MAX; i++)
        noise[i] = (guint8)g_test_rand_int();
    w = log_writer_create(f->path, &info, &(struct log_writer_options){.level = 1}, &err);
    g_assert_false(log_writer_section(w, LOG_SECTION_TPM, noise, LOG_SECTION_MAX + 1, &err));
    g_assert_true(err_is(err, ERR_TOO_BIG));
    g_clear_error(&err);
    for (guint i = 0; i < 3; i++)
        g_assert_true(log_writer_section(w, LOG_SECTION_TPM, noise, LOG_SECTION_MAX, &err));
    g_assert_false(log_writer_finish(w, NULL, &err)); /* three times 8 MiB do not fit into a header */
    g_assert_true(err_is(err, ERR_TOO_BIG));
    g_clear_error(&err);
    log_writer_free(w);
    log_info_clear(&info);
}

/* What was in the file before leaves nothing, be it shorter or longer, and whatever the disk knows of the log in it. */
static void
test_anew(struct fixture *f, gconstpointer user)
{
    for (guint i = 0; i < 12; i++) {
        const gsize before = (gsize)g_test_rand_int_range(0, 2 * SIZE_A);
        g_autofree guint8 *junk = g_malloc(before);
        memset(junk, 0x5a, before);
        fixture_replace(f, junk, before);
        extents_auto a = extents_new(), *b = extents_new();
        extents_add(a, (guint64)g_test_rand_int_range(0, 16) * LOG_PAGE, (guint64)g_test_rand_int_range(1, 500) * LOG_PAGE, EXTENT_DATA);
        extents_add(b, 0, SIZE_B, EXTENT_DATA);
        round_trip(f, a, b, &(struct log_writer_options){ .anew = true, .relaxed = i % 2, .level = i % 3 ? 1 : 0 });
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_TEST("/log/writer/whole-disks", test_whole_disks);
    FIXTURE_TEST("/log/writer/random-extents", test_random_extents);
    FIXTURE_TEST("/log/writer/sizes", test_sizes);
    FIXTURE_TEST("/log/writer/versions", test_versions);
    FIXTURE_TEST("/log/writer/threads", test_threads_change_nothing);
    FIXTURE_TEST("/log/writer/ready-bytes", test_ready_bytes);
    FIXTURE_TEST("/log/writer/empty", test_empty);
    FIXTURE_TEST("/log/writer/anew", test_anew);
    FIXTURE_TEST("/log/writer/unfinished", test_unfinished_leaves_nothing);
    FIXTURE_TEST("/log/writer/cancel", test_cancel);
    FIXTURE_TEST("/log/writer/source-fails", test_source_fails);
    FIXTURE_TEST("/log/writer/no-room", test_no_room);
    FIXTURE_TEST("/log/writer/bad-infos", test_bad_infos);
    FIXTURE_TEST("/log/writer/bad-ranges", test_bad_ranges);
    FIXTURE_TEST("/log/writer/sections", test_too_many_sections);
    return g_test_run();
}
