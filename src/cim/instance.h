/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/path.h"
#include "cim/schema.h"

/* An instance of a class: one value per property of its class, null or the class's default at first.
 * Setting a property that the class lacks, or with another type, is a programmer error.  One thread at a time. */

struct cim_instance {
    const struct cim_class *cls;
    struct cim_value *values; /* in the order of cls->properties */
    guint64 given[4];         /* bit per property: it was set, not defaulted (absent from an embedded instance: "not supplied") */
};

struct cim_instance *cim_instance_new(const struct cim_class *c);
void cim_instance_free(struct cim_instance *i);
#define cim_instance_auto __attribute__((cleanup(cim_instance_clean))) struct cim_instance *
static inline void cim_instance_clean(struct cim_instance **i) { cim_instance_free(*i); }
GPtrArray *cim_instances_new(void); /* empty, frees its instances */
struct cim_instance *cim_instance_copy(const struct cim_instance *i);
void cim_set(struct cim_instance *i, const char *property, struct cim_value value);  /* takes value */
const struct cim_value *cim_get(const struct cim_instance *i, const char *property); /* NULL: no such property */
bool cim_given(const struct cim_instance *i, const char *property);                  /* set and not null */
const char *cim_get_string(const struct cim_instance *i, const char *property);      /* NULL: null */
guint64 cim_get_uint(const struct cim_instance *i, const char *property);            /* 0: null */
bool cim_get_bool(const struct cim_instance *i, const char *property);
/* Short forms, the integer type is the property's own. */
void cim_set_string(struct cim_instance *i, const char *property, const char *text);
void cim_set_uint(struct cim_instance *i, const char *property, guint64 v);
void cim_set_bool(struct cim_instance *i, const char *property, bool v);
void cim_set_time(struct cim_instance *i, const char *property, gint64 wall_us);
void cim_set_interval(struct cim_instance *i, const char *property, gint64 us);
void cim_set_ref(struct cim_instance *i, const char *property, struct cim_path *path); /* takes path */
void cim_set_uints(struct cim_instance *i, const char *property, const guint *values, guint count);
void cim_set_strings(struct cim_instance *i, const char *property, char *const *texts);
struct cim_path *cim_instance_path(const struct cim_instance *i); /* from its key properties */
