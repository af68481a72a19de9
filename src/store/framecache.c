/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/framecache.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/lend.h"

#include <string.h>

#define AHEAD_THREADS 2u
#define PEEK_MOST ((size_t)8 << 10) /* copied with the lock held */
#define SPARE_MOST 16

enum state { FRAME_WANTED, FRAME_LOADING, FRAME_READY, FRAME_FAILED };

struct buffer {
    uint8_t *data; /* lend_new */
    size_t room;
};

/* In the table unless FAILED.  In one list at most: of the wanted ones while WANTED (whoever takes it from there is its first user), of the
 * idle or the lent ones while READY and without users. */
struct entry {
    uint32_t frame;
    unsigned users;
    enum state state;
    GError *error; /* FAILED */
    size_t length;
    size_t head, tail; /* bytes that were copied: from the start on, and up to the end */
    struct buffer buffer;
    uint8_t *marks; /* lent; else NULL */
    GList link;
};

struct framecache {
    struct stack *stack;
    size_t max_bytes, max_lent;
    GMutex lock; /* guards everything below; data of a READY entry with users is read without it */
    GCond changed;
    size_t bytes, lent_bytes;
    uint64_t decoded;
    GHashTable *entries; /* frame -> entry */
    GQueue idle, lent;   /* used last: head */
    struct buffer spare[SPARE_MOST]; /* of frames that are gone: fresh pages are dear */
    unsigned spares;
    unsigned waiting;    /* threads that wait for `changed`: to wake nobody is a system call, too */
    GQueue wanted;       /* to be loaded ahead, unless somebody needs them before */
    GCond wake;          /* something is wanted, or `ending` */
    unsigned sleeping;   /* threads that wait for `wake` and were not woken yet */
    unsigned threads;    /* of `ahead`: who reads keeps a processor busy himself */
    GThread *ahead[AHEAD_THREADS]; /* made when it is first wanted: nbdkit opens a view and forks then */
    bool ending;
};

static void
entry_free(struct entry *e)
{
    g_clear_error(&e->error);
    lend_free(e->buffer.data);
    g_free(e->marks);
    g_free(e);
}

static void
entry_destroy(gpointer e)
{
    entry_free(e);
}

struct framecache *
framecache_new(struct stack *s, size_t max_bytes)
{
    struct framecache *c = g_new0(struct framecache, 1);
    c->stack = s;
    c->max_bytes = max_bytes;
    c->threads = CLAMP(g_get_num_processors(), 2, AHEAD_THREADS + 1) - 1;
    g_mutex_init(&c->lock);
    g_cond_init(&c->changed);
    c->entries = g_hash_table_new_full(NULL, NULL, NULL, entry_destroy);
    g_queue_init(&c->idle);
    g_queue_init(&c->lent);
    g_queue_init(&c->wanted);
    g_cond_init(&c->wake);
    return c;
}

void
framecache_lend(struct framecache *c, size_t max_bytes)
{
    c->max_lent = max_bytes;
}

static void
end_ahead(struct framecache *c)
{
    {
        HOLD(&c->lock);
        c->ending = true;
        g_cond_broadcast(&c->wake);
    }
    for (unsigned i = 0; i < c->threads && c->ahead[i]; i++)
        g_thread_join(c->ahead[i]);
}

void
framecache_free(struct framecache *c)
{
    if (!c)
        return;
    end_ahead(c);
    g_hash_table_unref(c->entries);
    while (c->spares > 0)
        lend_free(c->spare[--c->spares].data);
    g_cond_clear(&c->changed);
    g_cond_clear(&c->wake);
    g_mutex_clear(&c->lock);
    g_free(c);
}

static const struct log_reader *
locate(const struct framecache *c, uint32_t frame, unsigned *index, GError **err)
{
    unsigned layer;
    stack_locate(c->stack, frame, &layer, index);
    return stack_open(c->stack, layer, err);
}

static bool
decode(struct framecache *c, struct entry *e, GError **err)
{
    unsigned index;
    const struct log_reader *r = locate(c, e->frame, &index, err);
    if (!r)
        return false;
    e->length = log_reader_frame(r, index)->raw_length;
    if (e->buffer.room < e->length) {
        lend_free(e->buffer.data);
        e->buffer = (struct buffer){lend_new(e->length), e->length};
    }
    return log_reader_data(r, index, e->buffer.data, err);
}

