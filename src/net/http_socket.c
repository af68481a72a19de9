/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "net/http_socket.h"

#include "base/clean.h"
#include "base/err.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BACKLOG 128
#define NAME_BUFFER 16384 /* for getpwuid_r and getgrnam_r */

static bool
bind_failed(GError **err, const char *address, guint port)
{
    if (errno == EADDRINUSE)
        return err_set(err, ERR_IN_USE, "The address '%s' port %u is already in use; stop the other program or choose another port.",
                       address, port);
    return err_errno(err, "Cannot listen on '%s' port %u", address, port);
}

static guint
bound_port(int fd)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        return 0;
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port : ((struct sockaddr_in *)&at)->sin_port);
}

static int
listen_tcp(const char *address, guint *port, GError **err)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char service[16];
    g_snprintf(service, sizeof service, "%u", *port);
    int rc = getaddrinfo(address, service, &hints, &found);
    if (rc != 0) {
        err_set(err, ERR_INVALID_PARAMETER, "'%s' is no address to listen on: %s.", address, gai_strerror(rc));
        return -1;
    }
    auto_fd fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1, off = 0;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd >= 0 && found->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    bool done =
        (fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0) || bind_failed(err, address, *port);
    freeaddrinfo(found);
    if (!done)
        return -1;
    *port = bound_port(fd);
    return g_steal_fd(&fd);
}

static bool
remove_stale(const struct sockaddr_un *at, GError **err)
{
    struct stat st;
    if (lstat(at->sun_path, &st) != 0)
        return errno == ENOENT || err_errno(err, "Cannot look at '%s'", at->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_EXISTS, "'%s' is there already and is not a socket.", at->sun_path);
    auto_fd probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe >= 0 && (connect(probe, (const struct sockaddr *)at, sizeof *at) == 0 || errno == EAGAIN))
        return err_set(err, ERR_IN_USE, "Another process listens on '%s'.", at->sun_path);
    return unlink(at->sun_path) == 0 || errno == ENOENT || err_errno(err, "Cannot remove the stale socket '%s'", at->sun_path);
}

static void
give_to_group(const char *path, const char *group)
{
    struct group entry, *found = NULL;
    g_autofree char *buffer = g_malloc(NAME_BUFFER);
    if (group && getgrnam_r(group, &entry, buffer, NAME_BUFFER, &found) == 0 && found && lchown(path, (uid_t)-1, found->gr_gid) != 0)
        return; /* not root: the socket stays with our own group, which is the safe side */
}

/* Nobody can connect between bind and listen, so the mode is in force before the first client. */
static int
listen_unix(const char *path, const char *group, GError **err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (g_strlcpy(at.sun_path, path, sizeof at.sun_path) >= sizeof at.sun_path) {
        err_set(err, ERR_INVALID_PARAMETER, "The socket path '%s' is too long; %zu bytes are possible.", path, sizeof at.sun_path - 1);
        return -1;
    }
    if (!remove_stale(&at, err))
        return -1;
    auto_fd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        bind_failed(err, path, 0);
        return -1;
    }
    give_to_group(path, group);
    if (chmod(path, 0660) != 0 || listen(fd, BACKLOG) != 0) {
        err_errno(err, "Cannot listen on '%s'", path);
        unlink(path);
        return -1;
    }
    return g_steal_fd(&fd);
}

int
http_socket_listen(const char *address, const char *group, guint *port, GError **err)
{
    return *address == '/' ? listen_unix(address, group, err) : listen_tcp(address, port, err);
}

void
http_socket_forget(const char *address)
{
    if (*address == '/')
        unlink(address);
}

static char *
user_name(uid_t uid)
{
    struct passwd entry, *found = NULL;
    g_autofree char *buffer = g_malloc(NAME_BUFFER);
    if (getpwuid_r(uid, &entry, buffer, NAME_BUFFER, &found) == 0 && found)
        return g_strdup(found->pw_name);
    return g_strdup_printf("%u", (guint)uid);
}

void
http_socket_peer(int fd, struct net_peer *peer)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof at, cred_len = sizeof(struct ucred);
    struct ucred cred;
    char text[INET6_ADDRSTRLEN] = "unknown";
    bool known = getpeername(fd, (struct sockaddr *)&at, &len) == 0;
    if (known && at.ss_family == AF_UNIX) {
        g_strlcpy(text, "unix", sizeof text);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len) == 0 && cred.uid != (uid_t)-1) {
            peer->user = user_name(cred.uid);
            peer->role = cred.uid == 0 ? ROLE_ADMINISTRATOR : ROLE_NOBODY;
        }
    } else if (known && at.ss_family == AF_INET) {
        inet_ntop(AF_INET, &((struct sockaddr_in *)&at)->sin_addr, text, sizeof text);
    } else if (known && at.ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&at)->sin6_addr, text, sizeof text);
    }
    peer->address = g_strdup(g_str_has_prefix(text, "::ffff:") && strchr(text, '.') ? text + 7 : text);
}
