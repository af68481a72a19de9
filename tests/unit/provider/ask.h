/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cim/cimxml.h"
#include "cim/dispatch.h"
#include "repl/work.h"
#include "world.h"

/* A world of two hosts (tests/unit/repl) with the management API of both, and methods called as a client would call them.
 *
 * Guests: `vm` is replicated from a to b with recovery points on b; `plain` is on a only, not replicated, with a channel for the agent.
 * Where text is given, these words stand for references and GUIDs:
 *
 *   @vm @plain @nobody @host @test        Msvm_ComputerSystem (test: the test guest of vm on b)
 *   @vset @pset @nset @point              Msvm_VirtualSystemSettingData of vm, plain, nobody, and a recovery point of vm
 *   @VM @PLAIN @NOBODY @POINT             the GUIDs
 *   @job                                  Msvm_ConcreteJob `job`
 *   @port @thumb                          where a reaches b's replication, and a's certificate
 *   @vmms @vssnapsvc @replicasvc @collections @collreplicasvc   the services of the host that is asked
 *   @group @GROUP                         Msvm_VirtualSystemCollection with the GUID ASK_GROUP, when it was made
 *
 * Failures end the test. */

#define ASK_GROUP "5D2C7A0E-6F1B-4C7E-9B52-0C2F4E8A7D11"

struct ask {
    struct world w;
    struct cim_broker *a, *b;
    struct uuid vm, plain, nobody, point, test;
    char job[UUID_TEXT];
};
void ask_open(struct ask *f, bool replicated); /* false: `vm` is a guest like plain, and there is no point */
void ask_close(struct ask *f);
void ask_state(struct ask *f, struct host *h, enum repl_state state); /* of vm's relationship, by hand */

/* Calls a method of the object that `path` names.  in: "Name=text|Array[]=text;text"; out NULL: not wanted, else cim_args_free. */
guint32 ask_call(struct ask *f, struct cim_broker *b, enum cim_role role, const char *path, const char *method, const char *in,
                 struct cim_args **out);
/* Every call is noted as a line of docs/return-codes.md when the environment names a file in ASK_TABLE; this says in which situation the
 * following ones happen (a sentence's half; NULL: none in particular). */
void ask_situation(const char *text);
struct row {
    const char *path, *method, *in;
    guint32 code;
};
void ask_rows(struct ask *f, struct cim_broker *b, const struct row *rows, guint count); /* as an administrator */
/* The method is closed to a lower role and open to `least` (which gets another answer than 32769). */
void ask_role(struct ask *f, struct cim_broker *b, const char *path, const char *method, const char *in, enum cim_role least);

struct cim_instance *ask_get(struct ask *f, struct cim_broker *b, const char *path);
GPtrArray *ask_query(struct ask *f, struct cim_broker *b, const char *wql); /* instances; unref */
bool ask_null(const struct cim_instance *i, const char *property);
