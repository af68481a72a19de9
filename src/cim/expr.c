/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/expr.h"

#include "base/err.h"

#include <string.h>

#define DEPTH_MAX 64
#define NODES_MAX 4096

enum op { OP_AND, OP_OR, OP_NOT, OP_COMPARE, OP_LIKE, OP_NULL, OP_ISA };
enum truth { NO, YES, UNKNOWN };

struct cim_expr {
    enum op op;
    struct cim_expr *left, *right;
    char *property;
    char comparison[3];      /* "=", "<>", "<", "<=", ">", ">=" */
    struct cim_value value;  /* literal; its text is the pattern of LIKE and the class of ISA */
    char *other;             /* right side is a property or a pseudo name instead */
};

struct parse {
    struct lexer *l;
    guint depth, nodes;
};

static struct cim_expr *parse_or(struct parse *p, GError **err);

bool
expr_error(const struct lexer *l, GError **err, const char *what)
{
    const char *text = l->kind == TOKEN_BAD ? l->text : what;
    const char *end = g_str_has_suffix(text, ".") ? "" : ".";
    glong position = g_utf8_strlen(l->start, l->position - 1) + 1; /* in characters: queries are valid UTF-8 */
    return err_set(err, ERR_BAD_QUERY, "The query is wrong at position %ld: %s%s", position, text, end);
}

void
expr_free(struct cim_expr *e)
{
    if (!e)
        return;
    expr_free(e->left);
    expr_free(e->right);
    cim_value_clear(&e->value);
    g_free(e->property);
    g_free(e->other);
    g_free(e);
}

static struct cim_expr *
make(struct parse *p, enum op op, GError **err)
{
    if (++p->nodes > NODES_MAX) {
        expr_error(p->l, err, "the condition is too long");
        return NULL;
    }
    struct cim_expr *e = g_new0(struct cim_expr, 1);
    e->op = op;
    e->value = cim_null(CIM_STRING, false);
    return e;
}

/* A literal, or a name (property or pseudo name) on the right. */
static bool
take_operand(struct parse *p, struct cim_expr *e, GError **err)
{
    struct lexer *l = p->l;
    if (l->kind == TOKEN_STRING) {
        e->value = cim_string(l->text);
    } else if (l->kind == TOKEN_NUMBER) {
        bool whole = strspn(l->text, "+-0123456789") == strlen(l->text);
        enum cim_type type = !whole ? CIM_REAL64 : l->text[0] == '-' ? CIM_SINT64 : CIM_UINT64;
        if (!cim_value_parse(&e->value, type, l->text, NULL))
            return expr_error(l, err, "a number is too large");
    } else if (lexer_is(l, "true") || lexer_is(l, "false")) {
        e->value = cim_bool(lexer_is(l, "true"));
    } else if (lexer_is(l, "null")) {
        e->value = cim_null(CIM_STRING, false);
    } else if (l->kind == TOKEN_NAME) {
        e->other = g_strdup(l->text);
    } else {
        return expr_error(l, err, "a value was expected");
    }
    lexer_next(l);
    return true;
}

static bool
finish_is(struct parse *p, struct cim_expr *e, bool *negated, GError **err)
{
    *negated = lexer_take(p->l, "not");
    e->op = OP_NULL;
    return lexer_take(p->l, "null") || expr_error(p->l, err, "NULL was expected after IS");
}

static bool
finish_pattern(struct parse *p, struct cim_expr *e, enum op op, GError **err)
{
    e->op = op;
    if (p->l->kind != TOKEN_STRING)
        return expr_error(p->l, err,
                          op == OP_LIKE ? "a pattern in quotes was expected after LIKE" : "a class name in quotes was expected after ISA");
    e->value = cim_string(p->l->text);
    lexer_next(p->l);
    return true;
}

/* The comparison at the cursor, and what it is when both sides are exchanged. */
static bool
take_comparison(struct lexer *l, struct cim_expr *e, bool exchanged, GError **err)
{
    static const char *const all[][3] = {
        {"=", "=", "="}, {"<>", "<>", "<>"}, {"!=", "<>", "<>"}, {"<", "<", ">"}, {"<=", "<=", ">="}, {">", ">", "<"}, {">=", ">=", "<="},
    };
    e->op = OP_COMPARE;
    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        if (lexer_take(l, all[i][0])) {
            g_strlcpy(e->comparison, all[i][exchanged ? 2 : 1], sizeof e->comparison);
            return true;
        }
    }
    return expr_error(l, err, "a comparison was expected");
}

