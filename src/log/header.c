/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "log/coding.h"

#include <string.h>

GByteArray *
log_section_encode(enum log_section type, const void *data, size_t len)
{
    gsize room = log_compress_room(len);
    g_autofree guint8 *packed = g_malloc(room);
    gsize stored = len > 256 ? log_compress(LOG_CODEC_ZSTD, 3, data, len, packed, room) : 0;
    GByteArray *out = g_byte_array_new();

    writer_u16(out, (guint16)type);
    writer_u16(out, stored ? LOG_CODEC_ZSTD : LOG_CODEC_RAW);
    writer_u32(out, (guint32)(stored ? stored : len));
    writer_u32(out, (guint32)len);
    writer_bytes(out, stored ? packed : data, stored ? stored : len);
    return out;
}

static void
encode_disk(GByteArray *out, const struct log_disk *d)
{
    writer_u16(out, d->id);
    writer_u16(out, (guint16)strlen(d->target));
    writer_u32(out, 0);
    writer_u64(out, d->size);
    writer_bytes(out, d->target, strlen(d->target));
}

GByteArray *
log_header_encode(const struct log_info *info, GPtrArray *sections)
{
    GByteArray *out = g_byte_array_new();

    writer_bytes(out, LOG_MAGIC, 8);
    writer_u16(out, MAX(info->version, 1));
    writer_u16(out, (guint16)info->kind);
    writer_u32(out, info->flags);
    writer_u32(out, 0); /* length: below */
    writer_bytes(out, info->vm.bytes, 16);
    writer_bytes(out, info->id.bytes, 16);
    writer_bytes(out, info->parent.bytes, 16);
    writer_u64(out, info->epoch);
    writer_u64(out, info->sequence);
    writer_u64(out, (guint64)info->capture_us);
    writer_u32(out, info->frame_raw_max);
    writer_u16(out, (guint16)info->disk_count);
    writer_u16(out, (guint16)sections->len);
    writer_u32(out, 0);
    g_assert(out->len == LOG_HEADER_FIXED);
    for (unsigned i = 0; i < info->disk_count; i++)
        encode_disk(out, &info->disks[i]);
    for (guint i = 0; i < sections->len; i++) {
        const GByteArray *section = g_ptr_array_index(sections, i);
        writer_bytes(out, section->data, section->len);
    }
    guint32 length = GUINT32_TO_LE(out->len + 16);
    memcpy(out->data + 16, &length, sizeof length);
    struct hash128 hash = hash128_of(out->data, out->len);
    writer_bytes(out, hash.bytes, sizeof hash.bytes);
    return out;
}

bool
log_header_length(const void *prefix, guint32 *length, GError **err)
{
    struct reader r = reader_over(prefix, LOG_HEADER_PREFIX);
    if (memcmp(reader_span(&r, 8), LOG_MAGIC, 8) != 0)
        return err_set(err, ERR_CORRUPT, "This is not a change log: the magic number at byte 0 is wrong.");
    guint16 version = reader_u16(&r);
    if (version < 1 || version > LOG_VERSION)
        return err_set(err, ERR_NOT_SUPPORTED, "The change log has format version %u; this program reads versions 1 to %u.", version,
                       LOG_VERSION);
    reader_u16(&r);
    reader_u32(&r);
    *length = reader_u32(&r);
    if (*length < LOG_HEADER_FIXED + 16 || *length > LOG_HEADER_MAX)
        return err_set(err, ERR_CORRUPT, "The change log's header claims %u bytes.", *length);
    return true;
}

static bool
check_disk(const struct log_info *info, unsigned i, GError **err)
{
    const struct log_disk *d = &info->disks[i];
    gsize name = strlen(d->target);
    if (name == 0 || name > LOG_TARGET_MAX)
        return err_set(err, ERR_CORRUPT, "Disk %u of the change log has a name of %zu bytes; 1 to %u are possible.", d->id, name,
                       LOG_TARGET_MAX);
    if (d->size % LOG_SECTOR || d->size > LOG_DISK_SIZE_MAX)
        return err_set(err, ERR_CORRUPT, "The size of disk '%s', %" G_GUINT64_FORMAT " bytes, is no multiple of %u or too large.",
                       d->target, d->size, LOG_SECTOR);
    if (log_info_disk(info, d->id) != d)
        return err_set(err, ERR_CORRUPT, "Disk id %u occurs twice in the change log.", d->id);
    return true;
}

bool
log_info_check(const struct log_info *info, GError **err)
{
    if (info->kind < LOG_KIND_STANDARD || info->kind > LOG_KIND_PLANNED || (info->flags & ~LOG_FLAG_FUZZY) || uuid_is_nil(&info->id))
        return err_set(err, ERR_CORRUPT, "The change log has an unknown kind or flag, or no id.");
    if (info->disk_count == 0 || info->disk_count > LOG_DISKS_MAX || info->frame_raw_max > LOG_FRAME_RAW_MAX)
        return err_set(err, ERR_CORRUPT, "The change log claims %u disks, frames of %u bytes.", info->disk_count, info->frame_raw_max);
    for (unsigned i = 0; i < info->disk_count; i++)
        if (!check_disk(info, i, err))
            return false;
    return true;
}

