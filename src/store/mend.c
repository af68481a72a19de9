/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/mend.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "log/mend.h"
#include "store/layout.h"
#include "store/private.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* The log that is being mended. */
struct mend {
    const struct store *store;
    struct damage *damage;
    char *path, *note;      /* note: incoming/<LOG ID>.mend */
    struct log_reader *reader;
    int fd;
    int64_t received_us;
    bool noted;
    GArray *entries;        /* logs of the store */
    struct extents *left;   /* of damage->where */
    bool left_any;
    uint64_t mended;
};

/* What is between two borders of pages of the disk within one extent of the frame. */
struct piece {
    uint64_t offset;        /* on the disk */
    uint32_t raw, length;   /* in the frame's data */
    uint32_t there;         /* bytes of it that newer logs have */
};

struct frame {
    struct mend *mend;
    unsigned frame;
    const struct log_frame *f;
    struct log_mend *bytes;
    GArray *pieces;         /* struct piece, ascending */
    uint8_t *newer, *had;   /* what the oldest newer log has; had: per sector */
    uint8_t *offer;
    bool unsure;            /* a newer log cannot be read */
};

#define PIECE(m, i) g_array_index((m)->pieces, struct piece, i)

/* ---- what newer logs have ---- */

static void
cut_pieces(struct frame *m)
{
    struct log_extent_iter it = log_frame_extents(m->f);
    struct log_extent e;
    m->pieces = g_array_new(FALSE, FALSE, sizeof(struct piece));
    while (log_extent_next(&it, &e))
        for (uint64_t at = e.offset, n; !e.zero && at < e.offset + e.length; at += n) {
            n = MIN(LOG_PAGE - at % LOG_PAGE, e.offset + e.length - at);
            const struct piece p = {at, e.raw_offset + (uint32_t)(at - e.offset), (uint32_t)n, 0};
            g_array_append_val(m->pieces, p);
        }
}

/* The sectors of the piece in [from, to) that no older log had; data NULL: zeros. */
static void
take_sectors(struct frame *m, struct piece *p, uint64_t from, uint64_t to, const uint8_t *data)
{
    for (uint64_t at = from; at < to; at += LOG_SECTOR, data = data ? data + LOG_SECTOR : NULL) {
        const uint32_t raw = p->raw + (uint32_t)(at - p->offset);
        if (m->had[raw / LOG_SECTOR])
            continue;
        m->had[raw / LOG_SECTOR] = 1;
        p->there += LOG_SECTOR;
        if (data)
            memcpy(m->newer + raw, data, LOG_SECTOR);
        else
            memset(m->newer + raw, 0, LOG_SECTOR);
    }
}

