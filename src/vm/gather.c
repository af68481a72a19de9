/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/gather.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"

enum { THREADS = 4, BATCH_BYTES = 1 << 20, BATCH_RANGES = 256 };

struct gather {
    struct block *from;
    const struct extents *what;
    int fd;
    const char *name;
    gint64 patience_us;
    GMutex lock;      /* the rest; a leaf */
    size_t extent;    /* what is next */
    uint64_t done;    /* bytes of it that somebody has taken */
    GError *error;    /* the first */
};

/* What fits into the buffer, from where the last batch ended; 0: nothing is left, or somebody failed. */
static size_t
take_batch(struct gather *g, char *buf, struct block_range *ranges)
{
    size_t count = 0, used = 0;
    HOLD(&g->lock);
    while (!g->error && g->extent < extents_count(g->what) && count < BATCH_RANGES && used < BATCH_BYTES) {
        const struct extent *e = extents_at(g->what, g->extent);
        const size_t n = e->kind == EXTENT_DATA ? (size_t)MIN(e->length - g->done, BATCH_BYTES - used) : 0;
        if (n > 0)
            ranges[count++] = (struct block_range){ buf + used, n, e->offset + g->done };
        used += n;
        g->done += n;
        if (n == 0 || g->done == e->length) {
            g->extent++;
            g->done = 0;
        }
    }
    return count;
}

/* waited_us: by this thread, for the file. */
static bool
write_range(const struct gather *g, const struct block_range *range, gint64 *waited_us, GError **err)
{
    const gint64 begun = clock_mono_us();
    if (!file_write_full(g->fd, range->buf, range->len, range->off, g->name, err))
        return false;
    *waited_us += clock_mono_us() - begun;
    return !g->patience_us || *waited_us <= g->patience_us || err_set(err, ERR_TIMEOUT, "'%s' is written too slowly.", g->name);
}

static bool
copy_batch(const struct gather *g, const struct block_range *ranges, size_t count, gint64 *waited_us, GError **err)
{
    bool ok = block_read_all(g->from, ranges, count, err);
    for (size_t i = 0; ok && i < count; i++)
        ok = write_range(g, &ranges[i], waited_us, err);
    return ok;
}

static void *
work(void *user)
{
    struct gather *g = user;
    g_autofree char *buf = g_malloc(BATCH_BYTES);
    struct block_range ranges[BATCH_RANGES];
    g_autoptr(GError) why = NULL;
    gint64 waited_us = 0;
    size_t count;
    while ((count = take_batch(g, buf, ranges)) > 0 && copy_batch(g, ranges, count, &waited_us, &why))
        ;
    HOLD(&g->lock);
    if (!g->error)
        g->error = g_steal_pointer(&why);
    return NULL;
}

bool
gather(struct block *from, const struct extents *what, int fd, const char *name, gint64 patience_us, GError **err)
{
    struct gather g = { .from = from, .what = what, .fd = fd, .name = name, .patience_us = patience_us };
    GThread *threads[THREADS - 1] = { 0 };
    const uint64_t batches = extents_bytes_of(what, EXTENT_DATA) / BATCH_BYTES;
    g_mutex_init(&g.lock);
    for (guint i = 0; i < THREADS - 1 && i < batches; i++)
        threads[i] = g_thread_try_new("vmr-gather", work, &g, NULL); /* NULL: the others do it */
    work(&g);
    for (guint i = 0; i < THREADS - 1; i++)
        if (threads[i])
            g_thread_join(threads[i]);
    g_mutex_clear(&g.lock);
    if (g.error)
        g_propagate_error(err, g.error);
    return !g.error;
}
