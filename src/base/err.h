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
 * CLI, to the question whether the same request can succeed later without an operator ("retry"; contract section 4.6), and to the words
 * that tell people why this happens and what to do next.
 *
 * An error can have a cause, which is an error, too (err_wrap): what the caller sees first says what did not work, its cause says why.
 *
 * Any thread. */

/*        name, id, CIM code, SOAP fault, HTTP status, exit status, retry,
 *        ErrorType, ProbableCause and CIMStatusCode of Msvm_Error (contract 1.20), probable cause, recommended next step */
#define ERR_TABLE(X) \
    X(ERR_FAILED, "failed", 32768, "w:InternalError", 500, 1, true, 4, 47, 1, \
      "Something went wrong that has no code of its own.", \
      "Read the daemon's log lines around this time.") \
    X(ERR_ACCESS_DENIED, "access-denied", 32769, "w:AccessDenied", 403, 2, false, 7, 65, 2, \
      "The caller may not do this.", \
      "Ask an administrator, or sign in as a user with a higher role.") \
    X(ERR_NOT_SUPPORTED, "not-supported", 32770, "w:UnsupportedFeature", 501, 3, false, 10, 8, 7, \
      "This version, or the hypervisor, cannot do this.", \
      "Read docs/status.md for what is supported.") \
    X(ERR_STATUS_UNKNOWN, "status-unknown", 32771, "w:InternalError", 500, 4, true, 4, 122, 1, \
      "The state could not be found out.", \
      "Ask again; look at the state of the virtual machine on both hosts.") \
    X(ERR_TIMEOUT, "timeout", 32772, "w:TimedOut", 504, 5, true, 2, 111, 1, \
      "There was no answer in time.", \
      "Look at the load of the host and the network between the hosts, then try again.") \
    X(ERR_INVALID_PARAMETER, "invalid-parameter", 32773, "w:InvalidParameter", 400, 6, false, 4, 8, 4, \
      "A value is missing, out of its range, or names something that does not exist.", \
      "Correct the value that the message names.") \
    X(ERR_IN_USE, "in-use", 32774, "w:Concurrency", 409, 7, true, 9, 72, 1, \
      "Another operation holds the virtual machine.", \
      "Wait for the end of its job, or cancel that.") \
    X(ERR_INVALID_STATE, "invalid-state", 32775, "w:InternalError", 409, 8, false, 4, 129, 1, \
      "The state of replication, or the power of the virtual machine, does not permit this.", \
      "Bring the virtual machine into the state that the message names.") \
    X(ERR_INVALID_TYPE, "invalid-type", 32776, "w:SchemaValidationError", 400, 9, false, 4, 76, 13, \
      "An argument could not be decoded, or is of another type.", \
      "Send the argument in the form that the API describes.") \
    X(ERR_NOT_AVAILABLE, "not-available", 32777, "a:EndpointUnavailable", 503, 10, true, 9, 57, 1, \
      "The hypervisor, a disk image, an agent or the other host cannot be reached.", \
      "See that it runs and can be reached, then try again.") \
    X(ERR_NO_MEMORY, "no-memory", 32778, "w:QuotaLimit", 500, 11, true, 8, 33, 1, \
      "There is not enough memory.", \
      "Free memory on the host, then try again.") \
    X(ERR_NOT_FOUND, "not-found", 32779, "a:DestinationUnreachable", 404, 12, false, 4, 73, 6, \
      "A file or folder that is needed does not exist.", \
      "Make it, or name another.") \
    /* finer causes, which the contract folds into the fourteen above */ \
    X(ERR_IO, "io", 32768, "w:InternalError", 500, 13, true, 6, 24, 1, \
      "A file or device could not be read or written.", \
      "Look at the kernel's log and at the storage below the file.") \
    X(ERR_NO_SPACE, "no-space", 32768, "w:QuotaLimit", 507, 14, true, 8, 50, 1, \
      "A file system or a quota is full.", \
      "Free space, or give the replica more; replication goes on by itself.") \
    X(ERR_CORRUPT, "corrupt", 32768, "w:InternalError", 422, 15, false, 4, 10, 1, \
      "Stored or received data does not have its checksum.", \
      "Verify the storage and the memory of both hosts; damaged data was not used.") \
    X(ERR_NETWORK, "network", 32777, "a:EndpointUnavailable", 502, 16, true, 2, 5, 1, \
      "The connection to the other host could not be made, or broke.", \
      "Look at the network, the port and the certificates of both hosts.") \
    X(ERR_PEER_REFUSED, "peer-refused", 32768, "w:AccessDenied", 403, 17, false, 7, 64, 2, \
      "The other host does not accept this.", \
      "Read the other host's log; enable it as a replica server and authorise this host there.") \
    X(ERR_FAILED_OVER, "failed-over", 32775, "w:InternalError", 410, 18, false, 4, 129, 1, \
      "The replica was failed over, so it takes no changes any more.", \
      "Reverse the replication, or revert the failover on the replica's host.") \
    X(ERR_OUT_OF_SEQUENCE, "out-of-sequence", 32768, "w:InternalError", 412, 19, true, 4, 124, 1, \
      "The other host stands at another place in the sequence of changes.", \
      "Nothing; both hosts find the common place by themselves.") \
    X(ERR_TRACKING_LOST, "tracking-lost", 32768, "w:InternalError", 500, 20, true, 4, 122, 1, \
      "It is not known any more which blocks changed.", \
      "Nothing; the disks are read again and compared.") \
    X(ERR_CANCELLED, "cancelled", 32768, "w:InternalError", 500, 21, false, 1, 110, 1, \
      "Somebody cancelled the job.", \
      "Ask for the same again when it is wanted.") \
    X(ERR_NO_SUCH_CLASS, "no-such-class", 32773, "a:DestinationUnreachable", 404, 22, false, 4, 73, 5, \
      "There is no class of that name in the namespace.", \
      "Correct the name of the class or of the namespace.") \
    X(ERR_NO_SUCH_INSTANCE, "no-such-instance", 32773, "a:DestinationUnreachable", 404, 23, false, 4, 73, 6, \
      "There is no object with these keys (any more).", \
      "List the objects of the class and take one of these.") \
    X(ERR_NO_SUCH_METHOD, "no-such-method", 32770, "a:ActionNotSupported", 404, 24, false, 10, 73, 17, \
      "The class has no such method on this host.", \
      "Correct the name of the method.") \
    X(ERR_BAD_QUERY, "bad-query", 32773, "n:CannotProcessFilter", 400, 25, false, 4, 76, 15, \
      "The query could not be understood.", \
      "Correct the query at the position that the message names.") \
    X(ERR_MALFORMED, "malformed", 32776, "w:SchemaValidationError", 400, 26, false, 4, 18, 13, \
      "The data is not in the format that is expected.", \
      "Send it in the form that the API describes.") \
    X(ERR_TOO_BIG, "too-big", 32773, "w:EncodingLimit", 413, 27, false, 8, 44, 4, \
      "The data is bigger than its limit.", \
      "Send less, or in parts.") \
    X(ERR_EXISTS, "exists", 32773, "w:AlreadyExists", 409, 28, false, 4, 79, 11, \
      "There is something of that identity already.", \
      "Remove it, or choose another.") \
    X(ERR_USAGE, "usage", 32773, "w:InvalidParameter", 400, 64, false, 4, 8, 4, \
      "The command line could not be understood.", \
      "Read the help of the command.")

enum err_code {
#define X(name, ...) name,
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
    guint type, probable, status; /* ErrorType, ProbableCause, CIMStatusCode */
    const char *cause, *next;     /* sentences */
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
/* *err, which is set, becomes the cause of a new error of that code. */
gboolean err_wrap(GError **err, enum err_code code, const char *format, ...) G_GNUC_PRINTF(3, 4);
const GError *err_cause(const GError *err); /* NULL: none is known; lives as long as err */
gboolean err_is(const GError *err, enum err_code code);
/* Of opening and reading what is stored here: it says nothing, or something that is not understood, and will do so the next time, too
 * (ERR_CORRUPT, ERR_NOT_SUPPORTED, or err_errno of what a bad disk or file system answers).  Any other error (no descriptor, no memory,
 * no right) says nothing about what is stored. */
gboolean err_is_damage(const GError *err);
