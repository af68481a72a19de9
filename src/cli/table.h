/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdio.h>

/* Tables for people: columns as wide as their widest cell, numbers flushed right, colours only on a terminal without NO_COLOR.
 * One thread. */

enum table_colour { TABLE_PLAIN, TABLE_GOOD, TABLE_WARNING, TABLE_BAD };

struct table;
/* Headings, NULL at the end; one that begins with '>' is flushed right. */
struct table *table_new(const char *heading, ...) G_GNUC_NULL_TERMINATED;
void table_free(struct table *t);
void table_add(struct table *t, const char *text);                            /* next cell, row by row; NULL: "-" */
void table_add_colour(struct table *t, const char *text, enum table_colour colour);
void table_add_format(struct table *t, const char *format, ...) G_GNUC_PRINTF(2, 3);
void table_print(const struct table *t, FILE *to);
