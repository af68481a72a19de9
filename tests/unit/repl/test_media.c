/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "bad_disk.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "repl/work.h"
#include "store/store.h"
#include "vm/nbdblock.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/* Something under one guest is broken: its replica's disk, the disk of the outbox, its own disk, the scratch.  The services stay up and
 * say so at that guest; the other one goes on; when the cause is gone nothing was lost and nothing is read anew. */

enum { PAGES = 20 };

struct pair {
    struct world w;
    struct uuid lame, well;
    struct bad_disk disk;
};

static bool
skipped(void)
{
    const char *why = bad_disk_lacks();
    if (why)
        g_test_skip(why);
    return why != NULL;
}

static void
open_pair(struct pair *p)
{
    world_open(&p->w);
    p->lame = world_guest(&p->w, 2);
    p->well = world_guest(&p->w, 2);
    world_enable(&p->w, &p->lame, 250);
    world_enable(&p->w, &p->well, 250);
    world_start(&p->w, &p->lame);
    world_start(&p->w, &p->well);
    world_wait_cycle(&p->w, &p->lame);
}

/* A file system on a failing disk in the place of a folder of a host. */
static void
onto_bad_disk(struct pair *p, struct host *h, const char *place)
{
    g_autofree char *dir = g_build_filename(p->w.box.dir, "bad", NULL);
    g_assert_true(file_make_dirs(dir, 0700, NULL));
    host_down(h);
    bad_disk_open(&p->disk, dir, place);
    host_up(&p->w, h);
    world_wait_cycle(&p->w, &p->lame);
}

static void
well_goes_on(struct pair *p)
{
    for (int i = 0; i < 2; i++) {
        fake_scribble(p->w.a.fake, &p->well, p->w.rand, PAGES);
        world_wait_cycle(&p->w, &p->well);
    }
    g_assert_cmpuint(world_state(&p->w.a, &p->well), ==, STATE_REPLICATING);
}

static bool
says(struct pair *p, struct host *h, const char *words)
{
    struct repl_relation r = world_relation(h, &p->lame);
    const bool said = r.reason && strstr(r.reason, words);
    repl_relation_clear(&r);
    return said;
}

static void
all_is_well(struct pair *p)
{
    fake_scribble(p->w.a.fake, &p->lame, p->w.rand, PAGES);
    world_wait_cycle(&p->w, &p->lame);
    UNTIL(world_on_its_way(&p->w.a, &p->lame)); /* a slow machine goes on missing cycles */
    UNTIL(world_on_its_way(&p->w.b, &p->lame));
    g_assert_cmpuint(world_compare(&p->w, &p->lame), >=, 2);
    g_assert_cmpuint(world_compare(&p->w, &p->well), >=, 2);
    g_assert_cmpuint(fake_full_reads(p->w.a.fake), ==, 2); /* once per guest */
}

/* Nobody waits for the end of a pause between two tries. */
static void
repair(struct pair *p, struct host *h)
{
    host_down(h);
    bad_disk_repair(&p->disk);
    host_up(&p->w, h);
    if (h != &p->w.a) {
        host_down(&p->w.a);
        host_up(&p->w, &p->w.a);
    }
}

static void
close_pair(struct pair *p)
{
    host_down(&p->w.b);
    host_down(&p->w.a);
    if (p->disk.dir)
        bad_disk_close(&p->disk);
    world_close(&p->w);
}

/* ---- the replica's file system ---- */

static void
test_replica_errors(void)
{
    struct pair p = { 0 };
    if (skipped())
        return;
    open_pair(&p);
    g_autofree char *folder = world_folder(&p.w, &p.lame);
    onto_bad_disk(&p, &p.w.b, folder);
    bad_disk_fail(&p.disk, true);
    fake_scribble(p.w.a.fake, &p.lame, p.w.rand, PAGES);
    UNTIL(world_healthy(&p.w.a, &p.lame, "cannot-send"));
    UNTIL(world_healthy(&p.w.b, &p.lame, "cycle-failed"));
    g_assert_true(says(&p, &p.w.b, folder));
    well_goes_on(&p);
    g_assert_true(world_on_its_way(&p.w.b, &p.well));
    bad_disk_fail(&p.disk, false);
    repair(&p, &p.w.b);
    all_is_well(&p);
    close_pair(&p);
}

