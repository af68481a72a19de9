/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <security/pam_appl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* vmreplica-pam-helper SERVICE [FOLDER]: is this the password of that user?
 *
 * PAM loads modules of others, some of which leak, log, sleep, fork or crash: none of that happens inside of vmreplicad.  Standard input
 * has three texts, each ended by a zero byte: user, password, address of the client (may be empty).  Exit status: 0 yes, and the account
 * may be used now; 1 no; 2 PAM or the question is broken, with a line on standard error.  FOLDER has the service files instead of
 * /etc/pam.d; for tests.  net/auth_pam.c is the other side. */

#define QUESTION_MAX 4096
#define LIFE_S 60 /* the daemon is less patient, but may be gone */

enum { YES = 0, NO = 1, BROKEN = 2 };

struct question {
    char *user, *password, *address;
};

/* A prompt that hides what is typed wants the password; there is nobody to answer others. */
static int
answer(int count, const struct pam_message **messages, struct pam_response **out, void *user)
{
    const struct question *q = user;
    if (count <= 0 || count > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    struct pam_response *responses = calloc((size_t)count, sizeof *responses);
    bool fine = responses != NULL;
    for (int i = 0; fine && i < count; i++) {
        const int style = messages[i]->msg_style;
        if (style == PAM_PROMPT_ECHO_OFF)
            fine = (responses[i].resp = strdup(q->password)) != NULL;
        else
            fine = style == PAM_TEXT_INFO || style == PAM_ERROR_MSG;
    }
    if (fine) {
        *out = responses;
        return PAM_SUCCESS;
    }
    for (int i = 0; responses && i < count; i++)
        free(responses[i].resp);
    free(responses);
    return PAM_CONV_ERR;
}

/* Modules may put somebody else in the place of who asked. */
static bool
is_same_user(pam_handle_t *pam, const char *user)
{
    const void *now = NULL;
    return pam_get_item(pam, PAM_USER, &now) == PAM_SUCCESS && now && strcmp(now, user) == 0;
}

static int
ask(const char *service, const char *folder, struct question *q)
{
    const struct pam_conv talk = {answer, q};
    pam_handle_t *pam = NULL;
    int rc = folder ? pam_start_confdir(service, q->user, &talk, folder, &pam) : pam_start(service, q->user, &talk, &pam);
    if (rc != PAM_SUCCESS) {
        fprintf(stderr, "vmreplica-pam-helper: PAM cannot be started for the service '%s' (%d).\n", service, rc);
        return BROKEN;
    }
    if (*q->address)
        pam_set_item(pam, PAM_RHOST, q->address);
    rc = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    if (rc == PAM_SUCCESS)
        rc = pam_acct_mgmt(pam, PAM_SILENT);
    const bool yes = rc == PAM_SUCCESS && is_same_user(pam, q->user);
    if (rc == PAM_SERVICE_ERR || rc == PAM_OPEN_ERR || rc == PAM_SYMBOL_ERR || rc == PAM_MODULE_UNKNOWN || rc == PAM_ABORT)
        fprintf(stderr, "vmreplica-pam-helper: The PAM service '%s' does not work: %s.\n", service, pam_strerror(pam, rc));
    pam_end(pam, rc);
    return yes ? YES : NO;
}

/* The next text of the buffer, NULL: it is not ended. */
static char *
next_text(char **at, char *end)
{
    char *text = *at, *zero = text < end ? memchr(text, '\0', (size_t)(end - text)) : NULL;
    *at = zero ? zero + 1 : end;
    return zero ? text : NULL;
}

static bool
read_question(char *buffer, struct question *q)
{
    size_t len = 0;
    ssize_t got;
    while (len < QUESTION_MAX && (got = read(STDIN_FILENO, buffer + len, QUESTION_MAX - len)) > 0)
        len += (size_t)got;
    char *at = buffer, *end = buffer + len;
    q->user = next_text(&at, end);
    q->password = next_text(&at, end);
    q->address = next_text(&at, end);
    return len < QUESTION_MAX && q->address && at == end && *q->user;
}

int
main(int argc, char **argv)
{
    static char buffer[QUESTION_MAX];
    struct question q;
    if (argc < 2 || argc > 3 || !*argv[1] || strchr(argv[1], '/')) {
        fputs("Usage: vmreplica-pam-helper SERVICE; vmreplicad runs it.\n", stderr);
        return BROKEN;
    }
    prctl(PR_SET_DUMPABLE, 0); /* no core file with a password in it */
    alarm(LIFE_S);
    if (!read_question(buffer, &q)) {
        fputs("vmreplica-pam-helper: Standard input must be user, password and address, each ended by a zero byte.\n", stderr);
        return BROKEN;
    }
    const int status = ask(argv[1], argc == 3 ? argv[2] : NULL, &q);
    explicit_bzero(buffer, sizeof buffer);
    return status;
}
