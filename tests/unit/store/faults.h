/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

/* Storage that fails: the libc calls with which this program changes files (write, fsync, rename, unlink, truncate, create) are counted,
 * and one of them, or all from one on, fail with an errno.  Only in the thread that asked for it.  The linker puts these functions
 * in the place of libc's (--wrap, see meson.build). */

void faults_begin(unsigned after, bool stay, int error); /* the call after so many fails; stay: all later ones, too */
unsigned faults_end(void);                               /* nothing fails any more; how many calls failed */
