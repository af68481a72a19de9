/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "fixture.h"

#include <string.h>

/* Pieces of `piece` bytes; 0: random ones. */
static enum log_verify_state
feed(const guint8 *data, gsize len, gsize piece, guint64 *good, GError **err)
{
    struct log_verifier *v = log_verifier_new();
    enum log_verify_state state = LOG_VERIFY_MORE;
    for (gsize at = 0, n; at < len && state != LOG_VERIFY_BAD; at += n) {
        n = piece ? piece : (gsize)g_test_rand_int_range(1, 3000);
        n = MIN(n, len - at);
        state = log_verifier_feed(v, data + at, n, err);
    }
    if (good)
        *good = log_verifier_good(v);
    log_verifier_free(v);
    return state;
}

static void
test_pieces(struct fixture *f, gconstpointer user)
{
    extents_auto a = extents_new(), *b = extents_new();
    extents_add(a, 0, SIZE_A, EXTENT_DATA);
    extents_add(b, 0, SIZE_B, EXTENT_DATA);
    fixture_write(f, a, b, &(struct log_writer_options){.level = 1, .frame_raw = 8192});
    g_autoptr(GByteArray) log = fixture_bytes(f);
    guint64 good;
    g_assert_cmpint(feed(log->data, log->len, log->len, NULL, NULL), ==, LOG_VERIFY_COMPLETE);
    g_assert_cmpint(feed(log->data, log->len, 1, NULL, NULL), ==, LOG_VERIFY_COMPLETE);
    for (int i = 0; i < 20; i++)
        g_assert_cmpint(feed(log->data, log->len, 0, &good, NULL), ==, LOG_VERIFY_COMPLETE);
    g_assert_cmpuint(good, ==, log->len);
    /* Damage is found in the same place, however the bytes arrive. */
    for (int i = 0; i < 20; i++) {
        g_autoptr(GError) one = NULL, many = NULL;
        gsize at = (gsize)g_test_rand_int_range(0, (gint)log->len);
        log->data[at] ^= 0x10;
        enum log_verify_state whole = feed(log->data, log->len, log->len, NULL, &one);
        g_assert_cmpint(feed(log->data, log->len, 0, NULL, &many), ==, whole);
        if (whole == LOG_VERIFY_BAD)
            g_assert_cmpstr(one->message, ==, many->message);
        log->data[at] ^= 0x10;
    }
}

/* Whatever bit is wrong, both ways of checking find it: exhaustively over a small log. */
static void
test_every_flip(struct fixture *f, gconstpointer user)
{
    fixture_write_small(f, 1);
    g_autoptr(GByteArray) log = fixture_bytes(f);
    g_assert_cmpint(feed(log->data, log->len, 100, NULL, NULL), ==, LOG_VERIFY_COMPLETE);
    g_assert_true(log_check_file(f->path, NULL));
    for (gsize i = 0; i < log->len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            log->data[i] ^= (guint8)(1 << bit);
            g_assert_cmpint(feed(log->data, log->len, 97, NULL, NULL), !=, LOG_VERIFY_COMPLETE);
            log->data[i] ^= (guint8)(1 << bit);
        }
        g_autoptr(GError) err = NULL;
        log->data[i] ^= 0xff;
        fixture_replace(f, log->data, log->len);
        g_assert_false(log_check_file(f->path, &err));
        g_assert_true(strstr(err->message, f->path) && strstr(err->message, "byte"));
        log->data[i] ^= 0xff;
    }
}

static void
test_every_truncation(struct fixture *f, gconstpointer user)
{
    fixture_write_small(f, 0);
    g_autoptr(GByteArray) log = fixture_bytes(f);
    guint64 good = 0, before = 0;
    for (gsize n = 0; n < log->len; n++) {
        g_autoptr(GError) err = NULL;
        g_assert_cmpint(feed(log->data, n, 64, &good, NULL), ==, LOG_VERIFY_MORE);
        g_assert_cmpuint(good, <=, n);
        g_assert_cmpuint(good, >=, before);
        before = good;
        fixture_replace(f, log->data, n);
        g_assert_false(log_check_file(f->path, &err));
        g_assert_true(err_is(err, ERR_CORRUPT) && strstr(err->message, f->path));
        g_assert_null(log_reader_open(f->path, NULL));
    }
    g_autofree guint8 *longer = g_malloc0(log->len + 1);
    memcpy(longer, log->data, log->len);
    g_assert_cmpint(feed(longer, log->len + 1, 50, NULL, NULL), ==, LOG_VERIFY_BAD);
    g_assert_cmpint(feed(longer, log->len + 1, log->len, NULL, NULL), ==, LOG_VERIFY_BAD);
}

