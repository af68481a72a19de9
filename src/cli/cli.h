/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/err.h"
#include "wsman/client.h"

#include <stdio.h>

/* The command line: `vmreplica VERB ...`.  A verb is a file, a function and a row of the table in main.c.
 *
 * A verb parses its own arguments, does its work over WS-Management (or on local files) and returns true, or false with an error; main
 * prints the error on standard error and turns it into the exit status of base/err.h.  Results go to standard output, progress and
 * warnings to standard error.  Single thread. */

struct cli {
    /* connection; from the options of every verb that talks to a daemon */
    char *socket, *host, *user, *password_file, *cert, *key, *ca;
    gboolean plain, kerberos;
    gboolean json, no_wait;
    bool helped;                   /* --help was printed */
    struct wsman_client *client;   /* after cli_connect */
};
void cli_clear(struct cli *c);

#define CLI_SOCKET "/run/vmreplica/vmreplicad.sock"
#define CLI_USERS "/etc/vmreplica/users"

typedef bool (*cli_run)(struct cli *c, int argc, char **argv, GError **err);
struct verb {
    const char *name, *summary;
    cli_run run;
};
extern const struct verb verbs[]; /* ends with name NULL */

/* What a verb's --help says besides its options; lines of at most 80 columns. */
struct usage {
    const char *synopsis;   /* "VM [--start]": after the verb's name; argv[0] is that name */
    const char *summary;
    const char *text;       /* more, NULL: none */
};
enum cli_flags { CLI_LOCAL = 0, CLI_CONNECTS = 1, CLI_JSON = 2, CLI_WAITS = 4 };

/* Parses options (entries may be NULL) and leaves the other arguments, without the verb, in *args (g_strfreev).  false: an error, or help
 * was printed: then c->helped is true and err is not set, so a verb does `return c->helped`. */
bool cli_parse(struct cli *c, const struct usage *usage, guint flags, const GOptionEntry *entries, int argc, char **argv, char ***args,
               GError **err);
/* ERR_USAGE unless there are min to max arguments; names what is wrong. */
bool cli_count(char **args, guint min, guint max, const struct usage *usage, const char *verb, GError **err);
bool cli_connect(struct cli *c, GError **err); /* may be called twice */

/* Duration such as 90, 90s, 30m, 2h, 7d in seconds. */
bool cli_duration(const char *text, guint64 *seconds, GError **err);
/* "2026-11-23T14:00", with or without seconds and zone; without zone: local time. */
bool cli_time(const char *text, gint64 *wall_us, GError **err);
/* A password from the file, from standard input ("-"), or asked for on the terminal (NULL). */
char *cli_password(const char *file, const char *prompt, GError **err);

#define VERB(name) bool name(struct cli *c, int argc, char **argv, GError **err)
VERB(verb_server);
VERB(verb_authorize);
VERB(verb_enable);
VERB(verb_start);
VERB(verb_import);
VERB(verb_status);
VERB(verb_churn);
VERB(verb_points);
VERB(verb_address);
VERB(verb_test_network);
VERB(verb_modify);
VERB(verb_failover);
VERB(verb_test_failover);
VERB(verb_prepare);
VERB(verb_reverse);
VERB(verb_demote);
VERB(verb_switchover);
VERB(verb_reprotect);
VERB(verb_resynchronise);
VERB(verb_revert);
VERB(verb_commit);
VERB(verb_compare);
VERB(verb_promote);
VERB(verb_group);
VERB(verb_plan);
VERB(verb_suspend);
VERB(verb_resume);
VERB(verb_disable);
VERB(verb_power);
VERB(verb_watch);
VERB(verb_jobs);
VERB(verb_log);
VERB(verb_point);
VERB(verb_pki);
VERB(verb_user);
VERB(verb_get);
VERB(verb_query);
