/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/fpjournal.h"

#include "base/bytes.h"
#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC 0x4a505246u /* "FRPJ" */
enum { FIELDS = 56, HEADER = FIELDS + 16, ENTRY = 24, BUFFER = 256 << 10 };
enum { AHEAD = 64 << 10 }; /* zeros behind the newest record, a few hundred of the records of quiet guests */

struct fpjournal {
    char *path;
    int fd;
    const guint8 *key;
    guint64 generation;
    guint64 kept;               /* where the next record begins */
    guint64 size;               /* of the file */
    /* the record that is being made */
    struct uuid log, parent;
    guint64 written;            /* of its entries */
    GByteArray *buffer;         /* room for its header, then entries that are not written yet */
    bool whole;                 /* it was finished, and the buffer has all of it */
    struct hash128_state *digest;
    struct fpjournal_entry open; /* hashes are in `run`; count 0: none */
    GArray *run;
};

struct fpjournal *
fpjournal_open(const char *path, const guint8 *key, GError **err)
{
    auto_fd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        err_errno(err, "File '%s' cannot be opened", path);
        return NULL;
    }
    struct fpjournal *j = g_new0(struct fpjournal, 1);
    j->path = g_strdup(path);
    j->size = (guint64)st.st_size;
    j->fd = g_steal_fd(&fd);
    j->key = key;
    j->buffer = g_byte_array_new();
    j->run = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    return j;
}

static void
end_digest(struct fpjournal *j)
{
    if (j->digest)
        hash128_final(g_steal_pointer(&j->digest));
}

void
fpjournal_close(struct fpjournal *j)
{
    if (!j)
        return;
    end_digest(j);
    g_array_unref(j->run);
    g_byte_array_unref(j->buffer);
    close(j->fd);
    g_free(j->path);
    g_free(j);
}

void
fpjournal_rewind(struct fpjournal *j, guint64 generation)
{
    j->generation = generation;
    j->kept = 0;
    j->whole = false;
}

guint64
fpjournal_bytes(const struct fpjournal *j)
{
    return j->kept;
}

/* ---- writing ---- */

void
fpjournal_begin(struct fpjournal *j, const struct uuid *log, const struct uuid *parent)
{
    end_digest(j);
    j->digest = hash128_new_keyed(j->key);
    j->log = *log;
    j->parent = *parent;
    j->written = 0;
    j->open.count = 0;
    g_array_set_size(j->run, 0);
    g_byte_array_set_size(j->buffer, HEADER);
    j->whole = false;
}

/* What the buffer has, from `skip` on. */
static bool
put(struct fpjournal *j, gsize skip, guint64 at, GError **err)
{
    const gsize len = j->buffer->len - skip;
    if (!file_write_full(j->fd, j->buffer->data + skip, len, at, j->path, err))
        return false;
    j->size = MAX(j->size, at + len);
    return true;
}

static bool
flush(struct fpjournal *j, GError **err)
{
    hash128_update(j->digest, j->buffer->data + HEADER, j->buffer->len - HEADER);
    if (!put(j, HEADER, j->kept + HEADER + j->written, err))
        return false;
    j->written += j->buffer->len - HEADER;
    g_byte_array_set_size(j->buffer, HEADER);
    return true;
}

static bool
put_open(struct fpjournal *j, GError **err)
{
    const struct fpjournal_entry *e = &j->open;
    if (e->count == 0)
        return true;
    writer_u64(j->buffer, e->page);
    writer_u64(j->buffer, e->count);
    writer_u16(j->buffer, e->disk);
    writer_u16(j->buffer, e->kind);
    writer_u32(j->buffer, 0);
    writer_bytes(j->buffer, j->run->data, j->run->len * sizeof(struct hash128));
    j->open.count = 0;
    g_array_set_size(j->run, 0);
    return j->buffer->len < BUFFER || flush(j, err);
}

static bool
continues(const struct fpjournal *j, const struct fpjournal_entry *e)
{
    const struct fpjournal_entry *o = &j->open;
    return o->count && o->kind == e->kind && o->disk == e->disk && o->page + o->count == e->page && e->kind != FPJOURNAL_SIZE &&
           (e->kind != FPJOURNAL_HASHES || o->count + e->count <= FPJOURNAL_RUN);
}

bool
fpjournal_add(struct fpjournal *j, const struct fpjournal_entry *e, GError **err)
{
    g_assert(e->kind != FPJOURNAL_HASHES || e->count <= FPJOURNAL_RUN);
    if (!continues(j, e)) {
        if (!put_open(j, err))
            return false;
        j->open = *e;
    } else {
        j->open.count += e->count;
    }
    if (e->kind == FPJOURNAL_HASHES)
        g_array_append_vals(j->run, e->hashes, (guint)e->count);
    return true;
}

static GByteArray *
encode_header(struct fpjournal *j, guint64 length)
{
    GByteArray *b = g_byte_array_new();
    writer_u32(b, MAGIC);
    writer_u32(b, 0);
    writer_u64(b, j->generation);
    writer_u64(b, length);
    writer_bytes(b, &j->log, 16);
    writer_bytes(b, &j->parent, 16);
    hash128_update(j->digest, b->data, b->len);
    const struct hash128 digest = hash128_final(g_steal_pointer(&j->digest));
    writer_bytes(b, &digest, sizeof digest);
    return b;
}

