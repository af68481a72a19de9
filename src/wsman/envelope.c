/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "wsman/envelope.h"

#include "cim/schema.h"
#include "cim/value.h"
#include "wsman/fault.h"
#include "wsman/names.h"

#include <string.h>

enum { SELECTORS_MAX = 64 };

static void
selector_free(gpointer p)
{
    struct selector *s = p;
    g_free(s->name);
    g_free(s->value);
    g_free(s);
}

void
envelope_clear(struct envelope *e)
{
    g_clear_pointer(&e->doc, xmlFreeDoc);
    g_clear_pointer(&e->action, g_free);
    g_clear_pointer(&e->message_id, g_free);
    g_clear_pointer(&e->uri, g_free);
    g_clear_pointer(&e->selectors, g_ptr_array_unref);
    resource_clear(&e->resource);
}

/* --- bytes --------------------------------------------------------------------------------------------------------------------------- */

/* The charset parameter of a media type, lower case; "" if there is none. */
static char *
charset_of(const char *content_type)
{
    g_autofree char *lower = g_ascii_strdown(content_type ? content_type : "", -1);
    const char *at = strstr(lower, "charset");
    if (!at)
        return g_strdup("");
    at += strlen("charset");
    at += strspn(at, " \t=\"'");
    return g_strndup(at, strcspn(at, " \t\"';"));
}

bool
envelope_type_fine(const char *content_type)
{
    static const char *const types[] = {"application/soap+xml", "text/xml", "application/xml"};
    for (gsize i = 0; i < G_N_ELEMENTS(types); i++)
        if (content_type && g_ascii_strncasecmp(content_type, types[i], strlen(types[i])) == 0)
            return true;
    return false;
}

static bool
starts(const char *data, size_t len, const char *bom, size_t n)
{
    return len >= n && memcmp(data, bom, n) == 0;
}

/* The converted text must not announce its old encoding to the parser. */
static char *
without_declaration(char *text)
{
    if (g_str_has_prefix(text, "<?xml")) {
        char *end = strstr(text, "?>");
        if (end)
            memset(text, ' ', (gsize)(end + 2 - text));
    }
    return text;
}

static char *
from_utf16(const char *data, size_t len, const char *charset, GError **err)
{
    const char *from = strcmp(charset, "utf-16be") == 0 ? "UTF-16BE" : "UTF-16LE";
    if (starts(data, len, "\xff\xfe", 2) || starts(data, len, "\xfe\xff", 2)) {
        from = data[0] == '\xff' ? "UTF-16LE" : "UTF-16BE";
        data += 2;
        len -= 2;
    }
    gsize written;
    char *text = g_convert(data, (gssize)len, "UTF-8", from, NULL, &written, NULL);
    if (!text || strlen(text) != written) {
        g_free(text);
        fault_set(err, FAULT_CHARSET, "The request says that it is UTF-16, but its bytes are not.");
        return NULL;
    }
    return without_declaration(text);
}

/* UTF-8 text of the request, NUL-terminated. */
static char *
decode(const char *content_type, const char *data, size_t len, bool *utf16, GError **err)
{
    g_autofree char *charset = charset_of(content_type);
    *utf16 = g_str_has_prefix(charset, "utf-16") || starts(data, len, "\xff\xfe", 2) || starts(data, len, "\xfe\xff", 2);
    if (*utf16)
        return from_utf16(data, len, charset, err);
    if (*charset && strcmp(charset, "utf-8") != 0 && strcmp(charset, "utf8") != 0 && strcmp(charset, "us-ascii") != 0) {
        fault_set(err, FAULT_CHARSET, "The character set '%s' is not supported; send UTF-8 or UTF-16.", charset);
        return NULL;
    }
    if (starts(data, len, "\xef\xbb\xbf", 3)) {
        data += 3;
        len -= 3;
    }
    if (!g_utf8_validate(data, (gssize)len, NULL)) {
        fault_set(err, FAULT_CHARSET, "The request is not valid UTF-8.");
        return NULL;
    }
    return g_strndup(data, len);
}

