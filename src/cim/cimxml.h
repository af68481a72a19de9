/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"

/* Embedded instances as text: CIM-XML INSTANCE elements (DSP0201, DTD 2.0), what .NET's GetText(WmiDtd20) writes.
 *
 * Reading tolerates an XML declaration, white space, any order, QUALIFIER elements, absent VALUE (null), absent TYPE, unknown properties
 * (ignored), and a subclass of the class that is expected.  ERR_INVALID_TYPE: no CIM-XML, another class, a value of the wrong type. */

struct cim_instance *cim_xml_parse(const char *text, const char *expected_class, GError **err);
char *cim_xml_text(const struct cim_instance *i); /* g_free */
char *cim_xml_text_given(const struct cim_instance *i); /* only what was set: defaults stay "not supplied"; g_free */
