/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Errors: one channel (GError, one domain), one table.
 *
 * A function that can fail returns bool or a pointer and takes a GError **.  It reports or it returns, never both.  The message is a
 * complete sentence, names the object in 'quotes', and says what to do next where the reader can do something.  Programmer errors are
 * g_assert()ed; what comes from the wire, a disk, XML, QEMU or libvirt is an error, never an assert.
 *
 * The table is the only place where a failure is translated: to the CIM return value or job ErrorCode (contract section 0.3), to the
 * WS-Management fault (DSP0226, contract wire rules), to the HTTP status of our own replication protocol, to the exit status of the
 * CLI, and to the question whether the same request can succeed later without an operator ("retry"; contract section 4.6).
 *
 * Any thread. */

/*        name                id                    CIM    SOAP fault                      HTTP exit retry */
#define ERR_TABLE(X) \
    X(ERR_FAILED,             "failed",             32768, "w:InternalError",              500,  1,  true)  \
    X(ERR_ACCESS_DENIED,      "access-denied",      32769, "w:AccessDenied",               403,  2,  false) \
    X(ERR_NOT_SUPPORTED,      "not-supported",      32770, "w:UnsupportedFeature",         501,  3,  false) \
    X(ERR_STATUS_UNKNOWN,     "status-unknown",     32771, "w:InternalError",              500,  4,  true)  \
    X(ERR_TIMEOUT,            "timeout",            32772, "w:TimedOut",                   504,  5,  true)  \
    X(ERR_INVALID_PARAMETER,  "invalid-parameter",  32773, "w:InvalidParameter",           400,  6,  false) \
    X(ERR_IN_USE,             "in-use",             32774, "w:Concurrency",                409,  7,  true)  \
    X(ERR_INVALID_STATE,      "invalid-state",      32775, "w:InternalError",              409,  8,  false) \
    X(ERR_INVALID_TYPE,       "invalid-type",       32776, "w:SchemaValidationError",      400,  9,  false) \
    X(ERR_NOT_AVAILABLE,      "not-available",      32777, "a:EndpointUnavailable",        503, 10,  true)  \
    X(ERR_NO_MEMORY,          "no-memory",          32778, "w:QuotaLimit",                 500, 11,  true)  \
    X(ERR_NOT_FOUND,          "not-found",          32779, "a:DestinationUnreachable",     404, 12,  false) \
    /* finer causes, which the contract folds into the fourteen above */ \
    X(ERR_IO,                 "io",                 32768, "w:InternalError",              500, 13,  true)  \
    X(ERR_NO_SPACE,           "no-space",           32768, "w:QuotaLimit",                 507, 14,  true)  \
    X(ERR_CORRUPT,            "corrupt",            32768, "w:InternalError",              422, 15,  false) \
    X(ERR_NETWORK,            "network",            32777, "a:EndpointUnavailable",        502, 16,  true)  \
    X(ERR_PEER_REFUSED,       "peer-refused",       32768, "w:AccessDenied",               403, 17,  false) \
    X(ERR_FAILED_OVER,        "failed-over",        32775, "w:InternalError",              410, 18,  false) \
    X(ERR_OUT_OF_SEQUENCE,    "out-of-sequence",    32768, "w:InternalError",              412, 19,  true)  \
    X(ERR_TRACKING_LOST,      "tracking-lost",      32768, "w:InternalError",              500, 20,  true)  \
    X(ERR_CANCELLED,          "cancelled",          32768, "w:InternalError",              500, 21,  false) \
    X(ERR_NO_SUCH_CLASS,      "no-such-class",      32773, "a:DestinationUnreachable",     404, 22,  false) \
    X(ERR_NO_SUCH_INSTANCE,   "no-such-instance",   32773, "a:DestinationUnreachable",     404, 23,  false) \
    X(ERR_NO_SUCH_METHOD,     "no-such-method",     32770, "a:ActionNotSupported",         404, 24,  false) \
    X(ERR_BAD_QUERY,          "bad-query",          32773, "n:CannotProcessFilter",        400, 25,  false) \
    X(ERR_MALFORMED,          "malformed",          32776, "w:SchemaValidationError",      400, 26,  false) \
    X(ERR_TOO_BIG,            "too-big",            32773, "w:EncodingLimit",              413, 27,  false) \
    X(ERR_EXISTS,             "exists",             32773, "w:AlreadyExists",              409, 28,  false) \
    X(ERR_USAGE,              "usage",              32773, "w:InvalidParameter",           400, 64,  false)

enum err_code {
#define X(name, id, cim, fault, http, exit, retry) name,
    ERR_TABLE(X)
#undef X
    ERR_COUNT
};

struct err_info {
    const char *id;    /* stable word for JSON, logs and the database */
    guint cim;         /* ReturnValue and Msvm_ConcreteJob.ErrorCode */
    const char *fault; /* SOAP subcode as prefix:name */
    guint http;
    int exit;
    gboolean retry;
};

#define ERR err_quark()
GQuark err_quark(void);

const struct err_info *err_info(enum err_code code);
const struct err_info *err_info_of(const GError *err); /* errors of other domains count as ERR_FAILED */
gboolean err_from_id(const char *id, enum err_code *code);

/* All return false, so that a bool function can end with `return err_set(...)`.  err may be NULL. */
gboolean err_set(GError **err, enum err_code code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* Appends ": " and strerror(errno); ENOSPC, EDQUOT -> ERR_NO_SPACE, ENOENT -> ERR_NOT_FOUND, EACCES, EPERM -> ERR_ACCESS_DENIED,
 * ENOMEM -> ERR_NO_MEMORY, everything else -> ERR_IO. */
gboolean err_errno(GError **err, const char *format, ...) G_GNUC_PRINTF(2, 3);
gboolean err_is(const GError *err, enum err_code code);
