/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pair.h"
#include "wire/hashes.h"

#include <string.h>

/* Hashes asked for with a guess: whatever was guessed, the outcome is what is there, every byte of it; and how many bytes travel. */

static const struct uuid VM = {{1, 2, 3}}, LOG = {{4, 5, 6}};
static const struct hash128 ZERO = {{[15] = 1}}, UNKNOWN = {{0}};

static struct hash128 *
some_pages(GRand *rand, guint count)
{
    struct hash128 *all = g_new(struct hash128, count + 1);
    for (guint i = 0; i < count; i++)
        for (guint b = 0; b < 16; b++)
            all[i].bytes[b] = (guint8)g_rand_int(rand);
    return all;
}

static const guint8 *
some_key(void)
{
    static guint8 key[HASH_SECRET];
    for (guint i = 0; i < sizeof key; i++)
        key[i] = (guint8)(i * 37 + 1);
    return key;
}

static void
expect(struct pair *p, struct wire_peer *peer, const struct hash128 *guess, guint64 page, guint count)
{
    g_autoptr(GError) err = NULL;
    struct wire_hashes h;
    const struct wire_hash_query q = {VM, LOG, 0, page, count, some_key(), false, guess};
    g_assert_true(wire_peer_hashes(peer, &q, &h, &err));
    g_assert_no_error(err);
    const guint64 first = MIN(page, p->pages), want = MIN(count, p->pages - first);
    g_assert_cmpuint(h.size, ==, p->pages * 4096);
    g_assert_cmpuint(h.hashes->len, ==, want);
    g_assert_cmpmem(h.hashes->data, h.hashes->len * 16, p->there + first, want * 16);
    wire_hashes_clear(&h);
}

/* ---- lists ---- */

static void
test_lists(void)
{
    GRand *rand = g_rand_new_with_seed(11);
    for (guint i = 0; i < 2000; i++) {
        const guint n = (guint)g_rand_int_range(rand, 0, 60);
        g_autofree struct hash128 *all = some_pages(rand, n);
        g_autofree guint8 *guessed = g_malloc0(n + 1);
        g_autoptr(GByteArray) w = g_byte_array_new();
        g_autoptr(GArray) back = g_array_new(FALSE, FALSE, sizeof *all);
        g_autoptr(GError) err = NULL;
        for (guint k = 0; k < n; k++) {
            all[k] = g_rand_boolean(rand) ? ZERO : all[k];
            guessed[k] = (guint8)(g_rand_int_range(rand, 0, 3) == 0);
        }
        const bool guess = g_rand_boolean(rand);
        hashes_write(w, all, guess ? guessed : NULL, n);
        struct reader r = reader_over(w->data, w->len);
        g_assert_true(hashes_read(&r, guess ? all : NULL, n, back, &err));
        g_assert_cmpmem(back->data, back->len * 16, all, n * 16);
        r = reader_over(w->data, w->len);
        if (n)
            g_assert_false(hashes_read(&r, guess ? all : NULL, n - 1, back, NULL));
        g_assert_cmpuint(w->len, <=, n * 18);
    }
    g_rand_free(rand);
}

static void
test_odd_lists(void)
{
    static const struct {
        const char *bytes;
        gsize len;
    } cases[] = {
        {"\x00", 1},                                                    /* no pages */
        {"\x04", 1},                                                    /* a hash that does not follow */
        {"\x05" "123456789012345", 16},
        {"\x06", 1},                                                    /* guessed, where nothing was */
        {"\x07" "1234567890123456", 17},                                /* no such kind */
        {"\x81\x02" "1234567890123456", 18},                            /* 64 pages, 50 are the most */
        {"\xfd\xff\xff\xff\xff\xff\xff\xff\xff\x01" "1234567890123456", 26},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) err = NULL;
        g_autoptr(GArray) out = g_array_new(FALSE, FALSE, sizeof(struct hash128));
        struct reader r = reader_over(cases[i].bytes, cases[i].len);
        g_assert_false(hashes_read(&r, NULL, 50, out, &err));
        g_assert_error(err, ERR, ERR_MALFORMED);
        g_assert_cmpuint(out->len, <=, 50);
    }
}

/* ---- a guess ---- */

static void
test_guess(void)
{
    struct pair p;
    enum { N = 3000 };
    GRand *rand = g_rand_new_with_seed(5);
    pair_open(&p);
    g_autofree struct hash128 *there = some_pages(rand, N), *guess = g_memdup2(there, N * sizeof *there);
    p.there = there;
    p.pages = N;
    struct wire_peer *peer = pair_peer(&p);
    expect(&p, peer, NULL, 0, N);
    expect(&p, peer, guess, 0, N);
    expect(&p, peer, guess + 700, 700, N - 700);
    g_free(pair_take_record(&p));
    expect(&p, peer, guess, 0, N);
    g_autofree char *once = pair_take_record(&p);
    g_assert_cmpstr(once, ==, "a.example: hashes disk 0\n");
    guess[1000].bytes[3] ^= 1;            /* differs, and its last bytes agree */
    guess[2999] = UNKNOWN;
    expect(&p, peer, guess, 0, N);
    g_autofree char *more = pair_take_record(&p);
    g_assert_cmpstr(more, ==, /* sums, four rounds, the list */
                    "a.example: hashes disk 0\na.example: hashes disk 0\na.example: hashes disk 0\n"
                    "a.example: hashes disk 0\na.example: hashes disk 0\na.example: hashes disk 0\n");
    guess[1000].bytes[3] ^= 1;
    guess[1000].bytes[12] ^= 1;           /* the second two bytes tell */
    there[20] = UNKNOWN;
    guess[20] = ZERO;
    expect(&p, peer, guess, 0, N);
    wire_peer_free(peer);
    g_rand_free(rand);
    pair_close(&p);
}

