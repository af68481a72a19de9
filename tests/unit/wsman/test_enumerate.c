/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "soap.h"

#include "base/clock.h"
#include "base/xml.h"
#include "wsman/enumctx.h"

#include <string.h>

/* Enumerate, Pull and Release beyond the rules that clients break on: DSP0226 section 8, DSP0227 section 9. */

static struct soap s;

#define COMPUTER WMI "Msvm_ComputerSystem"
#define OPEN "<p:Msvm_ComputerSystem "

static char *
enumerate(const char *header, const char *wish)
{
    g_autofree char *body = g_strdup_printf("<n:Enumerate>%s</n:Enumerate>", wish);
    soap_ask(&s, ACTION_ENUMERATE, COMPUTER, header, body);
    return soap_value(&s, "n:EnumerationContext");
}

static void
pull(const char *id, const char *header, const char *rest)
{
    g_autofree char *body = g_strdup_printf("<n:Pull><n:EnumerationContext>%s</n:EnumerationContext>%s</n:Pull>", id, rest);
    soap_ask(&s, ACTION_PULL, COMPUTER, header, body);
}

static void
pass_seconds(guint seconds)
{
    clock_shift_for_test(0, seconds * G_USEC_PER_SEC);
}

/* A context that nobody asks for again is forgotten, and pulling keeps it. */
static void
idle(void)
{
    g_autofree char *id = enumerate(NULL, ""), *other = enumerate(NULL, "");
    for (guint i = 0; i < 3; i++) {
        pass_seconds(ENUMCTX_IDLE_S - 10);
        pull(id, NULL, "");
        g_assert_cmpuint(soap_count(&s, OPEN), ==, 1);
    }
    pull(other, NULL, "");
    soap_fault(&s, "n:InvalidEnumerationContext", 2150858779u);
}

/* Expires: as long as asked for and no longer, whether it is used or not. */
static void
expires(void)
{
    g_autofree char *short_id = enumerate(NULL, "<n:Expires>PT30S</n:Expires>");
    soap_has(&s, "<n:EnumerateResponse><n:Expires>PT30S</n:Expires><n:EnumerationContext>uuid:");
    pass_seconds(20);
    pull(short_id, NULL, "");
    g_assert_cmpuint(s.reply.status, ==, 200);
    pass_seconds(20);
    pull(short_id, NULL, "");
    soap_fault(&s, "n:InvalidEnumerationContext", 2150858779u);
    g_autofree char *long_id = enumerate(NULL, "<n:Expires>P2DT1H</n:Expires>");
    soap_has(&s, "<n:Expires>PT600S</n:Expires>");
    pass_seconds(ENUMCTX_LONGEST_S - 5);
    pull(long_id, NULL, "");
    g_assert_cmpuint(s.reply.status, ==, 200);
    g_autofree char *when = clock_iso8601(clock_wall_us() + 65 * G_USEC_PER_SEC);
    g_autofree char *wish = g_strdup_printf("<n:Expires>%s</n:Expires>", when);
    g_free(enumerate(NULL, wish));
    const char *left = strstr(s.reply.body, "<n:Expires>PT");
    const gint64 seconds = left ? g_ascii_strtoll(left + strlen("<n:Expires>PT"), NULL, 10) : 0;
    g_assert_true(seconds > 30 && seconds < 100); /* by the wall clock, which goes on, or is set, meanwhile */
    static const char *const bad[] = {"soon", "", "PT0S", "-PT5S", "2001-01-01T00:00:00Z"};
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *text = g_strdup_printf("<n:Expires>%s</n:Expires>", bad[i]);
        g_free(enumerate(NULL, text));
        soap_fault(&s, "n:InvalidExpirationTime", 2150858774u);
    }
}

