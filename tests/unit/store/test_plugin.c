/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "model.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The plugin in a real nbdkit, read by nbdcopy, nbdinfo and qemu-img.  The first argument after g_test's is the plugin's path. */

static char *root;
static const char *plugin;

static void
die_with_parent(gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

/* nbdkit on a private socket for as long as `script` runs; its exit status is the script's.  Everything printed goes to *out. */
static int
serve(const char *dir, const struct uuid *point, const char *script, char **out)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    char id[UUID_TEXT];
    char *text = NULL, *errors = NULL;
    int status;

    g_ptr_array_add(argv, g_strdup("nbdkit"));
    g_ptr_array_add(argv, g_strdup("--exit-with-parent"));
    g_ptr_array_add(argv, g_strdup("-U"));
    g_ptr_array_add(argv, g_strdup("-"));
    g_ptr_array_add(argv, g_strdup(plugin));
    g_ptr_array_add(argv, g_strconcat("store=", dir, NULL));
    if (point)
        g_ptr_array_add(argv, g_strconcat("point=", uuid_format(point, id), NULL));
    g_ptr_array_add(argv, g_strdup("--run"));
    g_ptr_array_add(argv, g_strconcat("set -e; cd '", root, "'; ", script, NULL));
    g_ptr_array_add(argv, NULL);
    g_spawn_sync(NULL, (char **)argv->pdata, NULL, G_SPAWN_SEARCH_PATH, die_with_parent, NULL, &text, &errors, &status, &err);
    g_assert_no_error(err);
    if (*errors)
        g_test_message("%s", errors);
    *out = g_strconcat(text, errors, NULL);
    g_free(text);
    g_free(errors);
    return status;
}

static void
assert_file(const char *name, const uint8_t *expected, size_t size)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *path = g_build_filename(root, name, NULL), *bytes = NULL;
    size_t len;
    file_read_all(path, 64 << 20, &bytes, &len, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(len, ==, size);
    g_assert_cmpint(memcmp(bytes, expected, size), ==, 0);
}

static const char copy_all[] =
    "nbdcopy \"$uri\" first.raw; nbdcopy \"nbd+unix:///vdb?socket=$unixsocket\" second.raw;"
    "qemu-img convert -f raw -O raw \"nbd+unix:///vdb?socket=$unixsocket\" converted.raw; nbdinfo --list --json \"$uri\"";

static void
test_points(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_build_filename(root, "store", NULL);
    struct model *m = model_new(root);
    struct store *s = store_create(dir, &m->vm, "guest", &err);
    g_assert_no_error(err);
    m->fixed_size = true;
    for (int i = 0; i < 6; i++)
        model_ingest(m, s, model_step(m, false));
    struct version *first = m->versions->pdata[0];
    store_apply(s, &first->id, NULL, &err);
    g_assert_no_error(err);
    for (guint i = 0; i <= m->versions->len; i++) {
        bool latest = i == m->versions->len;
        const struct version *v = m->versions->pdata[latest ? i - 1 : i];
        g_autofree char *out = NULL;
        g_assert_cmpint(serve(dir, latest ? NULL : &v->id, copy_all, &out), ==, 0);
        assert_file("first.raw", v->data[0], v->size[0]);
        assert_file("second.raw", v->data[1], v->size[1]);
        assert_file("converted.raw", v->data[1], v->size[1]);
        g_assert_nonnull(strstr(out, "\"vda\""));
        g_assert_nonnull(strstr(out, "\"vdb\""));
        g_assert_nonnull(strstr(out, "\"is_read_only\": true"));
        g_assert_nonnull(strstr(out, "\"can_multi_conn\": true"));
    }
    store_close(s);
    model_free(m);
}

/* The map says holes where there are holes: an empty disk is one. */
static void
test_extents(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_build_filename(root, "sparse", NULL), *out = NULL;
    struct model *m = model_new(root);
    struct store *s = store_create(dir, &m->vm, "guest", &err);
    g_assert_no_error(err);
    m->fixed_size = true;
    for (int i = 0; i < 4; i++) /* one alone may change nothing */
        model_ingest(m, s, model_step(m, false));
    g_assert_cmpint(serve(dir, NULL, "nbdinfo --map --totals \"$uri\"; nbdinfo --map \"$uri\"", &out), ==, 0);
    g_assert_nonnull(strstr(out, "hole,zero"));
    g_assert_nonnull(strstr(out, "data"));
    store_close(s);
    model_free(m);
}

