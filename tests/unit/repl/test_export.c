/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "link.h"
#include "log/format.h"
#include "log/reader.h"
#include "log/writer.h"
#include "repl/export.h"
#include "repl/extend.h"
#include "repl/extendfill.h"
#include "repl/work.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first copy in a folder: exported by a, carried by hand, imported by b; then cycles bring the residue. */

static char *
disk_folder(struct world *w)
{
    char *dir = g_build_filename(w->a.dir, "usb", NULL);
    g_assert_true(file_make_dirs(dir, 0755, NULL));
    return dir;
}

static char *
folder_of(const char *usb, const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_strdup_printf("%s/guest_%s", usb, uuid_format(vm, text));
}

static void
start_export(struct world *w, const struct uuid *vm, const char *usb, char job[UUID_TEXT])
{
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_start(w->a.service, vm, 2, usb, 0, "test", job, &err));
    g_assert_no_error(err);
}

static void
export_now(struct world *w, const struct uuid *vm, const char *usb)
{
    char job[UUID_TEXT];
    start_export(w, vm, usb, job);
    world_done(&w->a, job);
    g_assert_cmpuint(world_state(&w->a, vm), ==, STATE_WAITING_INITIAL);
    g_assert_cmpuint(world_state(&w->b, vm), ==, STATE_WAITING_INITIAL);
}

static void
import_now(struct world *w, const struct uuid *vm, const char *dir, const char *error_id)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_true(repl_import(w->b.service, vm, dir, "test", job, &err));
    g_assert_no_error(err);
    if (error_id)
        world_fails(&w->b, job, error_id);
    else
        world_done(&w->b, job);
}

static void
ends_cancelled(struct host *h, const char *job)
{
    struct job_info i = world_wait(h, job);
    g_assert_cmpuint(i.state, ==, JOB_TERMINATED);
    job_info_clear(&i);
}

static void
import_refused(struct host *h, const struct uuid *vm, const char *dir, enum err_code code)
{
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    g_assert_false(repl_import(h->service, vm, dir, "test", job, &err));
    g_assert_error(err, ERR, (gint)code);
}

static void
both_replicate(struct world *w, const struct uuid *vm)
{
    world_wait_state(&w->b, vm, STATE_REPLICATING);
    world_wait_state(&w->a, vm, STATE_REPLICATING);
    fake_scribble(w->a.fake, vm, w->rand, 20);
    world_wait_cycle(w, vm);
    g_assert_cmpuint(world_compare(w, vm), >, 0);
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of the logs in a folder, sorted. */
static GPtrArray *
logs_in(const char *dir)
{
    GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d && (name = g_dir_read_name(d)))
        g_ptr_array_add(out, g_build_filename(dir, name, NULL));
    g_ptr_array_sort(out, by_name);
    return out;
}

static char *
log_at(const char *dir, bool last)
{
    g_autoptr(GPtrArray) logs = logs_in(dir);
    g_assert_cmpuint(logs->len, >, 1);
    return g_strdup(logs->pdata[last ? logs->len - 1 : 0]);
}

static void
flip(const char *path)
{
    struct stat st;
    char byte;
    auto_fd fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(pread(fd, &byte, 1, st.st_size / 2), ==, 1);
    byte ^= 4;
    g_assert_cmpint(pwrite(fd, &byte, 1, st.st_size / 2), ==, 1);
}

static void
test_there(void)
{
    struct world w = { 0 };
    world_open(&w);
    g_autofree char *usb = disk_folder(&w);
    const struct uuid vm = world_guest(&w, 2);
    const struct uuid other = fake_guest_add(w.a.fake, "guest", 1, 1 << 20); /* of the same name, in one place */
    world_enable(&w, &vm, 250);
    world_enable(&w, &other, 250);
    world_cut(&w, true); /* nothing of this needs the link */
    export_now(&w, &vm, usb);
    export_now(&w, &other, usb);
    const gint64 before = link_bytes(w.link);
    fake_scribble(w.a.fake, &vm, w.rand, 20);
    import_now(&w, &vm, usb, NULL);
    import_now(&w, &other, usb, NULL);
    world_cut(&w, false);
    both_replicate(&w, &vm);
    both_replicate(&w, &other);
    g_assert_cmpint(link_bytes(w.link) - before, <, 1 << 20); /* the residue */
    g_assert_cmpuint(fake_full_reads(w.a.fake), ==, 2);
    COVERS("export and import", "other host dies", "nothing of it needs the other host; cycles follow when it is there");
    world_close(&w);
}

