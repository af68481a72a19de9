/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Captures a real running guest again and again with the engine "push" and rebuilds its disks from the captures; the guest's records tell
 * whether each copy is one instant of both disks.  Run inside a lab host by vm_guest.sh:
 *
 *   vm_capture UUID IMAGE-OF-VDA IMAGE-OF-VDB WORK-FOLDER VERIFY
 *   vm_capture crash MODE UUID WORK-FOLDER SINCE LOG SECONDS    (started by the first form: dies in the middle of a capture)
 */
#include "vm_lab.h"

#include "base/file.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

static const char *const both[] = { "vda", "vdb", NULL };
static const char *const only_vda[] = { "vda", NULL };

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

/* Files without a name that this process has open in the scratch folder: what first passes have read. */
static guint
first_passes(void)
{
    g_autoptr(GDir) d = g_dir_open("/proc/self/fd", 0, NULL);
    const char *name;
    guint count = 0;
    while ((name = g_dir_read_name(d))) {
        g_autofree char *path = g_build_filename("/proc/self/fd", name, NULL);
        g_autofree char *to = g_file_read_link(path, NULL);
        count += to && g_str_has_prefix(to, "/dev/shm/vmreplica/") && g_str_has_suffix(to, " (deleted)");
    }
    return count;
}

/* Pages that the writer changes during a first pass come from the instant; the copies say whether each is where it belongs. */
static void
test_two_passes(void)
{
    struct capture_engine *usual = lab.engine;
    lab.engine = engine_of_two_passes();
    recover_expect(both, ERR_COUNT);
    for (int i = 0; i < 30; i++) {
        const struct uuid log = uuid_random();
        struct capture *c = begin(both, CAPTURE_INSTANT, &log);
        g_assert_cmpuint(first_passes(), ==, 2);
        apply(c, both);
        end(c, i % 3 > 0);
        g_assert_cmpuint(first_passes(), ==, 0);
        if (i % 3 > 0)
            lab.since = log;
        verify_copies();
        pause_ms(50);
    }
    assert_clean(2);
    capture_engine_free(lab.engine);
    lab.engine = usual;
    recover_expect(both, ERR_COUNT);
    const struct uuid log = uuid_random();
    struct capture *c = begin(both, CAPTURE_INSTANT, &log);
    g_assert_cmpuint(first_passes(), ==, 0); /* so little is marked */
    end(c, false);
}

/* False: more than that is used by now. */
static bool
resize_shm(const char *size)
{
    g_autofree char *option = g_strconcat("size=", size, NULL);
    const bool done = mount(NULL, "/dev/shm", NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, option) == 0;
    g_assert_true(done || errno == EINVAL);
    return done;
}

