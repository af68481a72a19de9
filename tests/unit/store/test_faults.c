/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "faults.h"
#include "model.h"
#include "store/pins.h"
#include "store/spans.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* The storage under an open store fails at each of its steps: full once, or read-only from then on.  The operation says so, what opens is
 * right all the time, the newest point always does, and when the storage is well again the same store goes on without being opened anew. */

static char *root;

enum { LOGS = 6 };
#define FAR (G_GINT64_CONSTANT(4102444800) * G_USEC_PER_SEC) /* the year 2100 */

struct scene {
    struct model *model;
    char *dir, *copy;
    struct uuid ids[LOGS];
    struct version *next; /* a log that can be received */
};

typedef bool operation(const struct scene *scene, struct store *s, GError **err);

static bool
do_intake(const struct scene *scene, struct store *s, GError **err)
{
    g_autofree char *bytes = NULL;
    struct store_log log, head;
    size_t len;
    if (store_head(s, &head) && uuid_equal(&head.id, &scene->next->id))
        return true;
    if (!file_read_all(scene->next->log, 64 << 20, &bytes, &len, err))
        return false;
    uint64_t at = store_incoming_size(s, &scene->next->id);
    struct store_intake *in = store_intake_open(s, &scene->next->id, at, err);
    bool ok = in != NULL;
    for (size_t n; ok && at < len; at += n) {
        n = MIN(len - at, 20000);
        ok = store_intake_write(in, bytes + at, n, err);
    }
    ok = ok && store_intake_commit(in, &log, err);
    store_intake_close(in);
    return ok;
}

static bool
do_apply(const struct scene *scene, struct store *s, GError **err)
{
    return store_apply(s, &scene->ids[3], NULL, err);
}

static bool
do_consolidate(const struct scene *scene, struct store *s, GError **err)
{
    struct store_log log;
    return !store_find(s, &scene->ids[1], &log) || store_consolidate(s, &scene->ids[1], &scene->ids[4], NULL, err);
}

static bool
do_truncate(const struct scene *scene, struct store *s, GError **err)
{
    return store_truncate(s, &scene->ids[2], err);
}

static bool
do_pin(const struct scene *scene, struct store *s, GError **err)
{
    return store_pin(s, &scene->ids[2], true, err) && store_protect(s, &scene->ids[2], FAR, err);
}

static bool
do_index(const struct scene *scene, struct store *s, GError **err)
{
    bool more = true, ok = true;
    while (ok && more)
        ok = spans_step(s, true, NULL, &more, err);
    return ok;
}

static void
scene_open(struct scene *scene)
{
    g_autoptr(GError) err = NULL;
    scene->model = model_new(root);
    scene->dir = g_build_filename(root, "store", NULL);
    scene->copy = g_build_filename(root, "copy", NULL);
    struct store *s = store_create(scene->dir, &scene->model->vm, "guest", &err);
    g_assert_no_error(err);
    for (int i = 0; i < LOGS; i++) {
        if (i == 1 || i == LOGS - 1) /* the four between are a block that gets a saved index (spans.h) */
            scene->model->sequence = i == 1 ? 15 : 31;
        struct version *v = model_step(scene->model, false);
        model_ingest(scene->model, s, v);
        scene->ids[i] = v->id;
        if (i == 0)
            store_apply(s, &v->id, NULL, &err);
        g_assert_no_error(err);
    }
    scene->next = model_step(scene->model, false);
    store_close(s);
}

static void
scene_close(struct scene *scene)
{
    file_remove_tree(scene->dir, NULL);
    file_remove_tree(scene->copy, NULL);
    model_free(scene->model);
    g_free(scene->dir);
    g_free(scene->copy);
}

static struct store *
fresh_copy(struct scene *scene)
{
    g_autoptr(GError) err = NULL;
    const char *argv[] = {"cp", "-a", scene->dir, scene->copy, NULL};
    int status;
    file_remove_tree(scene->copy, &err);
    g_assert_no_error(err);
    g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, &err);
    g_assert_no_error(err);
    g_assert_cmpint(status, ==, 0);
    struct store *s = store_open(scene->copy, &err);
    g_assert_no_error(err);
    return s;
}

static void
check_head(const struct scene *scene, struct store *s, operation *op)
{
    struct store_log head;
    g_assert_true(store_head(s, &head));
    if (op == do_intake)
        g_assert_true(uuid_equal(&head.id, &scene->next->id));
    else if (op != do_truncate)
        g_assert_true(uuid_equal(&head.id, &scene->ids[LOGS - 1]));
}

/* Whether a rename that could not be made durable counts is not known, so a view may be refused; but none is wrong. */
static void
check_what_opens(const struct scene *scene, struct store *s, bool newest)
{
    g_autoptr(GArray) logs = store_logs(s);
    for (guint i = 0; i < logs->len; i++) {
        const struct uuid *id = &g_array_index(logs, struct store_log, i).id;
        g_autoptr(GError) err = NULL;
        struct view *view = view_open(store_dir(s), id, &err);
        if (view)
            model_check_view(scene->model, view, id);
        if (!view && newest && i + 1 == logs->len) /* the newest state is always there */
            g_error("%s", err->message);
        view_close(view);
    }
}

