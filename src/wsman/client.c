/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/client.h"

#include "base/err.h"
#include "base/uuid.h"
#include "base/xml.h"
#include "net/auth.h"
#include "net/http_client.h"
#include "wsman/decode.h"
#include "wsman/encode.h"
#include "wsman/fault.h"
#include "wsman/names.h"
#include "wsman/reply.h"

#include <poll.h>
#include <string.h>

#define REPLY_MAX (1u << 20) /* MaxEnvelopeSize that we announce */
enum { PAGE = 500, POLL_FIRST_MS = 20, POLL_LAST_MS = 250 };

struct wsman_client {
    struct http_client *http;
    char *where; /* for messages */
    bool by_certificate;
};

struct wsman_client *
wsman_client_new(const struct wsman_client_config *config, GError **err)
{
    bool bracket = config->host && strchr(config->host, ':');
    g_autofree char *url = config->socket ? g_strdup("http://localhost")
                                          : g_strdup_printf("%s://%s%s%s:%u", config->plain ? "http" : "https", bracket ? "[" : "",
                                                            config->host, bracket ? "]" : "", config->port);
    struct http_client_config http = {.url = url, .unix_socket = config->socket, .identity = config->identity, .ca = config->ca,
                                      .user = config->user, .password = config->password, .kerberos = config->kerberos,
                                      .stall_s = 120};
    struct wsman_client *c = g_new0(struct wsman_client, 1);
    c->http = http_client_new(&http, err);
    c->where = g_strdup(config->socket ? config->socket : url);
    c->by_certificate = config->identity && !config->user && !config->kerberos;
    if (c->http)
        return c;
    wsman_client_free(c);
    return NULL;
}

void
wsman_client_free(struct wsman_client *c)
{
    if (!c)
        return;
    http_client_free(c->http);
    g_free(c->where);
    g_free(c);
}

/* --- requests ----------------------------------------------------------------------------------------------------------------------- */

static GString *
begin_with(const char *action, const char *uri, const struct cim_path *path, const char *header)
{
    GString *out = reply_begin(action, NULL);
    g_string_append(out, header);
    g_string_append_printf(out,
                           "<w:ResourceURI s:mustUnderstand=\"true\">%s</w:ResourceURI><a:ReplyTo><a:Address>" ANONYMOUS
                           "</a:Address></a:ReplyTo>"
                           "<w:MaxEnvelopeSize s:mustUnderstand=\"true\">%u</w:MaxEnvelopeSize><w:SelectorSet>",
                           uri, REPLY_MAX);
    for (guint i = 0; path && i < path->keys->len; i++) {
        const struct cim_key *key = g_ptr_array_index(path->keys, i);
        g_string_append(out, "<w:Selector Name=\"");
        xml_escape(out, key->name);
        g_string_append(out, "\">");
        xml_escape(out, key->value);
        g_string_append(out, "</w:Selector>");
    }
    g_string_append(out, "</w:SelectorSet>");
    reply_body(out);
    return out;
}

static GString *
begin(const char *action, const char *uri, const struct cim_path *path)
{
    return begin_with(action, uri, path, "");
}

static bool
fault_to_error(const xmlNode *fault, GError **err)
{
    g_autofree char *text = xml_child_text(xml_child(fault, NS_SOAP, "Reason"), NS_SOAP, "Text");
    const xmlNode *detail = xml_child(xml_child(fault, NS_SOAP, "Detail"), NS_FAULT, "WSManFault");
    g_autofree char *number = xml_attr(detail, "Code");
    enum err_code code = number ? fault_err_of_number((guint32)g_ascii_strtoull(number, NULL, 10)) : ERR_FAILED;
    return err_set(err, code, "%s", text && *text ? text : "The server answered with a fault that has no text.");
}

static bool
check_status(const struct wsman_client *c, const struct http_answer *answer, GError **err)
{
    switch (answer->status) {
    case 200:
    case 400:
    case 500:
        return true;
    case 401:
        return err_set(
            err, ERR_ACCESS_DENIED,
            "'%s' does not let you in. Use --user with the right password, --cert, or --kerberos; or be root or in group 'vmreplica' "
            "for the local socket.",
            c->where);
    case 429:
        return err_set(err, ERR_ACCESS_DENIED, "'%s' has seen too many wrong passwords. Wait a minute.", c->where);
    default:
        return err_set(err, ERR_NETWORK, "'%s' answered with HTTP status %u; it does not seem to be vmreplicad.", c->where, answer->status);
    }
}

