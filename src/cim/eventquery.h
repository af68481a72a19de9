/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/expr.h"
#include "cim/watch.h"

/* Queries for events, as watch.h shows them.  A parsed query is immutable; any thread. */

struct event_query {
    char *name;                 /* event class as it was written: "__InstanceModificationEvent" */
    guint kinds;                /* bit per enum cim_event_kind */
    bool indication;            /* CIM_Inst...: the words of CIM, SourceInstance */
    char *cls;                  /* of the instances */
    gint64 within_us;           /* 0: not said */
    struct cim_expr *where;
};
bool event_query_is(const char *text);                                 /* SELECT * FROM one of the event classes */
struct event_query *event_query_parse(const char *text, GError **err); /* ERR_BAD_QUERY with the position */
void event_query_free(struct event_query *q);