static void
test_replica_read_only(void)
{
    struct pair p = { 0 };
    if (skipped())
        return;
    open_pair(&p);
    g_autofree char *folder = world_folder(&p.w, &p.lame);
    onto_bad_disk(&p, &p.w.b, folder);
    bad_disk_read_only(&p.disk);
    fake_scribble(p.w.a.fake, &p.lame, p.w.rand, PAGES);
    UNTIL(world_healthy(&p.w.b, &p.lame, "cycle-failed"));
    UNTIL(says(&p, &p.w.a, "Read-only file system"));
    well_goes_on(&p);
    world_compare(&p.w, &p.lame); /* what is there can be read */
    repair(&p, &p.w.b);
    all_is_well(&p);
    close_pair(&p);
}

/* It is so when the daemon starts, and writable later: nobody has to do anything. */
static void
test_replica_read_only_at_start(void)
{
    struct pair p = { 0 };
    if (skipped())
        return;
    open_pair(&p);
    g_autofree char *folder = world_folder(&p.w, &p.lame);
    onto_bad_disk(&p, &p.w.b, folder);
    host_down(&p.w.b);
    g_assert_cmpint(mount(NULL, folder, NULL, MS_REMOUNT | MS_RDONLY, NULL), ==, 0);
    host_up(&p.w, &p.w.b);
    g_assert_cmpuint(world_state(&p.w.b, &p.lame), ==, STATE_CRITICAL);
    g_assert_true(says(&p, &p.w.b, folder));
    well_goes_on(&p);
    g_assert_cmpint(mount(NULL, folder, NULL, MS_REMOUNT, NULL), ==, 0);
    UNTIL(world_state(&p.w.b, &p.lame) == STATE_REPLICATING);
    host_down(&p.w.a);
    host_up(&p.w, &p.w.a);
    all_is_well(&p);
    close_pair(&p);
}

/* Another program (a second daemon) has the replica open: this one does not touch it, says so, and goes on once it is free. */
static void
test_replica_in_use(void)
{
    struct pair p = { 0 };
    g_autoptr(GError) err = NULL;
    open_pair(&p);
    g_autofree char *folder = world_folder(&p.w, &p.lame);
    host_down(&p.w.b);
    struct store *other = store_open(folder, &err);
    g_assert_no_error(err);
    host_up(&p.w, &p.w.b);
    g_assert_cmpuint(world_state(&p.w.b, &p.lame), ==, STATE_CRITICAL);
    g_assert_true(says(&p, &p.w.b, folder));
    well_goes_on(&p);
    store_close(other);
    UNTIL(world_state(&p.w.b, &p.lame) == STATE_REPLICATING);
    host_down(&p.w.a);
    host_up(&p.w, &p.w.a);
    all_is_well(&p);
    close_pair(&p);
}

/* ---- the outbox and what the service knows ---- */

static char *
outbox_of(struct pair *p)
{
    struct relation *rel = core_find(p->w.a.service->core, &p->lame, 0);
    char text[UUID_TEXT];
    char *dir = g_build_filename(p->w.a.service->core->outbox_dir, uuid_format(&rel->vm, text), NULL);
    relation_unref(rel);
    g_assert_true(g_file_test(dir, G_FILE_TEST_IS_DIR));
    return dir;
}

static void
test_outbox_errors(void)
{
    struct pair p = { 0 };
    if (skipped())
        return;
    open_pair(&p);
    g_autofree char *folder = outbox_of(&p);
    onto_bad_disk(&p, &p.w.a, folder);
    bad_disk_fail(&p.disk, true);
    fake_scribble(p.w.a.fake, &p.lame, p.w.rand, PAGES);
    UNTIL(world_healthy(&p.w.a, &p.lame, "cycle-failed"));
    UNTIL(says(&p, &p.w.a, folder));
    well_goes_on(&p);
    bad_disk_fail(&p.disk, false);
    repair(&p, &p.w.a);
    all_is_well(&p);
    close_pair(&p);
}

