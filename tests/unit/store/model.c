/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model.h"

#include "base/file.h"
#include "log/reader.h"
#include "log/writer.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#define SIZE_MAX_TEST (1u << 20)
#define FRAME_RAW (16u << 10)

static const char *const targets[MODEL_DISKS] = {"vda", "vdb"};

/* A child that waits for the end of a pipe outlives a killed test just long enough to remove its folder. */
char *
temporary_folder(void)
{
    g_autoptr(GError) err = NULL;
    int ends[2];
    char *dir = g_dir_make_tmp("vmreplica-store-XXXXXX", &err);
    g_assert_no_error(err);
    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid > 0) {
        close(ends[0]);
        return dir;
    }
    char byte;
    setsid();
    close(ends[1]);
    close(0);
    close(1);
    close(2);
    while (read(ends[0], &byte, 1) > 0)
        continue;
    file_remove_tree(dir, NULL);
    _exit(0);
}

static void
version_free(gpointer p)
{
    struct version *v = p;
    for (int i = 0; i < MODEL_DISKS; i++)
        g_free(v->data[i]);
    g_free(v->log);
    g_free(v);
}

struct model *
model_new(const char *dir)
{
    struct model *m = g_new0(struct model, 1);
    m->dir = g_strdup(dir);
    m->vm = uuid_random();
    m->epoch = 1;
    m->capture_us = G_GINT64_CONSTANT(1700000000000000);
    for (int i = 0; i < MODEL_DISKS; i++) {
        m->data[i] = g_malloc0(SIZE_MAX_TEST);
        m->size[i] = (uint64_t)g_test_rand_int_range(64, SIZE_MAX_TEST / 512) * 512;
    }
    m->versions = g_ptr_array_new_with_free_func(version_free);
    return m;
}

void
model_free(struct model *m)
{
    for (int i = 0; i < MODEL_DISKS; i++)
        g_free(m->data[i]);
    g_ptr_array_unref(m->versions);
    g_free(m->dir);
    g_free(m);
}

static void
fill_random(uint8_t *p, size_t len)
{
    guint32 x = (guint32)g_test_rand_int() | 1;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        p[i] = (uint8_t)(x >> 24);
    }
}

static void
fill_words(uint8_t *p, size_t len)
{
    uint8_t words[16][8];
    fill_random(words[0], sizeof words);
    for (size_t i = 0; i < len; i += 8)
        memcpy(p + i, words[g_test_rand_int_range(0, 16)], 8);
}

/* Mostly whole pages as the capture delivers them, sometimes single sectors, sometimes long stretches; a third of it zeros. */
static void
write_somewhere(struct model *m, int disk, struct extents *changed)
{
    uint64_t unit = g_test_rand_int_range(0, 4) ? 4096 : 512;
    uint64_t units = m->size[disk] / unit;
    if (units == 0)
        return;
    uint64_t start = (uint64_t)g_test_rand_int_range(0, (gint32)units);
    uint64_t length = (uint64_t)(g_test_rand_int_range(0, 6) ? g_test_rand_int_range(1, 4) : g_test_rand_int_range(1, 60));
    uint64_t offset = start * unit;
    length = MIN(length, units - start) * unit;
    bool zero = g_test_rand_int_range(0, 3) == 0;
    if (zero)
        memset(m->data[disk] + offset, 0, length);
    else if (m->packs && g_test_rand_int_range(0, 4))
        fill_words(m->data[disk] + offset, length);
    else
        fill_random(m->data[disk] + offset, length);
    extents_add(changed, offset, length, zero && g_test_rand_int_range(0, 2) ? EXTENT_ZERO : EXTENT_DATA);
}

/* Shrinking forgets; what grows later is zeros. */
static void
resize(struct model *m, int disk)
{
    uint64_t size = (uint64_t)g_test_rand_int_range(16, SIZE_MAX_TEST / 512) * 512;
    if (disk > 0 && g_test_rand_int_range(0, 3) == 0)
        size = 0;
    m->size[disk] = size;
    memset(m->data[disk] + size, 0, SIZE_MAX_TEST - size);
}

static struct version *
remember(struct model *m, bool fuzzy, const struct log_info *info)
{
    char id[UUID_TEXT];
    struct version *v = g_new0(struct version, 1);
    v->id = info->id;
    v->parent = info->parent;
    v->fuzzy = fuzzy;
    v->capture_us = info->capture_us;
    v->log = g_strdup_printf("%s/%s.vrl", m->dir, uuid_format(&info->id, id));
    for (int i = 0; i < MODEL_DISKS; i++) {
        v->size[i] = m->size[i];
        v->data[i] = g_memdup2(m->data[i], m->size[i]);
    }
    g_ptr_array_add(m->versions, v);
    m->head = info->id;
    return v;
}

