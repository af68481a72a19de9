/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/mend.h"

#include "base/file.h"
#include "log/coding.h"

#include <string.h>

enum { SHA_MOST = 4, PROBES = 3, OFFERS = 1000, OFFERS_ZSTD = 10 };

/* compression, compression_level and merging; what is usual comes first.  0: the end. */
static const int levels[] = {1, -1, 3, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 0};

struct log_mend {
    const struct log_reader *r;
    const struct log_frame *f;
    unsigned frame;
    int fd;
    size_t length;       /* head, extents, payload */
    uint8_t *there;      /* as in the file; zeros where that cannot be read */
    uint8_t *lost;       /* per piece of the file: cannot be read */
    uint8_t *own;        /* NULL: the payload cannot be unpacked */
    uint8_t *packed;
    size_t packed_room;
    GByteArray *whole;   /* what was offered last, as bytes of the file */
    unsigned sha_looks;
    bool fits;           /* `whole` is right */
};

/* The frame falls into pieces at the blocks of the file; *length of the one at `at`. */
static size_t
piece_at(const struct log_mend *m, size_t at, size_t *length)
{
    const uint64_t place = m->f->file_offset + at;
    *length = MIN(LOG_PAGE - place % LOG_PAGE, m->length - at);
    return place / LOG_PAGE - m->f->file_offset / LOG_PAGE;
}

static void
read_there(struct log_mend *m)
{
    const char *path = log_reader_path(m->r);
    if (file_read_full(m->fd, m->there, m->length, m->f->file_offset, path, NULL))
        return;
    for (size_t at = 0, n; at < m->length; at += n) {
        const size_t piece = piece_at(m, at, &n);
        m->lost[piece] = !file_read_full(m->fd, m->there + at, n, m->f->file_offset + at, path, NULL);
        if (m->lost[piece])
            memset(m->there + at, 0, n);
    }
}

static const uint8_t *
payload_there(const struct log_mend *m)
{
    return m->there + LOG_FRAME_FIXED + m->f->extents_length;
}

/* As long as writers have it: what fits into it may depend on that. */
static size_t
room_of(const struct log_reader *r)
{
    return log_compress_room(log_reader_info(r)->frame_raw_max);
}

struct log_mend *
log_mend_new(const struct log_reader *r, unsigned frame, int fd)
{
    struct log_mend *m = g_new0(struct log_mend, 1);
    m->r = r;
    m->f = log_reader_frame(r, frame);
    m->frame = frame;
    m->fd = fd;
    m->length = LOG_FRAME_FIXED + m->f->extents_length + m->f->stored_length;
    m->there = g_malloc0(m->length);
    m->lost = g_malloc0(m->length / LOG_PAGE + 2);
    m->packed_room = room_of(r);
    m->packed = g_malloc(m->packed_room);
    m->whole = g_byte_array_new();
    read_there(m);
    m->own = g_malloc0(m->f->raw_length + 1);
    if (log_decompress(m->f->codec, payload_there(m), m->f->stored_length, m->own, m->f->raw_length) != m->f->raw_length)
        g_clear_pointer(&m->own, g_free);
    return m;
}

void
log_mend_free(struct log_mend *m)
{
    if (!m)
        return;
    g_byte_array_unref(m->whole);
    g_free(m->there);
    g_free(m->lost);
    g_free(m->own);
    g_free(m->packed);
    g_free(m);
}

const uint8_t *
log_mend_own(const struct log_mend *m)
{
    return m->own;
}

/* ---- which log this is ---- */

static bool
add_file(const struct log_mend *m, GChecksum *sha, uint64_t from, uint64_t to)
{
    uint8_t bytes[16 << 10];
    for (uint64_t n; from < to; from += n) {
        n = MIN(to - from, sizeof bytes);
        if (!file_read_full(m->fd, bytes, (size_t)n, from, log_reader_path(m->r), NULL))
            return false;
        g_checksum_update(sha, bytes, (gssize)n);
    }
    return true;
}

/* Everything of them but the hash is in the index, too. */
static bool
add_frames(const struct log_mend *m, GChecksum *sha)
{
    g_autoptr(GByteArray) head = g_byte_array_new();
    for (unsigned i = 0; i < log_reader_frames(m->r); i++) {
        const struct log_frame *f = log_reader_frame(m->r, i);
        uint8_t hash[LOG_FRAME_FIXED - LOG_FRAME_HEAD];
        if (i == m->frame)
            memcpy(hash, m->whole->data + LOG_FRAME_HEAD, sizeof hash);
        else if (!file_read_full(m->fd, hash, sizeof hash, f->file_offset + LOG_FRAME_HEAD, log_reader_path(m->r), NULL))
            return false;
        g_byte_array_set_size(head, 0);
        log_frame_head(head, f);
        g_checksum_update(sha, head->data, head->len);
        g_checksum_update(sha, hash, sizeof hash);
        g_checksum_update(sha, f->extents, (gssize)f->extents_length);
    }
    return true;
}

