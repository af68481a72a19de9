/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/err.h"
#include "net/identity.h"
#include "net/pki.h"

/* A temporary folder with a CA and certificates made by net/pki.  Failures end the test. */

struct box {
    char *dir, *ca;
};
void box_open(struct box *b);
void box_close(struct box *b);
char *box_path(const struct box *b, const char *name); /* g_free */
/* The identity of a host of this box; box_issue before it if it has no certificate yet. */
void box_issue(const struct box *b, const char *name, enum pki_usage usages, guint days, gint64 from_us);
struct net_identity *box_identity(const struct box *b, const char *name); /* both usages, valid now */
/* Has a certificate of `b` and trusts the CA of `trust`, too. */
struct net_identity *box_stranger(const struct box *b, const struct box *trust, const char *name);