/* Sends `request` (taken) and returns the reply's document; a fault is an error. */
static xmlDoc *
call(struct wsman_client *c, GString *request, GError **err)
{
    const char *const headers[] = {"Content-Type: application/soap+xml;charset=UTF-8",
                                   c->by_certificate ? "Authorization: " AUTH_CERTIFICATE : NULL, NULL};
    g_autofree char *body = reply_end(request);
    struct http_call http = HTTP_CALL_INIT;
    http_answer_auto answer = {0};

    http.method = "POST";
    http.path = "/wsman";
    http.headers = headers;
    http.body = body;
    http.length = strlen(body);
    if (!http_client_call(c->http, &http, &answer, err) || !check_status(c, &answer, err))
        return NULL;
    g_autoptr(xmlDoc) doc = xml_parse(answer.body, answer.len, 16 * REPLY_MAX, err);
    if (!doc)
        return NULL;
    const xmlNode *fault = xml_child(xml_child(xmlDocGetRootElement(doc), NS_SOAP, "Body"), NS_SOAP, "Fault");
    if (fault) {
        fault_to_error(fault, err);
        return NULL;
    }
    return g_steal_pointer(&doc);
}

static const xmlNode *
body_of(xmlDoc *doc)
{
    return xml_child(xml_child(xmlDocGetRootElement(doc), NS_SOAP, "Body"), NULL, NULL);
}

/* --- reading ------------------------------------------------------------------------------------------------------------------------ */

static bool
take_items(const xmlNode *response, GPtrArray *out, GError **err)
{
    const xmlNode *items = xml_child(response, NULL, "Items");
    for (const xmlNode *node = xml_child(items, NULL, NULL); node; node = xml_next(node, NULL, NULL)) {
        struct cim_instance *i = decode_instance(node, err);
        if (!i)
            return false;
        g_ptr_array_add(out, i);
    }
    return true;
}

/* Pulls until there is no context any more. */
static bool
drain(struct wsman_client *c, const char *uri, xmlDoc *doc, GPtrArray *out, GError **err)
{
    g_autoptr(xmlDoc) page = doc;
    for (;;) {
        const xmlNode *response = body_of(page);
        g_autofree char *context = xml_child_text(response, NULL, "EnumerationContext");
        if (!take_items(response, out, err))
            return false;
        if (!context || !*context || xml_child(response, NULL, "EndOfSequence"))
            return true;
        GString *request = begin(ACTION_PULL, uri, NULL);
        g_string_append(request, "<n:Pull>");
        reply_text(request, "n:EnumerationContext", context);
        g_string_append_printf(request, "<n:MaxElements>%d</n:MaxElements></n:Pull>", PAGE);
        xmlDoc *next = call(c, request, err);
        xmlFreeDoc(page);
        page = next;
        if (!page)
            return false;
    }
}

/* A class is in one namespace only. */
static char *
uri_of(const char *name)
{
    const struct cim_class *cls = cim_class_find(NULL, name);
    return resource_uri(FAMILY_WMI, cls ? cls->ns : NULL, name);
}

static GPtrArray *
enumerate(struct wsman_client *c, const char *cls, const char *filter, GError **err)
{
    g_autofree char *uri = uri_of(cls);
    g_autoptr(GPtrArray) out = cim_instances_new();
    GString *request = begin(ACTION_ENUMERATE, uri, NULL);
    g_string_append_printf(request, "<n:Enumerate><w:OptimizeEnumeration/><w:MaxElements>%d</w:MaxElements>", PAGE);
    if (filter) {
        g_string_append(request, "<w:Filter Dialect=\"" DIALECT_WQL "\">");
        xml_escape(request, filter);
        g_string_append(request, "</w:Filter>");
    }
    g_string_append(request, "</n:Enumerate>");
    xmlDoc *doc = call(c, request, err);
    return doc && drain(c, uri, doc, out, err) ? g_steal_pointer(&out) : NULL;
}

GPtrArray *
wsman_client_enumerate(struct wsman_client *c, const char *cls, GError **err)
{
    return enumerate(c, cls, NULL, err);
}

GPtrArray *
wsman_client_query(struct wsman_client *c, const char *wql, GError **err)
{
    return enumerate(c, "*", wql, err);
}

GPtrArray *
wsman_client_associators(struct wsman_client *c, const struct cim_path *of, const char *result_class, GError **err)
{
    g_autofree char *path = cim_path_text(of);
    g_autofree char *wql = g_strdup_printf("ASSOCIATORS OF {%s} WHERE ResultClass = %s", path, result_class);
    return wsman_client_query(c, wql, err);
}

