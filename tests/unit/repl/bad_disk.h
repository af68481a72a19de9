/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* A disk that can be told to fail, with a file system on it: nbdkit's error filter, as a file by nbdfuse, ext4 in a loop device.  Once a
 * write failed the kernel keeps the file system read-only (errors=remount-ro), as it does in life.  Needs root; everything goes with the
 * process and its mount namespace. */

struct bad_disk {
    char *dir, *place; /* working folder; where it is mounted */
    pid_t nbdkit, nbdfuse;
};

void bad_disk_namespace(void);                                          /* in main, before there is a thread */
const char *bad_disk_lacks(void);                                       /* why it cannot be had here; NULL: it can */
void bad_disk_open(struct bad_disk *d, const char *dir, const char *place); /* `place` keeps what it holds: it is moved onto the disk */
void bad_disk_fail(struct bad_disk *d, bool fail);                      /* every write is EIO from now on, or no more */
void bad_disk_read_only(struct bad_disk *d);                            /* at once, whoever has files open */
void bad_disk_repair(struct bad_disk *d);                               /* checked and mounted anew; nobody may use it meanwhile */
void bad_disk_close(struct bad_disk *d);

pid_t bad_disk_server(const char *const *argv); /* ends with us; for other servers of a test */
void bad_disk_run(const char *const *argv);     /* must succeed */