/* value = property */
static bool
finish_exchanged(struct parse *p, struct cim_expr *e, GError **err)
{
    if (!take_operand(p, e, err) || !take_comparison(p->l, e, true, err))
        return false;
    if (p->l->kind != TOKEN_NAME)
        return expr_error(p->l, err, "the name of a property was expected");
    e->property = g_strdup(p->l->text);
    lexer_next(p->l);
    return true;
}

static struct cim_expr *
negate(struct parse *p, struct cim_expr *e, GError **err)
{
    struct cim_expr *n = make(p, OP_NOT, err);
    if (n)
        n->left = e;
    else
        expr_free(e);
    return n;
}

static bool
finish_predicate(struct parse *p, struct cim_expr *e, bool *negated, GError **err)
{
    if (p->l->kind == TOKEN_STRING || p->l->kind == TOKEN_NUMBER)
        return finish_exchanged(p, e, err);
    if (p->l->kind != TOKEN_NAME)
        return expr_error(p->l, err, "the name of a property was expected");
    e->property = g_strdup(p->l->text);
    lexer_next(p->l);
    if (lexer_take(p->l, "is"))
        return finish_is(p, e, negated, err);
    if ((*negated = lexer_take(p->l, "not")) || lexer_is(p->l, "like"))
        return lexer_take(p->l, "like") ? finish_pattern(p, e, OP_LIKE, err) : expr_error(p->l, err, "LIKE was expected after NOT");
    if (lexer_take(p->l, "isa"))
        return finish_pattern(p, e, OP_ISA, err);
    return take_comparison(p->l, e, false, err) && take_operand(p, e, err);
}

static struct cim_expr *
parse_predicate(struct parse *p, GError **err)
{
    bool negated = false;
    struct cim_expr *e = make(p, OP_COMPARE, err);
    if (!e)
        return NULL;
    if (!finish_predicate(p, e, &negated, err)) {
        expr_free(e);
        return NULL;
    }
    return negated ? negate(p, e, err) : e;
}

static struct cim_expr *
parse_unary(struct parse *p, GError **err)
{
    struct cim_expr *e;
    if (++p->depth > DEPTH_MAX) {
        expr_error(p->l, err, "the condition is nested too deeply");
        return NULL;
    }
    if (lexer_take(p->l, "not")) {
        e = parse_unary(p, err);
        e = e ? negate(p, e, err) : NULL;
    } else if (lexer_take(p->l, "(")) {
        e = parse_or(p, err);
        if (e && !lexer_take(p->l, ")")) {
            expr_error(p->l, err, "')' was expected");
            expr_free(e);
            e = NULL;
        }
    } else {
        e = parse_predicate(p, err);
    }
    p->depth--;
    return e;
}

/* A chain of one operator, left to right. */
static struct cim_expr *
parse_chain(struct parse *p, const char *word, enum op op, struct cim_expr *(*operand)(struct parse *, GError **), GError **err)
{
    struct cim_expr *e = operand(p, err);
    while (e && lexer_take(p->l, word)) {
        struct cim_expr *right = operand(p, err), *both = right ? make(p, op, err) : NULL;
        if (!both) {
            expr_free(right);
            expr_free(e);
            return NULL;
        }
        both->left = e;
        both->right = right;
        e = both;
    }
    return e;
}

static struct cim_expr *
parse_and(struct parse *p, GError **err)
{
    return parse_chain(p, "and", OP_AND, parse_unary, err);
}

static struct cim_expr *
parse_or(struct parse *p, GError **err)
{
    return parse_chain(p, "or", OP_OR, parse_and, err);
}

struct cim_expr *
expr_parse(struct lexer *l, GError **err)
{
    struct parse p = {.l = l};
    return parse_or(&p, err);
}

