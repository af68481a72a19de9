/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "door.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/xml.h"
#include "net/http_client.h"
#include "wsman/client.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The door itself: real HTTP over loopback and a Unix socket, real passwords; and the client that comes through it. */

static struct door door;

static guint
post(const char *path, const char *user, const char *password, const char *extra, const char *type, const char *body, char **reply)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u", http_server_port(door.tcp));
    g_autofree char *content = g_strconcat("Content-Type: ", type, NULL);
    const char *const headers[] = {content, extra, NULL};
    struct http_client_config config = {.url = url, .user = user, .password = password};
    struct http_client *client = http_client_new(&config, &err);
    struct http_call call = HTTP_CALL_INIT;
    http_answer_auto answer = {0};
    call.method = "POST";
    call.path = path;
    call.headers = headers;
    call.body = body;
    call.length = strlen(body);
    http_client_call(client, &call, &answer, &err);
    g_assert_no_error(err);
    http_client_free(client);
    if (reply)
        *reply = g_steal_pointer(&answer.body);
    return answer.status;
}

#define SOAP_TYPE "application/soap+xml;charset=UTF-8"
#define IDENTIFY "<s:Envelope xmlns:s=\"" NS_SOAP "\" xmlns:i=\"" NS_IDENTITY "\"><s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>"
#define PROBE "WSMANIDENTIFY: unauthenticated"

/* Both spellings of the path, and whatever stands behind a question mark. */
static void
rule_8_paths(void)
{
    g_autofree char *get = soap_text(ACTION_GET, WMI "Msvm_ReplicationService", NULL, NULL);
    g_assert_cmpuint(post("/wsman", "boss", "pass:word", NULL, SOAP_TYPE, get, NULL), ==, 200);
    g_assert_cmpuint(post("/wsman/", "boss", "pass:word", NULL, SOAP_TYPE, get, NULL), ==, 200);
    g_assert_cmpuint(post("/wsman?PSVersion=5.1", "guest", "guest", NULL, SOAP_TYPE, get, NULL), ==, 200);
    g_assert_cmpuint(post("/wsman/?PSVersion=5.1", "guest", "guest", NULL, SOAP_TYPE, get, NULL), ==, 200);
    g_assert_cmpuint(post("/other", "boss", "pass:word", NULL, SOAP_TYPE, get, NULL), ==, 404);
    g_assert_cmpuint(post("/wsman", "boss", "pass:word", NULL, "application/json", get, NULL), ==, 415);
}

/* 401 with an empty body and a line per scheme, never 403, on a connection that stays open; the same for bad credentials as for none. */
static void
rule_11_unauthorized(void)
{
    static const char *const credentials[] = {"", "Authorization: Basic Ym9zczp3cm9uZw==\r\n", "Authorization: Basic\r\n",
                                              "Authorization: Basic !!!\r\n", "Authorization: Digest x\r\n"};
    g_autofree char *get = soap_text(ACTION_GET, WMI "Msvm_ReplicationService", NULL, NULL);
    auto_fd fd = door_connect(&door);
    for (guint i = 0; i < G_N_ELEMENTS(credentials); i++) {
        g_autofree char *text =
            g_strdup_printf("POST /wsman HTTP/1.1\r\nHost: x\r\nContent-Type: " SOAP_TYPE "\r\n%sContent-Length: %zu\r\n\r\n%s",
                            credentials[i], strlen(get), get);
        g_autofree char *head = NULL, *body = NULL;
        gsize len;
        g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, (gssize)strlen(text));
        g_assert_cmpuint(door_read(fd, &head, &body, &len), ==, 401);
        g_assert_cmpuint(len, ==, 0);
        g_assert_nonnull(strstr(head, "\r\nWWW-Authenticate: Basic realm=\"WSMAN\""));
        g_assert_null(strcasestr(head, "connection: close"));
    }
    g_assert_cmpuint(post("/wsman", NULL, NULL, NULL, SOAP_TYPE, get, NULL), ==, 401);
    g_assert_cmpuint(post("/wsman", "boss", "wrong", NULL, SOAP_TYPE, get, NULL), ==, 401);
}

