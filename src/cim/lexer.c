/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cim/lexer.h"

#include <string.h>

void
lexer_clear(struct lexer *l)
{
    g_clear_pointer(&l->text, g_free);
}

static void
set(struct lexer *l, enum token_kind kind, const char *from, gsize len)
{
    l->kind = kind;
    l->text = g_strndup(from, len);
}

static void
take_string(struct lexer *l)
{
    char quote = *l->at++;
    g_autoptr(GString) out = g_string_new(NULL);
    for (; *l->at && *l->at != quote; l->at++) {
        if (*l->at == '\\' && l->at[1])
            l->at++;
        g_string_append_c(out, *l->at);
    }
    if (*l->at != quote) {
        set(l, TOKEN_BAD, "a string does not end", 21);
        return;
    }
    l->at++;
    set(l, TOKEN_STRING, out->str, out->len);
}

/* {path}: braces inside quotes belong to the path. */
static void
take_path(struct lexer *l)
{
    const char *from = ++l->at;
    for (char quote = 0; *l->at && (quote || *l->at != '}'); l->at++) {
        if (quote && *l->at == '\\' && l->at[1])
            l->at++;
        else if (quote ? *l->at == quote : *l->at == '"' || *l->at == '\'')
            quote = quote ? 0 : *l->at;
    }
    if (*l->at != '}') {
        set(l, TOKEN_BAD, "a path does not end with '}'", 28);
        return;
    }
    set(l, TOKEN_PATH, from, (gsize)(l->at - from));
    l->at++;
}

static void
take_number(struct lexer *l)
{
    const char *from = l->at++;
    while (g_ascii_isalnum(*l->at) || *l->at == '.' || ((*l->at == '-' || *l->at == '+') && g_ascii_tolower(l->at[-1]) == 'e'))
        l->at++;
    g_autofree char *text = g_strndup(from, (gsize)(l->at - from));
    char *end;
    g_ascii_strtod(text, &end);
    if (*end)
        set(l, TOKEN_BAD, "a number is malformed", 21);
    else
        set(l, TOKEN_NUMBER, text, strlen(text));
}

static void
take_operator(struct lexer *l)
{
    static const char *const operators[] = {"<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", ",", "*"};
    for (guint i = 0; i < G_N_ELEMENTS(operators); i++) {
        if (g_str_has_prefix(l->at, operators[i])) {
            set(l, TOKEN_OPERATOR, operators[i], strlen(operators[i]));
            l->at += strlen(operators[i]);
            return;
        }
    }
    set(l, TOKEN_BAD, "a character is not expected here", 32);
}

static bool
starts_number(const char *p)
{
    return g_ascii_isdigit(*p) || ((*p == '-' || *p == '+') && g_ascii_isdigit(p[1]));
}

void
lexer_next(struct lexer *l)
{
    lexer_clear(l);
    while (g_ascii_isspace(*l->at))
        l->at++;
    l->position = (guint)(l->at - l->start) + 1;
    if (*l->at == '\0') {
        set(l, TOKEN_END, "", 0);
    } else if (g_ascii_isalpha(*l->at) || *l->at == '_') {
        const char *from = l->at;
        while (g_ascii_isalnum(*l->at) || *l->at == '_' || *l->at == '.')
            l->at++;
        set(l, TOKEN_NAME, from, (gsize)(l->at - from));
    } else if (*l->at == '"' || *l->at == '\'') {
        take_string(l);
    } else if (*l->at == '{') {
        take_path(l);
    } else if (starts_number(l->at)) {
        take_number(l);
    } else {
        take_operator(l);
    }
}

void
lexer_init(struct lexer *l, const char *text)
{
    *l = (struct lexer){.start = text, .at = text};
    lexer_next(l);
}

bool
lexer_is(const struct lexer *l, const char *word)
{
    return (l->kind == TOKEN_NAME || l->kind == TOKEN_OPERATOR) && g_ascii_strcasecmp(l->text, word) == 0;
}

bool
lexer_take(struct lexer *l, const char *word)
{
    if (!lexer_is(l, word))
        return false;
    lexer_next(l);
    return true;
}
