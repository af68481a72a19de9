/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/verify.h"

#include "base/err.h"
#include "log/coding.h"

#include <string.h>

/* The parts of a log in their order.  `wanted` bytes complete the part that is being collected; take_part then looks at them, says what
 * comes next and how long it is.  A frame and the index begin with four different bytes, which decides between them.
 *
 * The entries of the index can be as long as all extent lists together, so they are not collected: what the index must be is hashed as
 * frames pass, what it is is hashed as it arrives, and the two digests are compared at its end. */
enum part {
    PART_PREFIX,
    PART_HEADER,
    PART_FRAME_OR_INDEX,
    PART_FRAME_HEAD,
    PART_FRAME,
    PART_INDEX_HEAD,
    PART_INDEX_ENTRIES,
    PART_TRAILER,
    PART_DONE,
    PART_BAD
};

#define INDEX_HEAD 8u /* magic and number of frames */

struct log_verifier {
    enum part part;
    gsize wanted;
    GByteArray *pending;
    guint64 offset; /* bytes of complete parts before `pending`; within the index: where it begins */
    guint64 last_frame_offset, raw_bytes, zero_bytes;
    guint32 frames;
    struct log_header header;
    bool have_header;
    struct log_frame frame;
    struct hash128 frame_hash;
    GByteArray *entry; /* of the newest frame in the index */
    guint64 entries_length, entries_left;
    GChecksum *entries_wanted, *entries_seen;
    struct hash128_state *index_hash;
    GChecksum *sha;
};

struct log_verifier *
log_verifier_new(void)
{
    struct log_verifier *v = g_new0(struct log_verifier, 1);
    v->pending = g_byte_array_new();
    v->entry = g_byte_array_new();
    v->entries_wanted = g_checksum_new(G_CHECKSUM_SHA256);
    v->entries_seen = g_checksum_new(G_CHECKSUM_SHA256);
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
    guint32 magic = reader_u32(&r);
    if (magic == LOG_FRAME_MAGIC) {
        expect(v, PART_FRAME_HEAD, LOG_FRAME_FIXED);
        return true;
    }
    if (magic != LOG_INDEX_MAGIC)
        return err_set(err, ERR_CORRUPT, "Neither a frame nor the index begins here.");
    expect(v, PART_INDEX_HEAD, INDEX_HEAD);
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

/* What the index must say about the frame that was just taken. */
static void
note_entry(struct log_verifier *v)
{
    g_byte_array_set_size(v->entry, 0);
    log_index_append(v->entry, &v->last_frame_offset, &v->frame);
    g_checksum_update(v->entries_wanted, v->entry->data, v->entry->len);
    v->entries_length += v->entry->len;
}

static bool
take_frame(struct log_verifier *v, GError **err)
{
    struct log_frame *f = &v->frame;
    if (v->frames == LOG_FRAMES_MAX)
        return err_set(err, ERR_CORRUPT, "There are more than %u frames.", LOG_FRAMES_MAX);
    f->extents = v->pending->data + LOG_FRAME_FIXED;
    f->file_offset = v->offset;
    if (!log_frame_verify(v->pending->data, f, &v->frame_hash))
        return err_set(err, ERR_CORRUPT, "Frame %u is damaged: its checksum does not fit.", v->frames);
    if (!log_extents_check(f, log_info_disk(&v->header.info, f->disk)->size, &v->zero_bytes, err))
        return false;
    g_checksum_update(v->sha, v->pending->data, (gssize)(LOG_FRAME_FIXED + f->extents_length));
    note_entry(v);
    v->raw_bytes += f->raw_length;
    v->frames++;
    complete(v, PART_FRAME_OR_INDEX, 4);
    return v->entries_length <= LOG_INDEX_MAX - INDEX_HEAD ||
           err_set(err, ERR_CORRUPT, "The index of the frames would have more than %u bytes.", LOG_INDEX_MAX);
}

static bool
take_index_head(struct log_verifier *v, GError **err)
{
    struct reader r = reader_over(v->pending->data, INDEX_HEAD);
    reader_u32(&r);
    guint32 frames = reader_u32(&r);
    if (frames != v->frames)
        return err_set(err, ERR_CORRUPT, "The index counts %u frames; %u are before it.", frames, v->frames);
    v->index_hash = hash128_new();
    hash128_update(v->index_hash, v->pending->data, INDEX_HEAD);
    g_checksum_update(v->sha, v->pending->data, INDEX_HEAD);
    g_byte_array_set_size(v->pending, 0);
    v->entries_left = v->entries_length;
    expect(v, PART_INDEX_ENTRIES, 0);
    return true;
}

static gsize
pass_entries(struct log_verifier *v, const guint8 *from, gsize len)
{
    gsize n = MIN(len, v->entries_left);
    hash128_update(v->index_hash, from, n);
    g_checksum_update(v->entries_seen, from, (gssize)n);
    g_checksum_update(v->sha, from, (gssize)n);
    v->entries_left -= n;
    return n;
}

static bool
take_entries(struct log_verifier *v, GError **err)
{
    if (strcmp(g_checksum_get_string(v->entries_wanted), g_checksum_get_string(v->entries_seen)) != 0)
        return err_set(err, ERR_CORRUPT, "The index does not fit the frames before it.");
    v->offset += INDEX_HEAD + v->entries_length;
    expect(v, PART_TRAILER, LOG_TRAILER_SIZE);
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
    if (t.index_length != INDEX_HEAD + v->entries_length || t.index_offset + t.index_length != v->offset || t.frames != v->frames ||
        t.raw_bytes != v->raw_bytes || t.zero_bytes != v->zero_bytes ||
        !log_trailer_verify(v->pending->data, g_steal_pointer(&v->index_hash)))
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
    case PART_INDEX_HEAD:
        return take_index_head(v, err);
    case PART_INDEX_ENTRIES:
        return take_entries(v, err);
    case PART_TRAILER:
        return take_trailer(v, err);
    case PART_DONE:
        return err_set(err, ERR_CORRUPT, "There are bytes after the end of the change log.");
    case PART_BAD:
        return err_set(err, ERR_CORRUPT, "The change log was found damaged before.");
    }
    g_assert_not_reached();
}

