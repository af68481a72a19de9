/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/uuid.h"

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

/* Structs as JSON objects by a table of their members: how relationships, settings, entries, jobs and statistics lie in the database.
 *
 * A member that the object lacks keeps the value it has; a member of the wrong type is ERR_CORRUPT with its name; unknown names are
 * ignored, so that an older program reads what a newer one wrote.  Pure functions; any thread. */

enum record_type {
    RECORD_END,
    RECORD_TEXT,
    RECORD_LIST,
    RECORD_UINT,
    RECORD_INT,
    RECORD_U64,
    RECORD_I64,
    RECORD_BOOL,
    RECORD_UUID,
    RECORD_ID
};

struct record_field {
    const char *name;
    enum record_type type; /* TEXT char *, LIST char **, UINT guint or enum, ID char[UUID_TEXT] */
    size_t offset;
};

/* The members as text, after what stands in `out`: most of what is saved goes this way, since objects cost ten times as much.  A text that
 * is not UTF-8 is left out. */
void record_write(GString *out, const struct record_field *fields, const void *from);
char *record_doc(const struct record_field *fields, const void *from); /* a whole document; g_free */
void record_pack(json_t *object, const struct record_field *fields, const void *from);
bool record_unpack(const json_t *object, const struct record_field *fields, void *to, GError **err); /* frees what it replaces */
void record_clear(const struct record_field *fields, void *s);   /* frees texts and lists */
void record_copy(const struct record_field *fields, void *to, const void *from); /* deep copy of texts and lists; `to` is raw memory */

char *record_text(json_t *object);                        /* takes object; g_free */
json_t *record_parse(const char *text, GError **err);     /* ERR_CORRUPT; json_decref */
#define json_scoped_record __attribute__((cleanup(record_decref))) json_t *
static inline void record_decref(json_t **o) { json_decref(*o); }