/* A missing Authorization header never means somebody: the probe may identify, and nothing else. */
static void
probes(void)
{
    g_autofree char *get = soap_text(ACTION_GET, WMI "Msvm_ReplicationService", NULL, NULL);
    g_autofree char *answer = NULL, *refused = NULL, *other = NULL;
    g_assert_cmpuint(post("/wsman", NULL, NULL, PROBE, SOAP_TYPE, IDENTIFY, &answer), ==, 200);
    g_assert_nonnull(strstr(answer, "IdentifyResponse"));
    g_assert_null(strstr(answer, VMR_VERSION "<"));
    g_assert_cmpuint(post("/wsman", NULL, NULL, NULL, SOAP_TYPE, IDENTIFY, NULL), ==, 401);
    g_assert_cmpuint(post("/wsman", NULL, NULL, PROBE, SOAP_TYPE, get, &refused), ==, 500);
    g_assert_nonnull(strstr(refused, "w:AccessDenied"));
    g_assert_cmpuint(post("/wsman-anon/identify", NULL, NULL, NULL, SOAP_TYPE, IDENTIFY, NULL), ==, 200);
    g_assert_cmpuint(post("/wsman-anon/identify", NULL, NULL, NULL, SOAP_TYPE, get, &other), ==, 500);
    g_assert_nonnull(strstr(other, "w:AccessDenied"));
}

static struct wsman_client *
client_of(const char *user, const char *password)
{
    g_autoptr(GError) err = NULL;
    struct wsman_client_config config = {.socket = user ? NULL : door.socket,
                                         .host = "127.0.0.1",
                                         .port = http_server_port(door.tcp),
                                         .plain = true,
                                         .user = user,
                                         .password = password};
    struct wsman_client *c = wsman_client_new(&config, &err);
    g_assert_no_error(err);
    return c;
}

static struct cim_path *
service(void)
{
    return cim_path_new(NULL, "Msvm_ReplicationService");
}

static struct cim_value
guest(const char *name)
{
    struct cim_path *p = cim_path_new(NULL, "Msvm_ComputerSystem");
    cim_path_set(p, "Name", name);
    return cim_ref(p);
}

static void
client_reads(void)
{
    g_autoptr(GError) err = NULL;
    struct wsman_client *c = client_of("boss", "pass:word");
    g_autoptr(GPtrArray) all = wsman_client_enumerate(c, "Msvm_ComputerSystem", &err);
    g_assert_no_error(err);
    g_assert_cmpuint(all->len, ==, 4);
    g_autoptr(GPtrArray) some =
        wsman_client_query(c, "SELECT * FROM Msvm_VirtualSystemSettingData WHERE InstanceID = 'Microsoft:" POINT_2 "'", &err);
    g_assert_no_error(err);
    g_assert_cmpuint(some->len, ==, 1);
    const struct cim_instance *point = g_ptr_array_index(some, 0);
    g_assert_cmpstr(cim_get_string(point, "ElementName"), ==, "web - Standard Replica - (2026-11-18 - 11:06:40) <&>");
    g_assert_cmpint(cim_get(point, "CreationTime")->time.us, ==, FAKE_EPOCH_US + 60 * G_USEC_PER_SEC);
    g_assert_true(cim_get(point, "Parent")->null);
    g_assert_cmpuint(cim_get(point, "Notes")->items->len, ==, 1);
    cim_path_auto path = guest(WEB).ref;
    g_autoptr(GPtrArray) links = wsman_client_associators(c, path, "Msvm_ReplicationRelationship", &err);
    g_assert_no_error(err);
    g_assert_cmpuint(links->len, ==, 1);
    g_assert_null(wsman_client_query(c, "SELEKT", &err));
    g_assert_true(err_is(err, ERR_BAD_QUERY));
    g_clear_error(&err);
    cim_path_set(path, "Name", "nobody");
    g_assert_null(wsman_client_get(c, path, &err));
    g_assert_true(err_is(err, ERR_NO_SUCH_INSTANCE));
    wsman_client_free(c);
}

static bool
count(void *user, guint percent, const char *status)
{
    g_assert_true(g_str_equal(status, "working") || g_str_equal(status, "done"));
    ++*(guint *)user;
    return true;
}

static bool
stop(void *user, guint percent, const char *status)
{
    return false;
}

