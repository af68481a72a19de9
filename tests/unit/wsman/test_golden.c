/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "door.h"

#include "base/clean.h"
#include "base/file.h"
#include "base/xml.h"

#include <string.h>
#include <sys/socket.h>

/* Requests in the very form in which clients send them (golden/, byte for byte HTTP), and the replies as these clients read them: by
 * literal prefixes, in document order, without anything they cannot skip.  Those of openwsman come without credentials first, as it does,
 * and once more, unchanged, after the 401. */

static struct door door;

#define CONTEXT "uuid:00000000-0000-0000-0000-000000000000"
#define JOB "@JOB_______________________________@"
#define ITEM_WMI(cls) "<p:" cls " xmlns:p=\"" URI_WMI "root/virtualization/v2/" cls "\""
#define ITEM_DMTF(cls) "<p:" cls " xmlns:p=\"" URI_DMTF cls "\""
#define SELECTOR(name, value) "<w:Selector Name=\"" name "\">" value "</w:Selector>"
#define NAMESPACE SELECTOR("__cimnamespace", "root/virtualization/v2")
#define WEB_KEYS SELECTOR("CreationClassName", "Msvm_ComputerSystem") SELECTOR("Name", WEB)

struct row {
    const char *request;
    guint status;
    const char *has[6];
    const char *lacks[3];
    const char *cls;  /* instances of the reply must be complete ones of this class; the first class of mixed replies */
    guint items;      /* in this reply */
    const char *pull; /* continue with this until the end, one item each */
    guint total;
};

