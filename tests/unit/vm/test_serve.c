/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nbdkit in front of overlays.  A shell plugin takes the same parameters as ours and serves the file <store>/disk. */
#include "base/err.h"
#include "base/file.h"
#include "vm/nbdblock.h"
#include "vm/run.h"
#include "vm/serve.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { SIZE = 8 << 20 };

struct fixture {
    char *dir, *socket, *plugin, *disk, *wrapper;
    struct serve_config config;
    struct uuid point;
    struct tether *janitor;
};

static const char plugin_text[] =
    "#!/bin/sh\n"
    "case $1 in\n"
    "config) [ \"$2\" != store ] || echo \"$3\" >$tmpdir/store ;;\n"
    "config_complete) [ -e \"$(cat $tmpdir/store)/disk\" ] || { echo 'EINVAL the store is empty' >&2; exit 1; } ;;\n"
    "open) echo x ;;\n"
    "get_size) stat -c %s \"$(cat $tmpdir/store)/disk\" ;;\n"
    "pread) dd if=\"$(cat $tmpdir/store)/disk\" bs=64K iflag=skip_bytes,count_bytes skip=$4 count=$3 status=none ;;\n"
    "can_write) exit 3 ;;\n"
    "*) exit 2 ;;\n"
    "esac\n";

/* Stands for nbdkit: puts the shell plugin in front of the script. */
static const char wrapper_text[] = "#!/bin/sh\nexec nbdkit \"$1\" \"$2\" \"$3\" \"$4\" \"$5\" sh \"$6\" \"$7\" \"$8\"\n";

static bool
possible(void)
{
    g_autofree char *nbdkit = g_find_program_in_path("nbdkit"), *qemu_img = g_find_program_in_path("qemu-img");
    return nbdkit && qemu_img;
}

/* The servers are made to outlive us; when this test is killed, somebody has to end them. */
static const char janitor_text[] = "trap 'kill $!; read -r p _ <\"$0/run/s.sock.pid\" && kill $p; "
                                   "rm -rf \"$0\"; exit' TERM; sleep 600 & wait";

static void
set_up(struct fixture *f, const void *unused)
{
    f->dir = g_dir_make_tmp("vmr-serve.XXXXXX", NULL);
    f->socket = g_build_filename(f->dir, "run", "s.sock", NULL);
    f->plugin = g_build_filename(f->dir, "plugin", NULL);
    f->disk = g_build_filename(f->dir, "disk", NULL);
    f->wrapper = g_build_filename(f->dir, "nbdkit", NULL);
    f->config = (struct serve_config){ .nbdkit = f->wrapper, .plugin = f->plugin };
    g_assert_true(g_file_set_contents(f->wrapper, wrapper_text, -1, NULL));
    chmod(f->wrapper, 0755);
    f->point = uuid_random();
    const char *const janitor[] = { "sh", "-c", janitor_text, f->dir, NULL };
    f->janitor = tether_start(janitor, NULL);
    g_assert_true(g_file_set_contents(f->plugin, plugin_text, -1, NULL));
    chmod(f->plugin, 0755);
    g_autofree char *bytes = g_malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)((i >> 12) * 7 + i);
    memset(bytes + (2 << 20), 0, 2 << 20);
    g_assert_true(g_file_set_contents(f->disk, bytes, SIZE, NULL));
}

static void
tear_down(struct fixture *f, const void *unused)
{
    serve_stop(f->socket, NULL);
    tether_stop(f->janitor);
    file_remove_tree(f->dir, NULL);
    g_free(f->dir);
    g_free(f->socket);
    g_free(f->plugin);
    g_free(f->disk);
    g_free(f->wrapper);
}

static pid_t
server_pid(struct fixture *f)
{
    g_autofree char *path = g_strconcat(f->socket, ".pid", NULL), *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return (pid_t)g_ascii_strtoull(text, NULL, 10);
}

static void
start(struct fixture *f)
{
    g_autoptr(GError) why = NULL;
    serve_start(&f->config, f->dir, &f->point, f->socket, &why);
    g_assert_no_error(why);
}

static bool
running(struct fixture *f)
{
    g_autoptr(GError) why = NULL;
    bool is = false;
    serve_running(f->socket, &is, &why);
    g_assert_no_error(why);
    return is;
}

