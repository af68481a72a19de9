/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/capture_int.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/xml.h"
#include "vm/checkpoint.h"
#include "vm/firmware.h"
#include "vm/tpm.h"
#include "vm/lease.h"
#include "vm/qmp.h"
#include "vm/scratch.h"
#include "vm/source.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- engine ---- */

/* sun_path is 108 bytes; QEMU and libnbd want the final zero, too. */
enum { SOCKET_PATH_MAX = 107 };

static bool
make_dir_for_qemu(const char *path, uid_t uid, gid_t gid, mode_t mode, GError **err)
{
    if (!file_make_dirs(path, mode, err))
        return false;
    if (chown(path, uid, gid) != 0 || chmod(path, mode) != 0)
        return err_errno(err, "Folder '%s' cannot be given to QEMU", path);
    return true;
}

static void
guest_free(void *p)
{
    struct guest *g = p;
    g_hash_table_unref(g->seen);
    g_strfreev(g->targets);
    g_free(g);
}

struct capture_engine *
capture_engine_new(struct vm_conn *conn, const struct capture_config *config)
{
    g_autoptr(GError) why = NULL;
    struct capture_engine *e = g_new0(struct capture_engine, 1);
    e->conn = conn;
    e->scratch_dir = g_strdup(config->scratch_dir);
    e->socket_dir = g_build_filename(config->runtime_dir, "nbd", NULL);
    e->scratch_reserve = config->scratch_reserve;
    e->live_first = config->live_first ? config->live_first : CAPTURE_LIVE_FIRST;
    e->swtpm_dir = g_strdup(config->swtpm_dir);
    e->guests = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, guest_free);
    e->scratch = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_mutex_init(&e->lock);
    /* A folder that cannot be made is told here and refused where it is needed. */
    if (!scratch_owner(config->qemu_user, &e->qemu_uid, &e->qemu_gid, &why) ||
        !make_dir_for_qemu(e->scratch_dir, e->qemu_uid, e->qemu_gid, 0700, &why) ||
        !file_make_dirs(config->runtime_dir, 0755, &why) ||
        !make_dir_for_qemu(e->socket_dir, e->qemu_uid, e->qemu_gid, 0700, &why))
        log_error("Capturing will fail: %s", why->message);
    return e;
}

void
capture_engine_free(struct capture_engine *e)
{
    if (!e)
        return;
    g_hash_table_unref(e->guests);
    g_hash_table_unref(e->scratch);
    g_mutex_clear(&e->lock);
    g_free(e->scratch_dir);
    g_free(e->swtpm_dir);
    g_free(e->socket_dir);
    g_free(e);
}

char *
capture_socket_path(const struct capture_engine *e, const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_strdup_printf("%s/%s", e->socket_dir, uuid_format_lower(vm, text));
}

static char *
scratch_key(const struct uuid *vm, const char *target)
{
    char text[UUID_TEXT];
    return g_strdup_printf("%s %s", uuid_format(vm, text), target);
}

char *
capture_scratch_of(struct capture_engine *e, const struct uuid *vm, const char *target)
{
    g_autofree char *key = scratch_key(vm, target);
    HOLD(&e->lock);
    return g_strdup(g_hash_table_lookup(e->scratch, key));
}

void
capture_set_scratch(struct capture_engine *e, const struct uuid *vm, const char *target, const char *path)
{
    g_autofree char *key = scratch_key(vm, target);
    HOLD(&e->lock);
    if (path)
        g_hash_table_replace(e->scratch, g_steal_pointer(&key), g_strdup(path));
    else
        g_hash_table_remove(e->scratch, key);
}

static gboolean
is_of_guest(gpointer key, gpointer path, gpointer prefix)
{
    return g_str_has_prefix(key, prefix);
}

/* After QEMU's nodes are gone, or with them. */
static void
drop_scratch(struct capture_engine *e, const struct uuid *vm)
{
    g_autofree char *prefix = scratch_key(vm, "");
    scratch_sweep(e->scratch_dir, vm);
    HOLD(&e->lock);
    g_hash_table_foreach_remove(e->scratch, is_of_guest, prefix);
}

/* The engine's lock is held. */
static struct guest *
guest_of_locked(struct capture_engine *e, const struct uuid *vm)
{
    char text[UUID_TEXT];
    struct guest *g = g_hash_table_lookup(e->guests, uuid_format(vm, text));
    if (!g) {
        g = g_new0(struct guest, 1);
        g->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_hash_table_insert(e->guests, g_strdup(text), g);
    }
    return g;
}

