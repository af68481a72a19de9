/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/flat.h"

#include "store/coverage.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SEGMENT_SECTORS_MAX (1u << 30)
#define DIGIT_BITS 11
#define DIGITS (1u << DIGIT_BITS)
#define AHEAD 16
#define HUGE_PAGE ((size_t)2 << 20)

struct flat {
    struct flat_segment *segments;
    size_t count, room;
    uint64_t below;
};

/* An extent of a log, before it is known what of it survives; in sectors. */
struct wish {
    uint64_t from, to;
    uint32_t frame, raw;
};

struct builder {
    struct flat *flat;
    struct coverage *coverage;
    GArray *gaps, *wishes; /* of coverage_gap; of struct wish */
    uint64_t origin;       /* the sector that coverage calls 0 */
};

static uint64_t
sectors_of(uint64_t bytes)
{
    return bytes / LOG_SECTOR + (bytes % LOG_SECTOR != 0);
}

/* Tens of megabytes for a day of points, written all over by the sort: in pages of 2 MiB, where the kernel has them. */
static struct flat_segment *
segments_new(size_t room)
{
    const size_t bytes = room * sizeof(struct flat_segment);
    if (bytes < HUGE_PAGE)
        return g_new(struct flat_segment, room);
    void *memory = aligned_alloc(HUGE_PAGE, (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    if (!memory)
        g_error("There is no memory for %zu segments of a recovery point.", room);
    madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

static void
make_room(struct flat *f)
{
    f->room = MAX(f->room * 2, 64);
    struct flat_segment *more = segments_new(f->room);
    if (f->count)
        memcpy(more, f->segments, f->count * sizeof *more);
    free(f->segments);
    f->segments = more;
}

static void
emit(struct flat *f, uint64_t sector, uint64_t sectors, uint32_t frame, uint32_t raw)
{
    while (sectors > 0) {
        uint32_t n = (uint32_t)MIN(sectors, SEGMENT_SECTORS_MAX);
        if (f->count == f->room)
            make_room(f);
        f->segments[f->count++] = (struct flat_segment){sector * LOG_SECTOR, n, frame, raw};
        sector += n;
        sectors -= n;
        raw += frame == FLAT_ZERO ? 0 : n * LOG_SECTOR;
    }
}

static void
claim(struct builder *b, uint64_t from, uint64_t to, uint32_t frame, uint32_t raw)
{
    g_array_set_size(b->gaps, 0);
    coverage_claim(b->coverage, from - b->origin, to - b->origin, b->gaps);
    for (guint i = 0; i < b->gaps->len; i++) {
        const struct coverage_gap *gap = &g_array_index(b->gaps, struct coverage_gap, i);
        const uint64_t start = gap->from + b->origin;
        uint32_t skip = frame == FLAT_ZERO ? 0 : (uint32_t)((start - from) * LOG_SECTOR);
        emit(b->flat, start, gap->to - gap->from, frame, raw + skip);
    }
}

static void
wish_frame(struct builder *b, const struct log_frame *frame, uint32_t number)
{
    struct log_extent_iter it = log_frame_extents(frame);
    struct log_extent e;
    uint64_t limit = sectors_of(b->flat->below);

    while (log_extent_next(&it, &e)) {
        const uint64_t end = MIN(sectors_of(e.offset + e.length), limit);
        const struct wish w = {e.offset / LOG_SECTOR, end, e.zero ? FLAT_ZERO : number, e.raw_offset};
        if (w.from < w.to)
            g_array_append_val(b->wishes, w);
    }
}

/* Extents of one log are far apart: each would wait for its part of the bitmap. */
static void
claim_wishes(struct builder *b)
{
    const struct wish *w = (const struct wish *)(gpointer)b->wishes->data;
    for (guint i = 0; i < b->wishes->len; i++) {
        if (i + AHEAD < b->wishes->len)
            coverage_expect(b->coverage, w[i + AHEAD].from);
        claim(b, w[i].from, w[i].to, w[i].frame, w[i].raw);
    }
}

/* Within a log the later frame wins, so it is seen first. */
static void
add_layer(struct builder *b, struct stack *s, unsigned layer, uint16_t disk)
{
    const struct log_reader *r = stack_reader(s, layer);
    const struct log_disk *d = log_info_disk(log_reader_info(r), disk);
    size_t before = b->flat->count;

    b->flat->below = MIN(b->flat->below, d ? d->size : 0);
    if (b->flat->below == 0)
        return;
    g_array_set_size(b->wishes, 0);
    for (unsigned i = log_reader_frames(r); i-- > 0;) {
        const struct log_frame *frame = log_reader_frame(r, i);
        if (frame->disk == disk)
            wish_frame(b, frame, stack_first_frame(s, layer) + i);
    }
    claim_wishes(b);
    if (b->flat->count > before)
        stack_mark_used(s, layer);
}

/* Room for every extent at once: most survive, and growing would copy tens of megabytes again and again. */
static size_t
count_extents(const struct stack *s, unsigned first, unsigned count, uint16_t disk)
{
    size_t sum = 0;
    for (unsigned layer = first; layer < first + count; layer++) {
        const struct log_reader *r = stack_reader(s, layer);
        for (unsigned i = 0; i < log_reader_frames(r); i++)
            if (log_reader_frame(r, i)->disk == disk)
                sum += log_reader_frame(r, i)->extent_count;
    }
    return sum;
}

/* By the sector, counted from `origin`. */
static void
sort_digit(const struct flat_segment *from, struct flat_segment *to, size_t count, uint64_t origin, unsigned shift)
{
    size_t place[DIGITS] = {0}, sum = 0;
    for (size_t i = 0; i < count; i++)
        place[((from[i].offset / LOG_SECTOR - origin) >> shift) % DIGITS]++;
    for (unsigned d = 0; d < DIGITS; d++) {
        size_t n = place[d];
        place[d] = sum;
        sum += n;
    }
    for (size_t i = 0; i < count; i++)
        to[place[((from[i].offset / LOG_SECTOR - origin) >> shift) % DIGITS]++] = from[i];
}

static void
sort(struct flat *f, uint64_t origin, uint64_t sectors)
{
    bool sorted = true;
    for (size_t i = 1; i < f->count && sorted; i++)
        sorted = f->segments[i - 1].offset < f->segments[i].offset;
    if (sorted)
        return;
    struct flat_segment *other = segments_new(f->count);
    for (unsigned shift = 0; sectors >> shift; shift += DIGIT_BITS) {
        sort_digit(f->segments, other, f->count, origin, shift);
        struct flat_segment *swap = f->segments;
        f->segments = other;
        other = swap;
    }
    f->room = f->count;
    free(other);
}

struct flat *
flat_new(struct stack *s, unsigned first, unsigned count, uint16_t disk, uint64_t size)
{
    struct flat *f = g_new0(struct flat, 1);
    struct builder b = {f, coverage_new(sectors_of(size)), g_array_new(FALSE, FALSE, sizeof(struct coverage_gap)),
                        g_array_new(FALSE, FALSE, sizeof(struct wish)), 0};

    f->below = size;
    f->room = count_extents(s, first, count, disk);
    f->segments = segments_new(f->room);
    for (unsigned layer = first; layer < first + count && f->below > 0; layer++)
        add_layer(&b, s, layer, disk);
    claim(&b, sectors_of(f->below), sectors_of(size), FLAT_ZERO, 0);
    sort(f, 0, sectors_of(size));
    coverage_free(b.coverage);
    g_array_unref(b.gaps);
    g_array_unref(b.wishes);
    return f;
}

static void
claim_part(struct builder *b, const struct flat_part *p, uint64_t from, uint64_t to)
{
    to = MIN(to, p->limit);
    for (size_t i = 0; i < p->count; i++) {
        const struct flat_segment *s = &p->segments[i];
        const uint64_t start = s->offset / LOG_SECTOR, first = MAX(start, from), end = MIN(start + s->sectors, to);
        const uint32_t skip = s->frame == FLAT_ZERO ? 0 : (uint32_t)((first - start) * LOG_SECTOR);
        if (first < end)
            claim(b, first, end, s->frame, s->raw + skip);
    }
}

struct flat *
flat_merge(const struct flat_part *parts, unsigned count, uint64_t from, uint64_t to, uint64_t zero_from)
{
    struct flat *f = g_new0(struct flat, 1);
    struct builder b = {f, coverage_new(to - from), g_array_new(FALSE, FALSE, sizeof(struct coverage_gap)), NULL, from};

    for (unsigned i = 0; i < count; i++)
        f->room += parts[i].count;
    f->below = zero_from * LOG_SECTOR;
    f->segments = segments_new(f->room);
    for (unsigned i = 0; i < count; i++)
        claim_part(&b, &parts[i], from, to);
    if (zero_from < to)
        claim(&b, MAX(from, zero_from), to, FLAT_ZERO, 0);
    sort(f, from, to - from);
    coverage_free(b.coverage);
    g_array_unref(b.gaps);
    return f;
}

void
flat_free(struct flat *f)
{
    if (!f)
        return;
    free(f->segments);
    g_free(f);
}

size_t
flat_count(const struct flat *f)
{
    return f->count;
}

const struct flat_segment *
flat_at(const struct flat *f, size_t i)
{
    g_assert(i < f->count);
    return &f->segments[i];
}

size_t
flat_first_after(const struct flat *f, uint64_t offset)
{
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct flat_segment *s = &f->segments[mid];
        if (s->offset + (uint64_t)s->sectors * LOG_SECTOR > offset)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

uint64_t
flat_below(const struct flat *f)
{
    return f->below;
}
