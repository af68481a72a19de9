/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/handle.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <string.h>

/* Lock order: `lock` and `watch_lock` are never held together.  Watchers are called under `watch_lock`, so that none runs after
 * vm_conn_close.  Every event registration holds a reference: libvirt may free one later than we take it back. */
struct vm_conn {
    gint refs;
    char *uri;
    GMutex lock; /* conn, and connecting */
    virConnectPtr conn;
    GArray *event_ids;
    struct inventory *inventory;
    struct host_memory *host;
    GMutex watch_lock; /* watchers, changed, left */
    GArray *watchers;
    GHashTable *changed; /* struct uuid -> gint64: when a guest's power changed */
    GHashTable *left;    /* struct uuid: guests that migrated away and did not start here since */
};

struct watcher {
    vm_event_fn fn;
    void *user;
};

enum { KEEPALIVE_S = 5, KEEPALIVE_MISSES = 6 };

/* ---- libvirt's event loop: one per process, for its whole life ---- */

static void
swallow_error(void *user, virErrorPtr error)
{
}

static void *
event_loop(void *unused)
{
    for (;;)
        if (virEventRunDefaultImpl() < 0)
            log_warning("libvirt's event loop reported an error: %s", virGetLastErrorMessage());
    return NULL;
}

/* virEventRunDefaultImpl sleeps until something happens; a timer that never fires keeps it from returning at once on an empty list. */
static void
heartbeat(int timer, void *user)
{
}

static void
start_event_loop(void)
{
    static gsize started;
    if (!g_once_init_enter(&started))
        return;
    virInitialize();
    virSetErrorFunc(NULL, swallow_error);
    virEventRegisterDefaultImpl();
    virEventAddTimeout(1000, heartbeat, NULL, NULL);
    g_thread_unref(g_thread_new("libvirt-events", event_loop, NULL));
    g_once_init_leave(&started, 1);
}

static void
conn_unref(void *user)
{
    struct vm_conn *c = user;
    if (!g_atomic_int_dec_and_test(&c->refs))
        return;
    inventory_free(c->inventory);
    host_memory_free(c->host);
    g_mutex_clear(&c->lock);
    g_mutex_clear(&c->watch_lock);
    g_array_unref(c->watchers);
    g_hash_table_unref(c->changed);
    g_hash_table_unref(c->left);
    g_array_unref(c->event_ids);
    g_free(c->uri);
    g_free(c);
}

static struct vm_conn *
conn_hold(struct vm_conn *c)
{
    g_atomic_int_inc(&c->refs);
    return c;
}

/* ---- events ---- */

/* A definition that comes, and devices, leave the power as it was; a guest that is gone is forgotten. */
static void
note_change_locked(struct vm_conn *c, const struct uuid *vm, const char *what)
{
    static const char *const power[] = { "started", "suspended", "resumed", "stopped", "shutdown", "crashed", NULL };
    const gint64 now = clock_wall_us();
    if (g_str_equal(what, "undefined"))
        g_hash_table_remove(c->changed, vm);
    else if (g_strv_contains(power, what))
        g_hash_table_insert(c->changed, g_memdup2(vm, sizeof *vm), g_memdup2(&now, sizeof now));
}

gint64
conn_power_changed(struct vm_conn *c, const struct uuid *vm)
{
    HOLD(&c->watch_lock);
    const gint64 *at = g_hash_table_lookup(c->changed, vm);
    return at ? *at : 0;
}

static void
note_place(struct vm_conn *c, virDomainPtr dom, int event, int detail)
{
    struct uuid vm;
    const bool left = event == VIR_DOMAIN_EVENT_STOPPED && detail == VIR_DOMAIN_EVENT_STOPPED_MIGRATED;
    if ((!left && event != VIR_DOMAIN_EVENT_STARTED) || virDomainGetUUID(dom, vm.bytes) != 0)
        return;
    HOLD(&c->watch_lock);
    if (left)
        g_hash_table_add(c->left, g_memdup2(&vm, sizeof vm));
    else
        g_hash_table_remove(c->left, &vm);
}

bool
conn_guest_left(struct vm_conn *c, const struct uuid *vm)
{
    HOLD(&c->watch_lock);
    return g_hash_table_contains(c->left, vm);
}

