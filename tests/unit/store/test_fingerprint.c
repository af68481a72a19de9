/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "log/reader.h"
#include "model.h"
#include "store/fingerprint.h"
#include "store/fpmap.h"
#include "store/testing.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* A primary's disks and its replica's as plain memory.  Whatever happens, a log that was cut down by fingerprints must bring the replica
 * to what the primary has; and when fingerprints are as they should be, it must hold nothing else than what differs. */

enum { DISKS = 2, SIZE = 3 << 20 }; /* three blocks of a map, and a little */

struct pair {
    char *dir;
    struct fingerprint *f;
    struct block *disk[DISKS];
    guint8 *now[DISKS], *there[DISKS];
    guint64 size[DISKS], there_size[DISKS];
    struct uuid vm, head;     /* what the replica has */
    struct uuid asked;        /* answer of durable(); nil: the head */
    guint64 sequence;
};

static char *root;

static bool
is_durable(void *user, const struct uuid *log)
{
    struct pair *p = user;
    return uuid_equal(log, uuid_is_nil(&p->asked) ? &p->head : &p->asked);
}

static void
reopen(struct pair *p)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *dir = g_build_filename(p->dir, "fp", NULL);
    fingerprint_close(p->f);
    p->f = fingerprint_open(dir, is_durable, p, &err);
    g_assert_no_error(err);
}

static void
set_disk(struct pair *p, guint d, guint64 size)
{
    guint8 *data;
    struct block *b = block_mem_new(size, &data);
    if (p->disk[d])
        memcpy(data, p->now[d], MIN(size, p->size[d]));
    block_close(p->disk[d]);
    p->disk[d] = b;
    p->now[d] = data;
    p->size[d] = size;
}

static struct pair *
pair_new(void)
{
    struct pair *p = g_new0(struct pair, 1);
    p->dir = g_strdup_printf("%s/pair-%x", root, g_test_rand_int());
    p->vm = uuid_random();
    for (guint d = 0; d < DISKS; d++)
        set_disk(p, d, SIZE + d * 512);
    reopen(p);
    return p;
}

static void
pair_free(struct pair *p)
{
    fingerprint_close(p->f);
    for (guint d = 0; d < DISKS; d++) {
        block_close(p->disk[d]);
        g_free(p->there[d]);
    }
    file_remove_tree(p->dir, NULL);
    g_free(p->dir);
    g_free(p);
}

static void
scribble(struct pair *p, guint writes)
{
    for (guint i = 0; i < writes; i++) {
        const guint d = (guint)g_test_rand_int_range(0, DISKS);
        const guint64 most = (guint64)g_test_rand_int_range(1, 30) * 512, length = MIN(p->size[d], most);
        const guint64 at = (guint64)g_test_rand_int_range(0, (gint)((p->size[d] - length) / 512 + 1)) * 512;
        memset(p->now[d] + at, g_test_rand_bit() ? g_test_rand_int() : 0, length);
    }
}

/* Everything as data or, where a run of pages is zero, sometimes as known zeros, cut at places that are not those of pages. */
static struct extents *
everything(const struct pair *p, guint d)
{
    struct extents *all = extents_new();
    for (guint64 at = 0; at < p->size[d];) {
        const guint64 most = (guint64)g_test_rand_int_range(1, 400) * 512, n = MIN(p->size[d] - at, most);
        bool zero = true;
        for (guint64 i = at; zero && i < at + n; i++)
            zero = p->now[d][i] == 0;
        extents_add(all, at, n, zero ? EXTENT_ZERO : EXTENT_DATA);
        at += n;
    }
    return all;
}

static struct extents *
whole(const struct pair *p, guint d)
{
    struct extents *all = extents_new();
    extents_add(all, 0, p->size[d], EXTENT_DATA);
    return all;
}

struct made {
    struct uuid id;
    char *path;
    struct log_totals totals;
};

