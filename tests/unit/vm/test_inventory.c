/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/err.h"
#include "patience.h"
#include "vm/host.h"
#include "vm/inventory.h"
#include "vm/vcpu.h"

#include <dlfcn.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

/* Guests from memory, with libvirt's test driver: what is seen at once, what may be old, and that threads agree. */

#define GUEST "01234567-89ab-cdef-0123-456789abcdef"
#define GUEST_XML \
    "<domain type='test'><name>%s</name><uuid>" GUEST "</uuid><memory>65536</memory><vcpu>2</vcpu><os><type>hvm</type></os></domain>"

static struct uuid
guest_id(void)
{
    struct uuid vm;
    g_assert_true(uuid_parse(GUEST, &vm));
    return vm;
}

static void
define(struct vm_conn *c, const char *name)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *xml = g_strdup_printf(GUEST_XML, name);
    vm_define(c, xml, &err);
    g_assert_no_error(err);
}

static guint
listed(struct vm_conn *c, const char *name)
{
    guint found = 0;
    g_autoptr(GPtrArray) all = vm_view_list(c, NULL);
    g_assert_nonnull(all);
    for (guint i = 0; i < all->len; i++)
        found += g_strcmp0(((struct vm_facts *)all->pdata[i])->name, name) == 0;
    return found;
}

/* What this process does is seen by the very next question, again and again. */
static void
test_own_changes(void)
{
    const struct uuid vm = guest_id();
    struct vm_conn *c = vm_conn_open("test:///default", NULL);
    g_autoptr(GError) err = NULL;
    for (int round = 0; round < 20; round++) {
        define(c, "mine");
        g_assert_cmpuint(listed(c, "mine"), ==, 1);
        g_assert_true(vm_start(c, &vm, NULL));
        vm_facts_auto on = vm_view_get(c, &vm, NULL);
        g_assert_cmpint(on->power, ==, VM_RUNNING);
        g_assert_true(vm_force_off(c, &vm, NULL));
        vm_facts_auto off = vm_view_get(c, &vm, NULL);
        g_assert_cmpint(off->power, ==, VM_OFF);
        g_assert_cmpint(on->power, ==, VM_RUNNING); /* what was given out stays */
        g_assert_true(vm_undefine(c, &vm, NULL));
        g_assert_cmpuint(listed(c, "mine"), ==, 0);
        g_assert_null(vm_view_get(c, &vm, &err));
        g_assert_error(err, ERR, ERR_NO_SUCH_INSTANCE);
        g_clear_error(&err);
    }
    vm_conn_close(c);
}

enum { DEFINED = 1, CONNECTED = 2 };

static void
note(void *user, const struct uuid *vm, const char *what)
{
    if (g_str_equal(what, "defined"))
        g_atomic_int_or((guint *)user, DEFINED);
    if (g_str_equal(what, "connected"))
        g_atomic_int_or((guint *)user, CONNECTED);
}

/* No event after this makes the inventory forget; the two come in any order, the second from a timer of its own. */
static struct vm_conn *
open_with(const char *name)
{
    static guint seen; /* watched as long as the connection lives */
    struct vm_conn *c = vm_conn_open("test:///default", NULL);
    g_atomic_int_set(&seen, 0);
    vm_conn_watch(c, note, &seen);
    g_assert_true(vm_conn_alive(c));
    define(c, name);
    const gint64 end = g_get_monotonic_time() + PATIENCE_S * (gint64)G_USEC_PER_SEC;
    for (; g_atomic_int_get(&seen) != (DEFINED | CONNECTED); g_usleep(1000))
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    return c;
}

/* The same facts are handed out until they are too old; then they are read again. */
static void
test_age(void)
{
    const struct uuid vm = guest_id();
    struct vm_conn *c = open_with("old");
    g_assert_cmpuint(listed(c, "old"), ==, 1);
    vm_facts_auto first = vm_view_get(c, &vm, NULL), *second = vm_view_get(c, &vm, NULL);
    g_assert_true(first == second);
    clock_shift_for_test(0, (INVENTORY_OLD_S + 1) * (gint64)G_USEC_PER_SEC);
    vm_facts_auto third = vm_view_get(c, &vm, NULL);
    g_assert_true(third && third != first);
    /* beyond fresh: handed out still, and read in the background */
    clock_shift_for_test(0, (INVENTORY_FRESH_S + 1) * (gint64)G_USEC_PER_SEC);
    vm_facts_auto stale = vm_view_get(c, &vm, NULL);
    g_assert_true(stale == third);
    for (gint64 end = g_get_monotonic_time() + PATIENCE_S * (gint64)G_USEC_PER_SEC;; g_usleep(2000)) {
        vm_facts_auto now = vm_view_get(c, &vm, NULL);
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        if (now != third)
            break;
    }
    vm_conn_close(c);
}

