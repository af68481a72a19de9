/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/clean.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Files that survive a power cut.  Nobody else in the tree renames, fsyncs or loops over short reads.
 * Errors name the path.  Blocking; any thread. */

bool file_read_full(int fd, void *buf, size_t len, uint64_t off, const char *name, GError **err);  /* end of file is ERR_CORRUPT */
bool file_write_full(int fd, const void *buf, size_t len, uint64_t off, const char *name, GError **err);
/* `count` pieces that follow one another, with as few calls as the kernel permits; changes them. */
bool file_write_pieces(int fd, struct iovec *pieces, size_t count, uint64_t off, const char *name, GError **err);
bool file_sync(int fd, const char *name, GError **err);            /* fdatasync */
/* Lets the kernel start writing the range out, so that the sync at the end has less to wait for.  A hint: it cannot fail. */
void file_write_behind(int fd, uint64_t off, uint64_t len);
bool file_sync_dir(const char *dir, GError **err);
bool file_make_dirs(const char *path, mode_t mode, GError **err);  /* like mkdir -p; new folders are synced into their parents */

/* Replaces `path` as a whole: temporary file in the same folder, write, fsync, rename, fsync of the folder. */
bool file_replace(const char *path, const void *data, size_t len, mode_t mode, GError **err);
bool file_read_all(const char *path, size_t max, char **data, size_t *len, GError **err); /* g_free; data is NUL-terminated besides */
/* The folder of `to` is synced: from then on the new name is there.  A rename is one change of the file system, so the old one has gone
 * with it; on one without a journal it may come back beside the new one. */
bool file_rename_durably(const char *from, const char *to, GError **err);
bool file_unlink_durably(const char *path, GError **err);          /* absent is success */
bool file_remove_tree(const char *path, GError **err);             /* absent is success; never follows symbolic links */

/* Exclusive lock on a file that is created if needed; ERR_IN_USE if another process holds it.  Close the descriptor to release. */
int file_lock(const char *path, GError **err);

/* Free bytes for unprivileged writers on the file system of `path`; file_space: and its size. */
bool file_free_space(const char *path, uint64_t *bytes, GError **err);
bool file_space(const char *path, uint64_t *bytes, uint64_t *total, GError **err);
