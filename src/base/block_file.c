/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/block.h"
#include "base/err.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

struct block_file {
    struct block block;
    int fd;
    char *path;
};

static bool
file_block_read(struct block *b, void *buf, size_t len, uint64_t off, GError **err)
{
    struct block_file *f = (struct block_file *)b;
    return file_read_full(f->fd, buf, len, off, f->path, err);
}

/* SEEK_DATA and SEEK_HOLE do not move a position that pread uses, so several threads may ask. */
static bool
file_block_extents(struct block *b, uint64_t off, uint64_t len, struct extents *out, GError **err)
{
    struct block_file *f = (struct block_file *)b;
    uint64_t end = off + len;

    while (off < end) {
        off_t data = lseek(f->fd, (off_t)off, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            data = (off_t)end;
        if (data < 0) {
            extents_add(out, off, end - off, EXTENT_DATA);
            return true;
        }
        uint64_t start = MIN((uint64_t)data, end);
        extents_add(out, off, start - off, EXTENT_ZERO);
        if (start == end)
            return true;
        off_t hole = lseek(f->fd, data, SEEK_HOLE);
        if (hole < 0)
            return err_errno(err, "Cannot ask for the holes of '%s'", f->path);
        off = MIN((uint64_t)hole, end);
        extents_add(out, start, off - start, EXTENT_DATA);
    }
    return true;
}

static void
file_block_close(struct block *b)
{
    struct block_file *f = (struct block_file *)b;
    close(f->fd);
    g_free(f->path);
    g_free(f);
}

static const struct block_ops file_ops = {file_block_read, file_block_extents, file_block_close};

struct block *
block_file_open(const char *path, GError **err)
{
    auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_errno(err, "Cannot open '%s'", path);
        return NULL;
    }
    off_t size = lseek(fd, 0, SEEK_END); /* right for block devices, too */
    if (size < 0) {
        err_errno(err, "Cannot ask for the size of '%s'", path);
        return NULL;
    }
    struct block_file *f = g_new0(struct block_file, 1);
    f->block = (struct block){&file_ops, (uint64_t)size};
    f->fd = g_steal_fd(&fd);
    f->path = g_strdup(path);
    return &f->block;
}
