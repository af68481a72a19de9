/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include "base/file.h"

#include <stdio.h>
#include <string.h>

static void
fill_page(guint8 *page, gsize len)
{
    switch (g_test_rand_int_range(0, 3)) {
    case 0: /* stays zero */
        return;
    case 1: /* compresses */
        memset(page, g_test_rand_int_range(1, 255), len);
        page[g_test_rand_int_range(0, (gint)len)] = 0;
        return;
    default:
        for (gsize i = 0; i < len; i++)
            page[i] = (guint8)g_test_rand_int();
    }
}

void
fixture_up(struct fixture *f, gconstpointer user)
{
    tempdir_make(&f->temp);
    f->path = g_build_filename(f->temp.path, "a.vrl", NULL);
    f->disk[0] = block_mem_new(SIZE_A, &f->data[0]);
    f->disk[1] = block_mem_new(SIZE_B, &f->data[1]);
    for (guint d = 0; d < 2; d++)
        for (guint64 at = 0; at < f->disk[d]->size; at += LOG_PAGE)
            fill_page(f->data[d] + at, MIN(LOG_PAGE, f->disk[d]->size - at));
}

void
fixture_down(struct fixture *f, gconstpointer user)
{
    tempdir_remove(&f->temp);
    block_close(f->disk[0]);
    block_close(f->disk[1]);
    g_free(f->path);
}

struct log_info
fixture_info(void)
{
    struct log_info info = {.vm = uuid_random(),
                            .id = uuid_random(),
                            .parent = uuid_random(),
                            .epoch = 7,
                            .sequence = 42,
                            .capture_us = 1234567890,
                            .kind = LOG_KIND_STANDARD};
    log_info_add_disk(&info, 0, "vda", SIZE_A);
    log_info_add_disk(&info, DISK_B, "vdb", SIZE_B);
    return info;
}

void
fixture_write(struct fixture *f, const struct extents *a, const struct extents *b, const struct log_writer_options *opts)
{
    GError *err = NULL;
    struct log_info info = fixture_info();
    struct log_totals totals;
    struct log_writer *w = log_writer_create(f->path, &info, opts, &err);
    g_assert_no_error(err);
    g_assert_true(log_writer_section(w, LOG_SECTION_DOMAIN_XML, "<domain/>", 9, &err));
    g_assert_true(log_writer_copy(w, 0, f->disk[0], a, NULL, &err));
    g_assert_true(log_writer_copy(w, DISK_B, f->disk[1], b, NULL, &err));
    g_assert_true(log_writer_finish(w, &totals, &err));
    g_assert_no_error(err);
    g_assert_cmpuint(totals.raw_bytes + totals.zero_bytes, ==, extents_bytes(a) + extents_bytes(b));
    log_writer_free(w);
    log_info_clear(&info);
}

void
fixture_write_small(struct fixture *f, int level)
{
    extents_auto a = extents_new(), *b = extents_new();
    memset(f->data[0] + 8192, 'x', 512);
    memset(f->data[1] + SIZE_B - 512, 'y', 512);
    f->data[0][65536] = 1;
    extents_add(a, 8192, 512, EXTENT_DATA);
    extents_add(a, 65536, 512, EXTENT_DATA);
    extents_add(a, 1 << 20, 4096, EXTENT_ZERO);
    extents_add(b, SIZE_B - 1024, 512, EXTENT_ZERO);
    extents_add(b, SIZE_B - 512, 512, EXTENT_DATA);
    fixture_write(f, a, b, &(struct log_writer_options){.level = level});
}

GByteArray *
fixture_bytes(const struct fixture *f)
{
    char *data;
    size_t len;
    GError *err = NULL;
    g_assert_true(file_read_all(f->path, 64 << 20, &data, &len, &err));
    return g_byte_array_new_take((guint8 *)data, len);
}

void
fixture_replace(const struct fixture *f, const void *data, gsize len)
{
    /* Not durable: thousands of these are made. */
    FILE *file = fopen(f->path, "w");
    g_assert_cmpuint(fwrite(data, 1, len, file), ==, len);
    g_assert_cmpint(fclose(file), ==, 0);
}
