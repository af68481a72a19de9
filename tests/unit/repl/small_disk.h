/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* A folder on a small file system of its own that gets really full: a tmpfs in a mount namespace of the test's.  Needs root or user
 * namespaces; everything goes with the process.  Failures end the test. */

bool small_disk_namespace(void);                             /* in main, before there is a thread; false: not here */
void small_disk_open(const char *place, const char *size);   /* "16m"; what the folder holds is moved onto it */
void small_disk_fill(const char *place);                     /* somebody else's file takes the rest */
void small_disk_free(const char *place);                     /* and is gone again */
void small_disk_close(const char *place);