static void
pages(void)
{
    static const char *const bad[] = {"<n:MaxElements>0</n:MaxElements>",     "<n:MaxElements>-1</n:MaxElements>",
                                      "<n:MaxElements>many</n:MaxElements>",  "<n:MaxElements></n:MaxElements>",
                                      "<n:MaxCharacters>0</n:MaxCharacters>", "<n:MaxCharacters>x</n:MaxCharacters>"};
    const char *estimate = "<w:RequestTotalItemsCountEstimate/>";
    g_autofree char *id = enumerate(NULL, "");
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        pull(id, NULL, bad[i]);
        soap_fault(&s, "w:InvalidParameter", 2150858810u);
    }
    pull(id, NULL, "<n:MaxTime>soon</n:MaxTime>");
    soap_fault(&s, "a:InvalidMessageInformationHeader", 2150858881u);
    /* None of the refused ones has cost the context. */
    pull(id, estimate, "<n:MaxTime>PT5S</n:MaxTime><n:MaxElements>2</n:MaxElements>");
    g_assert_cmpuint(soap_count(&s, OPEN), ==, 2);
    soap_has(&s, "<w:TotalItemsCountEstimate>4</w:TotalItemsCountEstimate></s:Header>");
    const char *first = strstr(s.reply.body, OPEN);
    guint length = (guint)(strstr(first + 1, OPEN) - first);
    g_autofree char *room = g_strdup_printf("<n:MaxElements>9</n:MaxElements><n:MaxCharacters>%u</n:MaxCharacters>", length + length / 2);
    pull(id, NULL, "<n:MaxElements>9</n:MaxElements><n:MaxCharacters>10</n:MaxCharacters>");
    soap_fault(&s, "w:EncodingLimit", 2150858824u);
    pull(id, NULL, room);
    g_assert_cmpuint(soap_count(&s, OPEN), ==, 1);
    pull(id, NULL, "<n:MaxElements>18446744073709551615</n:MaxElements><n:MaxCharacters>1000000</n:MaxCharacters>");
    g_assert_cmpuint(soap_count(&s, OPEN), ==, 1);
    soap_has(&s, "<n:EndOfSequence/>");
    pull("uuid:nobody", NULL, "");
    soap_fault(&s, "n:InvalidEnumerationContext", 2150858779u);
    soap_ask(&s, ACTION_PULL, COMPUTER, NULL, "<n:Pull/>");
    soap_fault(&s, "n:InvalidEnumerationContext", 2150858779u);
    soap_ask(&s, ACTION_PULL, COMPUTER, NULL, NULL);
    soap_fault(&s, "w:SchemaValidationError", 2150858817u);
}

/* One Pull at a time; Release twice; the wrong user. */
static void
release(void)
{
    g_autofree char *id = enumerate(NULL, ""), *body = g_strdup_printf("<n:Release><n:EnumerationContext> %s </n:EnumerationContext>"
                                                                       "</n:Release>",
                                                                       id);
    s.caller.user = "other";
    soap_ask(&s, ACTION_RELEASE, COMPUTER, NULL, body);
    soap_fault(&s, "n:InvalidEnumerationContext", 2150858779u);
    s.caller.user = "root";
    soap_ask(&s, ACTION_RELEASE, COMPUTER, NULL, body);
    g_assert_cmpuint(s.reply.status, ==, 200);
    soap_ask(&s, ACTION_RELEASE, COMPUTER, NULL, body);
    soap_fault(&s, "n:InvalidEnumerationContext", 2150858779u);
    soap_ask(&s, ACTION_RENEW, COMPUTER, NULL, body);
    soap_fault(&s, "a:ActionNotSupported", 2150858771u);
}

/* Enough is enough, but only for who has it. */
static void
quota(void)
{
    pass_seconds(ENUMCTX_LONGEST_S + ENUMCTX_IDLE_S);
    for (guint i = 0; i < ENUMCTX_PER_USER; i++) {
        g_free(enumerate(NULL, ""));
        g_assert_cmpuint(s.reply.status, ==, 200);
    }
    g_free(enumerate(NULL, ""));
    soap_fault(&s, "w:QuotaLimit", 2150858815u);
    s.caller.user = "other";
    g_free(enumerate(NULL, ""));
    g_assert_cmpuint(s.reply.status, ==, 200);
    s.caller.user = "root";
    /* What fits into one reply needs none. */
    g_free(enumerate(NULL, "<w:OptimizeEnumeration/><w:MaxElements>9</w:MaxElements>"));
    g_assert_cmpuint(soap_count(&s, OPEN), ==, 4);
    pass_seconds(ENUMCTX_IDLE_S + 1);
    g_free(enumerate(NULL, ""));
    g_assert_cmpuint(s.reply.status, ==, 200);
}

