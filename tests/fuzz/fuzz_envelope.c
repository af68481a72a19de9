/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/xml.h"
#include "wsman/endpoint.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A host without instances: every class, filter and argument is still parsed. */
static struct wsman_endpoint *
endpoint(void)
{
    static struct wsman_endpoint *e;
    static gsize once;
    if (g_once_init_enter(&once)) {
        static const struct cim_provider *const none[] = {NULL};
        xml_init();
        e = wsman_endpoint_new(cim_broker_new("FUZZ", none, NULL), NULL);
        g_once_init_leave(&once, 1);
    }
    return e;
}

/* The first byte chooses the charset.  Any bytes have an answer, and an answer in UTF-8 is XML. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"application/soap+xml", "application/soap+xml;charset=UTF-8", "application/soap+xml;charset=utf-16",
                                        "application/soap+xml;charset=utf-16be"};
    static const struct cim_caller caller = {"fuzz", CIM_ADMINISTRATOR};
    struct wsman_reply reply;
    g_autoptr(GError) err = NULL;
    if (size == 0)
        return 0;
    wsman_endpoint_serve(endpoint(), &caller, types[data[0] % G_N_ELEMENTS(types)], (const char *)data + 1, size - 1, &reply);
    g_assert_true(reply.status == 200 || reply.status == 400 || reply.status == 500);
    if (reply.len < 2 || (uint8_t)reply.body[0] != 0xff) {
        g_autoptr(xmlDoc) doc = xml_parse(reply.body, reply.len, 64 << 20, &err);
        g_assert_no_error(err);
        g_assert_nonnull(doc);
    }
    g_free(reply.body);
    return 0;
}
