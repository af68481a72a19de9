/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_guest.h"

#include "base/clean.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"

#include <string.h>
#include <sys/stat.h>

enum { PAGE = 4096 };

struct capture_engine {
    struct fake_host *host;
};

struct capture {
    struct fake_host *host;
    GBytes *nvram, *tpm;
    struct fake_guest *guest;
    struct uuid log;
    enum capture_mode mode;
    gint64 instant_us;
    char *xml;
    GPtrArray *blocks, *extents;
};

/* ---- hosts ---- */

static GMutex hosts_lock;
static GPtrArray *hosts; /* to find a host by a path; serve_* have no connection argument */

struct fake_host *
fake_host_new(const char *dir)
{
    struct fake_host *h = g_new0(struct fake_host, 1);
    h->dir = g_strdup(dir);
    g_assert_true(file_make_dirs(dir, 0755, NULL));
    g_mutex_init(&h->lock);
    g_mutex_init(&h->power);
    g_mutex_init(&h->definitions);
    g_cond_init(&h->changed);
    h->guests = g_ptr_array_new();
    h->instants = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
    h->programs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    h->still = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    HOLD(&hosts_lock);
    if (!hosts)
        hosts = g_ptr_array_new();
    g_ptr_array_add(hosts, h);
    return h;
}

struct fake_host *
fake_host_of(const char *socket)
{
    HOLD(&hosts_lock);
    for (guint i = 0; i < hosts->len; i++) {
        struct fake_host *h = hosts->pdata[i];
        if (g_str_has_prefix(socket, h->dir))
            return h;
    }
    g_assert_not_reached();
}

static void
disk_free(struct fake_disk *d)
{
    g_free(d->target);
    g_free(d->path);
    g_free(d->data);
    g_hash_table_unref(d->dirty);
    g_hash_table_unref(d->before);
    g_free(d);
}

void
fake_host_free(struct fake_host *h)
{
    {
        HOLD(&hosts_lock);
        g_ptr_array_remove(hosts, h);
        if (!hosts->len)
            g_clear_pointer(&hosts, g_ptr_array_unref);
    }
    for (guint i = 0; i < h->guests->len; i++) {
        struct fake_guest *g = h->guests->pdata[i];
        g_ptr_array_unref(g->disks);
        g_free(g);
    }
    g_ptr_array_unref(h->guests);
    g_hash_table_unref(h->instants);
    g_hash_table_unref(h->still);
    g_hash_table_unref(h->programs);
    g_free(h->dir);
    g_free(h);
}

struct vm_conn *
fake_conn(struct fake_host *h)
{
    return (struct vm_conn *)h;
}

struct fake_guest *
fake_guest_locked(struct fake_host *h, const struct uuid *vm)
{
    for (guint i = 0; i < h->guests->len; i++) {
        struct fake_guest *g = h->guests->pdata[i];
        if (uuid_equal(&g->vm, vm))
            return g;
    }
    return NULL;
}

/* ---- guests ---- */

static void
add_disk_locked(struct fake_host *h, struct fake_guest *g, const char *target, guint64 size)
{
    char text[UUID_TEXT];
    struct fake_disk *d = g_new0(struct fake_disk, 1);
    d->target = g_strdup(target);
    d->path = g_strdup_printf("%s/disk-%s-%s", h->dir, uuid_format(&g->vm, text), target);
    d->size = size;
    d->data = g_malloc0(size);
    d->dirty = g_hash_table_new(NULL, NULL);
    d->before = g_hash_table_new(NULL, NULL);
    g_assert_true(g_file_set_contents(d->path, "", 0, NULL));
    g_ptr_array_add(g->disks, d);
    if (g->tracked && g->disks->len > 1)
        g->tracked = false; /* the new disk has no bitmap */
}

static struct fake_guest *
guest_locked(struct fake_host *h, const struct uuid *vm)
{
    struct fake_guest *g = fake_guest_locked(h, vm);
    if (g)
        return g;
    g = g_new0(struct fake_guest, 1);
    g->vm = *vm;
    g->disks = g_ptr_array_new_with_free_func((GDestroyNotify)disk_free);
    g_ptr_array_add(h->guests, g);
    return g;
}

