/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connection, facts and power with libvirt's own test driver. */
#include "base/clock.h"
#include "base/err.h"
#include "patience.h"
#include "vm/capture.h"
#include "vm/domain.h"
#include "vm/inventory.h"

#include <string.h>

#define GUEST "4c5b2bb5-1111-4d21-9f4e-6f3b6f2a9d10"

static const char definition[] =
    "<domain type='test'><name>g</name><uuid>" GUEST "</uuid><memory unit='KiB'>65536</memory><vcpu>2</vcpu>"
    "<os><type>hvm</type></os><devices>"
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/i/a.qcow2'/><target dev='vda' bus='virtio'/></disk>"
    "<disk type='file' device='disk'><source file='/i/b.raw'/><target dev='vdb' bus='virtio'/></disk>"
    "<disk type='file' device='disk'><driver name='qemu' type='vmdk'/><source file='/i/c'/><target dev='vdc' bus='virtio'/></disk>"
    "<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
    "<source file='/i/d'/><target dev='vdd' bus='virtio'/><shareable/></disk>"
    "<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
    "<source file='/i/e'/><target dev='vde' bus='virtio'/><readonly/></disk>"
    "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='nbd' name='x'><host name='h'/></source>"
    "<target dev='vdf' bus='virtio'/></disk>"
    "<disk type='file' device='cdrom'><source file='/i/iso'/><target dev='hdc' bus='ide'/></disk>"
    "<interface type='network'><mac address='52:54:00:00:00:09'/><source network='default'/><model type='virtio'/></interface>"
    "</devices></domain>";

struct seen {
    GMutex lock;
    GCond more;
    GPtrArray *what;
};

static void
note(void *user, const struct uuid *vm, const char *what)
{
    struct seen *s = user;
    char text[UUID_TEXT];
    g_mutex_lock(&s->lock);
    g_ptr_array_add(s->what, g_strdup_printf("%s %s", what, uuid_is_nil(vm) ? "-" : uuid_format_lower(vm, text)));
    g_cond_broadcast(&s->more);
    g_mutex_unlock(&s->lock);
}

static void
await(struct seen *s, const char *event)
{
    const gint64 end = g_get_monotonic_time() + PATIENCE_S * (gint64)G_USEC_PER_SEC;
    g_mutex_lock(&s->lock);
    while (!g_ptr_array_find_with_equal_func(s->what, event, g_str_equal, NULL))
        if (!g_cond_wait_until(&s->more, &s->lock, end))
            g_error("event '%s' did not come", event);
    g_mutex_unlock(&s->lock);
}

static void
test_uri(void)
{
    static const char *const bad[] = { "", "qemu", "/var/run", "qemu:" };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) why = NULL;
        g_assert_null(vm_conn_open(bad[i], &why));
        g_assert_error(why, ERR, ERR_INVALID_PARAMETER);
    }
}

static void
test_away(void)
{
    g_autoptr(GError) why = NULL;
    struct vm_conn *c = vm_conn_open("qemu+unix:///system?socket=/nonexistent/libvirt-sock", &why);
    g_assert_no_error(why);
    g_assert_false(vm_conn_alive(c));
    g_assert_null(vm_view_list(c, &why));
    g_assert_error(why, ERR, ERR_NOT_AVAILABLE);
    vm_conn_close(c);
}

static void
check_disk(const struct vm_facts *f, guint i, const char *target, const char *format, const char *refused)
{
    const struct vm_disk *d = f->disks->pdata[i];
    g_assert_cmpstr(d->target, ==, target);
    g_assert_cmpstr(d->format, ==, format);
    if (refused)
        g_assert_nonnull(strstr(d->refused, refused));
    else
        g_assert_cmpstr(d->refused, ==, NULL);
}

static void
test_facts(void)
{
    g_autoptr(GError) why = NULL;
    struct vm_conn *c = vm_conn_open("test:///default", &why);
    struct uuid vm;
    uuid_parse(GUEST, &vm);
    vm_define(c, definition, &why);
    g_assert_no_error(why);
    vm_facts_auto f = vm_facts_get(c, &vm, &why);
    g_assert_no_error(why);
    g_assert_cmpstr(f->name, ==, "g");
    g_assert_cmpint(f->power, ==, VM_OFF);
    g_assert_true(f->persistent);
    g_assert_cmpuint(f->memory_kib, ==, 65536);
    g_assert_cmpuint(f->vcpus, ==, 2);
    g_assert_cmpuint(f->disks->len, ==, 7);
    check_disk(f, 0, "vda", "qcow2", NULL);
    check_disk(f, 1, "vdb", "raw", NULL);
    check_disk(f, 2, "vdc", "vmdk", "vmdk");
    check_disk(f, 3, "vdd", "raw", "shared");
    check_disk(f, 4, "vde", "raw", "read-only");
    check_disk(f, 5, "vdf", "raw", NULL);
    check_disk(f, 6, "hdc", "raw", "removable media");
    g_assert_cmpuint(f->nics->len, ==, 1);
    const struct vm_nic *n = f->nics->pdata[0];
    g_assert_cmpstr(n->mac, ==, "52:54:00:00:00:09");
    g_assert_cmpstr(n->network, ==, "default");
    g_assert_nonnull(strstr(f->xml, "<uuid>" GUEST));
    g_autoptr(GPtrArray) all = vm_view_list(c, &why);
    g_assert_cmpuint(all->len, >=, 2);
    g_assert_true(vm_undefine(c, &vm, &why));
    g_assert_true(vm_undefine(c, &vm, &why));
    g_assert_null(vm_facts_get(c, &vm, &why));
    g_assert_error(why, ERR, ERR_NO_SUCH_INSTANCE);
    vm_conn_close(c);
}