/* Any guess of any part, of a disk that may end before, within or behind it; also from a peer that knows no forms. */
static void
test_random(void)
{
    struct pair p;
    enum { MOST = 2500 };
    GRand *rand = g_rand_new_with_seed(6);
    pair_open(&p);
    for (guint i = 0; i < 150; i++) {
        g_autofree struct hash128 *there = some_pages(rand, MOST), *guess = g_memdup2(there, MOST * sizeof *there);
        p.there = there;
        p.pages = (guint64)g_rand_int_range(rand, 0, MOST);
        p.hash_forms = (guint)g_rand_int_range(rand, 0, 3);
        struct wire_peer *peer = pair_peer(&p);
        for (guint k = 0; k < 6; k++) {
            const guint page = (guint)g_rand_int_range(rand, 0, MOST), count = (guint)g_rand_int_range(rand, 0, (gint)(MOST - page));
            for (gint wrong = g_rand_int_range(rand, 0, 1 << g_rand_int_range(rand, 0, 11)); wrong > 0; wrong--)
                guess[g_rand_int_range(rand, 0, MOST)].bytes[g_rand_int_range(rand, 0, 16)] ^= 0x41;
            expect(&p, peer, g_rand_int_range(rand, 0, 4) ? guess + page : NULL, page, count);
        }
        wire_peer_free(peer);
    }
    g_rand_free(rand);
    pair_close(&p);
}

/* ---- bytes ---- */

enum { GIB = 1 << 18, QUESTION = 16 << 10 };

/* Both ways, with all that HTTP and TLS add. */
static guint64
bytes_of(struct pair *p, guint forms, const struct hash128 *guess)
{
    guint port;
    struct cutter *c = cutter_new(http_server_port(p->server), 1 << 30, &port);
    g_autoptr(GError) err = NULL;
    p->hash_forms = forms;
    struct wire_peer *peer = wire_peer_new("localhost", port, p->a, &err);
    g_assert_no_error(err);
    for (guint page = 0; page < GIB; page += QUESTION)
        expect(p, peer, guess ? guess + page : NULL, page, QUESTION);
    wire_peer_free(peer);
    const guint64 bytes = cutter_bytes(c);
    cutter_free(c);
    return bytes;
}

/* 1 GiB, half of it empty. */
static void
test_bytes(void)
{
    struct pair p;
    GRand *rand = g_rand_new_with_seed(7);
    pair_open(&p);
    g_autofree struct hash128 *there = some_pages(rand, GIB);
    for (guint i = GIB / 2; i < GIB; i++)
        there[i] = ZERO;
    g_autofree struct hash128 *guess = g_memdup2(there, GIB * sizeof *there);
    p.there = there;
    p.pages = GIB;
    const guint64 plain = bytes_of(&p, 1, NULL), list = bytes_of(&p, 2, NULL), same = bytes_of(&p, 2, guess);
    for (guint i = 0; i < GIB / 2; i++)
        if (i % (256 * 64) < 128) /* 0.8 % in eight places */
            guess[i].bytes[15] ^= 0x55;
    const guint64 places = bytes_of(&p, 2, guess);
    for (guint i = 0; i < GIB / 2; i++)
        if (g_rand_int_range(rand, 0, 50) == 0) /* two hundredths, anywhere */
            guess[i].bytes[14] ^= 0x55;
    const guint64 wrong = bytes_of(&p, 2, guess);
    g_test_message("1 GiB, half empty: %" G_GUINT64_FORMAT " KiB, as a list %" G_GUINT64_FORMAT ", of a guess that is right %"
                   G_GUINT64_FORMAT ", wrong in eight places %" G_GUINT64_FORMAT ", in 2 %% of the data %" G_GUINT64_FORMAT,
                   plain >> 10, list >> 10, same >> 10, places >> 10, wrong >> 10);
    g_assert_cmpuint(plain, >, 4 << 20);
    g_assert_cmpuint(list, <, (2 << 20) + (64 << 10));
    g_assert_cmpuint(same, <, 40 << 10);
    g_assert_cmpuint(places, <, 100 << 10);
    g_assert_cmpuint(wrong, <, 450 << 10);
    g_rand_free(rand);
    pair_close(&p);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire/hashes/lists", test_lists);
    g_test_add_func("/wire/hashes/odd-lists", test_odd_lists);
    g_test_add_func("/wire/hashes/guess", test_guess);
    g_test_add_func("/wire/hashes/random", test_random);
    g_test_add_func("/wire/hashes/bytes", test_bytes);
    return g_test_run();
}
