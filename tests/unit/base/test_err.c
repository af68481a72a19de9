/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"

#include <errno.h>
#include <string.h>

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
        g_assert_cmpuint(info->type, >=, 1);
        g_assert_cmpuint(info->type, <=, 10);
        g_assert_cmpuint(info->probable, >=, 2);
        g_assert_cmpuint(info->probable, <=, 130);
        g_assert_cmpuint(info->status, >=, 1);
        g_assert_cmpuint(info->status, <=, 20);
        g_assert_true(g_str_has_suffix(info->cause, ".") && g_ascii_isupper(info->cause[0]));
        g_assert_true(g_str_has_suffix(info->next, ".") && g_ascii_isupper(info->next[0]));
    }
    enum err_code code;
    g_assert_false(err_from_id("no such word", &code));
}

static void
test_errno(void)
{
    static const struct {
        int number;
        enum err_code code;
    } cases[] = {
        {ENOSPC, ERR_NO_SPACE},     {EDQUOT, ERR_NO_SPACE},  {ENOENT, ERR_NOT_FOUND}, {EACCES, ERR_ACCESS_DENIED},
        {EPERM, ERR_ACCESS_DENIED}, {ENOMEM, ERR_NO_MEMORY}, {EIO, ERR_IO},           {EROFS, ERR_IO},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) err = NULL;
        errno = cases[i].number;
        g_assert_false(err_errno(&err, "Cannot write '%s'", "x"));
        g_assert_true(err_is(err, cases[i].code));
        g_assert_true(g_str_has_prefix(err->message, "Cannot write 'x': "));
        g_assert_true(g_str_has_suffix(err->message, "."));
    }
}

/* A disk that gives up has answered; want of descriptors, memory or rights is no answer. */
static void
test_damage(void)
{
    static const int answers[] = {EIO, EUCLEAN, EBADMSG, EISDIR};
    static const int others[] = {EMFILE, ENFILE, ENOMEM, EACCES, ELOOP, ENOTDIR, ENOENT, ESTALE};
    for (guint i = 0; i < G_N_ELEMENTS(answers); i++) {
        g_autoptr(GError) err = NULL;
        errno = answers[i];
        err_errno(&err, "Cannot read 'x'");
        g_prefix_error(&err, "Guest 'g': ");
        g_autoptr(GError) copy = g_error_copy(err);
        g_assert_true(err_is_damage(err) && err_is_damage(copy));
    }
    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        g_autoptr(GError) err = NULL;
        errno = others[i];
        err_errno(&err, "Cannot open 'x'");
        g_assert_false(err_is_damage(err));
    }
    g_autoptr(GError) corrupt = NULL, remote = NULL, foreign = g_error_new(G_FILE_ERROR, G_FILE_ERROR_IO, "other domain");
    err_set(&corrupt, ERR_CORRUPT, "'x' is torn.");
    err_set(&remote, ERR_IO, "The other host cannot read 'x'.");
    g_assert_true(err_is_damage(corrupt));
    g_assert_false(err_is_damage(remote) || err_is_damage(foreign) || err_is_damage(NULL));
}

static void
test_foreign(void)
{
    g_autoptr(GError) err = g_error_new(G_FILE_ERROR, G_FILE_ERROR_EXIST, "other domain");
    g_assert_true(err_info_of(err) == err_info(ERR_FAILED));
    g_assert_true(err_info_of(NULL) == err_info(ERR_FAILED));
    g_assert_false(err_is(err, ERR_FAILED));
    g_assert_false(err_is(NULL, ERR_FAILED));
    g_assert_false(err_set(NULL, ERR_IO, "nobody wants to know"));
}

static void
test_chain(void)
{
    g_autoptr(GError) err = NULL;
    err_errno(&err, "Image 'x' cannot be read");
    g_assert_null(err_cause(err));
    g_assert_false(err_wrap(&err, ERR_NOT_AVAILABLE, "Disk '%s' cannot be copied.", "vda"));
    g_assert_false(err_wrap(&err, ERR_FAILED, "Guest 'g' cannot be replicated."));
    g_assert_true(err_is(err, ERR_FAILED));
    g_autoptr(GError) copy = g_error_copy(err);
    g_clear_error(&err);
    const GError *second = err_cause(copy);
    g_assert_true(err_is(second, ERR_NOT_AVAILABLE));
    g_assert_cmpstr(second->message, ==, "Disk 'vda' cannot be copied.");
    g_assert_true(g_str_has_prefix(err_cause(second)->message, "Image 'x'"));
    g_assert_null(err_cause(err_cause(second)));
    g_autoptr(GError) foreign = g_error_new(G_FILE_ERROR, G_FILE_ERROR_EXIST, "other domain");
    g_assert_null(err_cause(foreign));
    g_assert_null(err_cause(NULL));
    g_assert_false(err_wrap(&foreign, ERR_IO, "It did not work."));
    g_assert_cmpstr(err_cause(foreign)->message, ==, "other domain");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/base/err/table", test_err_table);
    g_test_add_func("/base/err/errno", test_errno);
    g_test_add_func("/base/err/damage", test_damage);
    g_test_add_func("/base/err/foreign", test_foreign);
    g_test_add_func("/base/err/chain", test_chain);
    return g_test_run();
}
