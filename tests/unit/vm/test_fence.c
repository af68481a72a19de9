/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Fences, and libvirt's hook that honours them. */
#include "base/err.h"
#include "base/file.h"
#include "vm/fence.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUEST "bdcd54ed-9143-4adc-9ad8-ec58ca5bb71b"
static const char other[] = "<domain><name>o</name><uuid>00000000-9143-4adc-9ad8-ec58ca5bb71b</uuid></domain>";
static const char one_line[] = "<domain type='kvm'><name>g</name><uuid>BDCD54ED-9143-4adc-9ad8-ec58ca5bb71b</uuid><metadata>"
                               "<uuid>00000000-9143-4adc-9ad8-ec58ca5bb71b</uuid></metadata></domain>";
static const char many_lines[] = "<domain>\n  <name>g</name>\n  <uuid>" GUEST "</uuid>\n  <m>\n   <uuid>"
                                 "00000000-9143-4adc-9ad8-ec58ca5bb71b</uuid>\n  </m>\n</domain>\n";

struct fixture {
    char *root, *dir;
    struct uuid vm;
};

static void
set_up(struct fixture *f, const void *unused)
{
    f->root = g_dir_make_tmp("vmr-fence.XXXXXX", NULL);
    f->dir = g_build_filename(f->root, "a", "fences", NULL);
    g_assert_true(uuid_parse(GUEST, &f->vm));
}

static void
tear_down(struct fixture *f, const void *unused)
{
    file_remove_tree(f->root, NULL);
    g_free(f->root);
    g_free(f->dir);
}

static void
test_file(struct fixture *f, const void *unused)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *path = g_build_filename(f->dir, GUEST, NULL);
    g_autofree char *text = NULL;
    g_assert_false(fence_is_up(f->dir, &f->vm));
    g_assert_true(fence_lower(f->dir, &f->vm, &why)); /* not even a folder */
    g_assert_true(fence_raise(f->dir, &f->vm, "first", &why));
    g_assert_true(fence_raise(f->dir, &f->vm, "It is a replica.", &why));
    g_assert_no_error(why);
    g_assert_true(fence_is_up(f->dir, &f->vm));
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "It is a replica.\n");
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0644);
    g_assert_true(fence_lower(f->dir, &f->vm, &why));
    g_assert_true(fence_lower(f->dir, &f->vm, &why));
    g_assert_false(fence_is_up(f->dir, &f->vm));
}

static void
test_unwritable(struct fixture *f, const void *unused)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *file = g_build_filename(f->root, "file", NULL), *below = g_build_filename(file, "fences", NULL);
    g_assert_true(g_file_set_contents(file, "x", 1, NULL));
    g_assert_false(fence_raise(below, &f->vm, "no", &why));
    g_assert_nonnull(why);
}

