/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/coding.h"

#include "base/err.h"

#include <string.h>
#include <sys/resource.h>

/* Parts with right checksums and wrong contents: what damage by accident cannot make, but a forger can. */

static struct log_info
one_disk(guint64 size)
{
    struct log_info info = {.id = uuid_random(), .kind = LOG_KIND_STANDARD, .frame_raw_max = 65536};
    log_info_add_disk(&info, 1, "vda", size);
    return info;
}

static void
put32(GByteArray *bytes, guint at, guint32 v)
{
    v = GUINT32_TO_LE(v);
    memcpy(bytes->data + at, &v, sizeof v);
}

static void
put16(GByteArray *bytes, guint at, guint16 v)
{
    v = GUINT16_TO_LE(v);
    memcpy(bytes->data + at, &v, sizeof v);
}

static void
seal_header(GByteArray *bytes)
{
    struct hash128 hash = hash128_of(bytes->data, bytes->len - 16);
    memcpy(bytes->data + bytes->len - 16, hash.bytes, 16);
}

static GByteArray *
some_header(void)
{
    struct log_info info = one_disk(1 << 20);
    g_autoptr(GPtrArray) sections = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    g_ptr_array_add(sections, log_section_encode(LOG_SECTION_NVRAM, "nvram", 5));
    GByteArray *bytes = log_header_encode(&info, sections);
    log_info_clear(&info);
    return bytes;
}

static void
test_header(void)
{
    g_autoptr(GByteArray) bytes = some_header();
    struct log_header h;
    GError *err = NULL;
    g_assert_true(log_header_decode(bytes->data, bytes->len, &h, &err));
    g_autofree char *nvram = log_header_section(&h, LOG_SECTION_NVRAM, NULL, &err);
    g_assert_cmpstr(nvram, ==, "nvram");
    log_header_clear(&h);
    for (guint n = 0; n < bytes->len; n++)
        g_assert_false(log_header_decode(bytes->data, n, &h, NULL));
}

static void
header_refused(guint at, guint width, guint32 value)
{
    g_autoptr(GByteArray) bytes = some_header();
    struct log_header h;
    g_autoptr(GError) err = NULL;
    if (width == 2)
        put16(bytes, at, (guint16)value);
    else
        put32(bytes, at, value);
    seal_header(bytes);
    g_assert_false(log_header_decode(bytes->data, bytes->len, &h, &err));
    g_assert_true(err_is(err, at == 8 ? ERR_NOT_SUPPORTED : ERR_CORRUPT));
}

static void
test_forged_header(void)
{
    const guint disk = LOG_HEADER_FIXED, section = disk + 16 + 3;
    header_refused(0, 4, 1);               /* magic */
    header_refused(8, 2, 0);               /* version */
    header_refused(8, 2, LOG_VERSION + 1);
    header_refused(10, 2, 0);              /* kind */
    header_refused(12, 4, 2);              /* unknown flag */
    header_refused(16, 4, LOG_HEADER_MAX); /* length */
    header_refused(16, 4, 20);
    header_refused(92, 4, LOG_FRAME_RAW_MAX + 1); /* longest frame */
    header_refused(96, 2, 0);                     /* disks */
    header_refused(96, 2, LOG_DISKS_MAX + 1);
    header_refused(96, 2, 2);
    header_refused(98, 2, LOG_SECTIONS_MAX + 1); /* sections */
    header_refused(98, 2, 0);
    header_refused(100, 4, 1);      /* reserved */
    header_refused(disk + 2, 2, 0); /* length of name */
    header_refused(disk + 2, 2, LOG_TARGET_MAX + 1);
    header_refused(disk + 2, 2, 0xffff);
    header_refused(disk + 4, 4, 7);                  /* reserved */
    header_refused(disk + 8, 4, 100);                /* size: no sectors */
    header_refused(disk + 12, 4, 0xffffffff);        /* size: too large */
    header_refused(section + 2, 2, 7);               /* codec */
    header_refused(section + 4, 4, LOG_SECTION_MAX); /* stored */
    header_refused(section + 8, 4, 0xffffffff);      /* raw */
    header_refused(section + 8, 4, 4);               /* raw codec, other length */
}

/* A section that claims 8 MiB but does not hold them. */
static void
test_forged_section(void)
{
    g_autoptr(GByteArray) bytes = some_header();
    struct log_header h;
    g_autoptr(GError) err = NULL;
    const guint section = LOG_HEADER_FIXED + 16 + 3;
    put16(bytes, section + 2, LOG_CODEC_ZSTD);
    put32(bytes, section + 8, LOG_SECTION_MAX);
    seal_header(bytes);
    log_header_decode(bytes->data, bytes->len, &h, &err);
    g_assert_no_error(err);
    g_assert_null(log_header_section(&h, LOG_SECTION_NVRAM, NULL, &err));
    g_assert_true(err_is(err, ERR_CORRUPT));
    log_header_clear(&h);
}