static void
test_refusals(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    g_autofree char *usb = disk_folder(&w), *nowhere = g_build_filename(usb, "nowhere", NULL);
    const struct uuid vm = world_guest(&w, 2), nobody = uuid_random();
    world_enable(&w, &vm, 250);
    g_assert_false(repl_start(w.a.service, &vm, 2, NULL, 0, "t", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_PARAMETER);
    g_clear_error(&err);
    g_assert_false(repl_start(w.a.service, &vm, 2, "here", 0, "t", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_PARAMETER);
    g_clear_error(&err);
    g_assert_false(repl_start(w.a.service, &vm, 2, nowhere, 0, "t", job, &err));
    g_assert_error(err, ERR, ERR_NOT_FOUND);
    g_clear_error(&err);
    g_assert_false(repl_start(w.b.service, &vm, 2, usb, 0, "t", job, &err));
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_clear_error(&err);
    import_refused(&w.b, &vm, "here", ERR_INVALID_PARAMETER);
    import_refused(&w.b, &vm, nowhere, ERR_NOT_FOUND);
    import_refused(&w.b, &vm, usb, ERR_NOT_FOUND); /* nothing of this guest there */
    export_now(&w, &vm, usb);
    g_autofree char *dir = folder_of(usb, &vm);
    import_refused(&w.b, &nobody, dir, ERR_NO_SUCH_INSTANCE);
    import_refused(&w.a, &vm, dir, ERR_INVALID_STATE); /* the primary */
    g_assert_false(repl_start(w.a.service, &vm, 2, usb, 0, "t", job, &err)); /* twice */
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    g_clear_error(&err);
    g_assert_false(repl_state_change(w.a.service, &vm, 0, 1, "t", job, &err)); /* finished: it cannot be cancelled */
    g_assert_error(err, ERR, ERR_INVALID_STATE);
    import_now(&w, &vm, dir, NULL);
    import_refused(&w.b, &vm, dir, ERR_INVALID_STATE); /* twice */
    both_replicate(&w, &vm);
    COVERS("export and import", "called twice", "the second export and the second import are refused (32775)");
    COVERS("export and import", "wrong side", "refused (32775): export on the replica, import on the primary");
    world_close(&w);
}

/* What a folder can have suffered on its way; the right one is taken afterwards. */
static void
test_damage(void)
{
    struct world w = { 0 };
    world_open(&w);
    g_autofree char *usb = disk_folder(&w);
    const struct uuid vm = world_guest(&w, 2), other = fake_guest_add(w.a.fake, "other", 1, 1 << 20);
    world_enable(&w, &vm, 250);
    world_enable(&w, &other, 250);
    export_now(&w, &vm, usb);
    export_now(&w, &other, usb);
    g_autofree char *dir = folder_of(usb, &vm), *first = log_at(dir, false), *last = log_at(dir, true), *aside = NULL;
    aside = g_build_filename(usb, "aside", NULL);
    char text[UUID_TEXT];
    g_autofree char *others = g_strdup_printf("%s/other_%s", usb, uuid_format(&other, text));
    import_now(&w, &vm, others, "invalid-parameter"); /* another guest's */
    flip(first);
    import_now(&w, &vm, dir, "corrupt");
    flip(first);
    flip(last);
    import_now(&w, &vm, dir, "corrupt");
    flip(last);
    g_assert_cmpint(rename(first, aside), ==, 0); /* a file is missing */
    import_now(&w, &vm, dir, "not-found");
    g_assert_cmpint(rename(aside, first), ==, 0);
    g_assert_cmpint(rename(last, aside), ==, 0); /* the copy stopped before the last one */
    import_now(&w, &vm, dir, "not-found");
    g_assert_cmpint(rename(aside, last), ==, 0);
    struct stat st;
    g_assert_cmpint(stat(last, &st), ==, 0);
    g_autofree char *whole = NULL;
    gsize len;
    g_assert_true(g_file_get_contents(last, &whole, &len, NULL));
    g_assert_cmpint(truncate(last, st.st_size / 2), ==, 0); /* in the middle of it */
    import_now(&w, &vm, dir, "corrupt");
    g_assert_true(g_file_set_contents(last, whole, (gssize)len, NULL));
    g_assert_cmpuint(world_state(&w.b, &vm), ==, STATE_WAITING_INITIAL);
    import_now(&w, &vm, dir, NULL);
    both_replicate(&w, &vm);
    world_close(&w);
}

/* The disk is taken away: the job says so, and the next try is a new one. */
static void
test_disk_gone(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    g_autofree char *usb = disk_folder(&w);
    const struct uuid vm = world_guest(&w, 2);
    g_autofree char *dir = folder_of(usb, &vm);
    world_enable(&w, &vm, 250);
    fake_block_reads(w.a.fake, true);
    start_export(&w, &vm, usb, job);
    UNTIL(fake_reads_waiting(w.a.fake) > 0);
    g_assert_true(file_remove_tree(dir, NULL));
    fake_block_reads(w.a.fake, false);
    world_fails(&w.a, job, "not-found");
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_READY);
    g_assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
    export_now(&w, &vm, usb);
    import_now(&w, &vm, usb, NULL);
    both_replicate(&w, &vm);
    COVERS("export and import", "disk full",
           "(or the disk taken away) the job fails, nothing is left in the folder; the next one begins anew");
    world_close(&w);
}

static void
test_cancel(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT], stop[UUID_TEXT];
    world_open(&w);
    g_autofree char *usb = disk_folder(&w);
    const struct uuid vm = world_guest(&w, 2);
    g_autofree char *dir = folder_of(usb, &vm);
    world_enable(&w, &vm, 250);
    fake_block_reads(w.a.fake, true);
    start_export(&w, &vm, usb, job);
    UNTIL(fake_reads_waiting(w.a.fake) > 0);
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 1, "test", stop, NULL));
    fake_block_reads(w.a.fake, false);
    world_done(&w.a, stop);
    ends_cancelled(&w.a, job);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_READY);
    g_assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
    world_start(&w, &vm); /* over the network, then */
    both_replicate(&w, &vm);
    world_close(&w);
}