/* The character at *p in lower case; *p is moved behind it.  A byte that is no UTF-8 stands for itself. */
static gunichar
take_char(const char **p)
{
    gunichar c = g_utf8_get_char_validated(*p, -1);
    bool valid = c != (gunichar)-1 && c != (gunichar)-2;
    gunichar out = valid ? g_unichar_tolower(c) : (guchar)**p;
    *p += valid ? g_utf8_skip[(guchar)**p] : 1;
    return out;
}

/* One element of a LIKE pattern against one character; moves the pattern on. */
static bool
fits_one(const char **pattern, gunichar c)
{
    const char *p = *pattern, *close = *p == '[' ? strchr(p + 1, ']') : NULL;
    if (!close)
        return **pattern == '_' ? (*pattern)++, true : take_char(pattern) == c;
    bool not = p[1] == '^', hit = false;
    p += 1 + not;
    while (p < close) {
        gunichar low = take_char(&p), high = low;
        if (*p == '-' && p + 1 < close) {
            p++;
            high = take_char(&p);
        }
        hit |= c >= low && c <= high;
    }
    *pattern = close + 1;
    return hit != not;
}

/* Greedy with one point to return to: the product of the lengths at worst, never exponential. */
static bool
like(const char *pattern, const char *text)
{
    const char *back_pattern = NULL, *back_text = NULL;
    while (*text) {
        const char *next = pattern, *rest = text;
        if (*pattern == '%') {
            back_pattern = ++pattern;
            back_text = text;
        } else if (*pattern && fits_one(&next, take_char(&rest))) {
            pattern = next;
            text = rest;
        } else if (back_pattern) {
            take_char(&back_text);
            pattern = back_pattern;
            text = back_text;
        } else {
            return false;
        }
    }
    while (*pattern == '%')
        pattern++;
    return *pattern == '\0';
}

static bool
takes_prefix(const char **name, const char *prefix)
{
    const gsize len = strlen(prefix);
    if (g_ascii_strncasecmp(*name, prefix, len) != 0 || ((*name)[len] != '.' && (*name)[len] != '\0'))
        return false;
    *name += len + ((*name)[len] == '.');
    return true;
}

/* The instance that a name speaks of, and what is left of the name: "" for the instance as a whole. */
static const struct cim_instance *
instance_of(const struct expr_scope *s, const char **name)
{
    if (!s->event)
        return s->self;
    if (takes_prefix(name, "TargetInstance") || takes_prefix(name, "SourceInstance"))
        return s->target;
    return takes_prefix(name, "PreviousInstance") ? s->previous : NULL;
}

/* Value of a name: property, or __SERVER, __CLASS, __PATH, __RELPATH, __NAMESPACE. */
static struct cim_value
value_of(const char *name, const struct expr_scope *s)
{
    struct cim_value out = cim_null(CIM_STRING, false);
    const char *server = s->server;
    const struct cim_instance *i = instance_of(s, &name);
    if (!i)
        return out;
    const struct cim_value *v = cim_get(i, name);
    if (v) {
        cim_value_copy(&out, v);
    } else if (g_ascii_strcasecmp(name, "__SERVER") == 0) {
        out = cim_string(server);
    } else if (g_ascii_strcasecmp(name, "__CLASS") == 0) {
        out = cim_string(i->cls->name);
    } else if (g_ascii_strcasecmp(name, "__NAMESPACE") == 0) {
        out = cim_string(i->cls->ns);
    } else if (g_ascii_strcasecmp(name, "__PATH") == 0 || g_ascii_strcasecmp(name, "__RELPATH") == 0) {
        cim_path_auto path = cim_instance_path(i);
        out = cim_ref(g_steal_pointer(&path));
    }
    return out;
}

static bool
compare_paths(const struct cim_value *a, const struct cim_value *b, int *order)
{
    const struct cim_value *ref = a->type == CIM_REFERENCE ? a : b, *text = ref == a ? b : a;
    if (a->null || b->null || ref->type != CIM_REFERENCE)
        return false;
    cim_path_auto parsed = text->type == CIM_REFERENCE ? cim_path_copy(text->ref) : NULL;
    if (text->type == CIM_STRING)
        parsed = cim_path_parse(text->text, NULL);
    if (!parsed)
        return false;
    *order = cim_path_equal(ref->ref, parsed) ? 0 : 1;
    return true;
}

