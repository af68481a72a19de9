/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include "wsman/endpoint.h"
#include "wsman/names.h"

#include <string.h>

/* The services for machines as they look on the wire: what libvirt's hyperv driver and others send, and what they read. */

#define WMI URI_WMI "root/virtualization/v2/"

struct wire {
    struct ask f;
    struct wsman_endpoint *endpoint;
    char *reply;
};

static void
open_wire(struct wire *w)
{
    ask_open(&w->f, false);
    w->endpoint = wsman_endpoint_new(w->f.a, NULL);
    w->reply = NULL;
}

static void
close_wire(struct wire *w)
{
    wsman_endpoint_free(w->endpoint);
    g_free(w->reply);
    ask_close(&w->f);
}

static void
invoke(struct wire *w, const char *cls, const char *method, const char *selectors, const char *arguments)
{
    static const struct cim_caller caller = {"admin", CIM_ADMINISTRATOR};
    struct wsman_reply out;
    g_autofree char *body = g_strdup_printf(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" "
        "xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\"><s:Header><a:Action>" WMI "%s/%s</a:Action><a:To>x</a:To>"
        "<w:ResourceURI>" WMI "%s</w:ResourceURI><a:MessageID>uuid:1</a:MessageID><w:SelectorSet>%s</w:SelectorSet></s:Header>"
        "<s:Body><p:%s_INPUT xmlns:p=\"" WMI "%s\">%s</p:%s_INPUT></s:Body></s:Envelope>",
        cls, method, cls, selectors, method, cls, arguments, method);
    wsman_endpoint_serve(w->endpoint, &caller, "application/soap+xml;charset=UTF-8", body, strlen(body), &out);
    g_free(w->reply);
    w->reply = g_strndup(out.body, out.len);
    g_free(out.body);
    g_test_message("%s", w->reply);
}

static void
has(const struct wire *w, const char *text)
{
    if (!strstr(w->reply, text))
        g_error("'%s' is not in: %s", text, w->reply);
}

#define SELECTOR(name, value) "<w:Selector Name=\"" name "\">" value "</w:Selector>"
#define MANAGEMENT "Msvm_VirtualSystemManagementService"
#define SINGLE SELECTOR("CreationClassName", MANAGEMENT)

/* Objects, not text and not references. */
static void
test_summary(void)
{
    struct wire w;
    open_wire(&w);
    invoke(&w, MANAGEMENT, "GetSummaryInformation", SINGLE,
           "<p:RequestedInformation>1</p:RequestedInformation><p:RequestedInformation>100</p:RequestedInformation>");
    has(&w, "<p:SummaryInformation xmlns:q=\"" WMI "Msvm_SummaryInformation\" xsi:type=\"q:Msvm_SummaryInformation_Type\">");
    has(&w, "<q:ElementName>plain</q:ElementName>");
    has(&w, "<q:ElementName>guest</q:ElementName>");
    has(&w, "<q:EnabledState>2</q:EnabledState>");
    has(&w, "<q:Notes xsi:nil=\"true\"/>");
    has(&w, "<p:ReturnValue>0</p:ReturnValue>");
    g_assert_null(strstr(w.reply, "INSTANCE"));
    g_autoptr(GError) err = NULL;
    g_autoptr(xmlDoc) doc = xml_parse(w.reply, strlen(w.reply), 1 << 20, &err);
    g_assert_no_error(err);
    g_assert_true(xml_is(xmlDocGetRootElement(doc), NULL, "Envelope"));
    invoke(&w, MANAGEMENT, "GetSummaryInformation", SINGLE, "<p:RequestedInformation>12</p:RequestedInformation>");
    has(&w, "<p:ReturnValue>32773</p:ReturnValue>");
    close_wire(&w);
}

/* libvirt names a guest in lower case, and a service by its class alone. */
static void
test_libvirt(void)
{
    struct wire w;
    char guid[UUID_TEXT];
    open_wire(&w);
    g_autofree char *guest = g_strdup_printf(SELECTOR("CreationClassName", "Msvm_ComputerSystem") SELECTOR("Name", "%s"),
                                             uuid_format_lower(&w.f.plain, guid));
    g_autofree char *upper = g_ascii_strup(guid, -1);
    invoke(&w, "Msvm_ComputerSystem", "RequestStateChange", guest, "<p:RequestedState>9</p:RequestedState>");
    has(&w, "<p:ReturnValue>0</p:ReturnValue>");
    g_assert_cmpint(fake_power(w.f.w.a.fake, &w.f.plain), ==, VM_PAUSED);
    invoke(&w, "Msvm_ComputerSystem", "RequestStateChange", guest, "<p:RequestedState>2</p:RequestedState>");
    has(&w, "<p:ReturnValue>0</p:ReturnValue>");
    invoke(&w, "Msvm_ComputerSystem", "RequestStateChange", guest, "<p:RequestedState>2</p:RequestedState>");
    has(&w, "<p:ReturnValue>32775</p:ReturnValue>");
    g_autofree char *button = g_strdup_printf(
        SELECTOR("CreationClassName", "&quot;Msvm_ShutdownComponent&quot;") SELECTOR("DeviceID", "&quot;Microsoft:%s\\Shutdown&quot;")
            SELECTOR("SystemCreationClassName", "&quot;Msvm_ComputerSystem&quot;") SELECTOR("SystemName", "&quot;%s&quot;"),
        upper, guid);
    invoke(&w, "Msvm_ShutdownComponent", "InitiateShutdown", button, "<p:Force>False</p:Force><p:Reason>Planned</p:Reason>");
    has(&w, "<p:ReturnValue>0</p:ReturnValue>");
    g_assert_cmpint(fake_power(w.f.w.a.fake, &w.f.plain), ==, VM_OFF);
    invoke(&w, "Msvm_ShutdownComponent", "InitiateShutdown", button, "<p:Force>False</p:Force><p:Reason>Planned</p:Reason>");
    has(&w, "Fault"); /* an off guest has no button */
    close_wire(&w);
}

/* Text with CIM-XML in it, as clients write it. */
static void
test_modify(void)
{
    struct wire w;
    char guid[UUID_TEXT];
    open_wire(&w);
    g_autofree char *settings = g_strdup_printf(
        "<p:SystemSettings>&lt;INSTANCE CLASSNAME=&quot;Msvm_VirtualSystemSettingData&quot;&gt;"
        "&lt;PROPERTY NAME=&quot;InstanceID&quot; TYPE=&quot;string&quot;&gt;&lt;VALUE&gt;Microsoft:%s&lt;/VALUE&gt;&lt;/PROPERTY&gt;"
        "&lt;PROPERTY NAME=&quot;AutomaticStartupAction&quot; TYPE=&quot;uint16&quot;&gt;&lt;VALUE&gt;4&lt;/VALUE&gt;&lt;/PROPERTY&gt;"
        "&lt;/INSTANCE&gt;</p:SystemSettings>",
        uuid_format(&w.f.plain, guid));
    invoke(&w, MANAGEMENT, "ModifySystemSettings", SINGLE, settings);
    has(&w, "<p:ReturnValue>0</p:ReturnValue>");
    g_autofree char *xml = fake_definition(w.f.w.a.fake, &w.f.plain);
    g_assert_nonnull(strstr(xml, "<autostart/>"));
    close_wire(&w);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    xml_init();
    g_test_add_func("/provider/wire/summary", test_summary);
    g_test_add_func("/provider/wire/libvirt", test_libvirt);
    g_test_add_func("/provider/wire/modify", test_modify);
    return g_test_run();
}
