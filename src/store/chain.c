/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/chain.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"

#include <fcntl.h>
#include <string.h>

#define REGION ((uint64_t)128 << 20) /* measured: docs/benchmarks.md */
#define REGION_SECTORS (REGION / LOG_SECTOR)

/* Layers first .. first + count - 1 of the stack: opened logs, or those of a span. */
struct part {
    unsigned first, count;
    struct span *span;
};

struct chain {
    struct stack *stack;
    GArray *parts; /* newest first */
    struct uuid parent;
    GMutex lock;   /* held while regions are put together */
};

#define PART(c, i) g_array_index((c)->parts, struct part, i)

struct source {
    const struct part *part;
    struct flat *flat;  /* of opened logs, or of a span's logs when it is damaged */
    uint64_t limit;     /* sectors: what it says from here on does not count */
};

struct chain_disk {
    struct chain *chain;
    uint16_t id;
    uint64_t size, below;
    GArray *sources;
    bool plain;            /* its only source was flat from the beginning, and says all; else a source may become flat, under the lock */
    struct flat **regions; /* atomic; NULL: not wanted yet */
    size_t count;
};

#define SOURCE(d, i) g_array_index((d)->sources, struct source, i)

static uint64_t
sectors_of(uint64_t bytes)
{
    return bytes / LOG_SECTOR + (bytes % LOG_SECTOR != 0);
}

/* ---- following the logs ---- */

struct walk {
    const struct chain_request *r;
    struct chain *c;
    GArray *spans; /* of layout_span */
    guint at;      /* in entries */
    bool *again;
};

static void
add_layer(struct chain *c, struct span *span)
{
    struct part *last = c->parts->len ? &PART(c, c->parts->len - 1) : NULL;
    if (last && !last->span && !span) {
        last->count++;
        return;
    }
    const unsigned count = span ? span_logs(span) : 1;
    const struct part p = {stack_count(c->stack) - count, count, span};
    g_array_append_val(c->parts, p);
}

static bool
promise(const struct walk *w, const struct span_log *log, struct stack_promise *p)
{
    *p = (struct stack_promise){.fd = -1, .path = layout_log_path(w->r->dir, log->sequence, &log->id), .frames = log->frames};
    memcpy(p->digest, log->digest, sizeof p->digest);
    auto_fd fd = open(p->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !log_has_digest(fd, log->file_bytes, log->digest))
        return false;
    if (w->r->hold)
        p->fd = g_steal_fd(&fd);
    return true;
}

static void
promises_free(GArray *promises)
{
    for (guint i = 0; i < promises->len; i++) {
        struct stack_promise *p = &g_array_index(promises, struct stack_promise, i);
        if (p->fd >= 0)
            close(p->fd);
        g_free(p->path);
    }
    g_array_unref(promises);
}

/* All of a span's logs, or nothing: one that was merged meanwhile makes the span worthless. */
static GArray *
promise_all(const struct walk *w, const struct span *span)
{
    GArray *promises = g_array_sized_new(FALSE, FALSE, sizeof(struct stack_promise), span_logs(span));
    for (unsigned i = 0; i < span_logs(span); i++) {
        struct stack_promise p;
        const bool ok = promise(w, span_log(span, i), &p);
        g_array_append_val(promises, p);
        if (!ok) {
            promises_free(promises);
            return NULL;
        }
    }
    return promises;
}

static bool
fits(const struct walk *w, const struct span *span, const struct layout_entry *e)
{
    return uuid_equal(&span_log(span, 0)->id, &e->id) && span_log(span, span_logs(span) - 1)->sequence > w->r->end_sequence;
}

/* Takes the span, also when it does not fit. */
static bool
push_span(struct walk *w, struct span *span, const struct layout_entry *e)
{
    g_autoptr(GArray) promises = fits(w, span, e) ? promise_all(w, span) : NULL;
    bool ok = promises != NULL;
    if (ok && span_frames(span) + (uint64_t)stack_first_frame(w->c->stack, stack_count(w->c->stack)) >= FLAT_ZERO - 1) {
        promises_free(g_steal_pointer(&promises));
        ok = false;
    }
    for (guint i = 0; ok && i < promises->len; i++)
        stack_push_promise(w->c->stack, &g_array_index(promises, struct stack_promise, i), NULL);
    if (!ok) {
        span_free(span);
        return false;
    }
    add_layer(w->c, span);
    w->c->parent = *span_parent(span);
    return true;
}