static void
copy_disk(struct model *m, struct log_writer *w, int disk, const struct extents *changed)
{
    g_autoptr(GError) err = NULL;
    uint8_t *data;
    block_auto block = block_mem_new(m->size[disk], &data);
    memcpy(data, m->data[disk], m->size[disk]);
    log_writer_copy(w, (uint16_t)disk, block, changed, NULL, &err);
    g_assert_no_error(err);
}

static void
write_log(struct model *m, const struct version *v, const struct log_info *info, struct extents **changed)
{
    g_autoptr(GError) err = NULL;
    static const int levels[] = {1, -1, 3, 19};
    const int level = m->level ? m->level : m->packs ? levels[info->sequence / 2 % G_N_ELEMENTS(levels)] : 1;
    struct log_writer_options options = {.level = level, .lz4 = !m->level && info->sequence % 2, .frame_raw = FRAME_RAW};
    struct log_totals totals;
    struct log_writer *w = log_writer_create(v->log, info, &options, &err);
    g_assert_no_error(err);
    g_autofree char *xml = g_strdup_printf("<domain number='%" G_GUINT64_FORMAT "'/>", (guint64)info->sequence);
    log_writer_section(w, LOG_SECTION_DOMAIN_XML, xml, strlen(xml), &err);
    g_assert_no_error(err);
    for (int i = 0; i < MODEL_DISKS; i++)
        if (m->size[i])
            copy_disk(m, w, i, changed[i]);
    log_writer_finish(w, &totals, &err);
    g_assert_no_error(err);
    log_writer_free(w);
}

static struct log_info
next_info(struct model *m, bool fuzzy)
{
    m->sequence += (uint64_t)g_test_rand_int_range(1, 3);
    m->capture_us += 30 * G_USEC_PER_SEC;
    return (struct log_info){.vm = m->vm, .id = uuid_random(), .parent = m->head, .epoch = m->epoch, .kind = LOG_KIND_STANDARD,
                             .flags = fuzzy ? LOG_FLAG_FUZZY : 0, .frame_raw_max = FRAME_RAW, .sequence = m->sequence,
                             .capture_us = m->capture_us};
}

/* Takes the extents. */
static struct version *
make_log(struct model *m, bool fuzzy, struct log_info *info, struct extents **changed)
{
    for (int i = 0; i < MODEL_DISKS; i++)
        if (m->size[i])
            log_info_add_disk(info, (uint16_t)i, targets[i], m->size[i]);
    struct version *v = remember(m, fuzzy, info);
    write_log(m, v, info, changed);
    for (int i = 0; i < MODEL_DISKS; i++)
        extents_free(changed[i]);
    log_info_clear(info);
    return v;
}

struct version *
model_step(struct model *m, bool fuzzy)
{
    struct log_info info = next_info(m, fuzzy);
    struct extents *changed[MODEL_DISKS];
    for (int i = 0; i < MODEL_DISKS; i++) {
        changed[i] = extents_new();
        if (!m->fixed_size && g_test_rand_int_range(0, 8) == 0)
            resize(m, i);
        for (int n = g_test_rand_int_range(0, 20); n > 0; n--)
            write_somewhere(m, i, changed[i]);
    }
    return make_log(m, fuzzy, &info, changed);
}

struct version *
model_send(struct model *m, int disk, const struct extents *ranges)
{
    struct log_info info = next_info(m, true);
    struct extents *changed[MODEL_DISKS];
    for (int i = 0; i < MODEL_DISKS; i++)
        changed[i] = extents_new();
    for (size_t i = 0; i < extents_count(ranges); i++)
        extents_add(changed[disk], extents_at(ranges, i)->offset, extents_at(ranges, i)->length, EXTENT_DATA);
    return make_log(m, true, &info, changed);
}

uint64_t
model_vital(const char *log)
{
    g_autoptr(GError) err = NULL;
    struct log_reader *r = log_reader_open(log, &err);
    g_assert_no_error(err);
    uint64_t at = LOG_HEADER_FIXED / 2, most = 0;
    for (unsigned i = 0; i < log_reader_frames(r); i++) {
        const struct log_frame *f = log_reader_frame(r, i);
        if (f->stored_length > most)
            at = f->file_offset + LOG_FRAME_FIXED + f->extents_length + f->stored_length / 2;
        most = MAX(most, f->stored_length);
    }
    log_reader_close(r);
    return at;
}

struct version *
model_find(struct model *m, const struct uuid *id)
{
    for (guint i = 0; i < m->versions->len; i++) {
        struct version *v = m->versions->pdata[i];
        if (uuid_equal(&v->id, id))
            return v;
    }
    return NULL;
}