static bool
frame_ok(guint16 disk, guint8 codec, guint32 list, guint32 count, guint32 raw, guint32 stored)
{
    struct log_info info = one_disk(1 << 20);
    info.version = codec == LOG_CODEC_LZ4 ? LOG_VERSION_LZ4 : 1;
    struct log_frame f = {.disk = disk,
                          .codec = codec,
                          .extents_length = list,
                          .extent_count = count,
                          .raw_length = raw,
                          .stored_length = stored},
                     out;
    struct hash128 hash;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_autofree guint8 *payload = g_malloc0(MAX(stored, 1)), *extents = g_malloc0(MAX(list, 1));
    f.extents = extents;
    log_frame_encode(bytes, &f, payload);
    g_assert_cmpuint(bytes->len, ==, LOG_FRAME_FIXED);
    bool ok = log_frame_decode(bytes->data, &info, &out, &hash, NULL);
    log_info_clear(&info);
    return ok;
}

static void
test_forged_frame(void)
{
    g_assert_true(frame_ok(1, LOG_CODEC_RAW, 4, 2, 512, 512));
    g_assert_true(frame_ok(1, LOG_CODEC_RAW, 4, 2, 0, 0));
    g_assert_true(frame_ok(1, LOG_CODEC_ZSTD, 4, 2, 65536, 10));
    g_assert_false(frame_ok(2, LOG_CODEC_RAW, 4, 2, 512, 512));
    g_assert_true(frame_ok(1, LOG_CODEC_LZ4, 4, 2, 65536, 10));
    g_assert_false(frame_ok(1, LOG_CODEC_LZ4, 4, 2, 512, 512));
    g_assert_false(frame_ok(1, 3, 4, 2, 65536, 10));
    g_assert_false(frame_ok(1, LOG_CODEC_RAW, 4, 0, 0, 0));
    g_assert_false(frame_ok(1, LOG_CODEC_RAW, 4, 5, 512, 512));
    g_assert_false(frame_ok(1, LOG_CODEC_RAW, LOG_EXTENT_LIST_MAX + 1, 2, 512, 512));
    g_assert_false(frame_ok(1, LOG_CODEC_RAW, 4, 2, 512, 511));
    g_assert_false(frame_ok(1, LOG_CODEC_ZSTD, 4, 2, 512, 512));
    g_assert_false(frame_ok(1, LOG_CODEC_RAW, 4, 2, 65536 + 512, 65536 + 512));
}

static bool
list_ok(guint64 disk_size, guint32 raw, guint32 count, const guint64 *varints, guint n)
{
    g_autoptr(GByteArray) list = g_byte_array_new();
    guint64 zero = 0;
    for (guint i = 0; i < n; i++)
        writer_varint(list, varints[i]);
    struct log_frame f = {.extents = list->data, .extents_length = list->len, .extent_count = count, .raw_length = raw};
    return log_extents_check(&f, disk_size, &zero, NULL);
}
#define LIST_OK(size, raw, count, ...) list_ok(size, raw, count, (const guint64[]){__VA_ARGS__}, sizeof((const guint64[]){__VA_ARGS__}) / 8)

static void
test_forged_extents(void)
{
    g_assert_true(LIST_OK(4096, 512, 2, 0, 1 << 1, 1, 2 << 1 | 1));
    g_assert_true(LIST_OK(4096, 4096, 1, 0, 8 << 1));
    g_assert_false(LIST_OK(4096, 4608, 1, 0, 9 << 1)); /* beyond the end */
    g_assert_false(LIST_OK(4096, 512, 1, 8, 1 << 1));
    g_assert_false(LIST_OK(4096, 512, 1, G_MAXUINT64, 1 << 1)); /* wraps around */
    g_assert_false(LIST_OK(4096, 0, 1, 0, G_MAXUINT64));
    g_assert_false(LIST_OK(4096, 0, 2, 1, 1 << 1 | 1, G_MAXUINT64 - 1, 1 << 1 | 1));
    g_assert_false(LIST_OK(4096, 0, 1, 0, 0));                   /* no length */
    g_assert_false(LIST_OK(4096, 1024, 1, 0, 1 << 1));           /* not the raw length */
    g_assert_false(LIST_OK(4096, 512, 2, 0, 1 << 1));            /* ends early */
    g_assert_false(LIST_OK(4096, 512, 1, 0, 1 << 1, 1, 1 << 1)); /* longer than counted */
}