static void
test_away(void)
{
    const struct uuid vm = guest_id();
    g_autoptr(GError) one = NULL, all = NULL, host = NULL, nets = NULL;
    struct vm_conn *c = vm_conn_open("qemu+unix:///system?socket=/nowhere/sock", NULL);
    g_assert_null(vm_view_get(c, &vm, &one));
    g_assert_error(one, ERR, ERR_NOT_AVAILABLE);
    g_assert_null(vm_view_list(c, &all));
    g_assert_error(all, ERR, ERR_NOT_AVAILABLE);
    g_assert_null(vm_host_get(c, &host));
    g_assert_error(host, ERR, ERR_NOT_AVAILABLE);
    g_assert_null(vm_networks(c, &nets));
    g_assert_error(nets, ERR, ERR_NOT_AVAILABLE);
    vm_conn_close(c);
}

/* libvirt answers, but not about this guest: facts.c calls this one instead of libvirt's. */
static gint unreadable;

int
virDomainGetInfo(virDomainPtr dom, virDomainInfoPtr info)
{
    int (*real)(virDomainPtr, virDomainInfoPtr) = (int (*)(virDomainPtr, virDomainInfoPtr))dlsym(RTLD_NEXT, "virDomainGetInfo");
    return real(dom, g_atomic_int_get(&unreadable) ? NULL : info);
}

static void
test_unreadable(void)
{
    const struct uuid vm = guest_id();
    struct vm_conn *c = open_with("mute");
    g_assert_cmpuint(listed(c, "mute"), ==, 1);
    clock_shift_for_test(0, (INVENTORY_OLD_S + 1) * (gint64)G_USEC_PER_SEC);
    g_atomic_int_set(&unreadable, 1);
    g_assert_cmpuint(listed(c, "mute"), ==, 1); /* as it was */
    g_assert_cmpuint(listed(c, "mute"), ==, 1);
    g_assert_null(vm_facts_get(c, &vm, NULL));
    g_atomic_int_set(&unreadable, 0);
    vm_facts_auto now = vm_view_get(c, &vm, NULL);
    g_assert_cmpstr(now->name, ==, "mute");
    vm_conn_close(c);
}

struct crowd {
    struct vm_conn *conn;
    gint stop;
};

static void *
ask_on(void *p)
{
    struct crowd *w = p;
    const struct uuid vm = guest_id();
    guint64 asked = 0;
    while (!g_atomic_int_get(&w->stop)) {
        g_autoptr(GPtrArray) all = vm_view_list(w->conn, NULL);
        vm_facts_auto f = vm_view_get(w->conn, &vm, NULL);
        g_assert_true(all && (!f || f->hardware));
        asked += vm_uptime_ms(f ? f : all->pdata[0]) + 1;
    }
    return GSIZE_TO_POINTER((gsize)(asked > 0));
}

/* Readers while a guest comes, runs and goes; the result of the last change holds. */
static void
test_threads(void)
{
    const struct uuid vm = guest_id();
    struct crowd w = { .conn = vm_conn_open("test:///default", NULL) };
    GThread *threads[3];
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("asks", ask_on, &w);
    for (int round = 0; round < 60; round++) {
        define(w.conn, "busy");
        g_assert_true(vm_start(w.conn, &vm, NULL));
        vm_facts_auto on = vm_view_get(w.conn, &vm, NULL);
        g_assert_cmpint(on->power, ==, VM_RUNNING);
        g_assert_true(vm_force_off(w.conn, &vm, NULL));
        g_assert_true(vm_undefine(w.conn, &vm, NULL));
        g_assert_cmpuint(listed(w.conn, "busy"), ==, 0);
    }
    g_atomic_int_set(&w.stop, 1);
    for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
        g_assert_nonnull(g_thread_join(threads[i]));
    vm_conn_close(w.conn);
}

/* The same for the host's networks. */
int
virConnectListAllNetworks(virConnectPtr conn, virNetworkPtr **nets, unsigned int flags)
{
    int (*real)(virConnectPtr, virNetworkPtr **, unsigned int) =
        (int (*)(virConnectPtr, virNetworkPtr **, unsigned int))dlsym(RTLD_NEXT, "virConnectListAllNetworks");
    return real(g_atomic_int_get(&unreadable) ? NULL : conn, nets, flags);
}

