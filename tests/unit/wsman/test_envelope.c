/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "soap.h"

#include "base/xml.h"
#include "wsman/enumctx.h"
#include "wsman/envelope.h"
#include "wsman/fault.h"

#include "base/clock.h"

#include <string.h>

/* Bytes from outside: every bad one is a fault, never more. */

static struct soap s;

static void
expect(const char *content_type, const char *text, gssize len, const char *number)
{
    g_autofree char *code = g_strdup_printf("Code=\"%s\"", number);
    soap_send(&s, content_type, text, len < 0 ? strlen(text) : (size_t)len);
    g_autofree char *head = g_strndup(text, 60), *shown = g_strescape(head, NULL);
    g_test_message("%s", shown);
    g_assert_cmpuint(s.reply.status, >=, 400);
    soap_has(&s, code);
    soap_has(&s, "<s:Fault>");
}

#define OPEN "<s:Envelope xmlns:s=\"" NS_SOAP "\" xmlns:w=\"" NS_WSMAN "\" xmlns:a=\"" NS_ADDRESS "\">"

static void
malformed(void)
{
    expect("application/soap+xml", "", 0, "2150858819");
    expect("application/soap+xml", "no xml at all", -1, "2150858819");
    expect("application/soap+xml", OPEN "<s:Body>", -1, "2150858819");
    expect("application/soap+xml", "<!DOCTYPE x [<!ENTITY a \"b\">]>" OPEN "<s:Body/></s:Envelope>", -1, "2150858819");
    expect("application/soap+xml", "<!DOCTYPE s [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>" OPEN "<s:Body>&a;</s:Body></s:Envelope>", -1,
           "2150858819");
    expect("application/soap+xml", OPEN "<s:Body>&bomb;</s:Body></s:Envelope>", -1, "2150858819");
    g_assert_cmpuint(s.reply.status, ==, 400);
    expect("application/soap+xml", "<html/>", -1, "2150858791");
    expect("application/soap+xml", OPEN "</s:Envelope>", -1, "2150858791");
    expect("application/soap+xml", "<s:Envelope xmlns:s=\"" NS_SOAP11 "\"><s:Body/></s:Envelope>", -1, "2150858765");
    expect("application/soap+xml", OPEN "<s:Body/></s:Envelope>", -1, "2150858769");
    expect("application/soap+xml", OPEN "<s:Header><a:Action>x</a:Action></s:Header><s:Body/></s:Envelope>", -1, "2150858811");
}

static void
bombs(void)
{
    /* Deeper than any document of ours, and ten million bytes. */
    GString *deep = g_string_new(OPEN "<s:Body>");
    for (guint i = 0; i < 5000; i++)
        g_string_append(deep, "<a>");
    expect("application/soap+xml", deep->str, (gssize)deep->len, "2150858819");
    g_string_free(deep, TRUE);
    gsize len = 10 << 20;
    g_autofree char *big = g_malloc(len);
    memset(big, ' ', len);
    expect("application/soap+xml", big, (gssize)len, "2150858790");
    expect("application/soap+xml", big, (gssize)(ENVELOPE_MAX + 1), "2150858790");
    GString *many = g_string_new(OPEN "<s:Header><w:SelectorSet>");
    for (guint i = 0; i < 100; i++)
        g_string_append_printf(many, "<w:Selector Name=\"k%u\">x</w:Selector>", i);
    g_string_append(many, "</w:SelectorSet></s:Header><s:Body/></s:Envelope>");
    expect("application/soap+xml", many->str, (gssize)many->len, "2150858845");
    g_string_free(many, TRUE);
}

/* Each level doubles what the level inside needs to be quoted; it once ate all memory. */
static void
nested_references(void)
{
    static const char *const head = "<a:EndpointReference><a:Address>x</a:Address><a:ReferenceParameters><w:ResourceURI>" WMI
                                    "Msvm_ComputerSystem</w:ResourceURI><w:SelectorSet><w:Selector Name=\"Name\">";
    static const char *const tail = "</w:Selector></w:SelectorSet></a:ReferenceParameters></a:EndpointReference>";
    GString *text = g_string_new("<w:SelectorSet><w:Selector Name=\"Name\">");
    for (guint i = 0; i < 20; i++)
        g_string_append(text, head);
    for (guint i = 0; i < 20; i++)
        g_string_append(text, tail);
    g_string_append(text, "</w:Selector></w:SelectorSet>");
    soap_ask(&s, ACTION_GET, WMI "Msvm_ComputerSystem", text->str, NULL);
    soap_fault(&s, "w:SchemaValidationError", 2150858817u);
    soap_has(&s, "too deeply");
    g_assert_cmpuint(s.reply.len, <, 10000);
    g_string_free(text, TRUE);
}