void
fake_disk_from(struct fake_host *h, const struct uuid *vm, const char *target, guint8 *data, guint64 size, const struct uuid *since)
{
    HOLD(&h->lock);
    struct fake_guest *g = guest_locked(h, vm);
    for (guint i = 0; i < g->disks->len; i++)
        if (!strcmp(((struct fake_disk *)g->disks->pdata[i])->target, target))
            g_ptr_array_remove_index(g->disks, i--);
    add_disk_locked(h, g, target, size);
    struct fake_disk *d = g->disks->pdata[g->disks->len - 1];
    g_free(d->data);
    d->data = data;
    g->tracked = true;
    g->since = *since;
}

bool
fake_image_to_raw(const char *from, const char *format, const char *to, const gint *cancel, GError **err)
{
    struct fake_host *h = fake_host_of(from);
    HOLD(&h->lock);
    for (guint i = 0; i < h->guests->len; i++) {
        const struct fake_guest *g = h->guests->pdata[i];
        for (guint j = 0; j < g->disks->len; j++) {
            const struct fake_disk *d = g->disks->pdata[j];
            if (!strcmp(d->path, from))
                return g_file_set_contents(to, (const char *)d->data, (gssize)d->size, err);
        }
    }
    g_autofree char *data = NULL; /* a guest that is only a definition */
    gsize len;
    if (g_file_get_contents(from, &data, &len, NULL) && len)
        return g_file_set_contents(to, data, (gssize)len, err);
    return err_set(err, ERR_NOT_FOUND, "There is no image '%s'.", from);
}

struct uuid
fake_guest_add(struct fake_host *h, const char *name, guint disks, guint64 size)
{
    char text[UUID_TEXT];
    const struct uuid vm = uuid_random();
    g_autoptr(GString) xml = g_string_new(NULL);
    struct fake_guest *g = g_new0(struct fake_guest, 1);
    g->vm = vm;
    g->disks = g_ptr_array_new_with_free_func((GDestroyNotify)disk_free);
    g_string_printf(xml, "<domain type='qemu'><name>%s</name><uuid>%s</uuid><memory>1024</memory><os><type>hvm</type></os><devices>", name,
                    uuid_format_lower(&vm, text));
    {
        HOLD(&h->lock);
        g_ptr_array_add(h->guests, g);
        for (guint i = 0; i < disks; i++) {
            const char target[] = { 'v', 'd', (char)('a' + i), '\0' };
            add_disk_locked(h, g, target, size);
            g_string_append_printf(xml, "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/x/%s'/>"
                                        "<target dev='%s' bus='virtio'/></disk>", target, target);
        }
    }
    g_string_append(xml, "</devices></domain>");
    g_autofree char *path = g_strdup_printf("%s/xml-%s", h->dir, uuid_format(&vm, text));
    g_assert_true(g_file_set_contents(path, xml->str, -1, NULL));
    fake_power_set(h, &vm, VM_RUNNING);
    return vm;
}

void
fake_disk_add(struct fake_host *h, const struct uuid *vm, const char *target, guint64 size)
{
    {
        HOLD(&h->lock);
        struct fake_guest *g = fake_guest_locked(h, vm);
        const bool tracked = g->tracked;
        add_disk_locked(h, g, target, size);
        g->tracked = tracked;
    }
    if (h->watcher)
        h->watcher(h->watcher_user, vm, "device-added");
}

void
fake_disk_remove(struct fake_host *h, const struct uuid *vm, const char *target)
{
    {
        HOLD(&h->lock);
        struct fake_guest *g = fake_guest_locked(h, vm);
        for (guint i = 0; i < g->disks->len; i++)
            if (!strcmp(((const struct fake_disk *)g->disks->pdata[i])->target, target)) {
                g_ptr_array_remove_index(g->disks, i);
                break;
            }
    }
    if (h->watcher)
        h->watcher(h->watcher_user, vm, "device-removed");
}

static void
write_locked(struct fake_disk *d, guint64 offset, const void *data, gsize len)
{
    memcpy(d->data + offset, data, len);
    for (guint64 page = offset / PAGE; page <= (offset + len - 1) / PAGE; page++)
        g_hash_table_add(d->dirty, GUINT_TO_POINTER((guint)page + 1));
    g_assert_true(g_file_set_contents(d->path, "", 0, NULL));
}

