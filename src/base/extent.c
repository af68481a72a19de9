/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/extent.h"

/* A sorted array.  Appending at the end, which is what every producer does, costs nothing; inserting in the middle moves the tail. */
struct extents {
    GArray *items; /* struct extent */
};

#define AT(set, i) g_array_index((set)->items, struct extent, i)

struct extents *
extents_new(void)
{
    struct extents *set = g_new0(struct extents, 1);
    set->items = g_array_new(FALSE, FALSE, sizeof(struct extent));
    return set;
}

void
extents_free(struct extents *set)
{
    if (!set)
        return;
    g_array_unref(set->items);
    g_free(set);
}

void
extents_clear(struct extents *set)
{
    g_array_set_size(set->items, 0);
}

size_t
extents_count(const struct extents *set)
{
    return set->items->len;
}

const struct extent *
extents_at(const struct extents *set, size_t i)
{
    g_assert(i < set->items->len);
    return &AT(set, i);
}

static uint64_t
end_of(const struct extent *e)
{
    return e->offset + e->length;
}

/* Index of the first range that ends after `offset`. */
static guint
first_after(const struct extents *set, uint64_t offset)
{
    guint low = 0, high = set->items->len;
    while (low < high) {
        guint mid = low + (high - low) / 2;
        if (end_of(&AT(set, mid)) > offset)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* Removes [offset, end) from the set and returns where a range at `offset` belongs. */
static guint
cut(struct extents *set, uint64_t offset, uint64_t end)
{
    guint i = first_after(set, offset);
    if (i < set->items->len && AT(set, i).offset < offset) {
        struct extent left = AT(set, i), right = left;
        left.length = offset - left.offset;
        AT(set, i++) = left;
        if (end_of(&right) > end) {
            right.length = end_of(&right) - end;
            right.offset = end;
            g_array_insert_val(set->items, i, right);
            return i;
        }
    }
    guint last = i;
    while (last < set->items->len && end_of(&AT(set, last)) <= end)
        last++;
    if (last > i)
        g_array_remove_range(set->items, i, last - i);
    if (i < set->items->len && AT(set, i).offset < end) {
        struct extent *e = &AT(set, i);
        e->length = end_of(e) - end;
        e->offset = end;
    }
    return i;
}

static bool
joins(const struct extent *a, const struct extent *b)
{
    return a->kind == b->kind && end_of(a) == b->offset;
}

void
extents_add(struct extents *set, uint64_t offset, uint64_t length, enum extent_kind kind)
{
    if (length == 0)
        return;
    struct extent new = {offset, length, kind};
    guint i = cut(set, offset, offset + length);
    if (i > 0 && joins(&AT(set, i - 1), &new)) {
        AT(set, --i).length += length;
    } else {
        g_array_insert_val(set->items, i, new);
    }
    if (i + 1 < set->items->len && joins(&AT(set, i), &AT(set, i + 1))) {
        AT(set, i).length += AT(set, i + 1).length;
        g_array_remove_index(set->items, i + 1);
    }
}

uint64_t
extents_bytes(const struct extents *set)
{
    uint64_t sum = 0;
    for (guint i = 0; i < set->items->len; i++)
        sum += AT(set, i).length;
    return sum;
}

uint64_t
extents_bytes_of(const struct extents *set, enum extent_kind kind)
{
    uint64_t sum = 0;
    for (guint i = 0; i < set->items->len; i++)
        sum += AT(set, i).kind == kind ? AT(set, i).length : 0;
    return sum;
}

void
extents_clip(struct extents *set, uint64_t size)
{
    cut(set, size, UINT64_MAX);
}

struct extents *
extents_intersect(const struct extents *a, const struct extents *b)
{
    struct extents *out = extents_new();
    for (guint i = 0, j = 0; i < a->items->len && j < b->items->len;) {
        const struct extent *x = &AT(a, i), *y = &AT(b, j);
        uint64_t from = MAX(x->offset, y->offset), to = MIN(end_of(x), end_of(y));
        if (from < to)
            extents_add(out, from, to - from, y->kind);
        if (end_of(x) < end_of(y))
            i++;
        else
            j++;
    }
    return out;
}
