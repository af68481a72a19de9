/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bytes.h"
#include "base/block.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/queue.h"
#include "base/uuid.h"
#include "base/xml.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void
test_err_table(void)
{
    for (guint i = 0; i < ERR_COUNT; i++) {
        enum err_code back;
        const struct err_info *info = err_info((enum err_code)i);
        g_assert_true(err_from_id(info->id, &back));
        g_assert_cmpint(back, ==, i);
        g_assert_cmpuint(info->cim, >=, 32768);
        g_assert_cmpuint(info->cim, <=, 32779);
        g_assert_cmpint(info->exit, !=, 0);
    }
    enum err_code code;
    g_assert_false(err_from_id("no such word", &code));

    GError *err = NULL;
    errno = ENOSPC;
    g_assert_false(err_errno(&err, "Cannot write '%s'", "x"));
    g_assert_true(err_is(err, ERR_NO_SPACE));
    g_assert_nonnull(strstr(err->message, "'x': "));
    g_clear_error(&err);
}

static void
test_bytes(void)
{
    g_autoptr(GByteArray) w = g_byte_array_new();
    const guint64 values[] = {0, 1, 127, 128, 300, G_MAXUINT32, G_MAXUINT64};
    for (guint i = 0; i < G_N_ELEMENTS(values); i++)
        writer_varint(w, values[i]);
    writer_u32(w, 0x01020304);
    struct reader r = reader_over(w->data, w->len);
    for (guint i = 0; i < G_N_ELEMENTS(values); i++)
        g_assert_cmpuint(reader_varint(&r), ==, values[i]);
    g_assert_cmpuint(reader_u32(&r), ==, 0x01020304);
    g_assert_false(r.failed);
    g_assert_cmpuint(reader_u8(&r), ==, 0);
    g_assert_true(r.failed);

    const guint8 endless[11] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
    r = reader_over(endless, sizeof endless);
    reader_varint(&r);
    g_assert_true(r.failed);
}

/* The set against the simplest thing that can be right: one byte per unit. */
static void
test_extents_model(void)
{
    enum { UNITS = 200 };
    for (int round = 0; round < 200; round++) {
        guint8 model[UNITS] = {0};
        extents_auto set = extents_new();
        for (int i = 0; i < 30; i++) {
            guint64 from = (guint64)g_test_rand_int_range(0, UNITS), to = (guint64)g_test_rand_int_range((gint)from, UNITS);
            bool zero = g_test_rand_bit();
            extents_add(set, from, to - from, zero ? EXTENT_ZERO : EXTENT_DATA);
            memset(model + from, zero ? 2 : 1, to - from);
        }
        guint64 cut = (guint64)g_test_rand_int_range(0, UNITS);
        extents_clip(set, cut);
        memset(model + cut, 0, UNITS - cut);
        guint8 is[UNITS] = {0};
        for (size_t i = 0; i < extents_count(set); i++) {
            const struct extent *e = extents_at(set, i), *before = i ? extents_at(set, i - 1) : NULL;
            g_assert_cmpuint(e->length, >, 0);
            if (before)
                g_assert_true(before->offset + before->length < e->offset ||
                              (before->offset + before->length == e->offset && before->kind != e->kind));
            memset(is + e->offset, e->kind == EXTENT_ZERO ? 2 : 1, e->length);
        }
        g_assert_cmpmem(is, UNITS, model, UNITS);
    }
}

static void
test_extents_intersect(void)
{
    extents_auto a = extents_new(), *b = extents_new();
    extents_add(a, 0, 100, EXTENT_DATA);
    extents_add(a, 200, 100, EXTENT_DATA);
    extents_add(b, 50, 200, EXTENT_ZERO);
    struct extents *both = extents_intersect(a, b);
    g_assert_cmpuint(extents_count(both), ==, 2);
    g_assert_cmpuint(extents_bytes_of(both, EXTENT_ZERO), ==, 100);
    extents_free(both);
}

static void
test_files(void)
{
    GError *err = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmr-base-XXXXXX", NULL);
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
}

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
test_uuid_and_hash(void)
{
    char text[UUID_TEXT];
    struct uuid u = uuid_random(), v;
    g_assert_true(uuid_parse(uuid_format(&u, text), &v) && uuid_equal(&u, &v));
    g_assert_true(uuid_parse(uuid_format_lower(&u, text), &v) && uuid_equal(&u, &v));
    g_assert_true(uuid_parse("{6BA7B810-9dad-11d1-80b4-00c04fd430c8}", &v));
    g_assert_false(uuid_parse("6BA7B810-9dad-11d1-80b4-00c04fd430c", &v));
    g_assert_false(uuid_parse("6BA7B810-9dad-11d1-80b4-00c04fd430c8x", &v));
    g_assert_false(uuid_parse("", &v));

    struct hash128 one = hash128_of("hello world", 11);
    struct hash128_state *s = hash128_new();
    hash128_update(s, "hello ", 6);
    hash128_update(s, "world", 5);
    struct hash128 two = hash128_final(s);
    g_assert_cmpmem(one.bytes, 16, two.bytes, 16);
}