static guint32
call_and_wait(struct wsman_client *c, const char *method, const char *vm, wsman_progress progress, void *user, char **reason, GError **err)
{
    struct cim_args *in = cim_args_new(), *out = cim_args_new();
    cim_path_auto path = service();
    guint32 result = 0;
    cim_args_set(in, "ComputerSystem", guest(vm));
    g_assert_true(wsman_client_invoke(c, path, method, in, out, &result, reason, err));
    const struct cim_value *job = cim_args_get(out, "Job");
    if (job)
        wsman_client_wait(c, job->ref, progress, user, NULL, err);
    cim_args_free(in);
    cim_args_free(out);
    return result;
}

static void
client_invokes(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *reason = NULL, *none = NULL;
    struct wsman_client *c = client_of("boss", "pass:word");
    guint looks = 0;
    g_assert_cmpuint(call_and_wait(c, "InitiateFailover", WEB, count, &looks, &none, &err), ==, 4096);
    g_assert_no_error(err);
    g_assert_cmpuint(looks, ==, 2);
    g_assert_null(none);
    g_assert_cmpuint(call_and_wait(c, "InitiateFailover", DB, NULL, NULL, &reason, &err), ==, 32775);
    g_assert_no_error(err);
    g_assert_nonnull(strstr(reason, "no replica"));
    g_assert_cmpint(wsman_client_code(32775), ==, ERR_INVALID_STATE);
    g_assert_cmpint(wsman_client_code(4), ==, ERR_INVALID_PARAMETER);
    g_assert_cmpint(wsman_client_code(5), ==, ERR_INVALID_STATE);
    g_assert_cmpint(wsman_client_code(7), ==, ERR_FAILED);
    g_assert_cmpuint(call_and_wait(c, "CommitFailover", DB, NULL, NULL, NULL, &err), ==, 4096);
    g_assert_true(err_is(err, ERR_INVALID_STATE));
    g_assert_cmpstr(err->message, ==, "'db' has not failed over.");
    g_clear_error(&err);
    call_and_wait(c, "InitiateFailover", WEB, stop, NULL, NULL, &err);
    g_assert_true(err_is(err, ERR_CANCELLED));
    wsman_client_free(c);
}

static void
client_roles(void)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *reason = NULL;
    struct wsman_client *reader = client_of("guest", "guest"), *nobody = client_of("boss", "bad");
    g_assert_cmpuint(call_and_wait(reader, "InitiateFailover", WEB, NULL, NULL, &reason, &err), ==, 32769);
    g_assert_null(wsman_client_enumerate(nobody, "Msvm_ComputerSystem", &err));
    g_assert_true(err_is(err, ERR_ACCESS_DENIED));
    wsman_client_free(reader);
    wsman_client_free(nobody);
    if (getuid() != 0)
        return;
    g_clear_error(&err);
    struct wsman_client *root = client_of(NULL, NULL);
    g_assert_cmpuint(call_and_wait(root, "InitiateFailover", WEB, NULL, NULL, NULL, &err), ==, 4096);
    g_assert_no_error(err);
    wsman_client_free(root);
}

/* Several clients at once, each with contexts of its own. */
static gpointer
read_much(gpointer user)
{
    struct wsman_client *c = client_of("boss", "pass:word");
    for (guint i = 0; i < 30; i++) {
        g_autoptr(GError) err = NULL;
        g_autoptr(GPtrArray) all = wsman_client_query(c, "SELECT * FROM Msvm_ComputerSystem", &err);
        g_assert_no_error(err);
        g_assert_cmpuint(all->len, ==, 4);
        g_assert_cmpuint(call_and_wait(c, "RevertFailover", WEB, NULL, NULL, NULL, &err), ==, 4096);
        g_assert_no_error(err);
    }
    wsman_client_free(c);
    return NULL;
}

static void
many_clients(void)
{
    GThread *threads[4];
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("client", read_much, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    xml_init();
    door_open(&door);
    g_test_add_func("/wsman/rules/08-paths", rule_8_paths);
    g_test_add_func("/wsman/rules/11-unauthorized", rule_11_unauthorized);
    g_test_add_func("/wsman/endpoint/probes", probes);
    g_test_add_func("/wsman/client/reads", client_reads);
    g_test_add_func("/wsman/client/invokes", client_invokes);
    g_test_add_func("/wsman/client/roles", client_roles);
    g_test_add_func("/wsman/client/many", many_clients);
    int result = g_test_run();
    door_close(&door);
    return result;
}