static bool
has_head(struct host *h, const struct uuid *vm)
{
    struct store_log head;
    relation_auto rel = core_find(h->service->core, vm, 0);
    return store_head(rel->in.store, &head);
}

/* With what does not compress. */
static void
fill_disks(struct world *w, const struct uuid *vm)
{
    guint32 page[1024];
    for (guint64 at = 0; at < (2 << 20); at += sizeof page)
        for (guint d = 0; d < 2; d++) {
            for (guint i = 0; i < G_N_ELEMENTS(page); i++)
                page[i] = g_rand_int(w->rand);
            fake_write(w->a.fake, vm, d, at, page, sizeof page);
        }
}

/* Part of an earlier copy over the network is on b; the folder replaces it. */
static void
test_after_network(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT], stop[UUID_TEXT];
    world_open(&w);
    g_autofree char *usb = disk_folder(&w);
    const struct uuid vm = world_guest(&w, 2);
    fill_disks(&w, &vm); /* several logs */
    world_enable(&w, &vm, 250);
    link_cut_after(w.link, 1500 << 10); /* in the second log */
    g_assert_true(repl_start(w.a.service, &vm, 1, NULL, 0, "test", job, NULL));
    UNTIL(has_head(&w.b, &vm));
    g_assert_true(repl_state_change(w.a.service, &vm, 0, 1, "test", stop, NULL));
    world_done(&w.a, stop);
    ends_cancelled(&w.a, job);
    export_now(&w, &vm, usb);
    import_now(&w, &vm, usb, NULL);
    world_cut(&w, false);
    both_replicate(&w, &vm);
    world_close(&w);
}

/* Both daemons end in the middle and go on. */
static void
test_restart(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    g_autofree char *usb = disk_folder(&w);
    const struct uuid vm = world_guest(&w, 2);
    world_enable(&w, &vm, 250);
    start_export(&w, &vm, usb, job);
    g_autofree char *dir = folder_of(usb, &vm);
    UNTIL(({ g_autoptr(GPtrArray) some = logs_in(dir); some->len > 0; }));
    host_down(&w.a);
    host_up(&w, &w.a);
    UNTIL(({ struct job_info i; g_assert_true(job_get(repl_jobs(w.a.service), job, &i)); const bool over = job_state_final(i.state);
             job_info_clear(&i); over; }));
    world_done(&w.a, job);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_WAITING_INITIAL);
    host_down(&w.a); /* and while it waits */
    host_up(&w, &w.a);
    host_down(&w.b);
    host_up(&w, &w.b);
    import_now(&w, &vm, usb, NULL);
    host_down(&w.b);
    host_up(&w, &w.b);
    both_replicate(&w, &vm);
    COVERS("export and import", "daemon killed",
           "both ended in the middle: the export goes on where it was, and waits as before; the import is there");
    world_close(&w);
}

/* The seed's disks are not those of the primary. */
static void
test_seed_misfit(void)
{
    struct world w = { 0 };
    char job[UUID_TEXT];
    world_open(&w);
    const struct uuid vm = world_guest(&w, 2);
    world_enable(&w, &vm, 250);
    fake_disk_add(w.a.fake, &vm, "vdz", 1 << 20);
    g_assert_true(repl_remove(w.a.service, &vm, 0, "test", job, NULL)); /* on a only: b keeps its placeholder */
    world_done(&w.a, job);
    struct repl_settings s = world_settings(&w, 250);
    g_assert_true(repl_create(w.a.service, &vm, &s, "test", job, NULL));
    repl_settings_clear(&s);
    world_fails(&w.a, job, "invalid-parameter");
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_DISABLED);
    world_close(&w);
}

