/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "model.h"

/* A store with its model in a folder of its own: what most tests of the store begin with.  Failures end the test. */

struct fixture {
    struct model *model;
    struct store *store;
    char *dir;
};

extern char *fixture_root; /* where they lie */
int fixture_run(void);     /* g_test_run with fixture_root, which is gone afterwards */
/* For g_test_add; the store and its logs go with it. */
void fixture_setup(struct fixture *f, gconstpointer data);
void fixture_teardown(struct fixture *f, gconstpointer data);
struct version *fixture_step(struct fixture *f, bool fuzzy); /* of the model, and into the store */
