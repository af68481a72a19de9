/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/fpmap.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"

#include <fcntl.h>
#include <string.h>

enum { BATCH = 64 }; /* blocks read at once where all are looked at */

struct place {
    guint64 disk, block; /* little-endian */
};

struct on_disk {
    struct hash128 hashes[FPMAP_HASHES];
    struct hash128 digest;
};
G_STATIC_ASSERT(sizeof(struct on_disk) == FPMAP_BLOCK);

struct fpmap {
    char *path;
    int fd;
    guint16 disk;
    const guint8 *key;
    guint64 pages;
    struct on_disk cache;
    guint64 cached;   /* number of its block; NOTHING */
    bool changed;
};
static const guint64 NOTHING = G_MAXUINT64;

static guint64
blocks(guint64 pages)
{
    return pages / FPMAP_HASHES + (pages % FPMAP_HASHES != 0);
}

static struct hash128
digest_of(const struct fpmap *m, const struct on_disk *b, guint64 block)
{
    struct {
        struct hash128 hashes[FPMAP_HASHES];
        struct place place;
    } all;
    memcpy(all.hashes, b->hashes, sizeof all.hashes);
    all.place = (struct place){ GUINT64_TO_LE(m->disk), GUINT64_TO_LE(block) };
    return hash128_keyed(&all, sizeof all, m->key);
}

static bool
is_good(const struct fpmap *m, const struct on_disk *b, guint64 block)
{
    const struct hash128 want = digest_of(m, b, block);
    return memcmp(&want, &b->digest, sizeof want) == 0;
}

static bool
set_length(struct fpmap *m, GError **err)
{
    return ftruncate(m->fd, (off_t)(blocks(m->pages) * FPMAP_BLOCK)) == 0 || err_errno(err, "File '%s' cannot be resized", m->path);
}

struct fpmap *
fpmap_open(const char *path, guint16 disk, const guint8 *key, guint64 pages, GError **err)
{
    auto_fd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_errno(err, "File '%s' cannot be opened", path);
        return NULL;
    }
    struct fpmap *m = g_new(struct fpmap, 1);
    *m = (struct fpmap){ .path = g_strdup(path), .fd = g_steal_fd(&fd), .disk = disk, .key = key, .pages = pages, .cached = NOTHING };
    if (set_length(m, err))
        return m;
    fpmap_close(m);
    return NULL;
}

void
fpmap_close(struct fpmap *m)
{
    if (!m)
        return;
    close(m->fd);
    g_free(m->path);
    g_free(m);
}

guint64
fpmap_pages(const struct fpmap *m)
{
    return m->pages;
}

bool
fpmap_write(struct fpmap *m, GError **err)
{
    if (!m->changed)
        return true;
    m->cache.digest = digest_of(m, &m->cache, m->cached);
    if (!file_write_full(m->fd, &m->cache, sizeof m->cache, m->cached * FPMAP_BLOCK, m->path, err))
        return false;
    m->changed = false;
    return true;
}

static bool
load(struct fpmap *m, guint64 block, GError **err)
{
    if (m->cached == block)
        return true;
    if (!fpmap_write(m, err))
        return false;
    m->cached = NOTHING;
    if (!file_read_full(m->fd, &m->cache, sizeof m->cache, block * FPMAP_BLOCK, m->path, err))
        return false;
    if (!is_good(m, &m->cache, block))
        memset(&m->cache, 0, sizeof m->cache);
    m->cached = block;
    return true;
}

bool
fpmap_get(struct fpmap *m, guint64 page, struct hash128 *out, GError **err)
{
    *out = FPMAP_UNKNOWN;
    if (page >= m->pages)
        return true;
    if (!load(m, page / FPMAP_HASHES, err))
        return false;
    *out = m->cache.hashes[page % FPMAP_HASHES];
    return true;
}

bool
fpmap_set(struct fpmap *m, guint64 page, const struct hash128 *hashes, gsize count, GError **err)
{
    g_assert(page <= m->pages && count <= m->pages - page);
    while (count > 0) {
        const gsize first = page % FPMAP_HASHES, n = MIN(count, FPMAP_HASHES - first);
        if (!load(m, page / FPMAP_HASHES, err))
            return false;
        memcpy(m->cache.hashes + first, hashes, n * sizeof *hashes);
        m->changed = true;
        page += n;
        hashes += n;
        count -= n;
    }
    return true;
}

bool
fpmap_fill(struct fpmap *m, guint64 page, guint64 count, const struct hash128 *hash, GError **err)
{
    struct hash128 many[FPMAP_HASHES];
    for (gsize i = 0; i < FPMAP_HASHES; i++)
        many[i] = *hash;
    while (count > 0) {
        const gsize n = (gsize)MIN(count, FPMAP_HASHES - page % FPMAP_HASHES);
        if (!fpmap_set(m, page, many, n, err))
            return false;
        page += n;
        count -= n;
    }
    return true;
}

bool
fpmap_resize(struct fpmap *m, guint64 keep, guint64 pages, GError **err)
{
    const struct hash128 unknown = FPMAP_UNKNOWN;
    const guint64 edge = MIN(m->pages, blocks(keep) * FPMAP_HASHES); /* the block that is kept in part */
    if (keep < edge && !fpmap_fill(m, keep, edge - keep, &unknown, err))
        return false;
    if (!fpmap_write(m, err))
        return false;
    m->cached = NOTHING;
    m->pages = MIN(keep, m->pages);
    if (!set_length(m, err))
        return false;
    m->pages = pages;
    return set_length(m, err);
}

bool
fpmap_clear(struct fpmap *m, GError **err)
{
    m->changed = false;
    return fpmap_resize(m, 0, m->pages, err);
}

bool
fpmap_sync(struct fpmap *m, GError **err)
{
    return fpmap_write(m, err) && file_sync(m->fd, m->path, err);
}

static guint64
unknown_in(const struct fpmap *m, const struct on_disk *b, guint64 block)
{
    const gsize n = (gsize)MIN(FPMAP_HASHES, m->pages - block * FPMAP_HASHES);
    if (!is_good(m, b, block))
        return n;
    guint64 sum = 0;
    for (gsize i = 0; i < n; i++)
        sum += fpmap_is_unknown(&b->hashes[i]);
    return sum;
}

bool
fpmap_unknown(struct fpmap *m, guint64 *pages, GError **err)
{
    g_autofree struct on_disk *batch = g_new(struct on_disk, BATCH);
    const guint64 all = blocks(m->pages);
    *pages = 0;
    if (!fpmap_write(m, err))
        return false;
    for (guint64 at = 0; at < all; at += BATCH) {
        const guint64 n = MIN(BATCH, all - at);
        if (!file_read_full(m->fd, batch, n * FPMAP_BLOCK, at * FPMAP_BLOCK, m->path, err))
            return false;
        for (guint64 i = 0; i < n; i++)
            *pages += unknown_in(m, &batch[i], at + i);
    }
    return true;
}
