/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "../base/tempdir.h"
#include "base/block.h"
#include "log/reader.h"
#include "log/verify.h"
#include "log/writer.h"

/* Two disks in memory with random data, text-like data and zero pages, and a path in a folder of its own for a log of them. */

#define SIZE_A (3u << 20)
#define SIZE_B ((1u << 20) + 512) /* ends with an odd sector */
#define DISK_B 5

struct fixture {
    struct tempdir temp;
    char *path;
    struct block *disk[2];
    guint8 *data[2];
};

void fixture_up(struct fixture *f, gconstpointer user);
void fixture_down(struct fixture *f, gconstpointer user);
#define FIXTURE_TEST(path, fn) g_test_add(path, struct fixture, NULL, fixture_up, fn, fixture_down)

struct log_info fixture_info(void); /* disk 0 "vda" with SIZE_A, DISK_B "vdb" with SIZE_B; log_info_clear */
void fixture_write(struct fixture *f, const struct extents *a, const struct extents *b, const struct log_writer_options *opts);
void fixture_write_small(struct fixture *f, int level); /* a few KB: data, zeros and an odd tail */
GByteArray *fixture_bytes(const struct fixture *f);
void fixture_replace(const struct fixture *f, const void *data, gsize len);
