/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"
#include "log/coding.h"
#include "log/writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* seeds_log FOLDER: makes FOLDER/log/ and FOLDER/log_parts/, the seeds of the fuzzers of the same names.  Run it by hand when the format
 * changes (ninja seeds_log; tests/fuzz/seeds_log tests/fuzz/corpus), with the old ones removed before. */

static const char *folder;

static void
put(const char *fuzzer, const char *name, uint8_t first, const void *data, size_t len)
{
    g_autofree char *dir = g_build_filename(folder, fuzzer, NULL), *path = g_build_filename(dir, name, NULL);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    writer_u8(bytes, first);
    writer_bytes(bytes, data, len);
    g_autoptr(GError) err = NULL;
    if (!file_make_dirs(dir, 0755, &err) || !file_replace(path, bytes->data, bytes->len, 0644, &err))
        g_error("%s", err->message);
}

static struct log_info
some_info(void)
{
    struct log_info info = {.vm = {{1}}, .id = {{2}}, .parent = {{3}}, .epoch = 1, .sequence = 2, .kind = LOG_KIND_APPLICATION};
    log_info_add_disk(&info, 0, "vda", 1 << 20);
    log_info_add_disk(&info, 1, "vdb", 4096 + 512);
    return info;
}

static void
write_changes(struct log_writer *w)
{
    uint8_t page[4096] = {0};
    memset(page, 'a', 600);
    bool ok = log_writer_section(w, LOG_SECTION_DOMAIN_XML, "<domain/>", 9, NULL) && log_writer_data(w, 0, 4096, page, 1024, NULL) &&
              log_writer_zero(w, 0, 65536, 8192, NULL) && log_writer_data(w, 0, 1 << 19, page, 512, NULL) &&
              log_writer_data(w, 1, 4096, page, 512, NULL);
    g_assert_true(ok);
}

static void
make_log(const char *name, const struct log_writer_options *options, bool empty)
{
    struct log_info info = some_info();
    g_autofree char *path = g_strdup_printf("%s/%s.new", folder, name), *data = NULL;
    size_t len;
    GError *err = NULL;
    struct log_writer *w = log_writer_create(path, &info, options, &err);
    g_assert_no_error(err);
    if (!empty)
        write_changes(w);
    bool ok = log_writer_finish(w, NULL, &err) && file_read_all(path, 1 << 20, &data, &len, &err) && file_unlink_durably(path, &err);
    g_assert_true(ok);
    put("log", name, 63, data, len);
    log_writer_free(w);
    log_info_clear(&info);
}

static void
make_header(void)
{
    struct log_info info = some_info();
    g_autoptr(GPtrArray) sections = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
    g_autofree char *xml = g_strnfill(1000, 'x');
    g_ptr_array_add(sections, log_section_encode(LOG_SECTION_DOMAIN_XML, xml, 1000));
    g_ptr_array_add(sections, log_section_encode(LOG_SECTION_NVRAM, "nvram", 5));
    g_autoptr(GByteArray) header = log_header_encode(&info, sections);
    put("log_parts", "header", 0, header->data, header->len - 16);
    log_info_clear(&info);
}

static void
make_frame_and_index(void)
{
    g_autoptr(GByteArray) list = g_byte_array_new(), frame = g_byte_array_new(), index = g_byte_array_new(), trailer = g_byte_array_new();
    guint64 end = 0, last = 0;
    uint8_t payload[1024] = {0};
    log_extent_append(list, &end, 8192, 512, false);
    log_extent_append(list, &end, 1 << 29, 1 << 20, true);
    log_extent_append(list, &end, (1 << 29) + (1 << 20), 512, false);
    struct log_frame f = {.disk = 0,
                          .file_offset = 300,
                          .raw_length = 1024,
                          .stored_length = 1024,
                          .extent_count = 3,
                          .extents = list->data,
                          .extents_length = list->len};
    struct log_trailer t = {5000, 40, 5040 + LOG_TRAILER_SIZE, 1024, 1 << 20, 1};
    log_frame_encode(frame, &f, payload);
    writer_bytes(frame, list->data, list->len);
    put("log_parts", "frame", 1, frame->data, frame->len);
    writer_u32(index, (guint32)t.raw_bytes);
    writer_u32(index, (guint32)t.zero_bytes);
    writer_u32(index, LOG_INDEX_MAGIC);
    writer_u32(index, 1);
    log_index_append(index, &last, &f);
    put("log_parts", "index", 2, index->data, index->len);
    log_trailer_encode(trailer, &t, index);
    g_byte_array_set_size(trailer, LOG_TRAILER_SIZE);
    put("log_parts", "trailer", 3, trailer->data, trailer->len);
}

static void
make_codec(const char *name, enum log_codec codec)
{
    uint8_t raw[4096] = "zstd", packed[8192];
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    gsize n = log_compress(codec, 1, raw, sizeof raw, packed, sizeof packed);
    writer_u8(bytes, codec);
    writer_u16(bytes, sizeof raw);
    writer_bytes(bytes, packed, n);
    put("log_parts", name, 4, bytes->data, bytes->len);
}

int
main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: seeds_log FOLDER\n", stderr);
        return 2;
    }
    folder = argv[1];
    make_log("raw", &(struct log_writer_options){.frame_raw = 4096}, false);
    make_log("zstd", &(struct log_writer_options){.level = 1, .frame_raw = 4096}, false);
    make_log("lz4", &(struct log_writer_options){.lz4 = true, .frame_raw = 4096}, false);
    make_log("empty", &(struct log_writer_options){.level = 1, .frame_raw = 4096}, true);
    make_header();
    make_frame_and_index();
    make_codec("codec", LOG_CODEC_ZSTD);
    make_codec("codec-lz4", LOG_CODEC_LZ4);
    return 0;
}