static void
give_buffer(struct framecache *c, struct entry *e)
{
    if (!e->buffer.data && c->spares > 0)
        e->buffer = c->spare[--c->spares];
}

static void
forget(struct framecache *c, struct entry *e)
{
    if (e->buffer.data && c->spares < SPARE_MOST) {
        c->spare[c->spares++] = e->buffer;
        e->buffer = (struct buffer){0};
    }
    g_hash_table_remove(c->entries, GUINT_TO_POINTER(e->frame));
}

static void
lend_out(struct framecache *c, struct entry *e)
{
    e->marks = c->max_lent >= e->length ? lend(e->buffer.data, e->length) : NULL;
    if (!e->marks) {
        forget(c, e);
        return;
    }
    c->lent_bytes += e->length;
    g_queue_push_head_link(&c->lent, &e->link);
    while (c->lent_bytes > c->max_lent) {
        struct entry *oldest = g_queue_pop_tail_link(&c->lent)->data;
        c->lent_bytes -= oldest->length;
        forget(c, oldest);
    }
}

static void
evict(struct framecache *c)
{
    while (c->bytes > c->max_bytes && c->idle.tail) {
        struct entry *e = g_queue_pop_tail_link(&c->idle)->data;
        c->bytes -= e->length;
        lend_out(c, e);
    }
}

static void
load(struct framecache *c, struct entry *e)
{
    GError *error = NULL;
    give_buffer(c, e);
    g_mutex_unlock(&c->lock);
    bool ok = decode(c, e, &error);
    g_mutex_lock(&c->lock);
    e->state = ok ? FRAME_READY : FRAME_FAILED;
    e->error = error;
    c->decoded++;
    if (ok) {
        c->bytes += e->length;
        evict(c);
    } else {
        g_hash_table_steal(c->entries, GUINT_TO_POINTER(e->frame)); /* the next reader tries again */
    }
    if (c->waiting > 0)
        g_cond_broadcast(&c->changed);
}

/* For its first user, who loads it. */
static struct entry *
insert(struct framecache *c, uint32_t frame, enum state state)
{
    struct entry *e = g_new0(struct entry, 1);
    e->frame = frame;
    e->state = state;
    e->users = 1;
    e->link.data = e;
    g_hash_table_insert(c->entries, GUINT_TO_POINTER(frame), e);
    return e;
}

/* Out of the list that an entry without users is in.  False: its data is lost. */
static bool
take_up(struct framecache *c, struct entry *e)
{
    if (!e->marks) {
        g_queue_unlink(&c->idle, &e->link);
        return true;
    }
    g_queue_unlink(&c->lent, &e->link);
    c->lent_bytes -= e->length;
    e->head = e->tail = 0;
    if (!lend_take_back(e->buffer.data, e->length, g_steal_pointer(&e->marks)))
        return false;
    c->bytes += e->length;
    return true;
}

/* The caller is its user now, and has to load it if it is LOADING. */
static struct entry *
take_wanted(struct framecache *c, struct entry *e)
{
    g_queue_unlink(&c->wanted, &e->link);
    e->state = FRAME_LOADING;
    return e;
}

/* Reads at random touch one of the two ends rarely: in practice only a reader in order, or two of its reads side by side, gets through. */
static void
note_copied(struct entry *e, size_t raw, size_t len)
{
    if (raw <= e->head)
        e->head = MAX(e->head, raw + len);
    if (raw + len >= e->length - e->tail)
        e->tail = MAX(e->tail, e->length - raw);
}

static bool
is_through(const struct entry *e)
{
    return e->head + e->tail >= e->length;
}

static void
release(struct framecache *c, struct entry *e)
{
    if (--e->users > 0)
        return;
    if (e->state == FRAME_FAILED) {
        entry_free(e);
        return;
    }
    if (is_through(e)) {
        c->bytes -= e->length;
        forget(c, e);
        return;
    }
    g_queue_push_head_link(&c->idle, &e->link);
    evict(c);
}

/* Sleeps only when nothing is left that could be loaded meanwhile. */
static void
await(struct framecache *c, const struct entry *e)
{
    while (e->state == FRAME_LOADING) {
        if (c->wanted.head) {
            struct entry *other = take_wanted(c, c->wanted.head->data);
            load(c, other);
            release(c, other);
            continue;
        }
        c->waiting++;
        g_cond_wait(&c->changed, &c->lock);
        c->waiting--;
    }
}