void
fake_write(struct fake_host *h, const struct uuid *vm, guint disk, guint64 offset, const void *data, gsize len)
{
    HOLD(&h->lock);
    write_locked(fake_guest_locked(h, vm)->disks->pdata[disk], offset, data, len);
}

static gboolean
is_beyond(gpointer page, gpointer value, gpointer pages)
{
    return GPOINTER_TO_UINT(page) > GPOINTER_TO_UINT(pages);
}

static bool
resize(struct fake_host *h, const struct uuid *vm, guint disk, guint64 size)
{
    HOLD(&h->lock);
    struct fake_guest *g = fake_guest_locked(h, vm);
    if (g->open)
        return false;
    struct fake_disk *d = g->disks->pdata[disk];
    d->data = g_realloc(d->data, size);
    if (size > d->size)
        memset(d->data + d->size, 0, size - d->size);
    d->size = size;
    g_hash_table_foreach_remove(d->dirty, is_beyond, GUINT_TO_POINTER((guint)(size / PAGE)));
    g_hash_table_foreach_remove(d->before, is_beyond, GUINT_TO_POINTER((guint)(size / PAGE)));
    return g_file_set_contents(d->path, "", 0, NULL);
}

void
fake_disk_resize(struct fake_host *h, const struct uuid *vm, guint disk, guint64 size)
{
    enum { LOOK_US = 1000 };
    while (!resize(h, vm, disk, size))
        g_usleep(LOOK_US);
}

void
fake_guest_write(struct fake_host *h, const struct uuid *vm, guint disk, guint64 offset, const void *data, gsize len)
{
    enum { LOOK_US = 50 };
    for (;; g_usleep(LOOK_US)) {
        if (fake_power(h, vm) == VM_OFF)
            return;
        HOLD(&h->lock);
        if (fake_power(h, vm) == VM_PAUSED)
            continue;
        write_locked(fake_guest_locked(h, vm)->disks->pdata[disk], offset, data, len);
        return;
    }
}

void
fake_scribble(struct fake_host *h, const struct uuid *vm, GRand *rand, guint count)
{
    guint8 page[PAGE];
    HOLD(&h->lock);
    struct fake_guest *g = fake_guest_locked(h, vm);
    for (guint i = 0; g && g->disks->len && i < count; i++) {
        struct fake_disk *d = g->disks->pdata[g_rand_int(rand) % g->disks->len];
        const guint64 at = g_rand_int(rand) % (d->size / PAGE);
        memset(page, 0, sizeof page);
        for (guint j = 0; g_rand_int(rand) % 8 && j < PAGE / 16; j++) /* sometimes a page of zeros */
            page[j * 16] = (guint8)g_rand_int(rand);
        write_locked(d, at * PAGE, page, PAGE);
    }
}

void
fake_kill(struct fake_host *h, const struct uuid *vm)
{
    {
        HOLD(&h->lock);
        struct fake_guest *g = fake_guest_locked(h, vm);
        if (g)
            g->tracked = false;
    }
    fake_power_set(h, vm, VM_OFF);
}

/* ---- memory as blocks ---- */

struct memory {
    struct block block;
    struct capture *capture;
    struct fake_disk *disk; /* live, when copy is NULL */
    guint8 *copy;
};

static bool
memory_read(struct block *b, void *buf, size_t len, uint64_t off, GError **err)
{
    struct memory *m = (struct memory *)b;
    struct fake_host *h = m->capture->host;
    if (!fake_may(h, FAKE_COPY, err))
        return false;
    HOLD(&h->lock);
    h->waiting++;
    g_cond_broadcast(&h->changed);
    while (h->block)
        g_cond_wait(&h->changed, &h->lock);
    h->waiting--;
    memcpy(buf, (m->copy ? m->copy : m->disk->data) + off, len);
    return true;
}

static bool
memory_extents(struct block *b, uint64_t off, uint64_t len, struct extents *out, GError **err)
{
    extents_add(out, off, len, EXTENT_DATA);
    return true;
}

static void
memory_close(struct block *b)
{
    struct memory *m = (struct memory *)b;
    g_free(m->copy);
    g_free(m);
}

static const struct block_ops memory_ops = { memory_read, memory_extents, memory_close };

/* ---- captures ---- */

