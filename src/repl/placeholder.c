/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/placeholder.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "repl/activity.h"
#include "repl/additional.h"
#include "repl/failover.h"
#include "store/pins.h"
#include "vm/domxml.h"
#include "vm/fence.h"

#include <sys/stat.h>

char *
placeholder_folder(const char *location, const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_build_filename(location, "vmreplica", uuid_format(vm, text), NULL);
}

/* Of those that the definition has: a disk may have been unplugged from the guest. */
static GArray *
base_disks(struct relation *rel, const char *xml, GPtrArray *paths)
{
    GArray *disks = g_array_new(FALSE, TRUE, sizeof(struct domxml_disk));
    for (guint i = 0; rel->r.disks[i]; i++) {
        if (!domxml_has_disk(xml, rel->r.disks[i]))
            continue;
        char *path = g_strdup_printf("%s/base/disk-%u.raw", rel->r.folder, i);
        const struct domxml_disk disk = { rel->r.disks[i], path, "raw", NULL };
        g_ptr_array_add(paths, path);
        g_array_append_val(disks, disk);
    }
    return disks;
}

bool
placeholder_define(struct core *c, struct relation *rel, const char *xml, GError **err)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) disks = base_disks(rel, xml, paths);
    g_autofree char *folder = g_build_filename(rel->r.folder, "guest", NULL);
    if (!file_make_dirs(folder, 0711, err))
        return false;
    g_autofree char *ours = domxml_for_replica(xml, (const struct domxml_disk *)(gpointer)disks->data, disks->len, folder, err);
    if (!ours || !c->vm->define(c->vms, ours, err))
        return false;
    HOLD(&rel->lock);
    g_free(rel->in.xml_seen);
    rel->in.xml_seen = g_strdup(xml);
    rel->in.xml_digest = (struct hash128){ { 0 } };
    return true;
}

bool
placeholder_fence(struct core *c, struct relation *rel, GError **err)
{
    return fence_raise(c->fence_dir, &rel->vm,
                       "This guest is a replica; fail it over before it is started (vmreplica failover), or remove its replication.", err);
}

static bool
search_by_all(const char *folder, GError **err)
{
    return chmod(folder, 0711) == 0 || err_errno(err, "Folder '%s' cannot be opened for QEMU", folder);
}

static bool
folder_is_free(struct relation *rel, const char *name, GError **err)
{
    if (g_file_test(rel->r.folder, G_FILE_TEST_EXISTS))
        return err_set(err, ERR_EXISTS, "Folder '%s' holds an earlier replica of guest '%s'; move it away or delete it.", rel->r.folder,
                       name);
    return true;
}

static bool
make_store(struct relation *rel, const char *name, GError **err)
{
    g_autofree char *parent = g_path_get_dirname(rel->r.folder);
    struct store *store = file_make_dirs(parent, 0711, err) ? store_create(rel->r.folder, &rel->vm, name, err) : NULL;
    if (!store)
        return false;
    {
        HOLD(&rel->lock);
        rel->in.store = store;
    }
    return search_by_all(rel->r.folder, err);
}

static bool
empty_base(struct relation *rel, const char *const *keep, GError **err)
{
    g_autofree char *base = g_build_filename(rel->r.folder, "base", NULL);
    return !g_file_test(base, G_FILE_TEST_EXISTS) || failover_remove_but(base, keep, err);
}

struct store *
placeholder_fresh_store(struct relation *rel, const char *const *keep, GError **err)
{
    static const char *const parts[] = { "store.json", "logs", "incoming", "scrub.json", NULL };
    g_autofree char *parent = g_path_get_dirname(rel->r.folder);
    if (!store_refuse_protected_folder(rel->r.folder, "Emptying the replica", err))
        return NULL;
    for (gsize i = 0; parts[i]; i++) {
        g_autofree char *path = g_build_filename(rel->r.folder, parts[i], NULL);
        if (!file_remove_tree(path, err))
            return NULL;
    }
    if (!empty_base(rel, keep, err) || !file_make_dirs(parent, 0711, err))
        return NULL;
    struct store *store = store_create_around(rel->r.folder, &rel->vm, rel->r.name, err);
    if (!store || search_by_all(rel->r.folder, err))
        return store;
    store_close(store);
    return NULL;
}

static bool
set_emptying(struct relation *rel, bool on, GError **err)
{
    HOLD(&rel->lock);
    rel->r.emptying = on;
    return relation_save_locked(rel, err);
}

static void
put_store(struct relation *rel, struct store *store)
{
    HOLD(&rel->lock);
    struct store *old = rel->in.store;
    rel->in.store = store;
    rel->in.part = UUID_NIL;
    if (old)
        store_close(old);
}

bool
placeholder_empty(struct core *c, struct relation *rel, GError **err)
{
    activity_detach(rel);
    if (!set_emptying(rel, true, err))
        return false;
    put_store(rel, NULL);
    static const char *const NOTHING[] = { NULL };
    struct store *store = placeholder_fresh_store(rel, NOTHING, err);
    if (!store)
        return false;
    put_store(rel, store);
    return set_emptying(rel, false, err) && activity_attach(c, rel, err);
}

