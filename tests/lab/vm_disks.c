/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest with a disk of each kind (see vm_disks.sh): all of them are captured at one instant while it runs, and read when it is off.
 *
 *   vm_disks UUID BLOCK-DEVICE NBD-URI WORK-FOLDER VERIFY       (inside a lab host)
 *
 * The writer's records prove vda and vdb; the others are written through QEMU and compared as a whole. */
#include "vm_lab.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char *const all[] = { "vda", "vdb", "sda", "sdb", "sdc", NULL };
static const char *const others[] = { "sda", "sdb", "sdc", NULL };
static const char *const kept[] = { "vdb", "sdb", NULL };

/* Writes a pattern to the disks that the guest itself leaves alone. */
static void
scribble(guint pattern)
{
    for (guint i = 0; others[i]; i++) {
        g_autofree char *find = g_strdup_printf("virsh qemu-monitor-command %s '{\"execute\":\"query-block\"}' | "
                                                "grep -o '\"qdev\":\"[^\"]*' | cut -d'\"' -f4 | sed -n %up", lab.uuid, i + 3);
        g_autofree char *device = run_line(find);
        shell("virsh qemu-monitor-command %s --hmp 'qemu-io -d %s \"write -q -P %u %uM 300k\"'", lab.uuid, device, pattern,
              3 + pattern % 40);
    }
}

/* A running guest's disk as QEMU has it, by what is below it. */
static void
compare(const char *target, const char *format, const char *image)
{
    g_autofree char *options = g_strdup_printf("qemu-img compare -U -f raw -F %s %s/%s.raw '%s'", format, lab.work, target, image);
    g_free(run_line(options));
}

static void
compare_others(void)
{
    g_autofree char *sda = g_strdup_printf("%s/sda.raw", g_getenv("disks")), *sdb = g_strdup_printf("%s/sdb.qcow2", g_getenv("disks"));
    compare("sda", "raw", sda);
    compare("sdb", "qcow2", sdb);
    compare("sdc", "raw", "nbd://127.0.0.1:10810");
}

static const struct vm_disk *
disk_of(const struct vm_facts *facts, const char *target)
{
    for (guint i = 0; i < facts->disks->len; i++)
        if (g_str_equal(((struct vm_disk *)facts->disks->pdata[i])->target, target))
            return facts->disks->pdata[i];
    g_error("no disk '%s'", target);
}

/* Which disks can be replicated, why others cannot, and how large they are, whether the guest runs or not. */
static void
test_facts(void)
{
    vm_facts_auto facts = vm_facts_get(lab.conn, &lab.vm, NULL);
    g_assert_nonnull(facts);
    for (guint i = 0; all[i]; i++) {
        const struct vm_disk *d = disk_of(facts, all[i]);
        g_assert_cmpstr(d->refused, ==, NULL);
        g_assert_cmpstr(d->closed, ==, NULL);
        g_assert_cmpuint(d->size, ==, 64 << 20);
    }
    g_assert_nonnull(strstr(disk_of(facts, "sdr")->refused, "read-only"));
    g_assert_nonnull(strstr(disk_of(facts, "sdd")->refused, "removable"));
    g_assert_nonnull(strstr(disk_of(facts, "vdt")->refused, "I/O thread"));
    g_assert_false(disk_of(facts, "vda")->local);
    g_assert_true(disk_of(facts, "sdb")->local);
}

/* QEMU 7.2 dies when a client leaves the export of a disk that has an I/O thread: that is never tried. */
static void
test_iothread(void)
{
    static const char *const threaded[] = { "vda", "vdt", NULL };
    enum vm_power power = VM_OFF;
    begin_expect(lab.engine, threaded, CAPTURE_FUZZY_ALL, ERR_NOT_SUPPORTED);
    capture_choose(lab.engine, &lab.vm, CAPTURE_PULL);
    begin_expect(lab.engine, threaded, CAPTURE_FUZZY_ALL, ERR_NOT_SUPPORTED);
    capture_choose(lab.engine, &lab.vm, CAPTURE_PUSH);
    g_assert_true(vm_power_get(lab.conn, &lab.vm, &power, NULL));
    g_assert_cmpint(power, ==, VM_RUNNING);
}

static void
test_running(void)
{
    recover_expect(all, ERR_TRACKING_LOST);
    scribble(1);
    cycle(CAPTURE_FUZZY_ALL);
    cycle_and_verify(1);
    compare_others();
    for (guint i = 2; i < 5; i++) {
        scribble(i);
        cycle_and_verify(1);
        compare_others();
    }
    scribble(7);
    cycle(CAPTURE_FUZZY_CHANGES);
    cycle_and_verify(1);
    compare_others();
}

/* Internal snapshots are in the image; the disk's content does not know them. */
static void
test_internal_snapshot(void)
{
    shell("virsh qemu-monitor-command %s --hmp 'snapshot_blkdev_internal libvirt-3-format during' || :", lab.uuid);
    scribble(9);
    cycle_and_verify(2);
    compare_others();
}

