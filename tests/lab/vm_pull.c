/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine "pull": a real guest with two qcow2 disks, captured through libvirt's backup API, its copies proved by the guest's records.
 * Run inside a lab host by vm_guest.sh:
 *
 *   vm_pull UUID IMAGE-OF-VDA IMAGE-OF-VDB WORK-FOLDER VERIFY
 *   vm_pull crash UUID WORK-FOLDER SINCE LOG     (started by the first form: dies with a fuzzy capture open)
 */
#include "vm_lab.h"

#include "base/file.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const char *const both[] = { "vda", "vdb", NULL };

static guint64
checkpoints(void)
{
    g_autofree char *line = g_strdup_printf("virsh checkpoint-list %s --name | grep -c vmr- || :", lab.uuid);
    return number_from(line);
}

static void
assert_idle(void)
{
    g_assert_cmpuint(checkpoints(), ==, 1);
    g_autofree char *job = g_strdup_printf("virsh domjobinfo %s | grep -c 'Operation:' || :", lab.uuid);
    g_assert_cmpuint(number_from(job), ==, 0);
    g_assert_cmpuint(number_from("ls /dev/shm/vmreplica /run/vmreplica/nbd | grep -c -e vmr- -e '-.*-.*-' || :"), ==, 0);
}

static void
test_initial(void)
{
    capture_choose(lab.engine, &lab.vm, CAPTURE_PULL);
    recover_expect(both, ERR_TRACKING_LOST);
    begin_expect(lab.engine, both, CAPTURE_INSTANT, ERR_TRACKING_LOST);
    cycle(CAPTURE_FUZZY_ALL);
    cycle_and_verify(1);
    assert_idle();
}

static void
test_cycles(void)
{
    const guint64 first = lab.records;
    for (int i = 0; i < 15; i++) {
        const gint64 start = clock_mono_us();
        const guint64 bytes = cycle(CAPTURE_INSTANT);
        g_test_message("cycle %d: %.1f ms, %" G_GUINT64_FORMAT " bytes", i, (double)(clock_mono_us() - start) / 1000, bytes);
        verify_copies();
    }
    g_assert_cmpuint(lab.records, >, first);
    g_assert_cmpuint(capture_pending(lab.engine, &lab.vm), >, 0);
    assert_idle();
}

/* What libvirt says of a guest that monitor commands were sent to. */
static void
test_no_taint(void)
{
    g_autofree char *log = guest_name();
    g_autofree char *line = g_strdup_printf("grep -c 'tainted: custom-monitor' /var/log/libvirt/qemu/%s.log || :", log);
    g_assert_cmpuint(number_from(line), ==, 0);
}

static void
test_not_durable(void)
{
    for (int i = 0; i < 2; i++) {
        const struct uuid log = uuid_random();
        end(begin(both, i % 2 ? CAPTURE_FUZZY_CHANGES : CAPTURE_INSTANT, &log), false);
    }
    cycle(CAPTURE_FUZZY_CHANGES);
    cycle_and_verify(2);
    assert_idle();
}

static void
test_no_space(void)
{
    struct capture_engine *usual = lab.engine;
    guint64 space = 0;
    g_assert_true(file_free_space("/dev/shm/vmreplica", &space, NULL));
    lab.engine = engine_with(space);
    capture_choose(lab.engine, &lab.vm, CAPTURE_PULL);
    recover_expect(both, ERR_COUNT);
    begin_expect(lab.engine, both, CAPTURE_INSTANT, ERR_NO_SPACE);
    capture_engine_free(lab.engine);
    lab.engine = usual;
    recover_expect(both, ERR_COUNT);
    cycle_and_verify(1);
    assert_idle();
}

/* ---- others work on the guest, too ---- */

