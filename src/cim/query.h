/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"

/* WQL, as far as clients of root/virtualization/v2 use it:
 *
 *   SELECT * | name, name FROM class [WHERE condition]
 *   ASSOCIATORS OF {path} [WHERE AssocClass = c ResultClass = c Role = p ResultRole = p]
 *   REFERENCES OF {path} [WHERE ResultClass = c Role = p]
 *
 * Conditions: AND OR NOT, parentheses (64 deep), = != <> < > <= >=, LIKE with % _ [set] [^set], IS [NOT] NULL, ISA, TRUE FALSE NULL,
 * numbers, strings in single or double quotes with backslash escapes, __SERVER, __PATH, __CLASS; the value may stand in front of the
 * comparison.  ORDER BY, ClassDefsOnly, SchemaOnly and the rest is refused.
 * The parser is a pure function over text; errors (ERR_BAD_QUERY) name the position.  A parsed query is immutable; any thread. */

enum cim_query_kind { CIM_SELECT, CIM_ASSOCIATORS, CIM_REFERENCES };
struct cim_expr;
struct cim_query {
    enum cim_query_kind kind;
    char *cls;                 /* of SELECT */
    GPtrArray *select;         /* names; NULL: * */
    struct cim_expr *where;    /* NULL: everything */
    struct cim_path *source;   /* of ASSOCIATORS and REFERENCES */
    char *assoc_class, *result_class, *role, *result_role;
};
struct cim_query *cim_query_parse(const char *text, GError **err);
void cim_query_free(struct cim_query *q);
/* Names of the query that are no property of its class are an error too (ERR_BAD_QUERY); classes without own properties know any. */
bool cim_query_check(const struct cim_query *q, const struct cim_class *c, GError **err);
bool cim_query_matches(const struct cim_query *q, const struct cim_instance *i, const char *server);
