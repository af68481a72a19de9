/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/inventory.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "vm/handle.h"

#include <stdlib.h>
#include <string.h>

/* Lock order: `fetch`, then `lock`.  No libvirt call is made under `lock`: libvirt's event thread takes it. */
struct inventory {
    struct vm_conn *conn;
    GMutex fetch;          /* one whole reading at a time; the others wait for its result */
    GMutex lock;           /* everything below */
    GHashTable *entries;   /* struct uuid -> struct entry */
    gint64 listed_us;      /* monotonic: `entries` named every guest then; 0: never, or somebody came or went since */
    guint64 changes;       /* events so far: what was read before the last one is not kept */
    bool refreshing;       /* the pool has work */
    GThreadPool *pool;     /* one thread; NULL: stopped */
};

struct entry {
    struct uuid vm;
    struct vm_facts *facts; /* NULL: an event said that they are not true any more */
    gint64 read_us;         /* monotonic */
    guint64 cpu_ns;         /* sample for the load */
    gint64 sampled_us;
    gint load;
};

static void
entry_free(void *p)
{
    struct entry *e = p;
    vm_facts_free(e->facts);
    g_free(e);
}

static gint64
age_s(gint64 read_us)
{
    return (clock_mono_us() - read_us) / G_USEC_PER_SEC;
}

/* ---- what is kept ---- */

/* CPU time between two samples at least half a second apart, as a share of all vCPUs. */
static void
sample_load(struct entry *e, struct vm_facts *f)
{
    const gint64 now = clock_mono_us(), passed = now - e->sampled_us;
    if (f->power == VM_OFF || f->power == VM_SAVED) {
        e->sampled_us = 0;
        e->load = -1;
    } else if (!e->sampled_us || f->cpu_ns < e->cpu_ns || passed > G_USEC_PER_SEC / 2) {
        const bool known = e->sampled_us && f->cpu_ns >= e->cpu_ns && f->vcpus;
        e->load = known ? (gint)MIN(100, (f->cpu_ns - e->cpu_ns) / 10 / (guint64)passed / f->vcpus) : -1;
        e->sampled_us = now;
        e->cpu_ns = f->cpu_ns;
    }
    f->load_percent = e->load;
}

/* Keeps `f` unless something happened since `changes` was read; the caller keeps its own share. */
static void
keep(struct inventory *v, struct vm_facts *f, guint64 changes)
{
    HOLD(&v->lock);
    struct entry *e = g_hash_table_lookup(v->entries, &f->uuid);
    if (!e) {
        e = g_new0(struct entry, 1);
        e->vm = f->uuid;
        e->load = -1;
        g_hash_table_insert(v->entries, &e->vm, e);
    }
    sample_load(e, f);
    if (v->changes != changes)
        return;
    vm_facts_free(e->facts);
    e->facts = vm_facts_ref(f);
    e->read_us = clock_mono_us();
}

static guint64
changes_now(struct inventory *v)
{
    HOLD(&v->lock);
    return v->changes;
}

/* Known facts, at most max_s old; NULL: ask libvirt.  *stale: a newer reading would be welcome. */
static struct vm_facts *
recall(struct inventory *v, const struct uuid *vm, gint64 max_s, bool *stale)
{
    HOLD(&v->lock);
    struct entry *e = g_hash_table_lookup(v->entries, vm);
    if (!e || !e->facts || age_s(e->read_us) >= max_s)
        return NULL;
    *stale = *stale || age_s(e->read_us) >= INVENTORY_FRESH_S;
    return vm_facts_ref(e->facts);
}

static void
forget(struct inventory *v, const struct uuid *vm)
{
    HOLD(&v->lock);
    g_hash_table_remove(v->entries, vm);
}

void
inventory_note(struct inventory *v, const struct uuid *vm)
{
    HOLD(&v->lock);
    v->changes++;
    v->listed_us = 0;
    if (uuid_is_nil(vm)) {
        g_hash_table_remove_all(v->entries);
        return;
    }
    struct entry *e = g_hash_table_lookup(v->entries, vm);
    if (e)
        g_clear_pointer(&e->facts, vm_facts_free);
}

/* ---- reading ---- */

static struct vm_facts *
read_one(struct inventory *v, const struct uuid *vm, GError **err)
{
    const guint64 changes = changes_now(v);
    g_autoptr(GError) why = NULL;
    struct vm_facts *f = vm_facts_get(v->conn, vm, &why);
    if (f) {
        keep(v, f, changes);
        return f;
    }
    if (err_is(why, ERR_NO_SUCH_INSTANCE))
        forget(v, vm);
    g_propagate_error(err, g_steal_pointer(&why));
    return NULL;
}

/* Of whom libvirt can tell nothing just now, what it told last.  NULL without an error: gone, or nothing is known; only when libvirt itself
 * is away nobody can say who is there. */
static struct vm_facts *
read_listed(struct inventory *v, virDomainPtr dom, gint64 max_s, GError **err)
{
    g_autoptr(GError) why = NULL;
    struct uuid vm;
    bool stale = false;
    virDomainGetUUID(dom, vm.bytes);
    struct vm_facts *f = recall(v, &vm, max_s, &stale);
    if (f)
        return f;
    const guint64 changes = changes_now(v);
    f = facts_read(v->conn, dom, &why);
    if (f)
        keep(v, f, changes);
    else if (err_is(why, ERR_NOT_AVAILABLE))
        g_propagate_error(err, g_steal_pointer(&why));
    else if (!err_is(why, ERR_NO_SUCH_INSTANCE))
        f = recall(v, &vm, G_MAXINT64, &stale);
    return f;
}

