/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Captures a real running guest again and again and rebuilds its disks from the captures; the guest's records tell whether each
 * copy is one instant of both disks.  Run inside a lab host by vm_guest.sh:
 *
 *   vm_capture UUID IMAGE-OF-VDA IMAGE-OF-VDB WORK-FOLDER VERIFY
 *   vm_capture crash MODE UUID WORK-FOLDER SINCE LOG SECONDS    (started by the first form: dies in the middle of a capture)
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "vm/capture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

static struct {
    struct uuid vm;
    const char *uuid, *images[2], *work, *verify;
    struct vm_conn *conn;
    struct capture_engine *engine;
    int copies[2];
    struct uuid since;   /* log that the copies stand for */
    guint64 records;     /* that they held when last verified */
} lab;

static const char *const both[] = { "vda", "vdb", NULL };
static const char *const only_vda[] = { "vda", NULL };

/* ---- tools ---- */

static struct capture_engine *
engine_with(guint64 reserve)
{
    g_autofree char *run = g_build_filename("/run/vmreplica", NULL);
    const struct capture_config config = { .scratch_dir = "/dev/shm/vmreplica", .runtime_dir = run, .qemu_user = "libvirt-qemu",
                                           .scratch_reserve = reserve };
    return capture_engine_new(lab.conn, &config);
}

/* Runs a shell line that must succeed; its output if wanted. */
static char *
run_line(const char *line)
{
    const char *const argv[] = { "sh", "-c", line, NULL };
    g_auto(GStrv) copy = g_strdupv((char **)(gsize)argv);
    char *out = NULL;
    g_autofree char *words = NULL;
    int status = 0;
    g_autoptr(GError) why = NULL;
    g_spawn_sync(NULL, copy, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &words, &status, &why);
    g_assert_no_error(why);
    if (status != 0)
        g_error("'%s' failed: %s%s", line, out, words);
    return g_strchomp(out);
}

static void shell(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void
shell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *line = g_strdup_vprintf(format, args);
    va_end(args);
    g_free(run_line(line));
}

static char *
guest_name(void)
{
    g_autofree char *line = g_strdup_printf("virsh domname %s", lab.uuid);
    return run_line(line);
}

static guint64
number_from(const char *command)
{
    g_autofree char *text = run_line(command);
    return g_ascii_strtoull(text, NULL, 10);
}

static void
copy_range(int to, struct block *from, const struct extent *e)
{
    enum { CHUNK = 1 << 20 };
    static char buf[CHUNK];
    g_autoptr(GError) why = NULL;
    if (e->kind == EXTENT_ZERO) {
        g_assert_cmpint(fallocate(to, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)e->offset, (off_t)e->length), ==, 0);
        return;
    }
    for (uint64_t done = 0; done < e->length;) {
        const size_t n = (size_t)MIN((uint64_t)CHUNK, e->length - done);
        block_read(from, buf, n, e->offset + done, &why);
        g_assert_no_error(why);
        file_write_full(to, buf, n, e->offset + done, "copy", &why);
        g_assert_no_error(why);
        done += n;
    }
}

/* Brings the copies to what the capture says; returns the bytes marked. */
static guint64
apply(struct capture *c, const char *const *targets)
{
    guint64 sum = 0;
    for (guint i = 0; i < capture_disks(c); i++) {
        const int to = lab.copies[targets[i][2] - 'a'];
        const struct extents *set = capture_extents(c, i);
        for (size_t j = 0; j < extents_count(set); j++)
            copy_range(to, capture_disk(c, i), extents_at(set, j));
        sum += extents_bytes(set);
    }
    return sum;
}

static struct capture *
begin(const char *const *targets, enum capture_mode mode, const struct uuid *log)
{
    g_autoptr(GError) why = NULL;
    struct capture *c = capture_begin(lab.engine, &lab.vm, targets, mode, log, &why);
    g_assert_no_error(why);
    g_assert_nonnull(c);
    return c;
}

static void
end(struct capture *c, bool durable)
{
    g_autoptr(GError) why = NULL;
    capture_end(c, durable, &why);
    g_assert_no_error(why);
}