/* The longest span that ends with the log. */
static bool
take_span(struct walk *w)
{
    const struct layout_entry *e = &g_array_index(w->r->entries, struct layout_entry, w->at);
    for (guint i = 0; i < w->spans->len; i++) {
        const struct layout_span *name = &g_array_index(w->spans, struct layout_span, i);
        if (name->last != e->sequence)
            continue;
        g_autoptr(GError) why = NULL;
        g_autofree char *path = layout_span_path(w->r->dir, name->first, name->last);
        struct span *span = span_open(path, &w->r->vm, &why);
        if (span && push_span(w, span, e))
            return true;
        log_debug("The saved index '%s' is not used: %s", path, why ? why->message : "its logs were merged.");
    }
    return false;
}

static bool
take_log(struct walk *w, GError **err)
{
    const struct layout_entry *e = &g_array_index(w->r->entries, struct layout_entry, w->at);
    g_autofree char *path = layout_log_path(w->r->dir, e->sequence, &e->id);
    GError *why = NULL;
    struct log_reader *r = log_reader_open(path, &why);
    if (!r) {
        *w->again = err_is(why, ERR_NOT_FOUND);
        g_propagate_error(err, why);
        return false;
    }
    if (!stack_push(w->c->stack, r, err))
        return false;
    add_layer(w->c, NULL);
    w->c->parent = log_reader_info(r)->parent;
    return true;
}

/* Nearly always the one before.  A parent that is not there was merged meanwhile, or is lost: the next attempt tells. */
static bool
step_down(struct walk *w, GError **err)
{
    const struct uuid *parent = &w->c->parent;
    const GArray *entries = w->r->entries;
    const struct layout_entry *e = w->at > 0 ? &g_array_index(entries, struct layout_entry, w->at - 1) : NULL;
    char id[UUID_TEXT];
    if (!e || !uuid_equal(&e->id, parent))
        e = layout_find(entries, parent);
    if (e && e != &g_array_index(entries, struct layout_entry, w->at)) {
        w->at = (guint)(e - &g_array_index(entries, struct layout_entry, 0));
        return true;
    }
    *w->again = true;
    return err_set(err, ERR_CORRUPT, "The store '%s' lacks the change log '%s'.", w->r->dir, uuid_format(parent, id));
}

static bool
follow(struct walk *w, GError **err)
{
    for (;;) {
        if (!take_span(w) && !take_log(w, err))
            return false;
        if (uuid_equal(&w->c->parent, &w->r->end))
            return true;
        if (!step_down(w, err))
            return false;
    }
}

struct chain *
chain_open(const struct chain_request *r, bool *again, GError **err)
{
    struct chain *c = g_new0(struct chain, 1);
    g_autoptr(GArray) spans = layout_list_spans(r->dir);
    struct walk w = {r, c, spans, (guint)(r->from - &g_array_index(r->entries, struct layout_entry, 0)), again};
    g_mutex_init(&c->lock);
    c->stack = stack_new();
    c->parts = g_array_new(FALSE, FALSE, sizeof(struct part));
    if (follow(&w, err) && stack_open(c->stack, 0, err))
        return c;
    chain_free(c);
    return NULL;
}

void
chain_free(struct chain *c)
{
    if (!c)
        return;
    for (guint i = 0; i < c->parts->len; i++)
        span_free(PART(c, i).span);
    g_array_unref(c->parts);
    stack_free(c->stack);
    g_mutex_clear(&c->lock);
    g_free(c);
}

struct stack *
chain_stack(struct chain *c)
{
    return c->stack;
}

static void
add_log(const struct log_reader *r, GArray *out)
{
    const struct log_info *info = log_reader_info(r);
    struct span_log log = {.id = info->id, .sequence = info->sequence, .file_bytes = log_reader_file_bytes(r)};
    log.frames = log_reader_frames(r);
    memcpy(log.digest, log_reader_digest(r), sizeof log.digest);
    g_array_append_val(out, log);
}

GArray *
chain_logs(const struct chain *c)
{
    GArray *out = g_array_new(FALSE, FALSE, sizeof(struct span_log));
    for (guint i = 0; i < c->parts->len; i++) {
        const struct part *p = &PART(c, i);
        for (unsigned n = 0; n < p->count; n++)
            if (p->span)
                g_array_append_vals(out, span_log(p->span, n), 1);
            else
                add_log(stack_reader(c->stack, p->first + n), out);
    }
    return out;
}

const struct uuid *
chain_parent(const struct chain *c)
{
    return &c->parent;
}

void
chain_ready(struct chain *c)
{
    stack_close_unused(c->stack);
}

/* ---- a disk ---- */

/* NULL: the newest of these logs does not have the disk, so nothing of it comes from them or from below. */
static struct flat *
flatten(struct chain *c, const struct part *p, uint16_t disk)
{
    const struct log_disk *d = log_info_disk(log_reader_info(stack_reader(c->stack, p->first)), disk);
    return d ? flat_new(c->stack, p->first, p->count, disk, d->size) : NULL;
}

