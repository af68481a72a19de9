/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm/qmp.h"

#include "base/err.h"

#include <libvirt/libvirt-qemu.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 64 << 20 };

const char *
qmp_text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

guint64
qmp_number(const json_t *object, const char *name)
{
    const json_int_t value = json_integer_value(json_object_get(object, name));
    return value > 0 ? (guint64)value : 0;
}

bool
qmp_flag(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

json_t *
qmp_parse(const char *command, const char *answer, GError **err)
{
    json_error_t where;
    json_scoped root = strlen(answer) <= ANSWER_MAX ? json_loads(answer, 0, &where) : NULL;
    if (!json_is_object(root)) {
        err_set(err, ERR_MALFORMED, "QEMU's answer to '%s' is not a JSON object.", command);
        return NULL;
    }
    const json_t *error = json_object_get(root, "error");
    if (error) {
        const char *class = qmp_text(error, "class"), *desc = qmp_text(error, "desc");
        /* DeviceNotActive: there is no such block job (any more). */
        const bool none = !g_strcmp0(class, "DeviceNotFound") || !g_strcmp0(class, "DeviceNotActive");
        err_set(err, none ? ERR_NOT_FOUND : ERR_FAILED, "QEMU refused '%s': %s (%s).", command,
                desc ? desc : "no reason given", class ? class : "no class");
        return NULL;
    }
    json_t *value = json_object_get(root, "return");
    if (!value) {
        err_set(err, ERR_MALFORMED, "QEMU's answer to '%s' has neither a result nor an error.", command);
        return NULL;
    }
    return json_incref(value);
}

/* The command did not reach QEMU or its answer did not come back: the guest is off, dies, or is held by another libvirt job. */
static void
monitor_error(const char *guest, const char *command, GError **err)
{
    const virError *e = virGetLastError();
    enum err_code code = ERR_NOT_AVAILABLE;
    if (e && e->code == VIR_ERR_OPERATION_TIMEOUT)
        code = ERR_TIMEOUT;
    else if (e && (e->code == VIR_ERR_ACCESS_DENIED || e->code == VIR_ERR_OPERATION_DENIED))
        code = ERR_ACCESS_DENIED;
    err_set(err, code, "QEMU command '%s' on guest '%s' could not be run: %s.", command, guest,
            e && e->message ? e->message : "no reason given");
}

json_t *
qmp_run(virDomainPtr dom, const char *command, json_t *args, GError **err)
{
    json_scoped request = args ? json_pack("{s:s, s:o}", "execute", command, "arguments", args) : json_pack("{s:s}", "execute", command);
    char *text = json_dumps(request, JSON_COMPACT);
    const char *guest = virDomainGetName(dom);
    char *answer = NULL;
    const int rc = virDomainQemuMonitorCommand(dom, text, &answer, VIR_DOMAIN_QEMU_MONITOR_COMMAND_DEFAULT);
    free(text);
    if (rc < 0) {
        monitor_error(guest, command, err);
        return NULL;
    }
    json_t *value = qmp_parse(command, answer, err);
    free(answer);
    return value;
}

bool
qmp_do(virDomainPtr dom, const char *command, json_t *args, GError **err)
{
    json_scoped value = qmp_run(dom, command, args, err);
    return value != NULL;
}
