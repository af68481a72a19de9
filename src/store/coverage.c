/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/coverage.h"

#include <stdbool.h>

#define PAGE_SECTORS 8u
#define PAGE_FULL 0xffu
#define CHUNK_PAGES ((uint64_t)1 << 18) /* 1 GiB of disk, 32 KiB of bits */
#define CHUNK_WORDS (CHUNK_PAGES / 64)

/* chunks[i]: NULL when nothing in it is claimed, &everything when all of it is. */
struct coverage {
    uint64_t **chunks;
    size_t count;
    GHashTable *partial; /* page + 1 -> mask of claimed sectors, neither 0 nor PAGE_FULL */
};

static uint64_t everything;

struct coverage *
coverage_new(uint64_t sectors)
{
    struct coverage *c = g_new0(struct coverage, 1);
    c->count = (size_t)(sectors / PAGE_SECTORS / CHUNK_PAGES + 1);
    c->chunks = g_new0(uint64_t *, c->count);
    c->partial = g_hash_table_new(NULL, NULL);
    return c;
}

void
coverage_free(struct coverage *c)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->chunks[i] != &everything)
            g_free(c->chunks[i]);
    g_free(c->chunks);
    g_hash_table_unref(c->partial);
    g_free(c);
}

static void
add_gap(GArray *gaps, uint64_t from, uint64_t to)
{
    struct coverage_gap gap = {from, to};
    if (gaps->len > 0) {
        struct coverage_gap *last = &g_array_index(gaps, struct coverage_gap, gaps->len - 1);
        if (last->to == from) {
            last->to = to;
            return;
        }
    }
    g_array_append_val(gaps, gap);
}

static void
add_sectors(GArray *gaps, uint64_t page, unsigned mask)
{
    for (unsigned i = 0; i < PAGE_SECTORS; i++)
        if (mask & (1u << i))
            add_gap(gaps, page * PAGE_SECTORS + i, page * PAGE_SECTORS + i + 1);
}

static unsigned
partial_mask(const struct coverage *c, uint64_t page)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(c->partial, GSIZE_TO_POINTER(page + 1)));
}

/* Pages whose bits were clear until now; some of them may be claimed in part. */
static void
add_pages(struct coverage *c, uint64_t page, uint64_t end, GArray *gaps)
{
    if (g_hash_table_size(c->partial) == 0) {
        add_gap(gaps, page * PAGE_SECTORS, end * PAGE_SECTORS);
        return;
    }
    for (; page < end; page++) {
        unsigned mask = partial_mask(c, page);
        add_sectors(gaps, page, PAGE_FULL & ~mask);
        if (mask)
            g_hash_table_remove(c->partial, GSIZE_TO_POINTER(page + 1));
    }
}

static void
claim_word(struct coverage *c, uint64_t *word, uint64_t first_page, uint64_t mask, GArray *gaps)
{
    uint64_t clear = mask & ~*word;
    *word |= mask;
    while (clear) {
        unsigned start = (unsigned)__builtin_ctzll(clear);
        uint64_t rest = ~(clear >> start);
        unsigned length = rest ? (unsigned)__builtin_ctzll(rest) : 64;
        length = MIN(length, 64 - start);
        add_pages(c, first_page + start, first_page + start + length, gaps);
        clear &= length == 64 ? 0 : ~(((UINT64_C(1) << length) - 1) << start);
    }
}

/* Pages [from, to) of chunk i, counted within it. */
static void
claim_in_chunk(struct coverage *c, size_t i, uint64_t from, uint64_t to, GArray *gaps)
{
    uint64_t base = i * CHUNK_PAGES;
    if (c->chunks[i] == &everything)
        return;
    if (!c->chunks[i]) {
        if (from == 0 && to == CHUNK_PAGES) {
            c->chunks[i] = &everything;
            add_pages(c, base, base + CHUNK_PAGES, gaps);
            return;
        }
        c->chunks[i] = g_new0(uint64_t, CHUNK_WORDS);
    }
    for (uint64_t page = from; page < to;) {
        uint64_t word = page / 64, end = MIN(to, (word + 1) * 64);
        uint64_t mask = ~UINT64_C(0) << (page % 64);
        if (end % 64)
            mask &= (UINT64_C(1) << (end % 64)) - 1;
        claim_word(c, &c->chunks[i][word], base + word * 64, mask, gaps);
        page = end;
    }
}

static void
claim_pages(struct coverage *c, uint64_t page, uint64_t end, GArray *gaps)
{
    while (page < end) {
        uint64_t chunk = page / CHUNK_PAGES, stop = MIN(end, (chunk + 1) * CHUNK_PAGES);
        claim_in_chunk(c, (size_t)chunk, page % CHUNK_PAGES, stop - chunk * CHUNK_PAGES, gaps);
        page = stop;
    }
}

static bool
page_claimed(const struct coverage *c, uint64_t page)
{
    const uint64_t *chunk = c->chunks[page / CHUNK_PAGES];
    uint64_t bit = page % CHUNK_PAGES;
    return chunk == &everything || (chunk && (chunk[bit / 64] >> (bit % 64) & 1));
}

/* Sectors [from, to) of one page, not all of them. */
static void
claim_sectors(struct coverage *c, uint64_t page, unsigned from, unsigned to, GArray *gaps)
{
    if (page_claimed(c, page))
        return;
    unsigned wanted = ((1u << to) - 1) & ~((1u << from) - 1), mask = partial_mask(c, page);
    if ((mask | wanted) == PAGE_FULL) {
        /* The page comes out of the table with what it has left, which is a subset of `wanted`. */
        claim_pages(c, page, page + 1, gaps);
        return;
    }
    add_sectors(gaps, page, wanted & ~mask);
    g_hash_table_insert(c->partial, GSIZE_TO_POINTER(page + 1), GUINT_TO_POINTER(mask | wanted));
}

void
coverage_expect(const struct coverage *c, uint64_t from)
{
    const uint64_t page = from / PAGE_SECTORS, *chunk = c->chunks[page / CHUNK_PAGES];
    if (chunk && chunk != &everything)
        __builtin_prefetch(&chunk[page % CHUNK_PAGES / 64], 1);
}

void
coverage_claim(struct coverage *c, uint64_t from, uint64_t to, GArray *gaps)
{
    uint64_t first = (from + PAGE_SECTORS - 1) / PAGE_SECTORS, end = to / PAGE_SECTORS;
    if (from >= to)
        return;
    if (first > end) {
        claim_sectors(c, end, from % PAGE_SECTORS, to % PAGE_SECTORS, gaps);
        return;
    }
    if (from % PAGE_SECTORS)
        claim_sectors(c, first - 1, from % PAGE_SECTORS, PAGE_SECTORS, gaps);
    claim_pages(c, first, end, gaps);
    if (to % PAGE_SECTORS)
        claim_sectors(c, end, 0, to % PAGE_SECTORS, gaps);
}
