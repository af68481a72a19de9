/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "model.h"
#include "store/basesum.h"
#include "store/heal.h"
#include "store/layout.h"
#include "store/retention.h"
#include "store/scrub.h"
#include "store/testing.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Damage is found wherever it is, and what is said of the points is what reading them shows. */

static char *root;

struct scene {
    struct model *model;
    struct store *store;
    char *dir;
};

static void
setup(struct scene *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    f->dir = g_build_filename(root, "store", NULL);
    f->model = model_new(root);
    f->store = store_create(f->dir, &f->model->vm, "guest", &err);
    g_assert_no_error(err);
    f->model->fixed_size = true;
    f->model->packs = data != NULL;
    for (int i = 0; i < 12; i++)
        model_ingest(f->model, f->store, model_step(f->model, false));
    for (int i = 0; i < 4; i++) { /* one by one: pages that were written in part and again */
        struct version *v = f->model->versions->pdata[i];
        store_apply(f->store, &v->id, NULL, &err);
        g_assert_no_error(err);
    }
    store_close(g_steal_pointer(&f->store));
}

static void
teardown(struct scene *f, gconstpointer data)
{
    store_close(f->store);
    file_remove_tree(f->dir, NULL);
    model_free(f->model);
    g_free(f->dir);
}

static GPtrArray *
scrub_all(const char *dir, uint64_t budget)
{
    g_autoptr(GError) err = NULL;
    GPtrArray *found = damage_list_new();
    const struct scrub_wish wish = {.budget = budget};
    struct scrub_place at = {0};
    uint64_t done, sum = 0;
    bool over = false;
    while (!over) {
        scrub_some(dir, &at, &wish, found, &done, &over, &err);
        g_assert_no_error(err);
        g_assert_true(over || done > 0);
        sum += done;
    }
    g_assert_cmpuint(sum, >, 0);
    g_assert_cmpuint(sum, <=, 2 * scrub_total(dir) + (1 << 20));
    return found;
}

static void
flip(const char *path, uint64_t at)
{
    auto_fd fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, &byte, 1, (off_t)at), ==, 1);
    byte ^= 0x20;
    g_assert_cmpint(pwrite(fd, &byte, 1, (off_t)at), ==, 1);
}

static uint64_t
size_of(const char *path)
{
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    return (uint64_t)st.st_size;
}

static char *
some_log_file(struct scene *f, struct uuid *id)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GArray) entries = layout_list_logs(f->dir, &err);
    g_assert_no_error(err);
    const struct layout_entry *e = &g_array_index(entries, struct layout_entry, g_test_rand_int_range(0, (gint32)entries->len - 1));
    *id = e->id;
    return layout_log_path(f->dir, e->sequence, &e->id);
}

/* Does the point read as it was? */
static bool
reads(struct scene *f, const struct uuid *id)
{
    struct view *v = view_open(f->dir, id, NULL);
    const struct version *truth = model_find(f->model, id);
    bool same = v != NULL;
    for (unsigned i = 0; same && i < view_disks(v); i++) {
        struct block *b = view_disk(v, i);
        g_autofree uint8_t *buf = g_malloc(b->size);
        same = block_read(b, buf, b->size, 0, NULL) && memcmp(buf, truth->data[i], b->size) == 0;
    }
    view_close(v);
    return same;
}

/* What is said is what is so; with `exact`, in both directions. */
static void
check_points(struct scene *f, const GPtrArray *found, bool exact)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GArray) entries = layout_list_logs(f->dir, &err);
    struct version *base = f->model->versions->pdata[3];
    g_assert_no_error(err);
    for (guint i = 0; i < entries->len; i++) {
        const struct layout_entry *e = &g_array_index(entries, struct layout_entry, i);
        const bool whole = !damage_of_point(found, e->sequence), right = reads(f, &e->id);
        g_assert_true(exact ? whole == right : !whole || right);
    }
    const struct layout_entry *first = &g_array_index(entries, struct layout_entry, 0);
    const bool whole = !damage_of_point(found, first->sequence - 1), right = reads(f, &base->id);
    g_assert_true(exact ? whole == right : !whole || right);
}

