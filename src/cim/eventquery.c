/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/eventquery.h"

#include "base/err.h"

#include <string.h>

enum { QUERY_MAX = 64 << 10, WITHIN_MAX_S = 3600 };

static const struct event_class {
    const char *name;
    guint kinds;
    bool indication;
} CLASSES[] = {
    {"__InstanceCreationEvent", 1 << CIM_CREATED, false},
    {"__InstanceModificationEvent", 1 << CIM_MODIFIED, false},
    {"__InstanceDeletionEvent", 1 << CIM_DELETED, false},
    {"__InstanceOperationEvent", 1 << CIM_CREATED | 1 << CIM_MODIFIED | 1 << CIM_DELETED, false},
    {"CIM_InstCreation", 1 << CIM_CREATED, true},
    {"CIM_InstModification", 1 << CIM_MODIFIED, true},
    {"CIM_InstDeletion", 1 << CIM_DELETED, true},
    {"CIM_InstIndication", 1 << CIM_CREATED | 1 << CIM_MODIFIED | 1 << CIM_DELETED, true},
};

void
event_query_free(struct event_query *q)
{
    if (!q)
        return;
    expr_free(q->where);
    g_free(q->name);
    g_free(q->cls);
    g_free(q);
}

static const struct event_class *
event_class(const struct lexer *l)
{
    for (guint i = 0; l->kind == TOKEN_NAME && i < G_N_ELEMENTS(CLASSES); i++)
        if (lexer_is(l, CLASSES[i].name))
            return &CLASSES[i];
    return NULL;
}

bool
event_query_is(const char *text)
{
    struct lexer l;
    if (strlen(text) > QUERY_MAX || !g_utf8_validate(text, -1, NULL))
        return false;
    lexer_init(&l, text);
    const bool is = lexer_take(&l, "select") && lexer_take(&l, "*") && lexer_take(&l, "from") && event_class(&l);
    lexer_clear(&l);
    return is;
}

static bool
parse_within(struct lexer *l, struct event_query *q, GError **err)
{
    char *end = NULL;
    if (!lexer_take(l, "within"))
        return true;
    const double seconds = l->kind == TOKEN_NUMBER ? g_ascii_strtod(l->text, &end) : -1;
    if (!end || *end || seconds <= 0 || seconds > WITHIN_MAX_S)
        return expr_error(l, err, "WITHIN wants a number of seconds, at most 3600");
    q->within_us = MAX(1, (gint64)(seconds * G_USEC_PER_SEC));
    lexer_next(l);
    return true;
}

static bool
parse_where(struct lexer *l, struct event_query *q, GError **err)
{
    static const char need[] = "WHERE TargetInstance ISA 'class' was expected";
    static const char need_source[] = "WHERE SourceInstance ISA 'class' was expected";
    if (!lexer_take(l, "where"))
        return expr_error(l, err, q->indication ? need_source : need);
    q->where = expr_parse(l, err);
    if (!q->where)
        return false;
    if (lexer_is(l, "group") || lexer_is(l, "having"))
        return expr_error(l, err, "GROUP is not supported here");
    if (l->kind != TOKEN_END)
        return expr_error(l, err, "the query should end here");
    const char *cls = expr_isa(q->where, q->indication ? "SourceInstance" : "TargetInstance");
    if (!cls)
        return expr_error(l, err, q->indication ? need_source : need);
    q->cls = g_strdup(cls);
    return true;
}

static bool
parse(struct lexer *l, struct event_query *q, GError **err)
{
    if (!lexer_take(l, "select") || !lexer_take(l, "*") || !lexer_take(l, "from"))
        return expr_error(l, err, "SELECT * FROM an event class was expected");
    const struct event_class *c = event_class(l);
    if (!c)
        return expr_error(l, err, "the name of an event class was expected, such as __InstanceModificationEvent");
    q->name = g_strdup(c->name);
    q->kinds = c->kinds;
    q->indication = c->indication;
    lexer_next(l);
    return parse_within(l, q, err) && parse_where(l, q, err);
}

struct event_query *
event_query_parse(const char *text, GError **err)
{
    struct lexer l;
    if (strlen(text) > QUERY_MAX || !g_utf8_validate(text, -1, NULL)) {
        err_set(err, ERR_BAD_QUERY, "The query is longer than %d bytes, or no UTF-8.", QUERY_MAX);
        return NULL;
    }
    struct event_query *q = g_new0(struct event_query, 1);
    lexer_init(&l, text);
    const bool ok = parse(&l, q, err);
    lexer_clear(&l);
    if (ok)
        return q;
    event_query_free(q);
    return NULL;
}