/* What the client sent comes back in a message, but not all of it. */
static void
long_messages(void)
{
    g_autofree char *name = g_strnfill(500000, 'x'), *tail = g_strconcat(name, "\303\274", NULL);
    g_autofree char *selectors = soap_selectors("Name", tail, NULL), *unknown = soap_selectors(name, "x", NULL);
    soap_ask(&s, ACTION_GET, WMI "Msvm_ComputerSystem", selectors, NULL);
    soap_fault(&s, "a:DestinationUnreachable", 2150858752u);
    g_assert_cmpuint(s.reply.len, <, 10000);
    soap_ask(&s, ACTION_GET, WMI "Msvm_ComputerSystem", unknown, NULL);
    soap_fault(&s, "w:InvalidSelectors", 2150858843u);
    g_assert_cmpuint(s.reply.len, <, 10000);
    g_autofree char *body = g_strdup_printf("<p:InitiateFailover_INPUT xmlns:p=\"x\"><p:ComputerSystem>%s</p:ComputerSystem>"
                                            "</p:InitiateFailover_INPUT>",
                                            tail);
    soap_ask(&s, WMI "Msvm_ReplicationService/InitiateFailover", WMI "Msvm_ReplicationService", NULL, body);
    soap_has(&s, "<p:ReturnValue>32776</p:ReturnValue>");
    g_assert_cmpuint(s.reply.len, <, 10000);
}

static void
charsets(void)
{
    static const char *const good[] = {"application/soap+xml;charset=UTF-8", "application/soap+xml; charset=\"utf-8\"",
                                       "application/soap+xml;charset='Utf-8'", "application/soap+xml", NULL};
    g_autofree char *text = soap_text(ACTION_GET, WMI "Msvm_ReplicationService", NULL, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(good); i++) {
        soap_send(&s, good[i], text, strlen(text));
        g_assert_cmpuint(s.reply.status, ==, 200);
        g_assert_cmpstr(s.reply.content_type, ==, "application/soap+xml;charset=UTF-8");
    }
    g_autofree char *bom = g_strconcat("\xef\xbb\xbf", text, NULL);
    soap_send(&s, good[0], bom, strlen(bom));
    g_assert_cmpuint(s.reply.status, ==, 200);
    expect("application/soap+xml;charset=ISO-8859-1", text, -1, "2150858766");
    expect("application/soap+xml;charset=UTF-8", "<a>\xff\xfeZ</a>", -1, "2150858766");
    expect("application/soap+xml;charset=UTF-8", "<a>\xe9</a>", -1, "2150858766");
    g_assert_true(envelope_type_fine("application/soap+xml;charset=UTF-8"));
    g_assert_true(envelope_type_fine("Text/XML"));
    g_assert_false(envelope_type_fine("application/json"));
    g_assert_false(envelope_type_fine(NULL));
}

static void
utf16(void)
{
    static const struct {
        const char *charset, *convert, *bom;
    } forms[] = {
        {"application/soap+xml;charset=utf-16", "UTF-16LE", "\xff\xfe"},
        {"application/soap+xml;charset=UTF-16", "UTF-16BE", "\xfe\xff"},
        {"application/soap+xml;charset=utf-16le", "UTF-16LE", ""},
        {"application/soap+xml;charset=utf-16be", "UTF-16BE", ""},
    };
    g_autofree char *plain = soap_text(ACTION_GET, WMI "Msvm_ReplicationService", NULL, NULL);
    g_autofree char *text = g_strconcat("<?xml version=\"1.0\" encoding=\"utf-16\"?>", plain, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(forms); i++) {
        gsize len = 0, back = 0, n = strlen(forms[i].bom);
        g_autofree char *body = g_convert(text, -1, forms[i].convert, "UTF-8", NULL, &len, NULL);
        g_autofree char *whole = g_malloc(len + 2);
        memcpy(whole, forms[i].bom, n);
        memcpy(whole + n, body, len);
        soap_send(&s, forms[i].charset, whole, len + n);
        g_assert_cmpuint(s.reply.status, ==, 200);
        g_assert_cmpstr(s.reply.content_type, ==, "application/soap+xml;charset=UTF-16");
        g_assert_cmpmem(s.reply.body, 2, "\xff\xfe", 2);
        g_autofree char *reply = g_convert(s.reply.body + 2, (gssize)s.reply.len - 2, "UTF-8", "UTF-16LE", NULL, &back, NULL);
        g_assert_nonnull(strstr(reply, "<p:Msvm_ReplicationService "));
    }
}

