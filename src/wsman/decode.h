/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/xml.h"
#include "cim/dispatch.h"

/* XML as CIM values: invoke arguments in every form that clients send (wire rules 14 and 15), and instances for our own client.
 *
 * An argument is text, an EPR (wrapped or not), an embedded instance with xsi:type (as a reference: its keys; as a string: its CIM-XML
 * text), a datetime wrapped in an element of the cim namespace, or null (absent, xsi:nil).  Elements that repeat make an array.
 * Errors: FAULT_SCHEMA, FAULT_PARAMETER_NAME.  Pure; any thread. */

/* input: the <Method_INPUT> element, NULL: no arguments.  Values stay as they came; cim dispatch converts them to the method's types. */
bool decode_arguments(const xmlNode *input, const struct cim_method *method, struct cim_args *out, GError **err);

/* The values of a <Method_OUTPUT> element in the method's types; ReturnValue apart. */
bool decode_output(const xmlNode *output, const struct cim_method *method, struct cim_args *out, guint32 *result, GError **err);

/* An instance inside of an element: its class is that of xsi:type; likewise. */
struct cim_instance *decode_object(const xmlNode *element, GError **err);

/* An instance element; unknown properties are left out.  ERR_NO_SUCH_CLASS. */
struct cim_instance *decode_instance(const xmlNode *element, GError **err);