/* Exit status of the hook; *words: its stderr. */
static int
hook(struct fixture *f, const char *operation, const char *sub, const char *xml, char **words)
{
    g_autofree char *input = g_build_filename(f->root, "xml", NULL), *output = NULL;
    g_assert_true(g_file_set_contents(input, xml, -1, NULL));
    g_autofree char *line = g_strdup_printf("VMREPLICA_FENCES='%s' VMREPLICA_PRIMARIES='%s/primaries' VMREPLICA_DAEMON='%s/daemon' "
                                            "exec sh '%s' g %s %s - <'%s'", f->dir, f->root, f->root, VM_HOOK, operation, sub, input);
    const char *const argv[] = { "/bin/sh", "-c", line, NULL };
    g_auto(GStrv) copy = g_strdupv((char **)(gsize)argv);
    int status = 0;
    g_assert_true(g_spawn_sync(NULL, copy, NULL, 0, NULL, NULL, &output, words, &status, NULL));
    g_assert_cmpstr(output, ==, ""); /* libvirt would take it for a new definition */
    g_assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
expect(struct fixture *f, const char *operation, const char *sub, const char *xml, int status)
{
    g_autofree char *words = NULL;
    g_assert_cmpint(hook(f, operation, sub, xml, &words), ==, status);
    g_assert_cmpstr(words, ==, status ? "vmreplica: It is a replica.\n" : "");
}

static void
test_hook(struct fixture *f, const void *unused)
{
    expect(f, "prepare", "begin", one_line, 0); /* no folder */
    g_assert_true(fence_raise(f->dir, &f->vm, "It is a replica.", NULL));
    expect(f, "prepare", "begin", one_line, 1);
    expect(f, "prepare", "begin", many_lines, 1);
    expect(f, "migrate", "begin", many_lines, 1);
    expect(f, "restore", "begin", many_lines, 1);
    expect(f, "prepare", "begin", other, 0);
    expect(f, "prepare", "begin", "", 0);
    expect(f, "prepare", "begin", "<domain/>", 0);
    expect(f, "prepare", "begin", "<domain><uuid>../../etc/passwd</uuid></domain>", 0);
    expect(f, "start", "begin", one_line, 0);
    expect(f, "started", "begin", one_line, 0);
    expect(f, "stopped", "end", one_line, 0);
    expect(f, "release", "end", one_line, 0);
    expect(f, "reconnect", "begin", one_line, 0);
    g_assert_true(fence_lower(f->dir, &f->vm, NULL));
    expect(f, "prepare", "begin", one_line, 0); /* an empty folder */
}

/* A daemon that says some words, ends with a status, and counts its calls. */
static void
make_daemon(struct fixture *f, int status)
{
    g_autofree char *path = g_build_filename(f->root, "daemon", NULL);
    g_autofree char *script = g_strdup_printf("#!/bin/sh\nread line && exit 18\necho \"$*\" >>'%s/calls'\necho 'It has failed over.'\n"
                                              "exit %d\n", f->root, status);
    g_assert_true(g_file_set_contents_full(path, script, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
}

static void
expect_words(struct fixture *f, const char *xml, int status, const char *expected)
{
    g_autofree char *words = NULL;
    g_assert_cmpint(hook(f, "prepare", "begin", xml, &words), ==, status);
    g_assert_cmpstr(words, ==, expected);
}

static void
test_asks(struct fixture *f, const void *unused)
{
    g_autofree char *dir = g_build_filename(f->root, "primaries", NULL), *file = g_build_filename(dir, GUEST, NULL);
    g_autofree char *log = g_build_filename(f->root, "calls", NULL), *calls = NULL;
    g_assert_cmpint(g_mkdir(dir, 0755), ==, 0);
    make_daemon(f, 18);
    expect_words(f, one_line, 0, ""); /* nobody to ask */
    g_assert_true(g_file_set_contents(file, "{}", -1, NULL));
    expect_words(f, other, 0, "");
    expect_words(f, one_line, 1, "vmreplica: It has failed over.\n");
    expect_words(f, many_lines, 1, "vmreplica: It has failed over.\n");
    expect(f, "stopped", "end", one_line, 0);
    const int harmless[] = { 0, 1, 6, 64, 127 };
    for (guint i = 0; i < G_N_ELEMENTS(harmless); i++) {
        make_daemon(f, harmless[i]);
        expect_words(f, one_line, 0, "");
    }
    g_assert_true(g_file_get_contents(log, &calls, NULL, NULL));
    g_assert_true(g_str_has_prefix(calls, "--may-start " GUEST "\n--may-start " GUEST "\n"));
    g_autofree char *daemon = g_build_filename(f->root, "daemon", NULL);
    g_assert_cmpint(unlink(daemon), ==, 0);
    expect_words(f, one_line, 0, ""); /* not even a program */
    g_assert_true(fence_raise(f->dir, &f->vm, "It is a replica.", NULL));
    expect(f, "prepare", "begin", one_line, 1); /* a fence needs no program */
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/vm/fence/file", struct fixture, NULL, set_up, test_file, tear_down);
    g_test_add("/vm/fence/unwritable", struct fixture, NULL, set_up, test_unwritable, tear_down);
    g_test_add("/vm/fence/asks", struct fixture, NULL, set_up, test_asks, tear_down);
    g_test_add("/vm/fence/hook", struct fixture, NULL, set_up, test_hook, tear_down);
    return g_test_run();
}