static void
test_libvirt_jobs(void)
{
    shell("virsh snapshot-create-as %s s1 --disk-only --no-metadata --diskspec vda,snapshot=external,file=%s.snap "
          "--diskspec vdb,snapshot=no && chmod 0600 %s.snap", lab.uuid, lab.images[0], lab.images[0]);
    cycle_and_verify(3);
    shell("virsh blockcommit %s vda --active --pivot --wait && rm -f %s.snap", lab.uuid, lab.images[0]);
    cycle_and_verify(3);
    shell("virsh blockresize %s vda 72M", lab.uuid);
    g_assert_cmpint(ftruncate(lab.copies[0], 72 << 20), ==, 0);
    cycle_and_verify(2);
    shell("qemu-img create -q -f qcow2 %s/plug.qcow2 8M && chmod 666 %s/plug.qcow2 && "
          "virsh attach-disk %s %s/plug.qcow2 vdc --subdriver qcow2", lab.work, lab.work, lab.uuid, lab.work);
    cycle_and_verify(1);
    shell("virsh detach-disk %s vdc", lab.uuid);
    cycle_and_verify(1);
    assert_idle();
}

/* Somebody else's backup is open: the cycle is given up, the guest and the backup go on. */
static void
test_other_backup(void)
{
    shell("printf \"<domainbackup mode='pull'><server transport='unix' socket='/run/vmreplica/nbd/other'/><disks>"
          "<disk name='vda' backup='yes' type='file'><scratch file='/run/vmreplica/nbd/scratch'/></disk>"
          "<disk name='vdb' backup='no'/></disks></domainbackup>\" >%s/backup.xml && "
          "virsh backup-begin %s %s/backup.xml", lab.work, lab.uuid, lab.work);
    const struct uuid log = uuid_random();
    g_autoptr(GError) why = NULL;
    g_assert_null(capture_begin(lab.engine, &lab.vm, both, CAPTURE_INSTANT, &log, &why));
    g_assert_true(err_is(why, ERR_IN_USE) || err_is(why, ERR_TIMEOUT));
    g_test_message("expected refusal: %s", why->message);
    shell("virsh domjobinfo %s | grep -i backup", lab.uuid);
    shell("virsh domjobabort %s", lab.uuid);
    shell("for i in $(seq 600); do virsh domjobinfo %s | grep -q Operation: || exit 0; sleep 0.1; done; exit 1", lab.uuid);
    cycle_and_verify(1);
}

/* Whatever libvirt does with the checkpoints on the way, nothing is lost. */
static void
test_migrated(void)
{
    struct uuid since;
    g_autoptr(GError) why = NULL;
    migrate_there_and_back();
    if (!capture_recover(lab.engine, &lab.vm, both, is_since, NULL, &since, &why)) {
        g_assert_error(why, ERR, ERR_TRACKING_LOST);
        g_test_message("after migration: %s", why->message);
        cycle(CAPTURE_FUZZY_ALL);
    }
    cycle_and_verify(2);
    assert_idle();
}

/* ---- power ---- */

static void
test_shut_down_and_started(void)
{
    shell("virsh destroy --graceful %s", lab.uuid);
    cycle(CAPTURE_INSTANT); /* of the stopped guest's images */
    verify_copies();
    shell("qemu-img compare -f raw -F qcow2 %s/vda.raw %s", lab.work, lab.images[0]);
    shell("qemu-img compare -f raw -F qcow2 %s/vdb.raw %s", lab.work, lab.images[1]);
    start_guest();
    cycle_and_verify(2);
    assert_idle();
    shell("virsh managedsave %s", lab.uuid);
    cycle(CAPTURE_INSTANT);
    start_guest();
    cycle_and_verify(2);
    assert_idle();
}

static void
test_read_whole_while_off(void)
{
    shell("virsh destroy --graceful %s", lab.uuid);
    cycle(CAPTURE_FUZZY_ALL);
    g_assert_cmpuint(cycle(CAPTURE_INSTANT), ==, 0);
    shell("qemu-img compare -f raw -F qcow2 %s/vda.raw %s", lab.work, lab.images[0]);
    start_guest();
    begin_expect(lab.engine, both, CAPTURE_INSTANT, ERR_TRACKING_LOST); /* no checkpoint is made of a guest that is off */
    recover_expect(both, ERR_TRACKING_LOST);
    cycle(CAPTURE_FUZZY_ALL);
    cycle_and_verify(1);
    assert_idle();
}