/* What is kept after a stop can be fed again, and the rest after it: the rule of resuming. */
static void
test_resume(struct fixture *f, gconstpointer user)
{
    fixture_write_small(f, 1);
    g_autoptr(GByteArray) log = fixture_bytes(f);
    for (gsize stop = 0; stop < log->len; stop++) {
        guint64 good;
        feed(log->data, stop, 0, &good, NULL);
        struct log_verifier *v = log_verifier_new();
        if (good)
            g_assert_cmpint(log_verifier_feed(v, log->data, good, NULL), ==, LOG_VERIFY_MORE);
        g_assert_cmpuint(log_verifier_good(v), ==, good);
        g_assert_cmpint(log_verifier_feed(v, log->data + good, log->len - good, NULL), ==, LOG_VERIFY_COMPLETE);
        log_verifier_free(v);
    }
}

static void
test_bad_stays_bad(struct fixture *f, gconstpointer user)
{
    g_autoptr(GError) err = NULL, again = NULL;
    struct log_verifier *v = log_verifier_new();
    g_assert_null(log_verifier_info(v));
    g_assert_cmpint(log_verifier_feed(v, "This is not a change log at all.", 32, &err), ==, LOG_VERIFY_BAD);
    g_assert_true(err_is(err, ERR_CORRUPT));
    g_assert_cmpint(log_verifier_feed(v, "more", 4, &again), ==, LOG_VERIFY_BAD);
    g_assert_nonnull(again);
    g_assert_cmpuint(log_verifier_good(v), ==, 0);
    log_verifier_free(v);
    log_verifier_free(NULL);
}

static void
test_info_arrives(struct fixture *f, gconstpointer user)
{
    fixture_write_small(f, 1);
    g_autoptr(GByteArray) log = fixture_bytes(f);
    struct log_verifier *v = log_verifier_new();
    for (gsize i = 0; i < log->len && !log_verifier_info(v); i++)
        log_verifier_feed(v, log->data + i, 1, NULL);
    g_assert_cmpuint(log_verifier_info(v)->sequence, ==, 42);
    g_assert_cmpstr(log_verifier_info(v)->disks[1].target, ==, "vdb");
    g_assert_cmpuint(log_verifier_good(v), >, LOG_HEADER_FIXED);
    log_verifier_free(v);
}

static void
test_dump(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    fixture_write_small(f, 1);
    g_assert_true(log_dump_file(f->path, text, &err));
    static const char *const wanted[] = {"sequence  42, epoch 7", "kind      standard",       "disk 5    vdb, 1049088 bytes",
                                         "domain XML, 9 bytes",   "zero      1048576 + 4096", "data         8192 + 512",
                                         "total     2 frames"};
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++)
        g_assert_nonnull(strstr(text->str, wanted[i]));
    g_assert_false(log_dump_file("/nonexistent/log", text, &err));
    g_assert_true(err_is(err, ERR_NOT_FOUND));
    g_clear_error(&err);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_TEST("/log/verify/pieces", test_pieces);
    FIXTURE_TEST("/log/verify/every-flip", test_every_flip);
    FIXTURE_TEST("/log/verify/every-truncation", test_every_truncation);
    FIXTURE_TEST("/log/verify/resume", test_resume);
    FIXTURE_TEST("/log/verify/bad-stays-bad", test_bad_stays_bad);
    FIXTURE_TEST("/log/verify/info", test_info_arrives);
    FIXTURE_TEST("/log/verify/dump", test_dump);
    return g_test_run();
}