/* Takes bytes for the current part; returns how many. */
static gsize
collect(struct log_verifier *v, const guint8 *from, gsize len)
{
    if (v->part == PART_INDEX_ENTRIES)
        return pass_entries(v, from, len);
    gsize n = MIN(len, v->wanted - v->pending->len);
    g_byte_array_append(v->pending, from, (guint)n);
    return n;
}

static bool
part_is_whole(const struct log_verifier *v)
{
    return v->part == PART_INDEX_ENTRIES ? v->entries_left == 0 : v->pending->len >= v->wanted;
}

enum log_verify_state
log_verifier_feed(struct log_verifier *v, const void *data, size_t len, GError **err)
{
    const guint8 *from = data;
    while (len > 0) {
        gsize n = v->part == PART_BAD ? 0 : collect(v, from, len);
        from += n;
        len -= n;
        /* One part may complete the next (a prefix that is long enough); the end completes nothing, but refuses what follows it. */
        while (part_is_whole(v) && (v->part != PART_DONE || len > 0)) {
            if (!take_part(v, err)) {
                g_prefix_error(err, "At byte %" G_GUINT64_FORMAT ": ", v->offset);
                g_byte_array_set_size(v->pending, 0);
                expect(v, PART_BAD, 0);
                return LOG_VERIFY_BAD;
            }
        }
    }
    return v->part == PART_DONE ? LOG_VERIFY_COMPLETE : v->part == PART_BAD ? LOG_VERIFY_BAD : LOG_VERIFY_MORE;
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
    g_byte_array_unref(v->entry);
    if (v->index_hash)
        hash128_final(v->index_hash);
    g_checksum_free(v->entries_wanted);
    g_checksum_free(v->entries_seen);
    g_checksum_free(v->sha);
    g_free(v);
}