/* Database and all: nothing can be replicated, but everything can be looked at, and it goes on afterwards. */
static void
test_state_read_only(void)
{
    struct pair p = { 0 };
    if (skipped())
        return;
    open_pair(&p);
    g_autofree char *folder = g_build_filename(p.w.a.dir, "state", NULL);
    onto_bad_disk(&p, &p.w.a, folder);
    bad_disk_read_only(&p.disk);
    fake_scribble(p.w.a.fake, &p.lame, p.w.rand, PAGES);
    fake_scribble(p.w.a.fake, &p.well, p.w.rand, PAGES);
    UNTIL(!world_healthy(&p.w.a, &p.lame, NULL) && !world_healthy(&p.w.a, &p.well, NULL));
    UNTIL(says(&p, &p.w.a, "Cannot create change log") || says(&p, &p.w.a, "cannot be written"));
    world_compare(&p.w, &p.lame);
    repair(&p, &p.w.a);
    well_goes_on(&p);
    all_is_well(&p);
    close_pair(&p);
}

/* ---- the guest's own disk ---- */

/* The first disk of the lame guest is read through nbdkit: at each capture what it holds is put into nbdkit's file. */
static struct {
    struct repl_vm_ops ops;
    GMutex lock;
    struct uuid lame;
    struct capture *of_lame;
    struct block *through;
    int file;
    bool as_it_is; /* the file is left alone */
    bool slow;     /* captures of the lame guest end by running out of time */
    bool hang;     /* and hang until they may */
} source;

static struct capture *
begin(struct capture_engine *e, const struct uuid *vm, const char *const *targets, enum capture_mode mode, const struct uuid *log,
      GError **err)
{
    const bool lame = uuid_equal(vm, &source.lame);
    while (lame && __atomic_load_n(&source.hang, __ATOMIC_SEQ_CST))
        g_usleep(1000);
    HOLD(&source.lock);
    if (lame && source.slow) {
        err_set(err, ERR_TIMEOUT, "QEMU did not end a copy job in time.");
        return NULL;
    }
    struct capture *c = fake_vm_ops.begin(e, vm, targets, mode, log, err);
    if (lame || c == source.of_lame) /* addresses are used again */
        source.of_lame = lame ? c : NULL;
    return c;
}

static struct block *
disk(struct capture *c, guint i)
{
    struct block *inner = fake_vm_ops.disk(c, i);
    HOLD(&source.lock);
    if (!source.through || c != source.of_lame || i)
        return inner;
    g_autofree char *all = g_malloc(inner->size);
    if (!source.as_it_is && block_read(inner, all, inner->size, 0, NULL))
        g_assert_true(file_write_full(source.file, all, inner->size, 0, "the disk", NULL));
    return source.through;
}

static void
open_wrapped(struct pair *p)
{
    source.ops = fake_vm_ops;
    source.ops.begin = begin;
    source.ops.disk = disk;
    p->w.ops = &source.ops;
    open_pair(p);
    HOLD(&source.lock);
    source.lame = p->lame;
}

struct served {
    char *image, *socket, *trigger;
    pid_t nbdkit;
};

