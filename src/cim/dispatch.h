/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/instance.h"
#include "cim/query.h"

/* The one internal API (design D5): every door (WS-Management, JSON, CLI) ends in these operations, every class is behind them.
 *
 * A provider is one row per class.  enumerate emits all its instances; get is the fast path for one (without it, it is found by
 * enumerating).  get is called with all keys except perhaps CreationClassName and SystemCreationClassName, also for queries whose condition
 * names these keys.  ERR_NO_SUCH_INSTANCE says that there is none; NULL without an error that get does not know, then all are looked at.
 * An association class is a provider like any other: its instances have two references; associators are computed from them, with
 * `source` (all keys) as a hint so that a provider may emit only those that touch it.
 *
 * Methods get decoded arguments and answer a ReturnValue; an error explains a refusal in words (for the log and the caller's message),
 * and dispatch translates it by the table of base/err.h unless the method gave a code of its own.  Checks in the order of contract 0.3:
 * access, missing ("Required" in the MOF), undecodable, then the provider's own.  Providers are called from many threads at once. */

enum cim_role { CIM_NOBODY, CIM_VIEWER, CIM_OPERATOR, CIM_ADMINISTRATOR };
/* From the same words of another layer, which has them in the same order: 0 nobody .. 3 administrator; anything else is nobody. */
static inline enum cim_role
cim_role_of(unsigned role)
{
    return role <= CIM_ADMINISTRATOR ? (enum cim_role)role : CIM_NOBODY;
}
struct cim_caller {
    const char *user;
    enum cim_role role;
    const char *address;             /* where from: "192.0.2.7", "unix"; NULL: unknown */
};

struct cim_args;
struct cim_args *cim_args_new(void);
void cim_args_free(struct cim_args *a);
void cim_args_set(struct cim_args *a, const char *name, struct cim_value value);      /* takes */
/* It came, but could not be decoded (takes why): the method refuses it with that error, after access and what is missing. */
void cim_args_set_bad(struct cim_args *a, const char *name, GError *why);
const GError *cim_args_bad(const struct cim_args *a, guint i);                        /* NULL: it is fine */
const struct cim_value *cim_args_get(const struct cim_args *a, const char *name);     /* NULL: absent or null */
const char *cim_args_string(const struct cim_args *a, const char *name);              /* NULL: absent */
guint cim_args_count(const struct cim_args *a);
const char *cim_args_name(const struct cim_args *a, guint i);
const struct cim_value *cim_args_at(const struct cim_args *a, guint i);

struct cim_call {
    const struct cim_caller *caller;
    const struct cim_path *path;     /* of the instance, all keys */
    const struct cim_args *in;
    struct cim_args *out;
    void *user;                      /* of the broker */
};

typedef bool (*cim_emit)(void *sink, struct cim_instance *i); /* takes i; false: enough */
struct cim_method_row {
    const char *name;
    enum cim_role role;              /* at least */
    guint32 (*invoke)(struct cim_call *call, GError **err);
    guint32 (*code)(const GError *why); /* of a refusal, for methods with a set of their own; NULL: the table of base/err.h */
};
struct cim_provider {
    const char *cls;
    bool (*enumerate)(void *user, const struct cim_path *source, cim_emit emit, void *sink, GError **err);
    struct cim_instance *(*get)(void *user, const struct cim_path *path, GError **err);
    const struct cim_method_row *methods; /* ends with name NULL; NULL: none */
};

struct cim_broker;
/* providers: NULL-terminated array that lives as long as the broker. */
struct cim_broker *cim_broker_new(const char *host, const struct cim_provider *const *providers, void *user);
void cim_broker_free(struct cim_broker *b);
const char *cim_broker_host(const struct cim_broker *b);

/* Results are GPtrArrays of struct cim_instance that free them. */
GPtrArray *cim_enumerate(struct cim_broker *b, const struct cim_caller *c, const char *ns, const char *cls, GError **err);
/* Partial keys are enough when exactly one instance fits. */
struct cim_instance *cim_get_instance(struct cim_broker *b, const struct cim_caller *c, const struct cim_path *path, GError **err);
GPtrArray *cim_execute(struct cim_broker *b, const struct cim_caller *c, const char *ns, const struct cim_query *q, GError **err);
GPtrArray *cim_query_run(struct cim_broker *b, const struct cim_caller *c, const char *ns, const char *text, GError **err);
/* in: values as they came (text, references, arrays of them); they are converted to the method's types.  false with an error: the
 * operation itself failed (a fault); true: *result is the ReturnValue and `why` (g_free, may be NULL) its reason. */
bool cim_invoke(struct cim_broker *b, const struct cim_caller *c, const struct cim_path *path, const char *method,
                const struct cim_args *in, struct cim_args *out, guint32 *result, char **why, GError **err);
