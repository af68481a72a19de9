/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/view.h"

#include "base/err.h"
#include "store/baselock.h"
#include "store/chain.h"
#include "store/framecache.h"
#include "store/layout.h"
#include "store/manifest.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CACHE_BYTES ((size_t)64 << 20)
#define LENT_MOST ((size_t)2 << 30) /* and an eighth of the machine's memory, as long as nobody else needs it */
#define AHEAD_BYTES ((uint64_t)512 << 10)
#define AHEAD_FRAMES 8
#define ALONE_READS 4
#define ATTEMPTS 100
#define SPARE_DESCRIPTORS 256

/* Opening races with the daemon, which merges and renames logs meanwhile.  The order makes it safe:
 *
 *   1 find the point; lock its byte: from now on nobody moves the base beyond it
 *   2 read store.json (again), list the logs, open the point's log and its ancestors down to the one that the base stands for
 *
 * An ancestor may be missing when it was merged between the two readings of 2: then all of it is done again; likewise when the newest point
 * is wanted, and the one that was found is being merged.  Logs that were opened and merged into the base afterwards do no harm: the index
 * hides every page that the base got from them. */

struct view_disk {
    struct block block;
    struct view *view;
    struct chain_disk *index;
    struct block *base; /* NULL: nothing below the logs */
    uint64_t base_end;  /* bytes that may be read from it */
    uint64_t next;      /* where the read before ended */
    unsigned alone;     /* so many reads in order, none of them beside others; both atomic, and only hints */
};

struct view {
    char *dir;
    int lock;
    struct manifest manifest;
    bool of_base;       /* the point is the base itself */
    bool any;           /* also what is no instant */
    struct chain *chain; /* NULL: of_base */
    struct log_header header; /* of the point's log, when it is not the base */
    struct framecache *cache;
    struct view_disk *disks;
    gint reading;       /* reads under way; atomic */
};

/* Where the walk through the logs goes: the files that exist, the base at the end of the chain. */
struct walk {
    GArray *entries;
    const struct layout_entry *point; /* NULL: the base */
};

static bool
no_such_point(const char *dir, const struct uuid *point, GError **err)
{
    char id[UUID_TEXT];
    if (!point)
        return err_set(err, ERR_NOT_FOUND, "The store '%s' has no recovery point yet.", dir);
    return err_set(err, ERR_NOT_FOUND, "The store '%s' has no recovery point '%s' (any more).", dir, uuid_format(point, id));
}

/* The newest whole log; *again when a log vanished while it was looked at. */
static bool
find_latest(const struct view *v, struct walk *w, bool *again, GError **err)
{
    for (guint i = w->entries->len; i-- > 0;) {
        const struct layout_entry *e = &g_array_index(w->entries, struct layout_entry, i);
        g_autofree char *path = layout_log_path(v->dir, e->sequence, &e->id);
        struct log_info info;
        GError *why = NULL;
        if (v->manifest.has_base && e->sequence <= v->manifest.base.sequence)
            break;
        if (!log_read_info(path, &info, &why)) {
            *again = err_is(why, ERR_NOT_FOUND);
            g_propagate_error(err, why);
            return false;
        }
        bool fuzzy = info.flags & LOG_FLAG_FUZZY;
        log_info_clear(&info);
        w->point = fuzzy ? NULL : e;
        if (!fuzzy)
            return true;
    }
    return (manifest_base_is_exact(&v->manifest) && !v->manifest.base.fuzzy) || no_such_point(v->dir, NULL, err);
}

static bool
find_point(const struct view *v, const struct uuid *point, struct walk *w, bool *again, GError **err)
{
    const struct manifest *m = &v->manifest;
    if (!point)
        return find_latest(v, w, again, err);
    if (m->has_base && uuid_equal(&m->base.id, point))
        return manifest_base_is_exact(m) || no_such_point(v->dir, point, err);
    w->point = layout_find(w->entries, point);
    if (!w->point || (m->has_base && w->point->sequence <= m->base.sequence) || (m->merging && w->point->sequence < m->merging_to))
        return no_such_point(v->dir, point, err);
    return true;
}

static bool
read_folder(struct view *v, struct walk *w, bool *again, GError **err)
{
    GError *why = NULL;
    manifest_clear(&v->manifest);
    g_clear_pointer(&w->entries, g_array_unref);
    w->point = NULL;
    if (manifest_read(v->dir, &v->manifest, &why) && (w->entries = layout_list_logs(v->dir, &why)))
        return true;
    /* The base's header was replaced between the two reads; a folder without store.json is another matter. */
    g_autofree char *json = layout_path(v->dir, "store.json");
    *again = err_is(why, ERR_NOT_FOUND) && g_file_test(json, G_FILE_TEST_EXISTS);
    g_propagate_error(err, why);
    return false;
}

