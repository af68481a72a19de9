/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "model.h"
#include "store/layout.h"
#include "store/pins.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Every kind of file of a store with flipped bits, too short, or gone; a store that was copied.  What is damaged is refused with the name
 * of the file, or it makes no difference; nothing that opens shows wrong data. */

static char *root;

struct fixture {
    char *dir, *copy;
    struct model *model;
    struct uuid last;
};

static void
run(const char *const *argv)
{
    g_autoptr(GError) err = NULL;
    int status;
    g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, &err);
    g_assert_no_error(err);
    g_assert_cmpint(status, ==, 0);
}

static void
setup(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    f->dir = g_build_filename(root, "store", NULL);
    f->copy = g_build_filename(root, "copy", NULL);
    f->model = model_new(root);
    f->model->fixed_size = true;
    struct store *s = store_create(f->dir, &f->model->vm, "guest", &err);
    for (int i = 0; i < 3; i++) {
        struct version *v = model_step(f->model, false);
        model_ingest(f->model, s, v);
        f->last = v->id;
        if (i == 0)
            store_apply(s, &v->id, NULL, &err);
    }
    store_pin(s, &f->last, true, &err);
    store_protect(s, &f->last, clock_wall_us() + G_GINT64_CONSTANT(3600000000), &err);
    g_assert_no_error(err);
    store_close(s);
}

static void
teardown(struct fixture *f, gconstpointer data)
{
    file_remove_tree(f->dir, NULL);
    file_remove_tree(f->copy, NULL);
    model_free(f->model);
    g_free(f->dir);
    g_free(f->copy);
}

static void
copy_store(struct fixture *f)
{
    file_remove_tree(f->copy, NULL);
    run((const char *[]){"cp", "-a", f->dir, f->copy, NULL});
}

/* Paths of all files below dir that begin with `sub`, relative to it. */
static void
list_files(const char *dir, const char *sub, GPtrArray *out)
{
    g_autoptr(GPtrArray) names = layout_list_names(dir, sub, NULL);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *relative = g_build_filename(sub, names->pdata[i], NULL), *path = g_build_filename(dir, relative, NULL);
        if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
            g_ptr_array_add(out, g_steal_pointer(&relative));
    }
}

static GPtrArray *
all_files(struct fixture *f)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
    list_files(f->dir, ".", out);
    list_files(f->dir, "base", out);
    list_files(f->dir, "logs", out);
    g_assert_cmpuint(out->len, >=, 3 + 2 + 2);
    return out;
}

/* Checksums of a base disk: which of the two is damaged nobody can tell, and where the disk is empty it makes no difference. */
static bool
is_sums(const char *name)
{
    return g_str_has_suffix(name, ".sums");
}

static bool
is_lock(const char *name)
{
    return g_str_has_suffix(name, ".lock");
}

/* The pins are those that were set: a date that reads otherwise would be worse than none that can be read. */
static void
check_pins(struct fixture *f, struct store *s)
{
    struct store_pin now, was;
    struct store *o = store_open(f->dir, NULL);
    g_assert_nonnull(o);
    g_assert_true(store_pin_of(o, &f->last, &was) && store_pin_of(s, &f->last, &now));
    g_assert_true(now.pinned);
    g_assert_cmpint(now.until_us, ==, was.until_us);
    store_close(o);
}

/* Opens, checks and reads the copy as a daemon would; false with the error that tells.  What passes must be right. */
static bool
survives(struct fixture *f, GError **err)
{
    struct store *s = store_open(f->copy, err);
    if (!s)
        return false;
    const bool ok = store_check(s, NULL, NULL, err);
    if (ok) {
        model_check_store(f->model, s);
        check_pins(f, s);
    }
    store_close(s);
    return ok;
}

static void
assert_told(const GError *err, const char *name)
{
    const char *slash = strrchr(name, '/');
    if (is_sums(name) && strstr(err->message, "base file '"))
        return;
    if (!strstr(err->message, slash ? slash + 1 : name) && !strstr(err->message, "store '") && !strstr(err->message, "no store in '"))
        g_error("'%s' was damaged, and the message is: %s", name, err->message);
}

