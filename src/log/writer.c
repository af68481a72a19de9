/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/writer.h"

#include "base/err.h"
#include "base/clock.h"
#include "base/file.h"
#include "log/coding.h"
#include "log/readahead.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* Readers fetch; the caller's thread finds zero pages and fills frames; threads of a pool compress; the caller's thread writes the frames
 * in order.  A ring of slots carries frames around: a slot is being filled, then busy (a thread compresses), then ready, then written and
 * free.  When the ring is full the caller writes the older half of it with one call, waiting for it if need be: memory is bounded, order is
 * kept, and threads are woken once for many frames. */

#define EXTENT_LIST_ROOM (LOG_EXTENT_LIST_MAX - 64) /* for two more extents of at most 20 bytes */
#define READERS_MAX 4u
#define WRITE_BEHIND (8u << 20)
#define RING_PER_THREAD 8u
#define RING_MAX 64u

struct slot {
    struct log_pool_work work; /* first: a pool hands it back */
    struct log_writer *writer;
    struct log_frame frame; /* disk, raw_length, extent_count while filling */
    GByteArray *extents;    /* coded; without `open` */
    GByteArray *head;       /* what stands before the payload in the file */
    struct extent open;     /* the newest extent, which may still grow; length 0: none */
    guint64 end_sector;     /* of the coded extents */
    guint8 *raw, *packed;   /* NULL, like extents and head, before its first use */
    gsize packed_length; /* 0: store raw */
    gint64 pack_us;
    bool ready;          /* under lock */
};

struct log_writer {
    /* fixed */
    char *path;
    int fd;
    bool renamed, relaxed;
    guint64 longer; /* bytes that were in the file */
    enum log_codec codec; /* of what gains by it */
    int level;
    guint32 frame_raw;
    gsize packed_room;
    struct log_info info;
    guint slot_count, threads; /* of the pool; 0: the caller packs */
    struct slot *slots;
    struct log_pool *pool, *own_pool; /* own_pool: not shared; made when there is work for it */
    /* caller's thread */
    GPtrArray *sections;
    bool header_written;
    guint first, used; /* ring: slots[first] is the oldest busy one, `used` busy; slots[(first + used) % n] is being filled */
    guint64 offset, raw_bytes, zero_bytes, last_frame_offset, written_behind;
    guint32 frames;
    GHashTable *disks; /* id -> struct disk_bytes */
    gint64 pack_us;
    GByteArray *index;
    GArray *pieces; /* struct iovec: of the frames that are written next */
    GChecksum *sha;
    /* lock guards slot.ready, awaited */
    GMutex lock;
    GCond ready;
    const struct slot *awaited; /* by the caller's thread */
};

struct disk_bytes {
    guint64 raw, stored;
};

static void
compress_slot(struct slot *s)
{
    struct log_writer *w = s->writer;
    const guint32 raw = s->frame.raw_length;
    const gint64 begun = clock_thread_us();
    s->packed_length = w->codec != LOG_CODEC_RAW && raw ? log_compress(w->codec, w->level, s->raw, raw, s->packed, w->packed_room) : 0;
    s->pack_us = clock_thread_us() - begun;
}

/* The writer may be freed as soon as its lock is given back. */
static gint64
run_slot(struct log_pool_work *work)
{
    struct slot *s = (struct slot *)work;
    struct log_writer *w = s->writer;
    compress_slot(s);
    const gint64 us = s->pack_us;
    HOLD(&w->lock);
    s->ready = true;
    if (w->awaited == s)
        g_cond_signal(&w->ready);
    return us;
}

/* Whole pages, so that no frame ends within a sector. */
static guint32
frame_raw(const struct log_writer_options *opts)
{
    guint32 wanted = opts->frame_raw ? opts->frame_raw : LOG_FRAME_RAW_DEFAULT;
    return CLAMP(wanted, LOG_PAGE, LOG_FRAME_RAW_MAX) / LOG_PAGE * LOG_PAGE;
}

