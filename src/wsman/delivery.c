/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/delivery.h"

#include "wsman/fault.h"
#include "wsman/names.h"
#include "wsman/operation.h"

#include <arpa/inet.h>
#include <string.h>

#define PORT_FREE 1024 /* below are the services of hosts */
#define ELEMENTS_DEFAULT 20u
#define ELEMENTS_MAX 100u
#define RETRIES_DEFAULT 10u
#define RETRIES_MAX 100u

static const gint64 BEAT_LEAST_US = G_USEC_PER_SEC / 100, RETRY_US = 30 * (gint64)G_USEC_PER_SEC;
static const gint64 RETRY_LEAST_US = G_USEC_PER_SEC / 100, RETRY_MOST_US = 600 * (gint64)G_USEC_PER_SEC;

void
listener_clear(struct listener *l)
{
    g_clear_pointer(&l->address, g_free);
    g_clear_pointer(&l->server, g_free);
    g_clear_pointer(&l->path, g_free);
    g_clear_pointer(&l->tokens, g_free);
}

void
delivery_clear(struct delivery *d)
{
    listener_clear(&d->to);
    listener_clear(&d->end);
}

/* ---- who may name it ---- */

struct address {
    int family; /* 0: no address */
    guint8 bytes[16];
};

static struct address
address_of(const char *text)
{
    struct address a = {0};
    if (inet_pton(AF_INET, text, a.bytes) == 1)
        a.family = AF_INET;
    else if (inet_pton(AF_INET6, text, a.bytes) == 1)
        a.family = AF_INET6;
    return a;
}

static bool
is_loopback(const struct address *a)
{
    static const guint8 V6[16] = {[15] = 1}, MAPPED[12] = {[10] = 0xff, [11] = 0xff};
    return a->family == AF_INET ? a->bytes[0] == 127
                                : memcmp(a->bytes, V6, sizeof V6) == 0 || memcmp(a->bytes, MAPPED, sizeof MAPPED) == 0;
}

static bool
may_name(const struct cim_caller *caller, const char *host, int port, GError **err)
{
    const struct address wanted = address_of(host), own = address_of(caller->address ? caller->address : "");
    if (caller->role == CIM_ADMINISTRATOR)
        return true;
    if (!wanted.family || wanted.family != own.family || memcmp(wanted.bytes, own.bytes, sizeof own.bytes) != 0 || is_loopback(&wanted))
        return fault_set(err, FAULT_ACCESS,
                         "Only an administrator may have events pushed to '%s'; name the address that you call from, or pull.", host);
    return port >= PORT_FREE ||
           fault_set(err, FAULT_ACCESS, "Only an administrator may have events pushed to port %d; use one from %d on.", port, PORT_FREE);
}

/* ---- the address ---- */

static bool
plain_text(const char *text)
{
    for (const char *c = text; *c; c++)
        if (*c <= ' ' || *c == 0x7f || *c == '\\')
            return false;
    return strlen(text) <= DELIVERY_ADDRESS_MAX;
}

static bool
host_fine(const char *host)
{
    return *host && (address_of(host).family || strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
                                                    strlen(host));
}

/* NULL: neither http nor https. */
static const char *
scheme_of(GUri *uri, int *port)
{
    const char *scheme = g_uri_get_scheme(uri);
    const bool https = g_ascii_strcasecmp(scheme, "https") == 0;
    if (!https && g_ascii_strcasecmp(scheme, "http") != 0)
        return NULL;
    *port = g_uri_get_port(uri) > 0 ? g_uri_get_port(uri) : https ? 443 : 80;
    return https ? "https" : "http";
}

static void
take_parts(struct listener *l, const char *address, const char *scheme, GUri *uri, int port)
{
    const char *host = g_uri_get_host(uri), *path = g_uri_get_path(uri), *query = g_uri_get_query(uri);
    const bool v6 = strchr(host, ':') != NULL;
    l->address = g_strdup(address);
    l->server = g_strdup_printf("%s://%s%s%s:%d", scheme, v6 ? "[" : "", host, v6 ? "]" : "", port);
    l->path = g_strdup_printf("%s%s%s", *path ? path : "/", query ? "?" : "", query ? query : "");
    l->tokens = g_strdup("");
}

bool
listener_parse(const char *address, const struct cim_caller *caller, struct listener *out, GError **err)
{
    g_autoptr(GUri) uri = plain_text(address) ? g_uri_parse(address, G_URI_FLAGS_ENCODED | G_URI_FLAGS_HAS_PASSWORD, NULL) : NULL;
    int port = 0;
    const char *scheme = uri ? scheme_of(uri, &port) : NULL;
    memset(out, 0, sizeof *out);
    if (!scheme || !g_uri_get_host(uri) || !host_fine(g_uri_get_host(uri)) || g_uri_get_userinfo(uri) || g_uri_get_fragment(uri))
        return fault_set(err, FAULT_PARAMETER, "'%.200s' is no listener; it must be like http://host:port/path or https://host/path.",
                         address);
    if (!may_name(caller, g_uri_get_host(uri), port, err))
        return false;
    take_parts(out, address, scheme, uri, port);
    return true;
}

/* ---- endpoint references ---- */

static bool
append_tokens(GString *out, const xmlNode *epr, const char *group, GError **err)
{
    const xmlNode *parent = xml_child(epr, NS_ADDRESS, group);
    for (xmlNode *n = parent ? xml_child(parent, NULL, NULL) : NULL; n; n = xml_next(n, NULL, NULL)) {
        g_autofree char *text = xml_dump_alone(n);
        g_string_append(out, text);
    }
    return out->len <= DELIVERY_TOKENS_MAX ||
           fault_set(err, FAULT_PARAMETER, "The reference parameters of a listener have more than %u bytes.", DELIVERY_TOKENS_MAX);
}

