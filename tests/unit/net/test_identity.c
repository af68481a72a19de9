/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/file.h"
#include "box.h"

#include <string.h>
#include <sys/stat.h>

#define DAY_US (86400 * (gint64)G_USEC_PER_SEC)

static void
test_names(void)
{
    static const struct {
        const char *pattern, *name;
        bool fits;
    } cases[] = {
        {"a.example", "a.example", true},
        {"A.Example", "a.eXAMPLE", true},
        {"a.example", "b.example", false},
        {"a.example", "x.a.example", false},
        {"*.example", "a.example", true},
        {"*.EXAMPLE", "a.example", true},
        {"*.example", "b.a.example", false},
        {"*.example", "example", false},
        {"*.example", ".example", false},
        {"*", "anything.at.all", true},
        {"*", "", false},
        {"x*.example", "xa.example", false},
        {"a.*.example", "a.b.example", false},
        {"*.*.example", "a.b.example", false},
        {"", "", false},
        {"", "a", false},
        {"*.", "a.", false},
        {"a.example", "a.example.", false},
    };
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_test_message("'%s' and '%s'", cases[i].pattern, cases[i].name);
        g_assert_cmpint(net_name_matches(cases[i].pattern, cases[i].name), ==, cases[i].fits);
    }
}

static void
assert_load_fails(struct box *b, const char *cert, const char *key, const char *ca, enum err_code code, const char *says)
{
    g_autoptr(GError) err = NULL;
    g_autofree char *cert_path = box_path(b, cert), *key_path = box_path(b, key);
    struct net_identity *id = net_identity_load(cert_path, key_path, ca, true, &err);
    g_test_message("%s", err ? err->message : "(accepted)");
    g_assert_null(id);
    g_assert_error(err, ERR, (gint)code);
    g_assert_nonnull(strstr(err->message, says));
}

static void
test_refusals(void)
{
    struct box b, other;
    gint64 now = clock_wall_us();
    box_open(&b);
    box_open(&other);
    box_issue(&b, "good.example", PKI_BOTH, 0, 0);
    box_issue(&b, "old.example", PKI_BOTH, 2, now - 3 * DAY_US);
    box_issue(&b, "early.example", PKI_BOTH, 2, now + DAY_US);
    box_issue(&b, "server.example", PKI_SERVER, 0, 0);
    box_issue(&b, "client.example", PKI_CLIENT, 0, 0);
    g_autofree char *junk = box_path(&b, "junk.pem");
    g_assert_true(file_replace(junk, "junk", 4, 0600, NULL));

    assert_load_fails(&b, "old.example.pem", "old.example-key.pem", b.ca, ERR_INVALID_PARAMETER, "expired at");
    assert_load_fails(&b, "early.example.pem", "early.example-key.pem", b.ca, ERR_INVALID_PARAMETER, "not valid before");
    assert_load_fails(&b, "server.example.pem", "server.example-key.pem", b.ca, ERR_INVALID_PARAMETER, "lacks client authentication");
    assert_load_fails(&b, "client.example.pem", "client.example-key.pem", b.ca, ERR_INVALID_PARAMETER, "lacks server authentication");
    assert_load_fails(&b, "good.example.pem", "old.example-key.pem", b.ca, ERR_INVALID_PARAMETER, "does not belong");
    assert_load_fails(&b, "good.example.pem", "good.example-key.pem", other.ca, ERR_INVALID_PARAMETER, "not signed by a trusted CA");
    assert_load_fails(&b, "absent.pem", "good.example-key.pem", b.ca, ERR_NOT_FOUND, "absent.pem");
    assert_load_fails(&b, "good.example.pem", "absent.pem", b.ca, ERR_NOT_FOUND, "absent.pem");
    assert_load_fails(&b, "junk.pem", "good.example-key.pem", b.ca, ERR_INVALID_PARAMETER, "no usable certificate");
    assert_load_fails(&b, "good.example.pem", "junk.pem", b.ca, ERR_INVALID_PARAMETER, "no usable unencrypted private key");
    assert_load_fails(&b, "good.example.pem", "good.example-key.pem", junk, ERR_INVALID_PARAMETER, "no usable certificate");
    box_close(&other);
    box_close(&b);
}

