/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/block.h"
#include "base/err.h"
#include "base/file.h"

#include <string.h>
#include <unistd.h>

static void
test_block_file_holes(void)
{
    GError *err = NULL;
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("vmr-hole-XXXXXX", &path, NULL);
    g_assert_cmpint(ftruncate(fd, 1 << 20), ==, 0);
    g_assert_true(file_write_full(fd, "x", 1, 512 << 10, path, &err));
    struct block *b = block_file_open(path, &err);
    extents_auto set = extents_new();
    g_assert_true(block_extents(b, 0, b->size, set, &err));
    g_assert_cmpuint(extents_bytes(set), ==, 1 << 20);
    g_assert_cmpuint(extents_bytes_of(set, EXTENT_DATA), <, 512 << 10);
    char c;
    g_assert_true(block_read(b, &c, 1, 512 << 10, &err));
    g_assert_cmpint(c, ==, 'x');
    block_close(b);
    close(fd);
    unlink(path);
}

static void
test_file_errors(void)
{
    GError *err = NULL;
    g_assert_null(block_file_open("/nonexistent/disk", &err));
    g_assert_true(err_is(err, ERR_NOT_FOUND) && strstr(err->message, "/nonexistent/disk"));
    g_clear_error(&err);

    g_autofree char *path = NULL;
    auto_fd fd = g_file_open_tmp("vmr-block-XXXXXX", &path, NULL);
    g_assert_cmpint(ftruncate(fd, 8192), ==, 0);
    block_auto b = block_file_open(path, &err);
    g_assert_cmpint(ftruncate(fd, 4096), ==, 0);
    char buf[8192];
    g_assert_false(block_read(b, buf, sizeof buf, 0, &err));
    g_assert_true(err_is(err, ERR_CORRUPT));
    g_clear_error(&err);
    g_assert_cmpint(unlink(path), ==, 0);
}

static void
test_memory(void)
{
    guint8 *data, buf[16];
    block_auto b = block_mem_new(1 << 16, &data);
    extents_auto set = extents_new();
    GError *err = NULL;
    memset(data + 100, 7, 8);
    g_assert_true(block_read(b, buf, sizeof buf, 96, &err));
    g_assert_cmpmem(buf, 16, "\0\0\0\0\7\7\7\7\7\7\7\7\0\0\0\0", 16);
    g_assert_true(block_extents(b, 4096, 8192, set, &err));
    g_assert_cmpuint(extents_count(set), ==, 1);
    g_assert_cmpuint(extents_at(set, 0)->offset, ==, 4096);
    g_assert_cmpuint(extents_bytes(set), ==, 8192);
    block_close(NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/block/holes", test_block_file_holes);
    g_test_add_func("/base/block/file-errors", test_file_errors);
    g_test_add_func("/base/block/memory", test_memory);
    return g_test_run();
}