static guint
first_piece_after(const struct frame *m, uint64_t offset)
{
    guint low = 0, high = m->pieces->len;
    while (low < high) {
        const guint mid = low + (high - low) / 2;
        if (PIECE(m, mid).offset + PIECE(m, mid).length <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* One extent of a newer log; its data is decoded when it is wanted. */
static void
take_extent(struct frame *m, const struct log_reader *r, unsigned frame, const struct log_extent *e, uint8_t *data, bool *decoded)
{
    for (guint i = first_piece_after(m, e->offset); i < m->pieces->len && PIECE(m, i).offset < e->offset + e->length; i++) {
        struct piece *p = &PIECE(m, i);
        const uint64_t from = MAX(p->offset, e->offset), to = MIN(p->offset + p->length, e->offset + e->length);
        if (p->there == p->length)
            continue;
        if (!e->zero && !*decoded && !(*decoded = log_reader_data(r, frame, data, NULL))) {
            m->unsure = true;
            return;
        }
        take_sectors(m, p, from, to, e->zero ? NULL : data + e->raw_offset + (from - e->offset));
    }
}

static void
take_log(struct frame *m, const struct log_reader *r, uint8_t *data)
{
    for (unsigned i = 0; i < log_reader_frames(r); i++) {
        const struct log_frame *f = log_reader_frame(r, i);
        struct log_extent_iter it = log_frame_extents(f);
        struct log_extent e;
        bool decoded = false;
        while (f->disk == m->f->disk && log_extent_next(&it, &e))
            take_extent(m, r, i, &e, data, &decoded);
    }
}

static bool
has_all(const struct frame *m)
{
    for (guint i = 0; i < m->pieces->len; i++)
        if (PIECE(m, i).there < PIECE(m, i).length)
            return false;
    return true;
}

static void
gather(struct frame *m)
{
    const struct mend *log = m->mend;
    g_autofree uint8_t *data = g_malloc(LOG_FRAME_RAW_MAX);
    for (guint i = 0; i < log->entries->len && !has_all(m); i++) {
        const struct layout_entry *e = &g_array_index(log->entries, struct layout_entry, i);
        if (e->sequence <= log->damage->first)
            continue;
        g_autofree char *path = layout_log_path(log->store->dir, e->sequence, &e->id);
        struct log_reader *r = log_reader_open(path, NULL);
        m->unsure |= !r;
        if (r)
            take_log(m, r, data);
        log_reader_close(r);
    }
}

/* ---- which of it ---- */

static bool
offer(struct frame *m, const guint *doubt, guint from, guint to)
{
    for (guint i = from; i < to; i++)
        memcpy(m->offer + PIECE(m, doubt[i]).raw, m->newer + PIECE(m, doubt[i]).raw, PIECE(m, doubt[i]).length);
    const bool fits = log_mend_offer(m->bytes, m->offer);
    for (guint i = from; i < to; i++)
        memcpy(m->offer + PIECE(m, doubt[i]).raw, log_mend_own(m->bytes) + PIECE(m, doubt[i]).raw, PIECE(m, doubt[i]).length);
    return fits;
}

/* Damage is in one place: all from newer logs, else one piece or some neighbours from there and the others as they are. */
static bool
try_runs(struct frame *m, const guint *doubt, guint n)
{
    unsigned left = log_mend_offers(m->bytes);
    if (offer(m, doubt, 0, n))
        return true;
    for (guint length = 1; length < n; length++)
        for (guint from = 0; from + length <= n; from++)
            if (left-- == 0)
                return false;
            else if (offer(m, doubt, from, from + length))
                return true;
    return false;
}

static bool
find_data(struct frame *m)
{
    const uint8_t *own = log_mend_own(m->bytes);
    if (!own)
        return has_all(m) && log_mend_offer(m->bytes, m->newer);
    g_autofree guint *doubt = g_new(guint, m->pieces->len + 1);
    guint n = 0;
    for (guint i = 0; i < m->pieces->len; i++) {
        const struct piece *p = &PIECE(m, i);
        if (p->there == p->length && memcmp(own + p->raw, m->newer + p->raw, p->length) != 0)
            doubt[n++] = i;
    }
    m->offer = g_memdup2(own, m->f->raw_length);
    return m->f->raw_length > 0 && try_runs(m, doubt, n);
}

/* ---- the file ---- */

static bool
note_time(struct mend *m, GError **err)
{
    if (m->noted)
        return true;
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT "\n", m->received_us);
    m->noted = file_replace(m->note, text, strlen(text), 0640, err);
    if (m->noted)
        store_step(m->store, "mend-noted");
    return m->noted;
}

/* 0: there is none. */
static int64_t
noted_time(const char *note)
{
    g_autofree char *text = NULL;
    size_t len;
    return file_read_all(note, 64, &text, &len, NULL) ? MAX(g_ascii_strtoll(text, NULL, 10), 0) : 0;
}

static bool
put_back_time(const char *path, const char *note, int64_t received_us, GError **err)
{
    return store_set_received(path, received_us, err) && file_unlink_durably(note, err);
}

bool
mend_settle(const char *dir, const GArray *entries, GError **err)
{
    g_autoptr(GPtrArray) names = layout_list_names(dir, "incoming", err);
    for (guint i = 0; names && i < names->len; i++) {
        g_autofree char *id = g_str_has_suffix(names->pdata[i], ".mend") ? g_strndup(names->pdata[i], UUID_TEXT - 1) : NULL;
        g_autofree char *note = g_build_filename(dir, "incoming", names->pdata[i], NULL);
        struct uuid log;
        const struct layout_entry *e = id && uuid_parse(id, &log) ? layout_find(entries, &log) : NULL;
        const int64_t received_us = e ? noted_time(note) : 0;
        g_autofree char *path = e ? layout_log_path(dir, e->sequence, &e->id) : NULL;
        if (received_us && !put_back_time(path, note, received_us, err))
            return false;
    }
    return names != NULL;
}

/* ---- one frame ---- */

static void
leave(struct mend *m, const struct log_frame *f)
{
    struct log_extent_iter it = log_frame_extents(f);
    struct log_extent e;
    m->left_any = true;
    while (log_extent_next(&it, &e))
        if (!e.zero)
            extents_add(m->left, e.offset, e.length, EXTENT_DATA);
}

/* Data that is not there yet may come; what newer logs have of a place stays what they have. */
static void
say_why(const struct frame *m)
{
    struct damage *d = m->mend->damage;
    if (m->unsure || !has_all(m))
        return;
    g_free(d->stays);
    d->stays = g_strdup(log_mend_packs_alike(m->bytes)
                            ? "It cannot be mended: newer change logs have other data in its place, which the guest has written since."
                            : "It cannot be mended: its data was packed by another version of the library than this host has.");
}

static bool
write_frame(struct frame *m, GError **err)
{
    struct mend *log = m->mend;
    g_autoptr(GError) why = NULL;
    if (!note_time(log, err))
        return false;
    if (!log_mend_write(m->bytes, &why) || !file_sync(log->fd, log->path, &why) ||
        !log_reader_data(log->reader, m->frame, m->newer, &why)) { /* a bad disk: not again and again */
        g_free(log->damage->stays);
        log->damage->stays = g_strdup_printf("It cannot be mended: %s", why->message);
        leave(log, m->f);
        return true;
    }
    store_step(log->store, "mend-written");
    log->mended += LOG_FRAME_FIXED + m->f->extents_length + m->f->stored_length;
    return true;
}

static bool
mend_frame(struct mend *log, unsigned frame, GError **err)
{
    struct frame m = {.mend = log, .frame = frame, .f = log_reader_frame(log->reader, frame)};
    m.bytes = log_mend_new(log->reader, frame, log->fd);
    m.newer = g_malloc0(m.f->raw_length + 1);
    m.had = g_malloc0(m.f->raw_length / LOG_SECTOR + 1);
    cut_pieces(&m);
    bool found = !log->damage->tried && log_mend_offer(m.bytes, NULL);
    if (!found) {
        gather(&m);
        found = find_data(&m);
    }
    const bool ok = !found || write_frame(&m, err);
    if (!found) {
        leave(log, m.f);
        say_why(&m);
    }
    log_mend_free(m.bytes);
    g_array_unref(m.pieces);
    g_free(m.newer);
    g_free(m.had);
    g_free(m.offer);
    return ok;
}

/* Is the frame one of those that the damage is about?  Of one with zeros alone the damage has no place. */
static bool
is_meant(const struct damage *d, const struct log_frame *f)
{
    struct log_extent_iter it = log_frame_extents(f);
    struct log_extent e;
    if (f->disk != d->disk || extents_count(d->where) == 0)
        return f->disk == d->disk && f->raw_length == 0;
    while (log_extent_next(&it, &e))
        for (size_t i = 0; !e.zero && i < extents_count(d->where); i++) {
            const struct extent *w = extents_at(d->where, i);
            if (e.offset < w->offset + w->length && w->offset < e.offset + e.length)
                return true;
        }
    return false;
}

static bool
mend_frames(struct mend *m, GError **err)
{
    g_autofree uint8_t *data = g_malloc(LOG_FRAME_RAW_MAX);
    for (unsigned i = 0; i < log_reader_frames(m->reader); i++) {
        if (is_meant(m->damage, log_reader_frame(m->reader, i)) && !log_reader_data(m->reader, i, data, NULL) && !mend_frame(m, i, err))
            return false;
    }
    return !m->noted || (put_back_time(m->path, m->note, m->received_us, err) && (store_step(m->store, "mend-timed"), true));
}

static bool
open_log(struct mend *m, GError **err)
{
    struct stat st;
    m->fd = open(m->path, O_RDWR | O_CLOEXEC);
    if (m->fd < 0 || fstat(m->fd, &st) < 0)
        return err_errno(err, "Cannot open change log '%s' to mend it", m->path);
    m->received_us = noted_time(m->note); /* a mend that failed may have left it */
    m->noted = m->received_us != 0;
    if (!m->noted)
        m->received_us = clock_timespec_us(&st.st_mtim);
    m->entries = layout_list_logs(m->store->dir, err);
    return m->entries != NULL;
}

bool
mend_log(const struct store *s, struct damage *d, uint64_t *mended, bool *whole, GError **err)
{
    char id[UUID_TEXT];
    struct mend m = {.store = s, .damage = d, .path = layout_log_path(s->dir, d->first, &d->log), .fd = -1, .left = extents_new()};
    m.note = g_strdup_printf("%s/incoming/%s.mend", s->dir, uuid_format(&d->log, id));
    m.reader = log_reader_open(m.path, NULL);
    const bool ok = !m.reader || (open_log(&m, err) && mend_frames(&m, err));
    if (m.reader && ok) {
        d->tried = true;
        *whole = !m.left_any;
        *mended += m.mended;
        extents_free(d->where);
        d->where = g_steal_pointer(&m.left);
    }
    log_reader_close(m.reader);
    if (m.fd >= 0)
        close(m.fd);
    if (m.entries)
        g_array_unref(m.entries);
    extents_free(m.left);
    g_free(m.path);
    g_free(m.note);
    return ok;
}
