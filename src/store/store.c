/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/store.h"

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "store/baselock.h"
#include "store/layout.h"
#include "store/mend.h"
#include "store/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void
store_testing_hook(struct store *s, void (*hook)(void *data, const char *step), void *data)
{
    s->step = hook;
    s->step_data = data;
}

void
store_step(const struct store *s, const char *name)
{
    if (s->step)
        s->step(s->step_data, name);
}

void
store_set_throttle(struct store *s, struct throttle *t)
{
    __atomic_store_n(&s->throttle, t, __ATOMIC_RELEASE);
}

bool
store_may_merge(const struct store *s, uint64_t bytes, const gint *cancel)
{
    return !store_cancelled(cancel) && throttle_take(__atomic_load_n(&s->throttle, __ATOMIC_ACQUIRE), bytes, cancel);
}

static struct store *
store_new(const char *dir)
{
    struct store *s = g_new0(struct store, 1);
    s->dir = g_strdup(dir);
    s->lock_fd = -1;
    g_mutex_init(&s->change);
    g_mutex_init(&s->lock);
    s->logs = g_array_new(FALSE, FALSE, sizeof(struct store_log));
    s->unsettled = spans_unsettled_new();
    return s;
}

void
store_close(struct store *s)
{
    if (!s)
        return;
    g_assert(!s->intake);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    manifest_clear(&s->manifest);
    g_array_unref(s->logs);
    g_array_unref(s->unsettled);
    g_mutex_clear(&s->change);
    g_mutex_clear(&s->lock);
    g_free(s->dir);
    g_free(s);
}

static bool
lock_store(struct store *s, GError **err)
{
    g_autofree char *path = layout_path(s->dir, "store.lock");
    s->lock_fd = file_lock(path, err);
    return s->lock_fd >= 0;
}

/* It holds nothing but locks. */
static bool
ensure_base_lock(const struct store *s, GError **err)
{
    g_autofree char *path = layout_path(s->dir, "base.lock");
    auto_fd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    return fd >= 0 || err_errno(err, "Cannot create '%s'", path);
}

/* store.json comes last: a folder without it is no store, and what a broken creation or deletion left in it is cleared away here. */
static bool
create_folders(struct store *s, bool keep_base, GError **err)
{
    static const char *const folders[] = {"base", "logs", "incoming", "index"};
    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = layout_path(s->dir, folders[i]);
        if ((!(keep_base && i == 0) && !file_remove_tree(path, err)) || !file_make_dirs(path, 0750, err))
            return false;
    }
    return ensure_base_lock(s, err) && manifest_write(s->dir, &s->manifest, err);
}

static struct store *
create(const char *dir, const struct uuid *vm, const char *name, bool keep_base, GError **err)
{
    struct store *s = store_new(dir);
    g_autofree char *json = layout_path(dir, "store.json");
    bool ok = file_make_dirs(dir, 0750, err) && lock_store(s, err);

    if (ok && g_file_test(json, G_FILE_TEST_EXISTS))
        ok = err_set(err, ERR_EXISTS, "There is already a store in '%s'.", dir);
    s->manifest.vm = s->vm = *vm;
    s->manifest.name = g_strdup(name);
    if (ok && create_folders(s, keep_base, err))
        return s;
    store_close(s);
    return NULL;
}

struct store *
store_create(const char *dir, const struct uuid *vm, const char *name, GError **err)
{
    return create(dir, vm, name, false, err);
}

struct store *
store_create_around(const char *dir, const struct uuid *vm, const char *name, GError **err)
{
    return create(dir, vm, name, true, err);
}

/* Number and id are in its name, and the log before it is the one that it followed: so the chain holds, and older points stay. */
static bool
add_damaged(struct store *s, const struct layout_entry *e, const struct layout_entry *before, GError *why)
{
    const struct manifest *m = &s->manifest;
    const bool in_base = before && m->has_base && before->sequence <= m->base.sequence;
    struct store_log log = {.id = e->id, .sequence = e->sequence, .kind = LOG_KIND_STANDARD, .fuzzy = true, .damaged = true};
    log.parent = before && !in_base ? before->id : m->has_base ? m->base.id : UUID_NIL;
    log_warning("A change log is damaged; recovery points from this one on cannot be used: %s", why->message);
    g_array_append_val(s->logs, log);
    g_error_free(why);
    return true;
}

