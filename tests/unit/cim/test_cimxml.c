/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/xml.h"
#include "cim/cimxml.h"

#include <string.h>

#define SETTING "Msvm_ReplicationSettingData"

/* What .NET writes, with everything that is tolerated. */
static void
test_tolerant(void)
{
    static const char text[] =
        "\n <?xml version=\"1.0\" encoding=\"utf-16\"?>\n<INSTANCE CLASSNAME=\"msvm_replicationsettingdata\">\n"
        " <QUALIFIER NAME=\"dynamic\" TYPE=\"boolean\"><VALUE>TRUE</VALUE></QUALIFIER>\n"
        " <PROPERTY NAME=\"RecoveryConnectionPoint\" CLASSORIGIN=\"x\" PROPAGATED=\"true\" TYPE=\"string\"><QUALIFIER NAME=\"key\"/>"
        "<VALUE>a &amp; b &#38; &#60;c&#62; <![CDATA[<&>]]></VALUE></PROPERTY>\n"
        " <PROPERTY NAME=\"AuthenticationType\"><VALUE> 2 </VALUE></PROPERTY>\n"
        " <PROPERTY NAME=\"CertificateThumbPrint\" TYPE=\"string\"></PROPERTY>\n"
        " <PROPERTY NAME=\"CompressionEnabled\" TYPE=\"boolean\"><VALUE>FALSE</VALUE></PROPERTY>\n"
        " <PROPERTY.ARRAY NAME=\"IncludedDisks\" "
        "TYPE=\"string\"><VALUE.ARRAY><VALUE>one</VALUE><VALUE.NULL/><VALUE>two</VALUE></VALUE.ARRAY></PROPERTY.ARRAY>\n"
        " <PROPERTY.ARRAY NAME=\"Notes\" TYPE=\"string\"></PROPERTY.ARRAY>\n"
        " <PROPERTY NAME=\"AutoResynchronizeIntervalStart\" TYPE=\"datetime\"><VALUE>00000000010000.000000:000</VALUE></PROPERTY>\n"
        " <PROPERTY NAME=\"AutoResynchronizeIntervalEnd\" TYPE=\"string\"><VALUE>P0DT2H0M0S</VALUE></PROPERTY>\n"
        " <PROPERTY NAME=\"Unknown\" TYPE=\"strange\"><VALUE>x</VALUE></PROPERTY>\n</INSTANCE>\n";
    g_autoptr(GError) err = NULL;
    cim_instance_auto i = cim_xml_parse(text, "CIM_SettingData", &err);
    g_assert_no_error(err);
    g_assert_cmpstr(i->cls->name, ==, SETTING);
    g_assert_cmpstr(cim_get_string(i, "RecoveryConnectionPoint"), ==, "a & b & <c> <&>");
    g_assert_cmpuint(cim_get_uint(i, "AuthenticationType"), ==, 2);
    g_assert_true(cim_given(i, "CompressionEnabled") && !cim_get_bool(i, "CompressionEnabled"));
    g_assert_false(cim_given(i, "CertificateThumbPrint") || cim_given(i, "Notes") || cim_given(i, "RecoveryHistory"));
    const struct cim_value *disks = cim_get(i, "IncludedDisks");
    g_assert_cmpuint(disks->items->len, ==, 3);
    g_assert_true(((struct cim_value *)g_ptr_array_index(disks->items, 1))->null);
    g_assert_cmpint(cim_get(i, "AutoResynchronizeIntervalStart")->time.us, ==, 3600 * G_TIME_SPAN_SECOND);
    g_assert_cmpint(cim_get(i, "AutoResynchronizeIntervalEnd")->time.us, ==, 7200 * G_TIME_SPAN_SECOND);
}

static void
test_round(void)
{
    char *const disks[] = {(char[]){"<a>"}, (char[]){"b&\"c"}, NULL};
    cim_instance_auto i = cim_instance_new(cim_class_find(NULL, SETTING));
    cim_set_string(i, "InstanceID", "Microsoft:X\\HVR\\0");
    cim_set_strings(i, "IncludedDisks", disks);
    cim_set_uint(i, "RecoveryHistory", 24);
    cim_set_bool(i, "CompressionEnabled", true);
    cim_set_interval(i, "AutoResynchronizeIntervalStart", 1500000);
    g_autofree char *text = cim_xml_text(i);
    cim_instance_auto back = cim_xml_parse(text, SETTING, NULL);
    g_autofree char *again = cim_xml_text(back);
    g_assert_cmpstr(text, ==, again);
    g_assert_cmpuint(cim_get_uint(back, "RecoveryHistory"), ==, 24);
    g_autofree char *given = cim_xml_text_given(i);
    cim_instance_auto supplied = cim_xml_parse(given, SETTING, NULL);
    g_assert_true(cim_given(supplied, "CompressionEnabled") && cim_given(supplied, "IncludedDisks"));
    g_assert_true(cim_given(back, "ReplicationInterval") && !cim_given(supplied, "ReplicationInterval")); /* a default, not set */
    g_assert_cmpstr(((struct cim_value *)g_ptr_array_index(cim_get(back, "IncludedDisks")->items, 1))->text, ==, "b&\"c");
}