struct cim_instance *
wsman_client_get(struct wsman_client *c, const struct cim_path *path, GError **err)
{
    g_autofree char *uri = uri_of(path->cls);
    g_autoptr(xmlDoc) doc = call(c, begin(ACTION_GET, uri, path), err);
    return doc ? decode_instance(body_of(doc), err) : NULL;
}

/* --- events ------------------------------------------------------------------------------------------------------------------------- */

static const gint64 EPOCH_1601_US = G_GINT64_CONSTANT(11644473600000000); /* FILETIME's zero */

void
wsman_event_clear(struct wsman_event *e)
{
    g_clear_pointer(&e->now, cim_instance_free);
    g_clear_pointer(&e->before, cim_instance_free);
}

char *
wsman_client_subscribe(struct wsman_client *c, const char *query, GError **err)
{
    g_autofree char *uri = resource_uri(FAMILY_WMI, NULL, "*");
    GString *request = begin(ACTION_SUBSCRIBE, uri, NULL);
    g_string_append(request, "<e:Subscribe><e:Delivery Mode=\"" DELIVERY_PULL "\"/><w:Filter Dialect=\"" DIALECT_WQL "\">");
    xml_escape(request, query);
    g_string_append(request, "</w:Filter></e:Subscribe>");
    g_autoptr(xmlDoc) doc = call(c, request, err);
    char *id = doc ? xml_child_text(body_of(doc), NULL, "EnumerationContext") : NULL;
    if (doc && !id)
        err_set(err, ERR_MALFORMED, "'%s' answered a Subscribe without EnumerationContext.", c->where);
    return id;
}

/* Renew and Unsubscribe name the subscription in a header. */
static bool
manage(struct wsman_client *c, const char *action, const char *id, const char *body, GError **err)
{
    g_autofree char *uri = resource_uri(FAMILY_WMI, NULL, "*");
    g_autoptr(GString) header = g_string_new(NULL);
    reply_text(header, "e:Identifier", id);
    GString *request = begin_with(action, uri, NULL, header->str);
    g_string_append(request, body);
    g_autoptr(xmlDoc) doc = call(c, request, err);
    return doc != NULL;
}

bool
wsman_client_renew(struct wsman_client *c, const char *id, GError **err)
{
    return manage(c, ACTION_RENEW_EVENT, id, "<e:Renew/>", err);
}

void
wsman_client_unsubscribe(struct wsman_client *c, const char *id)
{
    manage(c, ACTION_UNSUBSCRIBE, id, "", NULL);
}

static bool
read_event(const xmlNode *event, struct wsman_event *out, GError **err)
{
    const xmlNode *target = xml_child(event, NULL, "TargetInstance"), *previous = xml_child(event, NULL, "PreviousInstance");
    g_autofree char *time = xml_child_text(event, NULL, "TIME_CREATED"), *type = event ? xml_attr(event, "type") : NULL;
    *out = (struct wsman_event){.time_us = time ? g_ascii_strtoll(time, NULL, 10) / 10 - EPOCH_1601_US : 0};
    if (!target || !type)
        return err_set(err, ERR_MALFORMED, "The server sent an event without TargetInstance or type.");
    if (strstr(type, "Deletion"))
        out->before = decode_object(target, err);
    else
        out->now = decode_object(target, err);
    if (previous && out->now)
        out->before = decode_object(previous, err);
    return (out->now || out->before) && (!previous || out->before);
}

bool
wsman_client_next_event(struct wsman_client *c, const char *id, guint wait_ms, struct wsman_event *out, GError **err)
{
    g_autofree char *uri = resource_uri(FAMILY_WMI, NULL, "*");
    g_autofree char *header = g_strdup_printf("<w:OperationTimeout>PT%u.%03uS</w:OperationTimeout>", wait_ms / 1000, wait_ms % 1000);
    GString *request = begin_with(ACTION_PULL, uri, NULL, header);
    g_string_append(request, "<n:Pull>");
    reply_text(request, "n:EnumerationContext", id);
    g_string_append(request, "<n:MaxElements>1</n:MaxElements></n:Pull>");
    g_autoptr(xmlDoc) doc = call(c, request, err);
    return doc && read_event(xml_child(xml_child(body_of(doc), NULL, "Items"), NULL, NULL), out, err);
}

/* --- methods ------------------------------------------------------------------------------------------------------------------------ */