/* `before`: the file that comes before it; NULL: none. */
static bool
add_log(struct store *s, const struct layout_entry *e, const struct layout_entry *before, GError **err)
{
    g_autofree char *path = layout_log_path(s->dir, e->sequence, &e->id);
    struct store_log log;
    GError *why = NULL;
    if (!layout_read_log(path, &log, &why)) {
        if (err_is(why, ERR_CORRUPT))
            return add_damaged(s, e, before, why);
        g_propagate_error(err, why);
        return false;
    }
    if (!uuid_equal(&log.id, &e->id) || log.sequence != e->sequence)
        return err_set(err, ERR_CORRUPT, "'%s' holds another log than its name says.", path);
    g_array_append_val(s->logs, log);
    return true;
}

/* The newest log's ancestors are the store's logs.  Files that are not among them are what a crash left of an apply (the base stands for
 * them) or of a consolidation (another log carries their content); but only if the chain is whole: where a log is lost, nothing is. */
static bool
read_chain(struct store *s, const GArray *entries, GPtrArray *strays, GError **err)
{
    const struct manifest *m = &s->manifest;
    struct uuid wanted = UUID_NIL;

    for (guint i = entries->len; i-- > 0;) {
        const struct layout_entry *e = &g_array_index(entries, struct layout_entry, i);
        bool applied = m->has_base && e->sequence <= m->base.sequence;
        if (applied || (s->logs->len > 0 && !uuid_equal(&e->id, &wanted))) {
            g_ptr_array_add(strays, layout_log_path(s->dir, e->sequence, &e->id));
            continue;
        }
        if (!add_log(s, e, i ? &g_array_index(entries, struct layout_entry, i - 1) : NULL, err))
            return false;
        wanted = STORE_LOG(s, s->logs->len - 1).parent;
    }
    if (s->logs->len == 0 || uuid_equal(&wanted, m->has_base ? &m->base.id : &UUID_NIL))
        return true;
    char id[UUID_TEXT];
    return err_set(err, ERR_CORRUPT, "The store '%s' lacks the change log '%s'. Put it back, or replicate anew.", s->dir,
                   uuid_format(&wanted, id));
}

static bool
load_logs(struct store *s, GError **err)
{
    g_autoptr(GArray) entries = layout_list_logs(s->dir, err);
    g_autoptr(GPtrArray) strays = g_ptr_array_new_with_free_func(g_free);
    if (!entries || !mend_settle(s->dir, entries, err) || !read_chain(s, entries, strays, err))
        return false;
    for (guint i = 0; i < strays->len; i++) {
        log_info("Removing a log whose content is elsewhere already. file=%s", (const char *)strays->pdata[i]);
        if (!file_unlink_durably(strays->pdata[i], err))
            return false;
    }
    return true;
}

static void
reverse(GArray *logs)
{
    for (guint i = 0, j = logs->len; i + 1 < j; i++) {
        j--;
        struct store_log swap = g_array_index(logs, struct store_log, i);
        g_array_index(logs, struct store_log, i) = g_array_index(logs, struct store_log, j);
        g_array_index(logs, struct store_log, j) = swap;
    }
}

/* Base files and headers that store.json does not name.  While a merge is unfinished, new disks may exist that it does not name yet; the
 * merge makes them anew. */
static bool
is_stray_base(const struct manifest *m, const char *name)
{
    char id[UUID_TEXT];
    if (!m->has_base)
        return true;
    g_autofree char *header = g_strconcat(uuid_format(&m->base.id, id), ".header", NULL);
    if (strcmp(name, header) == 0)
        return false;
    for (unsigned i = 0; i < m->header.info.disk_count; i++) {
        const unsigned disk_id = m->header.info.disks[i].id;
        g_autofree char *disk = g_strdup_printf("disk-%u.raw", disk_id), *sums = g_strdup_printf("disk-%u.sums", disk_id);
        if (strcmp(name, disk) == 0 || strcmp(name, sums) == 0)
            return false;
    }
    return true;
}

