/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"

#include "base/file.h"

#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { PORT_TLS = 5986, PORT_PLAIN = 5985, PASSWORD_MAX = 1024 };

void
cli_clear(struct cli *c)
{
    wsman_client_free(c->client);
    g_free(c->socket);
    g_free(c->host);
    g_free(c->user);
    g_free(c->password_file);
    g_free(c->cert);
    g_free(c->key);
    g_free(c->ca);
    memset(c, 0, sizeof *c);
}

/* --- options ------------------------------------------------------------------------------------------------------------------------ */

static GOptionGroup *
add_connection(struct cli *c, GOptionContext *context)
{
    const GOptionEntry entries[] = {
        {"socket", 0, 0, G_OPTION_ARG_FILENAME, &c->socket, "socket of the daemon here", "PATH"},
        {"host", 'H', 0, G_OPTION_ARG_STRING, &c->host, "daemon elsewhere, over TLS", "NAME[:PORT]"},
        {"user", 'u', 0, G_OPTION_ARG_STRING, &c->user, "with this user", "NAME"},
        {"password-file", 0, 0, G_OPTION_ARG_FILENAME, &c->password_file, "its password; - reads it from stdin", "FILE"},
        {"cert", 0, 0, G_OPTION_ARG_FILENAME, &c->cert, "or with this client certificate", "FILE"},
        {"key", 0, 0, G_OPTION_ARG_FILENAME, &c->key, "the key of that certificate", "FILE"},
        {"kerberos", 0, 0, G_OPTION_ARG_NONE, &c->kerberos, "or with your Kerberos ticket", NULL},
        {"ca", 0, 0, G_OPTION_ARG_FILENAME, &c->ca, "trust this CA", "FILE"},
        {"plain", 0, 0, G_OPTION_ARG_NONE, &c->plain, "HTTP without TLS (loopback)", NULL},
        {0},
    };
    GOptionGroup *group = g_option_group_new("connection", "Connection:", "", NULL, NULL);
    g_option_group_add_entries(group, entries);
    g_option_context_add_group(context, group);
    return group;
}

/* Returns the group of the connection options, NULL if there are none. */
static GOptionGroup *
add_common(struct cli *c, guint flags, GOptionContext *context, gboolean *help)
{
    const GOptionEntry json[] = {{"json", 0, 0, G_OPTION_ARG_NONE, &c->json, "output for programs", NULL}, {0}};
    const GOptionEntry wait[] = {{"no-wait", 0, 0, G_OPTION_ARG_NONE, &c->no_wait, "do not wait for the job", NULL}, {0}};
    const GOptionEntry helps[] = {{"help", 'h', 0, G_OPTION_ARG_NONE, help, "this text", NULL}, {0}};
    if (flags & CLI_JSON)
        g_option_context_add_main_entries(context, json, NULL);
    if (flags & CLI_WAITS)
        g_option_context_add_main_entries(context, wait, NULL);
    g_option_context_add_main_entries(context, helps, NULL);
    return flags & CLI_CONNECTS ? add_connection(c, context) : NULL;
}

static char **
copy_tail(int argc, char **argv)
{
    GPtrArray *out = g_ptr_array_new();
    for (int i = 1; i < argc; i++)
        if (i > 1 || strcmp(argv[i], "--") != 0)
            g_ptr_array_add(out, g_strdup(argv[i]));
    g_ptr_array_add(out, NULL);
    return (char **)g_ptr_array_free(out, FALSE);
}

/* GOption's text without its own usage line, which names no verb. */
static void
print_options(GOptionContext *context, GOptionGroup *group)
{
    g_autofree char *text = g_option_context_get_help(context, group == NULL, group);
    g_auto(GStrv) parts = g_strsplit(text, "Application Options:", 2);
    g_autofree char *renamed = g_strchomp(g_strjoinv("Options:", parts));
    const char *list = strstr(renamed, "\n\n");
    puts(list ? list + 1 : renamed);
}

static void
print_help(GOptionContext *context, GOptionGroup *connection, const char *verb, const struct usage *usage)
{
    printf("Usage: vmreplica %s %s\n\n%s\n", verb, usage->synopsis, usage->summary);
    if (usage->text)
        printf("\n%s\n", usage->text);
    print_options(context, NULL);
    if (connection)
        print_options(context, connection);
}

bool
cli_parse(struct cli *c, const struct usage *usage, guint flags, const GOptionEntry *entries, int argc, char **argv, char ***args,
          GError **err)
{
    gboolean help = FALSE;
    g_autoptr(GError) why = NULL;
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);
    g_auto(GStrv) copy = g_strdupv(argv);
    g_autofree char **words = g_memdup2(copy, ((gsize)argc + 1) * sizeof *copy); /* GOption moves pointers about; copy owns them */

    *args = NULL;
    g_option_context_set_help_enabled(context, FALSE);
    if (entries)
        g_option_context_add_main_entries(context, entries, NULL);
    GOptionGroup *connection = add_common(c, flags, context, &help);
    if (!g_option_context_parse(context, &argc, &words, &why))
        return err_set(err, ERR_USAGE, "%s. See vmreplica %s --help.", why->message, argv[0]);
    if (help) {
        print_help(context, connection, argv[0], usage);
        c->helped = true;
        return false;
    }
    *args = copy_tail(argc, words);
    return true;
}