static void
make_slots(struct log_writer *w)
{
    w->slots = g_new0(struct slot, w->slot_count);
    for (guint i = 0; i < w->slot_count; i++) {
        w->slots[i].work.run = run_slot;
        w->slots[i].writer = w;
    }
}

static struct log_writer *
writer_new(const char *path, int fd, const struct log_info *info, const struct log_writer_options *opts)
{
    struct log_writer *w = g_new0(struct log_writer, 1);
    w->path = g_strdup(path);
    w->fd = fd;
    w->level = opts->level;
    w->renamed = opts->renamed;
    w->relaxed = opts->relaxed;
    w->codec = opts->lz4 ? LOG_CODEC_LZ4 : opts->level ? LOG_CODEC_ZSTD : LOG_CODEC_RAW;
    w->threads = opts->pool ? log_pool_threads(opts->pool) : MIN(opts->threads, LOG_POOL_MAX);
    w->pool = opts->pool;
    w->frame_raw = frame_raw(opts);
    w->packed_room = log_compress_room(w->frame_raw);
    w->slot_count = MAX(w->threads * 2, MIN(w->threads * RING_PER_THREAD, RING_MAX)) + 1;
    log_info_copy(&w->info, info);
    w->info.frame_raw_max = w->frame_raw;
    w->info.version = w->codec == LOG_CODEC_LZ4 ? LOG_VERSION_LZ4 : 1;
    w->sections = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    w->disks = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    w->index = g_byte_array_new();
    writer_u32(w->index, LOG_INDEX_MAGIC);
    writer_u32(w->index, 0); /* frames: at finish */
    w->pieces = g_array_new(FALSE, FALSE, sizeof(struct iovec));
    w->sha = g_checksum_new(G_CHECKSUM_SHA256);
    g_mutex_init(&w->lock);
    g_cond_init(&w->ready);
    make_slots(w);
    return w;
}

/* To write over pages and blocks that are there costs a fraction of what new ones cost; what is left behind the end is cut off then. */
static int
how_to_open(const struct log_writer_options *opts)
{
    return opts->anew ? 0 : O_CREAT | O_EXCL;
}

struct log_writer *
log_writer_create(const char *path, const struct log_info *info, const struct log_writer_options *opts, GError **err)
{
    struct log_info planned = *info;
    g_autoptr(GError) why = NULL;
    planned.frame_raw_max = frame_raw(opts);
    if (!log_info_check(&planned, &why)) {
        err_set(err, ERR_INVALID_PARAMETER, "Cannot create change log '%s': %s", path, why->message);
        return NULL;
    }
    auto_fd fd = open(path, O_RDWR | O_CLOEXEC | how_to_open(opts), 0600);
    struct stat st = { 0 };
    if (fd < 0 || (opts->anew && fstat(fd, &st) < 0)) {
        err_errno(err, "Cannot create change log '%s'", path);
        return NULL;
    }
    struct log_writer *w = writer_new(path, g_steal_fd(&fd), info, opts);
    w->longer = (guint64)st.st_size;
    return w;
}

bool
log_writer_section(struct log_writer *w, enum log_section type, const void *data, size_t len, GError **err)
{
    g_assert(!w->header_written);
    if (len > LOG_SECTION_MAX)
        return err_set(err, ERR_TOO_BIG, "A configuration section of change log '%s' has %zu bytes; at most %u are possible.", w->path, len,
                       LOG_SECTION_MAX);
    if (w->sections->len == LOG_SECTIONS_MAX)
        return err_set(err, ERR_TOO_BIG, "Change log '%s' has %u configuration sections already.", w->path, LOG_SECTIONS_MAX);
    g_ptr_array_add(w->sections, log_section_encode(type, data, len));
    return true;
}

