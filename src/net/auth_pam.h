/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Passwords that PAM knows, asked of a program of its own (src/pam): modules of others never run in the daemon.  Only for auth.c.
 *
 * AUTH_PAM_AT_ONCE questions at a time; a further one waits for at most AUTH_PAM_QUEUE_S.  After limit_s the program is
 * killed, with its process group.  Any thread. */

#define AUTH_PAM_AT_ONCE 4u
#define AUTH_PAM_QUEUE_S 3

struct auth_pam;
/* ERR_USAGE: that cannot be a service; or the program cannot be run. */
struct auth_pam *auth_pam_new(const char *program, const char *service, guint limit_s, GError **err);
void auth_pam_free(struct auth_pam *p); /* NULL is fine */

enum auth_pam_answer {
    AUTH_PAM_YES,
    AUTH_PAM_NO,
    AUTH_PAM_BUSY,   /* too many ask */
    AUTH_PAM_BROKEN, /* no answer; logged */
};
enum auth_pam_answer auth_pam_ask(struct auth_pam *p, const char *user, const char *password, const char *address);
