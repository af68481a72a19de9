/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* CIM values: DSP0004 types, arrays of them, null.
 *
 * A struct cim_value owns what it points to; cim_value_clear frees it and leaves a null.  Constructors return a value that the caller
 * owns; "takes" says so where ownership moves.  Pure; one thread at a time per value. */

enum cim_type {
    CIM_BOOLEAN, CIM_UINT8, CIM_SINT8, CIM_UINT16, CIM_SINT16, CIM_UINT32, CIM_SINT32, CIM_UINT64, CIM_SINT64, CIM_REAL32, CIM_REAL64,
    CIM_CHAR16, CIM_STRING, CIM_DATETIME, CIM_REFERENCE,
};

struct cim_path;
struct cim_datetime {
    bool interval;
    gint64 us;          /* since 1970 UTC, or the length of the interval */
    gint offset_min;    /* zone it was given in, absolute times only */
};

struct cim_value {
    enum cim_type type;
    bool array, null;
    union {
        bool boolean;
        guint64 u;
        gint64 s;
        double real;
        char *text;
        struct cim_datetime time;
        struct cim_path *ref;
        GPtrArray *items; /* struct cim_value *, of the same type */
    };
};

const char *cim_type_name(enum cim_type type);            /* "uint16" */
bool cim_type_parse(const char *name, enum cim_type *out);
bool cim_type_is_signed(enum cim_type type);
bool cim_type_is_integer(enum cim_type type);

struct cim_value cim_null(enum cim_type type, bool array);
struct cim_value cim_bool(bool v);
struct cim_value cim_uint(enum cim_type type, guint64 v);
struct cim_value cim_sint(enum cim_type type, gint64 v);
struct cim_value cim_string(const char *text);            /* NULL: null */
struct cim_value cim_time(gint64 wall_us);                /* 0: null */
struct cim_value cim_interval(gint64 us);
struct cim_value cim_ref(struct cim_path *path);          /* takes; NULL: null */
struct cim_value cim_array(enum cim_type type);           /* empty */
void cim_array_add(struct cim_value *array, struct cim_value item); /* takes */
struct cim_value cim_strings(char *const *texts);         /* NULL-terminated; NULL: null array */

void cim_value_clear(struct cim_value *v);
void cim_value_copy(struct cim_value *to, const struct cim_value *from);
/* A scalar from text.  Datetimes: DMTF 25 characters, xs:dateTime, xs:duration.  ERR_INVALID_TYPE; *out is then a null. */
bool cim_value_parse(struct cim_value *out, enum cim_type type, const char *text, GError **err);
char *cim_value_text(const struct cim_value *v);          /* scalars, DMTF form for datetimes; NULL for null; g_free */
/* Order of two scalars of any types, text without regard to case; false: they cannot be compared. */
bool cim_value_compare(const struct cim_value *a, const struct cim_value *b, int *order);

/* A DMTF time without a date (zeros or asterisks) is read as the interval since midnight UTC. */
bool cim_datetime_parse(const char *text, struct cim_datetime *out);
char *cim_datetime_dmtf(const struct cim_datetime *t);    /* g_free */
char *cim_datetime_iso(const struct cim_datetime *t);     /* xs:dateTime in UTC, or xs:duration; g_free */
