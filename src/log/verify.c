/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/verify.h"

#include "base/err.h"
#include "log/coding.h"

#include <string.h>

/* The parts of a log in their order.  `wanted` bytes complete the part that is being collected; take_part then looks at them, says what
 * comes next and how long it is.  A frame and the index begin with four different bytes, which decides between them. */
enum part { PART_PREFIX, PART_HEADER, PART_FRAME_OR_INDEX, PART_FRAME_HEAD, PART_FRAME, PART_INDEX, PART_TRAILER, PART_DONE, PART_BAD };

struct log_verifier {
    enum part part;
    gsize wanted;
    GByteArray *pending;
    guint64 offset;            /* bytes of complete parts before `pending` */
    guint64 last_frame_offset, raw_bytes, zero_bytes;
    guint32 frames;
    struct log_header header;
    bool have_header;
    struct log_frame frame;
    struct hash128 frame_hash;
    GByteArray *index;         /* what the index must be */
    GChecksum *sha;
};

struct log_verifier *
log_verifier_new(void)
{
    struct log_verifier *v = g_new0(struct log_verifier, 1);
    v->pending = g_byte_array_new();
    v->index = g_byte_array_new();
    writer_u32(v->index, LOG_INDEX_MAGIC);
    writer_u32(v->index, 0);
    v->sha = g_checksum_new(G_CHECKSUM_SHA256);
    v->part = PART_PREFIX;
    v->wanted = LOG_HEADER_PREFIX;
    return v;
}

static void
expect(struct log_verifier *v, enum part part, gsize wanted)
{
    v->part = part;
    v->wanted = wanted;
}

/* The collected part is right and done with. */
static void
complete(struct log_verifier *v, enum part next, gsize wanted)
{
    v->offset += v->pending->len;
    g_byte_array_set_size(v->pending, 0);
    expect(v, next, wanted);
}

static bool
take_prefix(struct log_verifier *v, GError **err)
{
    guint32 length;
    if (!log_header_length(v->pending->data, &length, err))
        return false;
    expect(v, PART_HEADER, length);
    return true;
}

static bool
take_header(struct log_verifier *v, GError **err)
{
    if (!log_header_decode(v->pending->data, v->pending->len, &v->header, err))
        return false;
    v->have_header = true;
    g_checksum_update(v->sha, v->pending->data, v->pending->len);
    complete(v, PART_FRAME_OR_INDEX, 4);
    return true;
}

static bool
take_magic(struct log_verifier *v, GError **err)
{
    struct reader r = reader_over(v->pending->data, 4);
    guint32 magic = reader_u32(&r), frames = GUINT32_TO_LE(v->frames);
    if (magic == LOG_FRAME_MAGIC) {
        expect(v, PART_FRAME_HEAD, LOG_FRAME_FIXED);
        return true;
    }
    if (magic != LOG_INDEX_MAGIC)
        return err_set(err, ERR_CORRUPT, "Neither a frame nor the index begins here.");
    memcpy(v->index->data + 4, &frames, sizeof frames);
    expect(v, PART_INDEX, v->index->len);
    return true;
}

static bool
take_frame_head(struct log_verifier *v, GError **err)
{
    if (!log_frame_decode(v->pending->data, &v->header.info, &v->frame, &v->frame_hash, err))
        return false;
    expect(v, PART_FRAME, LOG_FRAME_FIXED + v->frame.extents_length + v->frame.stored_length);
    return true;
}

static bool
take_frame(struct log_verifier *v, GError **err)
{
    struct log_frame *f = &v->frame;
    f->extents = v->pending->data + LOG_FRAME_FIXED;
    f->file_offset = v->offset;
    if (!log_frame_verify(v->pending->data, f, &v->frame_hash))
        return err_set(err, ERR_CORRUPT, "Frame %u is damaged: its checksum does not fit.", v->frames);
    if (!log_extents_check(f, log_info_disk(&v->header.info, f->disk)->size, &v->zero_bytes, err))
        return false;
    g_checksum_update(v->sha, v->pending->data, (gssize)(LOG_FRAME_FIXED + f->extents_length));
    log_index_append(v->index, &v->last_frame_offset, f);
    v->raw_bytes += f->raw_length;
    v->frames++;
    complete(v, PART_FRAME_OR_INDEX, 4);
    return true;
}