static enum truth
compare(const struct cim_expr *e, const struct expr_scope *s)
{
    struct cim_value a = value_of(e->property, s), b;
    int order = 0;
    if (e->other)
        b = value_of(e->other, s);
    else
        cim_value_copy(&b, &e->value);
    /* `x = NULL` is how WQL users write IS NULL. */
    bool null_literal = !e->other && b.null;
    bool known = null_literal || compare_paths(&a, &b, &order) || cim_value_compare(&a, &b, &order);
    if (null_literal)
        order = a.null ? 0 : 1;
    cim_value_clear(&a);
    cim_value_clear(&b);
    if (!known)
        return UNKNOWN;
    const char *c = e->comparison;
    bool equal = order == 0 && strchr(c, '='), below = order < 0 && c[0] == '<', above = order > 0 && (c[0] == '>' || strcmp(c, "<>") == 0);
    return equal || below || above ? YES : NO;
}

static enum truth
test_like(const struct cim_expr *e, const struct expr_scope *s)
{
    struct cim_value v = value_of(e->property, s);
    g_autofree char *text = cim_value_text(&v);
    cim_value_clear(&v);
    return !text ? UNKNOWN : like(e->value.text, text) ? YES : NO;
}

static enum truth
test_null(const struct cim_expr *e, const struct expr_scope *s)
{
    struct cim_value v = value_of(e->property, s);
    bool null = v.null;
    cim_value_clear(&v);
    return null ? YES : NO;
}

static enum truth
test_isa(const struct cim_expr *e, const struct expr_scope *s)
{
    const char *name = e->property;
    const struct cim_instance *i = instance_of(s, &name);
    return !i ? UNKNOWN : cim_class_is_a(i->cls, e->value.text) ? YES : NO;
}

static enum truth
evaluate(const struct cim_expr *e, const struct expr_scope *s)
{
    enum truth left, right;
    switch (e->op) {
    case OP_NOT:
        left = evaluate(e->left, s);
        return left == UNKNOWN ? UNKNOWN : left == YES ? NO : YES;
    case OP_AND:
    case OP_OR:
        left = evaluate(e->left, s);
        if (left == (e->op == OP_AND ? NO : YES))
            return left;
        right = evaluate(e->right, s);
        return right == (e->op == OP_AND ? NO : YES) ? right : left == UNKNOWN ? UNKNOWN : right;
    case OP_LIKE:
        return test_like(e, s);
    case OP_NULL:
        return test_null(e, s);
    case OP_ISA:
        return test_isa(e, s);
    case OP_COMPARE:
        return compare(e, s);
    }
    g_assert_not_reached();
}

bool
expr_holds(const struct cim_expr *e, const struct expr_scope *s)
{
    return evaluate(e, s) == YES;
}

bool
expr_matches(const struct cim_expr *e, const struct cim_instance *i, const char *server)
{
    return expr_holds(e, &(struct expr_scope){.self = i, .server = server});
}

const char *
expr_isa(const struct cim_expr *e, const char *property)
{
    if (!e)
        return NULL;
    if (e->op == OP_AND) {
        const char *left = expr_isa(e->left, property);
        return left ? left : expr_isa(e->right, property);
    }
    return e->op == OP_ISA && g_ascii_strcasecmp(e->property, property) == 0 ? e->value.text : NULL;
}

const char *
expr_equality(const struct cim_expr *e, const char *property)
{
    if (!e)
        return NULL;
    if (e->op == OP_AND) {
        const char *left = expr_equality(e->left, property);
        return left ? left : expr_equality(e->right, property);
    }
    bool simple = e->op == OP_COMPARE && strcmp(e->comparison, "=") == 0 && !e->other && !e->value.null && e->value.type == CIM_STRING;
    return simple && g_ascii_strcasecmp(e->property, property) == 0 ? e->value.text : NULL;
}

static const char *
unknown_name(const char *name, const struct cim_class *c)
{
    return name && !g_str_has_prefix(name, "__") && cim_class_property(c, name) < 0 ? name : NULL;
}

const char *
expr_unknown(const struct cim_expr *e, const struct cim_class *c)
{
    if (!e)
        return NULL;
    const char *found = expr_unknown(e->left, c);
    found = found ? found : expr_unknown(e->right, c);
    found = found ? found : unknown_name(e->property, c);
    return found ? found : unknown_name(e->other, c);
}
