/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model.h"
#include "shell.h"

#include "base/file.h"

#include <string.h>
#include <sys/stat.h>

/* Verbs that work on files: log, point, pki, user. */

static struct shell sh;
static char *dir;

static char *
in_dir(const char *name)
{
    return g_build_filename(dir, name, NULL);
}

/* A store with a few points, and the model that knows what must be in them. */
static struct model *
make_store(char **path)
{
    GError *err = NULL;
    g_autofree char *logs = in_dir("logs");
    g_assert_true(file_make_dirs(logs, 0700, &err));
    struct model *m = model_new(logs);
    m->fixed_size = true;
    *path = in_dir("store");
    struct store *s = store_create(*path, &m->vm, "web", &err);
    g_assert_no_error(err);
    for (guint i = 0; i < 5; i++)
        model_ingest(m, s, model_step(m, false));
    store_close(s);
    return m;
}

static void
same_bytes(const char *path, const uint8_t *wanted, size_t size)
{
    g_autofree char *data = NULL;
    size_t len;
    g_assert_true(file_read_all(path, 1 << 30, &data, &len, NULL));
    g_assert_cmpmem(data, len, wanted, size);
}

static void
export_raw(const char *store, const struct version *v, const char *point)
{
    g_autofree char *pattern = in_dir("out-%t.raw");
    shell_plain(&sh, "point", "export", store, point, "--output", pattern, "--force", NULL);
    shell_expect(&sh, 0, "out-", NULL);
    g_auto(GStrv) files = g_strsplit(g_strstrip(sh.out), "\n", -1);
    for (guint i = 0; i < MODEL_DISKS; i++) {
        g_assert_nonnull(files[i]);
        same_bytes(files[i], v->data[i], v->size[i]);
    }
}

static void
points(void)
{
    g_autofree char *store = NULL;
    struct model *m = make_store(&store);
    struct version *third = g_ptr_array_index(m->versions, 2), *last = g_ptr_array_index(m->versions, m->versions->len - 1);
    char id[UUID_TEXT];
    export_raw(store, third, uuid_format(&third->id, id));
    export_raw(store, last, "latest");
    shell_plain(&sh, "point", "check", store, id, NULL);
    shell_expect(&sh, 0, "whole", NULL);
    shell_plain(&sh, "point", "export", store, "latest", "--output", "x", NULL);
    shell_expect(&sh, 64, NULL, "%t");
    g_autofree char *pattern = in_dir("out-%t.raw");
    shell_plain(&sh, "point", "export", store, "latest", "--output", pattern, NULL);
    shell_expect(&sh, 28, NULL, "exists");
    shell_plain(&sh, "point", "export", store, "00000000-0000-0000-0000-0000000000AA", "--output", pattern, "--force", NULL);
    shell_expect(&sh, 12, NULL, NULL);
    shell_plain(&sh, "point", "check", store, "1999-01-01", NULL);
    shell_expect(&sh, 12, NULL, "that old");
    shell_plain(&sh, "log", "check", last->log, NULL);
    shell_expect(&sh, 0, "whole", NULL);
    shell_plain(&sh, "log", "dump", last->log, NULL);
    shell_expect(&sh, 0, uuid_format(&last->id, id), NULL);
    model_free(m);
}

static void
refused_target(const char *store, const char *output, const char *disks, int status, const char *why)
{
    shell_plain(&sh, "point", "export", store, "latest", "--output", output, "--disks", disks, NULL);
    shell_expect(&sh, status, NULL, why);
}

/* All targets are looked at before one is written. */
static void
targets(void)
{
    g_autofree char *store = in_dir("store");
    g_autofree char *good = in_dir("target-%t.raw"), *written = in_dir("target-vda.raw"), *nowhere = in_dir("no/such/%t.raw");
    g_autofree char *inside = g_build_filename(store, "x-%t.raw", NULL), *deeper = g_build_filename(store, "base", "x-%t.raw", NULL);
    refused_target(store, good, "vda,vdz", 12, "The point has no disk 'vdz'; it has vda, vdb.");
    refused_target(store, good, "", 64, "--disks names no disk; the point has vda, vdb.");
    g_assert_false(g_file_test(written, G_FILE_TEST_EXISTS));
    refused_target(store, inside, "vda", 64, "in the replica's own folder");
    refused_target(store, deeper, "vda", 64, "in the replica's own folder");
    refused_target(store, nowhere, "vda", 12, "cannot be used; make it, or name another with --output: No such file");
    refused_target(store, dir, "vda", 64, "is a folder. Name a file in it");
    shell_plain(&sh, "point", "diff", store, "oldest", "latest", "--disks", "vdz", NULL);
    shell_expect(&sh, 12, NULL, "The point has no disk 'vdz'");
    shell_plain(&sh, "point", "diff", store, "oldest", "latest", "--disks", "vdb", NULL);
    shell_expect(&sh, 0, "vdb", NULL);
    shell_plain(&sh, "point", "check", dir, NULL);
    shell_expect(&sh, 12, NULL, "is no replica: it has no store.json.");
}