static bool
enter(struct capture_engine *e, const struct uuid *vm, GError **err)
{
    HOLD(&e->lock);
    struct guest *g = guest_of_locked(e, vm);
    char text[UUID_TEXT];
    if (g->busy)
        return err_set(err, ERR_IN_USE, "Guest '%s' is being captured already.", uuid_format(vm, text));
    g->busy = true;
    return true;
}

static void
leave(struct capture_engine *e, const struct uuid *vm)
{
    HOLD(&e->lock);
    guest_of_locked(e, vm)->busy = false;
}

static void
set_settled(struct capture_engine *e, const struct uuid *vm, const struct uuid *since)
{
    HOLD(&e->lock);
    struct guest *g = guest_of_locked(e, vm);
    g->settled = since != NULL;
    if (since)
        g->since = *since;
}

bool
capture_since(struct capture_engine *e, const struct uuid *vm, struct uuid *since)
{
    HOLD(&e->lock);
    const struct guest *g = guest_of_locked(e, vm);
    *since = g->since;
    return g->settled;
}

void
capture_choose(struct capture_engine *e, const struct uuid *vm, enum capture_kind kind)
{
    HOLD(&e->lock);
    struct guest *g = guest_of_locked(e, vm);
    g->settled = g->settled && g->kind == kind;
    g->kind = kind;
}

enum capture_kind
capture_kind_of(struct capture_engine *e, const struct uuid *vm)
{
    HOLD(&e->lock);
    return guest_of_locked(e, vm)->kind;
}

static void
set_targets(struct capture_engine *e, const struct uuid *vm, const char *const *targets)
{
    HOLD(&e->lock);
    struct guest *g = guest_of_locked(e, vm);
    g_strfreev(g->targets);
    g->targets = g_strdupv((char **)(gsize)targets);
}

bool
capture_promise(struct capture_engine *e, guint64 need, guint64 *available, GError **err)
{
    guint64 space = 0;
    HOLD(&e->lock);
    if (!file_free_space(e->scratch_dir, &space, err))
        return false;
    const guint64 taken = e->promised + e->scratch_reserve;
    *available = space > taken ? space - taken : 0;
    if (need > *available)
        return false;
    e->promised += need;
    return true;
}

bool
capture_lacks_room(const struct capture_engine *e, guint64 need, guint64 available, GError *why, GError **err)
{
    if (why) {
        g_propagate_error(err, why);
        return false;
    }
    return err_set(err, ERR_NO_SPACE,
                   "The scratch folder '%s' has room for %" G_GUINT64_FORMAT " bytes, but %" G_GUINT64_FORMAT " may be needed.",
                   e->scratch_dir, available, need);
}

void
capture_unpromise(struct capture_engine *e, guint64 promised)
{
    HOLD(&e->lock);
    e->promised -= promised;
}

void
capture_unstall(virDomainPtr dom)
{
    if (!domain_is_stalled(dom))
        return;
    log_warning("Guest '%s' was paused by a full scratch folder and goes on now.", virDomainGetName(dom));
    virDomainResume(dom);
}

/* ---- images of a stopped guest that were read whole; only who is busy with the guest gets here ---- */

static GHashTable *
seen_of(struct capture_engine *e, const struct uuid *vm)
{
    HOLD(&e->lock);
    return guest_of_locked(e, vm)->seen;
}

static void
note_seen(struct capture *c)
{
    GHashTable *seen = seen_of(c->engine, &c->vm);
    if (!c->off || c->mode == CAPTURE_FUZZY_ALL)
        g_hash_table_remove_all(seen);
    for (guint i = 0; c->off && c->mode == CAPTURE_FUZZY_ALL && i < c->items->len; i++) {
        const struct capture_item *item = c->items->pdata[i];
        if (item->stamp)
            g_hash_table_replace(seen, g_strdup(item->target), g_strdup(item->stamp));
    }
}

static bool
all_seen(const struct capture *c)
{
    for (guint i = 0; i < c->items->len; i++)
        if (!((const struct capture_item *)c->items->pdata[i])->seen)
            return false;
    return true;
}

/* ---- a capture ---- */

static void
item_free(void *p)
{
    struct capture_item *item = p;
    block_close(item->block);
    extents_free(item->extents);
    g_free(item->stamp);
    g_free(item->target);
    g_free(item);
}

