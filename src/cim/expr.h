/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"
#include "cim/lexer.h"

/* Conditions of WQL as a tree.  Parsing stops in front of the first token that does not belong to it.  Comparisons with null are unknown
 * (SQL): NOT unknown is unknown, and only true matches.  A tree is immutable; any thread. */

struct cim_expr;
struct cim_expr *expr_parse(struct lexer *l, GError **err);
void expr_free(struct cim_expr *e);
bool expr_matches(const struct cim_expr *e, const struct cim_instance *i, const char *server);
/* What the names of a condition stand for.  An event's condition speaks of TargetInstance.X (SourceInstance.X) and PreviousInstance.X
 * only. */
struct expr_scope {
    const struct cim_instance *self;
    bool event;
    const struct cim_instance *target, *previous; /* of an event; NULL: none */
    const char *server;
};
bool expr_holds(const struct cim_expr *e, const struct expr_scope *scope);
/* The class of `property ISA 'class'` that every match must be of; NULL: the condition does not say. */
const char *expr_isa(const struct cim_expr *e, const char *property);
/* The string that every match must have as that property; NULL: the condition does not say. */
const char *expr_equality(const struct cim_expr *e, const char *property);
/* The first name that is no property of the class; NULL: all are.  Names that begin with __ are the system's. */
const char *expr_unknown(const struct cim_expr *e, const struct cim_class *c);
bool expr_error(const struct lexer *l, GError **err, const char *what); /* ERR_BAD_QUERY with the position */
