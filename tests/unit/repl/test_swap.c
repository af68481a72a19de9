/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/swap.h"

#include "base/clean.h"
#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Images made by sfdisk and mkswap, and what must not be found in them. */

#define MIB (1 << 20)

static char *dir, *image;

static void
run(const char *input, const char *program, ...)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_autoptr(GError) err = NULL;
    va_list args;
    int status = 0;
    va_start(args, program);
    for (const char *one = program; one; one = va_arg(args, const char *))
        g_ptr_array_add(argv, (gpointer)(guintptr)one);
    va_end(args);
    g_ptr_array_add(argv, NULL);
    g_autofree char *line = g_strjoinv(" ", (char **)argv->pdata), *path = g_build_filename(dir, "input", NULL);
    g_assert_true(g_file_set_contents(path, input ? input : "", -1, NULL));
    g_autofree char *shell = g_strdup_printf("%s < %s > /dev/null 2>&1", line, path);
    const char *sh[] = { "/bin/sh", "-c", shell, NULL };
    g_assert_true(g_spawn_sync(NULL, (char **)(gpointer)sh, NULL, 0, NULL, NULL, NULL, NULL, &status, &err));
    if (status != 0)
        g_error("'%s' failed", line);
}

static void
blank(guint64 size)
{
    unlink(image);
    g_assert_true(g_file_set_contents(image, "", 0, NULL));
    g_assert_cmpint(truncate(image, (off_t)size), ==, 0);
}

/* mkswap at a place of the image, with pages of that size. */
static void
swap_at(guint64 offset, guint64 size, const char *page)
{
    g_autofree char *part = g_build_filename(dir, "part", NULL);
    g_autofree char *of = g_strconcat("of=", image, NULL), *from = g_strconcat("if=", part, NULL);
    g_autofree char *seek = g_strdup_printf("seek=%" G_GUINT64_FORMAT, offset);
    unlink(part);
    g_assert_true(g_file_set_contents(part, "", 0, NULL));
    g_assert_cmpint(truncate(part, (off_t)size), ==, 0);
    run(NULL, "mkswap", "-L", "swap1", "-p", page, part, NULL);
    run(NULL, "dd", from, of, seek, "oflag=seek_bytes", "bs=64k", "conv=notrunc,sparse", NULL);
}

static void
write_at(guint64 offset, const void *data, gsize length)
{
    auto_fd fd = open(image, O_WRONLY | O_CLOEXEC);
    g_assert_cmpint(pwrite(fd, data, length, (off_t)offset), ==, (gssize)length);
}

static struct swap_map
find(void)
{
    struct swap_map map;
    g_autoptr(GError) err = NULL;
    struct block *b = block_file_open(image, &err);
    g_assert_no_error(err);
    g_assert_true(swap_find(b, &map, &err));
    block_close(b);
    return map;
}

static void
expect_none(void)
{
    struct swap_map map = find();
    g_assert_cmpuint(map.areas->len, ==, 0);
    swap_map_clear(&map);
}

static void
expect(guint n, guint64 offset, guint64 length)
{
    struct swap_map map = find();
    g_assert_cmpuint(map.areas->len, >, n);
    const struct swap_area *a = &g_array_index(map.areas, struct swap_area, n);
    g_assert_cmpuint(a->offset, ==, offset);
    g_assert_cmpuint(a->length, ==, length);
    for (guint i = 0; i < map.watched->len; i++) { /* what is watched is replicated */
        const struct swap_watched *w = &g_array_index(map.watched, struct swap_watched, i);
        g_assert_true(w->offset + w->length <= a->offset || w->offset >= a->offset + a->length);
    }
    swap_map_clear(&map);
}

static bool
is_watched(guint64 offset)
{
    struct swap_map map = find();
    bool yes = false;
    for (guint i = 0; i < map.watched->len; i++)
        yes |= g_array_index(map.watched, struct swap_watched, i).offset == offset;
    swap_map_clear(&map);
    return yes;
}

static const char GPT[] = "label: gpt\nstart=2048, size=8192, type=L\nstart=10240, size=16384, type=S\n";

