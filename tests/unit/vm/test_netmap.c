/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "vm/netmap.h"

#include <string.h>

static const char XML[] =
    "<domain><devices><interface type='network'><mac address='52:54:00:00:00:01'/><source network='prod'/><link state='down'/></interface>"
    "<interface type='bridge'><source bridge='br0'/><vlan><tag id='7'/></vlan><link state='down'/></interface>"
    "<interface type='user'><link state='down'/></interface></devices></domain>";

static bool
there(void *user, const struct netmap_entry *e)
{
    const char *absent = user;
    return g_strcmp0(e->to, absent) != 0;
}

static char *
connect_all(const char *text, const char *absent, guint missing)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) map = netmap_parse(text, &err), gone = g_ptr_array_new_with_free_func(g_free);
    g_assert_no_error(err);
    char *out = netmap_connect(XML, map, there, (void *)(gsize)absent, gone, &err);
    g_assert_no_error(err);
    g_assert_cmpuint(gone->len, ==, missing);
    return out;
}

static guint
count(const char *text, const char *what)
{
    guint n = 0;
    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static void
test_connect(void)
{
    g_autofree char *none = connect_all("", NULL, 0), *one = connect_all(" prod = dr ", NULL, 0);
    g_assert_cmpuint(count(none, "state=\"down\""), ==, 3);
    g_assert_cmpuint(count(one, "state=\"down\""), ==, 2);
    g_assert_nonnull(strstr(one, "<source network=\"dr\"/>"));
    g_autofree char *all = connect_all("prod=dr; br0=bridge:br1; *=lab;", NULL, 0);
    g_assert_cmpuint(count(all, "state=\"down\""), ==, 0);
    g_assert_nonnull(strstr(all, "<source bridge=\"br1\"/>"));
    g_assert_nonnull(strstr(all, "<source network=\"lab\"/>"));
    g_assert_null(strstr(all, "vlan"));
    g_assert_nonnull(strstr(all, "52:54:00:00:00:01"));
}

static void
test_missing(void)
{
    g_autofree char *out = connect_all("prod=dr; br0=bridge:br1", "dr", 1);
    g_assert_cmpuint(count(out, "state=\"down\""), ==, 2);
    g_assert_nonnull(strstr(out, "network=\"prod\""));
}

static void
test_bad(void)
{
    static const char *const bad[] = {"prod", "=dr", "prod=", "prod=bridge:", "a/b=c", "a=b c", "a=b=c"};
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) err = NULL;
        g_assert_null(netmap_parse(bad[i], &err));
        g_assert_error(err, ERR, ERR_INVALID_PARAMETER);
    }
    g_autoptr(GError) err = NULL;
    g_autoptr(GPtrArray) map = netmap_parse(NULL, &err), gone = g_ptr_array_new();
    g_assert_cmpuint(map->len, ==, 0);
    g_assert_null(netmap_connect("<domain/>", map, there, NULL, gone, &err));
    g_assert_error(err, ERR, ERR_MALFORMED);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vm/netmap/connect", test_connect);
    g_test_add_func("/vm/netmap/missing", test_missing);
    g_test_add_func("/vm/netmap/bad", test_bad);
    return g_test_run();
}
