/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/value.h"

/* The classes of schema/ (MOF), compiled into tables by tools/mofc at build time.  Everything is constant; any thread.
 * Names are found without regard to case. */

struct cim_property {
    const char *name;
    enum cim_type type;
    bool array, key, writable;
    const char *value;          /* default as text, elements of an array with '\n' between; NULL: null */
    const char *ref;            /* class of a reference */
    const char *meanings;       /* "2=OK", '\n' between: what the values mean; NULL: not listed */
};
struct cim_parameter {
    const char *name;
    enum cim_type type;
    bool array, in, out;
    bool required;              /* null has no meaning: dispatch refuses it (contract 0.3, check 2) */
    const char *ref;
    const char *embedded;       /* class of the embedded instance that a string carries; NULL: plain */
    const char *meanings;       /* as of a property */
};
struct cim_method {
    const char *name;
    const struct cim_parameter *parameters;
    guint parameter_count;
};
struct cim_class {
    const char *name, *super, *ns; /* super NULL: none */
    bool association, abstract;
    const struct cim_property *properties; /* inherited ones included, sorted by name without regard to case */
    guint property_count;
    const struct cim_method *methods;
    guint method_count;
};

extern const struct cim_class cim_classes[];
extern const guint cim_class_count;

const struct cim_class *cim_class_find(const char *ns, const char *name);  /* ns NULL: any */
bool cim_namespace_known(const char *ns);
bool cim_class_is_a(const struct cim_class *c, const char *name);
int cim_class_property(const struct cim_class *c, const char *name);       /* index; -1: none */
const struct cim_method *cim_class_method(const struct cim_class *c, const char *name);
const struct cim_parameter *cim_method_parameter(const struct cim_method *m, const char *name);