/* That they cannot be listed is not that there are none, and is forgotten at once. */
static void
test_networks_unreadable(void)
{
    g_autoptr(GError) err = NULL;
    struct vm_conn *c = vm_conn_open("test:///default", NULL);
    g_atomic_int_set(&unreadable, 1);
    g_assert_null(vm_networks(c, &err));
    g_atomic_int_set(&unreadable, 0);
    g_assert_error(err, ERR, ERR_NOT_AVAILABLE);
    g_clear_error(&err);
    g_autoptr(GPtrArray) nets = vm_networks(c, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(nets->len, ==, 1);
    vm_conn_close(c);
}

static gint mute; /* does not say whether networks are active; 2: since it is away */

int
virNetworkIsActive(virNetworkPtr net)
{
    int (*real)(virNetworkPtr) = (int (*)(virNetworkPtr))dlsym(RTLD_NEXT, "virNetworkIsActive");
    return real(g_atomic_int_get(&mute) ? NULL : net);
}

virErrorPtr
virGetLastError(void)
{
    static __thread virError error;
    virErrorPtr (*real)(void) = (virErrorPtr (*)(void))dlsym(RTLD_NEXT, "virGetLastError");
    const virErrorPtr e = real();
    if (!e || !g_atomic_int_get(&mute))
        return e;
    error = *e;
    error.code = g_atomic_int_get(&mute) == 2 ? VIR_ERR_RPC : VIR_ERR_INTERNAL_ERROR;
    return &error;
}

/* One network does not keep the others from being seen, libvirt itself does. */
static void
test_network_mute(void)
{
    g_autoptr(GError) err = NULL;
    struct vm_conn *c = vm_conn_open("test:///default", NULL);
    g_assert_true(vm_conn_alive(c));
    g_atomic_int_set(&mute, 2);
    g_assert_null(vm_networks(c, &err));
    g_assert_error(err, ERR, ERR_NOT_AVAILABLE);
    g_clear_error(&err);
    g_atomic_int_set(&mute, 1);
    g_autoptr(GPtrArray) nets = vm_networks(c, &err);
    g_atomic_int_set(&mute, 0);
    g_assert_no_error(err);
    g_assert_cmpuint(nets->len, ==, 1);
    g_assert_false(((struct vm_network *)nets->pdata[0])->active);
    vm_conn_close(c);
}

static void
test_host(void)
{
    struct vm_conn *c = vm_conn_open("test:///default", NULL);
    g_autoptr(GError) err = NULL;
    vm_host_auto h = vm_host_get(c, &err), *again = vm_host_get(c, &err);
    g_assert_no_error(err);
    g_assert_true(h == again);
    g_assert_true(h->cpus == 16 && h->nodes == 2 && h->memory_kib == 3145728 && h->max_vcpus == 32); /* the driver's own machine */
    g_assert_true(h->hostname && h->kernel && h->booted_us > 0 && h->free_kib > 0 && !uuid_is_nil(&h->uuid));
    g_autoptr(GPtrArray) nets = vm_networks(c, &err);
    g_assert_cmpuint(nets->len, ==, 1);
    const struct vm_network *n = nets->pdata[0];
    g_assert_cmpstr(n->name, ==, "default");
    g_assert_cmpstr(n->bridge, ==, "virbr0");
    g_assert_true(n->active);
    g_autoptr(GPtrArray) all = vm_view_list(c, &err);
    const struct vm_facts *f = all->pdata[0];
    g_autoptr(GArray) times = vm_vcpu_times(c, &f->uuid, &err);
    g_assert_cmpuint(times->len, ==, f->vcpus);
    g_autoptr(GHashTable) addresses = vm_guest_addresses(c, &f->uuid);
    g_assert_nonnull(addresses);
    vm_conn_close(c);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/inventory/own-changes", test_own_changes);
    g_test_add_func("/vm/inventory/age", test_age);
    g_test_add_func("/vm/inventory/away", test_away);
    g_test_add_func("/vm/inventory/unreadable", test_unreadable);
    g_test_add_func("/vm/inventory/threads", test_threads);
    g_test_add_func("/vm/host/networks-unreadable", test_networks_unreadable);
    g_test_add_func("/vm/host/network-mute", test_network_mute);
    g_test_add_func("/vm/inventory/host", test_host);
    return g_test_run();
}
