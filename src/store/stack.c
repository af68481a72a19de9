/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/stack.h"

#include "base/clean.h"
#include "base/err.h"

#include <string.h>

#define FRAMES_MAX (UINT32_MAX - 1) /* the last number means "zeros" in flat.h */

struct layer {
    struct log_reader *reader; /* atomic where it was promised */
    struct stack_promise promise; /* path NULL: none */
    uint32_t first;
    bool used;
};

struct stack {
    GMutex lock; /* held while a promised log is opened */
    GArray *layers;
    uint32_t frames;
};

#define LAYER(s, i) g_array_index((s)->layers, struct layer, i)

struct stack *
stack_new(void)
{
    struct stack *s = g_new0(struct stack, 1);
    g_mutex_init(&s->lock);
    s->layers = g_array_new(FALSE, FALSE, sizeof(struct layer));
    return s;
}

static void
promise_clear(struct stack_promise *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    g_clear_pointer(&p->path, g_free);
}

void
stack_free(struct stack *s)
{
    if (!s)
        return;
    for (guint i = 0; i < s->layers->len; i++) {
        log_reader_close(LAYER(s, i).reader);
        promise_clear(&LAYER(s, i).promise);
    }
    g_array_unref(s->layers);
    g_mutex_clear(&s->lock);
    g_free(s);
}

static bool
push(struct stack *s, const struct layer *layer, uint32_t frames, GError **err)
{
    if (frames > FRAMES_MAX - s->frames)
        return err_set(err, ERR_NOT_SUPPORTED, "These logs have more than %u frames together.", FRAMES_MAX);
    s->frames += frames;
    g_array_append_vals(s->layers, layer, 1);
    return true;
}

bool
stack_push(struct stack *s, struct log_reader *r, GError **err)
{
    const struct layer layer = {.reader = r, .promise.fd = -1, .first = s->frames};
    const bool ok = push(s, &layer, log_reader_frames(r), err);
    if (!ok)
        log_reader_close(r);
    return ok;
}

bool
stack_push_promise(struct stack *s, struct stack_promise *p, GError **err)
{
    const struct layer layer = {.promise = *p, .first = s->frames, .used = true};
    const bool ok = push(s, &layer, p->frames, err);
    if (!ok)
        promise_clear(p);
    return ok;
}

unsigned
stack_count(const struct stack *s)
{
    return s->layers->len;
}

const struct log_reader *
stack_reader(const struct stack *s, unsigned layer)
{
    return LAYER(s, layer).reader;
}

static struct log_reader *
keep_promise(struct stack_promise *p, GError **err)
{
    struct log_reader *r = p->fd >= 0 ? log_reader_open_fd(g_steal_fd(&p->fd), p->path, err) : log_reader_open(p->path, err);
    if (r && log_reader_frames(r) == p->frames && memcmp(log_reader_digest(r), p->digest, LOG_DIGEST) == 0)
        return r;
    if (r)
        err_set(err, ERR_CORRUPT, "Change log '%s' is not the one that the saved index describes. Open the recovery point again.", p->path);
    log_reader_close(r);
    return NULL;
}

const struct log_reader *
stack_open(struct stack *s, unsigned layer, GError **err)
{
    struct layer *l = &LAYER(s, layer);
    struct log_reader *r = g_atomic_pointer_get(&l->reader);
    if (r || !l->promise.path)
        return r;
    HOLD(&s->lock);
    r = g_atomic_pointer_get(&l->reader);
    if (!r && (r = keep_promise(&l->promise, err)))
        g_atomic_pointer_set(&l->reader, r);
    return r;
}

uint32_t
stack_first_frame(const struct stack *s, unsigned layer)
{
    return layer < s->layers->len ? LAYER(s, layer).first : s->frames;
}

void
stack_locate(const struct stack *s, uint32_t frame, unsigned *layer, unsigned *frame_of_layer)
{
    guint low = 0, high = s->layers->len;
    while (high - low > 1) {
        guint mid = low + (high - low) / 2;
        if (LAYER(s, mid).first <= frame)
            low = mid;
        else
            high = mid;
    }
    *layer = low;
    *frame_of_layer = frame - LAYER(s, low).first;
}

void
stack_mark_used(struct stack *s, unsigned layer)
{
    LAYER(s, layer).used = true;
}

void
stack_close_unused(struct stack *s)
{
    for (guint i = 0; i < s->layers->len; i++)
        if (!LAYER(s, i).used)
            g_clear_pointer(&LAYER(s, i).reader, log_reader_close);
}