static void
test_whole(struct scene *f, gconstpointer data)
{
    g_autoptr(GPtrArray) fast = scrub_all(f->dir, UINT64_MAX), slow = scrub_all(f->dir, 1), middle = scrub_all(f->dir, 70000);
    g_assert_cmpuint(fast->len + slow->len + middle->len, ==, 0);
    check_points(f, fast, true);
}

/* One bit anywhere in the base. */
static void
test_base(struct scene *f, gconstpointer data)
{
    for (int i = 0; i < 20; i++) {
        const uint16_t disk = (uint16_t)g_test_rand_int_range(0, MODEL_DISKS);
        g_autofree char *path = layout_disk_path(f->dir, disk);
        const uint64_t at = (uint64_t)g_test_rand_int_range(0, (gint32)size_of(path));
        flip(path, at);
        g_autoptr(GPtrArray) found = scrub_all(f->dir, i % 2 ? UINT64_MAX : 5000);
        g_assert_cmpuint(found->len, ==, 1);
        const struct damage *d = found->pdata[0];
        g_assert_true(d->of_base && !d->lost && d->disk == disk);
        g_assert_cmpuint(extents_at(d->where, 0)->offset, ==, at / LOG_PAGE * LOG_PAGE);
        g_assert_nonnull(strstr(d->text, path));
        check_points(f, found, false); /* an undamaged part of the page may be all that a point needs */
        g_assert_nonnull(damage_of_point(found, d->first));
        flip(path, at);
    }
}

/* What the base holds of the disk is more than zeros, which are there without a file, too. */
static bool
has_data(struct scene *f, uint16_t disk)
{
    const struct version *base = f->model->versions->pdata[3];
    for (uint64_t i = 0; i < base->size[disk]; i++)
        if (base->data[disk][i])
            return true;
    return false;
}

static void
test_base_gone(struct scene *f, gconstpointer data)
{
    const uint16_t disk = has_data(f, 0) ? 0 : 1;
    g_autofree char *path = layout_disk_path(f->dir, disk), *sums = layout_sums_path(f->dir, 1 - disk);
    g_assert_cmpint(truncate(path, 0), ==, 0);
    g_autoptr(GPtrArray) cut = scrub_all(f->dir, UINT64_MAX);
    g_assert_cmpuint(cut->len, >, 0);
    g_assert_cmpint(unlink(path), ==, 0);
    g_autoptr(GPtrArray) gone = scrub_all(f->dir, UINT64_MAX);
    g_assert_cmpuint(gone->len, ==, cut->len);
    flip(sums, size_of(sums) - 1);
    g_autoptr(GPtrArray) sum = scrub_all(f->dir, UINT64_MAX);
    g_assert_cmpuint(sum->len, ==, cut->len + 1);
}

/* One bit anywhere in a log. */
static void
test_logs(struct scene *f, gconstpointer data)
{
    for (int i = 0; i < 30; i++) {
        struct uuid id;
        g_autofree char *path = some_log_file(f, &id);
        const uint64_t at = (uint64_t)g_test_rand_int_range(0, (gint32)size_of(path) - 32); /* the rest is the SHA-256 */
        flip(path, at);
        g_autoptr(GPtrArray) found = scrub_all(f->dir, i % 2 ? UINT64_MAX : 5000);
        g_assert_cmpuint(found->len, ==, 1);
        const struct damage *d = found->pdata[0];
        g_assert_true(!d->of_base && uuid_equal(&d->log, &id));
        check_points(f, found, !d->lost);
        flip(path, at);
    }
}