struct capture_engine *
fake_engine_new(struct vm_conn *conn, const struct capture_config *config)
{
    struct capture_engine *e = g_new0(struct capture_engine, 1);
    e->host = (struct fake_host *)conn;
    return e;
}

void
fake_engine_free(struct capture_engine *e)
{
    g_free(e);
}

void
fake_choose(struct capture_engine *e, const struct uuid *vm, enum capture_kind kind)
{
    HOLD(&e->host->lock);
    struct fake_guest *g = fake_guest_locked(e->host, vm);
    if (g)
        g->kind = kind;
}

static struct fake_disk *
find_disk(struct fake_guest *g, const char *target)
{
    for (guint i = 0; i < g->disks->len; i++) {
        struct fake_disk *d = g->disks->pdata[i];
        if (!strcmp(d->target, target))
            return d;
    }
    return NULL;
}

static void
merge_back(struct fake_guest *g)
{
    for (guint i = 0; i < g->disks->len; i++) {
        struct fake_disk *d = g->disks->pdata[i];
        GHashTableIter it;
        gpointer page;
        g_hash_table_iter_init(&it, d->before);
        while (g_hash_table_iter_next(&it, &page, NULL))
            g_hash_table_add(d->dirty, page);
        g_hash_table_remove_all(d->before);
    }
}

static void
forget_before(struct fake_guest *g)
{
    for (guint i = 0; i < g->disks->len; i++)
        g_hash_table_remove_all(((struct fake_disk *)g->disks->pdata[i])->before);
}

bool
fake_recover(struct capture_engine *e, const struct uuid *vm, const char *const *targets,
             bool (*durable)(void *user, const struct uuid *log), void *user, struct uuid *since, GError **err)
{
    struct fake_host *h = e->host;
    HOLD(&h->lock);
    const struct fake_guest *g = fake_guest_locked(h, vm);
    if (!g)
        return err_set(err, ERR_NO_SUCH_INSTANCE, "There is no such guest.");
    *since = g->since;
    return g->tracked || err_set(err, ERR_TRACKING_LOST, "the bitmaps of the guest are gone.");
}

static guint64
dirty_bytes(struct fake_guest *g)
{
    guint64 sum = 0;
    for (guint i = 0; i < g->disks->len; i++)
        sum += (guint64)g_hash_table_size(((const struct fake_disk *)g->disks->pdata[i])->dirty) * PAGE;
    return sum;
}

static void
add_dirty(struct extents *out, const struct fake_disk *d)
{
    GHashTableIter it;
    gpointer page;
    g_hash_table_iter_init(&it, d->dirty);
    while (g_hash_table_iter_next(&it, &page, NULL))
        extents_add(out, (guint64)(GPOINTER_TO_UINT(page) - 1) * PAGE, PAGE, EXTENT_DATA);
    extents_clip(out, d->size);
}

static void
remember(struct fake_host *h, const struct capture *c, const char *const *targets)
{
    char text[UUID_TEXT];
    if (c->guest->frozen)
        g_hash_table_add(h->still, g_strdup(uuid_format(&c->log, text)));
    for (guint i = 0; targets[i]; i++) {
        const struct fake_disk *d = find_disk(c->guest, targets[i]);
        g_hash_table_insert(h->instants, g_strdup_printf("%s/%u", uuid_format(&c->log, text), i), g_bytes_new(d->data, d->size));
    }
    h->captures++;
}

static void
take_disk(struct capture *c, struct fake_disk *d)
{
    struct memory *m = g_new0(struct memory, 1);
    struct extents *x = extents_new();
    m->block.ops = &memory_ops;
    m->block.size = d->size;
    m->capture = c;
    m->disk = d;
    if (c->mode == CAPTURE_FUZZY_ALL)
        extents_add(x, 0, d->size, EXTENT_DATA);
    else
        add_dirty(x, d);
    if (c->mode == CAPTURE_INSTANT)
        m->copy = g_memdup2(d->data, d->size);
    GHashTable *swap = d->before;
    d->before = d->dirty;
    d->dirty = swap;
    g_ptr_array_add(c->blocks, m);
    g_ptr_array_add(c->extents, x);
}

