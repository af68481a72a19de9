/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/span.h"

#include "base/bytes.h"
#include "base/err.h"
#include "base/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC "VMRSPAN\n"
#define VERSION 1
#define HEAD_HASHED 64u
#define HEAD (HEAD_HASHED + 16u)
#define LOG_ENTRY 72u
#define DISK_ENTRY 16u
#define BLOCK_ENTRY 40u
#define BLOCK_SEGMENTS 128u /* decoded together: about a KiB */
#define SEGMENT_CODED_MAX 40u /* four varints */
#define BLOCKS_MAX (SPAN_BYTES_MAX / BLOCK_ENTRY)
#define SECTORS_MAX (LOG_DISK_SIZE_MAX / LOG_SECTOR)

struct disk {
    uint16_t id;
    uint32_t first, blocks;
    uint64_t below;
};

struct block_entry {
    uint64_t sector, offset;
    uint32_t length, segments;
    struct hash128 hash;
};

struct span {
    char *path;
    int fd;
    struct uuid vm, parent;
    uint32_t frames;
    GArray *logs, *disks, *blocks; /* of span_log, struct disk, struct block_entry */
};

#define LOG(s, i) g_array_index((s)->logs, struct span_log, i)
#define DISK(s, i) g_array_index((s)->disks, struct disk, i)
#define BLOCK(s, i) g_array_index((s)->blocks, struct block_entry, i)

static struct span *
span_new(void)
{
    struct span *s = g_new0(struct span, 1);
    s->fd = -1;
    s->logs = g_array_new(FALSE, FALSE, sizeof(struct span_log));
    s->disks = g_array_new(FALSE, FALSE, sizeof(struct disk));
    s->blocks = g_array_new(FALSE, FALSE, sizeof(struct block_entry));
    return s;
}

void
span_free(struct span *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    g_array_unref(s->logs);
    g_array_unref(s->disks);
    g_array_unref(s->blocks);
    g_free(s->path);
    g_free(s);
}

/* ---- head and tables ---- */

struct counts {
    uint32_t logs, disks, blocks;
    uint64_t file_bytes;
};

static bool
parse_head(struct reader *r, struct span *s, struct counts *c)
{
    const void *magic = reader_span(r, 8);
    const uint32_t version = reader_u32(r);
    c->logs = reader_u32(r);
    c->disks = reader_u32(r);
    c->blocks = reader_u32(r);
    reader_copy(r, s->vm.bytes, sizeof s->vm.bytes);
    reader_copy(r, s->parent.bytes, sizeof s->parent.bytes);
    c->file_bytes = reader_u64(r);
    return !r->failed && memcmp(magic, MAGIC, 8) == 0 && version == VERSION && c->logs > 0 && c->logs <= SPAN_LOGS_MAX &&
           c->disks <= LOG_DISKS_MAX && c->blocks <= BLOCKS_MAX && c->file_bytes <= SPAN_BYTES_MAX;
}

static size_t
tables_length(const struct counts *c)
{
    return (size_t)c->logs * LOG_ENTRY + (size_t)c->disks * DISK_ENTRY + (size_t)c->blocks * BLOCK_ENTRY;
}

static bool
parse_log(struct reader *r, struct span *s)
{
    struct span_log log;
    reader_copy(r, log.id.bytes, sizeof log.id.bytes);
    log.sequence = reader_u64(r);
    log.file_bytes = reader_u64(r);
    log.frames = reader_u32(r);
    const uint32_t zero = reader_u32(r);
    reader_copy(r, log.digest, sizeof log.digest);
    if (r->failed || zero || log.frames >= FLAT_ZERO - s->frames || (s->logs->len && log.sequence >= LOG(s, s->logs->len - 1).sequence))
        return false;
    s->frames += log.frames;
    g_array_append_val(s->logs, log);
    return true;
}

static bool
parse_disk(struct reader *r, struct span *s, uint32_t *blocks)
{
    struct disk d = {.id = reader_u16(r), .first = *blocks};
    const uint16_t zero = reader_u16(r);
    d.blocks = reader_u32(r);
    d.below = reader_u64(r);
    if (r->failed || zero || d.blocks > BLOCKS_MAX - *blocks || d.below > LOG_DISK_SIZE_MAX)
        return false;
    *blocks += d.blocks;
    g_array_append_val(s->disks, d);
    return true;
}