char *
envelope_encode(const struct envelope *e, char *xml, size_t *len, const char **content_type)
{
    *len = strlen(xml);
    *content_type = "application/soap+xml;charset=UTF-8";
    if (!e->utf16)
        return xml;
    gsize written = 0;
    g_autofree char *body = g_convert(xml, (gssize)*len, "UTF-16LE", "UTF-8", NULL, &written, NULL);
    g_assert(body);
    g_free(xml);
    char *with_bom = g_malloc(written + 2);
    memcpy(with_bom, "\xff\xfe", 2);
    memcpy(with_bom + 2, body, written);
    *len = written + 2;
    *content_type = "application/soap+xml;charset=UTF-16";
    return with_bom;
}

/* --- header blocks ------------------------------------------------------------------------------------------------------------------ */

/* mustUnderstand counts in the SOAP namespace only (wire rule 10). */
static bool
must_understand(const xmlNode *block)
{
    for (const xmlAttr *a = block->properties; a; a = a->next) {
        if (strcmp((const char *)a->name, "mustUnderstand") != 0 || !a->ns || strcmp((const char *)a->ns->href, NS_SOAP) != 0)
            continue;
        g_autofree char *value = xml_attr(block, "mustUnderstand");
        return value && (strcmp(value, "true") == 0 || strcmp(value, "1") == 0);
    }
    return false;
}

static bool
take_text(char **slot, const xmlNode *block)
{
    g_free(*slot);
    *slot = g_strstrip(xml_text(block));
    return true;
}

/* Two of them could be understood differently by two readers. */
static bool
take_once(char **slot, const xmlNode *block, GError **err)
{
    if (*slot)
        return fault_set(err, FAULT_HEADER_INVALID, "The header '%s' occurs twice.", (const char *)block->name);
    return take_text(slot, block);
}

static bool
take_action(struct envelope *e, const xmlNode *block, GError **err)
{
    return take_once(&e->action, block, err);
}

static bool
take_uri(struct envelope *e, const xmlNode *block, GError **err)
{
    return take_once(&e->uri, block, err);
}

static bool
add_selector(struct envelope *e, const xmlNode *node, GError **err)
{
    g_autofree char *name = xml_attr(node, "Name");
    if (!name || !*name)
        return fault_set(err, FAULT_SELECTORS, "A selector has no name.");
    for (guint i = 0; i < e->selectors->len; i++) {
        const struct selector *other = g_ptr_array_index(e->selectors, i);
        if (g_ascii_strcasecmp(other->name, name) == 0)
            return fault_set(err, FAULT_SELECTORS_DUPLICATE, "The selector '%s' occurs twice.", name);
    }
    if (e->selectors->len >= SELECTORS_MAX)
        return fault_set(err, FAULT_SELECTORS, "More than %d selectors.", SELECTORS_MAX);
    char *value = resource_selector(node, err);
    if (!value)
        return false;
    struct selector *s = g_new(struct selector, 1);
    *s = (struct selector){g_steal_pointer(&name), value};
    g_ptr_array_add(e->selectors, s);
    return true;
}

static bool
take_selectors(struct envelope *e, const xmlNode *block, GError **err)
{
    for (const xmlNode *s = xml_child(block, NS_WSMAN, "Selector"); s; s = xml_next(s, NS_WSMAN, "Selector"))
        if (!add_selector(e, s, err))
            return false;
    return true;
}

/* Options that Windows clients attach to everything change nothing about our answers. */
static bool
option_known(const char *name)
{
    static const char *const known[] = {"ShowExtensions", "__MI_", "wmi:", "wmiarray:", "msftwinrm:", "IncludeInheritanceHierarchy",
                                        "IncludeInheritedElements", "IncludeQualifiers", "IncludeClassOrigin"};
    for (gsize i = 0; i < G_N_ELEMENTS(known); i++)
        if (g_str_has_prefix(name, known[i]))
            return true;
    return false;
}

static bool
take_options(struct envelope *e, const xmlNode *block, GError **err)
{
    for (const xmlNode *o = xml_child(block, NS_WSMAN, "Option"); o; o = xml_next(o, NS_WSMAN, "Option")) {
        g_autofree char *name = xml_attr(o, "Name"), *must = xml_attr(o, "MustComply");
        bool insists = must && (strcmp(must, "true") == 0 || strcmp(must, "1") == 0);
        if (insists && !option_known(name ? name : ""))
            return fault_set(err, FAULT_OPTIONS, "The option '%s' is not supported.", name ? name : "");
    }
    return true;
}

