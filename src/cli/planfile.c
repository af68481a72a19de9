/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/planfile.h"

#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_S = 300 };
static const char GUEST[] = "guest ";

static void
step_free(gpointer p)
{
    struct plan_step *s = p;
    g_free(s->guest);
    g_free(s->target);
    g_free(s);
}

void
planfile_free(struct plan *p)
{
    if (!p)
        return;
    g_free(p->group);
    g_ptr_array_unref(p->steps);
    g_free(p);
}

static bool
known_keys(GKeyFile *file, const char *section, const char *const *known, GError **err)
{
    g_auto(GStrv) keys = g_key_file_get_keys(file, section, NULL, NULL);
    for (char **k = keys; k && *k; k++)
        if (!g_strv_contains(known, *k))
            return err_set(err, ERR_INVALID_PARAMETER, "Section [%s] has a key '%s' that no plan knows.", section, *k);
    return true;
}

static bool
read_choice(GKeyFile *file, const char *section, bool *goes_on, GError **err)
{
    g_autofree char *text = g_key_file_get_string(file, section, "on-failure", NULL);
    if (text && strcmp(text, "stop") != 0 && strcmp(text, "continue") != 0)
        return err_set(err, ERR_INVALID_PARAMETER, "on-failure in section [%s] is '%s'; it can be stop or continue.", section, text);
    *goes_on = text ? strcmp(text, "continue") == 0 : *goes_on;
    return true;
}

static bool
read_time(GKeyFile *file, const char *section, const char *key, guint64 *seconds, GError **err)
{
    g_autofree char *text = g_key_file_get_string(file, section, key, NULL);
    if (!text || cli_duration(text, seconds, NULL))
        return true;
    return err_set(err, ERR_INVALID_PARAMETER, "'%s' in section [%s] is '%s', which is no time such as 90, 30s or 5m.", key, section, text);
}

static bool
is_address(const char *text)
{
    const char *colon = strrchr(text, ':');
    const long port = colon && colon > text ? strtol(colon + 1, NULL, 10) : 0;
    return port > 0 && port < 65536;
}

static bool
read_ready(GKeyFile *file, const char *section, struct plan_step *s, GError **err)
{
    g_autofree char *text = g_key_file_get_string(file, section, "ready", NULL);
    if (!text || strcmp(text, "agent") == 0)
        return true;
    s->ready = strcmp(text, "none") == 0 ? READY_NONE : g_str_has_prefix(text, "tcp ") ? READY_TCP : READY_COMMAND;
    if (s->ready == READY_NONE)
        return true;
    const bool command = g_str_has_prefix(text, "command ");
    s->target = g_strstrip(g_strdup(strchr(text, ' ') ? strchr(text, ' ') + 1 : ""));
    return (s->ready == READY_TCP ? is_address(s->target) : command && *s->target) ||
           err_set(err, ERR_INVALID_PARAMETER,
                   "ready in section [%s] is '%s'; it can be agent, none, tcp HOST:PORT or command TEXT.", section, text);
}

static bool
read_order(GKeyFile *file, const char *section, struct plan_step *s, GError **err)
{
    g_autoptr(GError) why = NULL;
    if (!g_key_file_has_key(file, section, "order", NULL))
        return true;
    s->order = g_key_file_get_integer(file, section, "order", &why);
    return !why || err_set(err, ERR_INVALID_PARAMETER, "order in section [%s] is no number.", section);
}

static bool
read_step(GKeyFile *file, const char *section, struct plan *p, bool goes_on, GError **err)
{
    static const char *const KEYS[] = {"order", "ready", "timeout", "delay", "on-failure", NULL};
    struct plan_step *s = g_new0(struct plan_step, 1);
    g_ptr_array_add(p->steps, s);
    s->guest = g_strstrip(g_strdup(section + strlen(GUEST)));
    s->order = G_MAXINT;
    s->timeout_s = TIMEOUT_S;
    s->goes_on = goes_on;
    if (!*s->guest)
        return err_set(err, ERR_INVALID_PARAMETER, "Section [%s] names no guest.", section);
    return known_keys(file, section, KEYS, err) && read_order(file, section, s, err) && read_ready(file, section, s, err) &&
           read_time(file, section, "timeout", &s->timeout_s, err) && read_time(file, section, "delay", &s->delay_s, err) &&
           read_choice(file, section, &s->goes_on, err);
}

/* Stable, so that guests of the same order stay as in the file. */
static void
sort_steps(GPtrArray *steps)
{
    for (guint i = 1; i < steps->len; i++)
        for (guint k = i; k > 0; k--) {
            struct plan_step *a = steps->pdata[k - 1], *b = steps->pdata[k];
            if (a->order <= b->order)
                break;
            steps->pdata[k - 1] = b;
            steps->pdata[k] = a;
        }
}

static bool
read_all(GKeyFile *file, struct plan *p, GError **err)
{
    static const char *const KEYS[] = {"group", "on-failure", NULL};
    bool goes_on = false;
    g_auto(GStrv) sections = g_key_file_get_groups(file, NULL);
    p->group = g_key_file_get_string(file, "plan", "group", NULL);
    if (!p->group || !*p->group)
        return err_set(err, ERR_INVALID_PARAMETER, "The plan names no group: section [plan], key group.");
    if (!known_keys(file, "plan", KEYS, err) || !read_choice(file, "plan", &goes_on, err))
        return false;
    for (char **section = sections; *section; section++) {
        if (strcmp(*section, "plan") == 0)
            continue;
        if (!g_str_has_prefix(*section, GUEST))
            return err_set(err, ERR_INVALID_PARAMETER, "A plan has sections [plan] and [guest NAME], not [%s].", *section);
        if (!read_step(file, *section, p, goes_on, err))
            return false;
    }
    sort_steps(p->steps);
    return p->steps->len || err_set(err, ERR_INVALID_PARAMETER, "The plan has no guests: sections [guest NAME].");
}

struct plan *
planfile_read(const char *path, GError **err)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) why = NULL;
    plan_auto p = g_new0(struct plan, 1);
    p->steps = g_ptr_array_new_with_free_func(step_free);
    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &why)) {
        err_set(err, why->domain == G_FILE_ERROR ? ERR_NOT_FOUND : ERR_INVALID_PARAMETER, "Plan '%s' cannot be read: %s.", path,
                why->message);
        return NULL;
    }
    if (!read_all(file, p, err)) {
        g_prefix_error(err, "Plan '%s': ", path);
        return NULL;
    }
    return g_steal_pointer(&p);
}