/* One run with the storage failing after `after` calls; false: the operation needs fewer. */
static bool
fail_at(struct scene *scene, operation *op, unsigned after, bool stay, int error)
{
    g_autoptr(GError) err = NULL;
    struct store *s = fresh_copy(scene);
    faults_begin(after, stay, error);
    const bool ok = op(scene, s, &err);
    const unsigned failures = faults_end();
    g_assert_true(ok == (err == NULL));
    g_assert_true(!stay || !failures || !ok); /* what cannot be written is never done */
    if (err) {
        g_assert_true(err_is(err, error == ENOSPC ? ERR_NO_SPACE : ERR_IO));
        g_assert_nonnull(strstr(err->message, scene->copy));
        g_clear_error(&err);
    }
    check_what_opens(scene, s, op != do_truncate);
    op(scene, s, &err);
    g_assert_no_error(err);
    check_head(scene, s, op);
    model_check_store(scene->model, s);
    store_close(s);
    s = store_open(scene->copy, &err);
    g_assert_no_error(err);
    check_head(scene, s, op);
    model_check_store(scene->model, s);
    store_close(s);
    return failures > 0;
}

static void
test_operation(gconstpointer data)
{
    operation *op = (operation *)(uintptr_t)data;
    struct scene scene;
    unsigned steps = 0;
    scene_open(&scene);
    if (op != do_index) {
        struct store *s = store_open(scene.dir, NULL);
        g_assert_true(do_index(&scene, s, NULL));
        store_close(s);
    }
    while (fail_at(&scene, op, steps, g_test_rand_bit(), g_test_rand_bit() ? EROFS : ENOSPC)) /* writes of pages come in crowds */
        steps += steps < 12 ? 1 : 1 + (unsigned)g_test_rand_int_range(0, 5);
    g_test_message("%u steps", steps);
    g_assert_cmpuint(steps, >, 3);
    scene_close(&scene);
}

/* A store on a file system that is read-only cannot be opened to be changed, and says why. */
static void
test_read_only(void)
{
    g_autoptr(GError) err = NULL;
    struct scene scene;
    scene_open(&scene);
    store_close(fresh_copy(&scene));
    faults_begin(0, true, EROFS);
    struct store *s = store_open(scene.copy, &err);
    faults_end();
    g_assert_null(s);
    g_assert_true(err_is(err, ERR_IO));
    g_assert_nonnull(strstr(err->message, scene.copy));
    scene_close(&scene);
}

/* After a flush that failed, what was received is not gone on with, also when it cannot be removed at once. */
static void
test_unsynced(void)
{
    struct scene scene;
    unsigned flushes = 0;
    scene_open(&scene);
    for (unsigned after = 0;; after++) {
        g_autoptr(GError) err = NULL;
        struct store *s = fresh_copy(&scene);
        faults_begin(after, g_test_rand_bit(), EIO);
        const bool ok = do_intake(&scene, s, &err);
        const bool all = faults_end() == 0;
        if (err && strstr(err->message, "durable") && strstr(err->message, ".part")) {
            flushes++;
            g_assert_cmpuint(store_incoming_size(s, &scene.next->id), ==, 0);
        }
        g_clear_error(&err);
        g_assert_true(ok || do_intake(&scene, s, &err));
        g_assert_no_error(err);
        check_head(&scene, s, do_intake);
        store_close(s);
        if (all)
            break;
    }
    g_assert_cmpuint(flushes, ==, 1);
    scene_close(&scene);
}

/* ---- a file system that really has no byte left ---- */

static bool may_mount;

static void
fill_up(const char *path)
{
    static const char data[4096] = "x";
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(fd, >=, 0);
    while (write(fd, data, sizeof data) > 0)
        ;
    g_assert_cmpint(errno, ==, ENOSPC);
    close(fd);
}

static void
full_with(struct scene *scene, operation *op, bool may_succeed)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *filler = g_build_filename(scene->copy, "filler", NULL), *inner = g_build_filename(scene->copy, "store", NULL);
    g_autofree char *outer = g_steal_pointer(&scene->copy);
    g_assert_cmpint(mkdir(outer, 0700), ==, 0);
    g_assert_cmpint(mount("tmpfs", outer, "tmpfs", 0, "size=32m"), ==, 0);
    scene->copy = g_steal_pointer(&inner);
    struct store *s = fresh_copy(scene);
    fill_up(filler);
    if (!op(scene, s, &err)) {
        g_assert_true(err_is(err, ERR_NO_SPACE));
        g_assert_nonnull(strstr(err->message, scene->copy));
        g_clear_error(&err);
    } else {
        g_assert_true(may_succeed);
    }
    check_what_opens(scene, s, op != do_truncate);
    g_assert_cmpint(unlink(filler), ==, 0);
    g_assert_true(op(scene, s, &err));
    g_assert_no_error(err);
    check_head(scene, s, op);
    model_check_store(scene->model, s);
    store_close(s);
    g_assert_cmpint(umount(outer), ==, 0);
    g_free(scene->copy);
    scene->copy = g_steal_pointer(&outer);
    file_remove_tree(scene->copy, NULL);
}

static void
test_full(void)
{
    struct scene scene;
    if (!may_mount) {
        g_test_skip("needs root for mounts of its own");
        return;
    }
    scene_open(&scene);
    full_with(&scene, do_intake, false);
    full_with(&scene, do_apply, false);
    full_with(&scene, do_consolidate, false);
    full_with(&scene, do_truncate, true);
    full_with(&scene, do_pin, false);
    scene_close(&scene);
}

int
main(int argc, char **argv)
{
    may_mount = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    g_test_init(&argc, &argv, NULL);
    root = temporary_folder();
#define ADD(name) g_test_add_data_func("/faults/" #name, (gconstpointer)(uintptr_t)do_##name, test_operation)
    ADD(intake);
    ADD(apply);
    ADD(consolidate);
    ADD(truncate);
    ADD(pin);
    ADD(index);
    g_test_add_func("/faults/read-only", test_read_only);
    g_test_add_func("/faults/unsynced", test_unsynced);
    g_test_add_func("/faults/full", test_full);
    int failed = g_test_run();
    file_remove_tree(root, NULL);
    g_free(root);
    return failed;
}