static guint64
cycle_of(const char *const *targets, enum capture_mode mode)
{
    const struct uuid log = uuid_random();
    struct capture *c = begin(targets, mode, &log);
    const guint64 bytes = apply(c, targets);
    end(c, true);
    lab.since = log;
    return bytes;
}

static guint64
cycle(enum capture_mode mode)
{
    return cycle_of(both, mode);
}

/* The copies must be records 1..k without a gap on both disks, and never go back. */
static void
verify_copies(void)
{
    g_autofree char *command = g_strdup_printf("%s --records %s/vda.raw %s/vdb.raw", lab.verify, lab.work, lab.work);
    const guint64 records = number_from(command);
    g_assert_cmpuint(records, >=, lab.records);
    lab.records = records;
}

static bool
is_since(void *user, const struct uuid *log)
{
    return uuid_equal(log, &lab.since);
}

static void
recover_expect(const char *const *targets, enum err_code expected)
{
    struct uuid since = UUID_NIL;
    g_autoptr(GError) why = NULL;
    const bool ok = capture_recover(lab.engine, &lab.vm, targets, is_since, NULL, &since, &why);
    if (expected == ERR_COUNT) {
        g_assert_no_error(why);
        g_assert_true(ok);
        g_assert_true(uuid_equal(&since, &lab.since));
        return;
    }
    g_assert_error(why, ERR, (gint)expected);
    g_test_message("expected refusal: %s", why->message);
}

static void
begin_expect(struct capture_engine *e, const char *const *targets, enum capture_mode mode, enum err_code expected)
{
    const struct uuid log = uuid_random();
    g_autoptr(GError) why = NULL;
    struct capture *c = capture_begin(e, &lab.vm, targets, mode, &log, &why);
    g_assert_null(c);
    g_assert_error(why, ERR, (gint)expected);
    g_test_message("expected refusal: %s", why->message);
}

/* What QEMU holds of ours. */
struct residue {
    guint64 bitmaps, nodes, exports, jobs, qemu_fds, own_fds, files, scratch_kib;
};

static struct residue
count_residue(void)
{
    g_autofree char *query = g_strdup_printf("virsh qemu-monitor-command %s --cmd", lab.uuid);
    g_autofree char *bitmaps = g_strdup_printf("%s '{\"execute\":\"query-block\"}' | grep -o '\"name\":\"vmr-' | wc -l", query);
    g_autofree char *nodes = g_strdup_printf("%s '{\"execute\":\"query-named-block-nodes\"}' | grep -o '\"node-name\":' | wc -l", query);
    g_autofree char *exports = g_strdup_printf("%s '{\"execute\":\"query-block-exports\"}' | grep -o '\"id\":\"vmr-' | wc -l", query);
    g_autofree char *jobs = g_strdup_printf("%s '{\"execute\":\"query-jobs\"}' | grep -o '\"id\":\"vmr-' | wc -l", query);
    g_autofree char *fds = g_strdup_printf("ls /proc/$(cat /run/libvirt/qemu/$(virsh domname %s).pid)/fd | wc -l", lab.uuid);
    g_autofree char *own = g_strdup_printf("ls /proc/%d/fd | wc -l", (int)getpid());
    return (struct residue){ .bitmaps = number_from(bitmaps), .nodes = number_from(nodes), .exports = number_from(exports),
                             .jobs = number_from(jobs), .qemu_fds = number_from(fds), .own_fds = number_from(own),
                             .scratch_kib = number_from("du -sk /dev/shm/vmreplica"),
                             .files = number_from("ls /dev/shm/vmreplica /run/vmreplica/nbd | grep -c vmr- || :") };
}

static void
assert_clean(guint64 bitmaps)
{
    const struct residue r = count_residue();
    g_assert_cmpuint(r.bitmaps, ==, bitmaps);
    g_assert_cmpuint(r.exports, ==, 0);
    g_assert_cmpuint(r.jobs, ==, 0);
    g_assert_cmpuint(r.files, <=, bitmaps); /* an empty scratch file per disk may stay */
    g_assert_cmpuint(r.scratch_kib, ==, 0);
}

static void
wait_for_writer(void)
{
    g_autofree char *name = guest_name();
    shell("for i in $(seq 300); do tail -n 3 /var/log/libvirt/console/%s.log | grep -q 'WRITER at' && exit 0; "
          "sleep 0.2; done; exit 1", name);
}

