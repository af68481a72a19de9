/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest is brought up on overlays over an nbdkit server, filled while it works, and goes on without the server; libvirt's hook keeps
 * a fenced one down.  Run inside a lab host by vm_guest.sh:
 *
 *   vm_failover UUID IMAGE-OF-VDA IMAGE-OF-VDB WORK-FOLDER VERIFY */
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "vm/domxml.h"
#include "vm/fence.h"
#include "vm/serve.h"

#include <string.h>
#include <sys/stat.h>

static struct {
    struct uuid vm, point;
    const char *images[2], *work, *verify;
    struct vm_conn *conn;
    char *xml, *store, *socket, *wrapper, *overlays[2];
    guint64 sizes[2], records;
    struct serve_config config;
} lab;

static const char fences[] = "/var/lib/vmreplica/fences";
static const char *const targets[] = { "vda", "vdb" };

/* Stands for nbdkit with our plugin: the exports are the files of the store's folder. */
static const char wrapper_text[] = "#!/bin/sh\nexec nbdkit \"$1\" \"$2\" \"$3\" \"$4\" \"$5\" file dir=\"${7#store=}\"\n";

static char *
output_of(const char *format, ...) G_GNUC_PRINTF(1, 2);

static char *
output_of(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *line = g_strdup_vprintf(format, args);
    va_end(args);
    const char *const argv[] = { "sh", "-c", line, NULL };
    g_auto(GStrv) copy = g_strdupv((char **)(gsize)argv);
    g_autofree char *words = NULL;
    char *out = NULL;
    int status = 0;
    g_assert_true(g_spawn_sync(NULL, copy, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &words, &status, NULL));
    if (status != 0)
        g_error("'%s' failed: %s%s", line, out, words);
    return g_strchomp(out);
}

static guint64
records_of(const char *a, const char *b)
{
    g_autofree char *text = output_of("%s --records %s %s", lab.verify, a, b);
    return g_ascii_strtoull(text, NULL, 10);
}

static enum vm_power
power(void)
{
    enum vm_power p = VM_SAVED;
    g_assert_true(vm_power_get(lab.conn, &lab.vm, &p, NULL));
    return p;
}

static void
wait_for_writer(void)
{
    g_free(output_of("for i in $(seq 600); do tail -n 3 %s/serial-0.log | grep -q 'WRITER at' && exit 0; sleep 0.2; done; exit 1",
                     lab.work));
}

/* The first guest writes for a while and is switched off; what it leaves is the store. */
static void
make_store(void)
{
    g_autoptr(GError) why = NULL;
    vm_facts_auto facts = vm_facts_get(lab.conn, &lab.vm, &why);
    g_assert_no_error(why);
    g_free(output_of("for i in $(seq 600); do grep -q 'WRITER at' /var/log/libvirt/console/*.log && exit 0; sleep 0.2; done; exit 1"));
    lab.xml = g_strdup(facts->xml);
    g_assert_true(vm_force_off(lab.conn, &lab.vm, &why));
    lab.store = g_build_filename(lab.work, "store", NULL);
    g_assert_true(file_make_dirs(lab.store, 0755, NULL));
    for (int i = 0; i < 2; i++) {
        lab.sizes[i] = ((struct vm_disk *)facts->disks->pdata[i])->size;
        g_free(output_of("qemu-img convert -O raw %s %s/%s", lab.images[i], lab.store, targets[i]));
    }
    lab.records = records_of(lab.images[0], lab.images[1]);
    g_assert_cmpuint(lab.records, >, 0);
}

static void
define_replica(void)
{
    g_autoptr(GError) why = NULL;
    struct domxml_disk disks[2];
    lab.socket = g_strdup("/run/vmreplica/serve/p.sock");
    for (int i = 0; i < 2; i++) {
        lab.overlays[i] = g_strdup_printf("%s/%s.qcow2", lab.work, targets[i]);
        disks[i] = (struct domxml_disk){ .target = targets[i], .path = lab.overlays[i], .format = "qcow2", .nbd_socket = lab.socket };
    }
    g_autofree char *xml = domxml_for_replica(lab.xml, disks, 2, lab.work, &why);
    g_assert_no_error(why);
    g_assert_true(vm_undefine(lab.conn, &lab.vm, &why));
    vm_define(lab.conn, xml, &why);
    g_assert_no_error(why);
}

static void
test_fence(void)
{
    g_autoptr(GError) why = NULL;
    make_store();
    define_replica();
    g_assert_true(fence_raise(fences, &lab.vm, "It is a replica; fail over to it first.", NULL));
    g_assert_false(vm_start(lab.conn, &lab.vm, &why));
    g_assert_error(why, ERR, ERR_INVALID_STATE);
    g_assert_nonnull(strstr(why->message, "fail over to it first"));
    g_assert_cmpint(power(), ==, VM_OFF);
    g_assert_true(fence_lower(fences, &lab.vm, NULL));
}

