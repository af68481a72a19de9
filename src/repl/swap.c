/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/swap.h"

#include "base/bytes.h"

#include <string.h>

enum { PAGE = 4096, SECTOR = 512, PAGE_MOST = 64 << 10, LOGICAL_MOST = 64, ENTRIES_MOST = 1024, ENTRY_MOST = 4096, TABLE_MOST = 1 << 20 };
static const guint8 SWAP_TYPE[16] = { 0x6d, 0xfd, 0x57, 0x06, 0xab, 0xa4, 0xc4, 0x43, 0x84, 0xe5, 0x09, 0x33, 0xc8, 0x4b, 0x4f, 0x4f };
static const char SIGNATURE[] = "SWAPSPACE2";
enum { SIGNATURE_BYTES = sizeof SIGNATURE - 1, MBR_SWAP = 0x82 };

struct part {
    guint64 offset, length;
    bool swap;
};

struct look {
    struct block *block;
    GTree *pages; /* number -> GBytes: all that was looked at and matters */
    GArray *parts;
};

static gint
by_number(gconstpointer a, gconstpointer b, gpointer unused)
{
    const guint64 x = *(const guint64 *)a, y = *(const guint64 *)b;
    return x < y ? -1 : x > y;
}

static GBytes *
page_of(struct look *l, guint64 number, GError **err)
{
    GBytes *known = g_tree_lookup(l->pages, &number);
    if (known)
        return known;
    const gsize n = (gsize)MIN(PAGE, l->block->size - number * PAGE);
    g_autofree guint8 *data = g_malloc(n);
    if (!block_read(l->block, data, n, number * PAGE, err))
        return NULL;
    GBytes *page = g_bytes_new_take(g_steal_pointer(&data), n);
    g_tree_insert(l->pages, g_memdup2(&number, sizeof number), page);
    return page;
}

static bool
is_inside(const struct look *l, guint64 offset, guint64 length)
{
    return offset <= l->block->size && length <= l->block->size - offset;
}

/* Bytes that the answer depends on; inside the disk. */
static bool
get(struct look *l, void *out, gsize length, guint64 offset, GError **err)
{
    for (guint8 *to = out; length > 0;) {
        GBytes *page = page_of(l, offset / PAGE, err);
        if (!page)
            return false;
        const gsize at = offset % PAGE, n = MIN(length, g_bytes_get_size(page) - at);
        memcpy(to, (const guint8 *)g_bytes_get_data(page, NULL) + at, n);
        to += n;
        offset += n;
        length -= n;
    }
    return true;
}

static guint32
u32(const guint8 *p)
{
    return (guint32)p[0] | (guint32)p[1] << 8 | (guint32)p[2] << 16 | (guint32)p[3] << 24;
}

static guint64
u64(const guint8 *p)
{
    return u32(p) | (guint64)u32(p + 4) << 32;
}

