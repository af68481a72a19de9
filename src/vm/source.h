/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/xml.h"

#include <jansson.h>
#include <stdbool.h>

/* Where a disk of a definition keeps its bytes, in the words that QEMU's programs understand while the guest is off.
 *
 * An image is named by a text: the path of a file or block device, or "json:{...}" with the options of the block driver that reaches it
 * over the network (nbd, rbd, iscsi).  A running guest's disk is never opened by it: there QEMU's own node is what is read, whatever is
 * below.
 *
 * Pure but for source_is_file and source_stamp, which look at the host; any thread.
 * Source: libvirt "Domain XML format" (disk source); QEMU QMP reference (BlockdevOptions); qemu(1) on "json:" file names. */

/* NULL: the image cannot be opened while its guest is off, and *why (g_free) says so, beginning with "it" or "its". */
char *source_image(const xmlNode *disk, char **why);

/* Whether an I/O thread serves the disk: its own, or that of its SCSI controller.  QEMU before 9.0 ends when a client of its NBD server
 * leaves such a disk (blockdev-nbd.c asserts the main thread), and no engine does without that server. */
bool source_has_iothread(const xmlNode *domain, const xmlNode *disk);
enum { SOURCE_IOTHREADS_SINCE = 9000000 }; /* virConnectGetVersion */

/* The end of a command line of qemu-img that names the image: "-f", FORMAT, PATH, or one word.  `argv` frees its members. */
void source_argv(GPtrArray *argv, const char *image, const char *format);
/* Options of the node below the format.  NULL: `image` is malformed. */
json_t *source_node(const char *image);

/* A regular file: only there QEMU's image locks keep a guest from starting while somebody works on the image (libvirt gives each guest
 * device nodes of its own, and what is on the network has no such locks). */
bool source_is_file(const char *image);

/* Changes whenever the image may have changed: file times, or the device's count of writes.  What another host does to an image on the
 * network, or to a shared device, cannot be seen.  NULL: cannot be told. */
char *source_stamp(const char *image);