static void
test_life(struct fixture *f, const void *unused)
{
    g_autoptr(GError) why = NULL;
    if (!possible()) {
        g_test_skip("nbdkit or qemu-img is missing");
        return;
    }
    g_assert_false(running(f));
    g_assert_true(serve_stop(f->socket, &why));
    serve_start(&f->config, f->dir, &f->point, f->socket, &why);
    g_assert_no_error(why);
    g_assert_true(running(f));
    const pid_t pid = server_pid(f);
    g_assert_cmpint(getsid(pid), !=, getsid(0)); /* it outlives our session */
    g_assert_true(serve_start(&f->config, f->dir, &f->point, f->socket, &why)); /* found */
    g_assert_cmpint(server_pid(f), ==, pid);
    const struct uuid another = uuid_random();
    g_assert_false(serve_start(&f->config, f->dir, &another, f->socket, &why));
    g_assert_error(why, ERR, ERR_IN_USE);
    g_clear_error(&why);
    g_assert_true(serve_stop(f->socket, &why));
    g_assert_false(running(f));
    g_assert_cmpint(access(f->socket, F_OK), !=, 0);
    g_assert_false(nbdblock_answers(f->socket));
}

/* A daemon that died between nbdkit's pid file and ours; a pid that somebody else has now. */
static void
test_found_again(struct fixture *f, const void *unused)
{
    g_autofree char *path = g_strconcat(f->socket, ".pid", NULL), *ours = NULL;
    start(f);
    const pid_t pid = server_pid(f);
    ours = g_strdup_printf("%d\n", (int)pid);
    g_assert_true(g_file_set_contents(path, ours, -1, NULL));
    g_assert_true(running(f));
    g_autofree char *stale = g_strdup_printf("%d 1\n", (int)pid), *other = g_strdup_printf("%d\n", (int)getpid());
    g_assert_true(g_file_set_contents(path, stale, -1, NULL));
    g_assert_false(running(f));
    g_assert_true(g_file_set_contents(path, other, -1, NULL));
    g_assert_false(running(f));
    g_assert_true(g_file_set_contents(path, ours, -1, NULL));
    kill(pid, SIGKILL);
    for (int i = 0; i < 1000 && running(f); i++)
        g_usleep(5000);
    g_assert_false(running(f));
    start(f); /* over what is left */
    g_assert_cmpint(server_pid(f), !=, pid);
}

/* A pid file that cannot be read (no descriptor is free, say) does not mean that nobody serves: the server would never be found again. */
static void
test_unreadable(struct fixture *f, const void *unused)
{
    g_autofree char *path = g_strconcat(f->socket, ".pid", NULL), *kept = g_strconcat(path, ".kept", NULL);
    g_autoptr(GError) why = NULL;
    bool is;
    start(f);
    const pid_t pid = server_pid(f);
    g_assert_cmpint(rename(path, kept), ==, 0);
    g_assert_cmpint(symlink(path, path), ==, 0);
    g_assert_false(serve_running(f->socket, &is, &why));
    g_assert_error(why, ERR, ERR_IO);
    g_assert_false(serve_start(&f->config, f->dir, &f->point, f->socket, NULL));
    g_assert_false(serve_stop(f->socket, NULL));
    g_assert_cmpint(rename(kept, path), ==, 0);
    g_assert_true(nbdblock_answers(f->socket));
    g_assert_true(running(f));
    g_assert_cmpint(server_pid(f), ==, pid);
}

static void
test_refused(struct fixture *f, const void *unused)
{
    g_autoptr(GError) why = NULL;
    unlink(f->disk);
    g_assert_false(serve_start(&f->config, f->dir, &f->point, f->socket, &why));
    g_assert_error(why, ERR, ERR_FAILED);
    g_assert_nonnull(strstr(why->message, "the store is empty"));
    g_assert_false(running(f));
}

struct reader {
    struct block *block;
    const char *expected;
    guint seed;
    bool ok;
};

static void *
read_here_and_there(void *user)
{
    struct reader *r = user;
    g_autoptr(GRand) rand = g_rand_new_with_seed(r->seed);
    g_autofree char *buf = g_malloc(SIZE);
    r->ok = true;
    for (int i = 0; r->ok && i < 3; i++) {
        const guint64 off = (guint64)g_rand_int_range(rand, 0, SIZE);
        const size_t len = (size_t)g_rand_int_range(rand, 0, (gint32)(SIZE - off));
        r->ok = block_read(r->block, buf, len, off, NULL) && memcmp(buf, r->expected + off, len) == 0;
    }
    return NULL;
}

/* Ranges of all lengths, in any order, that are asked for together. */
static void
read_many(struct block *b, const char *expected)
{
    enum { COUNT = 500 };
    g_autoptr(GError) err = NULL;
    struct block_range ranges[COUNT];
    for (guint i = 0; i < COUNT; i++) {
        const size_t len = i % 50 ? (size_t)g_test_rand_int_range(1, 8192) : SIZE / 2;
        ranges[i] = (struct block_range){ g_malloc(len), len, (uint64_t)g_test_rand_int_range(0, (gint32)(SIZE - len)) };
    }
    g_assert_true(block_read_all(b, ranges, COUNT, &err));
    g_assert_no_error(err);
    for (guint i = 0; i < COUNT; i++) {
        g_assert_cmpmem(ranges[i].buf, ranges[i].len, expected + ranges[i].off, ranges[i].len);
        g_free(ranges[i].buf);
    }
}

