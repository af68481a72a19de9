/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "box.h"

#include "base/file.h"

#include <string.h>

void
box_open(struct box *b)
{
    GError *err = NULL;
    b->dir = g_dir_make_tmp("vmr-net-XXXXXX", NULL);
    g_assert_true(pki_init(b->dir, NULL, 0, &err));
    g_assert_no_error(err);
    b->ca = box_path(b, "ca.pem");
}

void
box_close(struct box *b)
{
    GError *err = NULL;
    g_assert_true(file_remove_tree(b->dir, &err));
    g_assert_no_error(err);
    g_free(b->dir);
    g_free(b->ca);
}

char *
box_path(const struct box *b, const char *name)
{
    return g_build_filename(b->dir, name, NULL);
}

void
box_issue(const struct box *b, const char *name, enum pki_usage usages, guint days, gint64 from_us)
{
    GError *err = NULL;
    const char *names[] = {name, NULL};
    struct pki_request r = {.names = names, .usages = usages, .days = days, .from_us = from_us};
    g_assert_true(pki_issue(b->dir, &r, NULL, NULL, &err));
    g_assert_no_error(err);
}

static struct net_identity *
load(const struct box *b, const char *name, const char *ca)
{
    GError *err = NULL;
    g_autofree char *cert = g_strdup_printf("%s/%s.pem", b->dir, name);
    g_autofree char *key = g_strdup_printf("%s/%s-key.pem", b->dir, name);
    if (!g_file_test(cert, G_FILE_TEST_EXISTS))
        box_issue(b, name, PKI_BOTH, 0, 0);
    struct net_identity *id = net_identity_load(cert, key, ca, false, &err);
    g_assert_no_error(err);
    return id;
}

struct net_identity *
box_identity(const struct box *b, const char *name)
{
    return load(b, name, b->ca);
}

struct net_identity *
box_stranger(const struct box *b, const struct box *trust, const char *name)
{
    GError *err = NULL;
    g_autofree char *both = box_path(b, "both.pem");
    g_autofree char *own = NULL, *other = NULL;
    size_t own_len, other_len;
    g_assert_true(file_read_all(b->ca, 1 << 20, &own, &own_len, &err));
    g_assert_true(file_read_all(trust->ca, 1 << 20, &other, &other_len, &err));
    g_autofree char *text = g_strconcat(own, other, NULL);
    g_assert_true(file_replace(both, text, strlen(text), 0644, &err));
    return load(b, name, both);
}