static void
capture_free(struct capture *c)
{
    g_ptr_array_unref(c->items);
    json_decref(c->retire);
    g_free(c->checkpoint);
    g_clear_pointer(&c->nvram, g_bytes_unref);
    g_clear_pointer(&c->tpm, g_bytes_unref);
    g_free(c->xml);
    g_free(c->socket);
    g_free(c);
}

static struct capture *
capture_new(struct capture_engine *e, const struct uuid *vm, const char *const *targets, enum capture_mode mode, const struct uuid *log)
{
    struct capture *c = g_new0(struct capture, 1);
    c->engine = e;
    c->vm = *vm;
    c->log = *log;
    c->mode = mode;
    c->items = g_ptr_array_new_with_free_func(item_free);
    for (guint i = 0; targets[i]; i++) {
        struct capture_item *item = g_new0(struct capture_item, 1);
        item->target = g_strdup(targets[i]);
        item->extents = extents_new();
        g_ptr_array_add(c->items, item);
    }
    return c;
}

/* The bitmaps after the capture, tried again when the guest starts or stops under our hands. */
static bool
put_in_order(struct capture *c, virDomainPtr dom, bool durable, GError **err)
{
    for (int tries = 0;; tries++) {
        g_autoptr(GError) why = NULL;
        track_auto t = track_now(c->engine->conn, dom, &c->vm, &why);
        g_autoptr(GPtrArray) plan = plan_new();
        if (t)
            plan_end(t->disks, &c->log, durable, plan);
        if (t && track_apply(t, dom, plan, &why))
            return true;
        if (tries == 2) {
            g_propagate_error(err, g_steal_pointer(&why));
            return false;
        }
    }
}

/* The usual end in one command.  QEMU refuses it as a whole when a node or bitmap is not where it was (a snapshot, a stop). */
static bool
retire(struct capture *c, virDomainPtr dom)
{
    return c->retire && qmp_do(dom, "transaction", json_pack("{s:O}", "actions", c->retire), NULL);
}

/* Closes the data sources; the order matters: connections, then their server. */
static void
close_sources(struct capture *c, virDomainPtr dom)
{
    for (guint i = 0; i < c->items->len; i++) {
        struct capture_item *item = c->items->pdata[i];
        g_autofree char *scratch = capture_scratch_of(c->engine, &c->vm, item->target);
        block_close(g_steal_pointer(&item->block));
        if (scratch)
            scratch_clear(scratch);
    }
    if (!lease_free(g_steal_pointer(&c->lease)))
        c->left_open = true;
    if (c->server)
        tether_stop(c->server);
    else if (c->socket && dom && !live_close_nbd(dom, NULL))
        c->left_open = true;
    c->server = NULL;
    if (c->socket)
        unlink(c->socket);
}

/* INSTANT and FUZZY_CHANGES go on from a log that the caller knows; a bitmap of an unknown one must not be trusted. */
static bool
knows_since(struct capture *c, const struct track *t, GError **err)
{
    struct uuid since;
    if (c->mode == CAPTURE_FUZZY_ALL)
        return true;
    if (!capture_since(c->engine, &c->vm, &since))
        return err_set(err, ERR_TRACKING_LOST, "It is not known since when the guest's disks are tracked; recover first.");
    for (guint i = 0; i < c->items->len; i++) {
        const struct capture_item *item = c->items->pdata[i];
        const struct bitmap_disk *disk = bitmap_find_disk(t->disks, item->target);
        if (disk && !item->seen && !bitmap_find(disk, &since))
            return err_set(err, ERR_TRACKING_LOST,
                           "Changes of disk '%s' are not tracked: its bitmap is gone (a new disk, or a raw image after its guest was off).",
                           item->target);
    }
    return true;
}

