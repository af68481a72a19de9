/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/log.h"
#include "web/call.h"
#include "web/json.h"
#include "web/problem.h"

#include <string.h>

/* POST INSTANCE/METHOD: arguments as a JSON object, nothing for methods without arguments.
 *
 * Done is 200, a job 202 with its URL in Location; both answer ReturnValue and the output parameters.  A refusal is a problem with the same
 * members, so that a client finds ReturnValue in one place. */

/* Browsers send forms and plain text to other sites without asking, but not JSON. */
static bool
type_fine(const struct http_request *request)
{
    const char *type = http_request_header(request, "Content-Type");
    size_t len = type ? strcspn(type, "; \t") : 0;
    return len == strlen("application/json") && g_ascii_strncasecmp(type, "application/json", len) == 0;
}

/* An object may be named by a base class that lacks the method. */
static const struct cim_method *
find_method(const struct web_call *c, const struct cim_class *class, GError **err)
{
    const struct cim_method *m = cim_class_method(class, c->url->method);
    if (m)
        return m;
    cim_instance_auto i = cim_get_instance(c->broker, c->caller, c->url->path, err);
    m = i ? cim_class_method(i->cls, c->url->method) : NULL;
    if (i && !m)
        err_set(err, ERR_NO_SUCH_METHOD, "Class '%s' has no method '%.80s'.", class->name, c->url->method);
    return m;
}

static bool
read_arguments(const struct web_call *c, const struct cim_method *m, struct cim_args *in, GError **err)
{
    if (c->request->body_len == 0)
        return true;
    auto_json object = web_json_parse(c->request->body, c->request->body_len, err);
    return object && web_json_arguments(object, m, in, err);
}

static void
set_location(const struct web_call *c, const struct cim_args *out)
{
    const struct cim_value *job = cim_args_get(out, "Job");
    g_autofree char *url = job && job->type == CIM_REFERENCE && !job->array ? url_of(job->ref, c->url->cls->ns) : NULL;
    if (url)
        http_respond_header(c->response, "Location", url);
}

static void
answer(const struct web_call *c, const struct cim_method *m, const struct cim_args *out, guint32 result, const char *reason)
{
    auto_json o = web_json_output(m, out, c->url->cls->ns);
    guint status = problem_status(result);
    if (status >= 300) {
        problem_respond_refusal(c->response, result, reason, o);
        return;
    }
    json_object_set_new(o, "ReturnValue", json_integer(result));
    json_object_set_new(o, "reason", web_json_string(reason));
    problem_json(c->response, status, o);
    if (status == 202)
        set_location(c, out);
}

static bool
run(const struct web_call *c, const struct cim_method *m, struct cim_args *in, struct cim_args *out, GError **err)
{
    g_autofree char *reason = NULL;
    guint32 result;
    if (!read_arguments(c, m, in, err) || !cim_invoke(c->broker, c->caller, c->url->path, m->name, in, out, &result, &reason, err))
        return false;
    log_debug("JSON invocation. user=%s method=%s.%s result=%u", c->caller->user, c->url->cls->name, m->name, result);
    answer(c, m, out, result, reason);
    return true;
}

bool
invoke_method(const struct web_call *c, GError **err)
{
    if (!type_fine(c->request)) {
        problem_respond_as(c->response, 415, "wrong-content-type", "Wrong content type", "The body must be application/json.",
                           "Send the header 'Content-Type: application/json', also with an empty body.");
        return true;
    }
    const struct cim_method *m = url_check_query(c->url, "", err) ? find_method(c, c->url->cls, err) : NULL;
    if (!m)
        return false;
    struct cim_args *in = cim_args_new(), *out = cim_args_new();
    bool done = run(c, m, in, out, err);
    cim_args_free(in);
    cim_args_free(out);
    return done;
}