/* A file that cannot be opened now (ELOOP) stops the pass there, is not called damaged, and is looked at when it can be. */
static void
check_unopened(struct scene *f, const char *path)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *aside = g_strconcat(f->dir, ".aside", NULL);
    g_autoptr(GPtrArray) found = damage_list_new();
    const struct scrub_wish wish = {.budget = UINT64_MAX};
    struct scrub_place at = {0};
    uint64_t done;
    bool over;
    g_assert_cmpint(rename(path, aside), ==, 0);
    g_assert_cmpint(symlink(path, path), ==, 0);
    g_assert_false(scrub_some(f->dir, &at, &wish, found, &done, &over, &err));
    g_assert_error(err, ERR, ERR_IO);
    g_clear_error(&err);
    g_assert_true(!over && found->len == 0);
    g_assert_cmpint(rename(aside, path), ==, 0);
    g_assert_true(scrub_some(f->dir, &at, &wish, found, &done, &over, &err));
    g_assert_true(over && done > 0 && found->len == 0);
}

static void
test_unopened(struct scene *f, gconstpointer data)
{
    struct uuid id;
    g_autofree char *log = some_log_file(f, &id), *base = layout_disk_path(f->dir, 0);
    check_unopened(f, log);
    check_unopened(f, base);
}

/* Only a deep look finds the SHA-256, and no point needs it. */
static void
test_deep(struct scene *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct uuid id;
    g_autofree char *path = some_log_file(f, &id);
    flip(path, size_of(path) - 1);
    g_autoptr(GPtrArray) light = scrub_all(f->dir, UINT64_MAX), deep = damage_list_new();
    g_assert_cmpuint(light->len, ==, 0);
    const struct scrub_wish wish = {.budget = UINT64_MAX, .deep = true};
    struct scrub_place at = {0};
    uint64_t done;
    bool over;
    g_assert_true(scrub_some(f->dir, &at, &wish, deep, &done, &over, &err));
    g_assert_true(over && deep->len == 1);
    check_points(f, deep, true);
}

/* A log whose header is damaged: older points stay, newer ones are refused, and replication goes on. */
static void
test_header(struct scene *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    struct version *sixth = f->model->versions->pdata[6], *seventh = f->model->versions->pdata[7];
    struct store_log head, log;
    f->store = store_open(f->dir, &err);
    g_autofree char *path = store_log_path(f->store, &seventh->id);
    store_close(f->store);
    flip(path, 30);
    f->store = store_open(f->dir, &err);
    g_assert_no_error(err);
    g_assert_true(store_head(f->store, &head) && uuid_equal(&head.id, &f->model->head));
    g_assert_true(store_find(f->store, &seventh->id, &log) && log.damaged && uuid_equal(&log.parent, &sixth->id));
    model_ingest(f->model, f->store, model_step(f->model, false));
    g_autoptr(GPtrArray) found = scrub_all(f->dir, UINT64_MAX);
    g_assert_cmpuint(found->len, ==, 1);
    check_points(f, found, true);
    g_assert_true(reads(f, &sixth->id) && !reads(f, &f->model->head));
    g_assert_true(store_check(f->store, &sixth->id, NULL, &err));
    g_assert_false(store_check(f->store, &f->model->head, NULL, &err));
    g_assert_error(err, ERR, ERR_CORRUPT);
    g_clear_error(&err);

    g_autofree char *aside = g_strconcat(f->dir, ".aside", NULL);
    struct scrub_record r; /* and when it can be read again, that is seen */
    scrub_record_init(&r);
    g_ptr_array_add(r.damage, damage_copy(found->pdata[0]));
    g_assert_true(scrub_record_reach(&r, f->dir, &err) && r.damage->len == 1);
    g_assert_cmpint(rename(path, aside), ==, 0);
    g_assert_cmpint(symlink(path, path), ==, 0); /* ELOOP: it is still there */
    g_assert_true(scrub_record_reach(&r, f->dir, &err) && r.damage->len == 1);
    g_assert_cmpint(rename(aside, path), ==, 0);
    flip(path, 30);
    g_assert_true(scrub_record_reach(&r, f->dir, &err) && r.damage->len == 0);
    scrub_record_clear(&r);
}