static void
test_references(void)
{
    static const char xml_form[] = "<INSTANCE CLASSNAME=\"Msvm_SystemReplicationRelationship\"><PROPERTY.REFERENCE NAME=\"Antecedent\" "
                                   "REFERENCECLASS=\"x\"><VALUE.REFERENCE>"
                                   "<INSTANCEPATH><NAMESPACEPATH><HOST>h</HOST><LOCALNAMESPACEPATH><NAMESPACE "
                                   "NAME=\"root\"/></LOCALNAMESPACEPATH></NAMESPACEPATH>"
                                   "<INSTANCENAME CLASSNAME=\"Msvm_ComputerSystem\"><KEYBINDING "
                                   "NAME=\"Name\"><KEYVALUE>G</KEYVALUE></KEYBINDING></INSTANCENAME></INSTANCEPATH>"
                                   "</VALUE.REFERENCE></PROPERTY.REFERENCE><PROPERTY "
                                   "NAME=\"Dependent\"><VALUE>Msvm_ReplicationRelationship.InstanceID=\"M:G\\\\HVR\\\\0\"</VALUE>"
                                   "</PROPERTY></INSTANCE>";
    g_autoptr(GError) err = NULL;
    cim_instance_auto i = cim_xml_parse(xml_form, NULL, &err);
    g_assert_no_error(err);
    g_assert_cmpstr(cim_path_get(cim_get(i, "Antecedent")->ref, "Name"), ==, "G");
    g_assert_cmpstr(cim_path_get(cim_get(i, "Dependent")->ref, "InstanceID"), ==, "M:G\\HVR\\0");
}

static void
test_bad_references(void)
{
    static const char *const names[] = {
        "<INSTANCENAME CLASSNAME=\"C\"><KEYBINDING NAME=\"a/b\"><KEYVALUE>1</KEYVALUE></KEYBINDING></INSTANCENAME>",
        "<INSTANCENAME CLASSNAME=\"C\"><KEYBINDING NAME=\"a\"/></INSTANCENAME>", "<INSTANCENAME CLASSNAME=\"C.x\"/>",
        "<INSTANCENAME/>", "<OTHER/>", "",
    };
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GError) err = NULL;
        g_autofree char *text = g_strconcat("<INSTANCE CLASSNAME=\"Msvm_ElementSettingData\"><PROPERTY.REFERENCE NAME=\"SettingData\">",
                                            "<VALUE.REFERENCE>", names[i], "</VALUE.REFERENCE></PROPERTY.REFERENCE></INSTANCE>", NULL);
        g_assert_null(cim_xml_parse(text, NULL, &err));
        g_assert_true(err_is(err, ERR_INVALID_TYPE) && strstr(err->message, "'SettingData'"));
    }
}

static void
test_refused(void)
{
    static const char *const rows[] = {
        "",
        "text",
        "<INSTANCE/>",
        "<INSTANCE CLASSNAME=\"\"/>",
        "<INSTANCE CLASSNAME=\"Nope\"/>",
        "<INSTANCE CLASSNAME=\"Msvm_ConcreteJob\"/>",
        "<CLASS NAME=\"" SETTING "\"/>",
        "<INSTANCE CLASSNAME=\"" SETTING "\">",
        "<INSTANCE CLASSNAME=\"" SETTING "\"><PROPERTY><VALUE>1</VALUE></PROPERTY></INSTANCE>",
        "<INSTANCE CLASSNAME=\"" SETTING "\"><PROPERTY NAME=\"RecoveryHistory\"><VALUE>many</VALUE></PROPERTY></INSTANCE>",
        "<INSTANCE CLASSNAME=\"" SETTING "\"><PROPERTY NAME=\"RecoveryHistory\"><VALUE>65536</VALUE></PROPERTY></INSTANCE>",
        "<INSTANCE CLASSNAME=\"" SETTING "\"><PROPERTY NAME=\"RecoveryHistory\"><VALUE>1.5</VALUE></PROPERTY></INSTANCE>",
        "<INSTANCE CLASSNAME=\"" SETTING "\"><PROPERTY NAME=\"CompressionEnabled\"><VALUE>maybe</VALUE></PROPERTY></INSTANCE>",
        "<INSTANCE CLASSNAME=\"" SETTING "\"><PROPERTY NAME=\"AutoResynchronizeIntervalStart\"><VALUE>noon</VALUE></PROPERTY></INSTANCE>",
        "<INSTANCE CLASSNAME=\"" SETTING "\"><PROPERTY NAME=\"IncludedDisks\"><VALUE>x</VALUE></PROPERTY></INSTANCE>",
        "<INSTANCE CLASSNAME=\"" SETTING "\"><PROPERTY.ARRAY NAME=\"RecoveryHistory\"><VALUE.ARRAY/></PROPERTY.ARRAY></INSTANCE>",
        "<INSTANCE CLASSNAME=\"" SETTING "\"><PROPERTY.REFERENCE "
                                         "NAME=\"RecoveryHistory\"><VALUE.REFERENCE/></PROPERTY.REFERENCE></INSTANCE>",
        "<!DOCTYPE x [<!ENTITY e 'v'>]><INSTANCE CLASSNAME=\"" SETTING "\"/>",
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) err = NULL;
        g_test_message("%s", rows[i]);
        g_assert_null(cim_xml_parse(rows[i], SETTING, &err));
        g_assert_true(err_is(err, ERR_INVALID_TYPE));
    }
    g_autoptr(GError) err = NULL;
    g_autofree char *fill = g_strnfill(1 << 20, ' '), *big = g_strconcat("<INSTANCE CLASSNAME=\"" SETTING "\">", fill, "</INSTANCE>", NULL);
    g_assert_null(cim_xml_parse(big, SETTING, &err));
    g_assert_true(err_is(err, ERR_INVALID_TYPE));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    xml_init();
    g_test_add_func("/cim/cimxml/tolerant", test_tolerant);
    g_test_add_func("/cim/cimxml/round", test_round);
    g_test_add_func("/cim/cimxml/references", test_references);
    g_test_add_func("/cim/cimxml/bad-references", test_bad_references);
    g_test_add_func("/cim/cimxml/refused", test_refused);
    return g_test_run();
}