static void
start_guest(void)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *name = guest_name();
    shell(": >/var/log/libvirt/console/%s.log", name);
    vm_start(lab.conn, &lab.vm, &why);
    g_assert_no_error(why);
    wait_for_writer();
}

static void
pause_ms(gulong ms)
{
    g_usleep(ms * 1000);
}

/* ---- tests; they run in this order and build upon one another ---- */

static void
test_initial(void)
{
    recover_expect(both, ERR_TRACKING_LOST);
    begin_expect(lab.engine, both, CAPTURE_INSTANT, ERR_TRACKING_LOST);
    cycle(CAPTURE_FUZZY_ALL);
    cycle(CAPTURE_INSTANT);
    verify_copies();
    assert_clean(2);
}

static void
test_cycles(void)
{
    const guint64 first = lab.records;
    for (int i = 0; i < 30; i++) {
        const gint64 start = clock_mono_us();
        const guint64 bytes = cycle(CAPTURE_INSTANT);
        g_test_message("cycle %d: %.1f ms, %" G_GUINT64_FORMAT " bytes", i, (double)(clock_mono_us() - start) / 1000, bytes);
        verify_copies();
        pause_ms(50);
    }
    g_assert_cmpuint(lab.records, >, first);
}

static void
test_facts_of_capture(void)
{
    const struct uuid log = uuid_random();
    struct capture *c = begin(both, CAPTURE_INSTANT, &log);
    g_assert_cmpuint(capture_disks(c), ==, 2);
    g_assert_cmpint(ABS(capture_instant_us(c) - clock_wall_us()), <, 60 * G_USEC_PER_SEC);
    g_assert_nonnull(strstr(capture_domain_xml(c), "<domain"));
    begin_expect(lab.engine, both, CAPTURE_INSTANT, ERR_IN_USE);
    end(c, false);
}

static void
test_not_durable(void)
{
    for (int i = 0; i < 5; i++) {
        const struct uuid log = uuid_random();
        end(begin(both, i % 2 ? CAPTURE_FUZZY_CHANGES : CAPTURE_INSTANT, &log), false);
    }
    assert_clean(2);
    cycle(CAPTURE_INSTANT);
    verify_copies();
}

static void
test_fuzzy_changes(void)
{
    for (int i = 0; i < 5; i++) {
        g_assert_cmpuint(capture_pending(lab.engine, &lab.vm), >, 0);
        cycle(CAPTURE_FUZZY_CHANGES);
        cycle(CAPTURE_INSTANT);
        verify_copies();
    }
    assert_clean(2);
}

/* The engine with no room refuses before anything is done; the one with little room measures exactly and goes on. */
static void
test_no_space(void)
{
    struct capture_engine *usual = lab.engine;
    guint64 space = 0;
    g_assert_true(file_free_space("/dev/shm/vmreplica", &space, NULL));
    struct capture_engine *full = engine_with(space), *tight = engine_with(space - (45 << 20));
    pause_ms(1000);
    lab.engine = full;
    recover_expect(both, ERR_COUNT);
    begin_expect(full, both, CAPTURE_INSTANT, ERR_NO_SPACE);
    assert_clean(2);
    lab.engine = tight;
    recover_expect(both, ERR_COUNT);
    g_assert_cmpuint(cycle(CAPTURE_INSTANT), >, 0);
    verify_copies();
    lab.engine = usual;
    recover_expect(both, ERR_COUNT);
    capture_engine_free(full);
    capture_engine_free(tight);
}

static void
resize_shm(const char *size)
{
    g_autofree char *option = g_strconcat("size=", size, NULL);
    g_assert_cmpint(mount(NULL, "/dev/shm", NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, option), ==, 0);
}

/* As soon as the scratch files are there, the room for them is taken away: after the check, before the copy. */
static void *
shrink_shm(void *unused)
{
    const gint64 deadline = clock_mono_us() + 10 * G_USEC_PER_SEC;
    for (bool seen = false; !seen && clock_mono_us() < deadline;) {
        g_autoptr(GDir) d = g_dir_open("/dev/shm/vmreplica", 0, NULL);
        seen = d && g_dir_read_name(d);
    }
    struct statvfs fs;
    g_assert_cmpint(statvfs("/dev/shm", &fs), ==, 0);
    g_autofree char *size = g_strdup_printf("%llu", (unsigned long long)(fs.f_blocks - fs.f_bfree + 16) * fs.f_frsize);
    resize_shm(size);
    return NULL;
}

