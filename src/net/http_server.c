/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/http_int.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/log.h"
#include "net/http_socket.h"
#include "net/identity_int.h"

#include <string.h>
#include <sys/socket.h>

struct http_server {
    char *address, *group;
    guint port, max_connections;
    bool ask_client_cert, require_client_cert, tls13_only;
    struct net_identity *identity;
    struct http_limits limits;
    GPtrArray *routes;         /* struct http_route; fixed after start */
    struct MHD_Daemon *daemon; /* NULL: not running */
    int listen_fd;             /* the library's after start */
    GThread *watch;
    GMutex lock; /* guards conns, their deadlines, stopping */
    GCond stop;
    GHashTable *conns; /* set of struct http_conn */
    bool stopping;
};

static void
route_free(gpointer p)
{
    struct http_route *r = p;
    g_free(r->method);
    g_strfreev(r->segments);
    g_free(r);
}

struct http_server *
http_server_new(const struct http_server_config *config)
{
    struct http_server *s = g_new0(struct http_server, 1);
    s->address = g_strdup(config->address);
    s->group = g_strdup(config->group);
    s->port = config->port;
    s->max_connections = config->max_connections ? config->max_connections : 256;
    s->require_client_cert = config->require_client_cert;
    s->ask_client_cert = config->identity && (config->ask_client_cert || config->require_client_cert);
    s->tls13_only = config->tls13_only;
    s->identity = net_identity_ref(config->identity);
    s->limits.max_body = config->max_body ? config->max_body : 512u << 10;
    s->limits.timeout_s = config->timeout_s ? config->timeout_s : 30;
    s->routes = g_ptr_array_new_with_free_func(route_free);
    s->conns = g_hash_table_new(NULL, NULL);
    s->listen_fd = -1;
    g_mutex_init(&s->lock);
    g_cond_init(&s->stop);
    g_assert(!s->require_client_cert || s->identity);
    return s;
}

void
http_server_free(struct http_server *s)
{
    if (!s)
        return;
    http_server_stop(s);
    g_ptr_array_unref(s->routes);
    g_hash_table_unref(s->conns);
    net_identity_unref(s->identity);
    g_mutex_clear(&s->lock);
    g_cond_clear(&s->stop);
    g_free(s->address);
    g_free(s->group);
    g_free(s);
}

guint
http_server_port(const struct http_server *s)
{
    return s->port;
}
struct http_limits
http_server_limits(const struct http_server *s)
{
    return s->limits;
}

/* --- routes --- */

static char **
split_path(const char *path, guint *count)
{
    g_autofree char *trimmed = g_strdup(*path == '/' ? path + 1 : path);
    size_t len = strlen(trimmed);
    if (len > 0 && trimmed[len - 1] == '/')
        trimmed[len - 1] = '\0';
    char **segments = g_strsplit(trimmed, "/", 64);
    *count = g_strv_length(segments);
    return segments;
}

static struct http_route *
add_route(struct http_server *s, const char *method, const char *prefix, void *user)
{
    g_assert(!s->daemon);
    struct http_route *r = g_new0(struct http_route, 1);
    r->method = g_strdup(method);
    r->segments = split_path(prefix, &r->count);
    r->user = user;
    g_ptr_array_add(s->routes, r);
    return r;
}

void
http_server_route(struct http_server *s, const char *method, const char *prefix, http_handler handle, void *user)
{
    add_route(s, method, prefix, user)->handle = handle;
}

void
http_server_stream(struct http_server *s, const char *method, const char *prefix, const struct http_stream_ops *ops, void *user)
{
    add_route(s, method, prefix, user)->ops = ops;
}

static bool
route_fits(const struct http_route *r, char **segments, guint count)
{
    bool fits = r->count <= count;
    for (guint i = 0; fits && i < r->count; i++)
        fits = strcmp(r->segments[i], "*") == 0 || strcmp(r->segments[i], segments[i]) == 0;
    return fits;
}

