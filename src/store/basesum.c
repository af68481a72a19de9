/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "store/basesum.h"

#include "base/block.h"
#include "base/err.h"
#include "base/file.h"
#include "base/hash.h"
#include "store/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>

enum { SUM = sizeof(uint64_t), BATCH = 256, GATHERED = 2048, GAP = 512 };

static const char MAGIC[SUM] = {'V', 'M', 'R', 'S', 'U', 'M', '1', '\n'};

/* What is told is gathered: a merge goes through the disk from its beginning to its end, and a call per page would cost more than the sums
 * do.  From page `first` on, `changed` sums are to be written and `known` (no fewer) are right; in the gaps between what was told is what
 * the file has. */
struct basesum {
    int fd;
    char *path;
    uint64_t first;
    size_t changed, known;
    uint64_t sums[GATHERED];
};

/* Takes path. */
static struct basesum *
basesum_new(char *path, int flags, GError **err)
{
    struct basesum *b = g_new0(struct basesum, 1);
    b->path = path;
    b->fd = open(b->path, flags | O_CLOEXEC, 0640);
    if (b->fd >= 0)
        return b;
    err_errno(err, "Cannot open the checksums '%s'", b->path);
    basesum_close(b);
    return NULL;
}

void
basesum_close(struct basesum *b)
{
    if (!b)
        return;
    if (b->fd >= 0)
        close(b->fd);
    g_free(b->path);
    g_free(b);
}

static struct basesum *
create(char *path, GError **err)
{
    struct basesum *b = basesum_new(path, O_RDWR | O_CREAT | O_TRUNC, err);
    if (!b || file_write_full(b->fd, MAGIC, sizeof MAGIC, 0, b->path, err))
        return b;
    basesum_close(b);
    return NULL;
}

struct basesum *
basesum_create(const char *dir, uint16_t disk, GError **err)
{
    return create(layout_sums_path(dir, disk), err);
}

struct basesum *
basesum_open(const char *dir, uint16_t disk, bool write, GError **err)
{
    char magic[sizeof MAGIC];
    struct basesum *b = basesum_new(layout_sums_path(dir, disk), write ? O_RDWR : O_RDONLY, err);
    if (!b)
        return NULL;
    if (file_read_full(b->fd, magic, sizeof magic, 0, b->path, err)) {
        if (memcmp(magic, MAGIC, sizeof MAGIC) == 0)
            return b;
        err_set(err, ERR_CORRUPT, "'%s' does not hold checksums.", b->path);
    }
    basesum_close(b);
    return NULL;
}

static bool
is_zero(const uint8_t *p, size_t len)
{
    return len == 0 || (*p == 0 && memcmp(p, p + 1, len - 1) == 0);
}

uint64_t
basesum_of(uint64_t page, const void *data, size_t length)
{
    uint8_t whole[LOG_PAGE];
    uint64_t sum;
    if (is_zero(data, length))
        return 0;
    if (length < LOG_PAGE) {
        memcpy(whole, data, length);
        memset(whole + length, 0, LOG_PAGE - length);
        data = whole;
    }
    const struct hash128 hash = hash128_of(data, LOG_PAGE);
    memcpy(&sum, hash.bytes, sizeof sum);
    sum ^= GUINT64_TO_BE((page + 1) * G_GUINT64_CONSTANT(0x9e3779b97f4a7c15));
    return sum ? sum : GUINT64_TO_BE(1);
}

static bool
flush(struct basesum *b, GError **err)
{
    const size_t count = b->changed;
    b->changed = b->known = 0;
    return count == 0 || file_write_full(b->fd, b->sums, count * SUM, (b->first + 1) * SUM, b->path, err);
}

static bool
read_sums(const struct basesum *b, uint64_t page, size_t count, uint64_t *out, GError **err)
{
    const uint64_t from = (page + 1) * SUM;
    struct stat st;
    if (fstat(b->fd, &st) < 0)
        return err_errno(err, "Cannot look at '%s'", b->path);
    const uint64_t size = (uint64_t)st.st_size / SUM * SUM;
    const size_t there = from < size ? (size_t)MIN(count, (size - from) / SUM) : 0;
    memset(out + there, 0, (count - there) * SUM);
    return there == 0 || file_read_full(b->fd, out, there * SUM, from, b->path, err);
}

/* So that `page` can be told: joined to what is gathered, or as the beginning of something new. */
static bool
make_room(struct basesum *b, uint64_t page, GError **err)
{
    if (b->changed == 0 || page < b->first || page >= b->first + MIN(b->changed + GAP, GATHERED)) {
        if (!flush(b, err))
            return false;
        b->first = page;
        return true;
    }
    const size_t at = (size_t)(page - b->first), more = MIN(at + GAP, GATHERED) - b->known;
    if (at <= b->known)
        return true;
    if (!read_sums(b, b->first + b->known, more, b->sums + b->known, err))
        return false;
    b->known += more;
    return true;
}

static bool
put_sum(struct basesum *b, uint64_t page, uint64_t sum, GError **err)
{
    if (!make_room(b, page, err))
        return false;
    const size_t at = (size_t)(page - b->first);
    b->sums[at] = sum;
    b->changed = MAX(b->changed, at + 1);
    b->known = MAX(b->known, b->changed);
    return true;
}

