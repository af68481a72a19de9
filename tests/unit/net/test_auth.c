/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "net/auth.h"
#include "net/http_client.h"

#include <string.h>
#include <sys/stat.h>

/* A real server whose only route tells how auth_identify decided. */
struct door {
    char *dir, *users, *socket;
    struct auth *auth;
    struct http_server *server;
};

static void
on_who(void *user, const struct http_request *q, struct http_response *r)
{
    struct door *d = user;
    struct net_peer peer = {0};
    enum auth_result result = auth_identify(d->auth, q, r, &peer);
    if (result != AUTH_OK) {
        auth_refuse(d->auth, result, r);
        return;
    }
    static const char *const roles[] = {"nobody", "reader", "operator", "admin"};
    g_autofree char *text = g_strdup_printf("%s %s", peer.user, roles[peer.role]);
    http_respond(r, 200, "text/plain", text, strlen(text));
}

static void
door_open(struct door *d, bool unix_socket)
{
    GError *err = NULL;
    d->dir = g_dir_make_tmp("vmr-auth-XXXXXX", NULL);
    d->users = g_build_filename(d->dir, "users", NULL);
    d->socket = unix_socket ? g_build_filename(d->dir, "api.sock", NULL) : NULL;
    g_assert_true(auth_user_add(d->users, "op", "erate", "operator", &err));
    g_assert_true(auth_user_add(d->users, "root", "s3cret:with:colons", "administrator", &err));
    g_assert_true(auth_user_add(d->users, "guest", "gäst", "reader", &err));
    g_assert_no_error(err);
    d->auth = auth_open(d->users, &err);
    g_assert_no_error(err);
    d->server = http_server_new(&(struct http_server_config){.address = unix_socket ? d->socket : "127.0.0.1"});
    http_server_route(d->server, "GET", "/who", on_who, d);
    g_assert_true(http_server_start(d->server, &err));
}

static void
door_close(struct door *d)
{
    http_server_free(d->server);
    auth_free(d->auth);
    g_assert_true(file_remove_tree(d->dir, NULL));
    g_free(d->dir);
    g_free(d->users);
    g_free(d->socket);
}

static guint
ask(const struct door *d, const char *user, const char *password, const char *field, char **answer)
{
    GError *err = NULL;
    g_autofree char *url = g_strdup_printf("http://localhost:%u", d->socket ? 80 : http_server_port(d->server));
    struct http_client *c =
        http_client_new(&(struct http_client_config){.url = url, .unix_socket = d->socket, .user = user, .password = password}, &err);
    const char *fields[] = {field, NULL};
    struct http_call call = {.method = "GET", .path = "/who", .headers = field ? fields : NULL, .fd = -1};
    http_answer_auto a = {0};
    g_assert_true(http_client_call(c, &call, &a, &err));
    g_assert_no_error(err);
    http_client_free(c);
    if (answer)
        *answer = g_strdup(a.body);
    return a.status;
}

static void
test_table(void)
{
    static const struct {
        const char *user, *password, *field;
        guint status;
        const char *answer;
    } cases[] = {
        {NULL, NULL, NULL, 401, ""},
        {"root", "s3cret:with:colons", NULL, 200, "root admin"},
        {"root", "s3cret:with:colons", NULL, 200, "root admin"}, /* from memory this time */
        {"op", "erate", NULL, 200, "op operator"},
        {"guest", "gäst", NULL, 200, "guest reader"},
        {"root", "s3cret", NULL, 401, ""},
        {"root", "", NULL, 401, ""},
        {"Root", "s3cret:with:colons", NULL, 401, ""},
        {"nobody", "s3cret:with:colons", NULL, 401, ""},
        {"", "s3cret:with:colons", NULL, 401, ""},
        {NULL, NULL, "Authorization: Basic", 401, ""},
        {NULL, NULL, "Authorization: Basic !!!!", 401, ""},
        {NULL, NULL, "Authorization: Basic cm9vdA==", 401, ""},                     /* root without a colon */
        {NULL, NULL, "Authorization: Basic OnMzY3JldA==", 401, ""},                 /* nobody:s3cret */
        {NULL, NULL, "Authorization: basic Z3Vlc3Q6Z8Okc3Q=", 200, "guest reader"}, /* the scheme's case does not matter */
        {NULL, NULL, "Authorization: Bearer Z3Vlc3Q6Z8Okc3Q=", 401, ""},
        {NULL, NULL, "Authorization: Basic Z3Vlc3QAOmfDpHN0", 401, ""}, /* guest NUL :gäst */
        {NULL, NULL, "Authorization: http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual", 401, ""},
    };
    struct door d;
    door_open(&d, false);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *answer = NULL;
        g_test_message("case %u", i);
        g_assert_cmpuint(ask(&d, cases[i].user, cases[i].password, cases[i].field, &answer), ==, cases[i].status);
        g_assert_cmpstr(answer, ==, cases[i].answer);
    }
    door_close(&d);
}

static void
test_failures(void)
{
    struct door d;
    door_open(&d, false);
    for (guint i = 0; i < AUTH_TRIES - 1; i++)
        g_assert_cmpuint(ask(&d, "root", "wrong", NULL, NULL), ==, 401);
    g_assert_cmpuint(ask(&d, "root", "s3cret:with:colons", NULL, NULL), ==, 200); /* forgets them */
    for (guint i = 0; i < AUTH_TRIES; i++)
        g_assert_cmpuint(ask(&d, "root", "wrong", NULL, NULL), ==, 401);
    g_assert_cmpuint(ask(&d, "root", "wrong", NULL, NULL), ==, 429);
    g_assert_cmpuint(ask(&d, "root", "s3cret:with:colons", NULL, NULL), ==, 429);
    g_assert_cmpuint(ask(&d, "guest", "gäst", NULL, NULL), ==, 200); /* others are not hindered */
    for (guint i = 0; i < AUTH_TRIES; i++)
        g_assert_cmpuint(ask(&d, "nobody", "wrong", NULL, NULL), ==, 401);
    g_assert_cmpuint(ask(&d, "nobody", "wrong", NULL, NULL), ==, 429); /* existence does not show */
    door_close(&d);
}

