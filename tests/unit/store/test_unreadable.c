/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "fixture.h"
#include "store/heal.h"
#include "store/layout.h"
#include "store/scrub.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A store on a disk with bad places: what will not be read tomorrow either is damage, and stops nothing for good. */

static struct {
    struct stat file; /* st_ino 0: none */
    int reading;      /* errno of it; 0: it can be read */
    const char *path; /* NULL: none */
    int opening;      /* errno of it */
} bad;

/* The linker puts these in the place of libc's. */
ssize_t __real_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t __wrap_pread64(int fd, void *buf, size_t len, off_t off);
int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode);

ssize_t
__wrap_pread64(int fd, void *buf, size_t len, off_t off)
{
    struct stat st;
    if (!bad.file.st_ino || fstat(fd, &st) != 0 || st.st_ino != bad.file.st_ino || st.st_dev != bad.file.st_dev)
        return __real_pread64(fd, buf, len, off);
    errno = bad.reading;
    return -1;
}

int
__wrap_open64(const char *path, int flags, mode_t mode)
{
    if (!bad.path || strcmp(path, bad.path) != 0)
        return __real_open64(path, flags, mode);
    errno = bad.opening;
    return -1;
}

static void
bad_to_read(const char *path, int error)
{
    g_assert_cmpint(stat(path, &bad.file), ==, 0);
    bad.reading = error;
}

static void
bad_to_open(const char *path, int error)
{
    bad.path = path;
    bad.opening = error;
}

static void
all_good(void)
{
    bad.file.st_ino = 0;
    bad.path = NULL;
}

static void
save_record(struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    struct scrub_record r;
    scrub_record_init(&r);
    r.ended_us = 7;
    g_assert_true(scrub_record_save(&r, f->dir, &err));
    scrub_record_clear(&r);
}

static void
check_empty(struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    struct scrub_record r;
    g_assert_true(scrub_record_load(&r, f->dir, &err));
    g_assert_no_error(err);
    g_assert_true(!r.saved && r.ended_us == 0);
    scrub_record_clear(&r);
}

/* A pass is due, that is all; before there is a descriptor for it, nothing is known. */
static void
test_record(struct fixture *f, gconstpointer data)
{
    g_autofree char *path = layout_path(f->dir, "scrub.json");
    struct scrub_record r;
    save_record(f);
    bad_to_read(path, EIO);
    check_empty(f);
    all_good();
    bad_to_open(path, EUCLEAN);
    check_empty(f);
    bad_to_open(path, EMFILE);
    g_assert_false(scrub_record_load(&r, f->dir, NULL));
    scrub_record_clear(&r);
    all_good();
    g_assert_true(scrub_record_load(&r, f->dir, NULL) && r.ended_us == 7);
    scrub_record_clear(&r);
}

/* Damage is found by one whole pass; the caller looks at it. */
static GPtrArray *
pass(struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    GPtrArray *found = damage_list_new();
    const struct scrub_wish wish = {.budget = UINT64_MAX};
    struct scrub_place at = {0};
    uint64_t done;
    bool over;
    g_assert_true(scrub_some(f->dir, &at, &wish, found, &done, &over, &err));
    g_assert_no_error(err);
    g_assert_true(over);
    return found;
}

static void
fill(struct fixture *f)
{
    g_autoptr(GError) err = NULL;
    f->model->fixed_size = true;
    for (int i = 0; i < 8; i++)
        fixture_step(f, false);
    const struct version *fourth = f->model->versions->pdata[3];
    g_assert_true(store_apply(f->store, &fourth->id, NULL, &err));
}