/* The scratch turns out to be full although it looked roomy: the job's error is seen, the guest goes on, nothing is lost. */
static void
test_job_error(void)
{
    pause_ms(2000);
    GThread *thief = g_thread_new("thief", shrink_shm, NULL);
    begin_expect(lab.engine, both, CAPTURE_INSTANT, ERR_NO_SPACE);
    g_thread_join(thief);
    resize_shm("1g");
    assert_clean(2);
    enum vm_power power = VM_OFF;
    g_assert_true(vm_power_get(lab.conn, &lab.vm, &power, NULL));
    g_assert_cmpint(power, ==, VM_RUNNING);
    pause_ms(500);
    const guint64 before = lab.records;
    cycle(CAPTURE_INSTANT);
    verify_copies();
    g_assert_cmpuint(lab.records, >, before);
    cycle(CAPTURE_INSTANT);
    verify_copies();
}

/* ---- crashes ---- */

static struct uuid
crash(const char *mode, double seconds)
{
    const struct uuid log = uuid_random();
    char text[UUID_TEXT], since[UUID_TEXT];
    g_autofree char *delay = g_strdup_printf("%.3f", seconds);
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    const char *const argv[] = { self, "crash", mode, lab.uuid, lab.work, uuid_format(&lab.since, since), uuid_format(&log, text), delay,
                                 NULL };
    g_auto(GStrv) copy = g_strdupv((char **)(gsize)argv);
    int status = 0;
    g_assert_true(g_spawn_sync(NULL, copy, NULL, 0, NULL, NULL, NULL, NULL, &status, NULL));
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return log;
}

static void
test_crash(void)
{
    static const char *const modes[] = { "instant", "fuzzy-changes", "fuzzy-all" };
    for (gsize i = 0; i < G_N_ELEMENTS(modes); i++) {
        crash(modes[i], 0);
        recover_expect(both, ERR_COUNT);
        assert_clean(2);
        cycle(CAPTURE_INSTANT);
        verify_copies();
    }
}

static void
test_crash_after_durable(void)
{
    lab.since = crash("durable", 0);
    recover_expect(both, ERR_COUNT);
    assert_clean(2);
    cycle(CAPTURE_INSTANT);
    verify_copies();
}

/* Dies at some instant of a capture, wherever that is. */
static void
test_crash_anywhere(void)
{
    for (int i = 0; i < 12; i++) {
        crash("instant", 0.002 + 0.003 * i);
        recover_expect(both, ERR_COUNT);
        assert_clean(2);
        cycle(CAPTURE_INSTANT);
        verify_copies();
    }
}

/* ---- life of the guest ---- */

static void
test_snapshot_and_commit(void)
{
    shell("virsh snapshot-create-as %s s1 --disk-only --no-metadata --diskspec vda,snapshot=external,file=%s.snap "
          "--diskspec vdb,snapshot=no && chmod 0600 %s.snap", lab.uuid, lab.images[0], lab.images[0]);
    for (int i = 0; i < 3; i++) {
        cycle(CAPTURE_INSTANT);
        verify_copies();
    }
    shell("virsh blockcommit %s vda --active --pivot --wait && rm -f %s.snap", lab.uuid, lab.images[0]);
    for (int i = 0; i < 3; i++) {
        cycle(CAPTURE_INSTANT);
        verify_copies();
    }
    assert_clean(2);
    /* a snapshot and its commit with no cycle in between */
    shell("virsh snapshot-create-as %s s2 --disk-only --no-metadata --diskspec vda,snapshot=external,file=%s.snap "
          "--diskspec vdb,snapshot=no && virsh blockcommit %s vda --active --pivot --wait && rm -f %s.snap",
          lab.uuid, lab.images[0], lab.uuid, lab.images[0]);
    cycle(CAPTURE_INSTANT);
    verify_copies();
    assert_clean(2);
}

