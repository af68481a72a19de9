/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/operation.h"

#include "base/clock.h"
#include "base/err.h"
#include "cim/classxml.h"
#include "wsman/encode.h"
#include "wsman/fault.h"
#include "wsman/names.h"
#include "wsman/reply.h"

#include <string.h>

/* --- shared ------------------------------------------------------------------------------------------------------------------------- */

static const struct cim_class *
find_class(const struct operation *op, GError **err)
{
    const struct resource *r = &op->request->resource;
    const struct cim_class *cls = cim_class_find(r->ns, r->cls);
    if (!cls)
        fault_set(err, FAULT_CLASS, "There is no class '%s' in namespace '%s'.", r->cls, r->ns);
    return cls;
}

/* libvirt's client writes some selectors in quotes, which its library may or may not take away. */
static char *
unquoted(const char *value)
{
    const gsize len = strlen(value);
    const bool quoted = len >= 2 && value[0] == '"' && value[len - 1] == '"';
    return quoted ? g_strndup(value + 1, len - 2) : g_strdup(value);
}

struct cim_path *
operation_path(const struct operation *op, const struct cim_class **cls, GError **err)
{
    *cls = find_class(op, err);
    if (!*cls)
        return NULL;
    cim_path_auto path = cim_path_new(op->request->resource.ns, (*cls)->name);
    for (guint i = 0; i < op->request->selectors->len; i++) {
        const struct selector *s = g_ptr_array_index(op->request->selectors, i);
        if (cim_class_property(*cls, s->name) < 0) {
            fault_set(err, FAULT_SELECTORS_UNEXPECTED, "The class '%s' has no key '%s'.", (*cls)->name, s->name);
            return NULL;
        }
        g_autofree char *value = unquoted(s->value);
        cim_path_set(path, s->name, value);
    }
    return g_steal_pointer(&path);
}

const char *
operation_class_name(const struct operation *op)
{
    for (guint i = 0; i < op->request->selectors->len; i++) {
        const struct selector *s = g_ptr_array_index(op->request->selectors, i);
        if (g_ascii_strcasecmp(s->name, "ClassName") == 0)
            return s->value;
    }
    const char *name = op->request->resource.cls;
    return strcmp(name, "*") == 0 ? NULL : name;
}

void
operation_vague(const struct operation *op, GError *from, GError **err)
{
    if (err_is(from, ERR_INVALID_PARAMETER)) {
        fault_set(err, op->request->selectors->len ? FAULT_SELECTORS_AMBIGUOUS : FAULT_SELECTORS_MISSING, "%s", from->message);
        g_error_free(from);
    } else {
        g_propagate_error(err, from);
    }
}

gsize
operation_room(const struct operation *op)
{
    return op->request->utf16 ? op->request->max_reply / 2 : op->request->max_reply;
}

char *
operation_end(const struct operation *op, GString *out, GError **err)
{
    if (out->len + REPLY_CLOSING_BYTES <= operation_room(op))
        return reply_end(out);
    fault_set(err, FAULT_REPLY_TOO_BIG, "The reply has %zu bytes, which is more than the MaxEnvelopeSize of the request.", out->len);
    g_string_free(out, TRUE);
    return NULL;
}

bool
operation_lapse(const xmlNode *body, const char *name, enum fault_code fault, gint64 *out, GError **err)
{
    g_autofree char *text = body ? xml_child_text(body, NULL, name) : NULL;
    struct cim_datetime t;
    *out = 0;
    if (!text)
        return true;
    if (!cim_datetime_parse(g_strstrip(text), &t))
        return fault_set(err, fault, "%s is '%s' and should be a duration such as PT60S.", name, text);
    *out = t.interval ? t.us : t.us - clock_wall_us();
    return *out > 0 || fault_set(err, fault, "%s is '%s', which is over already.", name, text);
}

/* --- transfer ----------------------------------------------------------------------------------------------------------------------- */