/* The inode of a log is broken: it is lost, and the pass goes on behind it. */
static void
test_log(struct fixture *f, gconstpointer data)
{
    static const int broken[] = {EIO, EUCLEAN, EBADMSG};
    fill(f);
    g_autoptr(GArray) entries = layout_list_logs(f->dir, NULL);
    const struct layout_entry *e = &g_array_index(entries, struct layout_entry, 1);
    g_autofree char *path = layout_log_path(f->dir, e->sequence, &e->id);
    for (guint i = 0; i < G_N_ELEMENTS(broken); i++) {
        bad_to_open(path, broken[i]);
        g_autoptr(GPtrArray) found = pass(f);
        all_good();
        g_assert_cmpuint(found->len, ==, 1);
        const struct damage *d = found->pdata[0];
        g_assert_true(d->lost && uuid_equal(&d->log, &e->id));
    }
}

/* That of the base: all of it is damaged; it cannot be mended where it is, which is no failure. */
static void
test_base(struct fixture *f, gconstpointer data)
{
    g_autoptr(GError) err = NULL;
    uint64_t mended = 0;
    bool whole;
    fill(f);
    g_autofree char *path = layout_disk_path(f->dir, 0);
    bad_to_open(path, EUCLEAN);
    g_autoptr(GPtrArray) found = pass(f);
    g_assert_cmpuint(found->len, >, 0);
    struct damage *d = found->pdata[0];
    g_assert_true(d->of_base && d->disk == 0 && extents_bytes(d->where) > 0);
    g_assert_true(store_heal(f->store, d, &mended, &whole, &err));
    g_assert_no_error(err);
    g_assert_true(!whole && mended == 0);
    all_good();
}

/* The base's checksums: what they are about is not called damaged. */
static void
test_sums(struct fixture *f, gconstpointer data)
{
    fill(f);
    g_autofree char *path = layout_sums_path(f->dir, 0);
    bad_to_open(path, EUCLEAN);
    g_autoptr(GPtrArray) unopened = pass(f);
    all_good();
    bad_to_read(path, EIO);
    g_autoptr(GPtrArray) unread = pass(f);
    all_good();
    g_assert_cmpuint(unopened->len + unread->len, ==, 0);
}

static void
flip(const char *path, off_t at)
{
    auto_fd fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;
    g_assert_cmpint(__real_pread64(fd, &byte, 1, at), ==, 1);
    byte ^= 0x20;
    g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
}

/* A log for which there is no descriptor now stops a pass; what it has found is known, and it goes on from there. */
static void
test_stopped(struct fixture *f, gconstpointer data)
{
    const struct scrub_wish wish = {.budget = UINT64_MAX};
    struct scrub_place at = {0};
    uint64_t done;
    bool over;
    fill(f);
    g_autoptr(GPtrArray) found = damage_list_new();
    g_autoptr(GArray) entries = layout_list_logs(f->dir, NULL);
    const struct layout_entry *e = &g_array_index(entries, struct layout_entry, 1);
    g_autofree char *base = layout_disk_path(f->dir, 0), *log = layout_log_path(f->dir, e->sequence, &e->id);
    flip(base, 5);
    bad_to_open(log, EMFILE);
    g_assert_false(scrub_some(f->dir, &at, &wish, found, &done, &over, NULL));
    all_good();
    g_assert_true(found->len == 1 && done > 0 && !over && at.in_logs && at.sequence > e[-1].sequence && at.sequence <= e->sequence);
    g_assert_true(scrub_some(f->dir, &at, &wish, found, &done, &over, NULL));
    g_assert_true(found->len == 1 && over);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/store/unreadable/record", struct fixture, NULL, fixture_setup, test_record, fixture_teardown);
    g_test_add("/store/unreadable/log", struct fixture, NULL, fixture_setup, test_log, fixture_teardown);
    g_test_add("/store/unreadable/base", struct fixture, NULL, fixture_setup, test_base, fixture_teardown);
    g_test_add("/store/unreadable/sums", struct fixture, NULL, fixture_setup, test_sums, fixture_teardown);
    g_test_add("/store/unreadable/stopped", struct fixture, NULL, fixture_setup, test_stopped, fixture_teardown);
    return fixture_run();
}