/* Our process dies in the middle; a job that it left open is closed by the recovery. */
static void
test_crash(void)
{
    const struct uuid log = uuid_random();
    char text[UUID_TEXT], since[UUID_TEXT];
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    const char *const argv[] = { self, "crash", lab.uuid, lab.work, uuid_format(&lab.since, since), uuid_format(&log, text), NULL };
    g_auto(GStrv) copy = g_strdupv((char **)(gsize)argv);
    int status = 0;
    g_assert_true(g_spawn_sync(NULL, copy, NULL, 0, NULL, NULL, NULL, NULL, &status, NULL));
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    recover_expect(both, ERR_COUNT);
    assert_idle();
    cycle_and_verify(1);
}

static int
crash_main(char **argv)
{
    struct uuid log, since;
    g_assert_true(uuid_parse(argv[2], &lab.vm) && uuid_parse(argv[4], &lab.since) && uuid_parse(argv[5], &log));
    lab.work = argv[3];
    lab.all = both;
    lab.conn = vm_conn_open("qemu:///system", NULL);
    lab.engine = engine_with(0);
    capture_choose(lab.engine, &lab.vm, CAPTURE_PULL);
    g_assert_true(capture_recover(lab.engine, &lab.vm, both, is_since, NULL, &since, NULL));
    begin(both, CAPTURE_FUZZY_CHANGES, &log);
    kill(getpid(), SIGKILL);
    return 1;
}

static void
test_killed(void)
{
    g_autofree char *pid = g_strdup_printf("cat /run/libvirt/qemu/$(virsh domname %s).pid", lab.uuid);
    kill((pid_t)number_from(pid), SIGKILL);
    await_off();
    recover_expect(both, ERR_TRACKING_LOST);
    start_guest();
    recover_expect(both, ERR_TRACKING_LOST);
    g_assert_cmpuint(checkpoints(), ==, 0);
    lab.records = 0; /* the host's page cache had the last writes, but records may be torn from the guest's view */
    cycle(CAPTURE_FUZZY_ALL);
    cycle_and_verify(2);
    assert_idle();
}

/* From one engine to the other and back: nothing of the first remains. */
static void
test_other_engine(void)
{
    g_autoptr(GError) why = NULL;
    for (int i = 0; i < 2; i++) {
        capture_forget(lab.engine, &lab.vm, &why);
        g_assert_no_error(why);
        g_assert_cmpuint(checkpoints(), ==, 0);
        capture_choose(lab.engine, &lab.vm, i ? CAPTURE_PULL : CAPTURE_PUSH);
        begin_expect(lab.engine, both, CAPTURE_INSTANT, ERR_TRACKING_LOST);
        recover_expect(both, ERR_TRACKING_LOST);
        cycle(CAPTURE_FUZZY_ALL);
        cycle_and_verify(1);
    }
    assert_idle();
    capture_forget(lab.engine, &lab.vm, &why);
    g_assert_no_error(why);
    g_assert_cmpuint(checkpoints(), ==, 0);
    assert_clean(0);
}

int
main(int argc, char **argv)
{
    if (argc == 6 && g_str_equal(argv[1], "crash"))
        return crash_main(argv);
    g_test_init(&argc, &argv, NULL);
    lab_open(argc, argv, both);
    g_test_add_func("/vm-pull/initial", test_initial);
    g_test_add_func("/vm-pull/cycles", test_cycles);
    g_test_add_func("/vm-pull/not-durable", test_not_durable);
    g_test_add_func("/vm-pull/no-space", test_no_space);
    g_test_add_func("/vm-pull/libvirt-jobs", test_libvirt_jobs);
    g_test_add_func("/vm-pull/other-backup", test_other_backup);
    g_test_add_func("/vm-pull/migrated", test_migrated);
    g_test_add_func("/vm-pull/crash", test_crash);
    g_test_add_func("/vm-pull/shut-down-and-started", test_shut_down_and_started);
    g_test_add_func("/vm-pull/read-whole-while-off", test_read_whole_while_off);
    g_test_add_func("/vm-pull/killed", test_killed);
    g_test_add_func("/vm-pull/no-taint", test_no_taint);
    g_test_add_func("/vm-pull/other-engine", test_other_engine);
    return lab_close(g_test_run());
}
