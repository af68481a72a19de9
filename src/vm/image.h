/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* Disk images that no guest uses; paths are those of vm/source.h.  Blocking; any thread.  Source: qemu-img(1). */

/* What `qemu-img info` says (ImageInfo); json_decref. */
json_t *image_info(const char *path, const char *format, GError **err);
bool image_size(const char *path, const char *format, guint64 *size, GError **err); /* bytes, virtual */

/* A sparse raw copy of the whole content (backing files included) at `to`, which must not exist; durable when it returns true.  An image
 * that is in use is ERR_FAILED by QEMU's lock. */
bool image_to_raw(const char *from, const char *format, const char *to, const gint *cancel, GError **err);
