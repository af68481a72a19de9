/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "fixture.h"

#include <fcntl.h>
#include <string.h>

static void
test_sections_and_info(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    size_t len = 0;
    struct log_info info;
    fixture_write_small(f, 1);
    struct log_reader *r = log_reader_open(f->path, &err);
    g_assert_no_error(err);
    g_autofree char *xml = log_reader_section(r, LOG_SECTION_DOMAIN_XML, &len, &err);
    g_assert_cmpstr(xml, ==, "<domain/>");
    g_assert_cmpuint(len, ==, 9);
    g_assert_null(log_reader_section(r, LOG_SECTION_NVRAM, &len, &err));
    g_assert_no_error(err);
    g_assert_cmpstr(log_reader_path(r), ==, f->path);
    g_assert_true(log_read_info(f->path, &info, &err));
    g_assert_true(uuid_equal(&info.id, &log_reader_info(r)->id));
    g_assert_cmpuint(info.disk_count, ==, 2);
    g_assert_cmpuint(info.epoch, ==, 7);
    g_assert_cmpint(info.capture_us, ==, 1234567890);
    log_info_clear(&info);
    log_reader_close(r);
}

static void
test_long_section(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    size_t len;
    struct log_info info = fixture_info();
    g_autofree char *xml = g_strnfill(1 << 20, 'x');
    struct log_writer *w = log_writer_create(f->path, &info, &(struct log_writer_options){.level = 1}, &err);
    g_assert_true(log_writer_section(w, LOG_SECTION_DOMAIN_XML, xml, 1 << 20, &err));
    g_assert_true(log_writer_section(w, LOG_SECTION_NVRAM, "", 0, &err));
    g_assert_true(log_writer_finish(w, NULL, &err));
    log_writer_free(w);
    struct log_reader *r = log_reader_open(f->path, &err);
    g_autofree char *back = log_reader_section(r, LOG_SECTION_DOMAIN_XML, &len, &err);
    g_autofree char *none = log_reader_section(r, LOG_SECTION_NVRAM, &len, &err);
    g_assert_cmpstr(back, ==, xml);
    g_assert_cmpstr(none, ==, "");
    g_assert_cmpuint(len, ==, 0);
    g_assert_cmpuint(log_reader_file_bytes(r), <, 4096);
    log_reader_close(r);
    log_info_clear(&info);
}

/* The digest at the end says which log a file is. */
static void
test_digest(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    guint8 digest[LOG_DIGEST];
    fixture_write_small(f, 1);
    struct log_reader *r = log_reader_open(f->path, &err);
    g_assert_no_error(err);
    const guint64 bytes = log_reader_file_bytes(r);
    auto_fd fd = open(f->path, O_RDONLY | O_CLOEXEC);
    memcpy(digest, log_reader_digest(r), sizeof digest);
    g_assert_true(log_has_digest(fd, bytes, digest));
    g_assert_false(log_has_digest(fd, bytes - 1, digest));
    g_assert_false(log_has_digest(fd, 1, digest));
    digest[LOG_DIGEST - 1] ^= 1;
    g_assert_false(log_has_digest(fd, bytes, digest));
    log_reader_close(r);
}

/* A payload is checked when it is read; the other frames stay readable. */
static void
test_bad_payload(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    guint8 raw[4096], byte;
    fixture_write_small(f, 0);
    struct log_reader *r = log_reader_open(f->path, &err);
    guint64 at = log_reader_frame(r, 1)->file_offset + LOG_FRAME_FIXED + log_reader_frame(r, 1)->extents_length;
    log_reader_close(r);
    g_autoptr(GByteArray) log = fixture_bytes(f);
    byte = log->data[at] ^= 1;
    g_assert_cmpint(byte, ==, 'y' ^ 1);
    fixture_replace(f, log->data, log->len);
    r = log_reader_open(f->path, &err);
    g_assert_no_error(err);
    g_assert_true(log_reader_data(r, 0, raw, &err));
    g_assert_false(log_reader_data(r, 1, raw, &err));
    g_assert_true(err_is(err, ERR_CORRUPT) && strstr(err->message, f->path) && strstr(err->message, "frame 1 at byte"));
    g_clear_error(&err);
    log_reader_close(r);
}

struct job {
    struct log_reader *reader;
    const struct fixture *fixture;
};

static gpointer
read_all(gpointer user)
{
    const struct job *job = user;
    g_autofree guint8 *raw = g_malloc(LOG_FRAME_RAW_MAX);
    for (unsigned i = 0; i < log_reader_frames(job->reader); i++) {
        const struct log_frame *fr = log_reader_frame(job->reader, i);
        struct log_extent_iter it = log_frame_extents(fr);
        struct log_extent e;
        g_assert_true(log_reader_data(job->reader, i, raw, NULL));
        while (log_extent_next(&it, &e))
            if (!e.zero)
                g_assert_cmpmem(raw + e.raw_offset, e.length, job->fixture->data[fr->disk == DISK_B] + e.offset, e.length);
    }
    return NULL;
}

static void
test_threads(struct fixture *f, gconstpointer user)
{
    GThread *threads[4];
    extents_auto a = extents_new(), *b = extents_new();
    extents_add(a, 0, SIZE_A, EXTENT_DATA);
    extents_add(b, 0, SIZE_B, EXTENT_DATA);
    fixture_write(f, a, b, &(struct log_writer_options){.level = 1, .threads = 2, .frame_raw = 32768});
    struct job job = {log_reader_open(f->path, NULL), f};
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("read", read_all, &job);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    log_reader_close(job.reader);
}

static void
test_other_files(struct fixture *f, gconstpointer user)
{
    GError *err = NULL;
    struct log_info info;
    g_assert_null(log_reader_open(f->path, &err));
    g_assert_true(err_is(err, ERR_NOT_FOUND) && strstr(err->message, f->path));
    g_clear_error(&err);
    g_autofree char *text = g_strnfill(5000, 'x');
    fixture_replace(f, text, 5000);
    g_assert_null(log_reader_open(f->path, &err));
    g_assert_true(err_is(err, ERR_CORRUPT) && strstr(err->message, f->path));
    g_clear_error(&err);
    g_assert_false(log_read_info(f->path, &info, &err));
    g_assert_true(err_is(err, ERR_CORRUPT));
    g_clear_error(&err);
    g_assert_null(log_reader_open(f->temp.path, &err));
    g_clear_error(&err);
    log_reader_close(NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    FIXTURE_TEST("/log/reader/sections", test_sections_and_info);
    FIXTURE_TEST("/log/reader/long-section", test_long_section);
    FIXTURE_TEST("/log/reader/digest", test_digest);
    FIXTURE_TEST("/log/reader/bad-payload", test_bad_payload);
    FIXTURE_TEST("/log/reader/threads", test_threads);
    FIXTURE_TEST("/log/reader/other-files", test_other_files);
    return g_test_run();
}