static void
test_facts(void)
{
    struct box b;
    GError *err = NULL;
    box_open(&b);
    const char *names[] = {"a.example", "alias.example", "10.1.2.3", NULL};
    struct pki_request r = {.names = names, .usages = PKI_BOTH, .days = 30};
    g_autofree char *cert = NULL, *key = NULL;
    g_assert_true(pki_issue(b.dir, &r, &cert, &key, &err));
    struct net_identity *id = net_identity_load(cert, key, b.ca, true, &err);
    g_assert_no_error(err);
    g_assert_cmpstr(net_identity_name(id), ==, "a.example");
    g_assert_cmpuint(strlen(net_identity_thumbprint(id)), ==, 40);
    gint64 left = net_identity_expiry_us(id) - clock_wall_us();
    g_assert_cmpint(left, >, 29 * DAY_US);
    g_assert_cmpint(left, <, 30 * DAY_US);

    gsize len = 0;
    g_autofree char *base64 = net_identity_der_base64(id);
    g_autofree guchar *der = g_base64_decode(base64, &len);
    g_autofree char *sha1 = g_compute_checksum_for_data(G_CHECKSUM_SHA1, der, len);
    g_assert_cmpint(g_ascii_strcasecmp(sha1, net_identity_thumbprint(id)), ==, 0);

    /* what is loaded does not care what becomes of the files */
    g_assert_true(file_unlink_durably(key, &err));
    struct net_identity *again = net_identity_ref(id);
    net_identity_unref(id);
    g_assert_cmpstr(net_identity_name(again), ==, "a.example");
    net_identity_unref(again);
    box_close(&b);
}

static guint
mode_of(const struct box *b, const char *name)
{
    struct stat st;
    g_autofree char *path = box_path(b, name);
    g_assert_cmpint(stat(path, &st), ==, 0);
    return st.st_mode & 0777;
}

static void
assert_issue_fails(const struct box *b, const char *name, enum err_code code)
{
    g_autoptr(GError) err = NULL;
    const char *names[] = {name, NULL};
    struct pki_request r = {.names = names, .usages = PKI_BOTH};
    g_assert_false(pki_issue(b->dir, &r, NULL, NULL, &err));
    g_test_message("%s", err->message);
    g_assert_error(err, ERR, (gint)code);
}

static void
test_pki(void)
{
    struct box b;
    g_autoptr(GError) err = NULL;
    box_open(&b);
    box_issue(&b, "a.example", PKI_BOTH, 0, 0);
    g_assert_cmpuint(mode_of(&b, "ca-key.pem"), ==, 0600);
    g_assert_cmpuint(mode_of(&b, "a.example-key.pem"), ==, 0600);
    g_assert_cmpuint(mode_of(&b, "a.example.pem"), ==, 0644);

    g_assert_false(pki_init(b.dir, NULL, 0, &err));
    g_assert_error(err, ERR, ERR_EXISTS);
    assert_issue_fails(&b, "a.example", ERR_EXISTS);
    assert_issue_fails(&b, "../a", ERR_INVALID_PARAMETER);
    assert_issue_fails(&b, "a/b", ERR_INVALID_PARAMETER);
    assert_issue_fails(&b, "", ERR_INVALID_PARAMETER);
    assert_issue_fails(&b, "a b", ERR_INVALID_PARAMETER);
    struct box none = {.dir = box_path(&b, "none")};
    assert_issue_fails(&none, "a", ERR_NOT_FOUND);
    g_free(none.dir);
    box_close(&b);
}

static void
test_show(void)
{
    struct box b;
    GError *err = NULL;
    box_open(&b);
    struct net_identity *id = box_identity(&b, "a.example");
    g_autofree char *path = box_path(&b, "a.example.pem");
    g_autoptr(GString) text = g_string_new(NULL);
    g_assert_true(pki_show(path, text, &err));
    g_test_message("%s", text->str);
    const char *wanted[] = {"CN=a.example\n",
                            "names       a.example\n",
                            "issuer      CN=vmreplica CA\n",
                            "(824 days left)",
                            "valid from",
                            "usages      server authentication, client authentication\n",
                            net_identity_thumbprint(id),
                            "SHA-256"};
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++)
        g_assert_nonnull(strstr(text->str, wanted[i]));
    g_string_truncate(text, 0);
    g_assert_true(pki_show(b.ca, text, &err));
    g_assert_nonnull(strstr(text->str, "certificate authority"));
    net_identity_unref(id);
    box_close(&b);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/identity/names", test_names);
    g_test_add_func("/identity/refusals", test_refusals);
    g_test_add_func("/identity/facts", test_facts);
    g_test_add_func("/pki/files", test_pki);
    g_test_add_func("/pki/show", test_show);
    return g_test_run();
}