/* The log as far as it is there before it is durable. */
static struct made
make_log(struct pair *p, bool ragged, const struct uuid *id)
{
    g_autoptr(GError) err = NULL;
    const struct log_writer_options options = { .level = 1, .threads = 0 };
    struct made m = { .id = *id };
    struct log_info info = { .vm = p->vm, .id = m.id, .parent = p->head, .sequence = ++p->sequence, .epoch = 1, .kind = LOG_KIND_STANDARD };
    m.path = g_strdup_printf("%s/%" G_GUINT64_FORMAT ".vrl", p->dir, p->sequence);
    for (guint d = 0; d < DISKS; d++)
        log_info_add_disk(&info, (guint16)d, d ? "vdb" : "vda", p->size[d]);
    struct log_writer *w = log_writer_create(m.path, &info, &options, &err);
    g_assert_no_error(err);
    fingerprint_begin(p->f, &info, &err);
    g_assert_no_error(err);
    for (guint d = 0; d < DISKS; d++) {
        extents_auto all = ragged ? everything(p, d) : whole(p, d);
        fingerprint_copy(p->f, w, (guint16)d, p->disk[d], all, NULL, &err);
        g_assert_no_error(err);
    }
    fingerprint_prepare(p->f, &err);
    g_assert_no_error(err);
    log_writer_finish(w, &m.totals, &err);
    g_assert_no_error(err);
    log_writer_free(w);
    log_info_clear(&info);
    return m;
}

static void
put(struct pair *p, guint16 d, const struct log_extent *e, const guint8 *data)
{
    if (e->zero)
        memset(p->there[d] + e->offset, 0, e->length);
    else
        memcpy(p->there[d] + e->offset, data + e->raw_offset, e->length);
}

/* What a replica does with it. */
static void
ingest(struct pair *p, struct made *m)
{
    g_autoptr(GError) err = NULL;
    struct log_reader *r = log_reader_open(m->path, &err);
    g_assert_no_error(err);
    for (guint d = 0; d < DISKS; d++) {
        p->there[d] = g_realloc(p->there[d], p->size[d]);
        if (p->size[d] > p->there_size[d])
            memset(p->there[d] + p->there_size[d], 0x5a, p->size[d] - p->there_size[d]); /* nobody may count on it */
        p->there_size[d] = p->size[d];
    }
    for (guint i = 0; i < log_reader_frames(r); i++) {
        const struct log_frame *frame = log_reader_frame(r, i);
        g_autofree guint8 *data = g_malloc(frame->raw_length + 1);
        struct log_extent e;
        log_reader_data(r, i, data, &err);
        g_assert_no_error(err);
        for (struct log_extent_iter it = log_frame_extents(frame); log_extent_next(&it, &e);)
            put(p, frame->disk, &e, data);
    }
    log_reader_close(r);
    p->head = m->id;
    unlink(m->path);
    g_clear_pointer(&m->path, g_free);
}

static void
check_equal(const struct pair *p)
{
    for (guint d = 0; d < DISKS; d++)
        g_assert_cmpmem(p->now[d], p->size[d], p->there[d], p->there_size[d]);
}

static struct log_totals
cycle(struct pair *p, bool ragged)
{
    g_autoptr(GError) err = NULL;
    const struct uuid id = uuid_random();
    struct made m = make_log(p, ragged, &id);
    ingest(p, &m);
    fingerprint_commit(p->f, &err);
    g_assert_no_error(err);
    check_equal(p);
    return m.totals;
}

/* Bytes of pages in which the disks differ from the replica's. */
static guint64
differing(const struct pair *p)
{
    guint64 sum = 0;
    for (guint d = 0; d < DISKS; d++)
        for (guint64 at = 0; at < p->size[d]; at += LOG_PAGE) {
            const gsize n = MIN(LOG_PAGE, p->size[d] - at);
            sum += memcmp(p->now[d] + at, p->there[d] + at, n) ? n : 0;
        }
    return sum;
}

