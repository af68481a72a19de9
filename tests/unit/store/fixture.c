/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixture.h"

#include "base/file.h"

char *fixture_root;

int
fixture_run(void)
{
    fixture_root = temporary_folder();
    const int failed = g_test_run();
    file_remove_tree(fixture_root, NULL);
    g_free(fixture_root);
    return failed;
}

void
fixture_setup(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    char id[UUID_TEXT];
    struct uuid name = uuid_random();
    f->dir = g_strdup_printf("%s/%s", fixture_root, uuid_format(&name, id));
    g_autofree char *logs = g_strconcat(f->dir, ".outbox", NULL);
    file_make_dirs(logs, 0700, &err);
    g_assert_no_error(err);
    f->model = model_new(logs);
    f->store = store_create(f->dir, &f->model->vm, "guest", &err);
    g_assert_no_error(err);
}

void
fixture_teardown(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    store_close(f->store);
    file_remove_tree(f->dir, &err);
    g_assert_no_error(err);
    file_remove_tree(f->model->dir, &err);
    g_assert_no_error(err);
    model_free(f->model);
    g_free(f->dir);
}

struct version *
fixture_step(struct fixture *f, bool fuzzy)
{
    struct version *v = model_step(f->model, fuzzy);
    model_ingest(f->model, f->store, v);
    return v;
}
