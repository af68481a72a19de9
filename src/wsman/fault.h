/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/err.h"

/* SOAP faults (DSP0226 section 14, wire contract section 4).
 *
 * A fault is a GError on its way: either of the domain WSMAN_FAULT, whose codes are the rows below, or any other, which the table of
 * base/err.h and fault_of turn into a row.  The number is the HRESULT that Windows writes into WSManFault/@Code.  Faults travel with HTTP
 * status 500 (openwsman shows the text of no other), what is no SOAP at all with 400.  Pure; any thread. */

/*     name                 s:Value         subcode                           detail                    number   http  err */
#define FAULT_TABLE(X)                                                                                                                     \
    X(FAULT_INTERNAL, "s:Receiver", "w:InternalError", "", 2150859010, 500, ERR_FAILED)                                                    \
    X(FAULT_MALFORMED, "s:Sender", "w:SchemaValidationError", "", 2150858819, 400, ERR_MALFORMED)                                          \
    X(FAULT_NOT_SOAP, "s:Sender", "w:SchemaValidationError", "", 2150858791, 400, ERR_MALFORMED)                                           \
    X(FAULT_SCHEMA, "s:Sender", "w:SchemaValidationError", "", 2150858817, 500, ERR_INVALID_TYPE)                                          \
    X(FAULT_VERSION, "s:VersionMismatch", "", "", 2150858765, 500, ERR_MALFORMED)                                                          \
    X(FAULT_MUST_UNDERSTAND, "s:MustUnderstand", "", "", 2150858768, 500, ERR_NOT_SUPPORTED)                                               \
    X(FAULT_LOCALE, "s:Sender", "w:UnsupportedFeature", "Locale", 2150858887, 500, ERR_NOT_SUPPORTED)                                      \
    X(FAULT_DATA_LOCALE, "s:Sender", "w:UnsupportedFeature", "DataLocale", 2150858818, 500, ERR_NOT_SUPPORTED)                             \
    X(FAULT_FRAGMENT, "s:Sender", "w:UnsupportedFeature", "FragmentLevelAccess", 2150858818, 500, ERR_NOT_SUPPORTED)                       \
    X(FAULT_UNSUPPORTED, "s:Sender", "w:UnsupportedFeature", "", 2150858818, 500, ERR_NOT_SUPPORTED)                                       \
    X(FAULT_ACTION, "s:Sender", "a:ActionNotSupported", "", 2150858771, 500, ERR_NO_SUCH_METHOD)                                           \
    X(FAULT_HEADER_MISSING, "s:Sender", "a:MessageInformationHeaderRequired", "", 2150858769, 500, ERR_MALFORMED)                          \
    X(FAULT_HEADER_INVALID, "s:Sender", "a:InvalidMessageInformationHeader", "", 2150858767, 500, ERR_MALFORMED)                           \
    X(FAULT_RESOURCE, "s:Sender", "a:DestinationUnreachable", "InvalidResourceURI", 2150858811, 500, ERR_NO_SUCH_CLASS)                    \
    X(FAULT_CLASS, "s:Sender", "a:DestinationUnreachable", "InvalidResourceURI", 2150858770, 500, ERR_NO_SUCH_CLASS)                       \
    X(FAULT_INSTANCE, "s:Sender", "a:DestinationUnreachable", "InvalidResourceURI", 2150858752, 500, ERR_NO_SUCH_INSTANCE)                 \
    X(FAULT_NOT_FOUND, "s:Sender", "a:DestinationUnreachable", "", 2150858752, 500, ERR_NOT_FOUND)                                         \
    X(FAULT_SELECTORS, "s:Sender", "w:InvalidSelectors", "InvalidValue", 2150858845, 500, ERR_INVALID_PARAMETER)                           \
    X(FAULT_SELECTORS_MISSING, "s:Sender", "w:InvalidSelectors", "InsufficientSelectors", 2150858842, 500, ERR_INVALID_PARAMETER)          \
    X(FAULT_SELECTORS_UNEXPECTED, "s:Sender", "w:InvalidSelectors", "UnexpectedSelectors", 2150858843, 500, ERR_INVALID_PARAMETER)         \
    X(FAULT_SELECTORS_AMBIGUOUS, "s:Sender", "w:InvalidSelectors", "AmbiguousSelectors", 2150858846, 500, ERR_INVALID_PARAMETER)           \
    X(FAULT_SELECTORS_DUPLICATE, "s:Sender", "w:InvalidSelectors", "DuplicateSelectors", 2150858847, 500, ERR_INVALID_PARAMETER)           \
    X(FAULT_NAMESPACES, "s:Sender", "w:InvalidSelectors", "", 2150859067, 500, ERR_INVALID_PARAMETER)                                      \
    X(FAULT_OPTIONS, "s:Sender", "w:InvalidOptions", "NotSupported", 2150858809, 500, ERR_NOT_SUPPORTED)                                   \
    X(FAULT_PARAMETER, "s:Sender", "w:InvalidParameter", "InvalidValue", 2150858810, 500, ERR_INVALID_PARAMETER)                           \
    X(FAULT_PARAMETER_NAME, "s:Sender", "w:InvalidParameter", "InvalidName", 2150858837, 500, ERR_INVALID_PARAMETER)                       \
    X(FAULT_FILTER, "s:Sender", "n:CannotProcessFilter", "", 2150858778, 500, ERR_BAD_QUERY)                                               \
    X(FAULT_FILTER_URI, "s:Sender", "n:CannotProcessFilter", "", 2150859003, 500, ERR_BAD_QUERY)                                           \
    X(FAULT_DIALECT, "s:Sender", "n:FilterDialectRequestedUnavailable", "", 2150858777, 500, ERR_BAD_QUERY)                                \
    X(FAULT_ENUM_MODE, "s:Sender", "w:UnsupportedFeature", "EnumerationMode", 2150858886, 500, ERR_NOT_SUPPORTED)                          \
    X(FAULT_POLYMORPHISM, "s:Sender", "w:UnsupportedFeature", "", 2150859063, 500, ERR_NOT_SUPPORTED)                                      \
    X(FAULT_ACCESS, "s:Sender", "w:AccessDenied", "", 5, 500, ERR_ACCESS_DENIED)                                                           \
    X(FAULT_TIMED_OUT, "s:Receiver", "w:TimedOut", "", 2150858793, 500, ERR_TIMEOUT)                                                       \
    X(FAULT_TIMEOUT_VALUE, "s:Sender", "a:InvalidMessageInformationHeader", "InvalidTimeout", 2150858881, 500, ERR_INVALID_PARAMETER)      \
    X(FAULT_CONTEXT, "s:Receiver", "n:InvalidEnumerationContext", "", 2150858779, 500, ERR_NOT_FOUND)                                      \
    X(FAULT_EXPIRES, "s:Sender", "n:InvalidExpirationTime", "", 2150858774, 500, ERR_INVALID_PARAMETER)                                    \
    X(FAULT_DELIVERY, "s:Sender", "e:DeliveryModeRequestedUnavailable", "", 2150858782, 500, ERR_NOT_SUPPORTED)                            \
    X(FAULT_REPLY_TOO_BIG, "s:Sender", "w:EncodingLimit", "MaxEnvelopeSizeExceeded", 2150858824, 500, ERR_TOO_BIG)                         \
    X(FAULT_REPLY_MINIMUM, "s:Sender", "w:EncodingLimit", "MinimumEnvelopeLimit", 2150858878, 500, ERR_TOO_BIG)                            \
    X(FAULT_REQUEST_TOO_BIG, "s:Sender", "w:EncodingLimit", "MaxEnvelopeSize", 2150858790, 500, ERR_TOO_BIG)                               \
    X(FAULT_CHARSET, "s:Sender", "w:EncodingLimit", "CharacterSet", 2150858766, 500, ERR_MALFORMED)                                        \
    X(FAULT_QUOTA, "s:Sender", "w:QuotaLimit", "", 2150858815, 500, ERR_NO_MEMORY)                                                         \
    X(FAULT_EXISTS, "s:Sender", "w:AlreadyExists", "", 2150858803, 500, ERR_EXISTS)                                                        \
    X(FAULT_CONCURRENCY, "s:Sender", "w:Concurrency", "", 2150858802, 500, ERR_IN_USE)                                                     \
    X(FAULT_UNAVAILABLE, "s:Receiver", "a:EndpointUnavailable", "", 2150858772, 500, ERR_NOT_AVAILABLE)

