/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/reader.h"

#include "base/err.h"
#include "base/file.h"
#include "log/coding.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct log_reader {
    char *path;
    int fd;
    struct log_header header;
    struct log_trailer trailer;
    guint8 digest[LOG_DIGEST];
    guint8 *index;
    GArray *frames; /* struct log_frame, extent lists point into index */
};

/* Errors of the coding functions do not know the file; the reader adds its name. */
static bool
blame(const char *path, GError **err)
{
    g_prefix_error(err, "Change log '%s': ", path);
    return false;
}

static bool
read_header(int fd, const char *path, struct log_header *out, GError **err)
{
    guint8 prefix[LOG_HEADER_PREFIX];
    guint32 length;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_errno(err, "Cannot ask for the size of '%s'", path);
    if (st.st_size < LOG_HEADER_FIXED)
        return err_set(err, ERR_CORRUPT, "Change log '%s' is torn: it has only %lld bytes.", path, (long long)st.st_size);
    if (!file_read_full(fd, prefix, sizeof prefix, 0, path, err) || !log_header_length(prefix, &length, err))
        return blame(path, err);
    if (length > st.st_size)
        return err_set(err, ERR_CORRUPT, "Change log '%s' is torn within its header.", path);
    g_autofree guint8 *bytes = g_malloc(length);
    if (!file_read_full(fd, bytes, length, 0, path, err))
        return false;
    return log_header_decode(bytes, length, out, err) || blame(path, err);
}

static bool
read_index(struct log_reader *r, GError **err)
{
    guint8 bytes[LOG_TRAILER_SIZE];
    struct stat st;
    const struct log_trailer *t = &r->trailer;

    if (fstat(r->fd, &st) < 0)
        return err_errno(err, "Cannot ask for the size of '%s'", r->path);
    if (st.st_size < LOG_TRAILER_SIZE)
        return err_set(err, ERR_CORRUPT, "Change log '%s' is torn: it has only %lld bytes.", r->path, (long long)st.st_size);
    if (!file_read_full(r->fd, bytes, sizeof bytes, (guint64)st.st_size - sizeof bytes, r->path, err))
        return false;
    if (!log_trailer_decode(bytes, &r->trailer, err))
        return blame(r->path, err);
    memcpy(r->digest, bytes + LOG_TRAILER_HASHED, LOG_DIGEST);
    if (t->file_length != (guint64)st.st_size)
        return err_set(err, ERR_CORRUPT, "Change log '%s' has %lld bytes, its trailer says %" G_GUINT64_FORMAT ".", r->path,
                       (long long)st.st_size, t->file_length);
    r->index = g_malloc(t->index_length);
    if (!file_read_full(r->fd, r->index, t->index_length, t->index_offset, r->path, err))
        return false;
    struct hash128_state *hash = hash128_new();
    hash128_update(hash, r->index, t->index_length);
    if (!log_trailer_verify(bytes, hash))
        return err_set(err, ERR_CORRUPT, "Change log '%s': the checksum of its index at byte %" G_GUINT64_FORMAT " does not fit.", r->path,
                       t->index_offset);
    r->frames = log_index_decode(r->index, t->index_length, t, &r->header.info, err);
    return r->frames != NULL || blame(r->path, err);
}

/* Every frame must lie between header and index; the index was checked for its order. */
static bool
check_places(struct log_reader *r, GError **err)
{
    guint64 end = r->header.bytes->len;
    for (guint i = 0; i < r->frames->len; i++) {
        const struct log_frame *f = &g_array_index(r->frames, struct log_frame, i);
        if (f->file_offset != end)
            return err_set(err, ERR_CORRUPT, "Change log '%s': frame %u is not where the index says, at byte %" G_GUINT64_FORMAT ".",
                           r->path, i, end);
        end += LOG_FRAME_FIXED + f->extents_length + f->stored_length;
    }
    return end == r->trailer.index_offset ||
           err_set(err, ERR_CORRUPT, "Change log '%s': its frames do not end where the index begins, at byte %" G_GUINT64_FORMAT ".",
                   r->path, r->trailer.index_offset);
}

struct log_reader *
log_reader_open(const char *path, GError **err)
{
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_errno(err, "Cannot open change log '%s'", path);
        return NULL;
    }
    return log_reader_open_fd(g_steal_fd(&fd), path, err);
}

