/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/fingerprint_int.h"

#include "base/bytes.h"
#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"

#include <string.h>
#include <sys/random.h>

static const char MAGIC[8] = "VMRFPRT1";
enum { HEAD_MAX = 64 << 10 };
static const guint64 JOURNAL_MAX = 8 << 20; /* then the maps are synced and it begins anew */

static void
step(const struct fingerprint *f, const char *name)
{
    if (f->step)
        f->step(f->step_data, name);
}

void
fingerprint_testing_hook(struct fingerprint *f, void (*fn)(void *data, const char *name), void *data)
{
    f->step = fn;
    f->step_data = data;
}

static char *
path_in(const struct fingerprint *f, const char *name)
{
    return g_build_filename(f->dir, name, NULL);
}

/* ---- disks ---- */

struct fpdisk *
fingerprint_disk(const struct fingerprint *f, guint16 id)
{
    for (guint i = 0; i < f->disks->len; i++)
        if (g_array_index(f->disks, struct fpdisk, i).id == id)
            return &g_array_index(f->disks, struct fpdisk, i);
    return NULL;
}

static struct fpdisk *
add_disk(struct fingerprint *f, guint16 id, guint64 size, GError **err)
{
    g_autofree char *name = g_strdup_printf("%u.map", id);
    g_autofree char *path = path_in(f, name);
    const struct fpdisk d = { id, size, fpmap_open(path, id, f->key, fingerprint_pages(size), err) };
    if (!d.map)
        return NULL;
    g_array_append_val(f->disks, d);
    return fingerprint_disk(f, id);
}

static void
clear_disk(void *p)
{
    fpmap_close(((struct fpdisk *)p)->map);
}

/* ---- head ---- */

/* With the key itself, because a short text does not need all of it. */
static struct hash128
head_digest(const struct fingerprint *f, const void *data, gsize len)
{
    struct hash128_state *s = hash128_new_keyed(f->key);
    hash128_update(s, data, len);
    hash128_update(s, f->key, sizeof f->key);
    return hash128_final(s);
}

static GByteArray *
encode_head(const struct fingerprint *f)
{
    GByteArray *b = g_byte_array_new();
    writer_bytes(b, MAGIC, sizeof MAGIC);
    writer_u64(b, f->generation);
    writer_bytes(b, &f->log, 16);
    writer_u32(b, f->disks->len);
    for (guint i = 0; i < f->disks->len; i++) {
        const struct fpdisk *d = &g_array_index(f->disks, struct fpdisk, i);
        writer_u16(b, d->id);
        writer_u64(b, d->size);
    }
    const struct hash128 digest = head_digest(f, b->data, b->len);
    writer_bytes(b, &digest, sizeof digest);
    return b;
}

/* The state of now, with an empty journal. */
static bool
write_head(struct fingerprint *f, GError **err)
{
    f->generation++;
    g_autoptr(GByteArray) head = encode_head(f);
    g_autofree char *path = path_in(f, "head");
    if (!file_replace(path, head->data, head->len, 0600, err)) {
        f->generation--;
        return false;
    }
    fpjournal_rewind(f->journal, f->generation);
    step(f, "head");
    return true;
}

static bool
decode_disks(struct fingerprint *f, struct reader *r, GError **err)
{
    const guint32 count = reader_u32(r);
    for (guint32 i = 0; i < count && !r->failed; i++) {
        const guint16 id = reader_u16(r);
        const guint64 size = reader_u64(r);
        if (r->failed || size > LOG_DISK_SIZE_MAX || fingerprint_disk(f, id))
            return err_set(err, ERR_CORRUPT, "The list of disks in '%s/head' makes no sense.", f->dir);
        if (!add_disk(f, id, size, err))
            return false;
    }
    return !r->failed || err_set(err, ERR_CORRUPT, "File '%s/head' ends too soon.", f->dir);
}

static bool
decode_head(struct fingerprint *f, const char *data, gsize len, GError **err)
{
    struct hash128 digest;
    struct reader r = reader_over(data, len > sizeof digest ? len - sizeof digest : 0);
    const void *magic = reader_span(&r, sizeof MAGIC);
    if (magic && memcmp(magic, MAGIC, sizeof MAGIC) == 0) {
        digest = head_digest(f, data, len - sizeof digest);
        if (memcmp(&digest, data + len - sizeof digest, sizeof digest) == 0) {
            f->generation = reader_u64(&r);
            reader_copy(&r, &f->log, 16);
            return decode_disks(f, &r, err);
        }
    }
    return err_set(err, ERR_CORRUPT, "File '%s/head' is damaged, or its key is another.", f->dir);
}

