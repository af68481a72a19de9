/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"
#include "fixture.h"
#include "store/layout.h"
#include "store/scrub.h"

#include <errno.h>
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

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/store/unreadable/record", struct fixture, NULL, fixture_setup, test_record, fixture_teardown);
    return fixture_run();
}