static enum vm_power
power(struct vm_conn *c, const struct uuid *vm)
{
    enum vm_power p = VM_SAVED;
    g_assert_true(vm_power_get(c, vm, &p, NULL));
    return p;
}

static void
test_power(void)
{
    g_autoptr(GError) why = NULL, twice = NULL, off = NULL, bad = NULL;
    struct vm_conn *c = vm_conn_open("test:///default", NULL);
    struct seen seen = { .what = g_ptr_array_new_with_free_func(g_free) };
    struct uuid vm;
    uuid_parse(GUEST, &vm);
    vm_conn_watch(c, note, &seen);
    g_assert_true(vm_conn_alive(c));
    await(&seen, "connected -");
    g_assert_true(vm_define(c, definition, NULL));
    await(&seen, "defined " GUEST);
    g_assert_true(vm_start(c, &vm, &why));
    await(&seen, "started " GUEST);
    g_assert_cmpint(power(c, &vm), ==, VM_RUNNING);
    g_assert_false(vm_start(c, &vm, &twice));
    g_assert_nonnull(strstr(twice->message, "already running"));
    g_assert_true(vm_pause(c, &vm, &why));
    g_assert_cmpint(power(c, &vm), ==, VM_PAUSED);
    g_assert_true(vm_resume(c, &vm, &why));
    g_assert_true(vm_force_off(c, &vm, &why));
    await(&seen, "stopped " GUEST);
    g_assert_cmpint(power(c, &vm), ==, VM_OFF);
    g_assert_false(vm_pause(c, &vm, &off));
    g_assert_nonnull(strstr(off->message, "not running"));
    g_assert_true(vm_start(c, &vm, &why));
    g_assert_true(vm_shutdown(c, &vm, &why));
    await(&seen, "stopped " GUEST);
    g_assert_false(vm_define(c, "<domain>", &bad));
    g_assert_error(bad, ERR, ERR_MALFORMED);
    vm_conn_close(c);
    g_ptr_array_unref(seen.what);
}

/* Capturing needs QEMU; a guest without says so. */
static void
test_no_capture(void)
{
    g_autofree char *dir = g_dir_make_tmp("vmr-conn.XXXXXX", NULL), *run = g_build_filename(dir, "run", NULL);
    struct vm_conn *c = vm_conn_open("test:///default", NULL);
    const struct capture_config config = { .scratch_dir = dir, .runtime_dir = run };
    struct capture_engine *e = capture_engine_new(c, &config);
    const char *const targets[] = { "vda", NULL };
    struct uuid vm = uuid_random(), log = uuid_random();
    g_autoptr(GError) unknown = NULL, broken = NULL;
    g_assert_null(capture_begin(e, &vm, targets, CAPTURE_FUZZY_ALL, &log, &unknown));
    g_assert_error(unknown, ERR, ERR_NO_SUCH_INSTANCE);
    g_assert_true(vm_define(c, definition, NULL));
    uuid_parse(GUEST, &vm);
    g_assert_true(vm_start(c, &vm, NULL));
    g_assert_null(capture_begin(e, &vm, targets, CAPTURE_FUZZY_ALL, &log, &broken));
    g_assert_nonnull(broken);
    g_assert_cmpuint(capture_pending(e, &vm), ==, 0);
    capture_engine_free(e);
    vm_conn_close(c);
    g_autofree char *rm = g_strdup_printf("rm -r '%s'", dir);
    g_assert_true(g_spawn_command_line_sync(rm, NULL, NULL, NULL, NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/conn/uri", test_uri);
    g_test_add_func("/vm/conn/away", test_away);
    g_test_add_func("/vm/domain/facts", test_facts);
    g_test_add_func("/vm/domain/power", test_power);
    g_test_add_func("/vm/capture/no-qemu", test_no_capture);
    return g_test_run();
}