/* A pass that is cut by a restart goes on where it was; what is mended or overwritten is forgotten. */
static void
test_record(struct scene *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *path = layout_disk_path(f->dir, 0);
    const struct scrub_wish wish = {.budget = 1};
    flip(path, 5);
    bool over = false;
    int pieces = 0;
    for (; !over; pieces++) {
        struct scrub_record r;
        uint64_t done;
        g_assert_true(scrub_record_load(&r, f->dir, &err));
        g_assert_true((r.begun_us != 0) == (pieces != 0));
        scrub_some(f->dir, &r.at, &wish, r.found, &done, &over, &err);
        g_assert_no_error(err);
        scrub_record_step(&r, done, over, 1000 + pieces);
        g_assert_true(scrub_record_save(&r, f->dir, &err));
        scrub_record_clear(&r);
    }
    struct scrub_record r;
    g_assert_cmpint(pieces, >, 3);
    g_assert_true(scrub_record_load(&r, f->dir, &err));
    g_assert_cmpint(r.ended_us, ==, 1000 + pieces - 1);
    g_assert_cmpuint(r.damage->len, ==, 1);
    struct version *last = f->model->versions->pdata[f->model->versions->len - 1];
    f->store = store_open(f->dir, &err);
    g_assert_no_error(err);
    g_assert_true(scrub_record_reach(&r, f->dir, &err) && r.damage->len == 1);
    const struct damage *d = r.damage->pdata[0];
    const bool written_again = d->until != UINT64_MAX;
    g_assert_true(store_apply(f->store, &last->id, NULL, &err));
    g_assert_true(scrub_record_reach(&r, f->dir, &err));
    g_assert_cmpuint(r.damage->len, ==, written_again ? 0 : 1);
    scrub_record_clear(&r);
}

/* Whatever was merged: what is said to be whole is. */
static void
check_logs(struct scene *f, const GPtrArray *found)
{
    g_autoptr(GArray) entries = layout_list_logs(f->dir, NULL);
    for (guint i = 0; i < entries->len; i++) {
        const struct layout_entry *e = &g_array_index(entries, struct layout_entry, i);
        g_assert_true(damage_of_point(found, e->sequence) || reads(f, &e->id));
    }
}

/* One with data: without, no point needs it. */
static GPtrArray *
damage_some_frame(struct scene *f)
{
    for (;;) {
        struct uuid id;
        g_autofree char *path = some_log_file(f, &id);
        const uint64_t at = (uint64_t)g_test_rand_int_range(0, (gint32)size_of(path) - 32);
        flip(path, at);
        GPtrArray *found = scrub_all(f->dir, UINT64_MAX);
        const struct damage *d = found->pdata[0];
        if (!d->lost && extents_count(d->where) > 0)
            return found;
        g_ptr_array_unref(found);
        flip(path, at);
    }
}

/* As long as it cannot be read what is damaged, nothing is merged. */
static void
check_unread(struct scene *f, const struct retention_rules *rules)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *path = layout_path(f->dir, "scrub.json"), *aside = g_strconcat(f->dir, ".aside", NULL);
    struct scrub_record r;
    bool more;
    g_assert_cmpint(rename(path, aside), ==, 0);
    g_assert_cmpint(symlink(path, path), ==, 0); /* ELOOP */
    g_assert_false(scrub_record_load(&r, f->dir, NULL));
    scrub_record_clear(&r);
    g_assert_false(retention_step(f->store, rules, NULL, 3, NULL, &more, &err));
    g_assert_error(err, ERR, ERR_IO);
    g_assert_cmpint(rename(aside, path), ==, 0);
}

