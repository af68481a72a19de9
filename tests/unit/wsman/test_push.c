/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "box.h"
#include "ear.h"
#include "stage.h"

#include "wsman/delivery.h"
#include "wsman/subscription.h"

#include <string.h>

/* Events that are pushed to a listener, as the wsman CLI and Windows' event collectors ask for them. */

#define QUICKLY "<w:ConnectionRetry Total=\"2\">PT0.02S</w:ConnectionRetry>"
#define PATIENTLY "<w:ConnectionRetry Total=\"100\">PT0.2S</w:ConnectionRetry>"

struct play {
    struct stage t;
    struct ear ear;
};

static void
play_open(struct play *p)
{
    ear_open(&p->ear, NULL);
    stage_open(&p->t);
}

static void
play_close(struct play *p)
{
    stage_close(&p->t);
    ear_close(&p->ear);
}

/* notify: address, NULL: the ear; inside: more in Delivery; beside: more in Subscribe. */
static void
ask(struct play *p, const char *mode, const char *notify, const char *inside, const char *beside)
{
    g_autofree char *own = ear_address(&p->ear, "/ev?who=me&amp;x=1");
    g_autofree char *query = g_markup_escape_text(JOBS, -1);
    g_autofree char *body = g_strdup_printf(
        "<e:Subscribe xmlns:e=\"" NS_EVENT "\" xmlns:t=\"urn:test\">%s<e:Delivery Mode=\"%s\"><e:NotifyTo><a:Address>%s</a:Address>"
        "<a:ReferenceProperties><t:Token a:x=\"1\">four &lt; five</t:Token></a:ReferenceProperties></e:NotifyTo>%s</e:Delivery>"
        "<e:Expires>PT90S</e:Expires><w:Filter Dialect=\"" DIALECT_WQL "\">%s</w:Filter></e:Subscribe>",
        beside, mode, notify ? notify : own, inside, query);
    soap_ask(&p->t.s, ACTION_SUBSCRIBE, WMI "*", NULL, body);
}

static char *
subscribed(struct play *p, const char *mode, const char *inside, const char *beside)
{
    ask(p, mode, NULL, inside, beside);
    soap_has(&p->t.s, "<e:Expires>PT90S</e:Expires>");
    soap_lacks(&p->t.s, "EnumerationContext");
    char *id = soap_value(&p->t.s, "e:Identifier");
    g_assert_nonnull(id);
    return id;
}

static void
has(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("'%s' is missing in: %s", part, text);
}