enum fault_code {
#define X(name, value, subcode, detail, number, http, err) name,
    FAULT_TABLE(X)
#undef X
    FAULT_COUNT
};

struct fault_info {
    const char *value, *subcode; /* QNames with the prefixes of names.h; subcode "": none */
    const char *detail;          /* tail of the FaultDetail URI; "": none */
    guint32 number;
    guint http;
    enum err_code err;           /* what it means on the client's side */
};

#define WSMAN_FAULT fault_quark()
GQuark fault_quark(void);

const struct fault_info *fault_info(enum fault_code code);
enum fault_code fault_of(const GError *err);                                    /* the row of any error */
gboolean fault_set(GError **err, enum fault_code code, const char *format, ...) G_GNUC_PRINTF(3, 4); /* returns FALSE */
gboolean fault_is(const GError *err, enum fault_code code);
/* The client's direction: error code of a WSManFault number, ERR_FAILED if we do not know it. */
enum err_code fault_err_of_number(guint32 number);

/* What of a message is shown outside and logged: clients can make messages as long as their requests.  g_free. */
#define FAULT_TEXT_MAX 1024
char *fault_text(const char *message);
/* A whole reply envelope in UTF-8; g_free.  relates_to may be NULL; machine is our host name. */
char *fault_envelope(const GError *err, const char *relates_to, const char *machine);
