/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "log/writer.h"
#include "store/store.h"
#include "store/view.h"

#include <stdio.h>
#include <string.h>

/* make_store DIR IMAGE...: the images (disks vda, vdb, ...) become the next recovery point of the store in DIR, which is made when it
 * is not there; prints the point's id. */

enum { PAGE = 4096 };

static void
must(bool fine, GError *err)
{
    if (!fine)
        g_error("%s", err ? err->message : "unknown");
}

static bool
differs(struct block *now, struct block *before, guint64 at, gsize len)
{
    guint8 a[PAGE], b[PAGE] = {0};
    GError *err = NULL;
    must(block_read(now, a, len, at, &err), err);
    if (before && at + len <= before->size)
        must(block_read(before, b, len, at, &err), err);
    return memcmp(a, b, len) != 0;
}

static void
copy_disk(struct log_writer *w, guint16 disk, struct block *now, struct block *before)
{
    GError *err = NULL;
    extents_auto changed = extents_new();
    for (guint64 at = 0; at < now->size; at += PAGE)
        if (differs(now, before, at, MIN(PAGE, now->size - at)))
            extents_add(changed, at, MIN(PAGE, now->size - at), EXTENT_DATA);
    must(log_writer_copy(w, disk, now, changed, NULL, &err), err);
}

static void
ingest(struct store *s, const struct uuid *id, const char *path)
{
    GError *err = NULL;
    g_autofree char *bytes = NULL;
    size_t len;
    struct store_log log;
    must(file_read_all(path, 1 << 30, &bytes, &len, &err), err);
    struct store_intake *in = store_intake_open(s, id, 0, &err);
    must(in && store_intake_write(in, bytes, len, &err) && store_intake_commit(in, &log, &err), err);
    store_intake_close(in);
}

int
main(int argc, char **argv)
{
    GError *err = NULL;
    char text[UUID_TEXT];
    struct uuid vm = uuid_random();
    struct store_log head = {.id = UUID_NIL};
    g_assert_cmpint(argc, >, 2);
    struct store *s = g_file_test(argv[1], G_FILE_TEST_EXISTS) ? store_open(argv[1], &err) : store_create(argv[1], &vm, "web", &err);
    must(s != NULL, err);
    const bool has = store_head(s, &head);
    struct log_info info = {.vm = *store_vm(s), .id = uuid_random(), .parent = head.id, .epoch = 1, .sequence = head.sequence + 1,
                            .capture_us = g_get_real_time(), .kind = LOG_KIND_STANDARD, .frame_raw_max = LOG_FRAME_RAW_DEFAULT};
    g_autoptr(GPtrArray) blocks = g_ptr_array_new_with_free_func((GDestroyNotify)block_close);
    for (int i = 2; i < argc; i++) {
        g_autofree char *target = g_strdup_printf("vd%c", 'a' + i - 2);
        struct block *b = block_file_open(argv[i], &err);
        must(b != NULL, err);
        g_ptr_array_add(blocks, b);
        log_info_add_disk(&info, (guint16)(i - 2), target, b->size);
    }
    g_autofree char *path = g_strconcat(argv[1], ".log", NULL);
    const struct log_writer_options options = {.level = 1};
    struct log_totals totals;
    struct log_writer *w = log_writer_create(path, &info, &options, &err);
    struct view *before = has ? view_open(argv[1], NULL, &err) : NULL;
    must(w && (before || !has), err);
    for (guint i = 0; i < blocks->len; i++)
        copy_disk(w, (guint16)i, blocks->pdata[i], before ? view_disk(before, i) : NULL);
    must(log_writer_finish(w, &totals, &err), err);
    log_writer_free(w);
    view_close(before);
    ingest(s, &info.id, path);
    unlink(path);
    puts(uuid_format(&info.id, text));
    log_info_clear(&info);
    store_close(s);
    return 0;
}
