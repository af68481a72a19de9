/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bulk.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A ring of pieces: the caller fills one, a thread writes those before it, in their order.  It is started when the first piece is full, so
 * what is short has none. */

#define ALIGNMENT 4096u /* of memory, offset and length; no disk wants more */
#define PIECES 4u

struct piece {
    uint8_t *data; /* NULL before its first use */
    uint64_t at;   /* of data[0] in the file */
    size_t length; /* at + length never passes a multiple of BULK_PIECE */
};

struct bulk {
    /* fixed */
    int fd;
    int direct; /* the same file; -1: through the page cache */
    char *path;
    /* caller's thread */
    GThread *writer; /* NULL: none yet */
    guint filling;   /* which piece; the `waiting` ones before it are the writer's */
    /* lock guards what follows */
    GMutex lock;
    GCond changed; /* one side waits at most */
    guint waiting;
    bool ending;
    GError *failed;              /* of the writer: nothing is written any more */
    struct piece pieces[PIECES]; /* of the writer or the caller, see above */
};

/* Pages of fresh memory cost the caller more than the copy into them (measured: a quarter of a receiving thread's time), and one long file
 * follows another: each thread keeps the memory of its last one until it ends. */
struct kept {
    guint count;
    uint8_t *memory[PIECES];
};

static void
free_kept(gpointer p)
{
    struct kept *k = p;
    while (k->count > 0)
        g_aligned_free(k->memory[--k->count]);
    g_free(k);
}

static GPrivate kept = G_PRIVATE_INIT(free_kept);

static uint8_t *
take_memory(void)
{
    struct kept *k = g_private_get(&kept);
    return k && k->count > 0 ? k->memory[--k->count] : g_aligned_alloc(1, BULK_PIECE, ALIGNMENT);
}

static void
give_memory(uint8_t *memory)
{
    struct kept *k = g_private_get(&kept);
    if (!k)
        g_private_set(&kept, k = g_new0(struct kept, 1));
    if (k->count < PIECES)
        k->memory[k->count++] = memory;
    else
        g_aligned_free(memory);
}

struct bulk *
bulk_new(int fd, const char *path, uint64_t at)
{
    struct bulk *b = g_new0(struct bulk, 1);
    b->fd = fd;
    b->direct = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
    b->path = g_strdup(path);
    b->pieces[0].at = at;
    g_mutex_init(&b->lock);
    g_cond_init(&b->changed);
    return b;
}

static void
stop_writer(struct bulk *b)
{
    if (!b->writer)
        return;
    g_mutex_lock(&b->lock);
    b->ending = true;
    g_cond_signal(&b->changed);
    g_mutex_unlock(&b->lock);
    g_thread_join(b->writer);
}

void
bulk_free(struct bulk *b)
{
    if (!b)
        return;
    stop_writer(b);
    if (b->direct >= 0)
        close(b->direct);
    for (guint i = 0; i < PIECES; i++)
        if (b->pieces[i].data)
            give_memory(b->pieces[i].data);
    g_clear_error(&b->failed);
    g_mutex_clear(&b->lock);
    g_cond_clear(&b->changed);
    g_free(b->path);
    g_free(b);
}

/* False: it is to go through the page cache; what is wrong for good shows there, too. */
static bool
write_direct(const struct bulk *b, const struct piece *p)
{
    size_t done = 0;
    if (b->direct < 0 || p->at % ALIGNMENT || p->length % ALIGNMENT)
        return false;
    while (done < p->length) {
        const ssize_t n = TEMP_FAILURE_RETRY(pwrite(b->direct, p->data + done, p->length - done, (off_t)(p->at + done)));
        if (n <= 0 || n % ALIGNMENT)
            break;
        done += (size_t)n;
    }
    return done == p->length;
}

static bool
write_piece(const struct bulk *b, const struct piece *p, GError **err)
{
    if (write_direct(b, p))
        return true;
    if (!file_write_full(b->fd, p->data, p->length, p->at, b->path, err))
        return false;
    file_write_behind(b->fd, p->at, p->length);
    return true;
}

static gpointer
write_pieces(gpointer user)
{
    struct bulk *b = user;
    HOLD(&b->lock);
    while (!b->ending && !b->failed) {
        if (b->waiting == 0) {
            g_cond_wait(&b->changed, &b->lock);
            continue;
        }
        const struct piece *p = &b->pieces[(b->filling + PIECES - b->waiting) % PIECES];
        GError *why = NULL;
        g_mutex_unlock(&b->lock);
        write_piece(b, p, &why);
        g_mutex_lock(&b->lock);
        b->failed = why;
        b->waiting--;
        g_cond_signal(&b->changed);
    }
    return NULL;
}

/* Until at most `most` pieces wait; false: the writer has failed. */
static bool
wait_for_writer_locked(struct bulk *b, guint most, GError **err)
{
    while (!b->failed && b->waiting > most)
        g_cond_wait(&b->changed, &b->lock);
    if (b->failed)
        g_propagate_error(err, g_error_copy(b->failed));
    return !b->failed;
}

/* Gives the piece that is being filled to the writer; afterwards the next one can be filled. */
static bool
hand_over(struct bulk *b, GError **err)
{
    const struct piece *full = &b->pieces[b->filling];
    if (!b->writer)
        b->writer = g_thread_new("bulk-write", write_pieces, b);
    HOLD(&b->lock);
    if (b->waiting++ == 0)
        g_cond_signal(&b->changed);
    b->filling = (b->filling + 1) % PIECES;
    if (!wait_for_writer_locked(b, PIECES - 1, err))
        return false;
    b->pieces[b->filling].at = full->at + full->length;
    b->pieces[b->filling].length = 0;
    return true;
}

static struct piece *
filling(struct bulk *b)
{
    struct piece *p = &b->pieces[b->filling];
    if (!p->data)
        p->data = take_memory();
    return p;
}

bool
bulk_write(struct bulk *b, const void *data, size_t len, GError **err)
{
    const uint8_t *from = data;
    while (len > 0) {
        struct piece *p = filling(b);
        const size_t room = (size_t)(BULK_PIECE - (p->at + p->length) % BULK_PIECE), n = MIN(room, len);
        memcpy(p->data + p->length, from, n);
        p->length += n;
        from += n;
        len -= n;
        if (n == room && !hand_over(b, err))
            return false;
    }
    return true;
}

bool
bulk_flush(struct bulk *b, GError **err)
{
    struct piece *p = &b->pieces[b->filling];
    {
        HOLD(&b->lock);
        if (!wait_for_writer_locked(b, 0, err))
            return false;
    }
    if (p->length > 0 && !write_piece(b, p, err))
        return false;
    p->at += p->length;
    p->length = 0;
    return true;
}
