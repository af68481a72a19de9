/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wire/hashes.h"

#include "base/err.h"

#include <string.h>

enum { LITERAL, REPEAT, GUESSED };
enum { MOST_GROUPS = WIRE_MAX_HASHES / HASHES_GROUP };

static bool
malformed(GError **err)
{
    return err_set(err, ERR_MALFORMED, "A list of hashes cannot be understood.");
}

/* ---- lists ---- */

static bool
same(const struct hash128 *a, const struct hash128 *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static guint
run_of(const struct hash128 *hashes, const guint8 *guessed, guint at, guint count, guint *kind)
{
    guint n = at + 1;
    *kind = guessed && guessed[at] ? GUESSED : n < count && !(guessed && guessed[n]) && same(&hashes[at], &hashes[n]) ? REPEAT : LITERAL;
    while (n < count && (guessed && guessed[n]) == (*kind == GUESSED) && (*kind != REPEAT || same(&hashes[n], &hashes[at])) &&
           (*kind != LITERAL || n + 1 == count || !same(&hashes[n], &hashes[n + 1])))
        n++;
    return n - at;
}

void
hashes_write(GByteArray *w, const struct hash128 *hashes, const guint8 *guessed, guint count)
{
    for (guint at = 0, kind; at < count;) {
        const guint n = run_of(hashes, guessed, at, count, &kind);
        writer_varint(w, (guint64)n << 2 | kind);
        writer_bytes(w, &hashes[at], kind == GUESSED ? 0 : kind == REPEAT ? sizeof *hashes : n * sizeof *hashes);
        at += n;
    }
}

static bool
read_run(struct reader *r, const struct hash128 *guess, guint n, guint kind, struct hash128 *to, guint at)
{
    if (kind == LITERAL)
        reader_copy(r, &to[at], n * sizeof *to);
    else if (kind == REPEAT)
        reader_copy(r, &to[at], sizeof *to);
    else if (guess)
        memcpy(&to[at], &guess[at], n * sizeof *to);
    for (guint i = 1; kind == REPEAT && i < n; i++)
        to[at + i] = to[at];
    return !r->failed && (kind != GUESSED || guess);
}

bool
hashes_read(struct reader *r, const struct hash128 *guess, guint most, GArray *out, GError **err)
{
    const guint before = out->len;
    while (reader_left(r)) {
        const guint64 head = reader_varint(r), n = head >> 2;
        const guint have = out->len - before;
        if (r->failed || n == 0 || n > most - have || (head & 3) > GUESSED ||
            ((head & 3) == LITERAL && n * sizeof(struct hash128) > reader_left(r)))
            return malformed(err);
        g_array_set_size(out, out->len + (guint)n);
        if (!read_run(r, guess, (guint)n, head & 3, &g_array_index(out, struct hash128, before), have))
            return malformed(err);
    }
    return true;
}

/* ---- a guess ---- */

struct hash128
hashes_digest(const struct hash128 *hashes, guint count, const guint8 *key)
{
    return hash128_keyed(hashes, count * sizeof *hashes, key);
}

/* From the end, where the hashes of empty and of unreadable pages differ (store/fpmap.h). */
guint16
hashes_short(const struct hash128 *hash, guint round)
{
    const guint8 *b = hash->bytes + sizeof hash->bytes - 2 - 2 * round;
    return (guint16)(b[0] | b[1] << 8);
}

static struct hash128
digest_of(const struct hash128 *hashes, guint count, guint g, const guint8 *key)
{
    return hashes_digest(hashes + MIN(count, g * HASHES_GROUP), hashes_in_group(count, g), key);
}

void
hashes_ask_sums(GByteArray *w, const struct hash128 *guess, guint asked, const guint8 *key)
{
    const guint groups = hashes_groups(asked);
    g_autofree struct hash128 *sums = g_new(struct hash128, groups);
    for (guint g = 0; g < groups; g++)
        sums[g] = digest_of(guess, asked, g, key);
    hashes_write(w, sums, NULL, groups);
}

bool
hashes_answer_sums(struct reader *r, const struct hash128 *there, guint count, guint asked, const guint8 *key, GByteArray *out,
                   GError **err)
{
    const guint groups = hashes_groups(asked);
    guint8 bits[MOST_GROUPS / 8] = { 0 };
    g_autoptr(GArray) sums = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    g_assert(count <= asked && groups <= MOST_GROUPS);
    if (!hashes_read(r, NULL, groups, sums, err))
        return false;
    if (sums->len != groups)
        return malformed(err);
    for (guint g = 0; g < groups; g++) {
        const struct hash128 h = digest_of(there, count, g, key);
        if (!same(&h, &g_array_index(sums, struct hash128, g)))
            hashes_set_bit(bits, g);
    }
    writer_bytes(out, bits, hashes_bit_bytes(groups));
    return true;
}

/* Bits of groups that do not exist must not be set. */
static bool
read_bits(struct reader *r, guint groups, guint8 *bits, GError **err)
{
    reader_copy(r, bits, hashes_bit_bytes(groups));
    return (!r->failed && (groups % 8 == 0 || bits[groups / 8] >> (groups % 8) == 0)) || malformed(err);
}

bool
hashes_read_sums(struct reader *r, guint asked, guint8 *wanted, GError **err)
{
    return read_bits(r, hashes_groups(asked), wanted, err) && (reader_left(r) == 0 || malformed(err));
}

void
hashes_ask_shorts(GByteArray *w, const struct hash128 *guess, guint asked, const guint8 *wanted, guint round)
{
    const guint groups = hashes_groups(asked);
    writer_bytes(w, wanted, hashes_bit_bytes(groups));
    for (guint g = 0; g < groups; g++)
        for (guint i = 0; hashes_bit(wanted, g) && i < hashes_in_group(asked, g); i++)
            writer_u16(w, hashes_short(&guess[g * HASHES_GROUP + i], round));
}

/* One group of a question: its pages and whether they were guessed are appended. */
static bool
answer_group(struct reader *r, const struct hash128 *there, guint count, guint asked, guint g, guint round, GArray *pages,
             GByteArray *guessed)
{
    const guint have = hashes_in_group(count, g);
    for (guint i = 0; i < hashes_in_group(asked, g); i++) {
        const guint16 theirs = reader_u16(r);
        if (i >= have)
            continue;
        const struct hash128 *h = &there[g * HASHES_GROUP + i];
        const guint8 right = hashes_short(h, round) == theirs;
        g_array_append_vals(pages, h, 1);
        g_byte_array_append(guessed, &right, 1);
    }
    return !r->failed;
}

bool
hashes_answer_shorts(struct reader *r, const struct hash128 *there, guint count, guint asked, guint round, const guint8 *key,
                     GByteArray *out, GError **err)
{
    const guint groups = hashes_groups(asked);
    guint8 bits[MOST_GROUPS / 8] = { 0 };
    g_autoptr(GArray) pages = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    g_autoptr(GByteArray) guessed = g_byte_array_new();
    g_assert(count <= asked && groups <= MOST_GROUPS && round < HASHES_ROUNDS);
    if (!read_bits(r, groups, bits, err))
        return false;
    for (guint g = 0; g < groups; g++) {
        if (!hashes_bit(bits, g))
            continue;
        const struct hash128 digest = digest_of(there, count, g, key);
        writer_bytes(out, &digest, sizeof digest);
        if (!answer_group(r, there, count, asked, g, round, pages, guessed))
            return malformed(err);
    }
    hashes_write(out, (const struct hash128 *)(gpointer)pages->data, guessed->data, pages->len);
    return reader_left(r) == 0 || malformed(err);
}

/* The pages of the groups that are wanted, one after the other; to: back into their places. */
static guint
move_wanted(struct hash128 *known, guint count, const guint8 *wanted, guint groups, struct hash128 *packed, bool back)
{
    guint n = 0;
    for (guint g = 0; g < groups; g++) {
        const guint have = hashes_bit(wanted, g) ? hashes_in_group(count, g) : 0;
        struct hash128 *at = known + MIN(count, g * HASHES_GROUP);
        if (have)
            memcpy(back ? at : packed + n, back ? packed + n : at, have * sizeof *at);
        n += have;
    }
    return n;
}

bool
hashes_read_shorts(struct reader *r, struct hash128 *known, guint count, guint asked, guint8 *wanted, const guint8 *key, GError **err)
{
    const guint groups = hashes_groups(asked);
    struct hash128 digests[MOST_GROUPS];
    g_autofree struct hash128 *guess = g_new(struct hash128, count + 1);
    g_autoptr(GArray) there = g_array_new(FALSE, FALSE, sizeof(struct hash128));
    g_assert(count <= asked && groups <= MOST_GROUPS);
    for (guint g = 0; g < groups; g++)
        if (hashes_bit(wanted, g))
            reader_copy(r, &digests[g], sizeof digests[g]);
    const guint n = move_wanted(known, count, wanted, groups, guess, false);
    if (r->failed)
        return malformed(err);
    if (!hashes_read(r, guess, n, there, err))
        return false;
    if (there->len != n)
        return malformed(err);
    move_wanted(known, count, wanted, groups, (struct hash128 *)(gpointer)there->data, true);
    for (guint g = 0; g < groups; g++) {
        const struct hash128 h = digest_of(known, count, g, key);
        if (hashes_bit(wanted, g) && same(&h, &digests[g]))
            wanted[g / 8] &= (guint8) ~(1u << (g % 8));
    }
    return true;
}