static bool
is_stray_incoming(const struct manifest *m, const char *name)
{
    return !g_str_has_suffix(name, ".part");
}

static bool
is_stray_top(const struct manifest *m, const char *name)
{
    return g_str_has_prefix(name, "store.json.") || g_str_has_prefix(name, "scrub.json.");
}

static bool
clean_folder(const struct store *s, const char *sub, bool (*stray)(const struct manifest *, const char *), GError **err)
{
    g_autoptr(GPtrArray) names = layout_list_names(s->dir, sub, err);
    for (guint i = 0; names && i < names->len; i++) {
        g_autofree char *path = g_build_filename(s->dir, sub, names->pdata[i], NULL);
        if (stray(&s->manifest, names->pdata[i]) && !file_unlink_durably(path, err))
            return false;
    }
    return names != NULL;
}

struct store *
store_open(const char *dir, GError **err)
{
    struct store *s = store_new(dir);
    g_autofree char *json = layout_path(dir, "store.json");

    bool ok = g_file_test(json, G_FILE_TEST_EXISTS) || err_set(err, ERR_NOT_FOUND, "There is no store in '%s'.", dir);
    if (ok && lock_store(s, err) && manifest_read(dir, &s->manifest, err) && load_logs(s, err) &&
        ensure_base_lock(s, err) && clean_folder(s, "base", is_stray_base, err) &&
        clean_folder(s, "incoming", is_stray_incoming, err) && clean_folder(s, ".", is_stray_top, err)) {
        reverse(s->logs);
        s->vm = s->manifest.vm;
        return s;
    }
    store_close(s);
    return NULL;
}

const char *
store_dir(const struct store *s)
{
    return s->dir;
}

const struct uuid *
store_vm(const struct store *s)
{
    return &s->vm;
}

bool
store_head_locked(const struct store *s, struct store_log *out)
{
    if (s->logs->len > 0)
        *out = STORE_LOG(s, s->logs->len - 1);
    else if (s->manifest.has_base)
        *out = s->manifest.base;
    else
        return false;
    return true;
}

bool
store_index_locked(const struct store *s, const struct uuid *id, guint *index)
{
    for (guint i = s->logs->len; i-- > 0;)
        if (uuid_equal(&STORE_LOG(s, i).id, id)) {
            *index = i;
            return true;
        }
    return false;
}

GArray *
store_copy_locked(const struct store *s, guint first, guint count)
{
    GArray *copy = g_array_sized_new(FALSE, FALSE, sizeof(struct store_log), count);
    if (count > 0)
        g_array_append_vals(copy, &STORE_LOG(s, first), count);
    return copy;
}

bool
store_no_such_log(const struct store *s, const struct uuid *id, GError **err)
{
    char text[UUID_TEXT];
    return err_set(err, ERR_NOT_FOUND, "The store '%s' has no log '%s'.", s->dir, uuid_format(id, text));
}

bool
store_set_received(const char *path, int64_t received_us, GError **err)
{
    struct timespec t = {received_us / G_USEC_PER_SEC, received_us % G_USEC_PER_SEC * 1000};
    struct timespec times[2] = {t, t};
    return utimensat(AT_FDCWD, path, times, 0) == 0 || err_errno(err, "Cannot set the time of '%s'", path);
}

bool
store_unlink_logs(const struct store *s, const GArray *logs, guint count, const char *step, GError **err)
{
    g_autofree char *folder = layout_path(s->dir, "logs");
    for (guint i = 0; i < count; i++) {
        const struct store_log *log = &g_array_index(logs, struct store_log, i);
        g_autofree char *path = layout_log_path(s->dir, log->sequence, &log->id);
        if (unlink(path) < 0 && errno != ENOENT)
            return err_errno(err, "Cannot remove '%s'", path);
        store_step(s, step);
    }
    return file_sync_dir(folder, err);
}

