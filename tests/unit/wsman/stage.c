/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stage.h"

void
stage_open_as(struct stage *t, const struct net_identity *identity)
{
    soap_open(&t->s);
    t->watch = cim_watch_new(fake_broker(t->s.fake));
    wsman_endpoint_offer_events(t->s.endpoint, t->watch, identity);
}

void
stage_open(struct stage *t)
{
    stage_open_as(t, NULL);
}

/* As soap_close, with the watch between the endpoint and the broker. */
void
stage_close(struct stage *t)
{
    g_free(t->s.reply.body);
    wsman_endpoint_free(t->s.endpoint);
    cim_watch_free(t->watch);
    fake_free(t->s.fake);
}

void
stage_manage(struct stage *t, const char *action, const char *id, const char *body)
{
    g_autofree char *header = g_strdup_printf("<e:Identifier xmlns:e=\"" NS_EVENT "\">%s</e:Identifier>", id);
    soap_ask(&t->s, action, WMI "*", header, body);
}

void
stage_job(struct stage *t)
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