static void
flip(const char *path, const char *bytes, size_t len, size_t bit)
{
    g_autofree char *bent = g_memdup2(bytes, len);
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    bent[bit / 8] = (char)(bent[bit / 8] ^ (1 << (bit % 8)));
    g_assert_true(g_file_set_contents_full(path, bent, (gssize)len, G_FILE_SET_CONTENTS_NONE, 0640, NULL));
}

/* Some bits of each, others with every run. */
static void
test_flipped(struct fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) files = all_files(f);
    for (guint i = 0; i < files->len; i++) {
        const char *name = files->pdata[i];
        g_autofree char *bytes = NULL, *path = g_build_filename(f->copy, name, NULL);
        gsize len;
        copy_store(f);
        if (is_lock(name))
            continue;
        g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
        const int stride = MAX((int)len / 8, 20);
        for (size_t bit = 0; bit < len * 8; bit += 1 + (size_t)g_test_rand_int_range(0, stride)) {
            g_autoptr(GError) err = NULL;
            flip(path, bytes, len, bit);
            if (!survives(f, &err))
                assert_told(err, name);
        }
    }
}

static void
test_truncated(struct fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) files = all_files(f);
    for (guint i = 0; i < files->len; i++) {
        const char *name = files->pdata[i];
        g_autofree char *from = g_build_filename(f->dir, name, NULL);
        struct stat st;
        g_assert_cmpint(stat(from, &st), ==, 0);
        for (int n = 0; n < 6 && st.st_size > 0; n++) {
            g_autoptr(GError) err = NULL;
            copy_store(f);
            g_autofree char *path = g_build_filename(f->copy, name, NULL);
            const off_t keep = n == 0 ? 0 : n == 1 ? st.st_size - 1 : g_test_rand_int_range(0, (int)MIN(st.st_size, G_MAXINT));
            g_assert_cmpint(truncate(path, keep), ==, 0);
            if (!survives(f, &err))
                assert_told(err, name);
            else
                g_assert_true(is_sums(name));
        }
    }
}

static void
test_missing(struct fixture *f, gconstpointer data)
{
    g_autoptr(GPtrArray) files = all_files(f);
    for (guint i = 0; i < files->len; i++) {
        const char *name = files->pdata[i];
        g_autoptr(GError) err = NULL;
        copy_store(f);
        g_autofree char *path = g_build_filename(f->copy, name, NULL);
        g_assert_cmpint(unlink(path), ==, 0);
        if (is_lock(name)) {
            g_assert_true(survives(f, &err)); /* made anew */
            continue;
        }
        const bool newest = strstr(name, "logs/") && i + 1 == files->len;
        if (!survives(f, &err))
            assert_told(err, name);
        else
            g_assert_true(newest || is_sums(name) || strstr(name, "logs/")); /* the chain without its end is a chain */
    }
}

/* A copy is a store of its own: the same points and pins, and what is done to one does not touch the other. */
static void
test_copied(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    copy_store(f);
    g_autofree char *elsewhere = g_build_filename(root, "elsewhere", NULL);
    g_assert_cmpint(rename(f->copy, elsewhere), ==, 0);
    struct store *a = store_open(f->dir, &err), *b = store_open(elsewhere, &err);
    g_assert_no_error(err);
    g_assert_true(uuid_equal(store_vm(a), store_vm(b)));
    g_assert_nonnull(a);
    model_ingest(f->model, a, model_step(f->model, false));
    model_check_store(f->model, a);
    model_check_store(f->model, b);
    struct store_log one, other;
    g_assert_true(store_head(a, &one) && store_head(b, &other));
    g_assert_false(uuid_equal(&one.id, &other.id));
    store_refuse_protected(b, "A test", &err);
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    store_close(a);
    store_close(b);
    file_remove_tree(elsewhere, NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    root = temporary_folder();
    log_init(LOG_LEVEL_ERROR + 1);
#define ADD(name) g_test_add("/damage/" #name, struct fixture, NULL, setup, test_##name, teardown)
    ADD(flipped);
    ADD(truncated);
    ADD(missing);
    ADD(copied);
    int failed = g_test_run();
    file_remove_tree(root, NULL);
    g_free(root);
    return failed;
}