static void
test_differences(void)
{
    struct pair *p = pair_new();
    cycle(p, false);
    for (int i = 0; i < 60; i++) {
        scribble(p, (guint)g_test_rand_int_range(0, 12));
        if (g_test_rand_int_range(0, 4) == 0)
            reopen(p);
        const guint64 want = differing(p);
        const struct log_totals t = cycle(p, false);
        g_assert_cmpuint(t.raw_bytes + t.zero_bytes, ==, want);
    }
    const struct uuid log = fingerprint_log(p->f);
    g_assert_true(uuid_equal(&log, &p->head));
    pair_free(p);
}

/* Ranges that are not made of pages cost a little, and are right. */
static void
test_ragged(void)
{
    struct pair *p = pair_new();
    for (int i = 0; i < 60; i++) {
        scribble(p, 8);
        cycle(p, true);
    }
    pair_free(p);
}

static void
test_resize(void)
{
    struct pair *p = pair_new();
    cycle(p, false);
    for (int i = 0; i < 60; i++) {
        const guint d = (guint)g_test_rand_int_range(0, DISKS);
        if (i % 3 == 0)
            set_disk(p, d, (guint64)g_test_rand_int_range(8, 2 * SIZE / 512) * 512);
        scribble(p, 5);
        if (i % 5 == 0)
            reopen(p);
        cycle(p, g_test_rand_bit());
    }
    pair_free(p);
}

static void
test_other_disk(void)
{
    struct pair *p = pair_new();
    scribble(p, 100);
    cycle(p, false);
    for (guint64 i = 0; i < p->size[0]; i++)
        p->now[0][i] = (guint8)g_test_rand_int();
    const struct log_totals t = cycle(p, false);
    g_assert_cmpuint(t.raw_bytes, ==, SIZE);
    pair_free(p);
}

/* The newest log never became durable: as if it had not been. */
static void
test_dropped(void)
{
    struct pair *p = pair_new();
    cycle(p, false);
    for (int i = 0; i < 20; i++) {
        const struct uuid id = uuid_random();
        scribble(p, 10);
        struct made m = make_log(p, false, &id);
        unlink(m.path);
        g_free(m.path);
        if (g_test_rand_bit())
            fingerprint_drop(p->f);
        else
            reopen(p);
        scribble(p, 10);
        const guint64 want = differing(p);
        const struct log_totals t = cycle(p, false);
        g_assert_cmpuint(t.raw_bytes + t.zero_bytes, ==, want);
    }
    pair_free(p);
}

static void
test_other_parent(void)
{
    g_autoptr(GError) err = NULL;
    guint64 unknown;
    struct pair *p = pair_new();
    cycle(p, false);
    g_assert_null(fingerprint_doubt(p->f));
    p->head = uuid_random(); /* the replica stands elsewhere */
    memset(p->there[0], 7, p->size[0]);
    cycle(p, false);
    g_assert_nonnull(fingerprint_doubt(p->f));
    g_assert_true(fingerprint_unknown(p->f, 0, p->size[0], &unknown, &err));
    g_assert_cmpuint(unknown, ==, 0);
    g_assert_true(fingerprint_unknown(p->f, 0, p->size[0] + 8192, &unknown, &err));
    g_assert_cmpuint(unknown, ==, 8192);
    g_assert_true(fingerprint_unknown(p->f, 7, 4096, &unknown, &err));
    g_assert_cmpuint(unknown, ==, 4096);
    pair_free(p);
}

static void
test_learn(void)
{
    g_autoptr(GError) err = NULL;
    struct pair *p = pair_new();
    scribble(p, 50);
    cycle(p, false);
    for (int finished = 0; finished < 2; finished++) {
        fingerprint_forget(p->f, "A test.", &err);
        g_assert_no_error(err);
        for (guint d = 0; d < DISKS; d++)
            for (guint64 page = 0; page * LOG_PAGE < p->there_size[d]; page++) {
                const gsize n = MIN(LOG_PAGE, p->there_size[d] - page * LOG_PAGE);
                const struct hash128 h = fingerprint_page(p->there[d] + page * LOG_PAGE, n, fingerprint_key(p->f));
                fingerprint_learn(p->f, (guint16)d, p->there_size[d], page, &h, 1, &err);
                g_assert_no_error(err);
            }
        if (finished && !fingerprint_learned(p->f, &p->head, &err))
            g_assert_no_error(err);
        scribble(p, 5);
        const guint64 want = differing(p);
        const struct log_totals t = cycle(p, false);
        if (finished)
            g_assert_cmpuint(t.raw_bytes + t.zero_bytes, ==, want);
        else
            g_assert_cmpuint(t.raw_bytes + t.zero_bytes, ==, p->size[0] + p->size[1]);
    }
    const struct hash128 h = fingerprint_page("", 1, fingerprint_key(p->f));
    g_assert_true(fingerprint_forget(p->f, "A test.", NULL));
    g_assert_false(fingerprint_learn(p->f, 0, 4096, 1, &h, 1, &err));
    g_assert_error(err, ERR, ERR_MALFORMED);
    pair_free(p);
}