bool
placeholder_remove(struct core *c, struct relation *rel, GError **err)
{
    activity_end(rel);
    if (!c->vm->undefine(c->vms, &rel->vm, err) || !fence_lower(c->fence_dir, &rel->vm, err))
        return false;
    if (rel->in.store)
        store_close(g_steal_pointer(&rel->in.store));
    return store_refuse_protected_folder(rel->r.folder, "Removing the replica", err) &&
           file_remove_tree(rel->r.folder, err) && core_save_definition(c, &rel->vm, NULL, err) && core_remove(c, rel, err);
}

void
placeholder_settings_locked(struct core *c, struct relation *rel, const struct wire_offer *offer)
{
    struct repl_settings *s = &rel->settings;
    g_autoptr(GError) why = NULL;
    const guint before_s = repl_settings_app_s(s);
    rel->r.mode = offer->extended ? MODE_EXTENDED : MODE_REPLICA;
    g_free(s->additional);
    s->additional = g_strdup(offer->additional);
    if (!additional_parse(s, &why)) /* of a newer version; what counts here is in the offer itself */
        log_info("Guest '%s': %s", offer->name, why->message);
    s->interval_ms =
        offer->interval_ms % 1000 || (offer->interval_ms != 30000 && offer->interval_ms != 300000 && offer->interval_ms != 900000)
            ? offer->interval_ms
            : 0;
    s->interval_s = offer->interval_ms >= 900000 ? 900 : offer->interval_ms >= 300000 ? 300 : 30;
    s->history = MIN(offer->history, 24);
    s->keep_every_s = offer->keep_every_s;
    s->app_interval_h = offer->app_interval_h;
    if (repl_settings_app_s(s) != before_s)
        rel->in.app_since_us = clock_wall_us();
    rel->r.primary_port = offer->port;
    g_free(s->recovery_host_system);
    g_free(s->primary_host_system);
    g_free(s->primary_connection_point);
    s->recovery_host_system = g_strdup(c->config.host);
    s->primary_host_system = g_strdup(rel->r.primary_host);
    s->primary_connection_point = g_strdup(rel->r.primary_host);
}

char **
placeholder_targets(const struct wire_offer *offer, GError **err)
{
    g_autoptr(GPtrArray) out = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < offer->disks->len; i++) {
        const struct wire_disk *d = &g_array_index(offer->disks, struct wire_disk, i);
        if (d->id != i || !d->target || !*d->target || strchr(d->target, '/')) {
            err_set(err, ERR_INVALID_PARAMETER, "The offered disks of guest '%s' are not numbered from 0 on, or have no usable names.",
                    offer->name);
            return NULL;
        }
        g_ptr_array_add(out, g_strdup(d->target));
    }
    if (!out->len) {
        err_set(err, ERR_INVALID_PARAMETER, "The offer of guest '%s' names no disk.", offer->name);
        return NULL;
    }
    g_ptr_array_add(out, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&out), FALSE);
}

static bool
build(struct core *c, struct relation *rel, const struct wire_offer *offer, GError **err)
{
    /* The record comes first (state Disabled): a crash in here is found at start and cleaned up, and the folder must not be another's
     * then. */
    if (!folder_is_free(rel, offer->name, err))
        return false;
    {
        HOLD(&rel->lock);
        if (!relation_save_locked(rel, err))
            return false;
    }
    return core_save_definition(c, &rel->vm, offer->domain_xml, err) && make_store(rel, offer->name, err) &&
           placeholder_fence(c, rel, err) && placeholder_define(c, rel, offer->domain_xml, err) && activity_attach(c, rel, err) &&
           relation_event(rel, EVENT_CREATE, NULL, err);
}

/* A folder that was there before us must stay. */
static void
undo(struct core *c, struct relation *rel, const GError *why)
{
    g_autoptr(GError) err = NULL;
    if (err_is(why, ERR_EXISTS) && !rel->in.store) {
        if (!core_save_definition(c, &rel->vm, NULL, &err) || !core_remove(c, rel, &err))
            log_warning("A refused offer left a record behind: %s", err->message);
    } else if (!placeholder_remove(c, rel, &err)) {
        log_warning("A failed placeholder could not be removed: %s  It is tried again at the next start.", err->message);
    }
}

struct relation *
placeholder_make(struct core *c, const struct wire_offer *offer, const struct repl_entry *entry, const char *peer, GError **err)
{
    g_autoptr(GError) why = NULL;
    char **disks = placeholder_targets(offer, err);
    if (!disks)
        return NULL;
    relation_auto rel = relation_new(c, c->db, &offer->vm, 0, SIDE_RECEIVER);
    rel->r.disks = disks;
    rel->r.mode = MODE_REPLICA;
    rel->r.name = g_strdup(offer->name);
    rel->r.epoch = rel->r.peer_epoch = MAX(offer->epoch, 1);
    rel->r.folder = placeholder_folder(entry->location, &offer->vm);
    rel->r.trust_group = g_strdup(entry->trust_group);
    rel->r.primary_host = g_strdup(peer);
    rel->r.active_us = clock_wall_us();
    placeholder_settings_locked(c, rel, offer);
    if (!core_add(c, rel, err))
        return NULL;
    if (build(c, rel, offer, &why))
        return g_steal_pointer(&rel);
    undo(c, rel, why);
    g_propagate_error(err, g_steal_pointer(&why));
    return NULL;
}