static const struct row rows[] = {
    {"wsman-identify", 200, {"<wsmid:IdentifyResponse xmlns:wsmid=\"" NS_IDENTITY "\">", "<wsmid:ProtocolVersion>" PROTOCOL "</wsmid:"}},
    {"wsman-get",
     200,
     {"<a:Action>" ACTION_GET "Response</a:Action>", "<s:Body>" ITEM_WMI("Msvm_ReplicationService"), "<p:Name>replicasvc</p:Name>",
      "<p:Started>true</p:Started>", "xsi:type=\"p:Msvm_ReplicationService_Type\""},
     {"<p:StatusDescriptions"},
     "Msvm_ReplicationService",
     1},
    {"wsman-enum", 200, {"<n:EnumerateResponse><n:EnumerationContext>uuid:"}, {"Items"}, "Msvm_ComputerSystem", 0, "wsman-enum-pull", 4},
    {"wsman-enum-epr",
     200,
     {"<n:EnumerationContext/><w:Items><a:EndpointReference><a:Address>" ANONYMOUS "</a:Address><a:ReferenceParameters><w:ResourceURI>",
      WEB_KEYS, "</w:Items><w:EndOfSequence/></n:EnumerateResponse>"},
     {"<p:", "<w:Item>"}},
    {"wsman-enum-object-epr", 200, {"EnumerationContext"}, {"Items"}, "Msvm_ComputerSystem", 0, "wsman-enum-pull", 4},
    {"wsman-enum-optimized",
     200,
     {"<w:TotalItemsCountEstimate>4</w:TotalItemsCountEstimate></s:Header>",
      "<n:EnumerationContext/><w:Items>" ITEM_WMI("Msvm_ComputerSystem"), "</w:Items><w:EndOfSequence/>"},
     {"<n:EnumerationContext>uuid:", "<n:Items"},
     "Msvm_ComputerSystem",
     4},
    {"wsman-enum-optimized-one",
     200,
     {"<n:EnumerationContext>uuid:"},
     {"EndOfSequence"},
     "Msvm_ComputerSystem",
     1,
     "wsman-enum-optimized-pull",
     4},
    {"wsman-namespace", 200, {"EnumerationContext>uuid:"}, {"Items"}, "Msvm_ComputerSystem", 0, "wsman-namespace-pull", 4},
    {"wsman-wql", 200, {"EnumerationContext>uuid:"}, {"Items"}, "Msvm_ComputerSystem", 0, "wsman-wql-pull", 1},
    {"wsman-associators", 200, {"EnumerationContext>uuid:"}, {"Items"}, NULL, 0, "wsman-any-pull", 5},
    {"wsman-references", 200, {"EnumerationContext>uuid:"}, {"Items"}, NULL, 0, "wsman-any-pull", 5},
    {"wsman-invoke",
     200,
     {"<a:Action>" WMI "Msvm_ReplicationService/InitiateFailoverResponse</a:Action>",
      "<s:Body><p:InitiateFailover_OUTPUT xmlns:p=\"" WMI "Msvm_ReplicationService\"", "<p:ReturnValue>32773</p:ReturnValue>"}},
    {"wsman-invoke-file",
     200,
     {"<p:ReturnValue>4096</p:ReturnValue></p:InitiateFailover_OUTPUT></s:Body>",
      "<p:Job><a:Address>" ANONYMOUS "</a:Address><a:ReferenceParameters><w:ResourceURI>" WMI "Msvm_ConcreteJob</w:ResourceURI>"
      "<w:SelectorSet><w:Selector Name=\"InstanceID\">"},
     {"EndpointReference"}},
    {"libvirt-job", 200, {"EnumerationContext>uuid:"}, {"Items"}, "Msvm_ConcreteJob", 0, "libvirt-job-pull", 1},
    {"wsman-put-get", 200, {"<s:Body>" ITEM_WMI("Msvm_ReplicationServiceSettingData")}, {NULL}, "Msvm_ReplicationServiceSettingData", 1},
    {"wsman-put", 500, {"<s:Subcode><s:Value>w:UnsupportedFeature</s:Value></s:Subcode>", "Code=\"2150858818\""}},
    {"wsman-delete", 500, {"<s:Value>w:UnsupportedFeature</s:Value>", "Code=\"2150858818\""}},
    {"wsman-delete-unknown", 500, {"<s:Value>a:DestinationUnreachable</s:Value>", "There is no class 'Msvm_Unheard'"}},
    {"wsman-fragment", 500, {"<s:Value>w:UnsupportedFeature</s:Value>", "faultDetail/FragmentLevelAccess</w:FaultDetail>"}},
    {"wsman-subscribe", 500, {"<s:Fault><s:Code><s:Value>s:Sender</s:Value>"}}, /* to changes of what is no event class */
    {"wsman-release", 500, {"<s:Value>n:InvalidEnumerationContext</s:Value>", "<s:Value>s:Receiver</s:Value>"}},
    {"libvirt-list", 200, {"EnumerationContext>uuid:"}, {"Items"}, "Msvm_ComputerSystem", 0, "libvirt-list-pull", 2},
    {"libvirt-epr", 200, {"EnumerationContext>uuid:"}, {"Items"}, NULL, 0, "libvirt-epr-pull", 1},
    {"libvirt-start",
     200,
     {"<s:Body><p:RequestStateChange_OUTPUT ", "<p:ReturnValue>4096</p:ReturnValue>", "<w:Selector Name=\"InstanceID\">"}},
    {"libvirt-bad-query",
     500,
     {"<s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>n:CannotProcessFilter</s:Value></s:Subcode></s:Code>"
      "<s:Reason><s:Text xml:lang=\"en-US\">The query is wrong at position "}},
    {"mi-enumerate",
     200,
     {"<n:EnumerationContext/><w:Items>" ITEM_DMTF("Msvm_ComputerSystem"), "</w:Items><w:EndOfSequence/>"},
     {URI_WMI},
     "Msvm_ComputerSystem",
     4},
    {"mi-identify", 500, {"<s:Value>a:DestinationUnreachable</s:Value>", "There is no namespace 'root/omi'"}},
    {"mi-wql", 200, {"<w:Items>" ITEM_WMI("Msvm_ComputerSystem")}, {NULL}, "Msvm_ComputerSystem", 4},
    {"mi-get", 200, {"<s:Body>" ITEM_DMTF("Msvm_ReplicationService")}, {URI_WMI}, "Msvm_ReplicationService", 1},
    {"mi-create", 500, {"<s:Value>w:UnsupportedFeature</s:Value>"}},
    {"mi-modify", 500, {"<s:Value>w:UnsupportedFeature</s:Value>"}},
    {"mi-delete", 500, {"<s:Value>w:UnsupportedFeature</s:Value>"}},
    {"mi-invoke",
     200,
     {"<a:Action>" URI_DMTF "Msvm_ReplicationService/InitiateFailoverResponse</a:Action>", "<p:ReturnValue>4096</p:ReturnValue>",
      "<p:Job><a:Address>", "<w:ResourceURI>" URI_DMTF "Msvm_ConcreteJob</w:ResourceURI><w:SelectorSet>" NAMESPACE},
     {URI_WMI}},
    {"mi-ps-instance",
     200,
     {"<w:Items><w:Item>" ITEM_DMTF("Msvm_ComputerSystem"), "</p:Msvm_ComputerSystem><a:EndpointReference>", NAMESPACE WEB_KEYS,
      "</a:EndpointReference></w:Item></w:Items><w:EndOfSequence/>"},
     {URI_WMI},
     "Msvm_ComputerSystem",
     4},
    {"mi-ps-associated",
     200,
     {"<w:Item>" ITEM_DMTF("Msvm_ReplicationRelationship"), "</p:Msvm_ReplicationRelationship><a:EndpointReference>"},
     {URI_WMI},
     "Msvm_ReplicationRelationship",
     1},
    {"mi-ps-class",
     200,
     {"<s:Body><CLASS NAME=\"Msvm_ReplicationService\" SUPERCLASS=\"CIM_Service\" DERIVATION=\"CIM_Service,CIM_EnabledLogicalElement,",
      "<PROPERTY NAME=\"SystemName\" TYPE=\"string\"><QUALIFIER NAME=\"Key\" TYPE=\"boolean\"><VALUE>true</VALUE></QUALIFIER>",
      "<PROPERTY.ARRAY NAME=\"OperationalStatus\" TYPE=\"uint16\">", "<METHOD NAME=\"InitiateFailover\" TYPE=\"uint32\">",
      "<PARAMETER.REFERENCE NAME=\"ComputerSystem\" REFERENCECLASS=\"CIM_ComputerSystem\"><QUALIFIER NAME=\"In\"",
      "<PARAMETER.REFERENCE NAME=\"Job\" REFERENCECLASS=\"CIM_ConcreteJob\"><QUALIFIER NAME=\"Out\""}},
    {"pywinrm-get", 200, {"<a:RelatesTo>uuid:1</a:RelatesTo>", "<p:Name>replicasvc</p:Name>"}, {NULL}, "Msvm_ReplicationService", 1},
    {"pywinrm-shell", 500, {"<s:Value>a:DestinationUnreachable</s:Value>", "<f:WSManFault xmlns:f=\"" NS_FAULT "\" Code=\"2150858811\""}},
};

