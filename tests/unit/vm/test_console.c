/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"
#include "vm/console.h"
#include "vm/domxml.h"

#include <stdio.h>
#include <string.h>

struct box {
    char *dir, *path, *other;
};

static void
box_open(struct box *b)
{
    b->dir = g_dir_make_tmp("vmr-console-XXXXXX", NULL);
    b->path = g_build_filename(b->dir, "one.log", NULL);
    b->other = g_build_filename(b->dir, "two.log", NULL);
}

static void
box_close(struct box *b)
{
    g_assert_true(file_remove_tree(b->dir, NULL));
    g_free(b->dir);
    g_free(b->path);
    g_free(b->other);
}

static void
say(const char *path, const char *text)
{
    FILE *f = fopen(path, "a");
    g_assert_nonnull(f);
    fputs(text, f);
    g_assert_cmpint(fclose(f), ==, 0);
}

static void
test_pieces(void)
{
    struct box b;
    box_open(&b);
    const char *const files[] = { b.path, b.other, NULL };
    struct console *c = console_new(files, "login:");
    g_assert_false(console_seen(c)); /* there is no file yet */
    g_assert_null(console_last_line(c));
    say(b.path, "booting\r\nweb lo");
    g_assert_false(console_seen(c));
    say(b.other, "gin:\n"); /* of another port */
    g_assert_false(console_seen(c));
    g_autofree char *line = console_last_line(c);
    g_assert_cmpstr(line, ==, "web login:");
    say(b.path, "gin: ");
    g_assert_true(console_seen(c));
    g_assert_true(console_seen(c)); /* it was */
    console_free(c);
    box_close(&b);
}

/* virtlogd rotates; a file may also be cut. */
static void
test_rotated(void)
{
    struct box b;
    box_open(&b);
    const char *const files[] = { b.path, NULL };
    struct console *c = console_new(files, "READY");
    say(b.path, "a long beginning, REA");
    g_assert_false(console_seen(c));
    g_assert_true(g_file_set_contents(b.path, "DY", -1, NULL)); /* another file: not what went on */
    g_assert_false(console_seen(c));
    say(b.path, " READY");
    g_assert_true(console_seen(c));
    console_free(c);
    box_close(&b);
}

static void
test_last_line(void)
{
    struct box b;
    box_open(&b);
    const char *const files[] = { b.path, NULL };
    struct console *c = console_new(files, "never");
    g_autofree char *wide = g_strnfill(300, 'x');
    say(b.path, "\x1b[1mKernel panic\x1b[0m - not syncing\n\n\r\n");
    g_assert_false(console_seen(c));
    g_autofree char *line = console_last_line(c);
    g_assert_cmpstr(line, ==, "[1mKernel panic[0m - not syncing");
    say(b.path, wide);
    g_assert_false(console_seen(c));
    g_autofree char *cut = console_last_line(c);
    g_assert_cmpuint(strlen(cut), ==, 100);
    console_free(c);
    box_close(&b);
}

/* Every kind of serial port has a file in the end. */
static void
test_files(void)
{
    static const char guest[] =
        "<domain type='kvm'><name>web</name><uuid>00000000-0000-4000-8000-000000000001</uuid><devices>"
        "<serial type='pty'><target port='0'/></serial>"
        "<serial type='file'><source path='/other/host.log'/><target port='1'/></serial>"
        "<serial type='tcp'><source mode='bind' host='::' service='4555'/><target port='2'/></serial>"
        "<console type='pty'><target type='virtio' port='0'/></console></devices></domain>";
    static const char mute[] = "<domain type='kvm'><name>web</name><uuid>00000000-0000-4000-8000-000000000001</uuid><devices/></domain>";
    static const struct domxml_nets no_nets = { 0 };
    const struct uuid id = { { 1 } };
    g_autoptr(GError) why = NULL;
    g_autofree char *replica = domxml_for_replica(guest, NULL, 0, "/f", &why);
    g_autofree char *test = domxml_as_test(replica, &id, "t", &no_nets, "/f", &why);
    g_assert_no_error(why);
    g_auto(GStrv) files = domxml_consoles(test, &why);
    g_assert_cmpuint(g_strv_length(files), ==, 4);
    for (char **f = files; *f; f++)
        g_assert_true(g_str_has_prefix(*f, "/f/"));
    g_assert_cmpstr(files[0], !=, files[2]);
    g_autofree char *silent = domxml_as_test(mute, &id, "t", &no_nets, "/f", &why);
    g_auto(GStrv) none = domxml_consoles(silent, &why);
    g_assert_no_error(why);
    g_assert_cmpuint(g_strv_length(none), ==, 0);
    g_assert_null(domxml_consoles("<domain/>", &why));
    g_assert_nonnull(why);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/console/pieces", test_pieces);
    g_test_add_func("/vm/console/rotated", test_rotated);
    g_test_add_func("/vm/console/last-line", test_last_line);
    g_test_add_func("/vm/console/files", test_files);
    return g_test_run();
}