static bool
decode_fixed(struct reader *r, struct log_info *info, guint *disks, guint *sections, GError **err)
{
    reader_span(r, 8);
    info->version = reader_u16(r);
    info->kind = reader_u16(r);
    info->flags = reader_u32(r);
    reader_u32(r);
    reader_copy(r, info->vm.bytes, 16);
    reader_copy(r, info->id.bytes, 16);
    reader_copy(r, info->parent.bytes, 16);
    info->epoch = reader_u64(r);
    info->sequence = reader_u64(r);
    info->capture_us = (int64_t)reader_u64(r);
    info->frame_raw_max = reader_u32(r);
    *disks = reader_u16(r);
    *sections = reader_u16(r);
    if (reader_u32(r) || *disks > LOG_DISKS_MAX || *sections > LOG_SECTIONS_MAX)
        return err_set(err, ERR_CORRUPT, "The change log's header claims %u disks, %u sections, or uses reserved bytes.", *disks,
                       *sections);
    return true;
}

static bool
decode_disk(struct reader *r, struct log_info *info, GError **err)
{
    guint16 id = reader_u16(r), length = reader_u16(r);
    guint32 reserved = reader_u32(r);
    guint64 size = reader_u64(r);
    const char *name = length && length <= LOG_TARGET_MAX ? reader_span(r, length) : NULL;
    if (!name || reserved || memchr(name, '\0', length))
        return err_set(err, ERR_CORRUPT, "The disk table of the change log is damaged.");
    g_autofree char *target = g_strndup(name, length);
    log_info_add_disk(info, id, target, size);
    return true;
}

static bool
decode_section(struct reader *r, struct log_header *h, const guint8 *start, GError **err)
{
    struct log_section_bytes s = {0};
    s.type = reader_u16(r);
    s.codec = reader_u16(r);
    s.stored_length = reader_u32(r);
    s.raw_length = reader_u32(r);
    bool sane = s.codec <= LOG_CODEC_ZSTD && s.raw_length <= LOG_SECTION_MAX && s.stored_length <= s.raw_length &&
                (s.codec == LOG_CODEC_ZSTD || s.stored_length == s.raw_length);
    const guint8 *data = sane ? reader_span(r, s.stored_length) : NULL;
    if (!data)
        return err_set(err, ERR_CORRUPT, "A configuration section of the change log is damaged.");
    s.offset = (gsize)(data - start);
    g_array_append_val(h->sections, s);
    return true;
}

static bool
decode_tables(struct reader *r, struct log_header *h, GError **err)
{
    guint disks = 0, sections = 0;
    const guint8 *start = r->at;
    if (!decode_fixed(r, &h->info, &disks, &sections, err))
        return false;
    for (guint i = 0; i < disks; i++)
        if (!decode_disk(r, &h->info, err))
            return false;
    for (guint i = 0; i < sections; i++)
        if (!decode_section(r, h, start, err))
            return false;
    if (r->failed || reader_left(r))
        return err_set(err, ERR_CORRUPT, "The change log's header has the wrong length.");
    return log_info_check(&h->info, err);
}

bool
log_header_decode(const void *data, size_t len, struct log_header *out, GError **err)
{
    guint32 length;
    memset(out, 0, sizeof *out);
    if (len < LOG_HEADER_FIXED + 16 || !log_header_length(data, &length, err))
        return len >= LOG_HEADER_FIXED + 16 ? false : err_set(err, ERR_CORRUPT, "The change log ends within its header.");
    struct hash128 hash = length == len ? hash128_of(data, len - 16) : (struct hash128){{0}};
    if (length != len || memcmp(hash.bytes, (const guint8 *)data + len - 16, 16) != 0)
        return err_set(err, ERR_CORRUPT, "The change log's header is damaged: its checksum does not fit.");
    out->sections = g_array_new(FALSE, FALSE, sizeof(struct log_section_bytes));
    out->bytes = g_byte_array_append(g_byte_array_new(), data, (guint)len);
    struct reader r = reader_over(out->bytes->data, len - 16);
    if (decode_tables(&r, out, err))
        return true;
    log_header_clear(out);
    return false;
}

void
log_header_clear(struct log_header *h)
{
    log_info_clear(&h->info);
    g_clear_pointer(&h->sections, g_array_unref);
    g_clear_pointer(&h->bytes, g_byte_array_unref);
}

const struct log_section_bytes *
log_header_find(const struct log_header *h, enum log_section type)
{
    for (guint i = 0; i < h->sections->len; i++)
        if (g_array_index(h->sections, struct log_section_bytes, i).type == type)
            return &g_array_index(h->sections, struct log_section_bytes, i);
    return NULL;
}

char *
log_header_section(const struct log_header *h, enum log_section type, size_t *len, GError **err)
{
    const struct log_section_bytes *s = log_header_find(h, type);
    if (!s)
        return NULL;
    g_autofree char *text = g_malloc(s->raw_length + 1);
    if (log_decompress(s->codec, h->bytes->data + s->offset, s->stored_length, text, s->raw_length) != s->raw_length) {
        err_set(err, ERR_CORRUPT, "Configuration section %d of the change log cannot be unpacked.", type);
        return NULL;
    }
    text[s->raw_length] = '\0';
    if (len)
        *len = s->raw_length;
    return g_steal_pointer(&text);
}