/* --- sending ------------------------------------------------------------------------------------------------------------------------ */

struct talk {
    int fd;
    guint status;
    char *head, *reply;
    gsize len;
    char *context, *job; /* of the replies so far */
};

static void
keep(char **slot, const char *reply, const char *before, gsize len)
{
    const char *at = strstr(reply, before);
    if (!at)
        return;
    g_free(*slot);
    *slot = g_strndup(at + strlen(before), len);
}

static void
replace(char *text, gsize len, const char *from, const char *to)
{
    char *at = memmem(text, len, from, strlen(from));
    if (!at)
        return;
    g_assert_nonnull(to);
    g_assert_cmpuint(strlen(from), ==, strlen(to));
    memcpy(at, to, strlen(to));
}

static void
send_all(struct talk *t, const char *text, gsize len)
{
    g_assert_cmpint(send(t->fd, text, len, MSG_NOSIGNAL), ==, (gssize)len);
    g_clear_pointer(&t->head, g_free);
    g_clear_pointer(&t->reply, g_free);
    t->status = door_read(t->fd, &t->head, &t->reply, &t->len);
}

/* openwsman asks without credentials first and repeats itself when told what is wanted, on the same connection. */
static void
send_anonymous(struct talk *t, const char *text, gsize len)
{
    static const char line[] = "POST /wsman HTTP/1.1\r\n", credentials[] = "Authorization: Basic Ym9zczpwYXNzOndvcmQ=\r\n";
    send_all(t, text, len);
    g_assert_cmpuint(t->status, ==, 401);
    g_assert_cmpuint(t->len, ==, 0);
    g_assert_nonnull(strstr(t->head, "\r\nWWW-Authenticate: Basic realm=\"WSMAN\""));
    g_assert_null(strcasestr(t->head, "connection: close"));
    g_autoptr(GString) again = g_string_new(NULL);
    g_assert_true(g_str_has_prefix(text, line));
    g_string_append(again, line);
    g_string_append(again, credentials);
    g_string_append_len(again, text + strlen(line), (gssize)(len - strlen(line)));
    send_all(t, again->str, again->len);
}

