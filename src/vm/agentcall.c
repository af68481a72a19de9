/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/agentcall.h"

#include "base/err.h"

#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 16 << 20 };

/* libvirt reports what the agent refuses as an internal error with the agent's words. */
static bool
is_unknown(const char *text)
{
    return strstr(text, "has been disabled") || strstr(text, "has not been found") || strstr(text, "not supported");
}

json_t *
agent_call(virDomainPtr dom, const char *command, json_t *args, GError **err)
{
    json_error_t at;
    json_t *call = json_pack("{s:s}", "execute", command);
    if (args)
        json_object_set_new(call, "arguments", args);
    char *text = json_dumps(call, JSON_COMPACT);
    json_decref(call);
    char *answer = virDomainQemuAgentCommand(dom, text, AGENT_CALL_S, 0);
    free(text);
    if (!answer) {
        g_autoptr(GError) why = NULL;
        conn_error(&why, "The guest agent did not do '%s'", command);
        if (is_unknown(why->message))
            return err_set(err, ERR_NOT_SUPPORTED, "%s", why->message), NULL;
        g_propagate_error(err, g_steal_pointer(&why));
        return NULL;
    }
    json_t *all = strlen(answer) < ANSWER_MAX ? json_loads(answer, 0, &at) : NULL;
    json_t *value = json_incref(json_object_get(all, "return"));
    free(answer);
    json_decref(all);
    if (!value)
        err_set(err, ERR_MALFORMED, "The guest agent answered '%s' with something that is no answer.", command);
    return value;
}

gint64
agent_exec(virDomainPtr dom, const char *const *argv, const char *input, bool capture, GError **err)
{
    json_t *words = json_array();
    for (guint i = 1; argv[i]; i++)
        json_array_append_new(words, json_string(argv[i]));
    json_t *args = json_pack("{s:s, s:o, s:b}", "path", argv[0], "arg", words, "capture-output", capture);
    g_autofree char *data = input ? g_base64_encode((const guchar *)input, strlen(input)) : NULL;
    if (data)
        json_object_set_new(args, "input-data", json_string(data));
    json_t *answer = agent_call(dom, "guest-exec", args, err);
    const gint64 pid = json_integer_value(json_object_get(answer, "pid"));
    if (answer && pid <= 0)
        err_set(err, ERR_MALFORMED, "The guest agent started '%s' without a process number.", argv[0]);
    json_decref(answer);
    return MAX(pid, 0);
}