/* Merging goes round a damaged log: no whole point is spoilt, and nothing fails again and again. */
static void
test_merging(struct scene *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) found = damage_some_frame(f);
    const struct retention_rules rules = {0}; /* nothing but the newest state stays */
    const struct damage *d = found->pdata[0];
    struct scrub_record r;
    scrub_record_init(&r);
    for (guint i = 0; i < found->len; i++)
        g_ptr_array_add(r.damage, damage_copy(found->pdata[i]));
    g_assert_true(scrub_record_save(&r, f->dir, &err));
    scrub_record_clear(&r);
    f->store = store_open(f->dir, &err);
    check_unread(f, &rules);
    bool more = true;
    for (int i = 0; i < 100 && more; i++) {
        g_assert_true(retention_step(f->store, &rules, NULL, 3, NULL, &more, &err));
        g_assert_no_error(err);
        check_logs(f, found);
    }
    g_assert_false(more);
    g_autofree char *damaged = layout_log_path(f->dir, d->first, &d->log);
    struct store_log head;
    g_assert_true(store_head(f->store, &head));
    if (d->until != head.sequence) /* the newest stays a log by itself until a batch of older ones can be merged into it */
        g_assert_true(g_file_test(damaged, G_FILE_TEST_EXISTS) == (d->until == UINT64_MAX));
    if (d->until != UINT64_MAX)
        g_assert_true(reads(f, &f->model->head));
}

/* A base that was made before there were checksums gets them with the next merge. */
static void
test_without(struct scene *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *sums = layout_sums_path(f->dir, 0), *path = layout_disk_path(f->dir, 0);
    struct version *fourth = f->model->versions->pdata[4];
    g_assert_cmpint(unlink(sums), ==, 0);
    g_autoptr(GPtrArray) none = scrub_all(f->dir, UINT64_MAX);
    g_assert_cmpuint(none->len, ==, 0);
    f->store = store_open(f->dir, &err);
    g_assert_true(store_apply(f->store, &fourth->id, NULL, &err));
    g_assert_no_error(err);
    g_autoptr(GPtrArray) good = scrub_all(f->dir, UINT64_MAX);
    g_assert_cmpuint(good->len, ==, 0);
    flip(path, size_of(path) - 1);
    g_autoptr(GPtrArray) bad = scrub_all(f->dir, UINT64_MAX);
    g_assert_cmpuint(bad->len, ==, 1);
}

/* ---- frames are mended in place ---- */

/* A frame with data, and its log as it was. */
struct hit {
    struct uuid log;
    uint64_t at, received_ns;
    size_t extents, stored, len;
    char *path, *bytes, *damaged;
};

static void
hit_clear(struct hit *h)
{
    g_free(h->path);
    g_free(h->bytes);
    g_free(h->damaged);
}