static bool
parse_block_entry(struct reader *r, struct span *s, uint64_t *end)
{
    struct block_entry b = {.sector = reader_u64(r), .offset = reader_u64(r)};
    b.length = reader_u32(r);
    b.segments = reader_u32(r);
    reader_copy(r, b.hash.bytes, sizeof b.hash.bytes);
    if (r->failed || b.offset != *end || b.sector >= SECTORS_MAX || b.segments == 0 || b.segments > BLOCK_SEGMENTS ||
        b.length > BLOCK_SEGMENTS * SEGMENT_CODED_MAX)
        return false;
    *end += b.length;
    g_array_append_val(s->blocks, b);
    return true;
}

static bool
blocks_ascend(const struct span *s)
{
    for (guint i = 0; i < s->disks->len; i++)
        for (uint32_t n = 1; n < DISK(s, i).blocks; n++)
            if (BLOCK(s, DISK(s, i).first + n).sector <= BLOCK(s, DISK(s, i).first + n - 1).sector)
                return false;
    return true;
}

static bool
parse_tables(struct reader *r, struct span *s, const struct counts *c)
{
    uint64_t end = HEAD + tables_length(c);
    uint32_t blocks = 0;
    for (uint32_t i = 0; i < c->logs; i++)
        if (!parse_log(r, s))
            return false;
    for (uint32_t i = 0; i < c->disks; i++)
        if (!parse_disk(r, s, &blocks))
            return false;
    for (uint32_t i = 0; i < c->blocks; i++)
        if (!parse_block_entry(r, s, &end))
            return false;
    return blocks == c->blocks && end == c->file_bytes && reader_left(r) == 0 && blocks_ascend(s);
}

struct span *
span_parse(const void *bytes, size_t len, uint64_t file_bytes, GError **err)
{
    struct span *s = span_new();
    struct counts c;
    struct reader head = reader_over(bytes, MIN(len, HEAD_HASHED));
    if (parse_head(&head, s, &c) && c.file_bytes == file_bytes && len == HEAD + tables_length(&c)) {
        struct reader tables = reader_over((const uint8_t *)bytes + HEAD, len - HEAD);
        if (parse_tables(&tables, s, &c))
            return s;
    }
    span_free(s);
    err_set(err, ERR_CORRUPT, "The saved index is damaged.");
    return NULL;
}

static struct hash128
hash_tables(const uint8_t *bytes, size_t len)
{
    struct hash128_state *h = hash128_new();
    hash128_update(h, bytes, HEAD_HASHED);
    hash128_update(h, bytes + HEAD, len - HEAD);
    return hash128_final(h);
}

/* How long head and tables are, which only the head tells. */
static bool
read_length(int fd, const char *path, uint64_t file_bytes, size_t *len, GError **err)
{
    uint8_t head[HEAD];
    struct counts c;
    struct span *s = span_new();
    bool ok = file_bytes >= HEAD && file_read_full(fd, head, sizeof head, 0, path, err);
    struct reader r = reader_over(head, HEAD_HASHED);
    ok = ok && parse_head(&r, s, &c);
    *len = ok ? HEAD + tables_length(&c) : 0;
    span_free(s);
    if (ok && *len <= file_bytes)
        return true;
    return (err && *err) ? false : err_set(err, ERR_CORRUPT, "The saved index '%s' is damaged or torn.", path);
}

static struct span *
read_tables(int fd, const char *path, GError **err)
{
    struct stat st;
    size_t len;
    if (fstat(fd, &st) < 0) {
        err_errno(err, "Cannot ask for the size of '%s'", path);
        return NULL;
    }
    if (!read_length(fd, path, (uint64_t)st.st_size, &len, err))
        return NULL;
    g_autofree uint8_t *bytes = g_malloc(len);
    if (!file_read_full(fd, bytes, len, 0, path, err))
        return NULL;
    const struct hash128 is = hash_tables(bytes, len);
    if (memcmp(is.bytes, bytes + HEAD_HASHED, sizeof is.bytes) == 0)
        return span_parse(bytes, len, (uint64_t)st.st_size, err);
    err_set(err, ERR_CORRUPT, "The saved index '%s' is damaged.", path);
    return NULL;
}

struct span *
span_open(const char *path, const struct uuid *vm, GError **err)
{
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_errno(err, "Cannot open '%s'", path);
        return NULL;
    }
    struct span *s = read_tables(fd, path, err);
    if (!s)
        return NULL;
    s->fd = g_steal_fd(&fd);
    s->path = g_strdup(path);
    if (uuid_equal(&s->vm, vm))
        return s;
    err_set(err, ERR_CORRUPT, "The saved index '%s' belongs to another virtual machine.", path);
    span_free(s);
    return NULL;
}

unsigned
span_logs(const struct span *s)
{
    return s->logs->len;
}

const struct span_log *
span_log(const struct span *s, unsigned i)
{
    g_assert(i < s->logs->len);
    return &LOG(s, i);
}