static guint32
crc32_of(const guint8 *p, gsize n)
{
    guint32 crc = ~0u;
    for (; n > 0; n--, p++) {
        crc ^= *p;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static void
add_part(struct look *l, guint64 first, guint64 count, guint unit, bool swap)
{
    const struct part p = { first * unit, count * unit, swap };
    if (count && first <= l->block->size / unit && count <= l->block->size / unit - first)
        g_array_append_val(l->parts, p);
}

/* ---- GPT ---- */

static void
read_entries(struct look *l, const guint8 *table, guint count, guint size, guint unit)
{
    static const guint8 unused[16];
    for (const guint8 *e = table; count > 0; count--, e += size)
        if (memcmp(e, unused, sizeof unused) != 0 && u64(e + 40) >= u64(e + 32))
            add_part(l, u64(e + 32), u64(e + 40) - u64(e + 32) + 1, unit, memcmp(e, SWAP_TYPE, sizeof SWAP_TYPE) == 0);
}

/* Sectors of `unit` bytes.  A table that is not whole has no partitions. */
static bool
read_gpt(struct look *l, guint unit, bool *found, GError **err)
{
    guint8 h[92], copy[92];
    *found = false;
    if (!is_inside(l, unit, sizeof h))
        return true;
    /* Not as what the answer depends on: a table begins with its first sector, and this may be in the middle of swap. */
    if (!block_read(l->block, h, sizeof h, unit, err))
        return false;
    *found = memcmp(h, "EFI PART", 8) == 0;
    if (*found && !get(l, h, sizeof h, unit, err))
        return false;
    memcpy(copy, h, sizeof h);
    memset(copy + 16, 0, 4);
    const guint64 at = u64(h + 72);
    const guint count = u32(h + 80), size = u32(h + 84);
    if (!*found || u32(h + 12) != sizeof h || u32(h + 16) != crc32_of(copy, sizeof copy) || u64(h + 24) != 1 || count > ENTRIES_MOST ||
        size < 128 || size > ENTRY_MOST || size % 128 || count * size > TABLE_MOST || at > l->block->size / unit ||
        !is_inside(l, at * unit, count * size))
        return true;
    g_autofree guint8 *table = g_malloc((gsize)count * size + 1);
    if (!get(l, table, (gsize)count * size, at * unit, err))
        return false;
    if (crc32_of(table, (gsize)count * size) == u32(h + 88))
        read_entries(l, table, count, size, unit);
    return true;
}

/* ---- MBR ---- */

static bool
is_extended(guint type)
{
    return type == 0x05 || type == 0x0f || type == 0x85;
}

static bool
read_logical(struct look *l, guint64 base, GError **err)
{
    guint64 at = base;
    for (guint n = 0; n < LOGICAL_MOST; n++) {
        guint8 s[SECTOR];
        if (!is_inside(l, at * SECTOR, SECTOR))
            return true;
        if (!get(l, s, sizeof s, at * SECTOR, err))
            return false;
        if (s[510] != 0x55 || s[511] != 0xaa)
            return true;
        const guint8 *one = s + 446, *next = s + 462;
        if (one[4])
            add_part(l, at + u32(one + 8), u32(one + 12), SECTOR, one[4] == MBR_SWAP);
        if (!is_extended(next[4]))
            return true;
        at = base + u32(next + 8);
    }
    return true;
}

static bool
read_mbr(struct look *l, const guint8 *s, GError **err)
{
    for (guint i = 0; i < 4; i++) {
        const guint8 *e = s + 446 + 16 * i;
        if (is_extended(e[4]) ? !read_logical(l, u32(e + 8), err) : false)
            return false;
        if (e[4] && !is_extended(e[4]))
            add_part(l, u32(e + 8), u32(e + 12), SECTOR, e[4] == MBR_SWAP);
    }
    return true;
}

/* A disk without a table counts as one partition. */
static bool
read_table(struct look *l, GError **err)
{
    guint8 s[SECTOR];
    bool gpt = false;
    if (l->block->size < SECTOR)
        return true;
    if (!get(l, s, sizeof s, 0, err) || !read_gpt(l, SECTOR, &gpt, err) || (!gpt && !read_gpt(l, PAGE, &gpt, err)))
        return false;
    if (gpt)
        return true;
    if (s[510] == 0x55 && s[511] == 0xaa)
        return read_mbr(l, s, err);
    const struct part whole = { 0, l->block->size, true };
    g_array_append_val(l->parts, whole);
    return true;
}

/* ---- signatures ---- */

static bool
signed_with(struct look *l, const struct part *p, guint page, bool *yes, GError **err)
{
    char text[SIGNATURE_BYTES];
    *yes = false;
    if (p->length < 2 * (guint64)page)
        return true;
    if (!block_read(l->block, text, sizeof text, p->offset + page - sizeof text, err))
        return false;
    *yes = memcmp(text, SIGNATURE, sizeof text) == 0;
    return true;
}

/* Reads the header once more, since the guest goes on, and now as what the answer depends on. */
static bool
add_area(struct look *l, const struct part *p, guint page, struct swap_map *out, GError **err)
{
    g_autofree guint8 *h = g_malloc(page);
    if (!get(l, h, page, p->offset, err))
        return false;
    const guint64 last = u32(h + 1028);
    if (memcmp(h + page - SIGNATURE_BYTES, SIGNATURE, SIGNATURE_BYTES) != 0 || u32(h + 1024) != 1 || last < 1 ||
        last >= p->length / page)
        return true;
    const guint64 begin = (p->offset + page + PAGE - 1) / PAGE * PAGE, end = (p->offset + (last + 1) * page) / PAGE * PAGE;
    const struct swap_area area = { begin, end - begin };
    if (end > begin)
        g_array_append_val(out->areas, area);
    return true;
}

static bool
look_into(struct look *l, const struct part *p, struct swap_map *out, GError **err)
{
    for (guint page = PAGE; page <= PAGE_MOST; page *= 2) {
        bool yes;
        if (!signed_with(l, p, page, &yes, err))
            return false;
        if (yes)
            return add_area(l, p, page, out, err);
    }
    return true;
}

static gint
by_offset(gconstpointer a, gconstpointer b)
{
    const struct part *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static bool
overlap(const struct look *l)
{
    guint64 end = 0;
    for (guint i = 0; i < l->parts->len; i++) {
        const struct part *p = &g_array_index(l->parts, struct part, i);
        if (p->offset < end)
            return true;
        end = p->offset + p->length;
    }
    return false;
}

static gboolean
add_watched(gpointer number, gpointer page, gpointer out)
{
    struct swap_watched w = { .offset = *(guint64 *)number * PAGE, .length = (guint)g_bytes_get_size(page) };
    swap_digest(g_bytes_get_data(page, NULL), w.length, w.digest);
    g_array_append_val((GArray *)out, w);
    return FALSE;
}

void
swap_digest(const void *data, guint length, char digest[65])
{
    g_autofree char *text = g_compute_checksum_for_data(G_CHECKSUM_SHA256, data, length);
    g_strlcpy(digest, text, 65);
}

void
swap_map_clear(struct swap_map *m)
{
    g_clear_pointer(&m->areas, g_array_unref);
    g_clear_pointer(&m->watched, g_array_unref);
}

bool
swap_find(struct block *b, struct swap_map *out, GError **err)
{
    struct look l = { .block = b, .parts = g_array_new(FALSE, FALSE, sizeof(struct part)) };
    l.pages = g_tree_new_full(by_number, NULL, g_free, (GDestroyNotify)g_bytes_unref);
    *out = (struct swap_map){ g_array_new(FALSE, FALSE, sizeof(struct swap_area)), g_array_new(FALSE, FALSE, sizeof(struct swap_watched)) };
    bool ok = read_table(&l, err);
    g_array_sort(l.parts, by_offset);
    for (guint i = 0; ok && i < l.parts->len && !overlap(&l); i++) {
        const struct part *p = &g_array_index(l.parts, struct part, i);
        ok = !p->swap || look_into(&l, p, out, err);
    }
    if (ok)
        g_tree_foreach(l.pages, add_watched, out->watched);
    else
        swap_map_clear(out);
    g_tree_unref(l.pages);
    g_array_unref(l.parts);
    return ok;
}