static void
test_extent_round_trip(void)
{
    g_autoptr(GByteArray) list = g_byte_array_new();
    guint64 end = 0;
    const struct log_extent in[] = {{512, 1024, false, 0}, {1536, 1 << 20, true, 1024}, {LOG_DISK_SIZE_MAX - 512, 512, false, 1024}};
    for (guint i = 0; i < G_N_ELEMENTS(in); i++)
        log_extent_append(list, &end, in[i].offset, in[i].length, in[i].zero);
    struct log_frame f = {.extents = list->data, .extents_length = list->len, .extent_count = 3, .raw_length = 1536};
    guint64 zero = 0;
    g_assert_true(log_extents_check(&f, LOG_DISK_SIZE_MAX, &zero, NULL));
    g_assert_cmpuint(zero, ==, 1 << 20);
    struct log_extent_iter it = log_frame_extents(&f);
    struct log_extent out;
    for (guint i = 0; i < G_N_ELEMENTS(in); i++) {
        g_assert_true(log_extent_next(&it, &out));
        g_assert_cmpuint(out.offset, ==, in[i].offset);
        g_assert_cmpuint(out.length, ==, in[i].length);
        g_assert_cmpint(out.zero, ==, in[i].zero);
        g_assert_cmpuint(out.raw_offset, ==, in[i].raw_offset);
    }
    g_assert_false(log_extent_next(&it, &out));
}

/* A count of frames that the bytes cannot hold is refused before anything is allocated for it. */
static void
test_huge_index(void)
{
    struct log_info info = one_disk(1 << 20);
    g_autoptr(GByteArray) index = g_byte_array_new();
    g_autoptr(GError) err = NULL;
    struct rusage before, after;
    writer_u32(index, LOG_INDEX_MAGIC);
    writer_u32(index, LOG_FRAMES_MAX);
    for (int i = 0; i < 100; i++)
        writer_u8(index, 1);
    struct log_trailer t = {.frames = LOG_FRAMES_MAX};
    getrusage(RUSAGE_SELF, &before);
    g_assert_null(log_index_decode(index->data, index->len, &t, &info, &err));
    getrusage(RUSAGE_SELF, &after);
    g_assert_true(err_is(err, ERR_CORRUPT));
    g_assert_cmpint(after.ru_maxrss - before.ru_maxrss, <, 16 << 10); /* KiB */
    log_info_clear(&info);
}

static void
test_index_totals(void)
{
    struct log_info info = one_disk(1 << 20);
    g_autoptr(GByteArray) list = g_byte_array_new(), index = g_byte_array_new();
    guint64 end = 0, last = 0;
    log_extent_append(list, &end, 0, 512, false);
    log_extent_append(list, &end, 512, 1024, true);
    struct log_frame f = {.disk = 1,
                          .file_offset = 200,
                          .raw_length = 512,
                          .stored_length = 512,
                          .extent_count = 2,
                          .extents = list->data,
                          .extents_length = list->len};
    writer_u32(index, LOG_INDEX_MAGIC);
    writer_u32(index, 1);
    log_index_append(index, &last, &f);
    struct log_trailer t = {.frames = 1, .raw_bytes = 512, .zero_bytes = 1024}, other = t;
    g_autoptr(GArray) frames = log_index_decode(index->data, index->len, &t, &info, NULL);
    g_assert_cmpuint(g_array_index(frames, struct log_frame, 0).file_offset, ==, 200);
    other.zero_bytes = 0;
    g_assert_null(log_index_decode(index->data, index->len, &other, &info, NULL));
    other = t;
    other.raw_bytes++;
    g_assert_null(log_index_decode(index->data, index->len, &other, &info, NULL));
    g_assert_null(log_index_decode(index->data, index->len - 1, &t, &info, NULL));
    writer_u8(index, 0);
    g_assert_null(log_index_decode(index->data, index->len, &t, &info, NULL));
    log_info_clear(&info);
}

static void
test_forged_trailer(void)
{
    struct log_trailer good = {1000, 8, 1000 + 8 + LOG_TRAILER_SIZE, 0, 0, 0}, out;
    struct log_trailer bad[] = {good, good, good, good, good};
    g_autoptr(GByteArray) index = g_byte_array_new(), bytes = g_byte_array_new();
    bad[0].index_offset = G_MAXUINT64;
    bad[1].index_length = G_MAXUINT64;
    bad[2].file_length++;
    bad[3].frames = LOG_FRAMES_MAX + 1;
    bad[4] = (struct log_trailer){0, (guint64)LOG_INDEX_MAX + 1, (guint64)LOG_INDEX_MAX + 1 + LOG_TRAILER_SIZE, 0, 0, 0};
    log_trailer_encode(bytes, &good, index);
    g_byte_array_set_size(bytes, LOG_TRAILER_SIZE);
    g_assert_true(log_trailer_decode(bytes->data, &out, NULL));
    g_assert_cmpuint(out.file_length, ==, good.file_length);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_byte_array_set_size(bytes, 0);
        log_trailer_encode(bytes, &bad[i], index);
        g_byte_array_set_size(bytes, LOG_TRAILER_SIZE);
        g_assert_false(log_trailer_decode(bytes->data, &out, NULL));
    }
}

