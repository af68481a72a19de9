/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/gather.h"

#include "base/clean.h"
#include "base/err.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE = 24 << 20, PAGE = 4096 };

static int
empty_file(void)
{
    g_autofree char *path = NULL;
    const int fd = g_file_open_tmp("gather-XXXXXX", &path, NULL);
    g_assert_cmpint(fd, >=, 0);
    unlink(path);
    g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
    return fd;
}

static struct block *
counted_block(void)
{
    uint8_t *data;
    struct block *b = block_mem_new(SIZE, &data);
    for (guint i = 0; i < SIZE; i += sizeof i)
        memcpy(data + i, &i, sizeof i);
    return b;
}

/* Single pages, a range longer than what is under way at once, zeros, and the end of the disk: exactly these, and nothing beside them. */
static void
test_places(void)
{
    block_auto from = counted_block();
    auto_fd fd = empty_file();
    extents_auto what = extents_new();
    g_autoptr(GError) why = NULL;
    g_autofree guint8 *got = g_malloc(SIZE), *expected = g_malloc0(SIZE);
    for (guint i = 0; i < 3000; i++)
        extents_add(what, i * 2 * PAGE, PAGE, i % 10 == 9 ? EXTENT_ZERO : EXTENT_DATA);
    extents_add(what, (SIZE - (1 << 20)) + 512, (1 << 20) - 512, EXTENT_DATA);
    extents_add(what, 12 << 20, 5 << 20, EXTENT_DATA);
    g_assert_true(gather(from, what, fd, "test", 0, &why));
    g_assert_no_error(why);
    for (gsize i = 0; i < extents_count(what); i++) {
        const struct extent *e = extents_at(what, i);
        if (e->kind == EXTENT_DATA)
            g_assert_true(block_read(from, expected + e->offset, e->length, e->offset, NULL));
    }
    g_assert_cmpint(pread(fd, got, SIZE, 0), ==, SIZE);
    g_assert_cmpmem(got, SIZE, expected, SIZE);
}

static void
test_nothing(void)
{
    block_auto from = counted_block();
    auto_fd fd = empty_file();
    extents_auto what = extents_new();
    struct stat st;
    extents_add(what, 0, SIZE, EXTENT_ZERO);
    g_assert_true(gather(from, what, fd, "test", 0, NULL));
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(st.st_blocks, ==, 0);
}

/* A block that answers for its first half only. */
static bool
read_half(struct block *b, void *buf, size_t len, uint64_t off, GError **err)
{
    memset(buf, 1, len);
    return off + len <= b->size / 2 || err_set(err, ERR_IO, "There is no second half.");
}

static void
test_errors(void)
{
    static const struct block_ops ops = { .read = read_half };
    struct block half = { &ops, SIZE };
    auto_fd fd = empty_file(), closed = open("/dev/null", O_RDONLY | O_CLOEXEC);
    extents_auto what = extents_new();
    g_autoptr(GError) unread = NULL, unwritten = NULL, slow = NULL;
    extents_add(what, 0, SIZE, EXTENT_DATA);
    g_assert_false(gather(&half, what, fd, "test", 0, &unread));
    g_assert_true(err_is(unread, ERR_IO));
    extents_clip(what, SIZE / 2);
    g_assert_false(gather(&half, what, closed, "the target", 0, &unwritten));
    g_assert_nonnull(strstr(unwritten->message, "the target"));
    g_assert_false(gather(&half, what, fd, "test", 1, &slow)); /* no file is that quick */
    g_assert_true(err_is(slow, ERR_TIMEOUT));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gather/places", test_places);
    g_test_add_func("/gather/nothing", test_nothing);
    g_test_add_func("/gather/errors", test_errors);
    return g_test_run();
}