struct stack *
store_stack(const struct store *s, const GArray *logs, GError **err)
{
    struct stack *stack = stack_new();
    for (guint i = logs->len; i-- > 0;) {
        const struct store_log *log = &g_array_index(logs, struct store_log, i);
        g_autofree char *path = layout_log_path(s->dir, log->sequence, &log->id);
        struct log_reader *r = log_reader_open(path, err);
        if (!r || !stack_push(stack, r, err)) {
            stack_free(stack);
            return NULL;
        }
    }
    return stack;
}

bool
store_head(struct store *s, struct store_log *out)
{
    HOLD(&s->lock);
    return store_head_locked(s, out);
}

bool
store_latest_point(struct store *s, struct store_log *out)
{
    HOLD(&s->lock);
    for (guint i = s->logs->len; i-- > 0;)
        if (!STORE_LOG(s, i).fuzzy) {
            *out = STORE_LOG(s, i);
            return true;
        }
    *out = s->manifest.base;
    return manifest_base_is_exact(&s->manifest) && !s->manifest.base.fuzzy;
}

bool
store_definition(struct store *s, const struct uuid *id, struct hash128 *digest)
{
    static const struct hash128 none;
    HOLD(&s->lock);
    *digest = s->definition;
    return uuid_equal(id, &s->arrived) && memcmp(digest, &none, sizeof none) != 0;
}

GArray *
store_logs(struct store *s)
{
    HOLD(&s->lock);
    return store_copy_locked(s, 0, s->logs->len);
}

bool
store_base(struct store *s, struct store_log *out)
{
    HOLD(&s->lock);
    *out = s->manifest.base;
    return manifest_base_is_exact(&s->manifest);
}

uint64_t
store_first_readable(struct store *s)
{
    HOLD(&s->lock);
    return s->manifest.merging ? s->manifest.merging_to : 0;
}

bool
store_find(struct store *s, const struct uuid *id, struct store_log *out)
{
    guint i;
    HOLD(&s->lock);
    if (store_index_locked(s, id, &i)) {
        *out = STORE_LOG(s, i);
        return true;
    }
    *out = s->manifest.base;
    return manifest_base_is_exact(&s->manifest) && uuid_equal(&out->id, id);
}

char *
store_log_path(struct store *s, const struct uuid *id)
{
    guint i;
    HOLD(&s->lock);
    return store_index_locked(s, id, &i) ? layout_log_path(s->dir, STORE_LOG(s, i).sequence, id) : NULL;
}

char *
store_section(struct store *s, const struct uuid *id, enum log_section type, size_t *len, GError **err)
{
    guint i;
    struct log_header header;

    HOLD(&s->lock);
    if (s->manifest.has_base && uuid_equal(&s->manifest.base.id, id))
        return log_header_section(&s->manifest.header, type, len, err);
    if (!store_index_locked(s, id, &i)) {
        store_no_such_log(s, id, err);
        return NULL;
    }
    g_autofree char *path = layout_log_path(s->dir, STORE_LOG(s, i).sequence, id);
    if (!layout_read_header(path, &header, err))
        return NULL;
    char *data = log_header_section(&header, type, len, err);
    log_header_clear(&header);
    return data;
}

bool
store_delete(struct store *s, GError **err)
{
    g_autofree char *json = layout_path(s->dir, "store.json");
    if (!store_refuse_protected(s, "Deleting the replica", err))
        return false;
    HOLD(&s->change);
    HOLD(&s->lock);
    return file_unlink_durably(json, err) && file_remove_tree(s->dir, err);
}

static uint64_t
allocated_below(const char *dir, const char *sub)
{
    g_autoptr(GPtrArray) names = layout_list_names(dir, sub, NULL);
    uint64_t sum = 0;
    for (guint i = 0; names && i < names->len; i++) {
        struct stat st;
        g_autofree char *path = g_build_filename(dir, sub, names->pdata[i], NULL);
        if (lstat(path, &st) == 0 && S_ISREG(st.st_mode))
            sum += (uint64_t)st.st_blocks * 512;
    }
    return sum;
}

uint64_t
store_disk_bytes(struct store *s)
{
    return allocated_below(s->dir, "base") + allocated_below(s->dir, "logs") + allocated_below(s->dir, "incoming") +
           allocated_below(s->dir, "index") + allocated_below(s->dir, ".");
}