static bool
read_listener(const xmlNode *epr, const char *what, const struct cim_caller *caller, struct listener *out, GError **err)
{
    g_autofree char *address = xml_child_text(epr, NULL, "Address");
    g_autoptr(GString) tokens = g_string_new(NULL);
    if (!address)
        return fault_set(err, FAULT_PARAMETER, "%s has no Address.", what);
    if (!listener_parse(g_strstrip(address), caller, out, err) || !append_tokens(tokens, epr, "ReferenceProperties", err) ||
        !append_tokens(tokens, epr, "ReferenceParameters", err))
        return false;
    g_free(out->tokens);
    out->tokens = g_strdup(tokens->str);
    return true;
}

/* ---- the rest ---- */

static bool
read_mode(const xmlNode *delivery, enum delivery_mode *mode, GError **err)
{
    static const char *const MODES[] = {
        [DELIVER_PULL] = DELIVERY_PULL, [DELIVER_PUSH] = DELIVERY_PUSH, [DELIVER_ACK] = DELIVERY_ACK, [DELIVER_EVENTS] = DELIVERY_EVENTS};
    g_autofree char *named = delivery ? xml_attr(delivery, "Mode") : NULL;
    const char *wanted = named ? named : DELIVERY_PUSH; /* WS-Eventing's default */
    for (guint i = 0; i < G_N_ELEMENTS(MODES); i++)
        if (strcmp(wanted, MODES[i]) == 0) {
            *mode = (enum delivery_mode)i;
            return true;
        }
    return fault_set(err, FAULT_DELIVERY, "The delivery mode '%.200s' is not supported; Push, PushWithAck, Events and Pull are.", wanted);
}

static bool
read_count(const char *text, const char *name, guint most, guint *out, GError **err)
{
    guint64 n = 0;
    if (text && !g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT32, &n, NULL))
        return fault_set(err, FAULT_PARAMETER, "%s is '%.40s' and should be a number from 1 on.", name, text);
    if (text)
        *out = (guint)MIN(n, most);
    return true;
}

static bool
read_retry(const xmlNode *delivery, struct delivery *out, GError **err)
{
    const xmlNode *retry = xml_child(delivery, NULL, "ConnectionRetry");
    g_autofree char *total = retry ? xml_attr(retry, "Total") : NULL;
    gint64 us;
    out->retries = RETRIES_DEFAULT;
    if (!read_count(total, "Total of ConnectionRetry", RETRIES_MAX, &out->retries, err) ||
        !operation_lapse(delivery, "ConnectionRetry", FAULT_PARAMETER, &us, err))
        return false;
    out->retry_us = us ? CLAMP(us, RETRY_LEAST_US, RETRY_MOST_US) : RETRY_US;
    return true;
}

/* Whoever asks for these relies on them. */
static bool
nothing_else(const xmlNode *subscribe, const xmlNode *delivery, GError **err)
{
    static const char *const NOT[] = {"SendBookmarks", "Bookmark", "Auth"};
    g_autofree char *encoding = delivery ? xml_child_text(delivery, NULL, "ContentEncoding") : NULL;
    for (guint i = 0; i < G_N_ELEMENTS(NOT); i++)
        if (xml_child(subscribe, NS_WSMAN, NOT[i]) || (delivery && xml_child(delivery, NS_WSMAN, NOT[i])))
            return fault_set(err, FAULT_UNSUPPORTED, "%s is not supported.", NOT[i]);
    return !encoding || g_ascii_strcasecmp(g_strstrip(encoding), "UTF-8") == 0 ||
           fault_set(err, FAULT_CHARSET, "Events are sent as UTF-8, not as '%.40s'.", encoding);
}

static bool
read_push(const xmlNode *subscribe, const xmlNode *delivery, const struct cim_caller *caller, struct delivery *out, GError **err)
{
    const xmlNode *to = delivery ? xml_child(delivery, NS_EVENT, "NotifyTo") : NULL, *end = xml_child(subscribe, NS_EVENT, "EndTo");
    if (!to)
        return fault_set(err, FAULT_PARAMETER, "NotifyTo must say where events are to be pushed to.");
    g_autofree char *elements = xml_child_text(delivery, NULL, "MaxElements");
    out->elements = ELEMENTS_DEFAULT;
    if (!read_listener(to, "NotifyTo", caller, &out->to, err) || (end && !read_listener(end, "EndTo", caller, &out->end, err)) ||
        !operation_lapse(delivery, "Heartbeats", FAULT_PARAMETER, &out->beat_us, err) || !read_retry(delivery, out, err) ||
        !read_count(elements, "MaxElements", ELEMENTS_MAX, &out->elements, err))
        return false;
    if (out->beat_us)
        out->beat_us = MAX(out->beat_us, BEAT_LEAST_US);
    return true;
}

bool
delivery_read(const xmlNode *subscribe, const struct cim_caller *caller, struct delivery *out, GError **err)
{
    const xmlNode *delivery = xml_child(subscribe, NULL, "Delivery");
    return read_mode(delivery, &out->mode, err) && nothing_else(subscribe, delivery, err) &&
           (out->mode == DELIVER_PULL || read_push(subscribe, delivery, caller, out, err));
}