static bool
may_begin_locked(struct fake_host *h, struct fake_guest *g, const char *const *targets, enum capture_mode mode, GError **err)
{
    if (!g)
        return err_set(err, ERR_NO_SUCH_INSTANCE, "There is no such guest.");
    if (g->open)
        return err_set(err, ERR_IN_USE, "The guest is being captured already.");
    for (guint i = 0; targets[i]; i++)
        if (!find_disk(g, targets[i]))
            return err_set(err, ERR_INVALID_STATE, "The guest has no disk '%s'.", targets[i]);
    if (mode != CAPTURE_FUZZY_ALL && !g->tracked)
        return err_set(err, ERR_TRACKING_LOST, "the bitmaps of the guest are gone.");
    if (mode == CAPTURE_INSTANT && h->scratch && dirty_bytes(g) > h->scratch)
        return err_set(err, ERR_NO_SPACE, "The scratch folder is too small.");
    return true;
}

struct capture *
fake_begin(struct capture_engine *e, const struct uuid *vm, const char *const *targets, enum capture_mode mode, const struct uuid *log,
           GError **err)
{
    struct fake_host *h = e->host;
    if (!fake_may(h, FAKE_BEGIN, err))
        return NULL;
    g_autofree char *xml = fake_definition(h, vm);
    if (!xml)
        return err_set(err, ERR_NO_SUCH_INSTANCE, "There is no such guest."), NULL;
    HOLD(&h->lock);
    struct fake_guest *g = fake_guest_locked(h, vm);
    if (!may_begin_locked(h, g, targets, mode, err))
        return NULL;
    struct capture *c = g_new0(struct capture, 1);
    *c = (struct capture){ .host = h, .guest = g, .log = *log, .mode = mode, .instant_us = clock_wall_us(), .xml = g_steal_pointer(&xml),
                           .blocks = g_ptr_array_new_with_free_func((GDestroyNotify)block_close),
                           .extents = g_ptr_array_new_with_free_func((GDestroyNotify)extents_free) };
    char text[UUID_TEXT];
    c->nvram = g_bytes_new(uuid_format(log, text), UUID_TEXT - 1);
    if (strstr(c->xml, "<tpm") && !h->tpm_mute)
        c->tpm = g_bytes_new(text, UUID_TEXT - 1);
    if (mode == CAPTURE_FUZZY_ALL)
        h->full_reads++;
    if (mode == CAPTURE_INSTANT)
        remember(h, c, targets);
    for (guint i = 0; targets[i]; i++)
        take_disk(c, find_disk(g, targets[i]));
    g->open = c;
    return c;
}

/* ---- frozen file systems ---- */

struct capture *
fake_begin_around(struct capture_engine *e, const struct uuid *vm, const char *const *targets, const struct uuid *log,
                  const struct capture_around *around, GError **err)
{
    around->before(around->user);
    struct capture *c = fake_begin(e, vm, targets, CAPTURE_INSTANT, log, err);
    around->after(around->user);
    return c;
}

struct quiesce {
    struct fake_host *host;
    struct uuid vm;
};

static void
set_frozen(struct fake_host *h, const struct uuid *vm, bool frozen)
{
    HOLD(&h->lock);
    struct fake_guest *g = fake_guest_locked(h, vm);
    h->freezes += frozen;
    if (g)
        g->frozen = frozen;
}

struct quiesce *
fake_quiesce_begin(struct vm_conn *c, const struct uuid *vm, const struct quiesce_config *config, bool *loose, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    *loose = false;
    if (!fake_may(h, FAKE_FREEZE, err))
        return NULL;
    set_frozen(h, vm, true);
    struct quiesce *q = g_new0(struct quiesce, 1);
    *q = (struct quiesce){ h, *vm };
    return q;
}

static bool
thawed_early(struct fake_host *h)
{
    HOLD(&h->lock);
    return h->early;
}

bool
fake_quiesce_end(struct quiesce *q, struct quiesce_report *out, bool *loose, GError **err)
{
    struct fake_host *h = q->host;
    const char *const systems[] = { "/", "/data", NULL };
    *out = (struct quiesce_report){ .filesystems = g_strdupv((char **)(gsize)systems), .frozen = 2, .freeze_us = 5000, .frozen_us = 12000 };
    *loose = !fake_may(h, FAKE_THAW, err);
    if (!*loose)
        set_frozen(h, &q->vm, false);
    out->thawed = *loose || thawed_early(h) ? 0 : 2;
    out->held = out->thawed == 2;
    g_free(q);
    return out->held || *loose ? out->held : err_set(err, ERR_FAILED, "The guest was thawed by somebody else.");
}