const struct uuid *
span_parent(const struct span *s)
{
    return &s->parent;
}

uint32_t
span_frames(const struct span *s)
{
    return s->frames;
}

static const struct disk *
find_disk(const struct span *s, uint16_t disk)
{
    for (guint i = 0; i < s->disks->len; i++)
        if (DISK(s, i).id == disk)
            return &DISK(s, i);
    return NULL;
}

uint64_t
span_below(const struct span *s, uint16_t disk)
{
    const struct disk *d = find_disk(s, disk);
    return d ? d->below : 0;
}

/* ---- blocks ---- */

bool
span_parse_block(const void *bytes, size_t len, uint64_t sector, uint32_t segments, uint32_t frames, uint32_t first_frame, GArray *out)
{
    struct reader r = reader_over(bytes, len);
    for (uint32_t i = 0; i < segments; i++) {
        const uint64_t gap = reader_varint(&r), coded = reader_varint(&r), sectors = coded >> 1;
        const bool zero = coded & 1;
        const uint64_t frame = zero ? 0 : reader_varint(&r), raw = zero ? 0 : reader_varint(&r);
        if (r.failed || sectors == 0 || sectors > UINT32_MAX || gap > SECTORS_MAX - sector || sectors > SECTORS_MAX - sector - gap ||
            (!zero && frame >= frames) || raw > LOG_FRAME_RAW_MAX / LOG_SECTOR)
            return false;
        sector += gap;
        const struct flat_segment s = {sector * LOG_SECTOR, (uint32_t)sectors, zero ? FLAT_ZERO : first_frame + (uint32_t)frame,
                                       (uint32_t)raw * LOG_SECTOR};
        g_array_append_val(out, s);
        sector += sectors;
    }
    return reader_left(&r) == 0;
}

