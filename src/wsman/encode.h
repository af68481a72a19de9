/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"
#include "wsman/resource.h"

/* CIM values as XML (wire contract section 3; DSP0230): null scalars are xsi:nil elements, null and empty arrays are nothing, datetimes
 * are wrapped in cim:Datetime or cim:Interval, references are EPRs directly inside the element.  Pure; any thread. */

/* <p:name>...</p:name>, for arrays once per item.  The prefix p must be in scope, as are a, w, xsi and cim. */
void encode_value(GString *out, const char *name, const struct cim_value *value, enum family family);

/* An instance as element <p:as>, with the namespace of that class's URI; as NULL: its own class.  select: names of the properties to
 * write, NULL: all.  Properties come sorted by name, as Windows writes them. */
void encode_instance(GString *out, const struct cim_instance *i, const char *as, const GPtrArray *select, enum family family);

/* An instance as the value of a parameter: <p:name xsi:type="q:Class_Type"> with its properties inside, in the namespace of their class. */
void encode_object(GString *out, const char *name, const struct cim_instance *i, enum family family);

/* The EPR of an instance, in a:EndpointReference. */
void encode_epr(GString *out, const struct cim_instance *i, enum family family);