/* From w->offset on, until then: `len` bytes that were written. */
static void
advance(struct log_writer *w, size_t len)
{
    w->offset += len;
    if (!w->relaxed && w->offset - w->written_behind >= WRITE_BEHIND) {
        file_write_behind(w->fd, w->written_behind, w->offset - w->written_behind);
        w->written_behind = w->offset;
    }
}

static bool
append(struct log_writer *w, const void *data, size_t len, GError **err)
{
    if (!file_write_full(w->fd, data, len, w->offset, w->path, err))
        return false;
    advance(w, len);
    return true;
}

static bool
write_header(struct log_writer *w, GError **err)
{
    if (w->header_written)
        return true;
    g_autoptr(GByteArray) header = log_header_encode(&w->info, w->sections);
    if (header->len > LOG_HEADER_MAX)
        return err_set(err, ERR_TOO_BIG, "The configuration in change log '%s' has %u bytes; at most %u are possible.", w->path,
                       header->len, LOG_HEADER_MAX);
    w->header_written = true;
    g_checksum_update(w->sha, header->data, header->len);
    return append(w, header->data, header->len, err);
}

static void
count_frame(struct log_writer *w, const struct log_frame *frame)
{
    const gpointer key = GUINT_TO_POINTER((guint)frame->disk);
    struct disk_bytes *bytes = g_hash_table_lookup(w->disks, key);
    if (!bytes)
        g_hash_table_insert(w->disks, key, bytes = g_new0(struct disk_bytes, 1));
    bytes->raw += frame->raw_length;
    bytes->stored += frame->stored_length;
}

static void
add_piece(struct log_writer *w, void *data, gsize len)
{
    const struct iovec piece = { .iov_base = data, .iov_len = len };
    g_array_append_val(w->pieces, piece);
}

/* For the file at `offset`; its bytes are in w->pieces. */
static bool
encode_frame(struct log_writer *w, struct slot *s, guint64 offset, GError **err)
{
    guint8 *payload = s->packed_length ? s->packed : s->raw;
    s->frame.codec = s->packed_length ? w->codec : LOG_CODEC_RAW;
    s->frame.stored_length = s->packed_length ? (guint32)s->packed_length : s->frame.raw_length;
    s->frame.extents = s->extents->data;
    s->frame.extents_length = s->extents->len;
    s->frame.file_offset = offset;
    log_frame_encode(s->head, &s->frame, payload);
    writer_bytes(s->head, s->extents->data, s->extents->len);
    g_checksum_update(w->sha, s->head->data, s->head->len);
    log_index_append(w->index, &w->last_frame_offset, &s->frame);
    w->frames++;
    count_frame(w, &s->frame);
    add_piece(w, s->head->data, s->head->len);
    add_piece(w, payload, s->frame.stored_length);
    return (w->index->len <= LOG_INDEX_MAX && w->frames <= LOG_FRAMES_MAX) ||
           err_set(err, ERR_TOO_BIG, "Change log '%s' has too many changes for one log; use longer frames.", w->path);
}

static void
reset_slot(struct slot *s)
{
    s->frame = (struct log_frame){0};
    s->open = (struct extent){0};
    s->end_sector = 0;
    s->ready = false;
    g_byte_array_set_size(s->extents, 0);
    g_byte_array_set_size(s->head, 0);
}

static void
wait_for(struct log_writer *w, const struct slot *s)
{
    HOLD(&w->lock);
    w->awaited = s;
    while (!s->ready)
        g_cond_wait(&w->ready, &w->lock);
    w->awaited = NULL;
}

static struct slot *
busy(struct log_writer *w, guint i)
{
    return &w->slots[(w->first + i) % w->slot_count];
}