static bool
read_result(xmlDoc *doc, const struct cim_method *method, struct cim_args *out, guint32 *result, char **reason, GError **err)
{
    g_autofree char *text = xml_child_text(xml_child(xmlDocGetRootElement(doc), NS_SOAP, "Header"), NS_REASON, "Reason");
    if (!decode_output(body_of(doc), method, out, result, err))
        return false;
    if (reason)
        *reason = g_steal_pointer(&text);
    return true;
}

bool
wsman_client_invoke(struct wsman_client *c, const struct cim_path *path, const char *method, const struct cim_args *in,
                    struct cim_args *out, guint32 *result, char **reason, GError **err)
{
    const struct cim_class *cls = cim_class_find(NULL, path->cls);
    const struct cim_method *m = cls ? cim_class_method(cls, method) : NULL;
    if (!m)
        return err_set(err, ERR_NO_SUCH_METHOD, "The class '%s' has no method '%s'.", path->cls, method);
    g_autofree char *uri = uri_of(cls->name);
    g_autofree char *action = g_strconcat(uri, "/", m->name, NULL);
    GString *request = begin(action, uri, path);
    g_string_append_printf(request, "<p:%s_INPUT xmlns:p=\"%s\" xmlns:xsi=\"" NS_XSI "\" xmlns:cim=\"" NS_CIM "\">", m->name, uri);
    for (guint i = 0; in && i < cim_args_count(in); i++)
        encode_value(request, cim_args_name(in, i), cim_args_at(in, i), FAMILY_WMI);
    g_string_append_printf(request, "</p:%s_INPUT>", m->name);
    g_autoptr(xmlDoc) doc = call(c, request, err);
    return doc && read_result(doc, m, out, result, reason, err);
}

enum err_code
wsman_client_code(guint32 value)
{
    static const enum err_code small[] = {[1] = ERR_NOT_SUPPORTED, [2] = ERR_FAILED, [3] = ERR_TIMEOUT, [4] = ERR_INVALID_PARAMETER,
                                          [5] = ERR_INVALID_STATE, [6] = ERR_INVALID_TYPE}; /* DMTF's, of the management services */
    if (value > 0 && value < G_N_ELEMENTS(small))
        return small[value];
    for (guint i = 0; i < ERR_COUNT; i++)
        if (err_info((enum err_code)i)->cim == value)
            return (enum err_code)i;
    return ERR_FAILED;
}

/* --- jobs --------------------------------------------------------------------------------------------------------------------------- */

enum { STATE_COMPLETED = 7, STATE_TERMINATED = 8, STATE_KILLED = 9, STATE_EXCEPTION = 10, STATE_WARNINGS = 32768 };

static bool
is_final(guint64 state)
{
    return state == STATE_COMPLETED || state == STATE_TERMINATED || state == STATE_KILLED || state == STATE_EXCEPTION ||
           state == STATE_WARNINGS;
}

static bool
job_outcome(const struct cim_instance *job, char **warning, GError **err)
{
    guint64 state = cim_get_uint(job, "JobState");
    const char *text = cim_get_string(job, "ErrorDescription"), *name = cim_get_string(job, "Name");
    if (warning)
        *warning = state == STATE_WARNINGS ? g_strdup(text ? text : "The job was completed with warnings.") : NULL;
    if (state == STATE_COMPLETED || state == STATE_WARNINGS)
        return true;
    if (state != STATE_EXCEPTION && !text)
        return err_set(err, ERR_CANCELLED, "The job '%s' was cancelled.", name ? name : "");
    return err_set(err, state == STATE_EXCEPTION ? wsman_client_code((guint32)cim_get_uint(job, "ErrorCode")) : ERR_CANCELLED, "%s",
                   text ? text : "The job failed and gave no reason.");
}

bool
wsman_client_wait(struct wsman_client *c, const struct cim_path *path, wsman_progress progress, void *user, char **warning, GError **err)
{
    for (gint wait_ms = POLL_FIRST_MS;; wait_ms = MIN(wait_ms * 9 / 8, POLL_LAST_MS)) {
        cim_instance_auto job = wsman_client_get(c, path, err);
        if (!job)
            return false;
        const char *status = cim_get_string(job, "JobStatus");
        if (progress && !progress(user, (guint)cim_get_uint(job, "PercentComplete"), status ? status : ""))
            return err_set(err, ERR_CANCELLED, "No longer waiting; the job goes on. See vmreplica jobs.");
        if (is_final(cim_get_uint(job, "JobState")))
            return job_outcome(job, warning, err);
        poll(NULL, 0, wait_ms); /* the protocol has no other way to learn of progress; an eighth of the job's time is lost at most */
    }
}
