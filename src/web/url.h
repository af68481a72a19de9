/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/path.h"
#include "cim/schema.h"

/* Where things are in the JSON API: URLs to objects and back.
 *
 *   /api/v1                                 what there is
 *   /api/v1/classes[/NAMESPACE/CLASS]       the schema
 *   /api/v1/openapi.json, /api/v1/events
 *   /api/v1/NAMESPACE/CLASS                 its instances; NAMESPACE is e.g. root/virtualization/v2
 *   /api/v1/NAMESPACE/CLASS/KEY             one; below it associators, references, or the name of a method
 *
 * KEY is the value alone where a class has one key besides CreationClassName and SystemCreationClassName; otherwise, and where one likes,
 * Name=value;Name=value (a part of the keys is enough when it fits one instance); or @: the only one.  Inside values everything but
 * letters, digits and - . _ ~ : is percent-encoded.  Names are found without regard to case.  Pure; any thread. */

#define URL_BASE "/api/v1"

enum url_kind {
    URL_ROOT, URL_OPENAPI, URL_EVENTS, URL_CLASSES, URL_CLASS, URL_LIST, URL_INSTANCE, URL_ASSOCIATORS, URL_REFERENCES, URL_METHOD
};
struct url {
    enum url_kind kind;
    const struct cim_class *cls;   /* from URL_CLASS on */
    struct cim_path *path;         /* from URL_INSTANCE on */
    char *method;                  /* of URL_METHOD; not looked up */
    GPtrArray *query;              /* name, value, name, value; NULL: none was asked for */
};

/* A request target, query included.  ERR_NOT_FOUND: nothing is there; ERR_NO_SUCH_CLASS; ERR_MALFORMED: bad encoding;
 * ERR_INVALID_PARAMETER: a key without its name, or twice. */
bool url_parse(const char *target, struct url *out, GError **err);
void url_clear(struct url *u);
#define url_auto __attribute__((cleanup(url_clear))) struct url

const char *url_query(const struct url *u, const char *name); /* NULL: absent */
/* Refuses what is given twice or not in `known` (words with spaces between): ERR_INVALID_PARAMETER. */
bool url_check_query(const struct url *u, const char *known, GError **err);

char *url_of(const struct cim_path *path, const char *ns);    /* ns: where path has none; an unknown class: the path's text; g_free */
char *url_of_class(const struct cim_class *c);                /* g_free */
void url_append(GString *out, const char *text);              /* percent-encoded */
/* A reference as a client writes it: an object's URL, or its path as text.  ERR_INVALID_TYPE. */
struct cim_path *url_reference(const char *text, GError **err);
