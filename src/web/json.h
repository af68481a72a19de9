/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/dispatch.h"

#include <jansson.h>

/* CIM values as JSON, both ways.
 *
 *   boolean              true, false
 *   integers, reals      numbers; integers beyond 2^53 (uint64, sint64) as decimal strings, for readers whose numbers are doubles
 *   string, char16       strings
 *   datetime             "2026-11-23T20:00:00Z" (read with any zone), intervals "PT1H30M"; DMTF's form is read, too
 *   reference            the object's URL; read also as a path ("Class.Key=\"...\"") or an object: "@class", keys by name
 *   embedded instance    an object: "@class" (absent: the class that is expected), properties by name
 *   instance             an object: "@id" (its URL), "@class", its properties
 *   null, arrays         null, arrays
 *
 * Reading is strict: no unknown names, no duplicates, no fractions for integers, no numbers as strings but for 64 bits; every error names
 * the property or parameter.  Objects may be given back as they were read: "@id" is skipped.  At most WEB_JSON_MAX bytes and
 * WEB_JSON_DEPTH levels.  Pure; any thread. */

#define WEB_JSON_MAX (256u << 10)
#define WEB_JSON_DEPTH 16

static inline void
web_json_clean(json_t **j)
{
    json_decref(*j);
}
#define auto_json __attribute__((cleanup(web_json_clean))) json_t *

json_t *web_json_string(const char *text);    /* what is no UTF-8 is replaced; NULL: null */
/* ns: of references that name none; embedded: class of the instance that a string holds, NULL: plain. */
json_t *web_json_value(const struct cim_value *v, const char *ns, const char *embedded);
json_t *web_json_instance(const struct cim_instance *i, const GPtrArray *select); /* names; NULL: all */
json_t *web_json_output(const struct cim_method *m, const struct cim_args *out, const char *ns);

/* A document.  ERR_MALFORMED with line and column, ERR_TOO_BIG. */
json_t *web_json_parse(const char *text, size_t len, GError **err);
/* {parameter: value}.  ERR_INVALID_PARAMETER: unknown name; values that cannot be decoded are put into `out` as such, so that the method
 * refuses them after its access check. */
bool web_json_arguments(const json_t *object, const struct cim_method *m, struct cim_args *out, GError **err);
/* One value of a type.  ERR_INVALID_TYPE, ERR_INVALID_PARAMETER (unknown property).  name: for messages. */
bool web_json_read(const json_t *j, enum cim_type type, bool array, const char *embedded, const char *name, struct cim_value *out,
                   GError **err);
