/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <jansson.h>

/* Runs the real program with arguments and looks at what it says. */

struct shell {
    const char *program;
    char *connection[8];      /* put after the verb's name, NULL-terminated */
    const char *input;        /* standard input; NULL: empty */
    int status;
    char *out, *err;
};
void shell_clear(struct shell *s);
void shell_run(struct shell *s, const char *verb, ...) G_GNUC_NULL_TERMINATED; /* with the connection options */
void shell_plain(struct shell *s, const char *verb, ...) G_GNUC_NULL_TERMINATED; /* without */
void shell_expect(struct shell *s, int status, const char *out, const char *err); /* pieces of the outputs, NULL: do not care */
json_t *shell_json(struct shell *s);                                              /* of standard output; json_decref */