/* Among the routes that fit, only those with most segments count; so a method that only a shorter one has is refused. */
const struct http_route *
http_server_find(const struct http_server *s, const char *method, const char *path, char **allow)
{
    guint count, best = 0;
    g_auto(GStrv) segments = split_path(path, &count);
    g_autoptr(GString) methods = g_string_new(NULL);
    const struct http_route *found = NULL;
    for (guint i = 0; i < s->routes->len; i++) {
        const struct http_route *r = s->routes->pdata[i];
        if (!route_fits(r, segments, count) || r->count < best)
            continue;
        if (r->count > best) {
            g_string_truncate(methods, 0);
            found = NULL;
        }
        best = r->count;
        g_string_append_printf(methods, "%s%s", methods->len ? ", " : "", r->method);
        if (strcmp(r->method, method) == 0)
            found = r;
    }
    *allow = methods->len && !found ? g_string_free(g_steal_pointer(&methods), FALSE) : NULL;
    return found;
}

/* --- connections --- */

void
http_conn_deadline(struct http_conn *conn, double seconds)
{
    HOLD(&conn->server->lock);
    conn->deadline = seconds < 0 ? 0 : g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC);
}

void
http_conn_live(struct http_conn *conn, struct http_live *l)
{
    HOLD(&conn->server->lock);
    conn->live = l;
}

bool
http_conn_stopping(struct http_conn *conn)
{
    HOLD(&conn->server->lock);
    return conn->server->stopping;
}

/* Setting the time-out to none and back does it. */
void
http_conn_forgive(struct http_conn *conn, struct MHD_Connection *c, gint64 since)
{
    if (g_get_monotonic_time() - since < G_USEC_PER_SEC / 4)
        return;
    MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    MHD_set_connection_option(c, MHD_CONNECTION_OPTION_TIMEOUT, conn->server->limits.timeout_s);
}

void
http_conn_identify(struct http_conn *conn, struct MHD_Connection *c)
{
    const struct http_server *s = conn->server;
    const union MHD_ConnectionInfo *tls = MHD_get_connection_info(c, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (conn->known)
        return;
    conn->known = true;
    http_socket_peer(conn->fd, &conn->peer);
    if (!s->ask_client_cert)
        return;
    g_autoptr(GError) reason = NULL;
    const bool fine = tls && net_identity_check_client(s->identity, tls->tls_session, &conn->peer, &reason);
    if (!s->require_client_cert) {
        if (!fine)
            log_info("The client certificate of %s does not count.  %s", conn->peer.address, reason ? reason->message : "");
        return;
    }
    if (!fine)
        conn->refusal = g_strdup(reason ? reason->message : "There is no TLS session.");
    else if (!conn->peer.names)
        conn->refusal = g_strdup("No client certificate was presented; this port needs one that our CA has signed.");
    else if (!conn->peer.names[0])
        conn->refusal = g_strdup("The client certificate names nobody.");
    if (conn->refusal)
        log_warning("Refused the peer at %s.  %s", conn->peer.address, conn->refusal);
}

static void
conn_free(struct http_conn *conn)
{
    g_strfreev(conn->peer.names);
    g_free(conn->peer.thumbprint);
    g_free(conn->peer.fingerprint);
    g_free(conn->peer.user);
    g_free(conn->peer.address);
    g_free(conn->refusal);
    if (conn->kept_free)
        conn->kept_free(conn->kept);
    g_free(conn);
}

static void
on_connection(void *user, struct MHD_Connection *c, void **context, enum MHD_ConnectionNotificationCode code)
{
    struct http_server *s = user;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        struct http_conn *conn = g_new0(struct http_conn, 1);
        conn->server = s;
        conn->fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        http_conn_deadline(conn, 2.0 * s->limits.timeout_s);
        HOLD(&s->lock);
        g_hash_table_add(s->conns, conn);
        *context = conn;
        return;
    }
    struct http_conn *conn = g_steal_pointer(context);
    if (!conn)
        return;
    g_mutex_lock(&s->lock);
    g_hash_table_remove(s->conns, conn);
    g_mutex_unlock(&s->lock);
    conn_free(conn);
}

/* Cuts off those who keep a connection busy with a byte now and then, which the library's idle time-out does not see.  A descriptor in the
 * set is open: the library announces the end of a connection before it closes it. */