static bool
take_index(struct log_verifier *v, GError **err)
{
    if (memcmp(v->pending->data, v->index->data, v->index->len) != 0)
        return err_set(err, ERR_CORRUPT, "The index does not fit the frames before it.");
    g_checksum_update(v->sha, v->pending->data, v->pending->len);
    complete(v, PART_TRAILER, LOG_TRAILER_SIZE);
    return true;
}

static bool
take_trailer(struct log_verifier *v, GError **err)
{
    struct log_trailer t;
    guint8 digest[32];
    gsize digest_len = sizeof digest;

    if (!log_trailer_decode(v->pending->data, &t, err))
        return false;
    if (t.index_length != v->index->len || t.index_offset + t.index_length != v->offset || t.frames != v->frames ||
        t.raw_bytes != v->raw_bytes || t.zero_bytes != v->zero_bytes ||
        !log_trailer_verify(v->pending->data, v->index->data, v->index->len))
        return err_set(err, ERR_CORRUPT, "The trailer does not fit the frames before it.");
    g_checksum_update(v->sha, v->pending->data, LOG_TRAILER_HASHED);
    g_checksum_get_digest(v->sha, digest, &digest_len);
    if (memcmp(digest, v->pending->data + LOG_TRAILER_HASHED, sizeof digest) != 0)
        return err_set(err, ERR_CORRUPT, "The closing SHA-256 does not fit.");
    complete(v, PART_DONE, 0);
    return true;
}

static bool
take_part(struct log_verifier *v, GError **err)
{
    switch (v->part) {
    case PART_PREFIX:
        return take_prefix(v, err);
    case PART_HEADER:
        return take_header(v, err);
    case PART_FRAME_OR_INDEX:
        return take_magic(v, err);
    case PART_FRAME_HEAD:
        return take_frame_head(v, err);
    case PART_FRAME:
        return take_frame(v, err);
    case PART_INDEX:
        return take_index(v, err);
    case PART_TRAILER:
        return take_trailer(v, err);
    case PART_DONE:
        return err_set(err, ERR_CORRUPT, "There are bytes after the end of the change log.");
    case PART_BAD:
        return err_set(err, ERR_CORRUPT, "The change log was found damaged before.");
    }
    g_assert_not_reached();
}

enum log_verify_state
log_verifier_feed(struct log_verifier *v, const void *data, size_t len, GError **err)
{
    const guint8 *from = data;
    while (len > 0) {
        gsize n = MIN(len, v->wanted - v->pending->len);
        g_byte_array_append(v->pending, from, (guint)n);
        from += n;
        len -= n;
        while (v->part != PART_DONE || len > 0) {
            if (v->pending->len < v->wanted)
                break;
            if (!take_part(v, err)) {
                g_prefix_error(err, "At byte %" G_GUINT64_FORMAT ": ", v->offset);
                v->part = PART_BAD;
                v->wanted = 0;
                return LOG_VERIFY_BAD;
            }
        }
    }
    return v->part == PART_DONE ? LOG_VERIFY_COMPLETE : LOG_VERIFY_MORE;
}

const struct log_info *
log_verifier_info(const struct log_verifier *v)
{
    return v->have_header ? &v->header.info : NULL;
}

uint64_t
log_verifier_good(const struct log_verifier *v)
{
    return v->offset;
}

void
log_verifier_free(struct log_verifier *v)
{
    if (!v)
        return;
    if (v->have_header)
        log_header_clear(&v->header);
    g_byte_array_unref(v->pending);
    g_byte_array_unref(v->index);
    g_checksum_free(v->sha);
    g_free(v);
}
