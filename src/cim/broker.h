/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/dispatch.h"

/* What the files of dispatch share.  Immutable after cim_broker_new. */

struct cim_broker {
    char *host;
    void *user;
    GHashTable *providers; /* lower-case class name -> const struct cim_provider * */
};

const struct cim_provider *broker_provider(struct cim_broker *b, const struct cim_class *c); /* NULL: class without instances */
/* Instances of exactly that class, into `out`; source: hint for associations. */
bool broker_collect(struct cim_broker *b, const struct cim_class *c, const struct cim_path *source, GPtrArray *out, GError **err);
const struct cim_class *broker_class(const char *ns, const char *name, GError **err);
bool broker_access(const struct cim_caller *c, enum cim_role least, GError **err);
/* True when every key that `path` names has that value in the instance. */
bool broker_keys_fit(const struct cim_path *path, const struct cim_instance *i);
/* References to the same object: class by inheritance, keys of `path` may be partial. */
bool broker_same_object(const struct cim_path *path, const struct cim_path *reference);
