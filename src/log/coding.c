/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/coding.h"

#include "base/err.h"

#include <string.h>

void
log_frame_head(GByteArray *out, const struct log_frame *f)
{
    writer_u32(out, LOG_FRAME_MAGIC);
    writer_u16(out, f->disk);
    writer_u8(out, f->codec);
    writer_u8(out, 0);
    writer_u32(out, (guint32)f->extents_length);
    writer_u32(out, f->extent_count);
    writer_u32(out, f->raw_length);
    writer_u32(out, f->stored_length);
}

void
log_frame_encode(GByteArray *out, const struct log_frame *f, const void *payload)
{
    guint start = out->len;
    log_frame_head(out, f);
    struct hash128_state *s = hash128_new();
    hash128_update(s, out->data + start, LOG_FRAME_HEAD);
    hash128_update(s, f->extents, f->extents_length);
    hash128_update(s, payload, f->stored_length);
    struct hash128 hash = hash128_final(s);
    writer_bytes(out, hash.bytes, sizeof hash.bytes);
}

/* A raw payload is as long as its data, a compressed one shorter (else the writer would have stored it raw). */
static bool
stored_fits(const struct log_frame *f)
{
    return f->codec == LOG_CODEC_RAW ? f->stored_length == f->raw_length : f->stored_length < f->raw_length;
}

bool
log_frame_decode(const void *fixed, const struct log_info *info, struct log_frame *out, struct hash128 *hash, GError **err)
{
    struct reader r = reader_over(fixed, LOG_FRAME_FIXED);
    guint32 magic = reader_u32(&r);
    *out = (struct log_frame){0};
    out->disk = reader_u16(&r);
    out->codec = reader_u8(&r);
    guint8 reserved = reader_u8(&r);
    out->extents_length = reader_u32(&r);
    out->extent_count = reader_u32(&r);
    out->raw_length = reader_u32(&r);
    out->stored_length = reader_u32(&r);
    reader_copy(&r, hash->bytes, 16);
    if (magic != LOG_FRAME_MAGIC || reserved || !log_info_disk(info, out->disk))
        return err_set(err, ERR_CORRUPT, "A frame of the change log starts with the wrong bytes or names an unknown disk.");
    if (!log_codec_known(info->version, out->codec))
        return err_set(err, ERR_CORRUPT, "A frame of the change log is packed with codec %u, which logs of version %u do not have.",
                       out->codec, info->version);
    if (out->extents_length > LOG_EXTENT_LIST_MAX || out->extent_count > out->extents_length ||
        out->extent_count == 0 || out->raw_length > info->frame_raw_max || !stored_fits(out))
        return err_set(err, ERR_CORRUPT, "A frame of the change log claims impossible lengths.");
    return true;
}

bool
log_frame_verify(const void *frame, const struct log_frame *f, const struct hash128 *hash)
{
    const guint8 *p = frame;
    struct hash128_state *s = hash128_new();
    hash128_update(s, p, LOG_FRAME_HEAD);
    hash128_update(s, p + LOG_FRAME_FIXED, f->extents_length + f->stored_length);
    struct hash128 is = hash128_final(s);
    return memcmp(is.bytes, hash->bytes, sizeof is.bytes) == 0;
}

void
log_extent_append(GByteArray *list, guint64 *end_sector, guint64 offset, guint64 length, bool zero)
{
    guint64 start = offset / LOG_SECTOR, sectors = length / LOG_SECTOR;
    g_assert(offset % LOG_SECTOR == 0 && length % LOG_SECTOR == 0 && start >= *end_sector && sectors);
    writer_varint(list, start - *end_sector);
    writer_varint(list, sectors << 1 | zero);
    *end_sector = start + sectors;
}

static const char bad_extents[] = "The extent list of a frame is damaged.";

/* One extent, bounded by the disk; the sums cannot overflow because everything stays below LOG_DISK_SIZE_MAX. */
static bool
check_extent(struct reader *r, guint64 *sector, guint64 sectors_of_disk, guint64 *data, guint64 *zero)
{
    guint64 gap = reader_varint(r), coded = reader_varint(r), length = coded >> 1;
    if (r->failed || length == 0 || gap > sectors_of_disk - *sector || length > sectors_of_disk - *sector - gap)
        return false;
    *sector += gap + length;
    *(coded & 1 ? zero : data) += length * LOG_SECTOR;
    return true;
}

bool
log_extents_check(const struct log_frame *f, guint64 disk_size, guint64 *zero, GError **err)
{
    struct reader r = reader_over(f->extents, f->extents_length);
    guint64 sector = 0, data = 0, zeros = 0;
    for (guint32 i = 0; i < f->extent_count; i++)
        if (!check_extent(&r, &sector, disk_size / LOG_SECTOR, &data, &zeros))
            return err_set(err, ERR_CORRUPT, bad_extents);
    if (reader_left(&r) || data != f->raw_length)
        return err_set(err, ERR_CORRUPT, bad_extents);
    *zero += zeros;
    return true;
}

struct log_extent_iter
log_frame_extents(const struct log_frame *f)
{
    return (struct log_extent_iter){.at = f->extents, .end = f->extents + f->extents_length};
}

bool
log_extent_next(struct log_extent_iter *it, struct log_extent *out)
{
    if (it->at >= it->end)
        return false;
    struct reader r = {.at = it->at, .end = it->end};
    guint64 gap = reader_varint(&r), coded = reader_varint(&r);
    it->at = r.at;
    it->sector += gap;
    *out = (struct log_extent){it->sector * LOG_SECTOR, (coded >> 1) * LOG_SECTOR, coded & 1, it->raw};
    it->sector += coded >> 1;
    it->raw += out->zero ? 0 : (guint32)out->length;
    return !r.failed;
}