static void
test_hotplug(void)
{
    shell("qemu-img create -q -f qcow2 %s/plug.qcow2 8M && chmod 666 %s/plug.qcow2 && "
          "virsh attach-disk %s %s/plug.qcow2 vdc --subdriver qcow2", lab.work, lab.work, lab.uuid, lab.work);
    static const char *const three[] = { "vda", "vdb", "vdc", NULL };
    static const char *const missing[] = { "vda", "vdx", NULL };
    cycle(CAPTURE_INSTANT);
    verify_copies();
    begin_expect(lab.engine, three, CAPTURE_INSTANT, ERR_TRACKING_LOST);
    begin_expect(lab.engine, missing, CAPTURE_FUZZY_ALL, ERR_NOT_FOUND);
    shell("virsh detach-disk %s vdc", lab.uuid);
    cycle(CAPTURE_INSTANT);
    verify_copies();
}

static void
test_resize(void)
{
    shell("virsh blockresize %s vda 72M && virsh blockresize %s vdb 80M", lab.uuid, lab.uuid);
    g_assert_cmpint(ftruncate(lab.copies[0], 72 << 20), ==, 0);
    g_assert_cmpint(ftruncate(lab.copies[1], 80 << 20), ==, 0);
    const struct uuid log = uuid_random();
    struct capture *c = begin(both, CAPTURE_INSTANT, &log);
    g_assert_cmpuint(capture_disk(c, 0)->size, ==, 72 << 20);
    g_assert_cmpuint(capture_disk(c, 1)->size, ==, 80 << 20);
    apply(c, both);
    end(c, true);
    lab.since = log;
    verify_copies();
}

/* libvirt's backup has the guest's only NBD server: the capture fails cleanly and goes on afterwards. */
static void
test_libvirt_backup(void)
{
    shell("printf \"<domainbackup mode='pull'><server transport='unix' socket='/run/vmreplica/nbd/other'/><disks>"
          "<disk name='vda' backup='yes' type='file'><scratch file='/run/vmreplica/nbd/scratch'/></disk>"
          "<disk name='vdb' backup='no'/></disks></domainbackup>\" >%s/backup.xml && "
          "virsh backup-begin %s %s/backup.xml", lab.work, lab.uuid, lab.work);
    pause_ms(200);
    begin_expect(lab.engine, both, CAPTURE_INSTANT, ERR_IN_USE);
    recover_expect(both, ERR_COUNT);
    shell("virsh domjobinfo %s | grep -i backup", lab.uuid);
    shell("virsh domjobabort %s", lab.uuid);
    pause_ms(500);
    cycle(CAPTURE_INSTANT);
    verify_copies();
}

static void
test_leaks(void)
{
    const int cycles = g_getenv("VMR_FULL") ? 1000 : 200;
    cycle(CAPTURE_INSTANT);
    const struct residue before = count_residue();
    const gint64 start = clock_mono_us();
    for (int i = 0; i < cycles; i++)
        cycle(i % 50 == 49 ? CAPTURE_FUZZY_CHANGES : CAPTURE_INSTANT);
    g_test_message("%d cycles, %.1f ms each", cycles, (double)(clock_mono_us() - start) / 1000 / cycles);
    cycle(CAPTURE_INSTANT);
    verify_copies();
    const struct residue after = count_residue();
    g_assert_cmpuint(after.bitmaps, ==, before.bitmaps);
    g_assert_cmpuint(after.nodes, ==, before.nodes);
    g_assert_cmpuint(after.exports, ==, 0);
    g_assert_cmpuint(after.files, ==, before.files);
    g_assert_cmpuint(after.scratch_kib, ==, 0);
    g_assert_cmpuint(after.qemu_fds, <=, before.qemu_fds + 2);
    g_assert_cmpuint(after.own_fds, <=, before.own_fds);
}

/* ---- power ---- */

static void
compare_with_image(int disk, const char *format)
{
    shell("qemu-img compare -f raw -F %s %s/vd%c.raw %s", format, lab.work, 'a' + disk, lab.images[disk]);
}

/* The guest is switched off while a capture is open: its data is here already and counts. */
static void
test_destroyed_meanwhile(void)
{
    const struct uuid log = uuid_random();
    struct capture *c = begin(both, CAPTURE_INSTANT, &log);
    shell("virsh destroy --graceful %s", lab.uuid);
    apply(c, both);
    end(c, true);
    lab.since = log;
    verify_copies();
    recover_expect(both, ERR_TRACKING_LOST); /* the raw disk's bitmap ended with QEMU */
    recover_expect(only_vda, ERR_COUNT);     /* the other one's did not */
}

