/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Words of WQL.  A lexer is a cursor over text that it does not own; the current token is always there.  TOKEN_BAD carries the reason in
 * `text` (a string that does not end, a character that nothing begins with).  Pure; one thread at a time. */

enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_STRING, TOKEN_NUMBER, TOKEN_OPERATOR, TOKEN_PATH, TOKEN_BAD };

struct lexer {
    const char *start, *at;
    enum token_kind kind;
    char *text;              /* name, decoded string, number, operator, path between braces */
    guint position;          /* of the current token, from 1 */
};
void lexer_init(struct lexer *l, const char *text);
void lexer_clear(struct lexer *l);
void lexer_next(struct lexer *l);
bool lexer_is(const struct lexer *l, const char *word);   /* keyword (any case) or operator */
bool lexer_take(struct lexer *l, const char *word);       /* if it is that word, moves on */