static bool
sha_fits(struct log_mend *m)
{
    const struct log_frame *last = log_reader_frame(m->r, log_reader_frames(m->r) - 1);
    const uint64_t header = log_reader_frame(m->r, 0)->file_offset;
    const uint64_t index = last->file_offset + LOG_FRAME_FIXED + last->extents_length + last->stored_length;
    uint8_t digest[LOG_DIGEST];
    gsize len = sizeof digest;
    if (m->sha_looks++ >= SHA_MOST)
        return false;
    g_autoptr(GChecksum) sha = g_checksum_new(G_CHECKSUM_SHA256);
    if (!add_file(m, sha, 0, header) || !add_frames(m, sha) || !add_file(m, sha, index, log_reader_file_bytes(m->r) - LOG_DIGEST))
        return false;
    g_checksum_get_digest(sha, digest, &len);
    return memcmp(digest, log_reader_digest(m->r), LOG_DIGEST) == 0;
}

/* ---- what fits ---- */

static bool
try_payload(struct log_mend *m, const uint8_t *payload)
{
    g_byte_array_set_size(m->whole, 0);
    log_frame_encode(m->whole, m->f, payload);
    writer_bytes(m->whole, m->f->extents, m->f->extents_length);
    writer_bytes(m->whole, payload, m->f->stored_length);
    m->fits = memcmp(m->whole->data + LOG_FRAME_HEAD, m->there + LOG_FRAME_HEAD, LOG_FRAME_FIXED - LOG_FRAME_HEAD) == 0 || sha_fits(m);
    return m->fits;
}

static bool
pack(const struct log_mend *m, const struct log_frame *f, int level, const void *raw)
{
    return log_compress(f->codec, level, raw, f->raw_length, m->packed, m->packed_room) == f->stored_length;
}

bool
log_mend_offer(struct log_mend *m, const void *raw)
{
    if (!raw)
        return try_payload(m, payload_there(m));
    if (m->f->codec == LOG_CODEC_RAW)
        return try_payload(m, raw);
    for (const int *level = levels; *level; level++) {
        if (pack(m, m->f, *level, raw) && try_payload(m, m->packed))
            return true;
        if (m->f->codec != LOG_CODEC_ZSTD)
            break;
    }
    return false;
}

unsigned
log_mend_offers(const struct log_mend *m)
{
    return m->f->codec == LOG_CODEC_ZSTD ? OFFERS_ZSTD : OFFERS;
}

/* ---- is it us? ---- */

static bool
repacks(const struct log_mend *m, const struct log_frame *f, const void *raw)
{
    g_autofree uint8_t *stored = g_malloc(f->stored_length);
    if (!file_read_full(m->fd, stored, f->stored_length, f->file_offset + LOG_FRAME_FIXED + f->extents_length, log_reader_path(m->r), NULL))
        return true;
    for (const int *level = levels; *level; level++)
        if (pack(m, f, *level, raw) && memcmp(m->packed, stored, f->stored_length) == 0)
            return true;
    return false;
}

bool
log_mend_packs_alike(const struct log_mend *m)
{
    g_autofree uint8_t *raw = g_malloc(LOG_FRAME_RAW_MAX);
    unsigned probes = m->f->codec == LOG_CODEC_RAW ? 0 : PROBES;
    for (unsigned i = 0; probes && i < log_reader_frames(m->r); i++) {
        const struct log_frame *f = log_reader_frame(m->r, i);
        if (i == m->frame || f->codec != m->f->codec || !log_reader_data(m->r, i, raw, NULL))
            continue;
        if (!repacks(m, f, raw))
            return false;
        probes--;
    }
    return true;
}

bool
log_mend_write(struct log_mend *m, GError **err)
{
    g_assert(m->fits && m->whole->len == m->length);
    for (size_t at = 0, n; at < m->length; at += n) {
        const size_t piece = piece_at(m, at, &n);
        if (!m->lost[piece] && memcmp(m->there + at, m->whole->data + at, n) == 0)
            continue;
        if (!file_write_full(m->fd, m->whole->data + at, n, m->f->file_offset + at, log_reader_path(m->r), err))
            return false;
    }
    return true;
}