static guint
times(const char *text, const char *part)
{
    guint n = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

static void
gone(struct play *p, const char *id)
{
    stage_manage(&p->t, ACTION_RENEW_EVENT, id, NULL);
    soap_fault(&p->t.s, "n:InvalidEnumerationContext", 2150858779u);
}

static void
test_push(void)
{
    struct play p;
    play_open(&p);
    g_autofree char *id = subscribed(&p, DELIVERY_PUSH, "", "");
    stage_job(&p.t);
    const char *event = ear_wait(&p.ear, 0);
    has(event, "<a:Action>" ACTION_EVENT "</a:Action>");
    has(event, "/ev?who=me&amp;x=1</a:To>");
    has(event, "four &lt; five</t:Token>");
    has(event, "xmlns:t=\"urn:test\"");
    has(event, "<p:__InstanceCreationEvent xmlns:p=\"" WMI "__InstanceCreationEvent\"");
    has(event, "<p:TargetInstance");
    g_assert_null(strstr(event, "AckRequested"));
    stage_manage(&p.t, ACTION_RENEW_EVENT, id, "<e:Renew xmlns:e=\"" NS_EVENT "\"><e:Expires>P1D</e:Expires></e:Renew>");
    soap_has(&p.t.s, "<e:Expires>PT3600S</e:Expires>"); /* no longer without saying again who one is */
    g_autofree char *pull = g_strdup_printf("<n:Pull><n:EnumerationContext>%s</n:EnumerationContext></n:Pull>", id);
    soap_ask(&p.t.s, ACTION_PULL, WMI "*", NULL, pull);
    soap_fault(&p.t.s, "n:InvalidEnumerationContext", 2150858779u);
    stage_manage(&p.t, ACTION_UNSUBSCRIBE, id, NULL);
    soap_has(&p.t.s, ACTION_UNSUBSCRIBE "Response");
    gone(&p, id);
    play_close(&p);
}

/* What is not acknowledged comes again, as the same message, and nothing overtakes it. */
static void
test_ack(void)
{
    struct play p;
    play_open(&p);
    ear_set(&p.ear, &p.ear.mute, true);
    g_free(subscribed(&p, DELIVERY_ACK, PATIENTLY, ""));
    stage_job(&p.t);
    const char *first = ear_wait(&p.ear, 0);
    has(first, "<w:AckRequested/>");
    has(first, "<a:ReplyTo><a:Address>" ANONYMOUS "</a:Address></a:ReplyTo>");
    stage_job(&p.t);
    g_assert_cmpstr(ear_wait(&p.ear, 1), ==, first);
    ear_set(&p.ear, &p.ear.mute, false);
    guint n = 2;
    while (strcmp(ear_wait(&p.ear, n), first) == 0)
        n++;
    has(ear_wait(&p.ear, n), "<p:TargetInstance");
    play_close(&p);
}

static void
test_batch(void)
{
    struct play p;
    play_open(&p);
    ear_set(&p.ear, &p.ear.refuse, true);
    g_free(subscribed(&p, DELIVERY_EVENTS, PATIENTLY "<w:MaxElements>3</w:MaxElements>", ""));
    stage_job(&p.t);
    const char *first = ear_wait(&p.ear, 0);
    has(first, "<a:Action>" ACTION_EVENTS "</a:Action>");
    g_assert_cmpuint(times(first, "<w:Event Action=\"" ACTION_EVENT "\">"), ==, 1);
    for (guint i = 0; i < 4; i++)
        stage_job(&p.t);
    ear_set(&p.ear, &p.ear.refuse, false);
    guint events = 0;
    for (guint n = 1; events < 4; n++) {
        const char *text = ear_wait(&p.ear, n);
        const guint inside = times(text, "<w:Event Action=\"" ACTION_EVENT "\">");
        g_assert_cmpuint(inside, <=, 3);
        events += strcmp(text, first) == 0 ? 0 : inside;
    }
    g_assert_cmpuint(events, ==, 4);
    play_close(&p);
}

static void
test_heartbeat(void)
{
    struct play p;
    play_open(&p);
    g_free(subscribed(&p, DELIVERY_PUSH, "<w:Heartbeats>PT0.05S</w:Heartbeats>", ""));
    has(ear_wait(&p.ear, 0), "<a:Action>" ACTION_HEARTBEAT "</a:Action>");
    has(ear_wait(&p.ear, 1), "<s:Body></s:Body>");
    stage_job(&p.t);
    guint n = 2;
    while (!strstr(ear_wait(&p.ear, n), ACTION_EVENT))
        n++;
    play_close(&p);
}

static char *
end_to(const struct ear *e)
{
    g_autofree char *address = ear_address(e, "/end");
    return g_strdup_printf("<e:EndTo><a:Address>%s</a:Address><a:ReferenceParameters><t:Mine>7</t:Mine></a:ReferenceParameters></e:EndTo>",
                           address);
}

static void
test_given_up(void)
{
    struct play p;
    struct ear other;
    play_open(&p);
    ear_open(&other, NULL);
    ear_set(&p.ear, &p.ear.refuse, true);
    g_autofree char *end = end_to(&other), *id = subscribed(&p, DELIVERY_PUSH, QUICKLY, end);
    stage_job(&p.t);
    const char *last = ear_wait(&other, 0);
    has(last, "<a:Action>" ACTION_SUBSCRIPTION_END "</a:Action>");
    has(last, "<e:Status>" NS_EVENT "/DeliveryFailure</e:Status>");
    has(last, ">7</t:Mine>");
    has(last, id);
    g_assert_cmpuint(ear_count(&p.ear), ==, 3);
    g_assert_cmpstr(ear_wait(&p.ear, 2), ==, ear_wait(&p.ear, 0));
    gone(&p, id);
    play_close(&p);
    g_assert_cmpuint(ear_count(&other), ==, 1);
    ear_close(&other);
}

/* The host ends: who named EndTo learns it, and a listener that does not answer holds nothing up. */
static void
test_shutdown(void)
{
    struct play p;
    struct ear other;
    play_open(&p);
    ear_open(&other, NULL);
    ear_set(&p.ear, &p.ear.deaf, true);
    g_autofree char *end = end_to(&other);
    g_free(subscribed(&p, DELIVERY_ACK, "", end));
    stage_job(&p.t);
    ear_wait(&p.ear, 0);
    stage_close(&p.t);
    has(ear_wait(&other, 0), "<e:Status>" NS_EVENT "/SourceShuttingDown</e:Status>");
    ear_close(&p.ear);
    ear_close(&other);
}

static void
test_unsubscribe_hanging(void)
{
    struct play p;
    play_open(&p);
    ear_set(&p.ear, &p.ear.deaf, true);
    g_autofree char *id = subscribed(&p, DELIVERY_PUSH, "", "");
    stage_job(&p.t);
    ear_wait(&p.ear, 0);
    stage_manage(&p.t, ACTION_UNSUBSCRIBE, id, NULL);
    soap_has(&p.t.s, ACTION_UNSUBSCRIBE "Response");
    gone(&p, id);
    stage_close(&p.t); /* waits for the thread */
    ear_close(&p.ear);
}

/* Until that many events have been handed to everybody who watches. */
static void
wait_events(struct cim_watcher *probe, guint count)
{
    for (guint i = 0; i < count; i++) {
        struct cim_event *e = cim_watcher_next(probe, 60 * (gint64)G_USEC_PER_SEC, NULL);
        g_assert_nonnull(e);
        cim_event_unref(e);
    }
}

/* What waits is bounded; what was lost is said. */
static void
test_dropped(void)
{
    struct play p;
    play_open(&p);
    ear_set(&p.ear, &p.ear.refuse, true);
    g_free(subscribed(&p, DELIVERY_ACK, "<w:ConnectionRetry Total=\"100\">PT1S</w:ConnectionRetry>", ""));
    struct cim_watcher *probe = cim_watch_open(p.t.watch, &p.t.s.caller, "root/virtualization/v2", JOBS, 2 * SUBSCRIPTION_QUEUE, NULL);
    stage_job(&p.t);
    const char *first = ear_wait(&p.ear, 0);
    for (guint i = 0; i < SUBSCRIPTION_QUEUE + 5; i++)
        stage_job(&p.t);
    wait_events(probe, SUBSCRIPTION_QUEUE + 6);
    ear_set(&p.ear, &p.ear.refuse, false);
    guint n = 1;
    while (strcmp(ear_wait(&p.ear, n), first) == 0)
        n++;
    has(ear_wait(&p.ear, n), "<a:Action>" ACTION_DROPPED "</a:Action>");
    has(ear_wait(&p.ear, n), "<w:DroppedEvents Action=\"" ACTION_EVENT "\">5</w:DroppedEvents>");
    cim_watcher_close(probe);
    play_close(&p);
}

static void
push_over_tls(struct box *box, const struct net_identity *ours, bool fine)
{
    struct play p;
    struct ear other;
    g_autofree char *plain = NULL;
    struct net_identity *theirs = box_identity(box, "localhost");
    ear_open(&other, NULL);
    ear_open(&p.ear, theirs);
    stage_open_as(&p.t, ours);
    g_autofree char *end = end_to(&other);
    plain = g_strdup_printf("https://localhost:%u/ev", http_server_port(p.ear.server));
    ask(&p, DELIVERY_PUSH, plain, QUICKLY, end);
    soap_has(&p.t.s, "<e:Expires>");
    stage_job(&p.t);
    if (fine)
        has(ear_wait(&p.ear, 0), ACTION_EVENT);
    else
        has(ear_wait(&other, 0), "DeliveryFailure");
    stage_close(&p.t);
    ear_close(&p.ear);
    ear_close(&other);
    net_identity_unref(theirs);
}

static void
test_tls(void)
{
    struct box ours, foreign;
    box_open(&ours);
    box_open(&foreign);
    struct net_identity *known = box_identity(&ours, "hostb"), *stranger = box_identity(&foreign, "hostb");
    push_over_tls(&ours, known, true);
    push_over_tls(&ours, stranger, false);
    net_identity_unref(known);
    net_identity_unref(stranger);
    box_close(&ours);
    box_close(&foreign);
}

/* ---- refusals ---- */

static void
check_listener(enum cim_role role, const char *from, const char *address, const char *server, const char *path)
{
    const struct cim_caller caller = {"somebody", role, from};
    g_autoptr(GError) why = NULL;
    struct listener l;
    bool fine = listener_parse(address, &caller, &l, &why);
    if (fine != (server != NULL))
        g_error("'%s' for role %d from %s: %s", address, (int)role, from ? from : "-", why ? why->message : "accepted");
    g_assert_cmpstr(l.server, ==, server);
    g_assert_cmpstr(l.path, ==, path);
    listener_clear(&l);
}

static void
test_who_may_name(void)
{
    static const enum cim_role others[] = {CIM_VIEWER, CIM_OPERATOR};
    check_listener(CIM_ADMINISTRATOR, "unix", "http://127.0.0.1:81/x?y", "http://127.0.0.1:81", "/x?y");
    check_listener(CIM_ADMINISTRATOR, NULL, "https://collector.example", "https://collector.example:443", "/");
    check_listener(CIM_ADMINISTRATOR, NULL, "HTTP://[2001:db8::1]/a%20b", "http://[2001:db8::1]:80", "/a%20b");
    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        const enum cim_role r = others[i];
        check_listener(r, "192.0.2.7", "http://192.0.2.7:8080/ev", "http://192.0.2.7:8080", "/ev");
        check_listener(r, "2001:db8::1", "https://[2001:DB8:0::1]:5999/", "https://[2001:DB8:0::1]:5999", "/");
        check_listener(r, "192.0.2.7", "http://192.0.2.8:8080/ev", NULL, NULL);
        check_listener(r, "192.0.2.7", "http://192.0.2.7/ev", NULL, NULL);
        check_listener(r, "192.0.2.7", "http://name.example:8080/ev", NULL, NULL);
        check_listener(r, "192.0.2.7", "http://3221225991:8080/ev", NULL, NULL);
        check_listener(r, "192.0.2.7", "http://127.0.0.1:8080/ev", NULL, NULL);
        check_listener(r, "127.0.0.1", "http://127.0.0.1:8080/ev", NULL, NULL);
        check_listener(r, "127.0.0.1", "http://[::ffff:127.0.0.1]:8080/ev", NULL, NULL);
        check_listener(r, "::1", "http://[::1]:8080/ev", NULL, NULL);
        check_listener(r, "unix", "http://unix:8080/ev", NULL, NULL);
        check_listener(r, NULL, "http://192.0.2.7:8080/ev", NULL, NULL);
    }
}

