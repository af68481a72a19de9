/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "soap.h"

#include "wsman/subscription.h"

#include <string.h>

/* Events with pull delivery, as Register-CimIndicationEvent asks for them. */

#define JOBS "SELECT * FROM __InstanceCreationEvent WITHIN 3600 WHERE TargetInstance ISA 'Msvm_ConcreteJob'"
#define PULL_MODE "http://schemas.dmtf.org/wbem/wsman/1/wsman/Pull"
#define PUSH_MODE NS_EVENT "/DeliveryModes/Push"
#define SHORT "<w:OperationTimeout>PT0.05S</w:OperationTimeout>"

struct stage {
    struct soap s;
    struct cim_watch *watch;
};

static void
open_stage(struct stage *t)
{
    soap_open(&t->s);
    t->watch = cim_watch_new(fake_broker(t->s.fake));
    wsman_endpoint_offer_events(t->s.endpoint, t->watch);
}

/* As soap_close, with the watch between the endpoint and the broker. */
static void
close_stage(struct stage *t)
{
    g_free(t->s.reply.body);
    wsman_endpoint_free(t->s.endpoint);
    cim_watch_free(t->watch);
    fake_free(t->s.fake);
}

static void
subscribe(struct stage *t, const char *mode, const char *expires, const char *query)
{
    g_autofree char *escaped = g_markup_escape_text(query, -1);
    g_autofree char *body = g_strdup_printf(
        "<e:Subscribe xmlns:e=\"" NS_EVENT "\"><e:Delivery Mode=\"%s\"/>%s<w:Filter Dialect=\"" DIALECT_WQL
        "\">%s</w:Filter></e:Subscribe>",
        mode, expires, escaped);
    soap_ask(&t->s, ACTION_SUBSCRIBE, WMI "*", NULL, body);
}

static char *
subscribed(struct stage *t, const char *query)
{
    subscribe(t, PULL_MODE, "", query);
    char *id = soap_value(&t->s, "n:EnumerationContext");
    g_assert_nonnull(id);
    return id;
}

static void
pull(struct stage *t, const char *id, const char *header, guint count)
{
    g_autofree char *body = g_strdup_printf(
        "<n:Pull><n:EnumerationContext>%s</n:EnumerationContext><n:MaxElements>%u</n:MaxElements></n:Pull>", id, count);
    soap_ask(&t->s, ACTION_PULL, WMI "*", header, body);
}

static void
with_identifier(struct stage *t, const char *action, const char *id, const char *body)
{
    g_autofree char *header = g_strdup_printf("<e:Identifier xmlns:e=\"" NS_EVENT "\">%s</e:Identifier>", id);
    soap_ask(&t->s, action, WMI "*", header, body);
}

/* A job begins. */
static void
fail_over(struct stage *t)
{
    static const char uri[] = WMI "Msvm_ReplicationService";
    g_autofree char *body = g_strdup_printf(
        "<p:InitiateFailover_INPUT xmlns:p=\"%s\"><p:ComputerSystem><a:Address>" ANONYMOUS "</a:Address><a:ReferenceParameters>"
        "<w:ResourceURI>" WMI "Msvm_ComputerSystem</w:ResourceURI>"
        "<w:SelectorSet><w:Selector Name=\"CreationClassName\">Msvm_ComputerSystem</w:Selector><w:Selector Name=\"Name\">" WEB
        "</w:Selector></w:SelectorSet></a:ReferenceParameters></p:ComputerSystem></p:InitiateFailover_INPUT>",
        uri);
    soap_ask(&t->s, WMI "Msvm_ReplicationService/InitiateFailover", uri, NULL, body);
    soap_has(&t->s, "4096");
    cim_watch_poke(t->watch);
}