/* Threads take frames in order, so when the newest of them is ready, the others are, or soon. */
static bool
write_oldest(struct log_writer *w, guint count, GError **err)
{
    gsize len = 0;
    g_array_set_size(w->pieces, 0);
    if (count > 0)
        wait_for(w, busy(w, count - 1));
    for (guint i = 0; i < count; i++) {
        struct slot *s = busy(w, i);
        wait_for(w, s);
        w->pack_us += s->pack_us;
        if (!encode_frame(w, s, w->offset + len, err))
            return false;
        len += s->head->len + s->frame.stored_length;
    }
    if (!file_write_pieces(w->fd, (struct iovec *)(void *)w->pieces->data, w->pieces->len, w->offset, w->path, err))
        return false;
    advance(w, len);
    for (guint i = 0; i < count; i++)
        reset_slot(busy(w, i));
    w->first = (w->first + count) % w->slot_count;
    w->used -= count;
    return true;
}

static struct slot *
filling(struct log_writer *w)
{
    struct slot *s = busy(w, w->used);
    if (!s->raw) {
        s->extents = g_byte_array_new();
        s->head = g_byte_array_new();
        s->raw = g_malloc(w->frame_raw);
        s->packed = g_malloc(w->packed_room);
    }
    return s;
}

static void
code_open_extent(struct slot *s)
{
    if (s->open.length == 0)
        return;
    log_extent_append(s->extents, &s->end_sector, s->open.offset, s->open.length, s->open.kind == EXTENT_ZERO);
    s->frame.extent_count++;
    s->open.length = 0;
}

static void
add_extent(struct slot *s, guint64 offset, guint64 length, enum extent_kind kind)
{
    if (s->open.length && s->open.kind == kind && s->open.offset + s->open.length == offset) {
        s->open.length += length;
        return;
    }
    code_open_extent(s);
    s->open = (struct extent){offset, length, kind};
}

static struct log_pool *
pool_of(struct log_writer *w)
{
    if (!w->pool && w->threads)
        w->pool = w->own_pool = log_pool_new(w->threads);
    return w->pool;
}

/* Hands the slot that is being filled over; afterwards one is free again. */
static bool
flush(struct log_writer *w, bool last, GError **err)
{
    struct slot *s = filling(w);
    code_open_extent(s);
    if (s->frame.extent_count == 0)
        return true;
    w->used++;
    struct log_pool *pool = last && w->used == 1 ? NULL : pool_of(w); /* of one frame, as most cycles are: threads do not pay */
    if (pool)
        log_pool_add(pool, &s->work);
    else
        run_slot(&s->work);
    return w->used < w->slot_count || write_oldest(w, w->slot_count - w->slot_count / 2, err);
}

/* A frame holds ascending extents of one disk. */
static bool
slot_for(struct log_writer *w, guint16 disk, guint64 offset, struct slot **out, GError **err)
{
    struct slot *s = filling(w);
    bool empty = s->open.length == 0 && s->frame.extent_count == 0;
    bool fits = empty || (s->frame.disk == disk && offset >= s->open.offset + s->open.length && s->extents->len < EXTENT_LIST_ROOM &&
                          s->frame.raw_length < w->frame_raw);
    if (!fits && !flush(w, false, err))
        return false;
    *out = filling(w);
    (*out)->frame.disk = disk;
    return write_header(w, err);
}

static bool
check_range(const struct log_writer *w, guint16 disk, guint64 offset, guint64 len, GError **err)
{
    const struct log_disk *d = log_info_disk(&w->info, disk);
    if (!d)
        return err_set(err, ERR_INVALID_PARAMETER, "Change log '%s' has no disk %u in its table.", w->path, disk);
    if (offset % LOG_SECTOR || len % LOG_SECTOR || offset > d->size || len > d->size - offset)
        return err_set(err, ERR_INVALID_PARAMETER,
                       "The range of %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT " of disk '%s' is not made "
                       "of sectors, or goes beyond the end of the disk at %" G_GUINT64_FORMAT ".",
                       len, offset, d->target, d->size);
    return true;
}