static void
test_addresses(void)
{
    static const char *const bad[] = {
        "", "/ev", "ftp://h/ev", "file:///etc/passwd", "unix:/run/x", "http:///ev", "http://u:p@h/ev", "http://h/ev#x", "http://h:0x50/ev",
        "http://h:99999/ev", "http://a b/ev", "http://h/a b", "http://h/a\r\nX: y", "http://h\\@evil/ev", "http://127.0.0.1:80@evil/ev",
        "http://[::1/ev", "http://[fe80::1%25eth0]/ev", "http://h%2eexample/ev\x7f", "http://%68%00/ev", "http://h,evil/ev"};
    g_autofree char *long_one = g_strnfill(DELIVERY_ADDRESS_MAX + 1, 'a');
    memcpy(long_one, "http://h/", 9);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        check_listener(CIM_ADMINISTRATOR, NULL, bad[i], NULL, NULL);
    check_listener(CIM_ADMINISTRATOR, NULL, long_one, NULL, NULL);
}

static void
test_refusals(void)
{
    struct play p;
    play_open(&p);
    p.t.s.caller.role = CIM_VIEWER;
    p.t.s.caller.address = "192.0.2.7";
    ask(&p, DELIVERY_PUSH, NULL, "", "");
    soap_fault(&p.t.s, "w:AccessDenied", 5);
    p.t.s.caller.role = CIM_ADMINISTRATOR;
    ask(&p, DELIVERY_PUSH, "gopher://h/", "", "");
    soap_fault(&p.t.s, "w:InvalidParameter", 2150858810u);
    ask(&p, DELIVERY_PUSH, NULL, "", "<w:SendBookmarks/>");
    soap_fault(&p.t.s, "w:UnsupportedFeature", 2150858818u);
    ask(&p, DELIVERY_PUSH, NULL, "<w:Auth Profile=\"urn:any\"/>", "");
    soap_fault(&p.t.s, "w:UnsupportedFeature", 2150858818u);
    ask(&p, DELIVERY_PUSH, NULL, "<w:ContentEncoding>UTF-16</w:ContentEncoding>", "");
    soap_fault(&p.t.s, "w:EncodingLimit", 2150858766u);
    ask(&p, DELIVERY_PUSH, NULL, "<w:Heartbeats>often</w:Heartbeats>", "");
    soap_fault(&p.t.s, "w:InvalidParameter", 2150858810u);
    ask(&p, DELIVERY_PUSH, NULL, "<w:ConnectionRetry Total=\"many\">PT1S</w:ConnectionRetry>", "");
    soap_fault(&p.t.s, "w:InvalidParameter", 2150858810u);
    ask(&p, NS_WSMAN "/Carrier", NULL, "", "");
    soap_fault(&p.t.s, "e:DeliveryModeRequestedUnavailable", 2150858782u);
    g_autofree char *tokens = g_strnfill(DELIVERY_TOKENS_MAX, 'x');
    g_autofree char *epr = g_strdup_printf("http://127.0.0.1:9/</a:Address><a:ReferenceParameters><t:T>%s</t:T></a:ReferenceParameters>"
                                           "<a:Address>x", tokens);
    ask(&p, DELIVERY_PUSH, epr, "", "");
    soap_fault(&p.t.s, "w:InvalidParameter", 2150858810u);
    play_close(&p);
}

