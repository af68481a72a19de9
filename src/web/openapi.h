/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* The OpenAPI 3.1 document, made from schema/ at build time by tools/openapi.  Constant; any thread. */

extern const char web_openapi[];
extern const size_t web_openapi_len;