/* A few pages more than what is used, which may grow while it is looked at. */
static void
fill_shm(void)
{
    for (bool done = false; !done;) {
        struct statvfs fs;
        g_assert_cmpint(statvfs("/dev/shm", &fs), ==, 0);
        g_autofree char *size = g_strdup_printf("%llu", (unsigned long long)(fs.f_blocks - fs.f_bfree + 16) * fs.f_frsize);
        done = resize_shm(size);
    }
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
    fill_shm();
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
    g_assert_true(resize_shm("1g"));
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
    static const char *const modes[] = { "instant", "two-passes", "fuzzy-changes", "fuzzy-all" };
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

/* A full read is begun anew by a process that knows nothing, without recovery before: a forced resynchronisation. */
static void
test_crash_then_all(void)
{
    crash("fuzzy-all", 0);
    struct capture_engine *knows = lab.engine;
    lab.engine = engine_with(0);
    cycle(CAPTURE_FUZZY_ALL);
    cycle(CAPTURE_INSTANT);
    verify_copies();
    capture_engine_free(lab.engine);
    lab.engine = knows;
    recover_expect(both, ERR_COUNT);
    assert_clean(2);
}

/* Dies at some instant of a capture, wherever that is. */
static void
test_crash_anywhere(void)
{
    for (int i = 0; i < 24; i++) {
        crash(i % 2 ? "instant" : "two-passes", 0.002 + 0.003 * (i / 2));
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

/* A disk that came while the guest ran: captured like the others, under whatever name libvirt gave its node. */
static void
test_plugged_disk(void)
{
    static const char *const three[] = { "vda", "vdb", "vdc", NULL };
    enum { AT = 3 << 20, SIZE = 64 << 10 };
    static guint8 buf[SIZE];
    shell("virsh attach-disk %s %s/plug.qcow2 vdc --subdriver qcow2", lab.uuid, lab.work);
    g_autofree char *find = g_strdup_printf("virsh qemu-monitor-command %s '{\"execute\":\"query-block\"}' | grep -o '\"qdev\":\"[^\"]*' | "
                                            "cut -d'\"' -f4 | tail -n 1", lab.uuid);
    g_autofree char *device = run_line(find);
    for (guint i = 0; i < 2; i++) {
        const struct uuid log = uuid_random();
        shell("virsh qemu-monitor-command %s --hmp 'qemu-io -d %s \"write -q -P %u %u %u\"'", lab.uuid, device, 7 + i, AT, SIZE);
        struct capture *c = begin(three, i ? CAPTURE_INSTANT : CAPTURE_FUZZY_ALL, &log);
        g_autoptr(GError) why = NULL;
        g_assert_cmpuint(extents_bytes_of(capture_extents(c, 2), EXTENT_DATA), >=, SIZE);
        block_read(capture_disk(c, 2), buf, sizeof buf, AT, &why);
        g_assert_no_error(why);
        g_assert_true(buf[0] == 7 + i && memcmp(buf, buf + 1, sizeof buf - 1) == 0);
        apply(c, both);
        end(c, true);
        lab.since = log;
    }
    verify_copies();
    shell("virsh detach-disk %s vdc", lab.uuid);
    cycle(CAPTURE_INSTANT);
    verify_copies();
}

static void
test_migrated(void)
{
    migrate_there_and_back();
    cycle_of(only_vda, CAPTURE_INSTANT); /* the bitmap is in the image and came along */
    recover_expect(both, ERR_TRACKING_LOST);
    cycle(CAPTURE_FUZZY_ALL);
    cycle_and_verify(2);
    assert_clean(2);
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
    begin_expect(lab.engine, both, CAPTURE_INSTANT, ERR_IN_USE);
    recover_expect(both, ERR_COUNT);
    shell("virsh domjobinfo %s | grep -i backup", lab.uuid);
    shell("virsh domjobabort %s", lab.uuid);
    shell("for i in $(seq 600); do virsh domjobinfo %s | grep -q Operation: || exit 0; sleep 0.1; done; exit 1", lab.uuid);
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
    await_off();
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
    lab.all = both;
    lab.conn = vm_conn_open("qemu:///system", NULL);
    const char *mode = argv[2];
    lab.engine = g_str_equal(mode, "two-passes") ? engine_of_two_passes() : engine_with(0);
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
    { "/vm-capture/two-passes", test_two_passes },
    { "/vm-capture/no-space", test_no_space },
    { "/vm-capture/job-error", test_job_error },
    { "/vm-capture/crash", test_crash },
    { "/vm-capture/crash-then-all", test_crash_then_all },
    { "/vm-capture/crash-after-durable", test_crash_after_durable },
    { "/vm-capture/crash-anywhere", test_crash_anywhere },
    { "/vm-capture/snapshot-and-commit", test_snapshot_and_commit },
    { "/vm-capture/hotplug", test_hotplug },
    { "/vm-capture/plugged-disk", test_plugged_disk },
    { "/vm-capture/migrated", test_migrated },
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

int
main(int argc, char **argv)
{
    if (argc == 8 && g_str_equal(argv[1], "crash"))
        return crash_main(argv);
    g_test_init(&argc, &argv, NULL);
    lab_open(argc, argv, both);
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add_func(tests[i].name, tests[i].run);
    return lab_close(g_test_run());
}