static gpointer
produce(gpointer q)
{
    for (gsize i = 1; i <= 1000; i++)
        if (!queue_push(q, GSIZE_TO_POINTER(i)))
            return GSIZE_TO_POINTER(i);
    queue_close(q);
    return NULL;
}

static void
test_queue(void)
{
    struct queue *q = queue_new(3, NULL);
    GThread *t = g_thread_new("produce", produce, q);
    gsize expected = 1;
    for (void *item; (item = queue_pop(q));)
        g_assert_cmpuint(GPOINTER_TO_SIZE(item), ==, expected++);
    g_assert_cmpuint(expected, ==, 1001);
    g_assert_null(g_thread_join(t));
    queue_free(q);

    q = queue_new(3, NULL);
    t = g_thread_new("produce", produce, q);
    g_assert_nonnull(queue_pop(q));
    queue_abort(q);
    g_assert_nonnull(g_thread_join(t));
    g_assert_null(queue_pop(q));
    queue_free(q);
}

static void
test_xml(void)
{
    static const char *const refused[] = {
        "", "<a>", "<a></b>", "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "<a>&nope;</a>", "text",
    };
    for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
        GError *err = NULL;
        g_assert_null(xml_parse(refused[i], strlen(refused[i]), 1000, &err));
        g_assert_true(err_is(err, ERR_MALFORMED));
        g_clear_error(&err);
    }
    g_autoptr(GString) deep = g_string_new(NULL);
    for (int i = 0; i < 10000; i++)
        g_string_append(deep, "<a>");
    GError *err = NULL;
    g_assert_null(xml_parse(deep->str, deep->len, 1 << 20, &err));
    g_clear_error(&err);
    g_assert_null(xml_parse("<a/>", 4, 3, &err));
    g_assert_true(err_is(err, ERR_TOO_BIG));
    g_clear_error(&err);

    static const char good[] = "<r xmlns='urn:x' y='&lt;1'><c> t&amp;<![CDATA[<z>]]></c><c/></r>";
    g_autoptr(xmlDoc) doc = xml_parse(good, sizeof good - 1, 1000, &err);
    xmlNode *root = xmlDocGetRootElement(doc), *c = xml_child(root, "urn:x", "c");
    g_autofree char *text = xml_text(c), *attr = xml_attr(root, "y"), *none = xml_attr(root, "q");
    g_assert_cmpstr(text, ==, " t&<z>");
    g_assert_cmpstr(attr, ==, "<1");
    g_assert_null(none);
    g_assert_nonnull(xml_next(c, NULL, "c"));
    g_assert_null(xml_child(root, "urn:other", "c"));

    g_autoptr(GString) out = g_string_new(NULL);
    xml_escape(out, "a<&>\"\x01\xff" "b");
    g_assert_cmpstr(out->str, ==, "a&lt;&amp;&gt;&quot;\xef\xbf\xbd\xef\xbf\xbd" "b");
}

static void
test_clock(void)
{
    gint64 before = clock_wall_us(), mono = clock_mono_us();
    clock_shift_for_test(-3600 * (gint64)G_USEC_PER_SEC, 5 * G_USEC_PER_SEC);
    g_assert_cmpint(clock_wall_us(), <, before);
    g_assert_cmpint(clock_mono_us(), >=, mono + 5 * G_USEC_PER_SEC);
    clock_shift_for_test(3600 * (gint64)G_USEC_PER_SEC, -5 * G_USEC_PER_SEC);
    g_autofree char *text = clock_iso8601(G_GINT64_CONSTANT(1763914800123000));
    g_assert_cmpstr(text, ==, "2025-11-23T16:20:00.123Z");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    xml_init();
    g_test_add_func("/base/err", test_err_table);
    g_test_add_func("/base/bytes", test_bytes);
    g_test_add_func("/base/extents/model", test_extents_model);
    g_test_add_func("/base/extents/intersect", test_extents_intersect);
    g_test_add_func("/base/file", test_files);
    g_test_add_func("/base/block-file", test_block_file_holes);
    g_test_add_func("/base/uuid-hash", test_uuid_and_hash);
    g_test_add_func("/base/queue", test_queue);
    g_test_add_func("/base/xml", test_xml);
    g_test_add_func("/base/clock", test_clock);
    return g_test_run();
}
