/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/xml.h"
#include "soap.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HOST_LIFETIME = 500 }; /* requests; jobs and entries pile up in a host */

static struct soap host;

static void
open_host(void)
{
    static guint used;
    if (used++ % HOST_LIFETIME)
        return;
    if (used == 1)
        xml_init();
    else
        soap_close(&host);
    soap_open(&host);
}

/* Any bytes have an answer, and an answer in UTF-8 is XML of one of three statuses, no longer than the client takes. */
static void
check_reply(void)
{
    g_autoptr(GError) err = NULL;
    g_assert_true(host.reply.status == 200 || host.reply.status == 400 || host.reply.status == 500);
    g_assert_cmpuint(host.reply.len, <=, 1u << 20);
    if (host.reply.len >= 2 && (uint8_t)host.reply.body[0] == 0xff)
        return;
    g_autoptr(xmlDoc) doc = xml_parse(host.reply.body, host.reply.len, 64 << 20, &err);
    g_assert_no_error(err);
    g_assert_nonnull(doc);
}

static void
pull_to_end(void)
{
    for (guint i = 0; i < 20; i++) {
        g_autofree char *id = soap_value(&host, "n:EnumerationContext");
        if (!id || host.reply.body[0] != '<')
            return;
        g_autofree char *body = g_strdup_printf("<n:Pull><n:EnumerationContext>%s</n:EnumerationContext></n:Pull>", id);
        g_autofree char *text = soap_text(ACTION_PULL, WMI "*", NULL, body);
        soap_send(&host, "application/soap+xml", text, strlen(text));
        check_reply();
    }
}

/* The first byte chooses the charset. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"application/soap+xml", "application/soap+xml;charset=UTF-8", "application/soap+xml;charset=utf-16",
                                        "application/soap+xml;charset=utf-16be"};
    if (size == 0)
        return 0;
    open_host();
    soap_send(&host, types[data[0] % G_N_ELEMENTS(types)], (const char *)data + 1, size - 1);
    check_reply();
    pull_to_end();
    return 0;
}
