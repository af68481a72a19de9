/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stage.h"

#include "wsman/subscription.h"

#include <string.h>

/* Events with pull delivery, as Register-CimIndicationEvent asks for them. */

#define PULL_MODE DELIVERY_PULL
#define SHORT "<w:OperationTimeout>PT0.05S</w:OperationTimeout>"

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
test_creation(void)
{
    struct stage t;
    stage_open(&t);
    subscribe(&t, PULL_MODE, "<e:Expires>PT90S</e:Expires>", JOBS);
    soap_has(&t.s, "<e:Expires>PT90S</e:Expires>");
    soap_has(&t.s, "<e:SubscriptionManager>");
    g_autofree char *id = soap_value(&t.s, "n:EnumerationContext"), *same = soap_value(&t.s, "e:Identifier");
    g_assert_cmpstr(id, ==, same);
    stage_job(&t);
    pull(&t, id, NULL, 10);
    soap_has(&t.s, "<p:__InstanceCreationEvent xmlns:p=\"" WMI "__InstanceCreationEvent\" xmlns:xsi=\"" NS_XSI "\"");
    soap_has(&t.s, "<p:TargetInstance");
    soap_has(&t.s, "Msvm_ConcreteJob_Type\"");
    soap_lacks(&t.s, "PreviousInstance");
    soap_has(&t.s, "<p:TIME_CREATED>");
    pull(&t, id, SHORT, 1);
    soap_fault(&t.s, "w:TimedOut", 2150858793u);
    stage_close(&t);
}

/* What was asked for is any operation: the type says which one it was. */
static void
test_operation(void)
{
    struct stage t;
    stage_open(&t);
    g_autofree char *id = subscribed(&t, "SELECT * FROM __InstanceOperationEvent WITHIN 3600 WHERE TargetInstance ISA 'Msvm_ConcreteJob'");
    stage_job(&t);
    pull(&t, id, NULL, 1);
    soap_has(&t.s, "<p:__InstanceOperationEvent ");
    soap_has(&t.s, " xsi:type=\"p:__InstanceCreationEvent_Type\">");
    stage_close(&t);
}

static void
test_modification(void)
{
    struct stage t;
    stage_open(&t);
    stage_job(&t);
    g_autofree char *id = subscribed(&t,
        "SELECT * FROM CIM_InstModification WHERE SourceInstance ISA 'CIM_ConcreteJob' AND SourceInstance.PercentComplete = 100");
    cim_watch_poke(t.watch); /* the fake's jobs end when they are looked at again */
    pull(&t, id, NULL, 10);
    soap_has(&t.s, "<p:CIM_InstModification ");
    soap_has(&t.s, "<p:PreviousInstance");
    soap_has(&t.s, "<p:SourceInstance");
    soap_has(&t.s, "<p:IndicationTime>");
    stage_close(&t);
}

static void
test_end(void)
{
    struct stage t;
    stage_open(&t);
    g_autofree char *id = subscribed(&t, JOBS);
    t.s.caller.user = "somebody-else";
    pull(&t, id, SHORT, 1);
    soap_fault(&t.s, "n:InvalidEnumerationContext", 2150858779u);
    stage_manage(&t, ACTION_UNSUBSCRIBE, id, NULL);
    soap_fault(&t.s, "n:InvalidEnumerationContext", 2150858779u);
    t.s.caller.user = "root";
    stage_manage(&t, ACTION_RENEW_EVENT, id, "<e:Renew xmlns:e=\"" NS_EVENT "\"><e:Expires>PT5M</e:Expires></e:Renew>");
    soap_has(&t.s, "<e:Expires>PT300S</e:Expires>");
    stage_manage(&t, ACTION_UNSUBSCRIBE, id, NULL);
    soap_has(&t.s, ACTION_UNSUBSCRIBE "Response");
    pull(&t, id, SHORT, 1);
    soap_fault(&t.s, "n:InvalidEnumerationContext", 2150858779u);
    soap_ask(&t.s, ACTION_UNSUBSCRIBE, WMI "*", NULL, NULL);
    soap_fault(&t.s, "a:MessageInformationHeaderRequired", 2150858769u);
    stage_close(&t);
}

static void
test_refusals(void)
{
    struct stage t;
    stage_open(&t);
    subscribe(&t, NS_WSMAN "/Carrier", "", JOBS);
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
    stage_close(&t);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wsman/subscribe/creation", test_creation);
    g_test_add_func("/wsman/subscribe/operation", test_operation);
    g_test_add_func("/wsman/subscribe/modification", test_modification);
    g_test_add_func("/wsman/subscribe/end", test_end);
    g_test_add_func("/wsman/subscribe/refusals", test_refusals);
    return g_test_run();
}
