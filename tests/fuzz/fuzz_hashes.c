/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "wire/hashes.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 3 * HASHES_GROUP + 7 };

static guint8 key[HASH_SECRET];

/* Pages of a few kinds, so that some are the same. */
static void
fill(struct reader *r, struct hash128 *pages, guint count)
{
    memset(pages, 0, MOST * sizeof *pages);
    for (guint i = 0; i < count; i++)
        pages[i].bytes[15 - reader_u8(r) % 16] = reader_u8(r) % 4;
}

/* What a stranger sends as an answer, and as a question: refused, or within bounds. */
static void
hostile(struct reader r, const struct hash128 *there, guint count, guint asked, guint round)
{
    guint8 wanted[32];
    struct hash128 known[MOST];
    for (guint form = 0; form < 5; form++) {
        struct reader at = r;
        g_autoptr(GError) err = NULL;
        g_autoptr(GArray) list = g_array_new(FALSE, FALSE, sizeof(struct hash128));
        g_autoptr(GByteArray) out = g_byte_array_new();
        bool ok = false;
        memset(wanted, 0, sizeof wanted);
        memcpy(known, there, sizeof known);
        for (guint g = 0; g < hashes_groups(asked); g += 2)
            hashes_set_bit(wanted, g);
        switch (form) {
        case 0: ok = hashes_read(&at, round & 1 ? there : NULL, count, list, &err); break;
        case 1: ok = hashes_read_sums(&at, asked, wanted, &err); break;
        case 2: ok = hashes_read_shorts(&at, known, count, asked, wanted, key, &err); break;
        case 3: ok = hashes_answer_sums(&at, there, count, asked, key, out, &err); break;
        default: ok = hashes_answer_shorts(&at, there, count, asked, round, key, out, &err); break;
        }
        g_assert_true(ok == (err == NULL) && list->len <= count);
        g_assert_true(!err || err_is(err, ERR_MALFORMED));
    }
}

static void
answer(GByteArray *question, GByteArray *out, bool shorts, const struct hash128 *there, guint count, guint asked, guint round)
{
    struct reader r = reader_over(question->data, question->len);
    g_assert_true(shorts ? hashes_answer_shorts(&r, there, count, asked, round, key, out, NULL)
                         : hashes_answer_sums(&r, there, count, asked, key, out, NULL));
}

/* Any guess of any pages: what is not marked as wanted in the end is what is there. */
static void
converse(const struct hash128 *there, guint count, struct hash128 *guess, guint asked)
{
    guint8 wanted[32] = { 0 };
    g_autoptr(GByteArray) sums = g_byte_array_new(), differ = g_byte_array_new();
    hashes_ask_sums(sums, guess, asked, key);
    answer(sums, differ, false, there, count, asked, 0);
    struct reader r = reader_over(differ->data, differ->len);
    g_assert_true(hashes_read_sums(&r, asked, wanted, NULL));
    for (guint round = 0; round < HASHES_ROUNDS; round++) {
        g_autoptr(GByteArray) shorts = g_byte_array_new(), pages = g_byte_array_new();
        hashes_ask_shorts(shorts, guess, asked, wanted, round);
        answer(shorts, pages, true, there, count, asked, round);
        r = reader_over(pages->data, pages->len);
        g_assert_true(hashes_read_shorts(&r, guess, count, asked, wanted, key, NULL));
    }
    for (guint i = 0; i < count; i++)
        g_assert_true(hashes_bit(wanted, i / HASHES_GROUP) || memcmp(&guess[i], &there[i], sizeof *there) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hash128 there[MOST], guess[MOST];
    for (guint i = 0; i < sizeof key; i++)
        key[i] = (guint8)(i * 37 + 1);
    struct reader r = reader_over(data, size);
    const guint asked = reader_u16(&r) % (MOST + 1), count = reader_u16(&r) % (asked + 1), round = reader_u8(&r) % HASHES_ROUNDS;
    const guint filled = reader_u8(&r);
    fill(&r, there, MIN(filled, count));
    memcpy(guess, there, sizeof guess);
    hostile(r, there, count, asked, round);
    while (reader_left(&r) >= 4)
        guess[reader_u16(&r) % MOST].bytes[reader_u8(&r) % 16] = reader_u8(&r);
    converse(there, count, guess, asked);
    return 0;
}
