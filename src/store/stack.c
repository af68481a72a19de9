/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/stack.h"

#include "base/err.h"

#define FRAMES_MAX (UINT32_MAX - 1) /* the last number means "zeros" in flat.h */

struct layer {
    struct log_reader *reader;
    uint32_t first;
    bool used;
};

struct stack {
    GArray *layers;
    uint32_t frames;
};

#define LAYER(s, i) g_array_index((s)->layers, struct layer, i)

struct stack *
stack_new(void)
{
    struct stack *s = g_new0(struct stack, 1);
    s->layers = g_array_new(FALSE, FALSE, sizeof(struct layer));
    return s;
}

void
stack_free(struct stack *s)
{
    if (!s)
        return;
    for (guint i = 0; i < s->layers->len; i++)
        log_reader_close(LAYER(s, i).reader);
    g_array_unref(s->layers);
    g_free(s);
}

bool
stack_push(struct stack *s, struct log_reader *r, GError **err)
{
    struct layer layer = {r, s->frames, false};
    if (log_reader_frames(r) > FRAMES_MAX - s->frames) {
        log_reader_close(r);
        return err_set(err, ERR_NOT_SUPPORTED, "These logs have more than %u frames together.", FRAMES_MAX);
    }
    s->frames += log_reader_frames(r);
    g_array_append_val(s->layers, layer);
    return true;
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

uint32_t
stack_first_frame(const struct stack *s, unsigned layer)
{
    return LAYER(s, layer).first;
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