static void
tell(struct vm_conn *c, virDomainPtr dom, const char *what)
{
    struct uuid vm = UUID_NIL;
    if (dom)
        virDomainGetUUID(dom, vm.bytes);
    inventory_note(c->inventory, &vm);
    HOLD(&c->watch_lock);
    note_change_locked(c, &vm, what);
    for (guint i = 0; i < c->watchers->len; i++) {
        const struct watcher *w = &g_array_index(c->watchers, struct watcher, i);
        w->fn(w->user, &vm, what);
    }
}

static int
on_lifecycle(virConnectPtr conn, virDomainPtr dom, int event, int detail, void *user)
{
    static const char *const names[] = {
        [VIR_DOMAIN_EVENT_DEFINED] = "defined",     [VIR_DOMAIN_EVENT_UNDEFINED] = "undefined",
        [VIR_DOMAIN_EVENT_STARTED] = "started",     [VIR_DOMAIN_EVENT_SUSPENDED] = "suspended",
        [VIR_DOMAIN_EVENT_RESUMED] = "resumed",     [VIR_DOMAIN_EVENT_STOPPED] = "stopped",
        [VIR_DOMAIN_EVENT_SHUTDOWN] = "shutdown",   [VIR_DOMAIN_EVENT_PMSUSPENDED] = "suspended",
        [VIR_DOMAIN_EVENT_CRASHED] = "crashed",
    };
    note_place(user, dom, event, detail);
    if (event >= 0 && (gsize)event < G_N_ELEMENTS(names) && names[event])
        tell(user, dom, names[event]);
    return 0;
}

static void
on_device_added(virConnectPtr conn, virDomainPtr dom, const char *alias, void *user)
{
    tell(user, dom, "device-added");
}

static void
on_device_removed(virConnectPtr conn, virDomainPtr dom, const char *alias, void *user)
{
    tell(user, dom, "device-removed");
}

static void
on_io_error(virConnectPtr conn, virDomainPtr dom, const char *path, const char *alias, int action, const char *reason, void *user)
{
    tell(user, dom, "io-error");
}

static void
on_connected(int timer, void *user)
{
    virEventRemoveTimeout(timer);
    tell(user, NULL, "connected");
}

static void
register_events(struct vm_conn *c)
{
    const struct {
        int id;
        virConnectDomainEventGenericCallback fn;
    } wanted[] = {
        { VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle) },
        { VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(on_device_added) },
        { VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(on_device_removed) },
        { VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, VIR_DOMAIN_EVENT_CALLBACK(on_io_error) },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(wanted); i++) {
        const int id = virConnectDomainEventRegisterAny(c->conn, NULL, wanted[i].id, wanted[i].fn, conn_hold(c), conn_unref);
        if (id >= 0) {
            g_array_append_val(c->event_ids, id);
            continue;
        }
        conn_unref(c);
        log_debug("Event %d is not offered by '%s': %s", wanted[i].id, c->uri, virGetLastErrorMessage());
    }
    if (virEventAddTimeout(0, on_connected, conn_hold(c), conn_unref) < 0)
        conn_unref(c);
}

/* ---- errors ---- */

static enum err_code
code_of(const virError *e)
{
    switch (e->code) {
    case VIR_ERR_NO_DOMAIN:
        return ERR_NO_SUCH_INSTANCE;
    case VIR_ERR_OPERATION_INVALID:
    case VIR_ERR_HOOK_SCRIPT_FAILED:
        return ERR_INVALID_STATE;
    case VIR_ERR_OPERATION_TIMEOUT:
        return ERR_TIMEOUT;
    case VIR_ERR_NO_CONNECT:
    case VIR_ERR_RPC:
    case VIR_ERR_INVALID_CONN:
    case VIR_ERR_AGENT_UNRESPONSIVE:
        return ERR_NOT_AVAILABLE;
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_ACCESS_DENIED:
    case VIR_ERR_OPERATION_DENIED:
        return ERR_ACCESS_DENIED;
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_CONFIG_UNSUPPORTED:
    case VIR_ERR_ARGUMENT_UNSUPPORTED:
    case VIR_ERR_OPERATION_UNSUPPORTED:
        return ERR_NOT_SUPPORTED;
    case VIR_ERR_XML_ERROR:
    case VIR_ERR_XML_DETAIL:
    case VIR_ERR_XML_INVALID_SCHEMA:
        return ERR_MALFORMED;
    case VIR_ERR_DOM_EXIST:
        return ERR_EXISTS;
    case VIR_ERR_NO_MEMORY:
        return ERR_NO_MEMORY;
    default:
        return e->domain == VIR_FROM_RPC ? ERR_NOT_AVAILABLE : ERR_FAILED;
    }
}

