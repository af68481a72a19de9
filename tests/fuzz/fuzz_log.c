/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The verifier takes bytes from the network.  The first byte says how they are cut into pieces: that must not change the verdict. */
static enum log_verify_state
feed(const uint8_t *data, size_t size, size_t piece)
{
    struct log_verifier *v = log_verifier_new();
    enum log_verify_state state = LOG_VERIFY_MORE;
    for (size_t at = 0; at < size && state == LOG_VERIFY_MORE; at += piece) {
        g_autoptr(GError) err = NULL;
        state = log_verifier_feed(v, data + at, MIN(piece, size - at), &err);
        g_assert_true((state == LOG_VERIFY_BAD) == (err != NULL));
        g_assert_cmpuint(log_verifier_good(v), <=, size);
    }
    log_verifier_free(v);
    return state;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t piece = 1 + data[0];
    enum log_verify_state whole = feed(data + 1, size - 1, size), pieces = feed(data + 1, size - 1, piece);
    g_assert_true((whole == LOG_VERIFY_BAD) == (pieces == LOG_VERIFY_BAD));
    return 0;
}