static void
test_errors(void)
{
    g_autofree char *out = NULL, *none = NULL, *missing = NULL, *empty = g_build_filename(root, "empty", NULL);
    struct uuid id = uuid_random();
    g_autoptr(GError) err = NULL;
    struct store *s = store_create(empty, &id, "guest", &err);
    g_assert_no_error(err);
    g_assert_cmpint(serve(empty, NULL, "true", &out), !=, 0);
    g_assert_nonnull(strstr(out, "has no recovery point yet"));
    g_assert_cmpint(serve(empty, &id, "true", &none), !=, 0);
    g_assert_nonnull(strstr(none, "has no recovery point '"));
    g_assert_cmpint(serve("/nonexistent", NULL, "true", &missing), !=, 0);
    g_assert_nonnull(strstr(missing, "/nonexistent"));
    struct model *m = model_new(root);
    g_autofree char *dir = g_build_filename(root, "names", NULL), *wrong = NULL;
    struct store *t = store_create(dir, &m->vm, "guest", &err);
    model_ingest(m, t, model_step(m, false));
    g_assert_cmpint(serve(dir, NULL, "nbdinfo \"nbd+unix:///vdz?socket=$unixsocket\"", &wrong), !=, 0);
    g_assert_nonnull(strstr(wrong, "has no disk 'vdz'"));
    store_close(t);
    model_free(m);
    store_close(s);
}

/* --- many at once, while the store goes on ------------------------------------------------------------------------------------------- */

enum { SERVERS = 10 };

static char *
socket_of(unsigned i)
{
    return g_strdup_printf("%s/point-%u.sock", root, i);
}

static GPid
start_server(const char *dir, const struct version *v, unsigned i)
{
    g_autoptr(GError) err = NULL;
    char id[UUID_TEXT];
    GPid pid = 0;
    g_autofree char *socket = socket_of(i), *store = g_strconcat("store=", dir, NULL);
    g_autofree char *point = g_strconcat("point=", uuid_format(&v->id, id), NULL);
    const char *const argv[] = {"nbdkit", "--exit-with-parent", "-f", "-U", socket, plugin, store, point, NULL};
    g_spawn_async(NULL, (char **)(guintptr)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, die_with_parent, NULL, &pid, &err);
    g_assert_no_error(err);
    while (!g_file_test(socket, G_FILE_TEST_EXISTS) && waitpid(pid, NULL, WNOHANG) == 0)
        g_usleep(5000);
    g_assert_true(g_file_test(socket, G_FILE_TEST_EXISTS));
    return pid;
}

static void
check_server(unsigned i, const struct version *v)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *socket = socket_of(i);
    for (unsigned d = 0; d < MODEL_DISKS; d++) {
        g_autofree char *uri = g_strdup_printf("nbd+unix:///vd%c?socket=%s", 'a' + (int)d, socket);
        g_autofree char *to = g_build_filename(root, "served.raw", NULL);
        const char *const argv[] = {"nbdcopy", uri, to, NULL};
        int status;
        unlink(to);
        g_spawn_sync(NULL, (char **)(guintptr)argv, NULL, G_SPAWN_SEARCH_PATH, die_with_parent, NULL, NULL, NULL, &status, &err);
        g_assert_no_error(err);
        g_assert_cmpint(status, ==, 0);
        assert_file("served.raw", v->data[d], v->size[d]);
    }
}

static void
end_server(GPid pid)
{
    g_assert_cmpint(kill(pid, SIGTERM), ==, 0);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    g_spawn_close_pid(pid);
}

/* Servers of many points, each a process: the daemon is restarted, logs are merged into one another and into the base, and each goes on
 * with its point.  When the last one of a point has ended, nothing holds the base. */
static void
test_beneath(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_build_filename(root, "beneath", NULL);
    struct model *m = model_new(root);
    struct store *s = store_create(dir, &m->vm, "guest", &err);
    const struct version *v[SERVERS + 2];
    GPid pids[SERVERS];
    m->fixed_size = true;
    for (int i = 0; i < SERVERS + 2; i++)
        model_ingest(m, s, v[i] = model_step(m, false));
    for (unsigned i = 0; i < SERVERS; i++)
        pids[i] = start_server(dir, v[i + 2], i);
    store_close(s);
    s = store_open(dir, &err);
    g_assert_no_error(err);
    g_assert_true(store_apply(s, &v[2]->id, NULL, &err));
    g_assert_no_error(err);
    g_assert_true(store_consolidate(s, &v[4]->id, &v[8]->id, NULL, &err));
    g_assert_no_error(err);
    for (unsigned i = 0; i < SERVERS; i++)
        check_server(i, v[i + 2]);
    g_assert_false(store_apply(s, &v[3]->id, NULL, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    g_clear_error(&err);
    for (unsigned i = 0; i + 1 < SERVERS; i++)
        end_server(pids[i]);
    g_assert_true(store_apply(s, &v[SERVERS + 1]->id, NULL, &err)); /* the last server's point itself */
    g_assert_no_error(err);
    check_server(SERVERS - 1, v[SERVERS + 1]);
    end_server(pids[SERVERS - 1]);
    store_close(s);
    model_free(m);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, ==, 2);
    plugin = argv[1];
    root = temporary_folder();
    g_test_add_func("/plugin/points", test_points);
    g_test_add_func("/plugin/extents", test_extents);
    g_test_add_func("/plugin/errors", test_errors);
    g_test_add_func("/plugin/beneath", test_beneath);
    int failed = g_test_run();
    file_remove_tree(root, NULL);
    g_free(root);
    return failed;
}
