/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/query.h"

#include "base/err.h"
#include "cim/expr.h"

#include <string.h>

#define QUERY_MAX (64u << 10)

void
cim_query_free(struct cim_query *q)
{
    if (!q)
        return;
    g_free(q->cls);
    if (q->select)
        g_ptr_array_unref(q->select);
    expr_free(q->where);
    cim_path_free(q->source);
    g_free(q->assoc_class);
    g_free(q->result_class);
    g_free(q->role);
    g_free(q->result_role);
    g_free(q);
}

static bool
parse_list(struct lexer *l, struct cim_query *q, GError **err)
{
    if (lexer_take(l, "*"))
        return true;
    q->select = g_ptr_array_new_with_free_func(g_free);
    do {
        if (l->kind != TOKEN_NAME)
            return expr_error(l, err, "the name of a property or * was expected");
        g_ptr_array_add(q->select, g_strdup(l->text));
        lexer_next(l);
    } while (lexer_take(l, ","));
    return true;
}

static bool
parse_select(struct lexer *l, struct cim_query *q, GError **err)
{
    if (!parse_list(l, q, err))
        return false;
    if (!lexer_take(l, "from"))
        return expr_error(l, err, "FROM was expected");
    if (l->kind != TOKEN_NAME)
        return expr_error(l, err, "the name of a class was expected");
    q->cls = g_strdup(l->text);
    lexer_next(l);
    if (lexer_take(l, "where"))
        return (q->where = expr_parse(l, err)) != NULL;
    return true;
}

/* The query does not go on as `what` says.  WQL that we know and do not do is called by its name. */
static bool
unexpected(const struct lexer *l, GError **err, const char *what)
{
    static const char *const known[] = {"ORDER", "GROUP", "HAVING", "WITHIN", "LIMIT", "ClassDefsOnly", "SchemaOnly", "KeysOnly",
                                        "RequiredQualifier", "RequiredAssocQualifier"};
    for (gsize i = 0; i < G_N_ELEMENTS(known); i++) {
        if (!lexer_is(l, known[i]))
            continue;
        g_autofree char *refusal = g_strdup_printf("%s is not supported here", known[i]);
        return expr_error(l, err, refusal);
    }
    return expr_error(l, err, what);
}

static bool
parse_restriction(struct lexer *l, struct cim_query *q, GError **err)
{
    struct {
        const char *name;
        char **to;
    } known[] = {{"AssocClass", &q->assoc_class}, {"ResultClass", &q->result_class}, {"Role", &q->role}, {"ResultRole", &q->result_role}};
    for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
        if (!lexer_is(l, known[i].name))
            continue;
        if (*known[i].to || (q->kind == CIM_REFERENCES && (i == 0 || i == 3)))
            return expr_error(l, err, "this restriction is not possible here");
        lexer_next(l);
        if (!lexer_take(l, "=") || (l->kind != TOKEN_NAME && l->kind != TOKEN_STRING))
            return expr_error(l, err, "= and a name were expected");
        *known[i].to = g_strdup(l->text);
        lexer_next(l);
        return true;
    }
    return unexpected(l, err, "AssocClass, ResultClass, Role or ResultRole was expected");
}

static bool
parse_of(struct lexer *l, struct cim_query *q, GError **err)
{
    if (!lexer_take(l, "of") || l->kind != TOKEN_PATH)
        return expr_error(l, err, "OF and an object path in braces were expected");
    g_autoptr(GError) why = NULL;
    q->source = cim_path_parse(l->text, &why);
    if (!q->source)
        return expr_error(l, err, why->message);
    lexer_next(l);
    if (!lexer_take(l, "where"))
        return true;
    do {
        if (!parse_restriction(l, q, err))
            return false;
    } while (l->kind != TOKEN_END);
    return true;
}

static bool
parse(struct lexer *l, struct cim_query *q, GError **err)
{
    bool ok;
    if (lexer_take(l, "select")) {
        q->kind = CIM_SELECT;
        ok = parse_select(l, q, err);
    } else if (lexer_take(l, "associators")) {
        q->kind = CIM_ASSOCIATORS;
        ok = parse_of(l, q, err);
    } else if (lexer_take(l, "references")) {
        q->kind = CIM_REFERENCES;
        ok = parse_of(l, q, err);
    } else {
        return expr_error(l, err, "SELECT, ASSOCIATORS or REFERENCES was expected");
    }
    return ok && (l->kind == TOKEN_END || unexpected(l, err, "the query should end here"));
}

struct cim_query *
cim_query_parse(const char *text, GError **err)
{
    if (strlen(text) > QUERY_MAX) {
        err_set(err, ERR_BAD_QUERY, "The query is longer than %u bytes.", QUERY_MAX);
        return NULL;
    }
    if (!g_utf8_validate(text, -1, NULL)) {
        err_set(err, ERR_BAD_QUERY, "The query is not valid UTF-8.");
        return NULL;
    }
    struct cim_query *q = g_new0(struct cim_query, 1);
    struct lexer l;
    lexer_init(&l, text);
    bool ok = parse(&l, q, err);
    lexer_clear(&l);
    if (ok)
        return q;
    cim_query_free(q);
    return NULL;
}

bool
cim_query_check(const struct cim_query *q, const struct cim_class *c, GError **err)
{
    const char *unknown = c->property_count > 0 ? expr_unknown(q->where, c) : NULL;
    for (guint i = 0; !unknown && c->property_count > 0 && q->select && i < q->select->len; i++) {
        const char *name = g_ptr_array_index(q->select, i);
        unknown = g_str_has_prefix(name, "__") || cim_class_property(c, name) >= 0 ? NULL : name;
    }
    return !unknown || err_set(err, ERR_BAD_QUERY, "Class '%s' has no property '%s'.", c->name, unknown);
}

bool
cim_query_matches(const struct cim_query *q, const struct cim_instance *i, const char *server)
{
    return !q->where || expr_matches(q->where, i, server);
}