void
log_index_append(GByteArray *index, guint64 *last_offset, const struct log_frame *f)
{
    writer_varint(index, f->disk);
    writer_varint(index, f->file_offset - *last_offset);
    writer_varint(index, f->raw_length);
    writer_varint(index, f->stored_length);
    writer_u8(index, f->codec);
    writer_varint(index, f->extents_length);
    writer_varint(index, f->extent_count);
    writer_bytes(index, f->extents, f->extents_length);
    *last_offset = f->file_offset;
}

static bool
decode_entry(struct reader *r, guint64 *offset, guint64 *zero, const struct log_info *info, struct log_frame *f, GError **err)
{
    guint64 disk = reader_varint(r), step = reader_varint(r), raw = reader_varint(r), stored = reader_varint(r);
    f->codec = reader_u8(r);
    guint64 length = reader_varint(r), count = reader_varint(r);
    if (r->failed || disk > G_MAXUINT16 || raw > info->frame_raw_max || stored > raw || !log_codec_known(info->version, f->codec) ||
        length > LOG_EXTENT_LIST_MAX || count > length || count == 0 || step > G_MAXINT64 - *offset)
        return err_set(err, ERR_CORRUPT, "The index of the change log is damaged.");
    const struct log_disk *d = log_info_disk(info, (guint16)disk);
    f->extents = reader_span(r, length);
    if (!d || !f->extents)
        return err_set(err, ERR_CORRUPT, "The index of the change log names an unknown disk or ends too early.");
    f->disk = (guint16)disk;
    f->file_offset = *offset += step;
    f->raw_length = (guint32)raw;
    f->stored_length = (guint32)stored;
    f->extents_length = length;
    f->extent_count = (guint32)count;
    if (!stored_fits(f))
        return err_set(err, ERR_CORRUPT, "The index of the change log claims impossible lengths.");
    return log_extents_check(f, d->size, zero, err);
}

GArray *
log_index_decode(const void *data, size_t len, const struct log_trailer *t, const struct log_info *info, GError **err)
{
    struct reader r = reader_over(data, len);
    guint64 offset = 0, raw = 0, zero = 0;
    guint32 magic = reader_u32(&r), count = reader_u32(&r);
    /* The smallest entry has 9 bytes: the count cannot make us allocate more than the bytes that are there. */
    if (r.failed || magic != LOG_INDEX_MAGIC || count != t->frames || count > len / 9) {
        err_set(err, ERR_CORRUPT, "The index of the change log does not start as it should.");
        return NULL;
    }
    g_autoptr(GArray) out = g_array_sized_new(FALSE, FALSE, sizeof(struct log_frame), count);
    for (guint32 i = 0; i < count; i++) {
        struct log_frame f = {0};
        if (!decode_entry(&r, &offset, &zero, info, &f, err))
            return NULL;
        raw += f.raw_length;
        g_array_append_val(out, f);
    }
    if (reader_left(&r) || raw != t->raw_bytes || zero != t->zero_bytes) {
        err_set(err, ERR_CORRUPT, "The index of the change log is longer than its frames, or they do not sum up to the trailer's totals.");
        return NULL;
    }
    return g_steal_pointer(&out);
}

void
log_trailer_encode(GByteArray *out, const struct log_trailer *t, const GByteArray *index)
{
    guint start = out->len;
    writer_bytes(out, LOG_TRAILER_MAGIC, 8);
    writer_u64(out, t->index_offset);
    writer_u64(out, t->index_length);
    writer_u64(out, t->file_length);
    writer_u64(out, t->raw_bytes);
    writer_u64(out, t->zero_bytes);
    writer_u32(out, t->frames);
    writer_u32(out, 0);
    struct hash128_state *s = hash128_new();
    hash128_update(s, index->data, index->len);
    hash128_update(s, out->data + start, LOG_TRAILER_HASHED - 16);
    struct hash128 hash = hash128_final(s);
    writer_bytes(out, hash.bytes, sizeof hash.bytes);
    g_assert(out->len - start == LOG_TRAILER_HASHED);
}

bool
log_trailer_decode(const void *data, struct log_trailer *out, GError **err)
{
    struct reader r = reader_over(data, LOG_TRAILER_SIZE);
    if (memcmp(reader_span(&r, 8), LOG_TRAILER_MAGIC, 8) != 0)
        return err_set(err, ERR_CORRUPT, "The change log is torn: it does not end with a trailer.");
    out->index_offset = reader_u64(&r);
    out->index_length = reader_u64(&r);
    out->file_length = reader_u64(&r);
    out->raw_bytes = reader_u64(&r);
    out->zero_bytes = reader_u64(&r);
    out->frames = reader_u32(&r);
    if (reader_u32(&r) || out->frames > LOG_FRAMES_MAX || out->index_length > LOG_INDEX_MAX || out->index_length > out->file_length ||
        out->index_offset > out->file_length || out->index_offset + out->index_length + LOG_TRAILER_SIZE != out->file_length)
        return err_set(err, ERR_CORRUPT, "The trailer of the change log is damaged.");
    return true;
}

bool
log_trailer_verify(const void *data, struct hash128_state *of_index)
{
    hash128_update(of_index, data, LOG_TRAILER_HASHED - 16);
    struct hash128 is = hash128_final(of_index);
    return memcmp(is.bytes, (const guint8 *)data + LOG_TRAILER_HASHED - 16, 16) == 0;
}