static guint
count_of(const char *cls, const char *mode)
{
    g_autofree char *uri = g_strconcat(WMI, cls, NULL), *open = g_strdup("<p:Msvm_ConcreteJob ");
    g_autofree char *named = g_strdup_printf("<p:%s ", cls);
    g_autofree char *body = g_strdup_printf("<n:Enumerate><w:OptimizeEnumeration/><w:MaxElements>9</w:MaxElements><b:PolymorphismMode>%s"
                                            "</b:PolymorphismMode></n:Enumerate>",
                                            mode);
    soap_ask(&s, ACTION_ENUMERATE, uri, NULL, body);
    g_assert_cmpuint(s.reply.status, ==, 200);
    return g_str_equal(mode, "IncludeSubClassProperties") ? soap_count(&s, open) : soap_count(&s, named);
}

static void
polymorphism(void)
{
    g_autofree char *selectors = soap_selectors("Name", WEB, NULL);
    soap_ask(&s, COMPUTER "/RequestStateChange", COMPUTER, selectors,
             "<p:RequestStateChange_INPUT xmlns:p=\"x\"><p:RequestedState>2</p:RequestedState></p:RequestStateChange_INPUT>");
    soap_has(&s, "<p:ReturnValue>4096</p:ReturnValue>");
    g_assert_cmpuint(count_of("CIM_ConcreteJob", "IncludeSubClassProperties"), ==, 1);
    g_assert_cmpuint(count_of("CIM_ConcreteJob", "ExcludeSubClassProperties"), ==, 1);
    g_assert_cmpuint(count_of("CIM_ConcreteJob", "None"), ==, 0);
    g_assert_cmpuint(count_of("Msvm_ConcreteJob", "None"), ==, 1);
}

static guint
associated(const char *kind, const char *restrictions, const char *what)
{
    g_autofree char *body =
        g_strdup_printf("<n:Enumerate><w:OptimizeEnumeration/><w:MaxElements>9</w:MaxElements><w:Filter Dialect=\"" DIALECT_ASSOCIATION
                        "\"><b:%s><b:Object>"
                        "<a:Address>x</a:Address><a:ReferenceParameters><w:ResourceURI>" COMPUTER
                        "</w:ResourceURI><w:SelectorSet><w:Selector Name=\"Name\">" WEB
                        "</w:Selector></w:SelectorSet></a:ReferenceParameters></b:Object>%s</b:%s></w:Filter></n:Enumerate>",
                        kind, restrictions, kind);
    soap_ask(&s, ACTION_ENUMERATE, WMI "*", NULL, body);
    return soap_count(&s, what);
}

#define RESULT(cls) "<b:ResultClassName>" cls "</b:ResultClassName>"

static void
associations(void)
{
    const char *points = "<p:Msvm_VirtualSystemSettingData ", *snapshots = "<p:Msvm_SnapshotOfVirtualSystem ";
    g_assert_cmpuint(associated("AssociatedInstances", "", "<p:Msvm_Repl"), ==, 2);
    g_assert_cmpuint(associated("AssociatedInstances",
                                "<b:AssociationClassName/><b:Role/><b:ResultClassName> </b:ResultClassName>"
                                "<b:ResultRole></b:ResultRole>",
                                points),
                     ==, 3);
    g_assert_cmpuint(associated("AssociatedInstances", RESULT("Msvm_VirtualSystemSettingData"), points), ==, 3);
    g_assert_cmpuint(
        associated("AssociatedInstances", "<b:AssociationClassName>Msvm_SnapshotOfVirtualSystem</b:AssociationClassName>", points), ==, 3);
    g_assert_cmpuint(
        associated("AssociatedInstances",
                   "<b:Role>Antecedent</b:Role>" RESULT("msvm_virtualsystemsettingdata") "<b:ResultRole>dependent</b:ResultRole>", points),
        ==, 3);
    g_assert_cmpuint(associated("AssociatedInstances", "<b:Role>Dependent</b:Role>" RESULT("Msvm_VirtualSystemSettingData"), points), ==,
                     0);
    g_assert_cmpuint(associated("AssociationInstances", RESULT("Msvm_SnapshotOfVirtualSystem"), snapshots), ==, 3);
    g_assert_cmpuint(associated("AssociationInstances", "<b:Role>Dependent</b:Role>", snapshots), ==, 0);
    g_assert_cmpuint(associated("AssociatedInstances",
                                RESULT("Msvm_VirtualSystemSettingData") "<b:IncludeResultProperty>InstanceID</b:IncludeResultProperty>"
                                                                        "<b:IncludeResultProperty>elementname</b:IncludeResultProperty>",
                                points),
                     ==, 3);
    soap_has(&s, "<p:ElementName>");
    soap_has(&s, "<p:InstanceID>");
    soap_lacks(&s, "<p:CreationTime>");
    associated("AssociatedInstances", RESULT("Msvm_None"), points);
    soap_fault(&s, "a:DestinationUnreachable", 2150858770u);
    associated("Others", "", points);
    soap_fault(&s, "n:CannotProcessFilter", 2150858778u);
}