static void
identify(void)
{
    static const char *const body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<e:Envelope xmlns:e=\"" NS_SOAP "\" xmlns:i=\"" NS_IDENTITY
                                    "\"><e:Header/><e:Body><i:Identify/></e:Body></e:Envelope>\n";
    soap_send(&s, "application/soap+xml", body, strlen(body));
    g_assert_cmpuint(s.reply.status, ==, 200);
    soap_has(&s, "<wsmid:IdentifyResponse xmlns:wsmid=\"" NS_IDENTITY "\"><wsmid:ProtocolVersion>" PROTOCOL "</wsmid:ProtocolVersion>");
    soap_has(&s, VMR_VERSION);
    s.caller.role = CIM_NOBODY;
    soap_send(&s, "application/soap+xml", body, strlen(body));
    g_assert_cmpuint(s.reply.status, ==, 200);
    soap_lacks(&s, VMR_VERSION "<");
    s.caller.role = CIM_ADMINISTRATOR;
}

/* The two tables say the same: what base/err.h promises as fault is what goes out. */
static void
fault_tables(void)
{
    for (guint i = 0; i < ERR_COUNT; i++) {
        g_autoptr(GError) err = g_error_new(ERR, (gint)i, "x");
        g_assert_cmpstr(fault_info(fault_of(err))->subcode, ==, err_info((enum err_code)i)->fault);
    }
    g_autoptr(GError) foreign = g_error_new(G_FILE_ERROR, 1, "x");
    g_assert_cmpint(fault_of(foreign), ==, FAULT_INTERNAL);
    g_assert_cmpint(fault_err_of_number(2150858752u), ==, ERR_NO_SUCH_INSTANCE);
    g_assert_cmpint(fault_err_of_number(1), ==, ERR_FAILED);
}

static struct cursor *
empty_cursor(void)
{
    struct cursor *c = g_new0(struct cursor, 1);
    c->instances = g_ptr_array_new();
    return c;
}

static void
context_limits(void)
{
    g_autoptr(GError) err = NULL;
    struct enumctx *t = enumctx_new();
    g_autofree char *first = enumctx_put(t, "a", NULL, empty_cursor(), &err);
    for (guint i = 1; i < ENUMCTX_PER_USER; i++)
        g_free(enumctx_put(t, "a", NULL, empty_cursor(), &err));
    g_assert_no_error(err);
    g_assert_null(enumctx_put(t, "a", NULL, empty_cursor(), &err));
    g_assert_true(fault_is(err, FAULT_QUOTA));
    g_free(enumctx_put(t, "b", NULL, empty_cursor(), NULL));
    g_assert_cmpuint(enumctx_count(t), ==, ENUMCTX_PER_USER + 1);
    g_clear_error(&err);
    g_assert_null(enumctx_take(t, "b", first, &err));
    g_assert_true(fault_is(err, FAULT_CONTEXT));
    clock_shift_for_test(0, (ENUMCTX_IDLE_S + 1) * G_USEC_PER_SEC);
    g_assert_cmpuint(enumctx_count(t), ==, 0);
    g_clear_error(&err);
    g_assert_null(enumctx_take(t, "a", first, &err));
    enumctx_free(t);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    xml_init();
    soap_open(&s);
    g_test_add_func("/wsman/envelope/malformed", malformed);
    g_test_add_func("/wsman/envelope/bombs", bombs);
    g_test_add_func("/wsman/envelope/nested-references", nested_references);
    g_test_add_func("/wsman/envelope/long-messages", long_messages);
    g_test_add_func("/wsman/envelope/charsets", charsets);
    g_test_add_func("/wsman/envelope/utf16", utf16);
    g_test_add_func("/wsman/identify", identify);
    g_test_add_func("/wsman/fault/tables", fault_tables);
    g_test_add_func("/wsman/enumctx/limits", context_limits);
    int result = g_test_run();
    soap_close(&s);
    return result;
}