static void
test_off(void)
{
    cycle_of(only_vda, CAPTURE_INSTANT); /* what was written between the instant and the end */
    compare_with_image(0, "qcow2");
    g_assert_cmpuint(cycle_of(only_vda, CAPTURE_INSTANT), ==, 0);
    const struct uuid log = uuid_random();
    struct capture *c = begin(only_vda, CAPTURE_INSTANT, &log);
    g_autoptr(GError) fenced = NULL;
    g_assert_false(vm_start(lab.conn, &lab.vm, &fenced)); /* the images are locked */
    end(c, false);
    cycle(CAPTURE_FUZZY_ALL);
    compare_with_image(0, "qcow2");
    compare_with_image(1, "raw");
    verify_copies();
}

static void
test_crash_off(void)
{
    recover_expect(only_vda, ERR_COUNT);
    crash("instant-vda", 0);
    recover_expect(only_vda, ERR_COUNT);
    g_assert_cmpuint(cycle_of(only_vda, CAPTURE_INSTANT), ==, 0);
}

/* The stored bitmap goes on recording after the next start. */
static void
test_started_again(void)
{
    start_guest();
    cycle_of(only_vda, CAPTURE_INSTANT);
    recover_expect(both, ERR_TRACKING_LOST);
    cycle(CAPTURE_FUZZY_ALL);
    cycle(CAPTURE_INSTANT);
    verify_copies();
    assert_clean(2);
}

/* The nodes that stay in QEMU between captures are in nobody's way. */
static void
test_saved(void)
{
    shell("virsh managedsave %s", lab.uuid);
    recover_expect(only_vda, ERR_COUNT);
    start_guest();
    cycle_of(only_vda, CAPTURE_INSTANT);
    cycle(CAPTURE_FUZZY_ALL);
    cycle(CAPTURE_INSTANT);
    verify_copies();
}

static guint
pid_of_qemu(void)
{
    vm_facts_auto facts = vm_facts_get(lab.conn, &lab.vm, NULL);
    g_assert_nonnull(facts);
    g_assert_cmpuint(facts->disks->len, ==, 2);
    g_assert_cmpuint(((struct vm_disk *)facts->disks->pdata[0])->size, >, 0);
    g_assert_cmpuint(facts->uptime_ms, >, 0);
    return facts->pid;
}

/* QEMU dies while the live disk is read, and again with a capture open: clean errors, and a new start from nothing. */
static void
test_killed(void)
{
    const struct uuid log = uuid_random();
    struct capture *c = begin(both, CAPTURE_FUZZY_ALL, &log);
    kill((pid_t)pid_of_qemu(), SIGKILL);
    static char buf[1 << 20];
    g_autoptr(GError) why = NULL;
    bool ok = true;
    for (int i = 0; ok && i < 1000; i++)
        ok = block_read(capture_disk(c, 0), buf, sizeof buf, 0, &why);
    g_assert_false(ok);
    g_test_message("expected failure: %s", why->message);
    capture_end(c, false, NULL);
    shell("for i in $(seq 100); do virsh domstate %s | grep -q 'shut off' && exit 0; sleep 0.1; done; exit 1", lab.uuid);
    recover_expect(both, ERR_TRACKING_LOST);
    start_guest();
    recover_expect(both, ERR_TRACKING_LOST);
    lab.records = 0; /* the host's page cache had the last writes, but records may be torn from the guest's view */
    cycle(CAPTURE_FUZZY_ALL);
    cycle(CAPTURE_INSTANT);
    verify_copies();
}

static void
test_forget(void)
{
    g_autoptr(GError) why = NULL;
    capture_forget(lab.engine, &lab.vm, &why);
    g_assert_no_error(why);
    assert_clean(0);
}

/* ---- the crashing child ---- */

static void
open_copies(void)
{
    for (int i = 0; i < 2; i++) {
        g_autofree char *path = g_strdup_printf("%s/vd%c.raw", lab.work, 'a' + i);
        lab.copies[i] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        g_assert_cmpint(lab.copies[i], >=, 0);
    }
}