static void
test_unix(void)
{
    struct door d;
    if (getuid() != 0) {
        g_test_skip("needs root, which is an administrator on Unix sockets");
        return;
    }
    g_autofree char *local = NULL, *named = NULL;
    door_open(&d, true);
    g_assert_cmpuint(ask(&d, NULL, NULL, NULL, &local), ==, 200);
    g_assert_cmpstr(local, ==, "root admin");
    g_assert_cmpuint(ask(&d, "guest", "gäst", NULL, &named), ==, 200); /* who says who he is, is that */
    g_assert_cmpstr(named, ==, "guest reader");
    g_assert_cmpuint(ask(&d, "guest", "wrong", NULL, NULL), ==, 401);
    door_close(&d);
}

/* Changes count at once, and a file that others may read lets nobody in. */
static void
test_reload(void)
{
    struct door d;
    GError *err = NULL;
    door_open(&d, false);
    g_assert_cmpuint(ask(&d, "guest", "gäst", NULL, NULL), ==, 200);
    g_assert_true(auth_user_add(d.users, "guest", "new", "admin", &err));
    g_assert_cmpuint(ask(&d, "guest", "gäst", NULL, NULL), ==, 401);
    g_autofree char *answer = NULL;
    g_assert_cmpuint(ask(&d, "guest", "new", NULL, &answer), ==, 200);
    g_assert_cmpstr(answer, ==, "guest admin");
    g_assert_cmpint(chmod(d.users, 0640), ==, 0);
    g_assert_cmpuint(ask(&d, "guest", "new", NULL, NULL), ==, 401);
    g_assert_null(auth_open(d.users, &err));
    g_assert_error(err, ERR, ERR_ACCESS_DENIED);
    g_clear_error(&err);
    g_assert_cmpint(chmod(d.users, 0600), ==, 0);
    g_assert_cmpuint(ask(&d, "guest", "new", NULL, NULL), ==, 200);
    g_assert_true(auth_user_remove(d.users, "guest", &err));
    g_assert_cmpuint(ask(&d, "guest", "new", NULL, NULL), ==, 401);
    g_assert_true(file_unlink_durably(d.users, &err));
    g_assert_cmpuint(ask(&d, "root", "s3cret:with:colons", NULL, NULL), ==, 401);
    door_close(&d);
}

static void
assert_add_fails(const char *path, const char *user, const char *password, const char *role)
{
    g_autoptr(GError) err = NULL;
    g_assert_false(auth_user_add(path, user, password, role, &err));
    g_assert_error(err, ERR, ERR_INVALID_PARAMETER);
}

static void
assert_user(const GPtrArray *list, guint i, const char *name, const char *role, const char *by)
{
    const struct auth_user *u = list->pdata[i];
    g_assert_cmpstr(u->name, ==, name);
    g_assert_cmpstr(u->role, ==, role);
    g_assert_cmpstr(u->by, ==, by);
}

static void
test_file(void)
{
    GError *err = NULL;
    g_autofree char *dir = g_dir_make_tmp("vmr-auth-XXXXXX", NULL), *path = g_build_filename(dir, "users", NULL), *text = NULL;
    struct stat st;
    size_t len;
    g_autoptr(GPtrArray) none = auth_user_list(path, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(none->len, ==, 0);
    g_assert_true(auth_user_add(path, "b", "pw", "admin", &err));
    g_assert_true(auth_user_add(path, "a", "pw", "reader", &err));
    g_assert_true(auth_user_add(path, "b", "a long secret", "reader", &err));
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
    g_autoptr(GPtrArray) list = auth_user_list(path, &err);
    g_assert_cmpuint(list->len, ==, 2);
    assert_user(list, 0, "a", "reader", "password");
    assert_user(list, 1, "b", "reader", "password");
    g_assert_true(file_read_all(path, 1 << 20, &text, &len, &err));
    g_assert_null(strstr(text, "secret"));
    g_assert_nonnull(strstr(text, "b:$y$"));
    assert_add_fails(path, "a:b", "pw", "admin");
    assert_add_fails(path, "", "pw", "admin");
    assert_add_fails(path, "a\nb", "pw", "admin");
    assert_add_fails(path, "a", "", "admin");
    assert_add_fails(path, "a", "pw", "god");
    g_assert_false(auth_user_remove(path, "c", &err));
    g_assert_error(err, ERR, ERR_NOT_FOUND);
    g_clear_error(&err);
    g_assert_true(file_replace(path, "# ok\na:hash\n", 12, 0600, &err));
    g_assert_null(auth_user_list(path, &err));
    g_assert_error(err, ERR, ERR_MALFORMED);
    g_assert_nonnull(strstr(err->message, "Line 2"));
    g_clear_error(&err);
    g_assert_true(file_remove_tree(dir, &err));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/auth/table", test_table);
    g_test_add_func("/auth/failures", test_failures);
    g_test_add_func("/auth/unix", test_unix);
    g_test_add_func("/auth/reload", test_reload);
    g_test_add_func("/auth/file", test_file);
    return g_test_run();
}