static bool
take_max_size(struct envelope *e, const xmlNode *block, GError **err)
{
    g_autofree char *text = g_strstrip(xml_text(block));
    guint64 size;
    if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &size, NULL))
        return fault_set(err, FAULT_HEADER_INVALID, "MaxEnvelopeSize is '%s' and should be a number of bytes.", text);
    if (size < ENVELOPE_REPLY_MIN)
        return fault_set(err, FAULT_REPLY_MINIMUM, "MaxEnvelopeSize is %" G_GUINT64_FORMAT "; at least %u is needed.", size,
                         ENVELOPE_REPLY_MIN);
    e->max_reply = (guint)MIN(size, ENVELOPE_MAX);
    return true;
}

static bool
take_timeout(struct envelope *e, const xmlNode *block, GError **err)
{
    g_autofree char *text = g_strstrip(xml_text(block));
    struct cim_datetime t;
    if (!cim_datetime_parse(text, &t) || !t.interval)
        return fault_set(err, FAULT_TIMEOUT_VALUE, "OperationTimeout is '%s' and should be a duration such as PT60S.", text);
    e->timeout_us = t.us;
    return true;
}

static bool
take_locale(struct envelope *e, const xmlNode *block, GError **err)
{
    g_autofree char *lang = xml_attr(block, "lang");
    if (must_understand(block) && lang && g_ascii_strncasecmp(lang, "en", 2) != 0)
        return fault_set(err, FAULT_LOCALE, "Texts exist in English only; the locale '%s' must not be mandatory.", lang);
    return true;
}

static bool
take_data_locale(struct envelope *e, const xmlNode *block, GError **err)
{
    return !must_understand(block) || fault_set(err, FAULT_DATA_LOCALE, "Data is not localised; DataLocale must not be mandatory.");
}

static bool
refuse_fragment(struct envelope *e, const xmlNode *block, GError **err)
{
    return fault_set(err, FAULT_FRAGMENT, "Parts of an instance cannot be transferred by themselves. Get the whole instance.");
}

static bool
take_estimate(struct envelope *e, const xmlNode *block, GError **err)
{
    e->estimate = true;
    return true;
}

static bool
ignore(struct envelope *e, const xmlNode *block, GError **err)
{
    return true;
}

/* MessageID is read before all others (see read_message_id), so that every fault can relate to it. */
static const struct block {
    const char *ns, *name;
    bool (*take)(struct envelope *e, const xmlNode *block, GError **err);
} blocks[] = {
    {NS_ADDRESS, "Action", take_action},
    {NS_ADDRESS, "MessageID", ignore},
    {NS_ADDRESS, "To", ignore},
    {NS_ADDRESS, "From", ignore},
    {NS_ADDRESS, "ReplyTo", ignore},
    {NS_ADDRESS, "FaultTo", ignore},
    {NS_ADDRESS, "RelatesTo", ignore},
    {NS_WSMAN, "ResourceURI", take_uri},
    {NS_WSMAN, "SelectorSet", take_selectors},
    {NS_WSMAN, "OptionSet", take_options},
    {NS_WSMAN, "MaxEnvelopeSize", take_max_size},
    {NS_WSMAN, "OperationTimeout", take_timeout},
    {NS_WSMAN, "Locale", take_locale},
    {NS_WSMAN, "RequestTotalItemsCountEstimate", take_estimate},
    {NS_WSMAN, "FragmentTransfer", refuse_fragment},
    {NS_MICROSOFT, "DataLocale", take_data_locale},
    {NS_MICROSOFT, "SessionId", ignore},
    {NS_MICROSOFT, "OperationID", ignore},
    {NS_MICROSOFT, "SequenceId", ignore},
    {NS_MICROSOFT, "ActivityId", ignore},
};

static bool
take_block(struct envelope *e, const xmlNode *block, GError **err)
{
    for (gsize i = 0; i < G_N_ELEMENTS(blocks); i++)
        if (xml_is(block, blocks[i].ns, blocks[i].name))
            return blocks[i].take(e, block, err);
    return !must_understand(block) ||
           fault_set(err, FAULT_MUST_UNDERSTAND, "The header '%s' is mandatory, but is not understood here.", (const char *)block->name);
}