/* A file that grows is flushed together with its inode, so it grows by many records at once.  That there are zeros is a matter of speed. */
static void
grow(struct fpjournal *j)
{
    const guint64 end = j->kept + HEADER + j->written;
    if (end < j->size)
        return;
    g_autofree guint8 *zeros = g_malloc0(AHEAD);
    if (file_write_full(j->fd, zeros, AHEAD, end, j->path, NULL))
        j->size = end + AHEAD;
}

bool
fpjournal_finish(struct fpjournal *j, GError **err)
{
    if (!put_open(j, err))
        return false;
    const bool whole = j->written == 0;
    if (!whole && !flush(j, err))
        return false;
    if (whole) {
        j->written = j->buffer->len - HEADER;
        hash128_update(j->digest, j->buffer->data + HEADER, j->written);
    }
    g_autoptr(GByteArray) header = encode_header(j, HEADER + j->written);
    memcpy(j->buffer->data, header->data, HEADER);
    if (!put(j, 0, j->kept, err))
        return false;
    grow(j);
    if (!file_sync(j->fd, j->path, err))
        return false;
    j->whole = whole;
    return true;
}

/* ---- reading ---- */

static bool
verify(struct fpjournal *j, const guint8 *header, guint64 length)
{
    g_autofree guint8 *piece = g_malloc(BUFFER);
    struct hash128_state *state = hash128_new_keyed(j->key);
    bool whole = true;
    for (guint64 at = HEADER; whole && at < length;) {
        const gsize n = (gsize)MIN(BUFFER, length - at);
        whole = file_read_full(j->fd, piece, n, j->kept + at, j->path, NULL);
        if (whole)
            hash128_update(state, piece, n);
        at += n;
    }
    hash128_update(state, header, FIELDS);
    const struct hash128 digest = hash128_final(state);
    return whole && memcmp(&digest, header + FIELDS, sizeof digest) == 0;
}

bool
fpjournal_next(struct fpjournal *j, struct fpjournal_record *out)
{
    guint8 header[HEADER];
    struct stat st;
    if (j->whole) {
        *out = (struct fpjournal_record){ j->log, j->parent, j->kept, j->buffer->len };
        return true;
    }
    if (fstat(j->fd, &st) < 0 || !file_read_full(j->fd, header, sizeof header, j->kept, j->path, NULL))
        return false;
    struct reader r = reader_over(header, sizeof header);
    const bool ours = reader_u32(&r) == MAGIC && reader_u32(&r) == 0 && reader_u64(&r) == j->generation;
    const guint64 length = reader_u64(&r);
    reader_copy(&r, &out->log, 16);
    reader_copy(&r, &out->parent, 16);
    out->at = j->kept;
    out->length = length;
    return ours && length >= HEADER && length <= (guint64)st.st_size - j->kept && verify(j, header, length);
}

void
fpjournal_keep(struct fpjournal *j, const struct fpjournal_record *record)
{
    j->kept = record->at + record->length;
    j->whole = false;
}

static bool
fetch(struct fpjournal *j, void *to, gsize len, guint64 at, GError **err)
{
    if (!j->whole)
        return file_read_full(j->fd, to, len, at, j->path, err);
    memcpy(to, j->buffer->data + (at - j->kept), len);
    return true;
}

static bool
read_entry(struct fpjournal *j, guint64 *at, guint64 end, struct fpjournal_entry *e, GArray *hashes, GError **err)
{
    guint8 fixed[ENTRY];
    if (end - *at < ENTRY || !fetch(j, fixed, sizeof fixed, *at, err))
        return false;
    struct reader r = reader_over(fixed, sizeof fixed);
    e->page = reader_u64(&r);
    e->count = reader_u64(&r);
    e->disk = reader_u16(&r);
    e->kind = reader_u16(&r);
    *at += ENTRY;
    if (e->kind != FPJOURNAL_HASHES)
        return true;
    if (e->count > FPJOURNAL_RUN || e->count * sizeof(struct hash128) > end - *at)
        return false;
    g_array_set_size(hashes, (guint)e->count);
    const gsize n = e->count * sizeof(struct hash128);
    e->hashes = (const struct hash128 *)(gpointer)hashes->data;
    *at += n;
    return fetch(j, hashes->data, n, *at - n, err);
}

bool
fpjournal_play(struct fpjournal *j, const struct fpjournal_record *record, fpjournal_fn fn, void *user, GError **err)
{
    g_autoptr(GArray) hashes = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    const guint64 end = record->at + record->length;
    for (guint64 at = record->at + HEADER; at < end;) {
        struct fpjournal_entry e = { 0 };
        g_autoptr(GError) why = NULL;
        if (!read_entry(j, &at, end, &e, hashes, &why)) {
            if (!why)
                return err_set(err, ERR_CORRUPT, "File '%s' has a record with entries that make no sense.", j->path);
            g_propagate_error(err, g_steal_pointer(&why));
            return false;
        }
        if (!fn(user, &e, err))
            return false;
    }
    return true;
}