/* Forgets guests that are not in `list`, if nothing happened meanwhile. */
static void
settle(struct inventory *v, const GPtrArray *list, guint64 changes)
{
    g_autoptr(GHashTable) here = g_hash_table_new(uuid_hash, uuid_same);
    for (guint i = 0; i < list->len; i++)
        g_hash_table_add(here, &((struct vm_facts *)list->pdata[i])->uuid);
    HOLD(&v->lock);
    if (v->changes != changes)
        return;
    GHashTableIter it;
    gpointer key;
    g_hash_table_iter_init(&it, v->entries);
    while (g_hash_table_iter_next(&it, &key, NULL))
        if (!g_hash_table_contains(here, key))
            g_hash_table_iter_remove(&it);
    v->listed_us = clock_mono_us();
}

static void
facts_free_cb(void *p)
{
    vm_facts_free(p);
}

/* Asks libvirt who is there and reads those of whom too little is known.  A guest that goes away meanwhile is left out. */
static GPtrArray *
read_all(struct inventory *v, gint64 max_s, GError **err)
{
    virt_conn_auto conn = conn_ref(v->conn, err);
    if (!conn)
        return NULL;
    const guint64 changes = changes_now(v);
    virDomainPtr *all = NULL;
    const int count = virConnectListAllDomains(conn, &all, 0);
    if (count < 0) {
        conn_error(err, "The guests of this host cannot be listed");
        return NULL;
    }
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func(facts_free_cb);
    g_autoptr(GError) away = NULL;
    for (int i = 0; i < count; i++) {
        struct vm_facts *f = away ? NULL : read_listed(v, all[i], max_s, &away);
        if (f)
            g_ptr_array_add(list, f);
        virDomainFree(all[i]);
    }
    free(all);
    if (away) {
        g_propagate_error(err, g_steal_pointer(&away));
        return NULL;
    }
    settle(v, list, changes);
    return g_steal_pointer(&list);
}

/* All guests from memory; NULL: something is missing or too old. */
static GPtrArray *
recall_all(struct inventory *v, bool *stale)
{
    HOLD(&v->lock);
    if (!v->listed_us || age_s(v->listed_us) >= INVENTORY_OLD_S)
        return NULL;
    g_autoptr(GPtrArray) list = g_ptr_array_new_full(g_hash_table_size(v->entries), facts_free_cb);
    GHashTableIter it;
    gpointer value;
    g_hash_table_iter_init(&it, v->entries);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        const struct entry *e = value;
        if (!e->facts || age_s(e->read_us) >= INVENTORY_OLD_S)
            return NULL;
        g_ptr_array_add(list, vm_facts_ref(e->facts));
        *stale = *stale || age_s(e->read_us) >= INVENTORY_FRESH_S;
    }
    *stale = *stale || age_s(v->listed_us) >= INVENTORY_FRESH_S;
    return g_steal_pointer(&list);
}

/* ---- in the background ---- */

static void
refresh(void *work, void *user)
{
    struct inventory *v = user;
    {
        HOLD(&v->fetch);
        g_autoptr(GPtrArray) all G_GNUC_UNUSED = read_all(v, INVENTORY_FRESH_S, NULL);
    }
    HOLD(&v->lock);
    v->refreshing = false;
}

static void
ask_refresh(struct inventory *v)
{
    HOLD(&v->lock);
    if (v->refreshing || !v->pool)
        return;
    v->refreshing = true;
    g_thread_pool_push(v->pool, v, NULL);
}

struct inventory *
inventory_new(struct vm_conn *c)
{
    struct inventory *v = g_new0(struct inventory, 1);
    v->conn = c;
    g_mutex_init(&v->fetch);
    g_mutex_init(&v->lock);
    v->entries = g_hash_table_new_full(uuid_hash, uuid_same, NULL, entry_free);
    v->pool = g_thread_pool_new(refresh, v, 1, FALSE, NULL);
    return v;
}

void
inventory_stop(struct inventory *v)
{
    GThreadPool *pool;
    {
        HOLD(&v->lock);
        pool = g_steal_pointer(&v->pool);
    }
    if (pool)
        g_thread_pool_free(pool, TRUE, TRUE);
}

void
inventory_free(struct inventory *v)
{
    inventory_stop(v);
    g_hash_table_unref(v->entries);
    g_mutex_clear(&v->fetch);
    g_mutex_clear(&v->lock);
    g_free(v);
}

/* ---- the two questions ---- */

struct vm_facts *
vm_view_get(struct vm_conn *c, const struct uuid *vm, GError **err)
{
    struct inventory *v = conn_inventory(c);
    bool stale = false;
    if (!vm_conn_alive(c))
        return vm_facts_get(c, vm, err);
    struct vm_facts *f = recall(v, vm, INVENTORY_OLD_S, &stale);
    if (f && stale)
        ask_refresh(v);
    return f ? f : read_one(v, vm, err);
}

static gint
by_name(gconstpointer a, gconstpointer b)
{
    const struct vm_facts *const *x = a, *const *y = b;
    const int order = strcmp((*x)->name, (*y)->name);
    return order ? order : memcmp(&(*x)->uuid, &(*y)->uuid, sizeof (*x)->uuid);
}

GPtrArray *
vm_view_list(struct vm_conn *c, GError **err)
{
    struct inventory *v = conn_inventory(c);
    bool stale = false;
    virt_conn_auto conn = conn_ref(c, err);
    if (!conn)
        return NULL;
    GPtrArray *list = recall_all(v, &stale);
    if (!list) {
        HOLD(&v->fetch);
        list = recall_all(v, &stale);
        list = list ? list : read_all(v, INVENTORY_OLD_S, err);
    }
    if (list && stale)
        ask_refresh(v);
    if (list)
        g_ptr_array_sort(list, by_name);
    return list;
}