gboolean
conn_error(GError **err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    virErrorPtr e = virGetLastError();
    if (!e)
        return err_set(err, ERR_FAILED, "%s: libvirt gave no reason.", text);
    const char *reason = e->message ? e->message : "no reason given";
    const enum err_code code = code_of(e);
    err_set(err, code, "libvirt: %s.", reason);
    return err_wrap(err, code, "%s: %s.", text, reason);
}

/* ---- the connection ---- */

struct vm_conn *
vm_conn_open(const char *uri, GError **err)
{
    g_autofree char *scheme = uri ? g_uri_parse_scheme(uri) : NULL;
    if (!scheme || !strstr(uri, "://")) {
        err_set(err, ERR_INVALID_PARAMETER, "'%s' is not a libvirt URI; a usual one is 'qemu:///system'.", uri ? uri : "");
        return NULL;
    }
    start_event_loop();
    struct vm_conn *c = g_new0(struct vm_conn, 1);
    c->refs = 1;
    c->uri = g_strdup(uri);
    c->inventory = inventory_new(c);
    c->host = host_memory_new();
    g_mutex_init(&c->lock);
    g_mutex_init(&c->watch_lock);
    c->event_ids = g_array_new(FALSE, FALSE, sizeof(int));
    c->watchers = g_array_new(FALSE, FALSE, sizeof(struct watcher));
    c->changed = g_hash_table_new_full(uuid_hash, uuid_same, g_free, g_free);
    c->left = g_hash_table_new_full(uuid_hash, uuid_same, g_free, NULL);
    return c;
}

/* A registration keeps libvirt's connection object alive, so it is taken back first. */
static void
drop_connection(struct vm_conn *c)
{
    if (!c->conn)
        return;
    for (guint i = 0; i < c->event_ids->len; i++)
        virConnectDomainEventDeregisterAny(c->conn, g_array_index(c->event_ids, int, i));
    g_array_set_size(c->event_ids, 0);
    virConnectClose(c->conn);
    c->conn = NULL;
}

void
vm_conn_close(struct vm_conn *c)
{
    if (!c)
        return;
    {
        HOLD(&c->watch_lock);
        g_array_set_size(c->watchers, 0);
    }
    inventory_stop(c->inventory);
    {
        HOLD(&c->lock);
        drop_connection(c);
    }
    conn_unref(c);
}

static bool
connect_now(struct vm_conn *c, GError **err)
{
    c->conn = virConnectOpen(c->uri);
    if (!c->conn)
        return err_set(err, ERR_NOT_AVAILABLE, "libvirt at '%s' cannot be reached: %s.", c->uri, virGetLastErrorMessage());
    virConnectSetKeepAlive(c->conn, KEEPALIVE_S, KEEPALIVE_MISSES);
    register_events(c);
    return true;
}

virConnectPtr
conn_ref(struct vm_conn *c, GError **err)
{
    HOLD(&c->lock);
    if (c->conn && virConnectIsAlive(c->conn) != 1)
        drop_connection(c);
    if (!c->conn && !connect_now(c, err))
        return NULL;
    virConnectRef(c->conn);
    return c->conn;
}

const char *
conn_uri(const struct vm_conn *c)
{
    return c->uri;
}

struct inventory *
conn_inventory(struct vm_conn *c)
{
    return c->inventory;
}

struct host_memory *
conn_host(struct vm_conn *c)
{
    return c->host;
}

bool
vm_conn_alive(struct vm_conn *c)
{
    virt_conn_auto conn = conn_ref(c, NULL);
    return conn != NULL;
}

void
vm_conn_watch(struct vm_conn *c, vm_event_fn fn, void *user)
{
    HOLD(&c->watch_lock);
    const struct watcher w = { fn, user };
    g_array_append_val(c->watchers, w);
}

virDomainPtr
conn_domain(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    virt_conn_auto conn = conn_ref(c, err);
    if (!conn)
        return NULL;
    virDomainPtr dom = virDomainLookupByUUID(conn, vm->bytes);
    if (!dom) {
        char text[UUID_TEXT];
        conn_error(err, "Guest '%s' was not found", uuid_format(vm, text));
    }
    return dom;
}
