/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "provider/error.h"

#include "cim/cimxml.h"
#include "provider/common.h"

#include <string.h>

enum { SEVERITY_HIGH = 4, SOURCE_IS_PATH = 2, SOURCE_UNKNOWN = 0 };

/* The numbers of Msvm_Error.CIMStatusCode that the table of errors uses. */
static const char *
status_name(guint status)
{
    switch (status) {
    case 1: return "CIM_ERR_FAILED";
    case 2: return "CIM_ERR_ACCESS_DENIED";
    case 4: return "CIM_ERR_INVALID_PARAMETER";
    case 5: return "CIM_ERR_INVALID_CLASS";
    case 6: return "CIM_ERR_NOT_FOUND";
    case 7: return "CIM_ERR_NOT_SUPPORTED";
    case 11: return "CIM_ERR_ALREADY_EXISTS";
    case 13: return "CIM_ERR_TYPE_MISMATCH";
    case 15: return "CIM_ERR_INVALID_QUERY";
    case 17: return "CIM_ERR_METHOD_NOT_FOUND";
    }
    return NULL;
}

struct cim_instance *
error_instance(const char *error_id, const char *message, const char *source)
{
    enum err_code code = ERR_FAILED;
    struct cim_instance *i = new_instance("Msvm_Error");
    err_from_id(error_id ? error_id : "", &code);
    const struct err_info *info = err_info(code);
    g_autofree char *next = g_strdup(info->next);
    cim_set_uint(i, "ErrorType", info->type);
    if (info->type == 1)
        cim_set_string(i, "OtherErrorType", info->id);
    cim_set_string(i, "OwningEntity", "vmreplica");
    cim_set_string(i, "MessageID", info->id);
    cim_set_string(i, "Message", message);
    cim_set_uint(i, "PerceivedSeverity", SEVERITY_HIGH);
    cim_set_uint(i, "ProbableCause", info->probable);
    cim_set_string(i, "ProbableCauseDescription", info->cause);
    cim_set_strings(i, "RecommendedActions", (char *[]){next, NULL});
    cim_set_string(i, "ErrorSource", source);
    cim_set_uint(i, "ErrorSourceFormat", source ? SOURCE_IS_PATH : SOURCE_UNKNOWN);
    cim_set_uint(i, "CIMStatusCode", info->status);
    cim_set_string(i, "CIMStatusCodeDescription", status_name(info->status));
    return i;
}

static void
add(struct cim_value *out, const char *error_id, const char *message, const char *source)
{
    cim_instance_auto i = error_instance(error_id, message, source);
    g_autofree char *text = cim_xml_text(i);
    cim_array_add(out, cim_string(text));
}

/* What the job worked on: the guest, or for a job of the host the job itself. */
static char *
source_of(const struct job_info *job)
{
    cim_path_auto path = uuid_is_nil(&job->vm) ? job_path(job->id) : guest_path(&job->vm);
    return cim_path_text(path);
}

struct cim_value
error_chain(const struct job_info *job)
{
    if (!job->error_text)
        return cim_null(CIM_STRING, true);
    g_autofree char *source = source_of(job);
    struct cim_value out = cim_array(CIM_STRING);
    add(&out, job->error_id, job->error_text, source);
    for (char **c = job->causes; c && *c; c++) {
        const char *space = strchr(*c, ' ');
        g_autofree char *id = space ? g_strndup(*c, (gsize)(space - *c)) : NULL;
        add(&out, id, space ? space + 1 : *c, NULL);
    }
    return out;
}