static void *
kill_later(void *seconds)
{
    g_usleep((gulong)(*(double *)seconds * 1e6));
    kill(getpid(), SIGKILL);
    return NULL;
}

static int
crash_main(char **argv)
{
    struct uuid log, since;
    double delay = g_ascii_strtod(argv[7], NULL);
    g_assert_true(uuid_parse(argv[3], &lab.vm) && uuid_parse(argv[5], &lab.since) && uuid_parse(argv[6], &log));
    lab.work = argv[4];
    lab.conn = vm_conn_open("qemu:///system", NULL);
    lab.engine = engine_with(0);
    const char *mode = argv[2];
    const bool vda = g_str_equal(mode, "instant-vda");
    const char *const *targets = vda ? only_vda : both;
    open_copies();
    g_assert_true(capture_recover(lab.engine, &lab.vm, targets, is_since, NULL, &since, NULL));
    if (delay > 0)
        g_thread_new("killer", kill_later, &delay);
    const enum capture_mode how = g_str_equal(mode, "fuzzy-all")       ? CAPTURE_FUZZY_ALL
                                  : g_str_equal(mode, "fuzzy-changes") ? CAPTURE_FUZZY_CHANGES
                                                                       : CAPTURE_INSTANT;
    struct capture *c = begin(targets, how, &log);
    if (g_str_equal(mode, "durable"))
        apply(c, targets);
    if (delay > 0)
        g_usleep(10 * G_USEC_PER_SEC);
    kill(getpid(), SIGKILL);
    return 1;
}

/* ---- the parent ---- */

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    { "/vm-capture/initial", test_initial },
    { "/vm-capture/cycles", test_cycles },
    { "/vm-capture/facts", test_facts_of_capture },
    { "/vm-capture/not-durable", test_not_durable },
    { "/vm-capture/fuzzy-changes", test_fuzzy_changes },
    { "/vm-capture/no-space", test_no_space },
    { "/vm-capture/job-error", test_job_error },
    { "/vm-capture/crash", test_crash },
    { "/vm-capture/crash-after-durable", test_crash_after_durable },
    { "/vm-capture/crash-anywhere", test_crash_anywhere },
    { "/vm-capture/snapshot-and-commit", test_snapshot_and_commit },
    { "/vm-capture/hotplug", test_hotplug },
    { "/vm-capture/resize", test_resize },
    { "/vm-capture/libvirt-backup", test_libvirt_backup },
    { "/vm-capture/leaks", test_leaks },
    { "/vm-capture/destroyed-meanwhile", test_destroyed_meanwhile },
    { "/vm-capture/off", test_off },
    { "/vm-capture/crash-off", test_crash_off },
    { "/vm-capture/started-again", test_started_again },
    { "/vm-capture/saved", test_saved },
    { "/vm-capture/killed", test_killed },
    { "/vm-capture/forget", test_forget },
};

static void
size_copies(void)
{
    vm_facts_auto facts = vm_facts_get(lab.conn, &lab.vm, NULL);
    g_assert_nonnull(facts);
    for (int i = 0; i < 2; i++)
        g_assert_cmpint(ftruncate(lab.copies[i], (off_t)((struct vm_disk *)facts->disks->pdata[i])->size), ==, 0);
}

int
main(int argc, char **argv)
{
    if (argc == 8 && g_str_equal(argv[1], "crash"))
        return crash_main(argv);
    g_test_init(&argc, &argv, NULL);
    if (argc != 6 || !uuid_parse(argv[1], &lab.vm))
        g_error("usage: vm_capture UUID IMAGE-OF-VDA IMAGE-OF-VDB WORK-FOLDER VERIFY");
    lab.uuid = argv[1];
    lab.images[0] = argv[2];
    lab.images[1] = argv[3];
    lab.work = argv[4];
    lab.verify = argv[5];
    lab.conn = vm_conn_open("qemu:///system", NULL);
    lab.engine = engine_with(0);
    open_copies();
    size_copies();
    wait_for_writer();
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add_func(tests[i].name, tests[i].run);
    const int status = g_test_run();
    capture_engine_free(lab.engine);
    vm_conn_close(lab.conn);
    return status;
}
