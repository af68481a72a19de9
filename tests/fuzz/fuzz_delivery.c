/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/xml.h"
#include "wsman/delivery.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct cim_caller BOSS = {"boss", CIM_ADMINISTRATOR, NULL}, VIEWER = {"viewer", CIM_VIEWER, "192.0.2.7"};

static void
check_listener(const struct listener *l)
{
    g_assert_true(g_str_has_prefix(l->server, "http://") || g_str_has_prefix(l->server, "https://"));
    g_assert_true(l->path[0] == '/' && !strpbrk(l->server, "@\\ \r\n") && !strpbrk(l->path, " \r\n"));
}

/* A viewer gets events where it is, and nowhere else. */
static void
check_viewer(const struct listener *l)
{
    const char *host = strstr(l->server, "://") + 3;
    g_assert_true(g_str_has_prefix(host, "192.0.2.7:"));
    g_assert_cmpint(atoi(host + strlen("192.0.2.7:")), >=, 1024);
}

static void
read_as(const struct cim_caller *caller, const xmlNode *subscribe)
{
    g_autoptr(GError) err = NULL;
    delivery_auto d = {0};
    bool fine = delivery_read(subscribe, caller, &d, &err);
    g_assert_true(fine == (err == NULL));
    if (!fine || d.mode == DELIVER_PULL)
        return;
    check_listener(&d.to);
    g_assert_true(d.retry_us > 0 && d.elements > 0 && strlen(d.to.tokens) <= DELIVERY_TOKENS_MAX);
    if (caller == &VIEWER)
        check_viewer(&d.to);
}

/* The bytes as an address, and as the body of a Subscribe. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup(size ? (const char *)data : "", size);
    struct listener l;
    if (listener_parse(text, &BOSS, &l, NULL))
        check_listener(&l);
    listener_clear(&l);
    if (listener_parse(text, &VIEWER, &l, NULL))
        check_viewer(&l);
    listener_clear(&l);
    xml_init();
    g_autoptr(xmlDoc) doc = xml_parse(text, strlen(text), 1u << 20, NULL);
    if (doc) {
        read_as(&BOSS, xmlDocGetRootElement(doc));
        read_as(&VIEWER, xmlDocGetRootElement(doc));
    }
    return 0;
}