/* From the point down to the base. */
static bool
open_chain(struct view *v, const struct walk *w, bool *again, GError **err)
{
    const struct manifest *m = &v->manifest;
    const struct chain_request r = {
        .dir = v->dir,
        .entries = w->entries,
        .from = w->point,
        .vm = m->vm,
        .end = m->has_base ? m->base.id : UUID_NIL,
        .end_sequence = m->has_base ? m->base.sequence : 0,
        .hold = true,
    };
    v->chain = w->point ? chain_open(&r, again, err) : NULL;
    return !w->point || v->chain;
}

static const struct log_reader *
newest(const struct view *v)
{
    return stack_reader(chain_stack(v->chain), 0);
}

/* A fuzzy log is not one instant of the disks. */
static bool
check_whole(const struct view *v, const struct uuid *point, GError **err)
{
    const struct log_info *info = v->of_base ? &v->manifest.header.info : log_reader_info(newest(v));
    return v->any || !(info->flags & LOG_FLAG_FUZZY) || no_such_point(v->dir, point, err);
}

/* Every log of the chain needs a descriptor; the usual soft limit of 1024 is less than a day of points. */
static void
raise_descriptor_limit(guint logs)
{
    struct rlimit limit;
    if (logs < SPARE_DESCRIPTORS || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    const rlim_t wanted = MIN(limit.rlim_max, MAX(limit.rlim_cur, 1024) + logs + SPARE_DESCRIPTORS);
    if (wanted <= limit.rlim_cur)
        return;
    limit.rlim_cur = wanted;
    setrlimit(RLIMIT_NOFILE, &limit); /* if it fails, opening says so */
}

/* The newest that is found is no longer that when it is being merged: a later one has arrived, or it is being removed. */
static bool
share_point(struct view *v, const struct walk *w, const struct uuid *wanted, bool *again, GError **err)
{
    GError *why = NULL;
    v->lock = baselock_share(v->dir, w->point ? w->point->sequence : v->manifest.base.sequence, &why);
    if (v->lock >= 0)
        return true;
    *again = !wanted && err_is(why, ERR_IN_USE);
    g_propagate_error(err, why);
    return false;
}

/* Once the point's byte is locked the folder is read again, since the base may have moved before. */
static bool
try_open(struct view *v, const struct uuid *wanted, bool *again, GError **err)
{
    struct walk w = {0};
    bool ok = read_folder(v, &w, again, err) && find_point(v, wanted, &w, again, err);
    if (ok) {
        struct uuid point = w.point ? w.point->id : v->manifest.base.id;
        raise_descriptor_limit(w.entries->len);
        ok = share_point(v, &w, wanted, again, err) && read_folder(v, &w, again, err);
        if (ok && !find_point(v, &point, &w, again, err)) {
            *again = !wanted; /* the newest was merged between the readings: there is a newer one, or the base */
            ok = false;
        }
        v->of_base = ok && !w.point;
        ok = ok && open_chain(v, &w, again, err) && check_whole(v, &point, err);
    }
    if (w.entries)
        g_array_unref(w.entries);
    return ok;
}

static void
undo_attempt(struct view *v)
{
    g_clear_pointer(&v->chain, chain_free);
    if (v->lock >= 0)
        close(v->lock);
    v->lock = -1;
}

static bool
open_layers(struct view *v, const struct uuid *point, GError **err)
{
    for (unsigned i = 1;; i++) {
        GError *why = NULL;
        bool again = false;
        if (try_open(v, point, &again, &why))
            return true;
        if (!again || i == ATTEMPTS) {
            g_propagate_error(err, why);
            return false;
        }
        g_error_free(why);
        undo_attempt(v);
    }
}

const struct log_info *
view_info(const struct view *v)
{
    return v->of_base ? &v->manifest.header.info : &v->header.info;
}

/* The header stays when its reader is closed because nothing in it survives.  Not by the path: the file may be merged already. */
static bool
keep_header(struct view *v, GError **err)
{
    const GByteArray *bytes = v->of_base ? NULL : log_reader_header(newest(v))->bytes;
    return !bytes || log_header_decode(bytes->data, bytes->len, &v->header, err);
}

static bool
open_base(struct view *v, struct view_disk *d, uint16_t id, GError **err)
{
    const struct log_info *info = &v->manifest.header.info;
    const struct log_disk *disk = v->manifest.has_base ? log_info_disk(info, id) : NULL;
    uint64_t wanted = disk ? MIN(d->index ? chain_disk_below(d->index) : d->block.size, disk->size) : 0;
    if (wanted == 0)
        return true;
    g_autofree char *path = layout_disk_path(v->dir, id);
    d->base = block_file_open(path, err);
    if (!d->base)
        return false;
    d->base_end = wanted;
    return d->base->size >= wanted ||
           err_set(err, ERR_CORRUPT, "The base file '%s' has only %" G_GUINT64_FORMAT " bytes.", path, d->base->size);
}

/* How much of [off, off + len) comes from one place. */
struct piece {
    const struct flat_segment *segment; /* NULL: from the base or below it */
    size_t length;
};

static struct piece
piece_at(const struct flat *f, size_t index, uint64_t off, uint64_t len)
{
    struct piece p = {NULL, len};
    if (index == flat_count(f))
        return p;
    const struct flat_segment *s = flat_at(f, index);
    if (off < s->offset) {
        p.length = MIN(len, s->offset - off);
        return p;
    }
    p.segment = s;
    p.length = MIN(len, s->offset + (uint64_t)s->sectors * LOG_SECTOR - off);
    return p;
}

static bool
read_base(const struct view_disk *d, uint8_t *buf, size_t len, uint64_t off, GError **err)
{
    size_t there = off < d->base_end ? MIN(len, d->base_end - off) : 0;
    memset(buf + there, 0, len - there);
    return there == 0 || block_read(d->base, buf, there, off, err);
}

/* The frames behind `end`.  The base needs none of that: the kernel reads files ahead. */
static void
read_ahead(struct view_disk *d, uint64_t end)
{
    uint32_t ahead[AHEAD_FRAMES];
    unsigned count = 0;
    uint64_t border;
    const struct flat *f = d->index && end < d->block.size ? chain_disk_at(d->index, end, &border, NULL) : NULL;
    if (!f)
        return;
    for (size_t i = flat_first_after(f, end); i < flat_count(f) && count < AHEAD_FRAMES; i++) {
        const struct flat_segment *s = flat_at(f, i);
        if (s->offset >= end + AHEAD_BYTES)
            break;
        if (s->frame != FLAT_ZERO && (count == 0 || s->frame != ahead[count - 1]))
            ahead[count++] = s->frame;
    }
    if (count > 0)
        framecache_ahead(d->view->cache, ahead, count);
}

static bool
read_pieces(struct view_disk *d, const struct flat *f, uint8_t *to, size_t len, uint64_t off, GError **err)
{
    for (size_t i = flat_first_after(f, off); len > 0; ) {
        struct piece p = piece_at(f, i, off, len);
        const struct flat_segment *s = p.segment;
        if (!s) {
            if (!read_base(d, to, p.length, off, err))
                return false;
        } else if (s->frame == FLAT_ZERO) {
            memset(to, 0, p.length);
        } else if (!framecache_copy(d->view->cache, s->frame, s->raw + (uint32_t)(off - s->offset), to, p.length, err)) {
            return false;
        }
        to += p.length;
        off += p.length;
        len -= p.length;
        i += s != NULL;
    }
    return true;
}

static bool
read_logs(struct view_disk *d, uint8_t *to, size_t len, uint64_t off, GError **err)
{
    while (len > 0) {
        uint64_t border;
        const struct flat *f = chain_disk_at(d->index, off, &border, err);
        const size_t n = MIN(len, border - off);
        if (!f || !read_pieces(d, f, to, n, off, err))
            return false;
        to += n;
        off += n;
        len -= n;
    }
    return true;
}

/* Somebody who reads alone and in order, holes left out, keeps one processor busy; the next frames are decoded by others meanwhile.  Of
 * many reads at once a few look like that by chance; handing those over would cost more than it gives. */
static bool
is_alone(struct view_disk *d, uint64_t off, uint64_t end, bool others)
{
    const uint64_t next = __atomic_exchange_n(&d->next, end, __ATOMIC_RELAXED);
    const bool in_order = off >= next && off - next <= AHEAD_BYTES;
    const unsigned reads = in_order && !others ? __atomic_load_n(&d->alone, __ATOMIC_RELAXED) + 1 : 0;
    __atomic_store_n(&d->alone, reads, __ATOMIC_RELAXED);
    return reads >= ALONE_READS;
}

static bool
view_block_read(struct block *b, void *buf, size_t len, uint64_t off, GError **err)
{
    struct view_disk *d = (struct view_disk *)b;
    const bool others = g_atomic_int_add(&d->view->reading, 1) > 0;
    if (is_alone(d, off, off + len, others))
        read_ahead(d, off + len);
    bool ok = d->index ? read_logs(d, buf, len, off, err) : read_base(d, buf, len, off, err);
    g_atomic_int_add(&d->view->reading, -1);
    return ok;
}

static bool
base_extents(const struct view_disk *d, uint64_t off, uint64_t len, struct extents *out, GError **err)
{
    uint64_t there = off < d->base_end ? MIN(len, d->base_end - off) : 0;
    extents_add(out, off + there, len - there, EXTENT_ZERO);
    return there == 0 || block_extents(d->base, off, there, out, err);
}

static bool
extents_of_pieces(const struct view_disk *d, const struct flat *f, uint64_t off, uint64_t len, struct extents *out, GError **err)
{
    for (size_t i = flat_first_after(f, off); len > 0; ) {
        struct piece p = piece_at(f, i, off, len);
        if (p.segment)
            extents_add(out, off, p.length, p.segment->frame == FLAT_ZERO ? EXTENT_ZERO : EXTENT_DATA);
        else if (!base_extents(d, off, p.length, out, err))
            return false;
        off += p.length;
        len -= p.length;
        i += p.segment != NULL;
    }
    return true;
}

static bool
view_block_extents(struct block *b, uint64_t off, uint64_t len, struct extents *out, GError **err)
{
    struct view_disk *d = (struct view_disk *)b;
    if (!d->index)
        return base_extents(d, off, len, out, err);
    while (len > 0) {
        uint64_t border;
        const struct flat *f = chain_disk_at(d->index, off, &border, err);
        const uint64_t n = MIN(len, border - off);
        if (!f || !extents_of_pieces(d, f, off, n, out, err))
            return false;
        off += n;
        len -= n;
    }
    return true;
}

/* Lives and dies with the view. */
static void
view_block_close(struct block *b)
{
}

static const struct block_ops view_ops = {view_block_read, view_block_extents, view_block_close};

static size_t
lent_bytes(void)
{
    const uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return (size_t)MIN(memory / 8, LENT_MOST);
}

static bool
build_disks(struct view *v, GError **err)
{
    const struct log_info *info = view_info(v);
    v->disks = g_new0(struct view_disk, info->disk_count);
    for (unsigned i = 0; i < info->disk_count; i++) {
        struct view_disk *d = &v->disks[i];
        d->block = (struct block){&view_ops, info->disks[i].size};
        d->view = v;
        d->index = v->chain ? chain_disk_new(v->chain, info->disks[i].id, info->disks[i].size) : NULL;
        if (!open_base(v, d, info->disks[i].id, err))
            return false;
    }
    if (!v->chain)
        return true;
    chain_ready(v->chain);
    v->cache = framecache_new(chain_stack(v->chain), CACHE_BYTES);
    framecache_lend(v->cache, lent_bytes());
    return true;
}

static struct view *
open_view(const char *store_dir, const struct uuid *point, bool any, GError **err)
{
    struct view *v = g_new0(struct view, 1);
    v->dir = g_strdup(store_dir);
    v->any = any;
    v->lock = -1;
    if (open_layers(v, point, err) && keep_header(v, err) && build_disks(v, err))
        return v;
    view_close(v);
    return NULL;
}

struct view *
view_open(const char *store_dir, const struct uuid *point, GError **err)
{
    return open_view(store_dir, point, false, err);
}

struct view *
view_open_log(const char *store_dir, const struct uuid *log, GError **err)
{
    return open_view(store_dir, log, true, err);
}

void
view_lend(struct view *v, size_t max_bytes)
{
    if (v->cache)
        framecache_lend(v->cache, max_bytes);
}

void
view_close(struct view *v)
{
    if (!v)
        return;
    for (unsigned i = 0; v->disks && i < view_disks(v); i++) {
        block_close(v->disks[i].base);
        chain_disk_free(v->disks[i].index);
    }
    g_free(v->disks);
    framecache_free(v->cache);
    chain_free(v->chain);
    if (v->header.bytes)
        log_header_clear(&v->header);
    manifest_clear(&v->manifest);
    if (v->lock >= 0)
        close(v->lock);
    g_free(v->dir);
    g_free(v);
}

char *
view_section(struct view *v, enum log_section type, size_t *len, GError **err)
{
    return log_header_section(v->of_base ? &v->manifest.header : &v->header, type, len, err);
}

unsigned
view_disks(const struct view *v)
{
    return view_info(v)->disk_count;
}

struct block *
view_disk(struct view *v, unsigned i)
{
    g_assert(i < view_disks(v));
    return &v->disks[i].block;
}

struct block *
view_disk_by_id(struct view *v, uint16_t id)
{
    const struct log_info *info = view_info(v);
    for (unsigned i = 0; i < info->disk_count; i++)
        if (info->disks[i].id == id)
            return view_disk(v, i);
    return NULL;
}

struct block *
view_disk_by_target(struct view *v, const char *target)
{
    const struct log_info *info = view_info(v);
    for (unsigned i = 0; i < info->disk_count; i++)
        if (strcmp(info->disks[i].target, target) == 0)
            return view_disk(v, i);
    return NULL;
}
