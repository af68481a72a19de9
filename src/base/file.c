/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file.h"

#include "base/err.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

bool
file_read_full(int fd, void *buf, size_t len, uint64_t off, const char *name, GError **err)
{
    uint8_t *to = buf;
    while (len > 0) {
        ssize_t n = pread(fd, to, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "Cannot read '%s'", name);
        if (n == 0)
            return err_set(err, ERR_CORRUPT, "'%s' ends at byte %" G_GUINT64_FORMAT ", before it should.", name, (guint64)off);
        to += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

bool
file_write_full(int fd, const void *buf, size_t len, uint64_t off, const char *name, GError **err)
{
    const uint8_t *from = buf;
    while (len > 0) {
        ssize_t n = pwrite(fd, from, len, (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "Cannot write '%s'", name);
        from += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return true;
}

bool
file_write_pieces(int fd, struct iovec *pieces, size_t count, uint64_t off, const char *name, GError **err)
{
    while (count > 0) {
        ssize_t n = pwritev(fd, pieces, (int)MIN(count, (size_t)IOV_MAX), (off_t)off);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "Cannot write '%s'", name);
        off += (uint64_t)n;
        for (; count > 0 && (size_t)n >= pieces->iov_len; pieces++, count--)
            n -= (ssize_t)pieces->iov_len;
        if (n > 0) {
            pieces->iov_base = (char *)pieces->iov_base + n;
            pieces->iov_len -= (size_t)n;
        }
    }
    return true;
}

bool
file_sync(int fd, const char *name, GError **err)
{
    return fdatasync(fd) == 0 || err_errno(err, "Cannot make '%s' durable", name);
}

void
file_write_behind(int fd, uint64_t off, uint64_t len)
{
    sync_file_range(fd, (off_t)off, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

bool
file_sync_dir(const char *dir, GError **err)
{
    auto_fd fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "Cannot open folder '%s'", dir);
    return fsync(fd) == 0 || err_errno(err, "Cannot make folder '%s' durable", dir);
}

static bool
sync_parent(const char *path, GError **err)
{
    g_autofree char *dir = g_path_get_dirname(path);
    return file_sync_dir(dir, err);
}

bool
file_make_dirs(const char *path, mode_t mode, GError **err)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return true;
        return err_set(err, ERR_EXISTS, "'%s' exists and is not a folder.", path);
    }
    g_autofree char *parent = g_path_get_dirname(path);
    if (strcmp(parent, path) != 0 && !file_make_dirs(parent, mode, err))
        return false;
    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return err_errno(err, "Cannot make folder '%s'", path);
    return file_sync_dir(parent, err);
}

static bool
write_temporary(const char *temporary, const void *data, size_t len, mode_t mode, GError **err)
{
    auto_fd fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return err_errno(err, "Cannot create '%s'", temporary);
    return file_write_full(fd, data, len, 0, temporary, err) && file_sync(fd, temporary, err);
}

bool
file_replace(const char *path, const void *data, size_t len, mode_t mode, GError **err)
{
    g_autofree char *temporary = g_strdup_printf("%s.%08x.tmp", path, g_random_int());
    if (!write_temporary(temporary, data, len, mode, err)) {
        unlink(temporary);
        return false;
    }
    if (rename(temporary, path) < 0) {
        err_errno(err, "Cannot replace '%s'", path);
        unlink(temporary);
        return false;
    }
    return sync_parent(path, err);
}

bool
file_read_all(const char *path, size_t max, char **data, size_t *len, GError **err)
{
    struct stat st;
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, "Cannot open '%s'", path);
    if ((uint64_t)st.st_size > max)
        return err_set(err, ERR_TOO_BIG, "'%s' has more than %zu bytes.", path, max);
    g_autofree char *buf = g_malloc((gsize)st.st_size + 1);
    if (!file_read_full(fd, buf, (size_t)st.st_size, 0, path, err))
        return false;
    buf[st.st_size] = '\0';
    *data = g_steal_pointer(&buf);
    if (len)
        *len = (size_t)st.st_size;
    return true;
}

bool
file_rename_durably(const char *from, const char *to, GError **err)
{
    if (rename(from, to) < 0)
        return err_errno(err, "Cannot rename '%s' to '%s'", from, to);
    g_autofree char *dir = g_path_get_dirname(to);
    return file_sync_dir(dir, err);
}

bool
file_unlink_durably(const char *path, GError **err)
{
    if (unlink(path) < 0)
        return errno == ENOENT || err_errno(err, "Cannot remove '%s'", path);
    return sync_parent(path, err);
}

static bool remove_below(int parent, const char *name, const char *shown, GError **err);

static bool
remove_entries(int fd, const char *shown, GError **err)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return err_errno(err, "Cannot list '%s'", shown);
    }
    bool ok = true;
    for (struct dirent *e; ok && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        g_autofree char *path = g_build_filename(shown, e->d_name, NULL);
        ok = remove_below(dirfd(dir), e->d_name, path, err);
    }
    closedir(dir);
    return ok;
}

static bool
remove_below(int parent, const char *name, const char *shown, GError **err)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return true;
    if (errno != EISDIR && errno != EPERM)
        return err_errno(err, "Cannot remove '%s'", shown);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, "Cannot remove '%s'", shown);
    if (!remove_entries(fd, shown, err))
        return false;
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || err_errno(err, "Cannot remove folder '%s'", shown);
}

bool
file_remove_tree(const char *path, GError **err)
{
    if (!g_file_test(path, G_FILE_TEST_EXISTS | G_FILE_TEST_IS_SYMLINK))
        return true;
    return remove_below(AT_FDCWD, path, path, err) && sync_parent(path, err);
}

int
file_lock(const char *path, GError **err)
{
    auto_fd fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_errno(err, "Cannot open lock file '%s'", path);
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno == EWOULDBLOCK)
            err_set(err, ERR_IN_USE, "'%s' is locked by another process.", path);
        else
            err_errno(err, "Cannot lock '%s'", path);
        return -1;
    }
    return g_steal_fd(&fd);
}

bool
file_space(const char *path, uint64_t *bytes, uint64_t *total, GError **err)
{
    struct statvfs fs;
    if (statvfs(path, &fs) < 0)
        return err_errno(err, "Cannot ask for the free space of '%s'", path);
    *bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    *total = (uint64_t)fs.f_blocks * fs.f_frsize;
    return true;
}

bool
file_free_space(const char *path, uint64_t *bytes, GError **err)
{
    uint64_t total;
    return file_space(path, bytes, &total, err);
}