/* ---- damage ---- */

static void
flip(const char *path, goffset at)
{
    guint8 byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
    byte ^= (guint8)(1 << g_test_rand_int_range(0, 8));
    g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
    close(fd);
}

static goffset
length_of(const char *path)
{
    g_autofree char *data = NULL;
    gsize len = 0;
    g_assert_true(file_read_all(path, 64 << 20, &data, &len, NULL));
    return (goffset)len;
}

/* Without zeros at its end, which a journal has before it needs them. */
static goffset
used_of(const char *path)
{
    g_autofree char *data = NULL;
    gsize len = 0;
    g_assert_true(file_read_all(path, 64 << 20, &data, &len, NULL));
    while (len > 0 && !data[len - 1])
        len--;
    return (goffset)len;
}

/* One bit somewhere in one of the files: afterwards too much may be sent, never too little. */
static void
test_bits(void)
{
    static const char *const NAMES[] = { "key", "head", "0.map", "1.map", "journal" };
    guint doubts = 0;
    for (int i = 0; i < 75; i++) {
        struct pair *p = pair_new();
        for (int j = 0; j < 3; j++) {
            scribble(p, 20);
            cycle(p, false);
        }
        g_autofree char *path = g_build_filename(p->dir, "fp", NAMES[i % 5], NULL);
        fingerprint_close(g_steal_pointer(&p->f));
        flip(path, g_test_rand_int_range(0, (gint)used_of(path)));
        reopen(p);
        doubts += fingerprint_doubt(p->f) != NULL;
        scribble(p, 5);
        cycle(p, false);
        pair_free(p);
    }
    g_assert_cmpuint(doubts, >=, 30); /* every head and every key */
}

static void
test_lost_files(void)
{
    static const char *const NAMES[] = { "key", "head", "0.map", "journal" };
    for (guint i = 0; i < G_N_ELEMENTS(NAMES) * 2; i++) {
        struct pair *p = pair_new();
        scribble(p, 50);
        cycle(p, false);
        scribble(p, 50);
        cycle(p, false);
        g_autofree char *path = g_build_filename(p->dir, "fp", NAMES[i / 2], NULL);
        fingerprint_close(g_steal_pointer(&p->f));
        if (i % 2)
            g_assert_cmpint(unlink(path), ==, 0);
        else
            g_assert_cmpint(truncate(path, used_of(path) / 2), ==, 0);
        reopen(p);
        for (int j = 0; j < 3; j++) {
            scribble(p, 5);
            cycle(p, false);
            reopen(p);
        }
        pair_free(p);
    }
}

/* ---- death ---- */

static int deadly;

static void
die_at(void *data, const char *name)
{
    if (--deadly == 0)
        kill(getpid(), SIGKILL);
}