/* Absent: a new one. */
static bool
read_head(struct fingerprint *f, GError **err)
{
    g_autofree char *path = path_in(f, "head");
    g_autofree char *data = NULL;
    g_autoptr(GError) why = NULL;
    gsize len;
    if (!file_read_all(path, HEAD_MAX, &data, &len, &why)) {
        if (err_is(why, ERR_NOT_FOUND))
            return true;
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    return decode_head(f, data, len, err);
}

/* ---- key ---- */

static bool
make_key(struct fingerprint *f, const char *path, GError **err)
{
    for (gsize got = 0; got < sizeof f->key;) {
        const ssize_t n = getrandom(f->key + got, sizeof f->key - got, 0);
        if (n < 0)
            return err_errno(err, "There are no random bytes");
        got += (gsize)n;
    }
    return file_replace(path, f->key, sizeof f->key, 0600, err);
}

static bool
read_key(struct fingerprint *f, GError **err)
{
    g_autofree char *path = path_in(f, "key");
    g_autofree char *data = NULL;
    g_autoptr(GError) why = NULL;
    gsize len = 0;
    if (!file_read_all(path, HASH_SECRET, &data, &len, &why) && !err_is(why, ERR_NOT_FOUND) && !err_is(why, ERR_TOO_BIG)) {
        g_propagate_error(err, g_steal_pointer(&why));
        return false;
    }
    if (len != HASH_SECRET)
        return make_key(f, path, err);
    memcpy(f->key, data, HASH_SECRET);
    return true;
}

/* ---- what a record says ---- */

static bool
set_size(struct fingerprint *f, guint16 id, guint64 size, GError **err)
{
    struct fpdisk *d = fingerprint_disk(f, id);
    if (!d)
        return (d = add_disk(f, id, size, err)) && fpmap_clear(d->map, err);
    const guint64 keep = MIN(d->size, size) / LOG_PAGE; /* a page that was short, or is now, has another hash */
    d->size = size;
    return fpmap_resize(d->map, keep, fingerprint_pages(size), err);
}

static bool
take_entry(void *user, const struct fpjournal_entry *e, GError **err)
{
    struct fingerprint *f = user;
    const struct hash128 zero = FPMAP_ZERO, unknown = FPMAP_UNKNOWN;
    struct fpdisk *d = fingerprint_disk(f, e->disk);
    if (e->kind == FPJOURNAL_SIZE && e->page <= LOG_DISK_SIZE_MAX)
        return set_size(f, e->disk, e->page, err);
    if (!d || e->page > fpmap_pages(d->map) || e->count > fpmap_pages(d->map) - e->page || e->kind > FPJOURNAL_UNKNOWN)
        return err_set(err, ERR_CORRUPT, "File '%s/journal' speaks of pages that do not exist.", f->dir);
    if (e->kind == FPJOURNAL_HASHES)
        return fpmap_set(d->map, e->page, e->hashes, (gsize)e->count, err);
    return fpmap_fill(d->map, e->page, e->count, e->kind == FPJOURNAL_ZERO ? &zero : &unknown, err);
}

static bool
play(struct fingerprint *f, const struct fpjournal_record *record, GError **err)
{
    if (!fpjournal_play(f->journal, record, take_entry, f, err))
        return false;
    for (guint i = 0; i < f->disks->len; i++) {
        if (!fpmap_write(g_array_index(f->disks, struct fpdisk, i).map, err))
            return false;
        step(f, "map");
    }
    f->log = record->log;
    fpjournal_keep(f->journal, record);
    return true;
}

/* A record that another follows was durable, because that one was begun; the newest one is asked for. */
static bool
replay(struct fingerprint *f, bool (*durable)(void *user, const struct uuid *log), void *user, GError **err)
{
    struct fpjournal_record next, last;
    bool any = false;
    while (fpjournal_next(f->journal, &next)) {
        const struct uuid *before = any ? &last.log : &f->log;
        if (!uuid_is_nil(before) && !uuid_equal(before, &next.parent))
            break;
        if (any && !play(f, &last, err))
            return false;
        last = next;
        any = true;
        fpjournal_keep(f->journal, &next);
    }
    if (!any)
        return true;
    if (durable(user, &last.log))
        return play(f, &last, err);
    last.length = 0;
    fpjournal_keep(f->journal, &last);
    return true;
}

/* ---- a state as a whole ---- */

static bool
clear_maps(struct fingerprint *f, GError **err)
{
    for (guint i = 0; i < f->disks->len; i++)
        if (!fpmap_clear(g_array_index(f->disks, struct fpdisk, i).map, err))
            return false;
    f->learning = false;
    return true;
}

/* The head first: a head that stands for nothing lets the next open clear the maps. */
bool
fingerprint_forget(struct fingerprint *f, const char *why, GError **err)
{
    f->recording = false;
    f->log = UUID_NIL;
    g_free(f->doubt);
    f->doubt = g_strdup(why);
    if (why)
        log_warning("The fingerprints in '%s' are begun anew: %s", f->dir, why);
    return write_head(f, err) && clear_maps(f, err);
}

static bool
checkpoint(struct fingerprint *f, GError **err)
{
    f->unsynced = true;
    for (guint i = 0; i < f->disks->len; i++)
        if (!fpmap_sync(g_array_index(f->disks, struct fpdisk, i).map, err))
            return false;
    f->unsynced = false;
    step(f, "sync");
    return write_head(f, err);
}

/* No record of an unknown past may fit the new head. */
static bool
begin_anew(struct fingerprint *f, const char *why, GError **err)
{
    const struct uuid any = uuid_random();
    memcpy(&f->generation, &any, sizeof f->generation);
    f->generation = f->generation >> 8 | 1;
    return fingerprint_forget(f, why, err);
}

/* Content that cannot be trusted is no error: it is forgotten. */
static bool
load(struct fingerprint *f, bool (*durable)(void *user, const struct uuid *log), void *user, GError **err)
{
    g_autofree char *path = path_in(f, "journal");
    g_autoptr(GError) why = NULL;
    if (!file_make_dirs(f->dir, 0700, err) || !read_key(f, err) || !(f->journal = fpjournal_open(path, f->key, err)))
        return false;
    bool ok = read_head(f, &why);
    fpjournal_rewind(f->journal, f->generation);
    if (ok && uuid_is_nil(&f->log))
        ok = clear_maps(f, &why);
    if (ok && f->generation == 0)
        ok = begin_anew(f, NULL, &why);
    else if (ok)
        ok = replay(f, durable, user, &why);
    if (ok)
        return true;
    if (err_is(why, ERR_CORRUPT))
        return begin_anew(f, why->message, err);
    g_propagate_error(err, g_steal_pointer(&why));
    return false;
}

struct fingerprint *
fingerprint_open(const char *dir, bool (*durable)(void *user, const struct uuid *log), void *user, GError **err)
{
    struct fingerprint *f = g_new0(struct fingerprint, 1);
    f->dir = g_strdup(dir);
    f->disks = g_array_new(FALSE, FALSE, sizeof(struct fpdisk));
    g_array_set_clear_func(f->disks, clear_disk);
    f->sizes = g_array_new(FALSE, FALSE, sizeof(struct log_disk));
    if (load(f, durable, user, err))
        return f;
    g_array_set_size(f->disks, 0);
    fpjournal_close(f->journal);
    f->journal = NULL;
    fingerprint_close(f);
    return NULL;
}

/* The journal would do, but a short one makes the next open quick. */
void
fingerprint_close(struct fingerprint *f)
{
    if (!f)
        return;
    g_autoptr(GError) why = NULL;
    const bool may = f->journal && !f->learning && !f->unsynced;
    if (may && fpjournal_bytes(f->journal) > JOURNAL_MAX / 8 && !checkpoint(f, &why))
        log_warning("The fingerprints in '%s' were not written out: %s", f->dir, why->message);
    g_array_unref(f->disks);
    g_array_unref(f->sizes);
    fpjournal_close(f->journal);
    g_free(f->doubt);
    g_free(f->dir);
    g_free(f);
}

struct uuid
fingerprint_log(const struct fingerprint *f)
{
    return f->log;
}

const char *
fingerprint_doubt(const struct fingerprint *f)
{
    return f->doubt;
}

struct fingerprint_counts
fingerprint_counts(const struct fingerprint *f)
{
    return f->counts;
}

uint64_t
fingerprint_size(const struct fingerprint *f, uint16_t disk)
{
    const struct fpdisk *d = fingerprint_disk(f, disk);
    return d ? d->size : 0;
}

bool
fingerprint_unknown(struct fingerprint *f, uint16_t disk, uint64_t size, uint64_t *bytes, GError **err)
{
    const struct fpdisk *d = fingerprint_disk(f, disk);
    guint64 pages = 0;
    *bytes = size;
    if (!d)
        return true;
    if (!fpmap_unknown(d->map, &pages, err))
        return false;
    const guint64 have = fpmap_pages(d->map), want = fingerprint_pages(size);
    *bytes = MIN(size, (pages + (want > have ? want - have : 0)) * LOG_PAGE);
    return true;
}

/* ---- one log ---- */

bool
fingerprint_begin(struct fingerprint *f, const struct log_info *info, GError **err)
{
    if (!uuid_is_nil(&f->log) && !uuid_equal(&f->log, &info->parent) &&
        !fingerprint_forget(f, "The fingerprints stand for another change log than the newest one.", err))
        return false;
    if (f->learning && !clear_maps(f, err))
        return false;
    fpjournal_begin(f->journal, &info->id, &info->parent);
    f->recording = true;
    g_array_set_size(f->sizes, 0);
    g_array_append_vals(f->sizes, info->disks, info->disk_count);
    for (guint i = 0; i < info->disk_count; i++) {
        const struct fpdisk *d = fingerprint_disk(f, info->disks[i].id);
        const struct fpjournal_entry e = { FPJOURNAL_SIZE, info->disks[i].id, info->disks[i].size, 1, NULL };
        if ((!d || d->size != info->disks[i].size) && !fpjournal_add(f->journal, &e, err))
            return false;
    }
    /* A disk that the log does not have begins as zeros on the replica if it ever comes back. */
    for (guint i = 0; i < f->disks->len; i++) {
        const struct fpdisk *d = &g_array_index(f->disks, struct fpdisk, i);
        const struct fpjournal_entry e = { FPJOURNAL_SIZE, d->id, 0, 1, NULL };
        if (d->size && !log_info_disk(info, d->id) && !fpjournal_add(f->journal, &e, err))
            return false;
    }
    return true;
}

bool
fingerprint_prepare(struct fingerprint *f, GError **err)
{
    g_assert(f->recording);
    if (!fpjournal_finish(f->journal, err))
        return false;
    step(f, "journal");
    return true;
}

bool
fingerprint_commit(struct fingerprint *f, GError **err)
{
    struct fpjournal_record record;
    g_assert(f->recording);
    f->recording = false;
    if (!fpjournal_next(f->journal, &record))
        return err_set(err, ERR_CORRUPT, "What was written to '%s/journal' cannot be read.", f->dir);
    return play(f, &record, err) && (fpjournal_bytes(f->journal) <= JOURNAL_MAX || checkpoint(f, err));
}

void
fingerprint_drop(struct fingerprint *f)
{
    f->recording = false;
}

/* ---- what the other side has ---- */

const uint8_t *
fingerprint_key(const struct fingerprint *f)
{
    return f->key;
}

bool
fingerprint_learn(struct fingerprint *f, uint16_t disk, uint64_t size, uint64_t page, const struct hash128 *hashes, size_t count,
                  GError **err)
{
    g_assert(uuid_is_nil(&f->log) && !f->recording);
    struct fpdisk *d = fingerprint_disk(f, disk);
    f->learning = true;
    if ((!d || d->size != size) && !set_size(f, disk, size, err))
        return false;
    d = fingerprint_disk(f, disk);
    if (page > fpmap_pages(d->map) || count > fpmap_pages(d->map) - page)
        return err_set(err, ERR_MALFORMED, "The other host names hashes of pages beyond the end of disk %u.", disk);
    return fpmap_set(d->map, page, hashes, count, err);
}

bool
fingerprint_learned(struct fingerprint *f, const struct uuid *log, GError **err)
{
    g_assert(uuid_is_nil(&f->log) && !f->recording);
    f->log = *log;
    if (!checkpoint(f, err)) {
        f->log = UUID_NIL;
        return false;
    }
    f->learning = false;
    g_clear_pointer(&f->doubt, g_free);
    return true;
}

bool
fingerprint_read(struct fingerprint *f, uint16_t disk, uint64_t page, size_t count, struct hash128 *out, GError **err)
{
    const struct fpdisk *d = fingerprint_disk(f, disk);
    for (size_t i = 0; i < count; i++) {
        out[i] = FPMAP_UNKNOWN;
        if (d && page + i < fpmap_pages(d->map) && !fpmap_get(d->map, page + i, &out[i], err))
            return false;
    }
    return true;
}

bool
fingerprint_distrust(struct fingerprint *f, uint16_t disk, uint64_t page, uint64_t count, GError **err)
{
    const struct hash128 unknown = FPMAP_UNKNOWN;
    const struct fpdisk *d = fingerprint_disk(f, disk);
    g_assert(!f->recording);
    if (!d || page >= fpmap_pages(d->map))
        return true;
    return fpmap_fill(d->map, page, MIN(count, fpmap_pages(d->map) - page), &unknown, err) && fpmap_write(d->map, err);
}

static bool
is_zero(const guint8 *p, gsize len)
{
    return p[0] == 0 && (len == 1 || memcmp(p, p + 1, len - 1) == 0);
}

struct hash128
fingerprint_page(const void *data, size_t len, const uint8_t *key)
{
    static const guint8 reserved[15];
    if (is_zero(data, len))
        return FPMAP_ZERO;
    struct hash128 h = hash128_keyed(data, len, key);
    if (memcmp(h.bytes, reserved, sizeof reserved) == 0)
        h.bytes[0] = 0x80;
    return h;
}
