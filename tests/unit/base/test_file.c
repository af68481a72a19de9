/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void
test_life(void)
{
    GError *err = NULL;
    struct tempdir temp;
    tempdir_make(&temp);
    g_autofree char *dir = g_build_filename(temp.path, "d", NULL);
    g_autofree char *deep = g_build_filename(dir, "a", "b", NULL), *file = g_build_filename(deep, "f", NULL);
    g_autofree char *other = g_build_filename(dir, "g", NULL), *link = g_build_filename(deep, "link", NULL);
    g_autofree char *text = NULL;
    gsize len;

    g_assert_true(file_make_dirs(deep, 0700, &err));
    g_assert_true(file_replace(file, "one", 3, 0600, &err));
    g_assert_true(file_replace(file, "three", 5, 0600, &err));
    g_assert_true(file_read_all(file, 100, &text, &len, &err));
    g_assert_cmpstr(text, ==, "three");
    g_assert_false(file_read_all(file, 4, &text, &len, &err));
    g_assert_true(err_is(err, ERR_TOO_BIG));
    g_clear_error(&err);
    g_assert_true(file_rename_durably(file, other, &err));
    int lock = file_lock(file, &err);
    g_assert_cmpint(lock, >=, 0);
    g_assert_cmpint(file_lock(file, &err), ==, -1);
    g_assert_true(err_is(err, ERR_IN_USE));
    g_clear_error(&err);
    close(lock);
    /* A link that leads out must not be followed when a tree is removed. */
    g_assert_cmpint(symlink(other, link), ==, 0);
    g_autofree char *sub = g_build_filename(dir, "a", NULL);
    g_assert_true(file_remove_tree(sub, &err));
    g_assert_true(g_file_test(other, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(sub, G_FILE_TEST_EXISTS));
    g_assert_true(file_remove_tree(dir, &err));
    g_assert_true(file_remove_tree(dir, &err));
    g_assert_no_error(err);
    tempdir_remove(&temp);
}

/* More pieces than one call takes, empty ones among them. */
static void
test_pieces(void)
{
    enum { COUNT = 3000, FROM = 5 };
    g_autofree char *path = NULL;
    auto_fd fd = g_file_open_tmp("vmr-file-XXXXXX", &path, NULL);
    g_autoptr(GError) err = NULL;
    g_autoptr(GByteArray) all = g_byte_array_new();
    g_autofree struct iovec *pieces = g_new0(struct iovec, COUNT);
    g_autofree guint8 *from = g_malloc(COUNT * 8);
    for (guint i = 0; i < COUNT; i++) {
        const gsize len = (gsize)g_test_rand_int_range(0, 8);
        memset(from + i * 8, (int)(i & 0xff), len);
        pieces[i] = (struct iovec){from + i * 8, len};
        g_byte_array_append(all, from + i * 8, (guint)len);
    }
    g_assert_true(file_write_pieces(fd, pieces, COUNT, FROM, path, &err));
    g_autofree guint8 *back = g_malloc(all->len);
    g_assert_true(file_read_full(fd, back, all->len, FROM, path, &err));
    g_assert_true(memcmp(back, all->data, all->len) == 0);
    auto_fd full = open("/dev/full", O_WRONLY);
    struct iovec one = {from, 1};
    g_assert_false(file_write_pieces(full, &one, 1, 0, "full", &err));
    g_assert_true(err_is(err, ERR_NO_SPACE));
    unlink(path);
}

static void
test_full_transfers(void)
{
    g_autofree char *path = NULL;
    auto_fd fd = g_file_open_tmp("vmr-file-XXXXXX", &path, NULL);
    g_autoptr(GError) err = NULL;
    char buf[8] = "";
    g_assert_true(file_write_full(fd, "abcdef", 6, 10, path, &err));
    g_assert_true(file_sync(fd, path, &err));
    g_assert_true(file_read_full(fd, buf, 6, 10, path, &err));
    g_assert_cmpstr(buf, ==, "abcdef");
    g_assert_false(file_read_full(fd, buf, 7, 10, path, &err));
    g_assert_true(err_is(err, ERR_CORRUPT));
    g_assert_nonnull(strstr(err->message, path));
    g_assert_cmpint(unlink(path), ==, 0);
}

static void
test_errors_name_the_path(void)
{
    struct tempdir temp;
    tempdir_make(&temp);
    const char *dir = temp.path;
    g_autofree char *absent = g_build_filename(dir, "absent", NULL), *below = g_build_filename(absent, "below", NULL);
    g_autofree char *data = NULL;
    uint64_t free_bytes = 0;
    GError *err = NULL;

    g_assert_false(file_read_all(absent, 10, &data, NULL, &err));
    g_assert_true(err_is(err, ERR_NOT_FOUND) && strstr(err->message, absent));
    g_clear_error(&err);
    g_assert_false(file_replace(below, "x", 1, 0600, &err));
    g_assert_true(err_is(err, ERR_NOT_FOUND) && strstr(err->message, below));
    g_clear_error(&err);
    g_assert_false(file_rename_durably(absent, below, &err));
    g_assert_true(strstr(err->message, absent) && strstr(err->message, below));
    g_clear_error(&err);
    g_assert_false(file_free_space(absent, &free_bytes, &err));
    g_clear_error(&err);
    g_assert_true(file_free_space(dir, &free_bytes, &err));
    g_assert_true(file_unlink_durably(absent, &err));
    g_assert_true(file_replace(absent, "x", 1, 0600, &err));
    g_assert_false(file_make_dirs(below, 0700, &err));
    g_assert_nonnull(strstr(err->message, absent));
    g_clear_error(&err);
    tempdir_remove(&temp);
}

static void
test_replace_leaves_no_trace(void)
{
    struct tempdir temp;
    tempdir_make(&temp);
    g_autofree char *path = g_build_filename(temp.path, "f", NULL);
    GError *err = NULL;
    struct stat st;
    guint names = 0;
    for (int i = 0; i < 3; i++)
        g_assert_true(file_replace(path, "x", 1, 0640, &err));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0137, ==, 0);
    GDir *list = g_dir_open(temp.path, 0, NULL);
    while (g_dir_read_name(list))
        names++;
    g_dir_close(list);
    g_assert_cmpuint(names, ==, 1);
    tempdir_remove(&temp);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/file/life", test_life);
    g_test_add_func("/base/file/full-transfers", test_full_transfers);
    g_test_add_func("/base/file/pieces", test_pieces);
    g_test_add_func("/base/file/errors", test_errors_name_the_path);
    g_test_add_func("/base/file/replace", test_replace_leaves_no_trace);
    return g_test_run();
}
