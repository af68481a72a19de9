/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/xml.h"

#include <string.h>

static void
test_documents(void)
{
    static const char *const refused[] = {
        "",
        "<a>",
        "<a></b>",
        "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        "<a>&nope;</a>",
        "text",
    };
    for (guint i = 0; i < G_N_ELEMENTS(refused); i++) {
        GError *err = NULL;
        g_assert_null(xml_parse(refused[i], strlen(refused[i]), 1000, &err));
        g_assert_true(err_is(err, ERR_MALFORMED));
        g_clear_error(&err);
    }
    g_autoptr(GString) deep = g_string_new(NULL);
    for (int i = 0; i < 10000; i++)
        g_string_append(deep, "<a>");
    GError *err = NULL;
    g_assert_null(xml_parse(deep->str, deep->len, 1 << 20, &err));
    g_clear_error(&err);
    g_assert_null(xml_parse("<a/>", 4, 3, &err));
    g_assert_true(err_is(err, ERR_TOO_BIG));
    g_clear_error(&err);

    static const char good[] = "<r xmlns='urn:x' y='&lt;1'><c> t&amp;<![CDATA[<z>]]></c><c/></r>";
    g_autoptr(xmlDoc) doc = xml_parse(good, sizeof good - 1, 1000, &err);
    xmlNode *root = xmlDocGetRootElement(doc), *c = xml_child(root, "urn:x", "c");
    g_autofree char *text = xml_text(c), *attr = xml_attr(root, "y"), *none = xml_attr(root, "q");
    g_assert_cmpstr(text, ==, " t&<z>");
    g_assert_cmpstr(attr, ==, "<1");
    g_assert_null(none);
    g_assert_nonnull(xml_next(c, NULL, "c"));
    g_assert_null(xml_child(root, "urn:other", "c"));

    g_autoptr(GString) out = g_string_new(NULL);
    xml_escape(out, "a<&>\"\x01\xff"
                    "b");
    g_assert_cmpstr(out->str, ==,
                    "a&lt;&amp;&gt;&quot;\xef\xbf\xbd\xef\xbf\xbd"
                    "b");
}

static void
test_dump(void)
{
    static const char text[] = "<r xmlns=\"urn:x\"><c a=\"1\">&lt;\xc3\xa4</c></r>";
    size_t len = 0;
    g_autoptr(xmlDoc) doc = xml_parse(text, sizeof text - 1, 1000, NULL);
    g_autofree char *whole = xml_dump(doc, &len), *node = xml_dump_node(xmlDocGetRootElement(doc)->children);
    g_assert_cmpstr(whole, ==, text);
    g_assert_cmpuint(len, ==, sizeof text - 1);
    g_assert_nonnull(strstr(node, "a=\"1\""));
    g_assert_null(xml_child_text(xmlDocGetRootElement(doc), NULL, "nothing"));
    g_assert_null(xml_text(NULL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    xml_init();
    g_test_add_func("/base/xml/documents", test_documents);
    g_test_add_func("/base/xml/dump", test_dump);
    return g_test_run();
}
