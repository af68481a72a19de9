/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "model.h"
#include "store/pins.h"
#include "store/spans.h"
#include "store/retention.h"
#include "store/testing.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* A child does one operation on a copy of a store and kills itself with SIGKILL after its n-th durable step, for every n until it gets
 * through.  After each death: the store opens, every point that it has is right byte for byte, and the operation can be repeated. */

static char *root;
#define FAR (G_GINT64_CONSTANT(4102444800) * G_USEC_PER_SEC) /* the year 2100 */

struct scene {
    struct model *model;
    struct uuid ids[6]; /* of the logs in the store, oldest first */
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
        return true; /* died after the commit; the sender asks for the head first */
    if (!file_read_all(scene->next->log, 64 << 20, &bytes, &len, err))
        return false;
    uint64_t at = store_incoming_size(s, &scene->next->id);
    struct store_intake *in = store_intake_open(s, &scene->next->id, at, err);
    bool ok = in && store_intake_write(in, bytes + at, len - at, err) && store_intake_commit(in, &log, err);
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
    if (!store_find(s, &scene->ids[1], &log))
        return true; /* died after the rename: the open has finished it */
    return store_consolidate(s, &scene->ids[1], &scene->ids[4], NULL, err);
}

static bool
do_truncate(const struct scene *scene, struct store *s, GError **err)
{
    return store_truncate(s, &scene->ids[2], err);
}

static bool
do_pin(const struct scene *scene, struct store *s, GError **err)
{
    return store_pin(s, &scene->ids[3], true, err) && store_protect(s, &scene->ids[3], FAR, err) && store_unpin_all(s, err) &&
           store_pin(s, &scene->ids[0], true, err);
}

static bool
do_index(const struct scene *scene, struct store *s, GError **err)
{
    bool more = true, ok = true;
    while (ok && more)
        ok = spans_step(s, true, NULL, &more, err);
    return ok;
}

/* Retention around a pinned point, until nothing is left to do. */
static bool
do_retain(const struct scene *scene, struct store *s, GError **err)
{
    const struct retention_rules rules = {0};
    bool more = true;
    if (!store_protect(s, &scene->ids[3], FAR, err))
        return false;
    while (more)
        if (!retention_step(s, &rules, NULL, 2, NULL, &more, err))
            return false;
    return true;
}

static void
die_at(void *data, const char *step)
{
    int *left = data;
    if (--*left == 0)
        kill(getpid(), SIGKILL);
}

static void
child(const struct scene *scene, const char *dir, operation *op, int steps)
{
    struct store *s;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    s = store_open(dir, NULL);
    if (!s)
        _exit(2);
    store_testing_hook(s, die_at, &steps);
    _exit(op(scene, s, NULL) ? 0 : 1);
}

static void
copy_tree(const char *from, const char *to)
{
    g_autoptr(GError) err = NULL;
    const char *argv[] = {"cp", "-a", from, to, NULL};
    int status;
    file_remove_tree(to, &err);
    g_assert_no_error(err);
    g_spawn_sync(NULL, (char **)(uintptr_t)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, &err);
    g_assert_no_error(err);
    g_assert_cmpint(status, ==, 0);
}

static void
check_kept(const struct scene *scene, struct store *s)
{
    struct store_pin pin;
    struct store_log log;
    g_assert_true(store_find(s, &scene->ids[3], &log));
    g_assert_true(store_pin_of(s, &scene->ids[3], &pin));
    g_assert_cmpint(pin.until_us, ==, FAR);
}

/* What comes after an interrupted merge may end earlier; the base has pages of the newer logs then. */
static void
apply_less(const struct scene *scene, struct store *s)
{
    g_autoptr(GError) err = NULL;
    struct store_log log;
    if (!store_find(s, &scene->ids[1], &log))
        return;
    store_apply(s, &scene->ids[1], NULL, &err);
    g_assert_no_error(err);
    model_check_store(scene->model, s);
}

/* The newest state must never be lost by merging, nor an acknowledged log by anything. */
static void
check_after(const struct scene *scene, const char *dir, operation *op)
{
    g_autoptr(GError) err = NULL;
    struct store_log head;
    struct store *s = store_open(dir, &err);
    g_assert_no_error(err);
    model_check_store(scene->model, s);
    g_assert_true(store_head(s, &head));
    if (op == do_index || op == do_apply || op == do_consolidate || op == do_pin || op == do_retain)
        g_assert_true(uuid_equal(&head.id, &scene->ids[5]));
    if (op == do_apply)
        apply_less(scene, s);
    op(scene, s, &err);
    g_assert_no_error(err);
    model_check_store(scene->model, s);
    if (op == do_pin || op == do_retain)
        check_kept(scene, s);
    store_close(s);
}

static void
run(operation *op)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_build_filename(root, "store", NULL), *copy = g_build_filename(root, "copy", NULL);
    struct scene scene = {.model = model_new(root)};
    struct store *s = store_create(dir, &scene.model->vm, "guest", &err);
    g_assert_no_error(err);
    for (int i = 0; i < 6; i++) {
        if (i == 1 || i == 5) /* the four between are a block that gets a saved index (spans.h) */
            scene.model->sequence = i == 1 ? 15 : 31;
        struct version *v = model_step(scene.model, i == 2);
        model_ingest(scene.model, s, v);
        scene.ids[i] = v->id;
        if (i == 0)
            store_apply(s, &v->id, NULL, &err);
        g_assert_no_error(err);
    }
    scene.next = model_step(scene.model, false);
    if (op != do_index)
        do_index(&scene, s, &err);
    g_assert_no_error(err);
    store_close(s);

    int deaths = 0, status;
    do {
        copy_tree(dir, copy);
        pid_t pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0)
            child(&scene, copy, op, deaths + 1);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
        check_after(&scene, copy, op);
        deaths++;
    } while (WIFSIGNALED(status));
    g_test_message("%d deaths", deaths - 1);
    g_assert_cmpint(deaths, >, op == do_index ? 1 : 2);
    file_remove_tree(dir, NULL);
    model_free(scene.model);
}

static void
test_operation(gconstpointer op)
{
    for (int i = 0; i < 3; i++)
        run((operation *)(uintptr_t)op);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    root = temporary_folder();
#define ADD(name) g_test_add_data_func("/crash/" #name, (gconstpointer)(uintptr_t)do_##name, test_operation)
    ADD(intake);
    ADD(apply);
    ADD(consolidate);
    ADD(truncate);
    ADD(pin);
    ADD(retain);
    ADD(index);
    int failed = g_test_run();
    file_remove_tree(root, NULL);
    g_free(root);
    return failed;
}