/* Which codecs a log of each version may have, in frames and in the index. */
static void
test_codecs_of_versions(void)
{
    g_assert_true(log_codec_known(1, LOG_CODEC_RAW) && log_codec_known(1, LOG_CODEC_ZSTD));
    g_assert_false(log_codec_known(1, LOG_CODEC_LZ4));
    g_assert_true(log_codec_known(2, LOG_CODEC_ZSTD) && log_codec_known(2, LOG_CODEC_LZ4));
    g_assert_false(log_codec_known(2, LOG_CODEC_LZ4 + 1));
    for (guint16 version = 1; version <= LOG_VERSION; version++) {
        struct log_info info = one_disk(1 << 20);
        g_autoptr(GByteArray) list = g_byte_array_new(), bytes = g_byte_array_new(), index = g_byte_array_new();
        g_autoptr(GError) err = NULL;
        guint64 end = 0, last = 0;
        log_extent_append(list, &end, 0, 4096, false);
        struct log_frame f = {.disk = 1, .codec = LOG_CODEC_LZ4, .file_offset = 200, .raw_length = 4096, .stored_length = 20,
                              .extent_count = 1, .extents = list->data, .extents_length = list->len}, out;
        struct log_trailer t = {.frames = 1, .raw_bytes = 4096};
        struct hash128 hash;
        guint8 payload[20] = {0};
        info.version = version;
        log_frame_encode(bytes, &f, payload);
        g_assert_cmpint(log_frame_decode(bytes->data, &info, &out, &hash, &err), ==, version >= LOG_VERSION_LZ4);
        g_assert_true(!err || (err_is(err, ERR_CORRUPT) && strstr(err->message, "codec 2")));
        writer_u32(index, LOG_INDEX_MAGIC);
        writer_u32(index, 1);
        log_index_append(index, &last, &f);
        g_autoptr(GArray) frames = log_index_decode(index->data, index->len, &t, &info, NULL);
        g_assert_cmpint(frames != NULL, ==, version >= LOG_VERSION_LZ4);
        log_info_clear(&info);
    }
}

static void
try_codec(enum log_codec codec, int level)
{
    guint8 raw[4096] = {1}, back[4096];
    gsize room = log_compress_room(sizeof raw);
    g_autofree guint8 *packed = g_malloc(room);
    gsize n = log_compress(codec, level, raw, sizeof raw, packed, room);
    g_assert_cmpuint(n, >, 0);
    g_assert_cmpuint(n, <, 100);
    g_assert_cmpuint(log_decompress(codec, packed, n, back, sizeof back), ==, sizeof raw);
    g_assert_cmpmem(raw, sizeof raw, back, sizeof back);
    /* More, less, or other bytes than promised: never the promised length. */
    g_assert_cmpuint(log_decompress(codec, packed, n, back, 4095), !=, 4095);
    g_assert_cmpuint(log_decompress(codec, packed, n - 1, back, sizeof back), !=, sizeof back);
    g_assert_cmpuint(log_decompress(LOG_CODEC_RAW, packed, n, back, sizeof back), !=, sizeof back);
    g_assert_cmpuint(log_decompress(LOG_CODEC_LZ4 + 1, packed, n, back, sizeof back), !=, sizeof back);
    g_assert_cmpuint(log_compress(codec, level, raw, sizeof raw, packed, 4), ==, 0);
    for (guint i = 0; i < sizeof raw; i++)
        raw[i] = (guint8)g_test_rand_int();
    g_assert_cmpuint(log_compress(codec, level, raw, sizeof raw, packed, room), ==, 0);
}

static void
test_codec(void)
{
    static const int levels[] = {-5, -1, 1, 2, 3, 19};
    for (guint i = 0; i < G_N_ELEMENTS(levels); i++)
        try_codec(LOG_CODEC_ZSTD, levels[i]);
    try_codec(LOG_CODEC_LZ4, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/coding/header", test_header);
    g_test_add_func("/log/coding/codecs-of-versions", test_codecs_of_versions);
    g_test_add_func("/log/coding/forged-header", test_forged_header);
    g_test_add_func("/log/coding/forged-section", test_forged_section);
    g_test_add_func("/log/coding/forged-frame", test_forged_frame);
    g_test_add_func("/log/coding/forged-extents", test_forged_extents);
    g_test_add_func("/log/coding/extents", test_extent_round_trip);
    g_test_add_func("/log/coding/huge-index", test_huge_index);
    g_test_add_func("/log/coding/index-totals", test_index_totals);
    g_test_add_func("/log/coding/forged-trailer", test_forged_trailer);
    g_test_add_func("/log/coding/codec", test_codec);
    return g_test_run();
}