/* Reads that take longer than the client waits; a method says what it did, however late. */
static void
operation_timeout(void)
{
    static const char *const limits[] = {"PT30.0S", "PT1M", "PT1M0.5S", "P0DT1H"};
    const char *enumerate_all = "<n:Enumerate><w:OptimizeEnumeration/></n:Enumerate>";
    for (gsize i = 0; i < G_N_ELEMENTS(limits); i++) {
        g_autofree char *header = g_strdup_printf("<w:OperationTimeout>%s</w:OperationTimeout>", limits[i]);
        bool late = i < 2;
        fake_slow(s.fake, 60100 * 1000);
        soap_ask(&s, ACTION_GET, WMI "Msvm_ReplicationService", header, NULL);
        g_assert_cmpuint(s.reply.status, ==, late ? 500 : 200);
        soap_ask(&s, ACTION_ENUMERATE, WMI "Msvm_ReplicationService", header, enumerate_all);
        g_assert_cmpuint(s.reply.status, ==, late ? 500 : 200);
        if (late)
            soap_fault(&s, "w:TimedOut", 2150858793u);
        if (late)
            soap_has(&s, "<s:Value>s:Receiver</s:Value>");
        soap_ask(&s, WMI "Msvm_ReplicationService/InitiateFailover", WMI "Msvm_ReplicationService", header, NULL);
        soap_has(&s, "<p:ReturnValue>32773</p:ReturnValue>");
        fake_slow(s.fake, 0);
        soap_ask(&s, ACTION_GET, WMI "Msvm_ReplicationService", header, NULL);
        g_assert_cmpuint(s.reply.status, ==, 200);
    }
}

/* What two readers could understand differently. */
static void
twice(void)
{
    soap_ask(&s, ACTION_GET, COMPUTER, "<w:ResourceURI>" WMI "Msvm_ReplicationService</w:ResourceURI>", NULL);
    soap_fault(&s, "a:InvalidMessageInformationHeader", 2150858767u);
    soap_ask(&s, ACTION_GET, WMI "Msvm_ReplicationService", "<a:Action>" ACTION_DELETE "</a:Action>", NULL);
    soap_fault(&s, "a:InvalidMessageInformationHeader", 2150858767u);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    xml_init();
    soap_open(&s);
    g_test_add_func("/wsman/enumerate/idle", idle);
    g_test_add_func("/wsman/enumerate/expires", expires);
    g_test_add_func("/wsman/enumerate/pages", pages);
    g_test_add_func("/wsman/enumerate/release", release);
    g_test_add_func("/wsman/enumerate/quota", quota);
    g_test_add_func("/wsman/enumerate/polymorphism", polymorphism);
    g_test_add_func("/wsman/enumerate/associations", associations);
    g_test_add_func("/wsman/operation-timeout", operation_timeout);
    g_test_add_func("/wsman/enumerate/twice", twice);
    int result = g_test_run();
    soap_close(&s);
    return result;
}
