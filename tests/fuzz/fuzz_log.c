/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/coding.h"
#include "log/verify.h"

#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A whole change log, as the network brings it and as a reader opens it.  The first byte says how it is cut into pieces.
 *
 * Checksums would keep a fuzzer out of everything behind them, so each input is tried as it is and once more with its checksums put
 * right.  What must hold: pieces do not change the verdict; what is good for the verifier, the reader opens. */

static enum log_verify_state
feed(const uint8_t *data, size_t size, size_t piece)
{
    struct log_verifier *v = log_verifier_new();
    enum log_verify_state state = LOG_VERIFY_MORE;
    for (size_t at = 0; at < size && state != LOG_VERIFY_BAD; at += piece) {
        g_autoptr(GError) err = NULL;
        state = log_verifier_feed(v, data + at, MIN(piece, size - at), &err);
        g_assert_true((state == LOG_VERIFY_BAD) == (err != NULL));
        g_assert_cmpuint(log_verifier_good(v), <=, size);
    }
    log_verifier_free(v);
    return state;
}

static void
read_frames(const struct log_reader *r)
{
    g_autofree uint8_t *raw = g_malloc(LOG_FRAME_RAW_MAX);
    for (unsigned i = 0; i < log_reader_frames(r); i++) {
        const struct log_frame *f = log_reader_frame(r, i);
        struct log_extent_iter it = log_frame_extents(f);
        struct log_extent e = {0};
        guint count = 0;
        for (; log_extent_next(&it, &e); count++) {
            g_assert_cmpuint(e.offset + e.length, <=, log_info_disk(log_reader_info(r), f->disk)->size);
            g_assert_cmpuint(e.raw_offset + (e.zero ? 0 : e.length), <=, f->raw_length);
        }
        g_assert_cmpuint(count, ==, f->extent_count);
        log_reader_data(r, i, raw, NULL);
    }
    for (int type = LOG_SECTION_DOMAIN_XML; type <= LOG_SECTION_QUIESCE; type++)
        g_free(log_reader_section(r, (enum log_section)type, NULL, NULL));
}

static bool
open_and_read(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_assert_cmpint(write(fd, data, size), ==, size);
    g_autoptr(GError) err = NULL;
    struct log_reader *r = log_reader_open(path, &err);
    g_assert_true((r == NULL) == (err != NULL));
    if (r)
        read_frames(r);
    log_reader_close(r);
    close(fd);
    return r != NULL;
}

static void
try_both(const uint8_t *data, size_t size, size_t piece)
{
    enum log_verify_state whole = feed(data, size, size), pieces = feed(data, size, piece);
    g_assert_cmpint(whole, ==, pieces);
    bool opened = open_and_read(data, size);
    g_assert_true(opened || whole != LOG_VERIFY_COMPLETE);
}

static uint32_t
get32(const uint8_t *at)
{
    struct reader r = reader_over(at, 4);
    return reader_u32(&r);
}

static void
put_hash(uint8_t *to, struct hash128 hash)
{
    memcpy(to, hash.bytes, sizeof hash.bytes);
}

/* Puts the checksum of the frame at `at` right; its length, 0 if there is no frame. */
static size_t
seal_frame(uint8_t *at, size_t left, GChecksum *sha)
{
    if (left < LOG_FRAME_FIXED || get32(at) != LOG_FRAME_MAGIC)
        return 0;
    guint64 list = get32(at + 8), stored = get32(at + 20);
    if (list + stored > left - LOG_FRAME_FIXED)
        return 0;
    struct hash128_state *s = hash128_new();
    hash128_update(s, at, LOG_FRAME_FIXED - 16);
    hash128_update(s, at + LOG_FRAME_FIXED, list + stored);
    put_hash(at + LOG_FRAME_FIXED - 16, hash128_final(s));
    g_checksum_update(sha, at, (gssize)(LOG_FRAME_FIXED + list));
    return LOG_FRAME_FIXED + list + stored;
}

/* Index and trailer: the rest of the file. */
static void
seal_end(uint8_t *index, size_t left, GChecksum *sha)
{
    if (left < LOG_TRAILER_SIZE)
        return;
    uint8_t *trailer = index + left - LOG_TRAILER_SIZE;
    gsize digest = 32;
    struct hash128_state *s = hash128_new();
    hash128_update(s, index, left - LOG_TRAILER_SIZE);
    hash128_update(s, trailer, LOG_TRAILER_HASHED - 16);
    put_hash(trailer + LOG_TRAILER_HASHED - 16, hash128_final(s));
    g_checksum_update(sha, index, (gssize)(left - LOG_TRAILER_SIZE));
    g_checksum_update(sha, trailer, LOG_TRAILER_HASHED);
    g_checksum_get_digest(sha, trailer + LOG_TRAILER_HASHED, &digest);
}

static void
seal(uint8_t *data, size_t size)
{
    size_t at = size < LOG_HEADER_PREFIX ? 0 : get32(data + 16);
    if (at < LOG_HEADER_FIXED + 16 || at > size)
        return;
    g_autoptr(GChecksum) sha = g_checksum_new(G_CHECKSUM_SHA256);
    put_hash(data + at - 16, hash128_of(data, at - 16));
    g_checksum_update(sha, data, (gssize)at);
    for (size_t n; (n = seal_frame(data + at, size - at, sha)) > 0;)
        at += n;
    seal_end(data + at, size - at, sha);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t piece = 1 + data[0];
    g_autofree uint8_t *copy = g_memdup2(data + 1, size - 1);
    try_both(copy, size - 1, piece);
    seal(copy, size - 1);
    try_both(copy, size - 1, piece);
    return 0;
}