static void
test_gpt(void)
{
    static const char *const PAGES[] = { "4096", "8192", "16384", "32768", "65536" };
    for (guint i = 0; i < G_N_ELEMENTS(PAGES); i++) {
        const guint64 page = g_ascii_strtoull(PAGES[i], NULL, 10);
        blank(16 * MIB);
        run(GPT, "sfdisk", image, NULL);
        expect_none(); /* not signed yet */
        swap_at(5 * MIB, 8 * MIB, PAGES[i]);
        expect(0, 5 * MIB + page, 8 * MIB - page);
        g_assert_true(is_watched(0)); /* the header of the table is in it */
        g_assert_true(is_watched(5 * MIB));
        g_assert_false(is_watched(5 * MIB + page));
    }
    write_at(5 * MIB + 65536 - 10, "S1SUSPEND\0", 10);
    expect_none();
}

static void
test_mbr(void)
{
    blank(32 * MIB);
    run("label: dos\nstart=2048, size=8192, type=83\nstart=10240, size=8192, type=82\nstart=20480, type=5\n"
        "start=22528, size=8192, type=83\nstart=34816, size=8192, type=82\n", "sfdisk", image, NULL);
    swap_at(5 * MIB, 4 * MIB, "4096");
    swap_at(17 * MIB, 4 * MIB, "4096");
    expect(0, 5 * MIB + 4096, 4 * MIB - 4096);
    expect(1, 17 * MIB + 4096, 4 * MIB - 4096);
    g_assert_true(is_watched(10 * MIB)); /* where logical partitions are described */
}

static void
test_whole_disk(void)
{
    blank(8 * MIB);
    expect_none();
    swap_at(0, 8 * MIB, "4096");
    expect(0, 4096, 8 * MIB - 4096);
    swap_at(0, 4 * MIB, "4096"); /* smaller than the disk */
    expect(0, 4096, 4 * MIB - 4096);
}

/* Signed, but not of the type; of the type, but overlapping, larger than its partition, or in a table that is damaged. */
static void
test_doubtful(void)
{
    blank(16 * MIB);
    run(GPT, "sfdisk", image, NULL);
    swap_at(1 * MIB, 4 * MIB, "4096");
    expect_none();
    swap_at(5 * MIB, 9 * MIB, "4096"); /* its header says 9 MiB of 8 */
    expect_none();
    swap_at(5 * MIB, 8 * MIB, "4096");
    expect(0, 5 * MIB + 4096, 8 * MIB - 4096);
    write_at(1024 + 56, "x", 1); /* a name in the table, without its checksum */
    expect_none();
    blank(16 * MIB);
    run("label: dos\nstart=2048, size=8192, type=83\nstart=10240, size=16384, type=82\n", "sfdisk", image, NULL);
    swap_at(5 * MIB, 8 * MIB, "4096");
    expect(0, 5 * MIB + 4096, 8 * MIB - 4096);
    const guint8 larger[] = { 0x00, 0x30, 0, 0 };
    write_at(446 + 12, larger, sizeof larger); /* the first one, now of 12288 sectors, reaches into it */
    expect_none();
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree char *path = g_strconcat(g_getenv("PATH"), ":/usr/sbin:/sbin", NULL);
    g_setenv("PATH", path, TRUE);
    g_autofree char *mkswap = g_find_program_in_path("mkswap"), *sfdisk = g_find_program_in_path("sfdisk");
    if (!mkswap || !sfdisk) {
        puts("1..0 # SKIP needs mkswap and sfdisk");
        return 0;
    }
    dir = g_dir_make_tmp("vmr-swap-XXXXXX", NULL);
    image = g_build_filename(dir, "disk", NULL);
    g_test_add_func("/repl/swap/gpt", test_gpt);
    g_test_add_func("/repl/swap/mbr", test_mbr);
    g_test_add_func("/repl/swap/whole-disk", test_whole_disk);
    g_test_add_func("/repl/swap/doubtful", test_doubtful);
    const int status = g_test_run();
    file_remove_tree(dir, NULL);
    g_free(image);
    g_free(dir);
    return status;
}