static bool
add_zero(struct log_writer *w, guint16 disk, guint64 offset, guint64 len, GError **err)
{
    struct slot *s;
    if (!slot_for(w, disk, offset, &s, err))
        return false;
    add_extent(s, offset, len, EXTENT_ZERO);
    w->zero_bytes += len;
    return true;
}

bool
log_writer_zero(struct log_writer *w, uint16_t disk, uint64_t offset, uint64_t len, GError **err)
{
    return check_range(w, disk, offset, len, err) && (len == 0 || add_zero(w, disk, offset, len, err));
}

static bool
add_data(struct log_writer *w, guint16 disk, guint64 offset, const guint8 *from, gsize len, GError **err)
{
    while (len > 0) {
        struct slot *s;
        if (!slot_for(w, disk, offset, &s, err))
            return false;
        gsize n = MIN(len, w->frame_raw - s->frame.raw_length);
        memcpy(s->raw + s->frame.raw_length, from, n);
        add_extent(s, offset, n, EXTENT_DATA);
        s->frame.raw_length += (guint32)n;
        w->raw_bytes += n;
        from += n;
        offset += n;
        len -= n;
    }
    return true;
}

bool
log_writer_data(struct log_writer *w, uint16_t disk, uint64_t offset, const void *data, size_t len, GError **err)
{
    return check_range(w, disk, offset, len, err) && add_data(w, disk, offset, data, len, err);
}

static bool
is_zero(const guint8 *p, gsize len)
{
    return p[0] == 0 && (len == 1 || memcmp(p, p + 1, len - 1) == 0);
}

/* Splits data into runs of zero pages and runs of others. */
static bool
add_found(struct log_writer *w, guint16 disk, guint64 offset, const guint8 *from, gsize len, GError **err)
{
    for (gsize at = 0; at < len;) {
        bool zero = is_zero(from + at, MIN(LOG_PAGE, len - at));
        gsize end = at;
        do
            end += MIN(LOG_PAGE, len - end);
        while (end < len && is_zero(from + end, MIN(LOG_PAGE, len - end)) == zero);
        if (zero ? !add_zero(w, disk, offset + at, end - at, err) : !add_data(w, disk, offset + at, from + at, end - at, err))
            return false;
        at = end;
    }
    return true;
}

static bool
check_ranges(const struct log_writer *w, guint16 disk, const struct block *from, const struct extents *extents, GError **err)
{
    for (size_t i = 0; i < extents_count(extents); i++) {
        const struct extent *e = extents_at(extents, i);
        if (!check_range(w, disk, e->offset, e->length, err))
            return false;
        if (e->kind == EXTENT_DATA && e->offset + e->length > from->size)
            return err_set(err, ERR_INVALID_PARAMETER, "Disk %u has %" G_GUINT64_FORMAT " bytes to read, less than change log '%s' needs.",
                           disk, from->size, w->path);
    }
    return true;
}

static bool
copy_pieces(struct log_writer *w, guint16 disk, struct readahead *ra, const gint *cancel, GError **err)
{
    const struct readahead_run *run = NULL;
    GError *why = NULL;
    for (size_t n; (n = readahead_next(ra, &run, &why)) > 0;) {
        if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED))
            return err_set(err, ERR_CANCELLED, "Writing change log '%s' was cancelled.", w->path);
        for (; n > 0; n--, run++)
            if (run->data ? !add_found(w, disk, run->offset, run->data, run->length, err)
                          : !add_zero(w, disk, run->offset, run->length, err))
                return false;
    }
    if (why)
        g_propagate_error(err, why);
    return !why;
}

bool
log_writer_copy(struct log_writer *w, uint16_t disk, struct block *from, const struct extents *extents, const gint *cancel, GError **err)
{
    if (!check_ranges(w, disk, from, extents, err))
        return false;
    /* Little data is read sooner than threads are started. */
    guint64 pieces = extents_bytes_of(extents, EXTENT_DATA) / READAHEAD_PIECE;
    struct readahead *ra = readahead_start(from, extents, w->threads ? (unsigned)MIN(pieces, READERS_MAX) : 0);
    bool ok = copy_pieces(w, disk, ra, cancel, err);
    readahead_stop(ra);
    return ok;
}