static void
test_start(void)
{
    g_autoptr(GError) why = NULL;
    serve_start(&lab.config, lab.store, &lab.point, lab.socket, &why);
    g_assert_no_error(why);
    for (int i = 0; i < 2; i++) {
        overlay_create(&lab.config, lab.overlays[i], lab.socket, targets[i], lab.sizes[i], &lab.point, &why);
        g_assert_no_error(why);
    }
    const gint64 start = clock_mono_us();
    vm_start(lab.conn, &lab.vm, &why);
    g_assert_no_error(why);
    wait_for_writer();
    g_test_message("up on the overlays after %.1f s", (double)(clock_mono_us() - start) / 1e6);
    vm_facts_auto facts = vm_facts_get(lab.conn, &lab.vm, &why);
    g_assert_no_error(why);
    g_assert_cmpint(facts->power, ==, VM_RUNNING);
    g_assert_cmpuint(((struct vm_disk *)facts->disks->pdata[0])->size, ==, lab.sizes[0]);
}

static struct overlay_pull
pull_state(const char *target)
{
    struct overlay_pull s;
    g_autoptr(GError) why = NULL;
    overlay_pull_state(lab.conn, &lab.vm, target, &s, &why);
    g_assert_no_error(why);
    return s;
}

/* What monitoring does all day; with libvirt's own block pull it can end QEMU 7.2 (decision 004). */
static gpointer
ask_for_nodes(gpointer until)
{
    while (!g_atomic_int_get((gint *)until))
        g_free(output_of("virsh -q qemu-monitor-command g '{\"execute\":\"query-named-block-nodes\"}'; virsh -q domblkinfo g vda"));
    return NULL;
}

static void
fill_all(void)
{
    g_autoptr(GError) why = NULL;
    bool flat = false;
    for (int i = 0; i < 2; i++) {
        overlay_pull_start(lab.conn, &lab.vm, targets[i], 0, &why);
        g_assert_no_error(why);
    }
    for (int i = 0; i < 2; i++) {
        while (pull_state(targets[i]).active)
            g_usleep(1000);
        g_assert_true(overlay_is_flat(lab.overlays[i], &flat, &why));
        g_assert_true(flat);
    }
}

static void
test_pull(void)
{
    g_autoptr(GError) why = NULL;
    bool flat = true;
    gint enough = 0;
    g_assert_false(pull_state("vda").active);
    g_assert_true(overlay_is_flat(lab.overlays[0], &flat, &why));
    g_assert_false(flat);
    overlay_pull_start(lab.conn, &lab.vm, "vda", 1 << 20, &why); /* slowly, to be stopped */
    g_assert_no_error(why);
    g_assert_true(pull_state("vda").active);
    g_assert_cmpuint(pull_state("vda").rate, ==, 1 << 20);
    g_assert_true(overlay_pull_rate(lab.conn, &lab.vm, "vda", 2 << 20, &why));
    g_assert_true(pull_state("vda").active);
    g_assert_cmpuint(pull_state("vda").rate, ==, 2 << 20);
    g_assert_false(overlay_pull_rate(lab.conn, &lab.vm, "vdz", 2 << 20, &why));
    g_assert_error(why, ERR, ERR_NOT_FOUND);
    g_clear_error(&why);
    g_assert_true(overlay_pull_stop(lab.conn, &lab.vm, "vda", &why));
    g_assert_true(overlay_pull_stop(lab.conn, &lab.vm, "vda", &why));
    GThread *monitoring = g_thread_new("monitoring", ask_for_nodes, &enough);
    fill_all();
    g_atomic_int_set(&enough, 1);
    g_thread_join(monitoring);
    g_assert_cmpint(power(), ==, VM_RUNNING);
}

static void
test_alone(void)
{
    g_autoptr(GError) why = NULL;
    overlay_forget_backing(lab.conn, &lab.vm, lab.socket, &why);
    g_assert_no_error(why);
    g_assert_true(serve_stop(lab.socket, &why));
    g_free(output_of(": >%s/serial-0.log", lab.work));
    wait_for_writer();
    g_assert_true(vm_force_off(lab.conn, &lab.vm, &why));
    g_free(output_of(": >%s/serial-0.log", lab.work));
    vm_start(lab.conn, &lab.vm, &why);
    g_assert_no_error(why);
    wait_for_writer();
    g_assert_true(vm_force_off(lab.conn, &lab.vm, &why));
    g_assert_cmpuint(records_of(lab.overlays[0], lab.overlays[1]), >, lab.records);
}

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    { "/vm-failover/fence", test_fence },
    { "/vm-failover/start", test_start },
    { "/vm-failover/pull", test_pull },
    { "/vm-failover/alone", test_alone },
};

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (argc != 6 || !uuid_parse(argv[1], &lab.vm))
        g_error("usage: vm_failover UUID IMAGE-OF-VDA IMAGE-OF-VDB WORK-FOLDER VERIFY");
    lab.images[0] = argv[2];
    lab.images[1] = argv[3];
    lab.work = argv[4];
    lab.verify = argv[5];
    lab.conn = vm_conn_open("qemu:///system", NULL);
    lab.wrapper = g_build_filename(lab.work, "nbdkit", NULL);
    g_assert_true(g_file_set_contents(lab.wrapper, wrapper_text, -1, NULL));
    chmod(lab.wrapper, 0755);
    lab.config = (struct serve_config){ .nbdkit = lab.wrapper, .plugin = "none", .qemu_user = "libvirt-qemu" };
    lab.point = uuid_random();
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add_func(tests[i].name, tests[i].run);
    const int status = g_test_run();
    vm_conn_close(lab.conn);
    return status;
}
