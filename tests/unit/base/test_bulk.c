/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bulk.h"
#include "base/err.h"
#include "tempdir.h"

#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>

static guint8 *
content(gsize len)
{
    const gsize words = len / sizeof(gint32) + 1;
    gint32 *bytes = g_new(gint32, words);
    for (gsize i = 0; i < words; i++)
        bytes[i] = g_test_rand_int();
    return (guint8 *)bytes;
}

/* Pieces of random size from a random place on, with a flush here and there: what is read is what was written. */
static void
write_and_compare(const char *path)
{
    g_autoptr(GError) err = NULL;
    const gsize from = (gsize)g_test_rand_int_range(0, 9000), len = (gsize)g_test_rand_int_range(1, 5 << 20);
    g_autofree guint8 *bytes = content(from + len), *back = g_malloc(from + len);
    auto_fd fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    g_assert_true(file_write_full(fd, bytes, from, 0, path, &err));
    struct bulk *b = bulk_new(fd, path, from);
    for (gsize at = from, n; at < from + len; at += n) {
        const gsize piece = (gsize)g_test_rand_int_range(1, g_test_rand_bit() ? 50000 : 3 << 20);
        n = MIN(from + len - at, piece);
        g_assert_true(bulk_write(b, bytes + at, n, &err));
        if (g_test_rand_int_range(0, 20) == 0)
            g_assert_true(bulk_flush(b, &err));
    }
    g_assert_true(bulk_flush(b, &err) && bulk_flush(b, &err));
    bulk_free(b);
    g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, (off_t)(from + len));
    g_assert_true(file_read_full(fd, back, from + len, 0, path, &err));
    g_assert_true(memcmp(bytes, back, from + len) == 0);
}

static void
test_same(gconstpointer folder)
{
    g_autofree char *path = g_strdup_printf("%s/vmr-bulk-%d", (const char *)folder, getpid());
    for (guint i = 0; i < 10; i++)
        write_and_compare(path);
    unlink(path);
}

/* The pages of what went past the cache are not there afterwards. */
static void
test_past_the_cache(void)
{
    g_autoptr(GError) err = NULL;
    struct tempdir temp;
    tempdir_make(&temp);
    g_autofree char *path = g_build_filename(temp.path, "f", NULL);
    auto_fd fd = open(path, O_RDWR | O_CREAT, 0600);
    auto_fd direct = open(path, O_RDWR | O_DIRECT);
    g_autofree guint8 *bytes = content(4 << 20);
    if (direct < 0) {
        g_test_skip("the file system of the temporary folder knows no O_DIRECT");
    } else {
        char byte;
        struct bulk *b = bulk_new(fd, path, 0);
        g_assert_true(bulk_write(b, bytes, 4 << 20, &err) && bulk_flush(b, &err));
        bulk_free(b);
        struct iovec one = {&byte, 1};
        g_assert_cmpint(preadv2(fd, &one, 1, 2 << 20, RWF_NOWAIT), ==, -1);
        g_assert_cmpint(errno, ==, EAGAIN);
    }
    tempdir_remove(&temp);
}

/* Whoever stops without a flush has the beginning of what was written, up to some piece. */
static void
test_prefix(void)
{
    g_autoptr(GError) err = NULL;
    struct tempdir temp;
    tempdir_make(&temp);
    g_autofree char *path = g_build_filename(temp.path, "f", NULL);
    const gsize len = 6 << 20;
    g_autofree guint8 *bytes = content(len), *back = g_malloc(len);
    auto_fd fd = open(path, O_RDWR | O_CREAT, 0600);
    struct bulk *b = bulk_new(fd, path, 0);
    g_assert_true(bulk_write(b, bytes, len, &err));
    bulk_free(b);
    const gsize there = (gsize)lseek(fd, 0, SEEK_END);
    g_assert_cmpuint(there, <=, len);
    g_assert_true(file_read_full(fd, back, there, 0, path, &err));
    g_assert_true(memcmp(bytes, back, there) == 0);
    tempdir_remove(&temp);
}

/* Refused past the cache or not, it is said by one of the next calls, and by all after that; however much is written meanwhile. */
static void
test_no_room(void)
{
    g_autofree guint8 *bytes = content(2 << 20);
    auto_fd full = open("/dev/full", O_WRONLY);
    struct bulk *b = bulk_new(full, "/dev/full", 0);
    bool ok = true;
    for (guint i = 0; i < 10 && ok; i++) {
        g_autoptr(GError) err = NULL;
        ok = bulk_write(b, bytes, 2 << 20, &err);
        g_assert_true(ok || err_is(err, ERR_NO_SPACE));
    }
    g_assert_false(ok);
    for (guint i = 0; i < 3; i++) {
        g_autoptr(GError) err = NULL;
        g_assert_false(bulk_flush(b, &err));
        g_assert_true(err_is(err, ERR_NO_SPACE));
    }
    bulk_free(b);
}

/* Too little for the thread: the flush says it. */
static void
test_no_room_for_little(void)
{
    g_autoptr(GError) err = NULL;
    auto_fd full = open("/dev/full", O_WRONLY);
    struct bulk *b = bulk_new(full, "/dev/full", 0);
    g_assert_true(bulk_write(b, "little", 6, &err));
    g_assert_false(bulk_flush(b, &err));
    g_assert_true(err_is(err, ERR_NO_SPACE));
    bulk_free(b);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/base/bulk/same", g_get_tmp_dir(), test_same);
    g_test_add_data_func("/base/bulk/same-in-memory", "/dev/shm", test_same);
    g_test_add_func("/base/bulk/past-the-cache", test_past_the_cache);
    g_test_add_func("/base/bulk/prefix", test_prefix);
    g_test_add_func("/base/bulk/no-room", test_no_room);
    g_test_add_func("/base/bulk/no-room-for-little", test_no_room_for_little);
    return g_test_run();
}