/* In a child: one log, which becomes durable by the file `durable`. */
static void
child(struct pair *p, const struct uuid *id, int steps)
{
    g_autofree char *durable = g_build_filename(p->dir, "durable", NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    deadly = steps;
    fingerprint_testing_hook(p->f, die_at, NULL);
    make_log(p, false, id);
    die_at(NULL, "before the log");
    g_assert_true(file_replace(durable, "", 0, 0600, NULL));
    die_at(NULL, "log");
    g_assert_true(fingerprint_commit(p->f, NULL));
    if (steps % 2) /* other fingerprints write everything out here */
        g_assert_true(fingerprint_forget(p->f, "A test.", NULL));
    _exit(0);
}

static void
test_death(void)
{
    for (int steps = 1, status = SIGKILL; WIFSIGNALED(status); steps++) {
        struct pair *p = pair_new();
        const struct uuid id = uuid_random();
        g_autofree char *durable = g_build_filename(p->dir, "durable", NULL);
        scribble(p, 40);
        cycle(p, false);
        scribble(p, 20);
        const pid_t pid = fork();
        if (pid == 0)
            child(p, &id, steps);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
        if (g_file_test(durable, G_FILE_TEST_EXISTS)) {
            struct made m = { .id = id, .path = g_strdup_printf("%s/2.vrl", p->dir) };
            ingest(p, &m);
            check_equal(p);
        }
        p->sequence++;
        reopen(p);
        const struct uuid log = fingerprint_log(p->f);
        g_assert_true(uuid_is_nil(&log) || uuid_equal(&log, &p->head));
        scribble(p, 10);
        const guint64 want = differing(p);
        const struct log_totals t = cycle(p, false);
        if (!uuid_is_nil(&log))
            g_assert_cmpuint(t.raw_bytes + t.zero_bytes, ==, want);
        pair_free(p);
        g_assert_true(steps > 3 || WIFSIGNALED(status));
    }
}

/* More than a megabyte of journal, so that the maps are synced and the journal begins anew now and then. */
static void
test_long(void)
{
    struct pair *p = pair_new();
    set_disk(p, 0, 32 << 20);
    for (int i = 0; i < 12; i++) {
        for (guint64 at = 0; at < p->size[0]; at += LOG_PAGE)
            p->now[0][at + 5] = (guint8)(i + 1 + (int)(at >> 12));
        cycle(p, false);
        reopen(p);
    }
    g_autofree char *journal = g_build_filename(p->dir, "fp", "journal", NULL);
    g_assert_cmpint(length_of(journal), <, 1400 << 10);
    pair_free(p);
}

/* A record that stays within the file costs the disk its blocks, and not the file's inode.  What is behind the records is no record. */
static void
test_quiet(void)
{
    struct pair *p = pair_new();
    g_autofree char *journal = g_build_filename(p->dir, "fp", "journal", NULL);
    for (int i = 0; i < 3; i++) {
        scribble(p, 5);
        cycle(p, false);
    }
    const goffset length = length_of(journal), used = used_of(journal);
    g_assert_cmpint(used, <, length);
    for (int i = 0; i < 30; i++) {
        scribble(p, 1);
        cycle(p, false);
        if (i % 10 == 9)
            reopen(p);
    }
    g_assert_cmpint(length_of(journal), ==, length);
    g_assert_cmpint(used_of(journal), >, used);
    fingerprint_close(g_steal_pointer(&p->f));
    flip(journal, (gint)length - 1);
    reopen(p);
    scribble(p, 5);
    cycle(p, false);
    g_assert_null(fingerprint_doubt(p->f));
    pair_free(p);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    root = temporary_folder();
    g_test_add_func("/fingerprint/differences", test_differences);
    g_test_add_func("/fingerprint/ragged", test_ragged);
    g_test_add_func("/fingerprint/quiet", test_quiet);
    g_test_add_func("/fingerprint/resize", test_resize);
    g_test_add_func("/fingerprint/other-disk", test_other_disk);
    g_test_add_func("/fingerprint/dropped", test_dropped);
    g_test_add_func("/fingerprint/other-parent", test_other_parent);
    g_test_add_func("/fingerprint/learn", test_learn);
    g_test_add_func("/fingerprint/bits", test_bits);
    g_test_add_func("/fingerprint/lost-files", test_lost_files);
    g_test_add_func("/fingerprint/death", test_death);
    g_test_add_func("/fingerprint/long", test_long);
    const int failed = g_test_run();
    file_remove_tree(root, NULL);
    g_free(root);
    return failed;
}