static struct served
serve(struct pair *p)
{
    struct served s = { g_build_filename(p->w.box.dir, "disk.raw", NULL), g_build_filename(p->w.box.dir, "nbd", NULL),
                        g_build_filename(p->w.box.dir, "fails", NULL), 0 };
    g_autofree char *file = g_strconcat("error-file=", s.trigger, NULL);
    /* One thread: nbdkit 1.32 with several ends in an assertion when a client leaves while answers are under way (raw_send_socket),
     * and here each failed read makes the client leave. */
    const char *const argv[] = { "nbdkit", "-f", "--threads=1", "-U", s.socket, "--filter=error", "file", s.image, "error-pread=EIO",
                                 "error-pread-rate=100%", file, NULL };
    g_autoptr(GError) err = NULL;
    const int fd = open(s.image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(ftruncate(fd, 2 << 20), ==, 0);
    s.nbdkit = bad_disk_server(argv);
    UNTIL(nbdblock_answers(s.socket));
    HOLD(&source.lock);
    source.file = fd;
    source.through = nbdblock_open(s.socket, "", &err);
    g_assert_no_error(err);
    return s;
}

static void
unserve(struct pair *p, struct served *s)
{
    close_pair(p);
    block_close(g_steal_pointer(&source.through));
    close(source.file);
    kill(s->nbdkit, SIGTERM);
    g_assert_cmpint(waitpid(s->nbdkit, NULL, 0), ==, s->nbdkit);
    g_free(s->image);
    g_free(s->socket);
    g_free(s->trigger);
}

static bool
no_nbdkit(void)
{
    g_autofree char *path = g_find_program_in_path("nbdkit");
    if (!path)
        g_test_skip("needs nbdkit");
    return !path;
}

static void
test_source_errors(void)
{
    struct pair p = { 0 };
    if (no_nbdkit())
        return;
    open_wrapped(&p);
    struct served s = serve(&p);
    fake_scribble(p.w.a.fake, &p.lame, p.w.rand, PAGES);
    world_wait_cycle(&p.w, &p.lame);
    g_assert_true(g_file_set_contents(s.trigger, "", 0, NULL));
    fake_scribble(p.w.a.fake, &p.lame, p.w.rand, PAGES);
    UNTIL(world_healthy(&p.w.a, &p.lame, "cycle-failed"));
    UNTIL(says(&p, &p.w.a, "Input/output error"));
    g_assert_cmpuint(world_state(&p.w.a, &p.lame), ==, STATE_REPLICATING);
    well_goes_on(&p);
    g_assert_cmpint(unlink(s.trigger), ==, 0);
    UNTIL(!world_healthy(&p.w.a, &p.lame, "cycle-failed"));
    all_is_well(&p);
    unserve(&p, &s);
}

/* Nothing but a capture makes it long again, so that none reads zeros that never were. */
static void
cut_off(bool yes)
{
    HOLD(&source.lock);
    source.as_it_is = yes;
    if (yes)
        g_assert_cmpint(ftruncate(source.file, 4096), ==, 0);
}

/* The image is cut off under the guest. */
static void
test_source_shrinks(void)
{
    struct pair p = { 0 };
    if (no_nbdkit())
        return;
    open_wrapped(&p);
    struct served s = serve(&p);
    fake_scribble(p.w.a.fake, &p.lame, p.w.rand, PAGES);
    world_wait_cycle(&p.w, &p.lame);
    cut_off(true);
    fake_scribble(p.w.a.fake, &p.lame, p.w.rand, 4 * PAGES);
    UNTIL(world_healthy(&p.w.a, &p.lame, "cycle-failed"));
    g_assert_cmpuint(world_state(&p.w.a, &p.lame), ==, STATE_REPLICATING);
    well_goes_on(&p);
    cut_off(false);
    UNTIL(!world_healthy(&p.w.a, &p.lame, "cycle-failed"));
    all_is_well(&p);
    unserve(&p, &s);
}

/* ---- the scratch ---- */

static void
set_slow(bool slow)
{
    HOLD(&source.lock);
    source.slow = slow;
}

/* A scratch so slow that a capture does not end: others go on meanwhile, the cycle is given up, and the next one has what it had. */
static void
test_scratch_slow(void)
{
    struct pair p = { 0 };
    open_wrapped(&p);
    set_slow(true);
    __atomic_store_n(&source.hang, true, __ATOMIC_SEQ_CST);
    fake_scribble(p.w.a.fake, &p.lame, p.w.rand, PAGES);
    well_goes_on(&p);
    __atomic_store_n(&source.hang, false, __ATOMIC_SEQ_CST);
    UNTIL(world_healthy(&p.w.a, &p.lame, "cycle-failed"));
    set_slow(false);
    g_assert_cmpuint(world_state(&p.w.a, &p.lame), ==, STATE_REPLICATING);
    UNTIL(!world_healthy(&p.w.a, &p.lame, "cycle-failed"));
    all_is_well(&p);
    close_pair(&p);
}

int
main(int argc, char **argv)
{
    bad_disk_namespace();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/media/replica-errors", test_replica_errors);
    g_test_add_func("/repl/media/replica-read-only", test_replica_read_only);
    g_test_add_func("/repl/media/replica-read-only-at-start", test_replica_read_only_at_start);
    g_test_add_func("/repl/media/replica-in-use", test_replica_in_use);
    g_test_add_func("/repl/media/outbox-errors", test_outbox_errors);
    g_test_add_func("/repl/media/state-read-only", test_state_read_only);
    g_test_add_func("/repl/media/source-errors", test_source_errors);
    g_test_add_func("/repl/media/source-shrinks", test_source_shrinks);
    g_test_add_func("/repl/media/scratch-slow", test_scratch_slow);
    return g_test_run();
}
