/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/scratch.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

bool
scratch_owner(const char *user, uid_t *uid, gid_t *gid, GError **err)
{
    *uid = geteuid();
    *gid = getegid();
    if (!user)
        return true;
    struct passwd pw, *found = NULL;
    char buf[16384];
    if (getpwnam_r(user, &pw, buf, sizeof buf, &found) != 0 || !found)
        return err_set(err, ERR_INVALID_PARAMETER, "There is no user '%s' on this host; name the one that runs QEMU.", user);
    *uid = pw.pw_uid;
    *gid = pw.pw_gid;
    return true;
}

static char *
name_prefix(const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_strdup_printf("vmr-%s-", uuid_format_lower(vm, text));
}

char *
scratch_prefix(const char *dir, const struct uuid *vm)
{
    g_autofree char *prefix = name_prefix(vm);
    return g_strdup_printf("%s/%s", dir, prefix);
}

/* O_EXCL and a random part: the folder may be one that others can write, too. */
char *
scratch_create(const char *dir, const struct uuid *vm, const char *target, guint64 size, uid_t uid, gid_t gid, GError **err)
{
    g_autofree char *prefix = name_prefix(vm);
    g_autofree char *path = g_strdup_printf("%s/%s%s-%08x", dir, prefix, target, g_random_int());
    auto_fd fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_errno(err, "Scratch file '%s' cannot be created", path);
        return NULL;
    }
    if (ftruncate(fd, (off_t)size) != 0 || fchown(fd, uid, gid) != 0) {
        err_errno(err, "Scratch file '%s' cannot be prepared", path);
        unlink(path);
        return NULL;
    }
    return g_steal_pointer(&path);
}

void
scratch_clear(const char *path)
{
    auto_fd fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_blocks == 0)
        return;
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, st.st_size) != 0 && ftruncate(fd, 0) == 0 &&
        ftruncate(fd, st.st_size) != 0)
        log_warning("Scratch file '%s' cannot be emptied: %s", path, g_strerror(errno));
}

void
scratch_sweep(const char *dir, const struct uuid *vm)
{
    g_autofree char *prefix = name_prefix(vm);
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    const char *name;
    while (d && (name = g_dir_read_name(d))) {
        if (!g_str_has_prefix(name, prefix))
            continue;
        g_autofree char *path = g_build_filename(dir, name, NULL);
        unlink(path);
    }
}