/* More threads than connections. */
static void
test_block(struct fixture *f, const void *unused)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *expected = NULL;
    g_assert_true(g_file_get_contents(f->disk, &expected, NULL, NULL));
    g_autofree char *folder = g_path_get_dirname(f->socket), *pid_file = g_strconcat(f->socket, ".pid", NULL);
    const char *const argv[] = { "nbdkit", "-U", f->socket, "-P", pid_file, "file", f->disk, NULL };
    g_mkdir_with_parents(folder, 0755);
    g_auto(GStrv) copy = g_strdupv((char **)(gsize)argv);
    int status = 1;
    g_assert_true(g_spawn_sync(NULL, copy, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);

    block_auto b = nbdblock_open(f->socket, "vda", &why);
    g_assert_no_error(why);
    g_assert_cmpuint(b->size, ==, SIZE);
    struct reader readers[6];
    GThread *threads[G_N_ELEMENTS(readers)];
    for (guint i = 0; i < G_N_ELEMENTS(readers); i++) {
        readers[i] = (struct reader){ .block = b, .expected = expected, .seed = i };
        threads[i] = g_thread_new("reader", read_here_and_there, &readers[i]);
    }
    for (guint i = 0; i < G_N_ELEMENTS(readers); i++) {
        g_thread_join(threads[i]);
        g_assert_true(readers[i].ok);
    }
    read_many(b, expected);
    extents_auto map = extents_new();
    g_assert_true(block_extents(b, 0, b->size, map, &why));
    g_assert_cmpuint(extents_bytes(map), ==, SIZE);
    g_assert_false(nbdblock_bitmap(f->socket, "vda", "none", map, &why));
    g_assert_error(why, ERR, ERR_TRACKING_LOST);
    g_clear_error(&why);

    serve_stop(f->socket, NULL);
    char byte, other;
    for (guint i = 0; i < G_N_ELEMENTS(readers); i++) { /* until no connection is left, and on */
        g_assert_false(block_read(b, &byte, 1, 0, &why));
        g_assert_error(why, ERR, ERR_NOT_AVAILABLE);
        g_clear_error(&why);
    }
    g_assert_false(block_read_all(b, (struct block_range[]){ { &byte, 1, 0 }, { &other, 1, 4096 } }, 2, &why));
    g_assert_error(why, ERR, ERR_NOT_AVAILABLE);
    g_clear_error(&why);
    g_assert_false(block_extents(b, 0, b->size, map, &why));
    g_assert_error(why, ERR, ERR_NOT_AVAILABLE);
}

static void
assert_same(struct fixture *f, const char *overlay)
{
    g_autofree char *line = g_strdup_printf("qemu-img compare -q -F raw -f qcow2 '%s' '%s'", overlay, f->disk);
    int status = 1;
    g_assert_true(g_spawn_command_line_sync(line, NULL, NULL, &status, NULL));
    g_assert_cmpint(status, ==, 0);
}

static void
test_overlay(struct fixture *f, const void *unused)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *path = g_build_filename(f->dir, "over lay,1.qcow2", NULL), *half = g_strconcat(path, ".new", NULL);
    bool flat = true;
    start(f);
    g_assert_true(g_file_set_contents(half, "left by a crash", -1, NULL));
    overlay_create(&f->config, path, f->socket, "vda", SIZE, &f->point, &why);
    g_assert_no_error(why);
    g_assert_cmpint(access(half, F_OK), !=, 0);
    g_assert_false(overlay_create(&f->config, path, f->socket, "vda", SIZE, &f->point, &why));
    g_assert_error(why, ERR, ERR_EXISTS);
    g_clear_error(&why);
    g_assert_true(overlay_is_flat(path, &flat, &why));
    g_assert_false(flat);
    gint cancel = 1;
    g_assert_false(overlay_flatten(path, &cancel, &why));
    g_assert_error(why, ERR, ERR_CANCELLED);
    g_clear_error(&why);
    g_assert_true(overlay_flatten(path, NULL, &why));
    g_assert_no_error(why);
    g_assert_true(overlay_is_flat(path, &flat, &why));
    g_assert_true(flat);
    serve_stop(f->socket, NULL);
    assert_same(f, path);
    g_assert_true(overlay_flatten(path, NULL, &why)); /* again */
}

static void
add(const char *name, void (*test)(struct fixture *, const void *))
{
    g_test_add(name, struct fixture, NULL, set_up, test, tear_down);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/vm/serve/life", test_life);
    add("/vm/serve/found-again", test_found_again);
    add("/vm/serve/unreadable", test_unreadable);
    add("/vm/serve/refused", test_refused);
    add("/vm/nbdblock", test_block);
    add("/vm/overlay", test_overlay);
    return g_test_run();
}