static uint64_t
time_of(const char *path)
{
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    return (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec / 1000 * 1000;
}

/* Of the log at `path`, which is taken; stored 0: that frame has no data. */
static struct hit
frame_of(char *path)
{
    g_autoptr(GError) err = NULL;
    struct hit h = {.path = path, .received_ns = time_of(path)};
    struct log_reader *r = log_reader_open(path, &err);
    g_assert_no_error(err);
    h.log = log_reader_info(r)->id;
    const unsigned frames = log_reader_frames(r);
    if (frames > 0) {
        const struct log_frame *frame = log_reader_frame(r, (unsigned)g_test_rand_int_range(0, (gint32)frames));
        h.at = frame->file_offset;
        h.extents = frame->extents_length;
        h.stored = frame->stored_length;
    }
    log_reader_close(r);
    file_read_all(path, 64 << 20, &h.bytes, &h.len, &err);
    g_assert_no_error(err);
    return h;
}

static struct hit
some_frame(struct scene *f)
{
    for (;;) {
        struct uuid id;
        struct hit h = frame_of(some_log_file(f, &id));
        if (h.stored)
            return h;
        hit_clear(&h);
    }
}

/* Of a log that is the newest, so nothing was written since. */
static struct hit
newest_frame(struct scene *f)
{
    for (;;) {
        const struct version *v = model_step(f->model, false);
        model_ingest(f->model, f->store, v);
        struct hit h = frame_of(store_log_path(f->store, &v->id));
        if (h.stored)
            return h;
        hit_clear(&h);
    }
}

static void
write_log_bytes(const struct hit *h, const char *bytes)
{
    auto_fd fd = open(h->path, O_RDWR | O_CLOEXEC);
    struct timespec t = {(time_t)(h->received_ns / 1000000000u), (long)(h->received_ns % 1000000000u)};
    struct timespec times[2] = {t, t};
    g_assert_cmpint(pwrite(fd, bytes, h->len, 0), ==, (gssize)h->len);
    g_assert_cmpint(futimens(fd, times), ==, 0);
}

enum part { PART_HEAD, PART_HASH, PART_EXTENTS, PART_BIT, PART_PAYLOAD, PART_ALL, PARTS };

static struct damage *
damage_part(struct scene *f, struct hit *h, enum part part)
{
    const size_t data = LOG_FRAME_FIXED + h->extents;
    const size_t from[PARTS] = {0, LOG_FRAME_FIXED - 16, LOG_FRAME_FIXED, data, data, 0};
    const size_t to[PARTS] = {LOG_FRAME_FIXED - 16, LOG_FRAME_FIXED, data, data + h->stored, data + h->stored, data + h->stored};
    const size_t room = to[part] - from[part], n = part == PART_BIT ? 1 : (size_t)g_test_rand_int_range(1, (gint32)room + 1);
    const size_t at = from[part] + (size_t)g_test_rand_int_range(0, (gint32)(room - n) + 1);
    h->damaged = g_memdup2(h->bytes, h->len);
    for (size_t i = at; i < at + n; i++)
        h->damaged[h->at + i] ^= part == PART_BIT ? 0x10 : (char)(1 + g_test_rand_int_range(0, 255));
    write_log_bytes(h, h->damaged);
    g_autoptr(GPtrArray) found = scrub_all(f->dir, UINT64_MAX);
    g_assert_cmpuint(found->len, ==, 1);
    struct damage *d = damage_copy(found->pdata[0]);
    g_assert_true(uuid_equal(&d->log, &h->log) && extents_count(d->where) > 0);
    return d;
}

static bool
file_is(const struct hit *h, const char *bytes)
{
    g_autofree char *now = NULL;
    size_t len;
    g_assert_true(file_read_all(h->path, 64 << 20, &now, &len, NULL));
    return len == h->len && memcmp(now, bytes, len) == 0;
}

/* Has any newer log something in that place? */
static bool
written_since(struct scene *f, const struct damage *d)
{
    g_autoptr(GArray) entries = layout_list_logs(f->dir, NULL);
    extents_auto all = extents_new();
    for (guint i = 0; i < entries->len; i++) {
        const struct layout_entry *e = &g_array_index(entries, struct layout_entry, i);
        g_autofree char *path = layout_log_path(f->dir, e->sequence, &e->id);
        struct log_reader *r = e->sequence > d->first ? log_reader_open(path, NULL) : NULL;
        for (unsigned n = 0; r && n < log_reader_frames(r); n++) {
            struct log_extent_iter it = log_frame_extents(log_reader_frame(r, n));
            struct log_extent x;
            while (log_reader_frame(r, n)->disk == d->disk && log_extent_next(&it, &x))
                extents_add(all, x.offset, x.length, EXTENT_DATA);
        }
        log_reader_close(r);
    }
    extents_auto both = extents_intersect(all, d->where);
    return extents_count(both) > 0;
}

static bool
heal(struct scene *f, struct damage *d)
{
    g_autoptr(GError) err = NULL;
    uint64_t mended = 0;
    bool whole;
    g_assert_true(store_heal(f->store, d, &mended, &whole, &err));
    g_assert_no_error(err);
    g_assert_true(whole == (mended > 0));
    return whole;
}

static void
send_again(struct scene *f, const struct damage *d)
{
    model_ingest(f->model, f->store, model_send(f->model, d->disk, d->where));
    model_ingest(f->model, f->store, model_step(f->model, false));
}

/* Either it is just as it was, or it is as damaged as before, and says why. */
static void
check_mended(struct scene *f, struct hit *h, bool whole)
{
    g_assert_true(file_is(h, whole ? h->bytes : h->damaged));
    g_assert_cmpuint(time_of(h->path), ==, h->received_ns);
    if (!whole)
        write_log_bytes(h, h->bytes);
    model_check_store(f->model, f->store);
}

/* One frame is damaged; what it held is sent again, and the guest goes on. */
static bool
mend_once(struct scene *f, struct hit h, enum part part)
{
    struct damage *d = damage_part(f, &h, part);
    const bool touched = written_since(f, d);
    bool whole = heal(f, d);
    g_assert_true(whole || part >= PART_BIT);
    g_assert_true(whole || touched || !d->stays);
    if (!whole && !d->stays) {
        send_again(f, d);
        whole = heal(f, d);
    }
    g_assert_true(whole || touched);
    g_assert_true(whole != (d->stays != NULL));
    g_assert_true(whole || strstr(d->stays, "written since"));
    check_mended(f, &h, whole);
    damage_free(d);
    hit_clear(&h);
    return whole;
}

static void
test_mend(struct scene *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    int mended = 0;
    f->store = store_open(f->dir, &err);
    g_assert_no_error(err);
    for (int i = 0; i < 3 * PARTS; i++) {
        const enum part part = (enum part)(i % PARTS);
        mended += mend_once(f, some_frame(f), part);
        g_assert_true(mend_once(f, newest_frame(f), part));
    }
    g_test_message("%d of %d that were not the newest", mended, 3 * PARTS);
}

/* A view that was open all the time sees it. */
static void
test_mend_view(struct scene *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    f->store = store_open(f->dir, &err);
    struct hit h = newest_frame(f);
    struct damage *d = damage_part(f, &h, PART_PAYLOAD);
    struct view *v = view_open(f->dir, &h.log, &err);
    g_assert_no_error(err);
    const struct extent *e = extents_at(d->where, 0);
    struct block *b = view_disk(v, d->disk);
    g_autofree uint8_t *buf = g_malloc(e->length);
    g_assert_false(block_read(b, buf, e->length, e->offset, NULL));
    send_again(f, d);
    g_assert_true(heal(f, d));
    model_check_view(f->model, v, &h.log);
    view_close(v);
    damage_free(d);
    hit_clear(&h);
}

/* Packed as this program never does: nothing fits, and that is said. */
static void
test_mend_foreign(struct scene *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    f->store = store_open(f->dir, &err);
    f->model->level = -40;
    struct version *v = NULL;
    for (unsigned packed = 0; packed < 3;) {
        v = model_step(f->model, false);
        model_ingest(f->model, f->store, v);
        struct log_reader *r = log_reader_open(v->log, &err);
        packed = 0;
        for (unsigned i = 0; i < log_reader_frames(r); i++)
            packed += log_reader_frame(r, i)->codec == LOG_CODEC_ZSTD;
        log_reader_close(r);
    }
    struct hit h = {.path = store_log_path(f->store, &v->id), .received_ns = 1000000000};
    struct log_reader *r = log_reader_open(h.path, &err);
    for (unsigned i = 0; i < log_reader_frames(r); i++)
        if (log_reader_frame(r, i)->codec == LOG_CODEC_ZSTD)
            h.at = log_reader_frame(r, i)->file_offset + LOG_FRAME_FIXED + log_reader_frame(r, i)->extents_length;
    log_reader_close(r);
    flip(h.path, h.at);
    g_autoptr(GPtrArray) found = scrub_all(f->dir, UINT64_MAX);
    g_assert_cmpuint(found->len, ==, 1);
    struct damage *d = found->pdata[0];
    send_again(f, d);
    g_assert_false(heal(f, d));
    g_assert_nonnull(strstr(d->stays, "another version of the library"));
    json_t *o = damage_to_json(d);
    struct damage *kept = damage_from_json(o);
    g_assert_cmpstr(kept->stays, ==, d->stays);
    g_assert_false(heal(f, kept));
    damage_free(kept);
    json_decref(o);
    hit_clear(&h);
}

static void
die_at(void *data, const char *step)
{
    int *left = data;
    if (g_str_has_prefix(step, "mend-") && --*left == 0)
        kill(getpid(), SIGKILL);
}

static bool
dies(const char *dir, struct damage *d, int step)
{
    int status;
    const pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        uint64_t mended = 0;
        bool whole;
        struct store *s = store_open(dir, NULL);
        if (!s)
            _exit(2);
        store_testing_hook(s, die_at, &step);
        _exit(store_heal(s, d, &mended, &whole, NULL) && whole ? 0 : 1);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
    return WIFSIGNALED(status);
}

/* SIGKILL after each durable step; the damage is there again each time, half of it written. */
static void
test_mend_crash(struct scene *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    f->store = store_open(f->dir, &err);
    struct hit h = newest_frame(f);
    struct damage *d = damage_part(f, &h, PART_PAYLOAD);
    send_again(f, d);
    int step = 1;
    for (bool died = true; died; step++) {
        struct store_log log;
        store_close(g_steal_pointer(&f->store));
        died = dies(f->dir, d, step);
        f->store = store_open(f->dir, &err);
        g_assert_no_error(err);
        g_assert_true(store_find(f->store, &h.log, &log));
        g_assert_cmpint(log.received_us, ==, (gint64)(h.received_ns / 1000));
        g_assert_true(file_is(&h, h.bytes) || file_is(&h, h.damaged));
        g_autoptr(GPtrArray) found = scrub_all(f->dir, UINT64_MAX);
        g_assert_true(file_is(&h, h.bytes) == (found->len == 0));
        g_autoptr(GPtrArray) names = layout_list_names(f->dir, "incoming", &err);
        g_assert_cmpuint(names->len, ==, 0);
        g_assert_true(!found->len || heal(f, found->pdata[0]));
        model_check_store(f->model, f->store);
        memcpy(h.damaged + h.at, h.bytes + h.at, (LOG_FRAME_FIXED + h.extents + h.stored) / 2); /* a torn write */
        memset(h.damaged + h.at + LOG_FRAME_FIXED + h.extents + h.stored - 1, step, 1);
        if (memcmp(h.damaged, h.bytes, h.len) == 0)
            h.damaged[h.at + LOG_FRAME_FIXED + h.extents + h.stored - 1] ^= 1;
        write_log_bytes(&h, h.damaged);
    }
    g_assert_cmpint(step, ==, 5);
    write_log_bytes(&h, h.bytes);
    damage_free(d);
    hit_clear(&h);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    root = temporary_folder();
#define ADD(name) g_test_add("/scrub/" #name, struct scene, NULL, setup, test_##name, teardown)
    ADD(whole);
    ADD(base);
    ADD(base_gone);
    ADD(logs);
    ADD(unopened);
    ADD(deep);
    ADD(header);
    ADD(record);
    for (int i = 0; i < 8; i++) {
        g_autofree char *name = g_strdup_printf("/scrub/merging/%d", i);
        g_test_add(name, struct scene, NULL, setup, test_merging, teardown);
    }
    ADD(without);
    ADD(mend_view);
    g_test_add("/scrub/mend/raw", struct scene, NULL, setup, test_mend, teardown);
    g_test_add("/scrub/mend/packed", struct scene, "packs", setup, test_mend, teardown);
    g_test_add("/scrub/mend-crash/raw", struct scene, NULL, setup, test_mend_crash, teardown);
    g_test_add("/scrub/mend-crash/packed", struct scene, "packs", setup, test_mend_crash, teardown);
    g_test_add("/scrub/mend-foreign", struct scene, "packs", setup, test_mend_foreign, teardown);
    int failed = g_test_run();
    file_remove_tree(root, NULL);
    g_free(root);
    return failed;
}
