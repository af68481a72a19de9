/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "repl/maystart.h"

#include "base/clean.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "repl/core.h"
#include "repl/probe.h"
#include "repl/record.h"
#include "repl/supersede.h"

#include <string.h>
#include <unistd.h>

enum { FILE_MAX = 64 << 10 };

struct whom {
    char *name, *host; /* of the guest; its replica's */
    guint port;
};
static const struct record_field WHOM[] = {
    { "name", RECORD_TEXT, offsetof(struct whom, name) },
    { "host", RECORD_TEXT, offsetof(struct whom, host) },
    { "port", RECORD_UINT, offsetof(struct whom, port) },
    { NULL, RECORD_END, 0 },
};

static char *
path_of(const char *state_dir, const struct uuid *vm)
{
    char text[UUID_TEXT];
    return g_build_filename(state_dir, "primaries", uuid_format_lower(vm, text), NULL);
}

/* Empty: there is nobody who could say no.  An extended replica's host is not asked: the one in the middle says what it knows. */
static char *
content_locked(const struct relation *rel)
{
    const struct whom whom = { rel->r.name, rel->settings.recovery_host, rel->settings.recovery_port };
    if (rel->index || rel->side != SIDE_SENDER || rel->r.removing || !whom.host ||
        !state_next(SIDE_SENDER, rel->r.state, EVENT_PEER_FAILED_OVER))
        return g_strdup("");
    return record_doc(WHOM, &whom);
}

static bool
make(const char *path, const char *text, GError **err)
{
    g_autofree char *dir = g_path_get_dirname(path), *there = NULL;
    if (!*text)
        return access(path, F_OK) || file_unlink_durably(path, err);
    if (file_read_all(path, FILE_MAX, &there, NULL, NULL) && !strcmp(there, text))
        return true;
    return file_make_dirs(dir, 0755, err) && file_replace(path, text, strlen(text), 0644, err);
}

void
maystart_note_locked(struct relation *rel)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *text = rel->index ? NULL : content_locked(rel);
    if (!text || !g_strcmp0(text, rel->noted))
        return;
    g_autofree char *path = path_of(rel->core->config.state_dir, &rel->vm);
    const bool made = make(path, text, &why);
    if (!made)
        log_warning("Guest '%s': libvirt's hook cannot be told whom to ask: %s", rel->r.name, why->message);
    g_free(rel->noted);
    rel->noted = made ? g_steal_pointer(&text) : NULL;
}

bool
maystart_forget(struct relation *rel, GError **err)
{
    g_autofree char *path = path_of(rel->core->config.state_dir, &rel->vm);
    HOLD(&rel->lock);
    g_clear_pointer(&rel->noted, g_free);
    return rel->index || make(path, "", err);
}

/* False: nobody has to be asked, or (error) it is not known who. */
static bool
read_whom(const char *path, struct whom *out, GError **err)
{
    g_autofree char *text = NULL;
    if (access(path, F_OK))
        return false;
    if (!file_read_all(path, FILE_MAX, &text, NULL, err))
        return false;
    json_scoped_record o = record_parse(text, err);
    return o && record_unpack(o, WHOM, out, err) &&
           ((out->name && out->host) || err_set(err, ERR_CORRUPT, "File '%s' does not say whom to ask.", path));
}

bool
maystart_ask(const char *state_dir, const struct net_identity *identity, gint64 limit_us, const struct uuid *vm, char **why)
{
    struct whom whom = { 0 };
    struct wire_status st = { 0 };
    g_autoptr(GError) trouble = NULL;
    g_autofree char *path = path_of(state_dir, vm);
    const bool asked = read_whom(path, &whom, &trouble) && probe_host(whom.host, whom.port, identity, limit_us, vm, &st, &trouble);
    const char *where = asked ? supersede_where(&st, whom.host) : NULL;
    const bool over = where != NULL;
    *why = over      ? supersede_reason(whom.name, where)
           : trouble ? g_strdup_printf("Guest '%s' starts without knowing whether its replica has failed over: %s",
                                       whom.name ? whom.name : path, trouble->message)
                     : NULL;
    wire_status_clear(&st);
    record_clear(WHOM, &whom);
    return !over;
}