static void
ask(struct talk *t, const char *request)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *name = g_strconcat(request, ".http", NULL), *path = g_test_build_filename(G_TEST_DIST, "golden", name, NULL);
    g_autofree char *text = NULL;
    gsize len;
    file_read_all(path, 1 << 20, &text, &len, &err);
    g_assert_no_error(err);
    if (memmem(text, len, CONTEXT, strlen(CONTEXT)))
        replace(text, len, CONTEXT, t->context ? t->context : CONTEXT);
    replace(text, len, JOB, t->job);
    if (memmem(text, len, "\r\nAuthorization: ", 17))
        send_all(t, text, len);
    else
        send_anonymous(t, text, len);
    g_assert_cmpuint(t->status, !=, 0);
    g_clear_pointer(&t->context, g_free);
    keep(&t->context, t->reply, "<n:EnumerationContext>", strlen(CONTEXT));
    keep(&t->job, t->reply, "<w:Selector Name=\"InstanceID\">", strlen(JOB));
}

/* --- reading ------------------------------------------------------------------------------------------------------------------------ */

static guint
count(const char *text, const char *what)
{
    guint n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

static guint
count_items(const char *reply, const char *cls)
{
    g_autofree char *open = g_strdup_printf("<p:%s ", cls);
    return count(reply, open);
}

/* Every scalar is there, null or not, in the order of names; no property twice unless it is an array. */
static void
check_complete(const char *reply, const char *cls)
{
    const struct cim_class *c = cim_class_find(NULL, cls);
    g_autofree char *open = g_strdup_printf("<p:%s ", cls), *close = g_strdup_printf("</p:%s>", cls);
    for (const char *from = strstr(reply, open); from; from = strstr(from + 1, open)) {
        g_autofree char *item = g_strndup(from, (gsize)(strstr(from, close) - from));
        const char *at = item;
        for (guint i = 0; i < c->property_count; i++) {
            const struct cim_property *p = &c->properties[i];
            g_autofree char *full = g_strdup_printf("<p:%s>", p->name), *nil = g_strdup_printf("<p:%s xsi:nil=\"true\"/>", p->name);
            const char *here = strstr(at, full);
            here = here ? here : strstr(at, nil);
            if (!p->array)
                g_assert_nonnull(here);
            g_assert_cmpuint(p->array ? 0 : count(item, full) + count(item, nil), ==, p->array ? 0 : 1);
            at = here ? here : at;
        }
    }
}

/* What is true of every reply to every client. */
static void
check_envelope(const struct talk *t)
{
    g_autoptr(xmlDoc) doc = xml_parse(t->reply, t->len, 16 << 20, NULL);
    g_assert_nonnull(doc);
    g_assert_true(g_str_has_prefix(t->reply, "<s:Envelope xml:lang=\"en-US\" xmlns:s=\"" NS_SOAP "\""));
    g_assert_nonnull(strstr(t->head, "\r\nContent-Type: application/soap+xml;charset=UTF-8\r\n"));
    g_assert_null(strcasestr(t->head, "transfer-encoding"));
    g_assert_null(strstr(t->reply, "TRUE"));
    if (t->status != 200)
        g_assert_nonnull(strstr(t->reply, "<s:Body><s:Fault><s:Code><s:Value>s:"));
    if (strstr(t->reply, "<a:Action>"))
        g_assert_cmpuint(count(t->reply, "<a:RelatesTo>uuid:"), ==, 1);
}

static void
pull_to_end(struct talk *t, const struct row *row)
{
    guint total = row->items;
    while (t->context) {
        ask(t, row->pull);
        check_envelope(t);
        g_assert_cmpuint(t->status, ==, 200);
        g_assert_cmpuint(count(t->reply, "<n:Items>"), ==, 1);
        g_assert_true(!t->context == !!strstr(t->reply, "</n:Items><n:EndOfSequence/></n:PullResponse>"));
        guint items = row->cls ? count_items(t->reply, row->cls) : count(t->reply, "<n:Items><");
        g_assert_cmpuint(items, ==, 1);
        if (row->cls)
            check_complete(t->reply, row->cls);
        total += items;
    }
    g_assert_cmpuint(total, ==, row->total);
}

static void
check_row(struct talk *t, const struct row *row)
{
    g_test_message("%s", row->request);
    ask(t, row->request);
    check_envelope(t);
    for (guint i = 0; i < G_N_ELEMENTS(row->has) && row->has[i]; i++) {
        if (!strstr(t->reply, row->has[i]))
            g_test_message("'%s' is missing in: %s", row->has[i], t->reply);
        g_assert_nonnull(strstr(t->reply, row->has[i]));
    }
    for (guint i = 0; i < G_N_ELEMENTS(row->lacks) && row->lacks[i]; i++)
        g_assert_null(strstr(t->reply, row->lacks[i]));
    g_assert_cmpuint(t->status, ==, row->status);
    g_assert_cmpuint(row->cls ? count_items(t->reply, row->cls) : 0, ==, row->items);
    if (row->cls)
        check_complete(t->reply, row->cls);
    if (row->pull)
        pull_to_end(t, row);
}

static void
clear_talk(struct talk *t)
{
    g_free(t->head);
    g_free(t->reply);
    g_free(t->context);
    g_free(t->job);
}

/* All on one connection, one after the other: it stays usable whatever was asked. */
static void
requests(void)
{
    auto_fd fd = door_connect(&door);
    struct talk t = {.fd = fd};
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        check_row(&t, &rows[i]);
    clear_talk(&t);
}

/* openwsman with -j utf-16 reads no UTF-8. */
static void
utf16(void)
{
    auto_fd fd = door_connect(&door);
    struct talk t = {.fd = fd};
    ask(&t, "wsman-identify-utf16");
    g_assert_cmpuint(t.status, ==, 200);
    g_assert_nonnull(strstr(t.head, "\r\nContent-Type: application/soap+xml;charset=UTF-16\r\n"));
    g_autofree char *text = g_convert(t.reply, (gssize)t.len, "UTF-8", "UTF-16", NULL, NULL, NULL);
    g_assert_nonnull(strstr(text, "<wsmid:IdentifyResponse "));
    clear_talk(&t);
}

/* A file that no row sends proves nothing. */
static void
all_used(void)
{
    g_autofree char *folder = g_test_build_filename(G_TEST_DIST, "golden", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    guint unused = 0;
    for (const char *file; (file = g_dir_read_name(dir));) {
        g_autofree char *name = g_strndup(file, strlen(file) - strlen(".http"));
        bool used = g_str_equal(name, "wsman-identify-utf16");
        for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
            used |= g_str_equal(rows[i].request, name) || g_strcmp0(rows[i].pull, name) == 0;
        if (!used)
            g_test_message("golden/%s is used by nobody", file);
        unused += !used;
    }
    g_assert_cmpuint(unused, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    xml_init();
    door_open(&door);
    g_test_add_func("/wsman/golden/requests", requests);
    g_test_add_func("/wsman/golden/utf16", utf16);
    g_test_add_func("/wsman/golden/all-used", all_used);
    int result = g_test_run();
    door_close(&door);
    return result;
}
