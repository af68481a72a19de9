/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/console.h"

#include "base/clean.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { PIECE = 64 << 10, LINE_MAX_CHARS = 100 };

struct port {
    char *path;
    ino_t inode;
    off_t at;
    GString *tail; /* the end of what was read: the text may come in two pieces */
};

struct console {
    char *text;
    gsize len;
    bool seen;
    GPtrArray *ports; /* struct port */
    GString *line, *last; /* that is being read; that was whole */
};

static void
port_free(gpointer p)
{
    struct port *port = p;
    g_string_free(port->tail, TRUE);
    g_free(port->path);
    g_free(port);
}

struct console *
console_new(const char *const *files, const char *text)
{
    struct console *c = g_new0(struct console, 1);
    c->text = g_strdup(text);
    c->len = strlen(text);
    c->ports = g_ptr_array_new_with_free_func(port_free);
    c->line = g_string_new(NULL);
    c->last = g_string_new(NULL);
    for (; *files; files++) {
        struct port *port = g_new0(struct port, 1);
        port->path = g_strdup(*files);
        port->tail = g_string_new(NULL);
        g_ptr_array_add(c->ports, port);
    }
    return c;
}

void
console_free(struct console *c)
{
    if (!c)
        return;
    g_ptr_array_unref(c->ports);
    g_string_free(c->line, TRUE);
    g_string_free(c->last, TRUE);
    g_free(c->text);
    g_free(c);
}

static void
take_lines(struct console *c, const char *data, gsize len)
{
    for (gsize i = 0; i < len; i++) {
        if ((data[i] == '\n' || data[i] == '\r') && c->line->len) {
            g_string_assign(c->last, c->line->str);
            g_string_truncate(c->line, 0);
        } else if (g_ascii_isprint(data[i]) && c->line->len < LINE_MAX_CHARS)
            g_string_append_c(c->line, data[i]);
    }
}

static void
take(struct console *c, struct port *port, const char *data, gsize len)
{
    take_lines(c, data, len);
    g_string_append_len(port->tail, data, (gssize)len);
    c->seen = c->seen || memmem(port->tail->str, port->tail->len, c->text, c->len);
    if (port->tail->len >= c->len)
        g_string_erase(port->tail, 0, (gssize)(port->tail->len - c->len + 1));
}

static void
follow(struct console *c, struct port *port)
{
    struct stat st;
    auto_fd fd = open(port->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return;
    if (st.st_ino != port->inode || st.st_size < port->at) {
        port->inode = st.st_ino;
        port->at = 0;
        g_string_truncate(port->tail, 0);
    }
    g_autofree char *piece = g_malloc(PIECE);
    ssize_t got;
    while ((got = pread(fd, piece, PIECE, port->at)) > 0) {
        port->at += got;
        take(c, port, piece, (gsize)got);
    }
}

bool
console_seen(struct console *c)
{
    for (guint i = 0; i < c->ports->len; i++)
        follow(c, c->ports->pdata[i]);
    return c->seen;
}

char *
console_last_line(const struct console *c)
{
    const GString *found = c->line->len ? c->line : c->last;
    return found->len ? g_strdup(found->str) : NULL;
}
