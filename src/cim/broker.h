/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/dispatch.h"

/* What the files of dispatch share.  Immutable after cim_broker_new. */

struct broker_row {
    const struct cim_class *cls;
    const struct cim_provider *provider;
};
struct cim_broker {
    char *host;
    void *user;
    GArray *rows;          /* struct broker_row, in the order of registration */
    GHashTable *providers; /* const struct cim_class * -> const struct cim_provider * */
};

const struct broker_row *broker_row(const struct cim_broker *b, guint i); /* NULL behind the last one */
const struct cim_provider *broker_provider(struct cim_broker *b, const struct cim_class *c); /* NULL: class without instances */
/* Instances of exactly that class, into `out`; source: hint for associations. */
bool broker_collect(struct cim_broker *b, const struct broker_row *row, const struct cim_path *source, GPtrArray *out, GError **err);
/* ASSOCIATORS OF and REFERENCES OF. */
GPtrArray *broker_associate(struct cim_broker *b, const struct cim_caller *c, const char *ns, const struct cim_query *q, GError **err);
const struct cim_class *broker_class(const char *ns, const char *name, GError **err);
bool broker_access(const struct cim_caller *c, enum cim_role least, GError **err);
/* Do these keys leave at most one instance?  The keys that only repeat the name of a class may be missing. */
bool broker_identifies(const struct cim_class *c, const struct cim_path *path);
/* The instance of a path that identifies, by the provider's get.  BROKER_ASK_ALL: get did not know. */
enum broker_answer { BROKER_FOUND, BROKER_NONE, BROKER_ASK_ALL, BROKER_FAILED };
enum broker_answer broker_get(struct cim_broker *b, const struct cim_provider *p, const struct cim_path *path, struct cim_instance **out,
                              GError **err);
/* True when every key that `path` names has that value in the instance. */
bool broker_keys_fit(const struct cim_path *path, const struct cim_instance *i);
/* References to the same object: class by inheritance, keys of `path` may be partial. */
bool broker_same_object(const struct cim_path *path, const struct cim_path *reference);