/* A page of the disk as it is now; what lies beyond its end is zeros. */
static bool
sum_again(struct basesum *b, int disk_fd, uint64_t page, GError **err)
{
    uint8_t data[LOG_PAGE] = {0};
    size_t have = 0;
    while (have < sizeof data) {
        const ssize_t n = pread(disk_fd, data + have, sizeof data - have, (off_t)(page * LOG_PAGE + have));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "Cannot read back what '%s' is the checksums of", b->path);
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return put_sum(b, page, basesum_of(page, data, sizeof data), err);
}

/* A long run of zeros is a hole, where the file system has holes; *done: it is. */
static bool
punch(struct basesum *b, uint64_t page, uint64_t count, bool *done, GError **err)
{
    if (count <= BATCH)
        return true;
    if (!flush(b, err))
        return false;
    *done = fallocate(b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)((page + 1) * SUM), (off_t)(count * SUM)) == 0;
    return true;
}

static bool
sum_whole(struct basesum *b, uint64_t page, const uint8_t *data, uint64_t count, GError **err)
{
    bool done = false;
    if (!data && !punch(b, page, count, &done, err))
        return false;
    for (uint64_t i = 0; i < count && !done; i++)
        if (!put_sum(b, page + i, data ? basesum_of(page + i, data + i * LOG_PAGE, LOG_PAGE) : 0, err))
            return false;
    return true;
}

bool
basesum_wrote(struct basesum *b, int disk_fd, uint64_t offset, const void *data, uint64_t length, GError **err)
{
    const uint64_t end = offset + length, first = (offset + LOG_PAGE - 1) / LOG_PAGE, last = end / LOG_PAGE;
    const uint8_t *bytes = data;
    if (length == 0)
        return true;
    if (offset % LOG_PAGE && !sum_again(b, disk_fd, offset / LOG_PAGE, err))
        return false;
    if (end % LOG_PAGE && (end / LOG_PAGE != offset / LOG_PAGE || !(offset % LOG_PAGE)) && !sum_again(b, disk_fd, last, err))
        return false;
    return first >= last || sum_whole(b, first, bytes ? bytes + (first * LOG_PAGE - offset) : NULL, last - first, err);
}

/* Whether the disk had been shortened already does not matter: a merge that was cut off between the two comes here again. */
bool
basesum_resized(struct basesum *b, int disk_fd, uint64_t size, GError **err)
{
    const uint64_t pages = (size + LOG_PAGE - 1) / LOG_PAGE;
    struct stat st;
    if (!flush(b, err))
        return false;
    if (fstat(b->fd, &st) < 0)
        return err_errno(err, "Cannot look at '%s'", b->path);
    if ((uint64_t)st.st_size > (pages + 1) * SUM && ftruncate(b->fd, (off_t)((pages + 1) * SUM)) < 0)
        return err_errno(err, "Cannot shorten '%s'", b->path);
    const bool cut = size % LOG_PAGE && (uint64_t)st.st_size > pages * SUM; /* the last page has a sum */
    return !cut || sum_again(b, disk_fd, pages - 1, err);
}

bool
basesum_sync(struct basesum *b, GError **err)
{
    return flush(b, err) && file_sync(b->fd, b->path, err);
}

bool
basesum_read(struct basesum *b, uint64_t page, size_t count, uint64_t *out, GError **err)
{
    return flush(b, err) && read_sums(b, page, count, out, err);
}

/* --- of what is there already -------------------------------------------------------------------------------------------------------- */

static bool
build_extent(struct basesum *b, int disk_fd, struct block *disk, const struct extent *e, uint8_t *buffer, size_t room, GError **err)
{
    for (uint64_t at = e->offset, n; at < e->offset + e->length; at += n) {
        n = MIN(room - at % LOG_PAGE, e->offset + e->length - at);
        if (!block_read(disk, buffer, n, at, err) || !basesum_wrote(b, disk_fd, at, buffer, n, err))
            return false;
    }
    return true;
}

static bool
build(struct basesum *b, int disk_fd, const char *path, GError **err)
{
    enum { ROOM = 1 << 20 };
    block_auto disk = block_file_open(path, err);
    extents_auto map = extents_new();
    if (!disk || !block_extents(disk, 0, disk->size, map, err))
        return false;
    g_autofree uint8_t *buffer = g_malloc(ROOM);
    for (size_t i = 0; i < extents_count(map); i++)
        if (extents_at(map, i)->kind == EXTENT_DATA && !build_extent(b, disk_fd, disk, extents_at(map, i), buffer, ROOM, err))
            return false;
    return true;
}

/* Under another name until it is whole: half of it would call good pages damaged. */
struct basesum *
basesum_build(const char *dir, uint16_t disk, int disk_fd, GError **err)
{
    g_autofree char *path = layout_disk_path(dir, disk), *final = layout_sums_path(dir, disk);
    struct basesum *b = create(g_strconcat(final, ".part", NULL), err);
    if (b && build(b, disk_fd, path, err) && basesum_sync(b, err) && file_rename_durably(b->path, final, err)) {
        g_free(b->path);
        b->path = g_steal_pointer(&final);
        return b;
    }
    basesum_close(b);
    return NULL;
}