bool
cli_count(char **args, guint min, guint max, const struct usage *usage, const char *verb, GError **err)
{
    guint n = g_strv_length(args);
    if (n < min)
        return err_set(err, ERR_USAGE, "An argument is missing. Usage: vmreplica %s %s", verb, usage->synopsis);
    if (n > max)
        return err_set(err, ERR_USAGE, "'%s' is one argument too many. Usage: vmreplica %s %s", args[max], verb, usage->synopsis);
    return true;
}

/* --- values ------------------------------------------------------------------------------------------------------------------------- */

bool
cli_duration(const char *text, guint64 *seconds, GError **err)
{
    static const struct {
        const char *suffix;
        guint64 factor;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end = NULL;
    guint64 n = g_ascii_strtoull(text, &end, 10);
    for (gsize i = 0; end != text && g_ascii_isdigit(*text) && n < G_MAXUINT32 && i < G_N_ELEMENTS(units); i++) {
        if (strcmp(end, units[i].suffix) == 0) {
            *seconds = n * units[i].factor;
            return true;
        }
    }
    return err_set(err, ERR_USAGE, "'%s' is no duration. Write 90s, 30m, 2h or 7d.", text);
}

bool
cli_time(const char *text, gint64 *wall_us, GError **err)
{
    g_autoptr(GTimeZone) local = g_time_zone_new_local();
    g_autofree char *spaced = g_strdup(text);
    if (strlen(spaced) > 10 && spaced[10] == ' ')
        spaced[10] = 'T';
    g_autofree char *with_seconds = strlen(spaced) == 16   ? g_strconcat(spaced, ":00", NULL)
                                    : strlen(spaced) == 10 ? g_strconcat(spaced, "T00:00:00", NULL)
                                                           : g_strdup(spaced);
    g_autoptr(GDateTime) t = g_date_time_new_from_iso8601(with_seconds, local);
    if (!t)
        return err_set(err, ERR_USAGE, "'%s' is no time. Write 2026-11-23T14:00, or with seconds and zone 2026-11-23T14:00:30Z.", text);
    *wall_us = g_date_time_to_unix(t) * G_USEC_PER_SEC + g_date_time_get_microsecond(t);
    return true;
}

/* One line; without echo when it is a terminal. */
static char *
read_line(const char *prompt, GError **err)
{
    char line[PASSWORD_MAX];
    struct termios before, silent;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        silent = before;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        fprintf(stderr, "%s: ", prompt);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    char *got = fgets(line, sizeof line, stdin);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (!got)
        err_set(err, ERR_USAGE, "No password came from standard input.");
    char *copy = got ? g_strdup(g_strchomp(line)) : NULL;
    explicit_bzero(line, sizeof line);
    return copy;
}

char *
cli_password(const char *file, const char *prompt, GError **err)
{
    char *text = NULL;
    size_t len;
    if (!file || strcmp(file, "-") == 0)
        return read_line(prompt, err);
    return file_read_all(file, PASSWORD_MAX, &text, &len, err) ? g_strchomp(text) : NULL;
}

/* --- connection --------------------------------------------------------------------------------------------------------------------- */

static bool
split_host(const char *text, gboolean plain, char **host, guint *port, GError **err)
{
    const char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');
    bool has_port = colon && (*text == '[' ? bracket && colon > bracket : strchr(text, ':') == colon);
    guint64 n = plain ? PORT_PLAIN : PORT_TLS;
    if (has_port && (!g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &n, NULL)))
        return err_set(err, ERR_USAGE, "'%s' is no port.", colon + 1);
    *host = has_port ? g_strndup(text, (gsize)(colon - text)) : g_strdup(text);
    if (**host == '[' && g_str_has_suffix(*host, "]")) {
        memmove(*host, *host + 1, strlen(*host));
        (*host)[strlen(*host) - 1] = '\0';
    }
    *port = (guint)n;
    return true;
}

static bool
connect_remote(struct cli *c, GError **err)
{
    g_autofree char *host = NULL, *password = NULL;
    guint port = 0;
    struct net_identity *identity = NULL;
    if (!split_host(c->host, c->plain, &host, &port, err))
        return false;
    if (c->user && !(password = cli_password(c->password_file, "Password", err)))
        return false;
    if (c->cert && !c->key)
        return err_set(err, ERR_USAGE, "--cert needs --key, too.");
    if (c->cert && !(identity = net_identity_load(c->cert, c->key, c->ca, false, err)))
        return false;
    struct wsman_client_config config = {
        .host = host, .port = port, .plain = c->plain, .user = c->user, .password = password,
        .kerberos = c->kerberos, .identity = identity, .ca = c->ca};
    c->client = wsman_client_new(&config, err);
    net_identity_unref(identity);
    if (password)
        explicit_bzero(password, strlen(password));
    return c->client != NULL;
}

bool
cli_connect(struct cli *c, GError **err)
{
    if (c->client)
        return true;
    if (c->host)
        return connect_remote(c, err);
    struct wsman_client_config config = {.socket = c->socket ? c->socket : CLI_SOCKET};
    if (access(config.socket, F_OK) != 0)
        return err_set(err, ERR_NETWORK, "There is no socket '%s'. Is vmreplicad running? Start it, or name another host with --host.",
                       config.socket);
    c->client = wsman_client_new(&config, err);
    return c->client != NULL;
}