static void
qcow2(void)
{
    g_autofree char *tool = g_find_program_in_path("qemu-img");
    if (!tool) {
        g_test_skip("qemu-img is not installed");
        return;
    }
    g_autofree char *store = in_dir("store"), *pattern = in_dir("q-%t.qcow2"), *command = NULL;
    shell_plain(&sh, "point", "export", store, "latest", "--format", "qcow2", "-o", pattern, NULL);
    shell_expect(&sh, 0, ".qcow2", NULL);
    g_auto(GStrv) files = g_strsplit(g_strstrip(sh.out), "\n", -1);
    g_autofree char *stem = g_path_get_basename(files[0]);
    char target[64] = "";
    g_assert_cmpint(sscanf(stem, "q-%60[^.].qcow2", target), ==, 1);
    g_autofree char *raw = g_strdup_printf("%s/out-%s.raw", dir, target);
    int status = 0;
    command = g_strdup_printf("qemu-img compare -q -f qcow2 -F raw '%s' '%s'", files[0], raw);
    g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
    g_autofree char *left = g_strconcat(files[0], ".raw.part", NULL);
    g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
}

/* One flipped bit in the middle of each log: check and export both say so, and export leaves nothing. */
static void
damage(void)
{
    g_autofree char *store = in_dir("store"), *logs = g_build_filename(store, "logs", NULL), *pattern = in_dir("bad-%t.raw");
    g_autoptr(GDir) all = g_dir_open(logs, 0, NULL);
    for (const char *name; (name = g_dir_read_name(all));) {
        g_autofree char *path = g_build_filename(logs, name, NULL), *data = NULL;
        size_t len;
        g_assert_true(file_read_all(path, 1 << 30, &data, &len, NULL));
        data[model_vital(path)] ^= 4;
        g_assert_true(g_file_set_contents(path, data, (gssize)len, NULL));
        shell_plain(&sh, "log", "check", path, NULL);
        shell_expect(&sh, 15, NULL, name);
    }
    shell_plain(&sh, "point", "check", store, NULL);
    shell_expect(&sh, 15, NULL, NULL);
    shell_plain(&sh, "point", "export", store, "latest", "-o", pattern, NULL);
    shell_expect(&sh, 15, NULL, NULL);
    g_autoptr(GDir) left = g_dir_open(dir, 0, NULL);
    for (const char *name; (name = g_dir_read_name(left));)
        g_assert_false(g_str_has_suffix(name, ".part"));
}

static void
sparse(void)
{
    g_autofree char *path = in_dir("out-vda.raw");
    struct stat st;
    if (stat(path, &st) == 0)
        g_assert_cmpint(st.st_blocks * 512, <=, st.st_size + (1 << 20));
    shell_plain(&sh, "point", "export", "/nowhere", "latest", "--store", "/nowhere", NULL);
    shell_expect(&sh, 12, NULL, "store.json");
}

static void
pki(void)
{
    g_autofree char *ca = in_dir("pki");
    shell_plain(&sh, "pki", "init", ca, NULL);
    shell_expect(&sh, 0, "CA", NULL);
    shell_plain(&sh, "pki", "issue", ca, "hosta.example", NULL);
    shell_expect(&sh, 0, "hosta.example", NULL);
    g_auto(GStrv) lines = g_strsplit(sh.out, "\n", -1);
    g_assert_true(g_str_has_prefix(lines[0], "Certificate: "));
    g_autofree char *cert = g_strstrip(g_strdup(lines[0] + strlen("Certificate: ")));
    shell_plain(&sh, "pki", "show", cert, NULL);
    shell_expect(&sh, 0, "hosta.example", NULL);
    shell_plain(&sh, "pki", "init", ca, NULL);
    shell_expect(&sh, 28, NULL, NULL);
    shell_plain(&sh, "pki", "juggle", ca, NULL);
    shell_expect(&sh, 64, NULL, "init DIR");
}

static void
users(void)
{
    g_autofree char *file = in_dir("users");
    sh.input = "geheim\n";
    shell_plain(&sh, "user", "add", "boss", "--password-stdin", "--file", file, NULL);
    shell_expect(&sh, 0, "'boss' may use the API", NULL);
    shell_plain(&sh, "user", "add", "eyes", "--role", "reader", "--password-stdin", "--file", file, NULL);
    sh.input = "\n";
    shell_plain(&sh, "user", "add", "nobody", "--password-stdin", "--file", file, NULL);
    shell_expect(&sh, 64, NULL, "empty password");
    sh.input = NULL;
    shell_plain(&sh, "user", "list", "--json", "--file", file, NULL);
    json_t *list = shell_json(&sh);
    g_assert_cmpuint(json_array_size(list), ==, 2);
    json_decref(list);
    struct stat st;
    g_assert_cmpint(stat(file, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 077, ==, 0);
    shell_plain(&sh, "user", "remove", "eyes", "--file", file, NULL);
    shell_expect(&sh, 0, "gone", NULL);
    shell_plain(&sh, "user", "remove", "eyes", "--file", file, NULL);
    shell_expect(&sh, 12, NULL, NULL);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_assert_cmpint(argc, >=, 2);
    sh.program = argv[1];
    dir = temporary_folder();
    g_test_add_func("/cli/local/01-points", points);
    g_test_add_func("/cli/local/02-sparse", sparse);
    g_test_add_func("/cli/local/03-qcow2", qcow2);
    g_test_add_func("/cli/local/04-targets", targets);
    g_test_add_func("/cli/local/05-damage", damage);
    g_test_add_func("/cli/local/pki", pki);
    g_test_add_func("/cli/local/users", users);
    int result = g_test_run();
    shell_clear(&sh);
    g_free(dir);
    return result;
}