static bool
write_end(struct log_writer *w, GError **err)
{
    guint32 frames = GUINT32_TO_LE(w->frames);
    memcpy(w->index->data + 4, &frames, sizeof frames);
    struct log_trailer t = {w->offset, w->index->len, w->offset + w->index->len + LOG_TRAILER_SIZE, w->raw_bytes, w->zero_bytes, w->frames};
    g_autoptr(GByteArray) trailer = g_byte_array_new();
    log_trailer_encode(trailer, &t, w->index);
    g_checksum_update(w->sha, w->index->data, w->index->len);
    g_checksum_update(w->sha, trailer->data, trailer->len);
    guint8 digest[32];
    gsize digest_len = sizeof digest;
    g_checksum_get_digest(w->sha, digest, &digest_len);
    writer_bytes(trailer, digest, sizeof digest);
    return append(w, w->index->data, w->index->len, err) && append(w, trailer->data, trailer->len, err);
}

/* Of a longer file that was written over. */
static bool
cut_rest(struct log_writer *w, GError **err)
{
    return w->longer <= w->offset || ftruncate(w->fd, (off_t)w->offset) == 0 || err_errno(err, "Cannot shorten '%s'", w->path);
}

bool
log_writer_finish(struct log_writer *w, struct log_totals *totals, GError **err)
{
    if (!write_header(w, err) || !flush(w, true, err))
        return false;
    if (!write_oldest(w, w->used, err))
        return false;
    g_autofree char *dir = g_path_get_dirname(w->path);
    if (!write_end(w, err) || !cut_rest(w, err))
        return false;
    if (!w->relaxed && (!file_sync(w->fd, w->path, err) || (!w->renamed && !file_sync_dir(dir, err))))
        return false;
    if (totals)
        *totals = (struct log_totals){w->offset, w->raw_bytes, w->zero_bytes, w->frames, w->pack_us};
    close(w->fd);
    w->fd = -1;
    return true;
}

void
log_writer_disk_bytes(const struct log_writer *w, uint16_t disk, uint64_t *raw, uint64_t *stored)
{
    const struct disk_bytes *bytes = g_hash_table_lookup(w->disks, GUINT_TO_POINTER((guint)disk));
    *raw = bytes ? bytes->raw : 0;
    *stored = bytes ? bytes->stored : 0;
}

uint64_t
log_writer_raw_bytes(const struct log_writer *w)
{
    return w->raw_bytes;
}

/* What a shared pool still has of ours must end first. */
static void
free_slots(struct log_writer *w)
{
    for (guint i = 0; i < w->used; i++)
        wait_for(w, busy(w, i));
    log_pool_free(w->own_pool);
    for (guint i = 0; i < w->slot_count; i++) {
        g_free(w->slots[i].raw);
        g_free(w->slots[i].packed);
        g_clear_pointer(&w->slots[i].extents, g_byte_array_unref);
        g_clear_pointer(&w->slots[i].head, g_byte_array_unref);
    }
    g_free(w->slots);
}

void
log_writer_free(struct log_writer *w)
{
    if (!w)
        return;
    free_slots(w);
    if (w->fd >= 0) {
        close(w->fd);
        unlink(w->path);
    }
    g_hash_table_unref(w->disks);
    g_ptr_array_unref(w->sections);
    g_byte_array_unref(w->index);
    g_array_unref(w->pieces);
    g_checksum_free(w->sha);
    log_info_clear(&w->info);
    g_mutex_clear(&w->lock);
    g_cond_clear(&w->ready);
    g_free(w->path);
    g_free(w);
}