bool
fake_thaw(struct vm_conn *c, const struct uuid *vm, guint *count, GError **err)
{
    struct fake_host *h = (struct fake_host *)c;
    if (!fake_may(h, FAKE_THAW, err))
        return false;
    set_frozen(h, vm, false);
    return true;
}

guint
fake_freezes(struct fake_host *h)
{
    HOLD(&h->lock);
    return h->freezes;
}

bool
fake_frozen(struct fake_host *h, const struct uuid *vm)
{
    HOLD(&h->lock);
    return fake_guest_locked(h, vm)->frozen;
}

bool
fake_instant_frozen(struct fake_host *h, const struct uuid *log)
{
    char text[UUID_TEXT];
    HOLD(&h->lock);
    return g_hash_table_contains(h->still, uuid_format(log, text));
}

void
fake_thaw_early(struct fake_host *h, bool early)
{
    HOLD(&h->lock);
    h->early = early;
}

gint64
fake_instant_us(const struct capture *c)
{
    return c->instant_us;
}

const char *
fake_domain_xml(const struct capture *c)
{
    return c->xml;
}

/* Says which capture it belongs to. */
GBytes *
fake_nvram(const struct capture *c)
{
    return c->nvram;
}

GBytes *
fake_tpm(const struct capture *c)
{
    return c->tpm;
}

struct block *
fake_capture_disk(struct capture *c, guint i)
{
    return c->blocks->pdata[i];
}

const struct extents *
fake_capture_extents(const struct capture *c, guint i)
{
    return c->extents->pdata[i];
}

bool
fake_end(struct capture *c, bool durable, GError **err)
{
    {
        HOLD(&c->host->lock);
        struct fake_guest *g = c->guest;
        g->open = NULL;
        if (durable) {
            forget_before(g);
            g->since = c->log;
            g->tracked |= c->mode == CAPTURE_FUZZY_ALL;
        } else {
            merge_back(g);
            g->tracked &= c->mode != CAPTURE_FUZZY_ALL;
        }
    }
    g_ptr_array_unref(c->blocks);
    g_ptr_array_unref(c->extents);
    g_bytes_unref(c->nvram);
    g_clear_pointer(&c->tpm, g_bytes_unref);
    g_free(c->xml);
    g_free(c);
    return true;
}

bool
fake_forget(struct capture_engine *e, const struct uuid *vm, GError **err)
{
    HOLD(&e->host->lock);
    struct fake_guest *g = fake_guest_locked(e->host, vm);
    if (g)
        g->tracked = false;
    return true;
}

guint64
fake_pending(struct capture_engine *e, const struct uuid *vm)
{
    HOLD(&e->host->lock);
    struct fake_guest *g = fake_guest_locked(e->host, vm);
    return g && g->tracked ? dirty_bytes(g) : 0;
}

/* ---- what the test asks ---- */

GBytes *
fake_instant(struct fake_host *h, const struct uuid *log, guint disk)
{
    char text[UUID_TEXT];
    g_autofree char *key = g_strdup_printf("%s/%u", uuid_format(log, text), disk);
    HOLD(&h->lock);
    GBytes *b = g_hash_table_lookup(h->instants, key);
    return b ? g_bytes_ref(b) : NULL;
}

guint
fake_instants(struct fake_host *h)
{
    HOLD(&h->lock);
    return h->captures;
}

guint
fake_full_reads(struct fake_host *h)
{
    HOLD(&h->lock);
    return h->full_reads;
}

void
fake_scratch_small(struct fake_host *h, guint64 bytes)
{
    HOLD(&h->lock);
    h->scratch = bytes;
}

void
fake_block_reads(struct fake_host *h, bool block)
{
    HOLD(&h->lock);
    h->block = block;
    g_cond_broadcast(&h->changed);
}

guint
fake_reads_waiting(struct fake_host *h)
{
    HOLD(&h->lock);
    return h->waiting;
}

void
fake_tpm_mute(struct fake_host *h, bool mute)
{
    HOLD(&h->lock);
    h->tpm_mute = mute;
}