static void
add_source(struct chain_disk *d, const struct part *p)
{
    struct source s = {.part = p, .limit = sectors_of(d->below)};
    uint64_t below;
    if (p->span) {
        below = span_below(p->span, d->id);
    } else {
        s.flat = flatten(d->chain, p, d->id);
        below = s.flat ? flat_below(s.flat) : 0;
    }
    if (p->span || s.flat)
        g_array_append_val(d->sources, s);
    d->below = MIN(d->below, below);
}

struct chain_disk *
chain_disk_new(struct chain *c, uint16_t disk, uint64_t size)
{
    struct chain_disk *d = g_new0(struct chain_disk, 1);
    d->chain = c;
    d->id = disk;
    d->size = d->below = size;
    d->sources = g_array_new(FALSE, FALSE, sizeof(struct source));
    for (guint i = 0; i < c->parts->len && d->below > 0; i++)
        add_source(d, &PART(c, i));
    d->plain = c->parts->len == 1 && d->sources->len == 1 && SOURCE(d, 0).flat;
    d->count = (size_t)(size / REGION + 1);
    d->regions = g_new0(struct flat *, d->count);
    return d;
}

void
chain_disk_free(struct chain_disk *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < d->count; i++)
        flat_free(d->regions[i]);
    for (guint i = 0; i < d->sources->len; i++)
        flat_free(SOURCE(d, i).flat);
    g_free(d->regions);
    g_array_unref(d->sources);
    g_free(d);
}

uint64_t
chain_disk_below(const struct chain_disk *d)
{
    return d->below;
}

/* What the span would have said. */
static bool
replace_span(struct chain_disk *d, struct source *s, GError **err)
{
    for (unsigned i = 0; i < s->part->count; i++)
        if (!stack_open(d->chain->stack, s->part->first + i, err))
            return false;
    s->flat = flatten(d->chain, s->part, d->id);
    return true;
}

static struct flat_part
of_flat(const struct flat *f, uint64_t from, uint64_t to, uint64_t limit)
{
    const size_t first = flat_first_after(f, from * LOG_SECTOR), end = flat_first_after(f, to * LOG_SECTOR);
    const size_t count = MIN(end + 1, flat_count(f)) - first; /* one may reach over the end */
    return (struct flat_part){count ? flat_at(f, first) : NULL, count, limit};
}

/* With the lock held.  `buffer` is where a span's segments go. */
static bool
describe(struct chain_disk *d, struct source *s, uint64_t from, uint64_t to, GArray *buffer, struct flat_part *out, GError **err)
{
    g_autoptr(GError) why = NULL;
    const uint32_t frame = stack_first_frame(d->chain->stack, s->part->first);
    if (!s->flat && !span_read(s->part->span, d->id, from, to, frame, buffer, &why)) {
        log_debug("%s Its logs are read instead.", why->message);
        if (!replace_span(d, s, err))
            return false;
    }
    if (s->flat)
        *out = of_flat(s->flat, from, to, s->limit);
    else
        *out = (struct flat_part){(const struct flat_segment *)(gpointer)buffer->data, buffer->len, s->limit};
    return true;
}

static struct flat *
put_together(struct chain_disk *d, size_t region, GError **err)
{
    const guint count = d->sources->len;
    const uint64_t from = region * REGION_SECTORS, to = MIN(from + REGION_SECTORS, sectors_of(d->size));
    g_autofree struct flat_part *parts = g_new0(struct flat_part, count);
    g_autoptr(GPtrArray) buffers = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
    for (guint i = 0; i < count; i++) {
        GArray *buffer = g_array_new(FALSE, FALSE, sizeof(struct flat_segment));
        g_ptr_array_add(buffers, buffer);
        if (!describe(d, &SOURCE(d, i), from, to, buffer, &parts[i], err))
            return NULL;
    }
    return flat_merge(parts, count, from, to, sectors_of(d->below));
}

const struct flat *
chain_disk_at(struct chain_disk *d, uint64_t off, uint64_t *end, GError **err)
{
    const size_t region = (size_t)(off / REGION);
    if (d->plain) {
        *end = UINT64_MAX;
        return SOURCE(d, 0).flat;
    }
    *end = (region + 1) * REGION;
    struct flat *f = g_atomic_pointer_get(&d->regions[region]);
    if (f)
        return f;
    HOLD(&d->chain->lock);
    f = g_atomic_pointer_get(&d->regions[region]);
    if (!f && (f = put_together(d, region, err)))
        g_atomic_pointer_set(&d->regions[region], f);
    return f;
}
