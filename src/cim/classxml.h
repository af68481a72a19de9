/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/schema.h"

/* A class as CIM-XML (DSP0201 section 5.3.1): what clients ask for that look at a class before they use it, such as Get-CimClass.
 *
 * Properties and methods include the inherited ones, marked PROPAGATED.  Of the qualifiers there are those that decide how a client calls:
 * Key, Write, In, Out, Required, EmbeddedInstance, Association, Abstract.  Pure; any thread. */

char *cim_class_xml(const struct cim_class *c); /* <CLASS>...</CLASS>; g_free */