/* Called and left with the lock held; the caller is a user of the entry, whatever its state. */
static struct entry *
acquire(struct framecache *c, uint32_t frame)
{
    struct entry *e = g_hash_table_lookup(c->entries, GUINT_TO_POINTER(frame));
    if (!e) {
        e = insert(c, frame, FRAME_LOADING);
        load(c, e);
    } else if (e->state == FRAME_WANTED) {
        load(c, take_wanted(c, e));
    } else if (e->users++ == 0 && !take_up(c, e)) {
        e->state = FRAME_LOADING;
        load(c, e);
    } else {
        await(c, e);
    }
    return e;
}

static void *
load_ahead(void *user)
{
    struct framecache *c = user;
    HOLD(&c->lock);
    while (!c->ending) {
        if (!c->wanted.head) {
            c->sleeping++;
            g_cond_wait(&c->wake, &c->lock);
            continue;
        }
        struct entry *e = take_wanted(c, c->wanted.head->data);
        load(c, e);
        release(c, e);
    }
    return NULL;
}

/* As many threads as there is work for; who is awake finds it anyway. */
static void
wake_ahead(struct framecache *c)
{
    for (unsigned i = 0; i < c->threads && !c->ahead[i]; i++)
        c->ahead[i] = g_thread_new("read-ahead", load_ahead, c);
    for (guint n = c->wanted.length; n > 0 && c->sleeping > 0; n--) {
        c->sleeping--;
        g_cond_signal(&c->wake);
    }
}

void
framecache_ahead(struct framecache *c, const uint32_t *frames, unsigned count)
{
    HOLD(&c->lock);
    for (unsigned i = 0; i < count; i++)
        if (!g_hash_table_contains(c->entries, GUINT_TO_POINTER(frames[i])))
            g_queue_push_tail_link(&c->wanted, &insert(c, frames[i], FRAME_WANTED)->link);
    if (c->wanted.head)
        wake_ahead(c);
}

/* Nobody has it or decodes it; it is not wanted ahead any more, either. */
static bool
is_left_to_us(struct framecache *c, uint32_t frame)
{
    HOLD(&c->lock);
    struct entry *e = g_hash_table_lookup(c->entries, GUINT_TO_POINTER(frame));
    if (e && e->state != FRAME_WANTED)
        return false;
    if (e)
        forget(c, take_wanted(c, e));
    return true;
}

/* A little of a frame that is lent: it stays lent, which is cheaper than taking it back and lending another.  False: not this way. */
static bool
peek(struct framecache *c, uint32_t frame, uint32_t raw, void *to, size_t len)
{
    HOLD(&c->lock);
    struct entry *e = g_hash_table_lookup(c->entries, GUINT_TO_POINTER(frame));
    if (!e || !e->marks || raw > e->length || len > e->length - raw || !lend_peek(e->buffer.data, e->marks, raw, to, len))
        return false;
    g_queue_unlink(&c->lent, &e->link);
    g_queue_push_head_link(&c->lent, &e->link);
    return true;
}

bool
framecache_copy(struct framecache *c, uint32_t frame, uint32_t raw, void *to, size_t len, GError **err)
{
    unsigned index;
    const struct log_reader *r = locate(c, frame, &index, err);
    if (!r)
        return false;
    if (raw == 0 && len == log_reader_frame(r, index)->raw_length && is_left_to_us(c, frame))
        return log_reader_data(r, index, to, err);
    if (len <= PEEK_MOST && peek(c, frame, raw, to, len))
        return true;
    g_mutex_lock(&c->lock);
    struct entry *e = acquire(c, frame);
    bool ok = e->state == FRAME_READY;
    if (!ok && err)
        *err = g_error_copy(e->error);
    g_mutex_unlock(&c->lock);
    if (ok && (raw > e->length || len > e->length - raw))
        ok = err_set(err, ERR_CORRUPT, "A frame of a change log is shorter than its extents.");
    if (ok)
        memcpy(to, e->buffer.data + raw, len);
    HOLD(&c->lock);
    if (ok)
        note_copied(e, raw, len);
    release(c, e);
    return ok;
}

uint64_t
framecache_decoded(struct framecache *c)
{
    HOLD(&c->lock);
    return c->decoded;
}

void
framecache_lose(struct framecache *c)
{
    HOLD(&c->lock);
    for (GList *at = c->lent.head; at; at = at->next) {
        struct entry *e = at->data;
        lend_lose(e->buffer.data, e->length);
    }
}
