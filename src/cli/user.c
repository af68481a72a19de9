/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"
#include "cli/show.h"

#include "net/auth.h"

#include <string.h>

/* user: the password file of the management API (net/auth.h), without a daemon. */

/* How a new user proves who he is. */
struct proof {
    char *password_file, *certificate;
    gboolean from_stdin, kerberos, pam;
};

static bool
add_with_password(const char *file, const char *name, const char *role, const struct proof *p, GError **err)
{
    g_autofree char *password = cli_password(p->from_stdin ? "-" : p->password_file, "New password", err);
    if (!password)
        return false;
    if (!*password)
        return err_set(err, ERR_USAGE, "An empty password is not accepted.");
    bool fine = auth_user_add(file, name, password, role, err);
    explicit_bzero(password, strlen(password));
    return fine;
}

static bool
add(const char *file, const char *name, const char *role, const struct proof *p, GError **err)
{
    const char *as = role ? role : "administrator";
    if ((p->password_file || p->from_stdin) + (p->certificate != NULL) + (p->kerberos != 0) + (p->pam != 0) > 1)
        return err_set(err, ERR_USAGE, "A user has a password, a certificate, a Kerberos principal or PAM; name one of them.");
    bool fine = p->kerberos      ? auth_user_add_kerberos(file, name, as, err)
                : p->pam         ? auth_user_add_pam(file, name, as, err)
                : p->certificate ? auth_user_add_certificate(file, name, p->certificate, as, err)
                                 : add_with_password(file, name, as, p, err);
    if (fine)
        printf("User '%s' may use the API of this host.\n", name);
    return fine;
}

static bool
list(struct cli *c, const char *file, GError **err)
{
    g_autoptr(GPtrArray) users = auth_user_list(file, err);
    if (!users)
        return false;
    json_t *out = json_array();
    struct table *t = table_new("USER", "ROLE", "PROVEN BY", NULL);
    for (guint i = 0; i < users->len; i++) {
        const struct auth_user *u = users->pdata[i];
        table_add(t, u->name);
        table_add(t, u->role);
        table_add(t, u->by);
        json_array_append_new(out, json_pack("{s:s, s:s, s:s}", "user", u->name, "role", u->role, "by", u->by));
    }
    if (c->json)
        show_print_json(json_incref(out));
    else if (users->len)
        table_print(t, stdout);
    else
        puts("There are no users.");
    json_decref(out);
    table_free(t);
    return true;
}

static bool
drop(const char *file, const char *name, GError **err)
{
    if (!auth_user_remove(file, name, err))
        return false;
    printf("User '%s' is gone.\n", name);
    return true;
}

VERB(verb_user)
{
    static const struct usage usage = {"add NAME | remove NAME | list", "Users of the management API of this host.",
                                       "A user has a password, or, with --certificate, the certificate of that PEM\n"
                                       "file, or, with --kerberos, is the principal NAME (alice@EXAMPLE.ORG),\n"
                                       "or, with --pam, has the password that PAM knows (pam_service in [api]).\n\n"
                                       "Roles: administrator may do everything; operator may fail over, test, pause,\n"
                                       "start and stop guests; viewer may only look."};
    g_autofree char *file = NULL, *role = NULL, *password_file = NULL, *certificate = NULL;
    struct proof proof = {0};
    g_auto(GStrv) args = NULL;
    const GOptionEntry options[] = {
        {"role", 'r', 0, G_OPTION_ARG_STRING, &role, "administrator (default), operator, viewer", "ROLE"},
        {"password-file", 0, 0, G_OPTION_ARG_FILENAME, &password_file, "read the password from FILE", "FILE"},
        {"password-stdin", 0, 0, G_OPTION_ARG_NONE, &proof.from_stdin, "read it from standard input", NULL},
        {"certificate", 0, 0, G_OPTION_ARG_FILENAME, &certificate, "TLS client certificate instead", "FILE"},
        {"kerberos", 0, 0, G_OPTION_ARG_NONE, &proof.kerberos, "Kerberos principal instead", NULL},
        {"pam", 0, 0, G_OPTION_ARG_NONE, &proof.pam, "the password that PAM knows instead", NULL},
        {"file", 'f', 0, G_OPTION_ARG_FILENAME, &file, "the user file (" CLI_USERS ")", "FILE"},
        {0},
    };
    if (!cli_parse(c, &usage, CLI_JSON, options, argc, argv, &args, err))
        return c->helped;
    proof.password_file = password_file;
    proof.certificate = certificate;
    const char *path = file ? file : CLI_USERS;
    guint n = g_strv_length(args);
    if (role && auth_role_parse(role) == ROLE_NOBODY)
        return err_set(err, ERR_USAGE, "'%s' is no role; there are administrator, operator and viewer.", role);
    if (n == 2 && strcmp(args[0], "add") == 0)
        return add(path, args[1], role, &proof, err);
    if (n == 2 && strcmp(args[0], "remove") == 0)
        return drop(path, args[1], err);
    if (n == 1 && strcmp(args[0], "list") == 0)
        return list(c, path, err);
    return err_set(err, ERR_USAGE, "Usage: vmreplica user %s", usage.synopsis);
}