static void
test_in_use(void)
{
    struct world w = { 0 };
    struct busy busy;
    char job[UUID_TEXT];
    g_autoptr(GError) err = NULL;
    world_open(&w);
    g_autofree char *usb = disk_folder(&w);
    const struct uuid vm = world_guest(&w, 2);
    world_enable(&w, &vm, 250);
    world_busy(&w.a, &vm, &busy);
    g_assert_false(repl_start(w.a.service, &vm, 2, usb, 0, "test", job, &err));
    g_assert_error(err, ERR, ERR_IN_USE);
    g_assert_cmpuint(world_state(&w.a, &vm), ==, STATE_READY);
    world_idle(&busy);
    export_now(&w, &vm, usb);
    world_busy(&w.b, &vm, &busy);
    import_refused(&w.b, &vm, usb, ERR_IN_USE);
    world_idle(&busy);
    import_now(&w, &vm, usb, NULL);
    both_replicate(&w, &vm);
    COVERS("export and import", "during another job", "each is refused (32774), nothing changes; later it works");
    world_close(&w);
}

static void
make_foreign(const char *path)
{
    static const struct log_writer_options raw = { .anew = true };
    struct log_totals totals;
    struct log_info info;
    struct log_reader *r = log_reader_open(path, NULL);
    g_assert_nonnull(r);
    log_info_copy(&info, log_reader_info(r));
    log_reader_close(r);
    info.vm = uuid_random();
    struct log_writer *w = log_writer_create(path, &info, &raw, NULL);
    g_assert_true(w && log_writer_finish(w, &totals, NULL));
    log_writer_free(w);
    log_info_clear(&info);
}

static void
make_newer(const char *path)
{
    const guint16 version = GUINT16_TO_LE(LOG_VERSION + 1);
    auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);
    g_assert_cmpint(pwrite(fd, &version, sizeof version, strlen(LOG_MAGIC)), ==, sizeof version);
}

/* G_MAXINT: it succeeds. */
static void
extends(struct world *w, const struct uuid *vm, const char *dir, gint code)
{
    g_autoptr(GError) err = NULL;
    relation_auto base = core_find(w->b.service->core, vm, 0);
    relation_auto rel = extend_of(w->b.service->core, vm);
    const bool ok = extendfill_export(w->b.service->core, rel, base->r.folder, dir, &err);
    if (code == G_MAXINT)
        g_assert_no_error(err);
    else
        g_assert_error(err, ERR, code);
    g_assert_true(ok == (code == G_MAXINT));
}

/* What an extended replica's export finds in its folder: what a newer program wrote goes, what cannot be read may be read later, but not
 * for ever, and another guest's log is none of it. */
static void
test_extended_spoiled(void)
{
    const gint64 hour = 3600 * (gint64)G_USEC_PER_SEC;
    struct world w = { 0 };
    world_open(&w);
    world_third(&w);
    const struct uuid vm = world_replicated(&w);
    world_extend(&w, &vm);
    g_autofree char *usb = disk_folder(&w), *dir = folder_of(usb, &vm);
    relation_auto rel = extend_of(w.b.service->core, &vm);
    g_assert_true(export_begin(w.b.service->core, rel, dir, NULL));
    extends(&w, &vm, dir, G_MAXINT);
    g_autofree char *newer = log_at(dir, false);
    make_newer(newer);
    extends(&w, &vm, dir, G_MAXINT);
    g_autofree char *path = log_at(dir, false), *away = g_strconcat(path, ".away", NULL);
    g_assert_true(rename(path, away) == 0 && symlink(path, path) == 0);
    extends(&w, &vm, dir, ERR_NOT_AVAILABLE);
    clock_shift_for_test(0, hour);
    extends(&w, &vm, dir, ERR_IO);
    clock_shift_for_test(0, -hour);
    g_assert_cmpint(rename(away, path), ==, 0);
    make_foreign(path);
    extends(&w, &vm, dir, ERR_INVALID_PARAMETER);
    world_close(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/repl/export/there", test_there);
    g_test_add_func("/repl/export/refusals", test_refusals);
    g_test_add_func("/repl/export/damage", test_damage);
    g_test_add_func("/repl/export/disk-gone", test_disk_gone);
    g_test_add_func("/repl/export/cancel", test_cancel);
    g_test_add_func("/repl/export/after-network", test_after_network);
    g_test_add_func("/repl/export/restart", test_restart);
    g_test_add_func("/repl/export/seed-misfit", test_seed_misfit);
    g_test_add_func("/repl/export/in-use", test_in_use);
    g_test_add_func("/repl/export/extended-spoiled", test_extended_spoiled);
    return g_test_run();
}
