/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static _Thread_local bool armed, stays;
static _Thread_local unsigned left, failures;
static _Thread_local int error_number;

void
faults_begin(unsigned after, bool stay, int error)
{
    left = after;
    stays = stay;
    error_number = error;
    failures = 0;
    armed = true;
}

unsigned
faults_end(void)
{
    armed = false;
    return failures;
}

static bool
fails(void)
{
    if (!armed)
        return false;
    if (left > 0) {
        left--;
        return false;
    }
    armed = stays;
    failures++;
    errno = error_number;
    return true;
}

/* The names that the linker wants, with those of 64-bit offsets. */
#define WRAP(type, name, parameters, arguments) \
    type __real_##name parameters; \
    type __wrap_##name parameters; \
    type __wrap_##name parameters { return fails() ? -1 : __real_##name arguments; }

WRAP(ssize_t, pwrite64, (int fd, const void *data, size_t len, off_t at), (fd, data, len, at))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, unlink, (const char *path), (path))
WRAP(int, ftruncate64, (int fd, off_t size), (fd, size))
WRAP(int, fallocate64, (int fd, int mode, off_t at, off_t len), (fd, mode, at, len))

int __real_open64(const char *path, int flags, mode_t mode);
int __wrap_open64(const char *path, int flags, mode_t mode);

int
__wrap_open64(const char *path, int flags, mode_t mode)
{
    return (flags & O_CREAT) && fails() ? -1 : __real_open64(path, flags, mode);
}