static char *
get_class(const struct operation *op, GError **err)
{
    const struct resource *r = &op->request->resource;
    const char *name = operation_class_name(op);
    const struct cim_class *cls = name ? cim_class_find(r->ns, name) : NULL;
    if (!cls) {
        fault_set(err, FAULT_CLASS, "There is no class '%s' in namespace '%s'.", name ? name : "", r->ns);
        return NULL;
    }
    GString *out = reply_begin(ACTION_GET "Response", op->request->message_id);
    g_autofree char *xml = cim_class_xml(cls);
    reply_body(out);
    g_string_append(out, xml);
    return operation_end(op, out, err);
}

static char *
get(const struct operation *op, GError **err)
{
    if (op->request->resource.schema)
        return get_class(op, err);
    const struct cim_class *cls;
    GError *why = NULL;
    cim_path_auto path = operation_path(op, &cls, err);
    cim_instance_auto i = path ? cim_get_instance(op->broker, op->caller, path, &why) : NULL;
    if (why)
        operation_vague(op, why, err);
    if (!i)
        return NULL;
    GString *out = reply_begin(ACTION_GET "Response", op->request->message_id);
    reply_body(out);
    encode_instance(out, i, cls->name, NULL, op->request->resource.family);
    return operation_end(op, out, err);
}

static char *
refuse_write(const struct operation *op, GError **err)
{
    const struct cim_class *cls = find_class(op, err);
    if (cls)
        fault_set(err, FAULT_UNSUPPORTED,
                  "Instances of '%s' are not created, changed or deleted directly. Use the methods of Msvm_ReplicationService.", cls->name);
    return NULL;
}

static char *
refuse_context_extras(const struct operation *op, GError **err)
{
    fault_set(err, FAULT_ACTION, "Enumeration contexts are renewed by pulling from them.");
    return NULL;
}

/* OperationTimeout of what only reads: an answer that took longer is none any more.  Methods answer late rather than leave it open whether
 * they did something; what takes long in them is a job anyway. */
static char *
in_time(const struct operation *op, char *(*run)(const struct operation *op, GError **err), GError **err)
{
    gint64 limit = op->request->timeout_us, start = clock_mono_us();
    char *reply = run(op, err);
    if (!reply || !limit || clock_mono_us() - start <= limit)
        return reply;
    g_free(reply);
    fault_set(err, FAULT_TIMED_OUT, "Reading took longer than the OperationTimeout of the request.");
    return NULL;
}

static char *
get_in_time(const struct operation *op, GError **err)
{
    return in_time(op, get, err);
}

static char *
enumerate_in_time(const struct operation *op, GError **err)
{
    return in_time(op, operation_enumerate, err);
}

static const struct row {
    const char *action;
    char *(*run)(const struct operation *op, GError **err);
} rows[] = {
    {ACTION_GET, get_in_time},
    {ACTION_ENUMERATE, enumerate_in_time},
    {ACTION_PULL, operation_pull},
    {ACTION_RELEASE, operation_release},
    {ACTION_PUT, refuse_write},
    {ACTION_CREATE, refuse_write},
    {ACTION_DELETE, refuse_write},
    {ACTION_RENEW, refuse_context_extras},
    {ACTION_STATUS, refuse_context_extras},
    {ACTION_SUBSCRIBE, operation_subscribe},
    {ACTION_UNSUBSCRIBE, operation_unsubscribe},
    {ACTION_RENEW_EVENT, operation_renew_events},
};

static bool
is_class_action(const char *action)
{
    return g_str_has_prefix(action, URI_WMI) || g_str_has_prefix(action, URI_DMTF);
}

static bool
reads(const char *action)
{
    static const char *const actions[] = {ACTION_GET, ACTION_ENUMERATE, ACTION_PULL, ACTION_RELEASE};
    for (gsize i = 0; i < G_N_ELEMENTS(actions); i++)
        if (strcmp(action, actions[i]) == 0)
            return true;
    return false;
}

char *
operation_run(const struct operation *op, GError **err)
{
    if (op->request->resource.schema && !reads(op->request->action)) {
        fault_set(err, FAULT_UNSUPPORTED, "Classes can be read with Get and Enumerate, and nothing else.");
        return NULL;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        if (strcmp(op->request->action, rows[i].action) == 0)
            return rows[i].run(op, err);
    if (is_class_action(op->request->action))
        return operation_invoke(op, err);
    fault_set(err, FAULT_ACTION, "The action '%s' is not supported.", op->request->action);
    return NULL;
}