static gpointer
watch(gpointer user)
{
    struct http_server *s = user;
    HOLD(&s->lock);
    while (!s->stopping) {
        gint64 now = g_get_monotonic_time();
        GHashTableIter i;
        gpointer key;
        g_hash_table_iter_init(&i, s->conns);
        while (g_hash_table_iter_next(&i, &key, NULL)) {
            const struct http_conn *conn = key;
            if (conn->deadline && now > conn->deadline)
                shutdown(conn->fd, SHUT_RDWR);
        }
        g_cond_wait_until(&s->stop, &s->lock, now + (gint64)s->limits.timeout_s * G_USEC_PER_SEC / 4);
    }
    return NULL;
}

/* --- start and stop --- */

/* "%00" would cut the path short, so it stays as it is. */
static size_t
unescape(void *user, struct MHD_Connection *c, char *text)
{
    char *to = text;
    for (const char *from = text; *from; to++) {
        int high = *from == '%' ? g_ascii_xdigit_value(from[1]) : -1;
        int low = high >= 0 ? g_ascii_xdigit_value(from[2]) : -1;
        bool coded = low >= 0 && (high || low);
        *to = coded ? (char)(high << 4 | low) : *from;
        from += coded ? 3 : 1;
    }
    *to = '\0';
    return (size_t)(to - text);
}

static void G_GNUC_PRINTF(2, 0) on_message(void *user, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);
    log_debug("HTTP: %s", g_strchomp(text));
}

static struct MHD_Daemon *
start_daemon(struct http_server *s)
{
    struct MHD_OptionItem options[8], *o = options;
    guint flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    if (s->identity) {
        const char *priority = s->tls13_only ? "NORMAL:-VERS-ALL:+VERS-TLS1.3" : "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
        flags |= MHD_USE_TLS;
        *o++ = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(gsize)priority};
        *o++ = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(gsize)net_identity_cert_pem(s->identity)};
        *o++ = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(gsize)net_identity_key_pem(s->identity)};
        if (s->ask_client_cert)
            *o++ = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_TRUST, 0, (void *)(gsize)net_identity_ca_pem(s->identity)};
    }
    *o = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(flags, 0, NULL, NULL, http_exchange_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL,
                            MHD_OPTION_LISTEN_SOCKET, s->listen_fd, MHD_OPTION_CONNECTION_LIMIT, s->max_connections,
                            MHD_OPTION_CONNECTION_TIMEOUT, s->limits.timeout_s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(96u << 10),
                            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, http_exchange_uri, s, MHD_OPTION_NOTIFY_COMPLETED,
                            http_exchange_completed, s,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_ARRAY,
                            options, MHD_OPTION_END);
}

bool
http_server_start(struct http_server *s, GError **err)
{
    g_assert(!s->daemon);
    s->stopping = false;
    s->listen_fd = http_socket_listen(s->address, s->group, &s->port, err);
    if (s->listen_fd < 0)
        return false;
    s->daemon = start_daemon(s);
    if (!s->daemon) {
        clean_fd(&s->listen_fd);
        return err_set(err, ERR_FAILED,
                       "The HTTP server on '%s' port %u cannot be started; its certificate or the limits of this process do "
                       "not permit it.",
                       s->address, s->port);
    }
    s->watch = g_thread_new("http-watch", watch, s);
    return true;
}

/* Answers that come over time end; their sources learn it now. */
static void
wake_all(struct http_server *s)
{
    GHashTableIter i;
    gpointer key;
    g_hash_table_iter_init(&i, s->conns);
    while (g_hash_table_iter_next(&i, &key, NULL)) {
        const struct http_conn *conn = key;
        if (conn->live)
            http_live_wake(conn->live);
    }
}

void
http_server_stop(struct http_server *s)
{
    if (!s->daemon)
        return;
    g_mutex_lock(&s->lock);
    s->stopping = true;
    g_cond_signal(&s->stop);
    wake_all(s);
    g_mutex_unlock(&s->lock);
    g_thread_join(s->watch);
    MHD_stop_daemon(s->daemon); /* closes the listening socket, too */
    s->daemon = NULL;
    s->listen_fd = -1;
    http_socket_forget(s->address);
}