/* --- the whole ---------------------------------------------------------------------------------------------------------------------- */

static const xmlNode *
soap_part(const xmlNode *root, const char *name)
{
    return xml_child(root, NS_SOAP, name);
}

static bool
check_root(const xmlNode *root, GError **err)
{
    if (xml_is(root, NS_SOAP11, "Envelope"))
        return fault_set(err, FAULT_VERSION, "This is SOAP 1.1; WS-Management needs SOAP 1.2.");
    if (!xml_is(root, NS_SOAP, "Envelope") || !soap_part(root, "Body"))
        return fault_set(err, FAULT_NOT_SOAP, "The request is no SOAP 1.2 envelope: its root element is '%s'.", (const char *)root->name);
    return true;
}

/* Removes __cimnamespace from the selectors and settles which namespace is meant. */
static bool
settle_namespace(struct envelope *e, GError **err)
{
    for (guint i = 0; i < e->selectors->len; i++) {
        const struct selector *s = g_ptr_array_index(e->selectors, i);
        if (g_ascii_strcasecmp(s->name, "__cimnamespace") != 0)
            continue;
        g_autofree char *ns = cim_namespace(s->value);
        g_ptr_array_remove_index(e->selectors, i);
        if (e->resource.ns && strcmp(e->resource.ns, ns) != 0)
            return fault_set(err, FAULT_NAMESPACES, "The ResourceURI is in namespace '%s', but the selector __cimnamespace says '%s'.",
                             e->resource.ns, ns);
        g_free(e->resource.ns);
        e->resource.ns = g_steal_pointer(&ns);
        break;
    }
    if (!e->resource.ns)
        e->resource.ns = g_strdup(DEFAULT_NAMESPACE);
    return true;
}

static bool
settle(struct envelope *e, GError **err)
{
    if (!e->action || !*e->action)
        return fault_set(err, FAULT_HEADER_MISSING, "The request has no a:Action header.");
    if (!e->uri || !*e->uri)
        return fault_set(err, FAULT_RESOURCE, "The request has no w:ResourceURI header.");
    if (!resource_parse(e->uri, &e->resource))
        return fault_set(err, FAULT_RESOURCE, "The ResourceURI '%s' names no CIM class.", e->uri);
    if (!settle_namespace(e, err))
        return false;
    if (!cim_namespace_known(e->resource.ns))
        return fault_set(err, FAULT_RESOURCE, "There is no namespace '%s' here.", e->resource.ns);
    return true;
}

static bool
read_headers(struct envelope *e, const xmlNode *header, GError **err)
{
    const xmlNode *id = xml_child(header, NS_ADDRESS, "MessageID");
    if (id)
        take_text(&e->message_id, id);
    for (const xmlNode *block = xml_child(header, NULL, NULL); block; block = xml_next(block, NULL, NULL))
        if (!take_block(e, block, err))
            return false;
    return true;
}

bool
envelope_parse(const char *content_type, const char *data, size_t len, struct envelope *out, GError **err)
{
    g_autoptr(GError) why = NULL;
    memset(out, 0, sizeof *out);
    out->max_reply = ENVELOPE_REPLY_DEFAULT;
    out->selectors = g_ptr_array_new_with_free_func(selector_free);

    if (len > 2 * ENVELOPE_MAX)
        return fault_set(err, FAULT_REQUEST_TOO_BIG, "The request has %zu bytes; at most %u are accepted.", len, ENVELOPE_MAX);
    g_autofree char *text = decode(content_type, data, len, &out->utf16, err);
    if (!text)
        return false;
    out->doc = xml_parse(text, strlen(text), ENVELOPE_MAX, &why);
    if (!out->doc)
        return fault_set(err, err_is(why, ERR_TOO_BIG) ? FAULT_REQUEST_TOO_BIG : FAULT_MALFORMED, "%s", why->message);
    const xmlNode *root = xmlDocGetRootElement(out->doc);
    if (!check_root(root, err))
        return false;
    out->body = xml_child(soap_part(root, "Body"), NULL, NULL);
    out->identify = xml_is(out->body, NS_IDENTITY, "Identify");
    return out->identify || (read_headers(out, soap_part(root, "Header"), err) && settle(out, err));
}
