/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/baselock.h"

#include "base/err.h"
#include "store/layout.h"

#include <errno.h>
#include <fcntl.h>

static int
lock_range(const char *dir, short type, uint64_t from, uint64_t length, GError **err)
{
    g_autofree char *path = layout_path(dir, "base.lock");
    auto_fd fd = open(path, (type == F_RDLCK ? O_RDONLY : O_RDWR) | O_CLOEXEC);
    if (fd < 0) {
        err_errno(err, "Cannot open '%s'", path);
        return -1;
    }
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)from, .l_len = (off_t)length};
    if (fcntl(fd, F_OFD_SETLK, &range) == 0)
        return g_steal_fd(&fd);
    if (errno == EAGAIN || errno == EACCES)
        err_set(err, ERR_IN_USE, "'%s' is locked: %s.", path,
                type == F_RDLCK ? "the recovery point is being merged or removed" : "an open recovery point needs the present state");
    else
        err_errno(err, "Cannot lock '%s'", path);
    return -1;
}

int
baselock_share(const char *dir, uint64_t sequence, GError **err)
{
    return lock_range(dir, F_RDLCK, sequence, 1, err);
}

/* A length of zero would mean "to the end", so the first log of all takes a byte that no log can have. */
int
baselock_exclude_below(const char *dir, uint64_t sequence, GError **err)
{
    if (sequence == 0)
        return lock_range(dir, F_WRLCK, LAYOUT_SEQUENCE_MAX + 1, 1, err);
    return lock_range(dir, F_WRLCK, 0, sequence, err);
}

int
baselock_exclude_above(const char *dir, uint64_t sequence, GError **err)
{
    return lock_range(dir, F_WRLCK, sequence + 1, 0, err);
}
