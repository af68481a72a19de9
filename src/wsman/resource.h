/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/xml.h"
#include "cim/path.h"

/* Resource URIs and endpoint references (EPRs): how WS-Management names classes and instances.
 *
 *   WMI family   http://schemas.microsoft.com/wbem/wsman/1/wmi/root/virtualization/v2/Class
 *   DMTF family  http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/Class, namespace in selector __cimnamespace
 *
 * MI clients (PowerShell CIM cmdlets) use the second one for Msvm_ classes, too, and expect replies in the family of the request.
 * An EPR is a:Address, a:ReferenceParameters(w:ResourceURI, w:SelectorSet); as a property or parameter it stands directly inside the
 * element (wire rule 14), a wrapping a:EndpointReference is tolerated when read.  Pure; any thread. */

enum family { FAMILY_WMI, FAMILY_DMTF };

struct resource {
    enum family family;
    bool schema; /* URI_CLASSES: the class is meant, not its instances */
    char *ns;   /* normalised; NULL: the URI does not tell (DMTF) */
    char *cls;  /* "*": all classes */
};
void resource_clear(struct resource *r);
bool resource_parse(const char *uri, struct resource *out);                 /* false: neither family */
char *resource_uri(enum family family, const char *ns, const char *cls);    /* g_free */

/* The text of a w:Selector: plain, or the path of an EPR in it (keys that are references).  g_free. */
char *resource_selector(const xmlNode *selector, GError **err);

bool epr_inside(const xmlNode *holder);                                     /* holds an EPR, wrapped or not */
struct cim_path *epr_read(const xmlNode *holder, GError **err);             /* FAULT_SCHEMA */
/* Appends a:Address and a:ReferenceParameters.  path->ns NULL: the default namespace. */
void epr_write(GString *out, enum family family, const struct cim_path *path);