static void
test_creation(void)
{
    struct stage t;
    open_stage(&t);
    subscribe(&t, PULL_MODE, "<e:Expires>PT90S</e:Expires>", JOBS);
    soap_has(&t.s, "<e:Expires>PT90S</e:Expires>");
    soap_has(&t.s, "<e:SubscriptionManager>");
    g_autofree char *id = soap_value(&t.s, "n:EnumerationContext"), *same = soap_value(&t.s, "e:Identifier");
    g_assert_cmpstr(id, ==, same);
    fail_over(&t);
    pull(&t, id, NULL, 10);
    soap_has(&t.s, "<p:__InstanceCreationEvent xmlns:p=\"" WMI "__InstanceCreationEvent\"");
    soap_has(&t.s, "<p:TargetInstance");
    soap_has(&t.s, "Msvm_ConcreteJob_Type\"");
    soap_lacks(&t.s, "PreviousInstance");
    soap_has(&t.s, "<p:TIME_CREATED>");
    pull(&t, id, SHORT, 1);
    soap_fault(&t.s, "w:TimedOut", 2150858793u);
    close_stage(&t);
}

static void
test_modification(void)
{
    struct stage t;
    open_stage(&t);
    fail_over(&t);
    g_autofree char *id = subscribed(&t,
        "SELECT * FROM CIM_InstModification WHERE SourceInstance ISA 'CIM_ConcreteJob' AND SourceInstance.PercentComplete = 100");
    cim_watch_poke(t.watch); /* the fake's jobs end when they are looked at again */
    pull(&t, id, NULL, 10);
    soap_has(&t.s, "<p:CIM_InstModification ");
    soap_has(&t.s, "<p:PreviousInstance");
    soap_has(&t.s, "<p:SourceInstance");
    soap_has(&t.s, "<p:IndicationTime>");
    close_stage(&t);
}

static void
test_end(void)
{
    struct stage t;
    open_stage(&t);
    g_autofree char *id = subscribed(&t, JOBS);
    t.s.caller.user = "somebody-else";
    pull(&t, id, SHORT, 1);
    soap_fault(&t.s, "n:InvalidEnumerationContext", 2150858779u);
    with_identifier(&t, ACTION_UNSUBSCRIBE, id, NULL);
    soap_fault(&t.s, "n:InvalidEnumerationContext", 2150858779u);
    t.s.caller.user = "root";
    with_identifier(&t, ACTION_RENEW_EVENT, id, "<e:Renew xmlns:e=\"" NS_EVENT "\"><e:Expires>PT5M</e:Expires></e:Renew>");
    soap_has(&t.s, "<e:Expires>PT300S</e:Expires>");
    with_identifier(&t, ACTION_UNSUBSCRIBE, id, NULL);
    soap_has(&t.s, ACTION_UNSUBSCRIBE "Response");
    pull(&t, id, SHORT, 1);
    soap_fault(&t.s, "n:InvalidEnumerationContext", 2150858779u);
    soap_ask(&t.s, ACTION_UNSUBSCRIBE, WMI "*", NULL, NULL);
    soap_fault(&t.s, "a:MessageInformationHeaderRequired", 2150858769u);
    close_stage(&t);
}

static void
test_refusals(void)
{
    struct stage t;
    open_stage(&t);
    subscribe(&t, PUSH_MODE, "", JOBS);
    soap_fault(&t.s, "e:DeliveryModeRequestedUnavailable", 2150858782u);
    subscribe(&t, PULL_MODE, "", "SELECT * FROM Msvm_ConcreteJob");
    soap_fault(&t.s, "n:CannotProcessFilter", 2150858778u);
    soap_has(&t.s, "position 15");
    subscribe(&t, PULL_MODE, "<e:Expires>soon</e:Expires>", JOBS);
    soap_fault(&t.s, "n:InvalidExpirationTime", 2150858774u);
    soap_ask(&t.s, ACTION_SUBSCRIBE, WMI "*", NULL,
             "<e:Subscribe xmlns:e=\"" NS_EVENT "\"><e:Delivery Mode=\"" PULL_MODE "\"/></e:Subscribe>");
    soap_fault(&t.s, "n:CannotProcessFilter", 2150858778u);
    for (guint n = 0; n < SUBSCRIPTION_PER_USER; n++)
        g_free(subscribed(&t, JOBS));
    subscribe(&t, PULL_MODE, "", JOBS);
    soap_fault(&t.s, "w:QuotaLimit", 2150858815u);
    close_stage(&t);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wsman/subscribe/creation", test_creation);
    g_test_add_func("/wsman/subscribe/modification", test_modification);
    g_test_add_func("/wsman/subscribe/end", test_end);
    g_test_add_func("/wsman/subscribe/refusals", test_refusals);
    return g_test_run();
}
