/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "cim/cimxml.h"
#include "wsman/decode.h"
#include "wsman/encode.h"
#include "wsman/fault.h"
#include "wsman/names.h"
#include "wsman/operation.h"
#include "wsman/reply.h"

#include <string.h>

/* Invoke: <class URI>/<method> with a <Method_INPUT>, or with nothing at all for methods without arguments.  A refusal by the method is a
 * ReturnValue, no fault; its reason in words travels in a header block of our own, which other clients skip. */

static const struct cim_method *
find_method(const struct operation *op, const struct cim_class *cls, GError **err)
{
    const char *name = strrchr(op->request->action, '/') + 1;
    const struct cim_method *method = cim_class_method(cls, name);
    if (!method)
        fault_set(err, FAULT_ACTION, "The class '%s' has no method '%s'.", cls->name, name);
    return method;
}

static bool
check_input(const xmlNode *input, const struct cim_method *method, GError **err)
{
    g_autofree char *wanted = g_strconcat(method->name, "_INPUT", NULL);
    if (input && g_ascii_strcasecmp((const char *)input->name, wanted) != 0)
        return fault_set(err, FAULT_SCHEMA, "The body holds '%s' and should hold '%s'.", (const char *)input->name, wanted);
    return true;
}

/* What is declared as a reference and answered as text is an instance: GetSummaryInformation's objects have no path that a client could
 * follow, so they are written whole. */
static bool
holds_objects(const struct cim_parameter *p, const struct cim_value *value)
{
    return p->type == CIM_REFERENCE && value && value->type == CIM_STRING && value->array && !value->null;
}

static void
write_objects(GString *out, const struct cim_parameter *p, const struct cim_value *value, enum family family)
{
    for (guint n = 0; n < value->items->len; n++) {
        const struct cim_value *text = g_ptr_array_index(value->items, n);
        cim_instance_auto i = text->null ? NULL : cim_xml_parse(text->text, p->ref, NULL);
        if (i)
            encode_object(out, p->name, i, family);
    }
}

/* Declared order: libvirt takes the first InstanceID selector of a reply, and Job is declared last. */
static void
write_output(GString *out, const struct cim_method *method, const struct cim_args *values, enum family family)
{
    for (guint i = 0; i < method->parameter_count; i++) {
        const struct cim_parameter *p = &method->parameters[i];
        struct cim_value null = cim_null(p->type, p->array);
        const struct cim_value *value = cim_args_get(values, p->name);
        if (p->out && holds_objects(p, value))
            write_objects(out, p, value, family);
        else if (p->out)
            encode_value(out, p->name, value ? value : &null, family);
    }
}

static char *
answer(const struct operation *op, const struct cim_class *cls, const struct cim_method *method, const struct cim_args *values,
       guint32 result, const char *reason, GError **err)
{
    enum family family = op->request->resource.family;
    g_autofree char *uri = resource_uri(family, op->request->resource.ns, cls->name);
    g_autofree char *action = g_strconcat(uri, "/", method->name, "Response", NULL);
    GString *out = reply_begin(action, op->request->message_id);

    if (reason) {
        g_autofree char *text = fault_text(reason);
        g_string_append(out, "<r:Reason xmlns:r=\"" NS_REASON "\">");
        xml_escape(out, text);
        g_string_append(out, "</r:Reason>");
    }
    reply_body(out);
    g_string_append_printf(out, "<p:%s_OUTPUT xmlns:p=\"%s\" xmlns:xsi=\"" NS_XSI "\" xmlns:cim=\"" NS_CIM "\">", method->name, uri);
    write_output(out, method, values, family);
    g_string_append_printf(out, "<p:ReturnValue>%u</p:ReturnValue></p:%s_OUTPUT>", result, method->name);
    return operation_end(op, out, err);
}

static char *
run(const struct operation *op, const struct cim_class *cls, const struct cim_method *method, const struct cim_path *path,
    struct cim_args *in, struct cim_args *values, GError **err)
{
    g_autofree char *reason = NULL;
    GError *why = NULL;
    guint32 result;
    if (!decode_arguments(op->request->body, method, in, err))
        return NULL;
    if (!cim_invoke(op->broker, op->caller, path, method->name, in, values, &result, &reason, &why)) {
        operation_vague(op, why, err);
        return NULL;
    }
    return answer(op, cls, method, values, result, reason, err);
}

char *
operation_invoke(const struct operation *op, GError **err)
{
    const struct cim_class *cls;
    cim_path_auto path = operation_path(op, &cls, err);
    const struct cim_method *method = path ? find_method(op, cls, err) : NULL;
    if (!method || !check_input(op->request->body, method, err))
        return NULL;
    struct cim_args *in = cim_args_new(), *values = cim_args_new();
    char *reply = run(op, cls, method, path, in, values, err);
    cim_args_free(in);
    cim_args_free(values);
    return reply;
}
