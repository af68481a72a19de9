/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/coding.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The parts of a change log one by one, which is deeper than a whole file gets.  The first byte chooses the part. */

#define DISK_SIZE ((uint64_t)1 << 30)

static struct log_info
some_info(void)
{
    struct log_info info = {.version = LOG_VERSION, .frame_raw_max = 1 << 20};
    log_info_add_disk(&info, 0, "vda", DISK_SIZE);
    log_info_add_disk(&info, 1, "vdb", LOG_SECTOR);
    return info;
}

/* The header's length and checksum are put right: the fuzzer looks for what is wrong within. */
static void
try_header(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *bytes = g_malloc0(size + 16);
    uint32_t length = GUINT32_TO_LE((uint32_t)size + 16);
    struct log_header h;
    if (size < LOG_HEADER_PREFIX)
        return;
    memcpy(bytes, data, size);
    memcpy(bytes + 16, &length, sizeof length);
    struct hash128 hash = hash128_of(bytes, size);
    memcpy(bytes + size, hash.bytes, sizeof hash.bytes);
    if (!log_header_decode(bytes, size + 16, &h, NULL))
        return;
    g_assert_true(log_info_check(&h.info, NULL));
    for (int type = LOG_SECTION_DOMAIN_XML; type <= LOG_SECTION_QUIESCE; type++)
        g_free(log_header_section(&h, (enum log_section)type, NULL, NULL));
    log_header_clear(&h);
}

static void
walk(const struct log_frame *f, uint64_t disk_size)
{
    struct log_extent_iter it = log_frame_extents(f);
    struct log_extent e = {0};
    uint64_t last = 0, raw = 0;
    while (log_extent_next(&it, &e)) {
        g_assert_true(e.offset >= last && e.length > 0 && e.length <= disk_size && e.offset <= disk_size - e.length);
        g_assert_cmpuint(e.raw_offset, ==, raw);
        last = e.offset + e.length;
        raw += e.zero ? 0 : e.length;
    }
    g_assert_cmpuint(raw, ==, f->raw_length);
}

static void
try_frame(const uint8_t *data, size_t size)
{
    struct log_info info = some_info();
    struct log_frame f;
    struct hash128 hash;
    uint64_t zero = 0;
    if (size >= LOG_FRAME_FIXED && log_frame_decode(data, &info, &f, &hash, NULL) && f.extents_length <= size - LOG_FRAME_FIXED) {
        uint64_t disk_size = log_info_disk(&info, f.disk)->size;
        f.extents = data + LOG_FRAME_FIXED;
        if (log_extents_check(&f, disk_size, &zero, NULL))
            walk(&f, disk_size);
    }
    log_info_clear(&info);
}

/* Count and totals are those that the trailer would have to name. */
static void
try_index(const uint8_t *data, size_t size)
{
    struct reader r = reader_over(data, size);
    struct log_info info = some_info();
    struct log_trailer t = {.raw_bytes = reader_u32(&r), .zero_bytes = reader_u32(&r)};
    const uint8_t *index = r.at;
    reader_u32(&r);
    t.frames = reader_u32(&r);
    g_autoptr(GArray) frames = r.failed ? NULL : log_index_decode(index, size - 8, &t, &info, NULL);
    for (guint i = 0; frames && i < frames->len; i++) {
        const struct log_frame *f = &g_array_index(frames, struct log_frame, i);
        walk(f, log_info_disk(&info, f->disk)->size);
    }
    log_info_clear(&info);
}

static void
try_trailer(const uint8_t *data, size_t size)
{
    struct log_trailer t;
    if (size >= LOG_TRAILER_SIZE && log_trailer_decode(data, &t, NULL))
        g_assert_true(t.index_offset <= t.file_length && t.index_length <= LOG_INDEX_MAX);
}

static void
try_codec(const uint8_t *data, size_t size)
{
    struct reader r = reader_over(data, size);
    uint16_t codec = reader_u8(&r) % (LOG_CODEC_LZ4 + 2); /* one that is unknown, too */
    size_t raw = reader_u16(&r), left = reader_left(&r);
    if (r.failed)
        return;
    g_autofree uint8_t *out = g_malloc(raw + 1);
    out[raw] = 0x5a;
    log_decompress(codec, reader_span(&r, left), left, out, raw);
    g_assert_cmpint(out[raw], ==, 0x5a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parts[])(const uint8_t *, size_t) = {try_header, try_frame, try_index, try_trailer, try_codec};
    if (size > 1)
        parts[data[0] % G_N_ELEMENTS(parts)](data + 1, size - 1);
    return 0;
}