void
model_rewind(struct model *m, const struct uuid *id)
{
    for (;;) {
        struct version *v = m->versions->pdata[m->versions->len - 1];
        if (uuid_equal(&v->id, id)) {
            for (int i = 0; i < MODEL_DISKS; i++) {
                m->size[i] = v->size[i];
                memset(m->data[i], 0, SIZE_MAX_TEST);
                if (v->size[i])
                    memcpy(m->data[i], v->data[i], v->size[i]);
            }
            m->head = *id;
            return;
        }
        g_ptr_array_set_size(m->versions, (gint)m->versions->len - 1);
    }
}

static size_t
random_piece(gint32 most, uint64_t left)
{
    size_t n = (size_t)g_test_rand_int_range(1, most);
    return MIN(n, left);
}

void
model_ingest(struct model *m, struct store *s, const struct version *v)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *bytes = NULL;
    struct store_log log;
    size_t len;

    file_read_all(v->log, 64 << 20, &bytes, &len, &err);
    g_assert_no_error(err);
    for (;;) {
        uint64_t at = store_incoming_size(s, &v->id);
        g_assert_cmpuint(at, <=, len);
        struct store_intake *in = store_intake_open(s, &v->id, at, &err);
        g_assert_no_error(err);
        bool interrupted = false;
        while (at < len && !interrupted) {
            size_t n = random_piece(40000, len - at);
            store_intake_write(in, bytes + at, n, &err);
            g_assert_no_error(err);
            at += n;
            interrupted = g_test_rand_int_range(0, 20) == 0;
        }
        if (at == len && !interrupted) {
            store_intake_commit(in, &log, &err);
            g_assert_no_error(err);
            store_intake_close(in);
            break;
        }
        store_intake_close(in);
    }
    g_assert_true(uuid_equal(&log.id, &v->id));
    g_assert_true(log.fuzzy == v->fuzzy);
    g_assert_cmpuint(log.file_bytes, ==, len);
}

/* What is called zero must be zero, and the answer must cover the range without a gap. */
static void
check_extents(struct block *b, const uint8_t *expected, uint64_t from, uint64_t len)
{
    g_autoptr(GError) err = NULL;
    extents_auto found = extents_new();
    block_extents(b, from, len, found, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(extents_bytes(found), ==, len);
    for (size_t i = 0; i < extents_count(found); i++) {
        const struct extent *e = extents_at(found, i);
        g_assert_cmpuint(e->offset, >=, from);
        for (uint64_t at = e->offset; e->kind == EXTENT_ZERO && at < e->offset + e->length; at++)
            g_assert_cmpuint(expected[at], ==, 0);
    }
}

static void
check_disk(struct block *b, const struct version *v, int disk)
{
    g_autoptr(GError) err = NULL;
    uint64_t size = v->size[disk];
    g_autofree uint8_t *buf = g_malloc(size);
    g_assert_cmpuint(b->size, ==, size);
    for (uint64_t at = 0; at < size;) {
        size_t n = random_piece(300000, size - at);
        block_read(b, buf + at, n, at, &err);
        g_assert_no_error(err);
        check_extents(b, v->data[disk], at, n);
        at += n;
    }
    g_assert_cmpint(memcmp(buf, v->data[disk], size), ==, 0);
}

void
model_check_view(struct model *m, struct view *view, const struct uuid *id)
{
    const struct version *v = model_find(m, id);
    g_assert_nonnull(v);
    g_assert_true(uuid_equal(&view_info(view)->id, id));
    for (int i = 0; i < MODEL_DISKS; i++) {
        struct block *b = view_disk_by_target(view, targets[i]);
        g_assert_true((b != NULL) == (v->size[i] != 0));
        if (b)
            check_disk(b, v, i);
    }
}

static void
check_point(struct model *m, struct store *s, const struct store_log *log)
{
    g_autoptr(GError) err = NULL;
    struct view *v = view_open(store_dir(s), &log->id, &err);
    if (log->fuzzy || log->sequence < store_first_readable(s)) {
        g_assert_null(v);
        return;
    }
    g_assert_no_error(err);
    model_check_view(m, v, &log->id);
    view_close(v);
}

void
model_check_store(struct model *m, struct store *s)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GArray) logs = store_logs(s);
    struct store_log base;
    for (guint i = 0; i < logs->len; i++)
        check_point(m, s, &g_array_index(logs, struct store_log, i));
    if (store_base(s, &base))
        check_point(m, s, &base);
    store_check(s, NULL, NULL, &err);
    g_assert_no_error(err);
}