struct log_reader *
log_reader_open_fd(int fd, const char *path, GError **err)
{
    struct log_reader *r = g_new0(struct log_reader, 1);
    r->path = g_strdup(path);
    r->fd = fd;
    if (read_header(r->fd, path, &r->header, err) && read_index(r, err) && check_places(r, err))
        return r;
    log_reader_close(r);
    return NULL;
}

void
log_reader_close(struct log_reader *r)
{
    if (!r)
        return;
    close(r->fd);
    log_header_clear(&r->header);
    g_clear_pointer(&r->frames, g_array_unref);
    g_free(r->index);
    g_free(r->path);
    g_free(r);
}

const struct log_info *
log_reader_info(const struct log_reader *r)
{
    return &r->header.info;
}

const struct log_header *
log_reader_header(const struct log_reader *r)
{
    return &r->header;
}

const char *
log_reader_path(const struct log_reader *r)
{
    return r->path;
}

uint64_t
log_reader_file_bytes(const struct log_reader *r)
{
    return r->trailer.file_length;
}

uint64_t
log_reader_raw_bytes(const struct log_reader *r)
{
    return r->trailer.raw_bytes;
}

uint64_t
log_reader_zero_bytes(const struct log_reader *r)
{
    return r->trailer.zero_bytes;
}

char *
log_reader_section(const struct log_reader *r, enum log_section type, size_t *len, GError **err)
{
    return log_header_section(&r->header, type, len, err);
}

const uint8_t *
log_reader_digest(const struct log_reader *r)
{
    return r->digest;
}

bool
log_has_digest(int fd, uint64_t file_bytes, const uint8_t digest[LOG_DIGEST])
{
    uint8_t found[LOG_DIGEST];
    struct stat st;
    return file_bytes >= LOG_DIGEST && fstat(fd, &st) == 0 && (uint64_t)st.st_size == file_bytes &&
           file_read_full(fd, found, sizeof found, file_bytes - sizeof found, "a log", NULL) &&
           memcmp(found, digest, sizeof found) == 0;
}

unsigned
log_reader_frames(const struct log_reader *r)
{
    return r->frames->len;
}

const struct log_frame *
log_reader_frame(const struct log_reader *r, unsigned i)
{
    g_assert(i < r->frames->len);
    return &g_array_index(r->frames, struct log_frame, i);
}

bool
log_reader_data(const struct log_reader *r, unsigned i, void *buf, GError **err)
{
    const struct log_frame *f = log_reader_frame(r, i);
    gsize len = LOG_FRAME_FIXED + f->extents_length + f->stored_length;
    g_autofree guint8 *bytes = g_malloc(len);
    struct log_frame found;
    struct hash128 hash;

    if (!file_read_full(r->fd, bytes, len, f->file_offset, r->path, err))
        return false;
    if (!log_frame_decode(bytes, &r->header.info, &found, &hash, err))
        return blame(r->path, err);
    bool same = found.disk == f->disk && found.codec == f->codec && found.raw_length == f->raw_length &&
                found.stored_length == f->stored_length && found.extents_length == f->extents_length;
    if (!same || !log_frame_verify(bytes, f, &hash) || memcmp(bytes + LOG_FRAME_FIXED, f->extents, f->extents_length) != 0)
        return err_set(err, ERR_CORRUPT, "Change log '%s': frame %u at byte %" G_GUINT64_FORMAT " is damaged.", r->path, i, f->file_offset);
    if (log_decompress(f->codec, bytes + LOG_FRAME_FIXED + f->extents_length, f->stored_length, buf, f->raw_length) != f->raw_length)
        return err_set(err, ERR_CORRUPT, "Change log '%s': frame %u at byte %" G_GUINT64_FORMAT " cannot be unpacked.", r->path, i,
                       f->file_offset);
    return true;
}

bool
log_read_info(const char *path, struct log_info *info, GError **err)
{
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    struct log_header header;
    if (fd < 0)
        return err_errno(err, "Cannot open change log '%s'", path);
    if (!read_header(fd, path, &header, err))
        return false;
    log_info_copy(info, &header.info);
    log_header_clear(&header);
    return true;
}