/* The first block of `d` that may hold something of `from` or beyond: one that starts before it may reach into it. */
static uint32_t
first_block(const struct span *s, const struct disk *d, uint64_t from)
{
    uint32_t low = d->first, high = d->first + d->blocks;
    while (high - low > 1) {
        const uint32_t mid = low + (high - low) / 2;
        if (BLOCK(s, mid).sector <= from)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static bool
decode_blocks(const struct span *s, const uint8_t *bytes, uint32_t first, uint32_t end, uint32_t first_frame, GArray *out, GError **err)
{
    for (uint32_t i = first; i < end; i++) {
        const struct block_entry *b = &BLOCK(s, i);
        const struct hash128 is = hash128_of(bytes, b->length);
        if (memcmp(is.bytes, b->hash.bytes, sizeof is.bytes) != 0 ||
            !span_parse_block(bytes, b->length, b->sector, b->segments, s->frames, first_frame, out))
            return err_set(err, ERR_CORRUPT, "The saved index '%s' is damaged at byte %" G_GUINT64_FORMAT ".", s->path, b->offset);
        bytes += b->length;
    }
    return true;
}

bool
span_read(const struct span *s, uint16_t disk, uint64_t from, uint64_t to, uint32_t first_frame, GArray *out, GError **err)
{
    const struct disk *d = find_disk(s, disk);
    if (!d || d->blocks == 0)
        return true;
    const uint32_t first = first_block(s, d, from);
    uint32_t end = first;
    size_t len = 0;
    for (; end < d->first + d->blocks && BLOCK(s, end).sector < to; end++)
        len += BLOCK(s, end).length;
    if (len == 0)
        return true;
    g_autofree uint8_t *bytes = g_malloc(len);
    return file_read_full(s->fd, bytes, len, BLOCK(s, first).offset, s->path, err) &&
           decode_blocks(s, bytes, first, end, first_frame, out, err);
}

bool
span_check(const struct span *s, GError **err)
{
    for (guint i = 0; i < s->disks->len; i++) {
        g_autoptr(GArray) segments = g_array_new(FALSE, FALSE, sizeof(struct flat_segment));
        if (!span_read(s, DISK(s, i).id, 0, SECTORS_MAX, 0, segments, err))
            return false;
    }
    return true;
}

/* ---- writing ---- */

struct span_writer {
    struct span *span;     /* what will be in the tables; offsets counted from the first block */
    GByteArray *data;
    uint64_t sector;       /* where the segment before ended */
};

struct span_writer *
span_writer_new(const struct uuid *vm, const struct uuid *parent, const GArray *logs)
{
    struct span_writer *w = g_new0(struct span_writer, 1);
    w->span = span_new();
    w->span->vm = *vm;
    w->span->parent = *parent;
    g_array_append_vals(w->span->logs, logs->data, logs->len);
    w->data = g_byte_array_new();
    return w;
}

void
span_writer_free(struct span_writer *w)
{
    if (!w)
        return;
    span_free(w->span);
    g_byte_array_unref(w->data);
    g_free(w);
}

static void
end_block(struct span_writer *w)
{
    GArray *blocks = w->span->blocks;
    struct block_entry *b = blocks->len ? &BLOCK(w->span, blocks->len - 1) : NULL;
    if (!b || b->length)
        return;
    b->length = w->data->len - (uint32_t)b->offset;
    b->hash = hash128_of(w->data->data + b->offset, b->length);
}

void
span_writer_disk(struct span_writer *w, uint16_t disk, uint64_t below)
{
    const struct disk d = {.id = disk, .below = below};
    end_block(w);
    g_array_append_val(w->span->disks, d);
    w->sector = 0;
}

static void
begin_block(struct span_writer *w, uint64_t sector)
{
    const struct block_entry b = {.sector = sector, .offset = w->data->len};
    end_block(w);
    g_array_append_val(w->span->blocks, b);
    DISK(w->span, w->span->disks->len - 1).blocks++;
    w->sector = sector;
}

void
span_writer_segment(struct span_writer *w, const struct flat_segment *s)
{
    const uint64_t sector = s->offset / LOG_SECTOR;
    const struct disk *d = &DISK(w->span, w->span->disks->len - 1);
    const guint blocks = w->span->blocks->len;
    if (w->data->len > SPAN_BYTES_MAX)
        return; /* finish says so */
    if (d->blocks == 0 || BLOCK(w->span, blocks - 1).segments == BLOCK_SEGMENTS)
        begin_block(w, sector);
    writer_varint(w->data, sector - w->sector);
    writer_varint(w->data, (uint64_t)s->sectors << 1 | (s->frame == FLAT_ZERO));
    if (s->frame != FLAT_ZERO) {
        writer_varint(w->data, s->frame);
        writer_varint(w->data, s->raw / LOG_SECTOR);
    }
    BLOCK(w->span, w->span->blocks->len - 1).segments++;
    w->sector = sector + s->sectors;
}

static void
write_tables(const struct span *s, size_t start, GByteArray *out)
{
    for (guint i = 0; i < s->logs->len; i++) {
        const struct span_log *log = &LOG(s, i);
        writer_bytes(out, log->id.bytes, sizeof log->id.bytes);
        writer_u64(out, log->sequence);
        writer_u64(out, log->file_bytes);
        writer_u32(out, log->frames);
        writer_u32(out, 0);
        writer_bytes(out, log->digest, sizeof log->digest);
    }
    for (guint i = 0; i < s->disks->len; i++) {
        writer_u16(out, DISK(s, i).id);
        writer_u16(out, 0);
        writer_u32(out, DISK(s, i).blocks);
        writer_u64(out, DISK(s, i).below);
    }
    for (guint i = 0; i < s->blocks->len; i++) {
        const struct block_entry *b = &BLOCK(s, i);
        writer_u64(out, b->sector);
        writer_u64(out, start + b->offset);
        writer_u32(out, b->length);
        writer_u32(out, b->segments);
        writer_bytes(out, b->hash.bytes, sizeof b->hash.bytes);
    }
}

bool
span_writer_finish(struct span_writer *w, const char *path, GError **err)
{
    const struct span *s = w->span;
    const struct counts c = {s->logs->len, s->disks->len, s->blocks->len, 0};
    const uint64_t start = HEAD + tables_length(&c), length = start + w->data->len;
    static const uint8_t no_hash[16];
    if (length > SPAN_BYTES_MAX)
        return err_set(err, ERR_TOO_BIG, "The index that would be saved as '%s' is too long.", path);
    end_block(w);
    g_autoptr(GByteArray) out = g_byte_array_sized_new((guint)length);
    writer_bytes(out, MAGIC, 8);
    writer_u32(out, VERSION);
    writer_u32(out, c.logs);
    writer_u32(out, c.disks);
    writer_u32(out, c.blocks);
    writer_bytes(out, s->vm.bytes, sizeof s->vm.bytes);
    writer_bytes(out, s->parent.bytes, sizeof s->parent.bytes);
    writer_u64(out, length);
    writer_bytes(out, no_hash, sizeof no_hash);
    write_tables(s, start, out);
    const struct hash128 hash = hash_tables(out->data, out->len);
    memcpy(out->data + HEAD_HASHED, hash.bytes, sizeof hash.bytes);
    writer_bytes(out, w->data->data, w->data->len);
    return file_replace(path, out->data, out->len, 0640, err);
}