/* The definition, the variables of the firmware and the state of the TPM: none belongs to the disks' instant to the microsecond. */
static bool
read_definition(struct capture *c, virDomainPtr dom, GError **err)
{
    g_autoptr(GError) why = NULL;
    const char *name = virDomainGetName(dom);
    char *xml = virDomainGetXMLDesc(dom, VIR_DOMAIN_XML_INACTIVE);
    c->xml = g_strdup(xml);
    free(xml);
    if (!c->xml)
        return conn_error(err, "The definition of guest '%s' cannot be read", name);
    c->nvram = c->mode == CAPTURE_INSTANT ? firmware_nvram(c->xml, &why) : NULL;
    if (!why && c->mode == CAPTURE_INSTANT && c->engine->swtpm_dir)
        c->tpm = tpm_read(c->engine->swtpm_dir, c->xml, &why);
    if (!why)
        return true;
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

static bool
find_iothread(const xmlNode *domain, const char *const *targets, GError **err)
{
    const xmlNode *devices = xml_child(domain, NULL, "devices");
    for (const xmlNode *n = devices ? xml_child(devices, NULL, "disk") : NULL; n; n = xml_next(n, NULL, "disk")) {
        const xmlNode *target = xml_child(n, NULL, "target");
        g_autofree char *name = target ? xml_attr(target, "dev") : NULL;
        if (name && g_strv_contains(targets, name) && source_has_iothread(domain, n))
            return err_set(err, ERR_NOT_SUPPORTED,
                           "An I/O thread serves disk '%s', and this QEMU (before 9.0) would end with the first capture; remove it.",
                           name);
    }
    return true;
}

/* A definition may have changed since the disks were chosen: what would end QEMU is looked for each time.  live NULL: it is read when it
 * is needed. */
static bool
survives(virDomainPtr dom, const xmlDoc *live, const char *const *targets, GError **err)
{
    unsigned long version = 0;
    if (virConnectGetVersion(virDomainGetConnect(dom), &version) == 0 && version >= SOURCE_IOTHREADS_SINCE)
        return true;
    g_autoptr(xmlDoc) own = live ? NULL : track_xml(dom, err);
    return (live || own) && find_iothread(xmlDocGetRootElement(live ? live : own), targets, err);
}

static bool
begin_off(struct capture *c, virDomainPtr dom, const struct track *t, const char *const *targets, bool *turned, GError **err)
{
    c->off = true;
    return off_look(c, t, seen_of(c->engine, &c->vm), err) && knows_since(c, t, err) && off_begin(c, dom, t, targets, turned, err);
}

static bool
begin_here(struct capture *c, virDomainPtr dom, const char *const *targets, bool *turned, GError **err)
{
    const bool pull = capture_kind_of(c->engine, &c->vm) == CAPTURE_PULL;
    bool active;
    if (!read_definition(c, dom, err) || !domain_active(dom, &active, err))
        return false;
    if (pull && active)
        return survives(dom, NULL, targets, err) && pull_begin(c, dom, targets, err);
    track_auto t = pull ? track_off(c->engine->conn, &c->vm, err) : track_now(c->engine->conn, dom, &c->vm, err);
    if (!t)
        return false;
    if (!t->live)
        return begin_off(c, dom, t, targets, turned, err);
    return survives(dom, t->live_xml, targets, err) && knows_since(c, t, err) && live_begin(c, dom, t, targets, turned, err);
}

static bool
path_fits(struct capture *c, GError **err)
{
    g_autofree char *socket = capture_socket_path(c->engine, &c->vm);
    if (strlen(socket) <= SOCKET_PATH_MAX)
        return true;
    return err_set(err, ERR_INVALID_PARAMETER, "The socket path '%s' is too long; choose a shorter runtime folder.", socket);
}

void
capture_took(struct capture *c)
{
    GBytes *now = c->tpm ? tpm_read(c->engine->swtpm_dir, c->xml, NULL) : NULL;
    if (!now)
        return;
    g_bytes_unref(c->tpm);
    c->tpm = now;
}

void
capture_before(const struct capture *c)
{
    if (c->around)
        c->around->before(c->around->user);
}

void
capture_after(const struct capture *c)
{
    if (c->around)
        c->around->after(c->around->user);
}

/* What an engine left open; the engine "pull" must do without the monitor. */
static bool
close_all(struct capture_engine *e, virDomainPtr dom, const struct uuid *vm, GError **err)
{
    g_autofree char *socket = capture_socket_path(e, vm);
    bool active;
    if (!domain_active(dom, &active, err))
        return false;
    if (active) {
        if (!backup_end(dom, socket, err) || (capture_kind_of(e, vm) == CAPTURE_PUSH && !recover_close(dom, err)))
            return false;
    }
    drop_scratch(e, vm);
    unlink(socket);
    return true;
}

/* A process that has not recovered the guest yet may begin with a full read; what one before it left open would be taken for somebody
 * else's. */
static bool
close_unknown(struct capture *c, virDomainPtr dom, GError **err)
{
    struct uuid since;
    return capture_since(c->engine, &c->vm, &since) || close_all(c->engine, dom, &c->vm, err);
}

/* What could not be closed is tried once more; what stays is closed before the next capture of the guest, which is not settled then. */
static bool
nothing_left(struct capture *c, virDomainPtr dom)
{
    g_autoptr(GError) why = NULL;
    if (!c->left_open || close_all(c->engine, dom, &c->vm, &why))
        return true;
    log_warning("What a capture opened in QEMU could not be closed and waits for recovery: %s", why->message);
    return false;
}

static struct capture *
begin(struct capture_engine *e, const struct uuid *vm, const char *const *targets, enum capture_mode mode, const struct uuid *log,
      const struct capture_around *around, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(e->conn, vm, err);
    if (!dom || !enter(e, vm, err))
        return NULL;
    struct capture *c = capture_new(e, vm, targets, mode, log);
    bool turned = false;
    c->around = around;
    set_targets(e, vm, targets);
    if (path_fits(c, err) && close_unknown(c, dom, err) && begin_here(c, dom, targets, &turned, err)) {
        c->around = NULL;
        return c;
    }
    close_sources(c, dom);
    g_autoptr(GError) why = NULL;
    if (turned && !put_in_order(c, dom, false, &why)) {
        log_warning("A failed capture could not be taken back and waits for recovery: %s", why->message);
        set_settled(e, vm, NULL);
    } else if (!nothing_left(c, dom))
        set_settled(e, vm, NULL);
    capture_free(c);
    leave(e, vm);
    return NULL;
}

struct capture *
capture_begin(struct capture_engine *e, const struct uuid *vm, const char *const *targets, enum capture_mode mode,
              const struct uuid *log, GError **err)
{
    return begin(e, vm, targets, mode, log, NULL, err);
}

struct capture *
capture_begin_around(struct capture_engine *e, const struct uuid *vm, const char *const *targets, const struct uuid *log,
                     const struct capture_around *around, GError **err)
{
    return begin(e, vm, targets, CAPTURE_INSTANT, log, around, err);
}

static bool
end_tracking(struct capture *c, virDomainPtr dom, bool durable, GError **err)
{
    if (c->checkpoint)
        return pull_end(c, dom, durable, err);
    return c->keeps || (durable && retire(c, dom)) || put_in_order(c, dom, durable, err);
}

bool
capture_end(struct capture *c, bool durable, GError **err)
{
    struct capture_engine *e = c->engine;
    const struct uuid vm = c->vm;
    g_autoptr(GError) why = NULL;
    g_autoptr(virDomain) dom = conn_domain(e->conn, &vm, &why);
    close_sources(c, dom);
    const bool ok = dom && end_tracking(c, dom, durable, &why);
    if (ok && durable) {
        note_seen(c);
        if (!c->keeps || c->mode == CAPTURE_FUZZY_ALL || all_seen(c))
            set_settled(e, &vm, &c->log);
    }
    if (!ok || !nothing_left(c, dom))
        set_settled(e, &vm, NULL);
    capture_free(c);
    leave(e, &vm);
    if (ok)
        return true;
    if (durable) { /* what matters has been done: recovery removes the old bitmap */
        log_warning("A finished capture waits for recovery of its bitmaps: %s", why->message);
        return true;
    }
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

gint64
capture_instant_us(const struct capture *c)
{
    return c->instant_us;
}

const char *
capture_domain_xml(const struct capture *c)
{
    return c->xml;
}

GBytes *
capture_nvram(const struct capture *c)
{
    return c->nvram;
}

GBytes *
capture_tpm(const struct capture *c)
{
    return c->tpm;
}

guint
capture_disks(const struct capture *c)
{
    return c->items->len;
}

struct block *
capture_disk(struct capture *c, guint i)
{
    return ((struct capture_item *)c->items->pdata[i])->block;
}

const struct extents *
capture_extents(const struct capture *c, guint i)
{
    return ((const struct capture_item *)c->items->pdata[i])->extents;
}

/* ---- outside of captures ---- */

/* The server of an earlier run may take a moment to let go of a stopped guest's images. */
static bool
apply_patiently(const struct track *t, virDomainPtr dom, const GPtrArray *plan, GError **err)
{
    enum { TRIES = 30, PAUSE_US = 100000 };
    for (int i = 0;; i++) {
        g_autoptr(GError) why = NULL;
        if (track_apply(t, dom, plan, &why))
            return true;
        if (t->live || i == TRIES || !strstr(why->message, "lock")) {
            g_propagate_error(err, g_steal_pointer(&why));
            return false;
        }
        g_usleep(PAUSE_US);
    }
}

static bool
recover_here(struct capture_engine *e, virDomainPtr dom, const struct uuid *vm, const char *const *targets,
             bool (*durable)(void *user, const struct uuid *log), void *user, struct uuid *since, GError **err)
{
    const bool pull = capture_kind_of(e, vm) == CAPTURE_PULL;
    bool active;
    if (!close_all(e, dom, vm, err) || !domain_active(dom, &active, err))
        return false;
    if (pull && active)
        return pull_recover(dom, targets, durable, user, since, err);
    track_auto t = pull ? track_off(e->conn, vm, err) : track_now(e->conn, dom, vm, err);
    if (!t)
        return false;
    g_autoptr(GPtrArray) plan = plan_new();
    g_autoptr(GError) lost = NULL;
    const bool tracked = plan_recover(t->disks, targets, durable, user, plan, since, &lost);
    if (!pull && !apply_patiently(t, dom, plan, err)) /* libvirt's bitmaps are libvirt's */
        return false;
    if (!tracked)
        g_propagate_error(err, g_steal_pointer(&lost));
    return tracked;
}

bool
capture_recover(struct capture_engine *e, const struct uuid *vm, const char *const *targets,
                bool (*durable)(void *user, const struct uuid *log), void *user, struct uuid *since, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(e->conn, vm, err);
    if (!dom || !enter(e, vm, err))
        return false;
    set_targets(e, vm, targets);
    const bool ok = recover_here(e, dom, vm, targets, durable, user, since, err);
    set_settled(e, vm, ok ? since : NULL);
    leave(e, vm);
    return ok;
}

/* Bitmaps in images that others may open meanwhile stay; they do no harm, and the next recovery of the running guest removes them. */
static void
leave_unlocked(struct track *t)
{
    for (guint i = t->disks->len; !t->live && i-- > 0;)
        if (!((const struct bitmap_disk *)t->disks->pdata[i])->local)
            g_ptr_array_remove_index(t->disks, i);
}

static bool
forget_here(struct capture_engine *e, virDomainPtr dom, const struct uuid *vm, GError **err)
{
    bool running;
    if (!domain_active(dom, &running, err) || !close_all(e, dom, vm, err) || !checkpoint_delete_others(dom, NULL, err))
        return false;
    if (running && capture_kind_of(e, vm) == CAPTURE_PULL)
        return true;
    track_auto t = track_now(e->conn, dom, vm, err);
    g_autoptr(GPtrArray) plan = plan_new();
    if (!t)
        return false;
    leave_unlocked(t);
    plan_forget(t->disks, plan);
    return track_apply(t, dom, plan, err);
}

bool
capture_forget(struct capture_engine *e, const struct uuid *vm, GError **err)
{
    g_autoptr(virDomain) dom = conn_domain(e->conn, vm, err);
    if (!dom || !enter(e, vm, err))
        return false;
    const bool ok = forget_here(e, dom, vm, err);
    set_settled(e, vm, NULL);
    leave(e, vm);
    return ok;
}

static guint64
marked_now(virDomainPtr dom)
{
    track_auto t = track_live(dom, NULL);
    guint64 sum = 0;
    for (guint i = 0; t && i < t->disks->len; i++) {
        const struct bitmap_disk *disk = t->disks->pdata[i];
        guint64 marked = 0;
        for (guint j = 0; j < disk->bitmaps->len; j++)
            marked += ((const struct bitmap *)disk->bitmaps->pdata[j])->count;
        sum += MIN(marked, disk->size);
    }
    return sum;
}

guint64
capture_pending(struct capture_engine *e, const struct uuid *vm)
{
    struct uuid since;
    g_auto(GStrv) targets = NULL;
    g_autoptr(virDomain) dom = conn_domain(e->conn, vm, NULL);
    if (!dom || virDomainIsActive(dom) != 1)
        return 0;
    if (capture_kind_of(e, vm) == CAPTURE_PUSH)
        return marked_now(dom);
    if (!capture_since(e, vm, &since))
        return 0;
    {
        HOLD(&e->lock);
        targets = g_strdupv(guest_of_locked(e, vm)->targets);
    }
    return pull_pending(dom, (const char *const *)targets, &since);
}