static void
test_limit(void)
{
    struct play p;
    char user[] = "user-a";
    play_open(&p);
    p.t.s.caller.user = user;
    for (guint n = 0; n < SUBSCRIPTION_PUSHED; n++) {
        user[5] = (char)('a' + n / SUBSCRIPTION_PER_USER);
        g_free(subscribed(&p, DELIVERY_PUSH, "", ""));
    }
    user[5] = 'z';
    ask(&p, DELIVERY_PUSH, NULL, "", "");
    soap_fault(&p.t.s, "w:QuotaLimit", 2150858815u);
    play_close(&p);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wsman/push/push", test_push);
    g_test_add_func("/wsman/push/ack", test_ack);
    g_test_add_func("/wsman/push/batch", test_batch);
    g_test_add_func("/wsman/push/heartbeat", test_heartbeat);
    g_test_add_func("/wsman/push/given-up", test_given_up);
    g_test_add_func("/wsman/push/shutdown", test_shutdown);
    g_test_add_func("/wsman/push/unsubscribe-hanging", test_unsubscribe_hanging);
    g_test_add_func("/wsman/push/dropped", test_dropped);
    g_test_add_func("/wsman/push/tls", test_tls);
    g_test_add_func("/wsman/push/who-may-name", test_who_may_name);
    g_test_add_func("/wsman/push/addresses", test_addresses);
    g_test_add_func("/wsman/push/refusals", test_refusals);
    g_test_add_func("/wsman/push/limit", test_limit);
    return g_test_run();
}