/* A snapshot of the disk on a chain, committed into the image below it; then the chain becomes one image. */
static void
test_external_snapshots(void)
{
    const char *folder = g_getenv("disks");
    shell("virsh snapshot-create-as %s s1 --disk-only --no-metadata --diskspec vda,snapshot=no --diskspec vdb,snapshot=no "
          "--diskspec sda,snapshot=no --diskspec sdc,snapshot=no --diskspec sdr,snapshot=no --diskspec vdt,snapshot=no "
          "--diskspec sdb,snapshot=external,file=%s/snap",
          lab.uuid, folder);
    scribble(11);
    cycle_and_verify(1);
    shell("virsh blockcommit %s sdb --shallow --active --pivot --wait && rm -f %s/snap", lab.uuid, folder);
    scribble(12);
    cycle_and_verify(1);
    compare_others();
    shell("virsh blockpull %s sdb --wait", lab.uuid);
    scribble(13);
    cycle_and_verify(1);
    compare_others();
}

static void
test_libvirtd_restart(void)
{
    const struct uuid log = uuid_random();
    struct capture *c = begin(all, CAPTURE_INSTANT, &log);
    shell("kill -9 $(cat /run/libvirtd.pid)");
    apply(c, all);
    /* The holder of this host does not start it again: that is what systemd would do. */
    shell("setsid libvirtd --daemon --config /etc/libvirt/libvirtd.conf && "
          "for i in $(seq 600); do virsh -q domstate %s 2>/dev/null && exit 0; sleep 0.1; done; exit 1", lab.uuid);
    capture_end(c, true, NULL);
    lab.since = log;
    verify_copies();
    recover_expect(all, ERR_COUNT);
    scribble(14);
    cycle_and_verify(2);
    compare_others();
}

/* ---- off ---- */

static void
compare_all(void)
{
    compare_others();
    compare("vda", "raw", lab.images[0]);
    compare("vdb", "qcow2", lab.images[1]);
}

static void
test_off(void)
{
    scribble(15);
    shell("virsh destroy --graceful %s", lab.uuid);
    await_off();
    test_facts();
    recover_expect(all, ERR_TRACKING_LOST); /* the raw ones */
    recover_expect(kept, ERR_COUNT);
    cycle_of(kept, CAPTURE_INSTANT);
    g_assert_cmpuint(cycle_of(kept, CAPTURE_INSTANT), >, 0); /* nothing is written to an image without locks: the same is read again */
    begin_expect(lab.engine, all, CAPTURE_INSTANT, ERR_TRACKING_LOST);
    cycle(CAPTURE_FUZZY_ALL);
    g_assert_cmpuint(cycle(CAPTURE_INSTANT), ==, 0); /* nothing changed since, not even on raw disks */
    compare_all();
    verify_copies();
}

/* Somebody edits a stopped guest's disks: seen by the file's time and by the device's count of writes. */
static void
test_edited_while_off(void)
{
    shell("qemu-io -f raw -c 'write -q -P 77 50M 64k' -c flush %s && sync %s", lab.images[0], lab.images[0]);
    begin_expect(lab.engine, all, CAPTURE_INSTANT, ERR_TRACKING_LOST);
    cycle(CAPTURE_FUZZY_ALL);
    g_assert_cmpuint(cycle(CAPTURE_INSTANT), ==, 0);
    compare_all();
    shell("qemu-io -f raw -c 'write -q -P 0 50M 64k' -c flush %s && sync %s", lab.images[0], lab.images[0]); /* no record of the writer */
}

static void
test_started_again(void)
{
    start_guest();
    begin_expect(lab.engine, all, CAPTURE_INSTANT, ERR_TRACKING_LOST);
    recover_expect(all, ERR_TRACKING_LOST);
    cycle(CAPTURE_FUZZY_ALL);
    cycle_and_verify(2);
    scribble(16);
    cycle_and_verify(1);
    compare_others();
}

static void
test_forget(void)
{
    g_autoptr(GError) why = NULL;
    capture_forget(lab.engine, &lab.vm, &why);
    g_assert_no_error(why);
    assert_clean(0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    lab_open(argc, argv, all);
    g_test_add_func("/vm-disks/facts", test_facts);
    g_test_add_func("/vm-disks/iothread", test_iothread);
    g_test_add_func("/vm-disks/running", test_running);
    g_test_add_func("/vm-disks/internal-snapshot", test_internal_snapshot);
    g_test_add_func("/vm-disks/external-snapshots", test_external_snapshots);
    g_test_add_func("/vm-disks/libvirtd-restart", test_libvirtd_restart);
    g_test_add_func("/vm-disks/off", test_off);
    g_test_add_func("/vm-disks/edited-while-off", test_edited_while_off);
    g_test_add_func("/vm-disks/started-again", test_started_again);
    g_test_add_func("/vm-disks/forget", test_forget);
    return lab_close(g_test_run());
}
