/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/err.h"
#include "base/file.h"

#include <stdio.h>

/* replay FOLDER: gives every file of the folder to the fuzzer's function, and every file cut off and bent in a few places.  So the seeds
 * and what fuzzing found before are tried in every build, with every compiler and sanitizer. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
replay(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = g_memdup2(data, size);
    LLVMFuzzerTestOneInput(data, size);
    for (size_t i = 0; i < size; i += 1 + size / 64) {
        g_autofree uint8_t *cut = g_memdup2(data, i); /* of its own, so that a sanitizer sees a read beyond it */
        LLVMFuzzerTestOneInput(cut, i);
        copy[i] ^= (uint8_t)(1 + i * 37);
        LLVMFuzzerTestOneInput(copy, size);
        copy[i] = data[i];
    }
}

int
main(int argc, char **argv)
{
    GError *err = NULL;
    guint files = 0;
    GDir *dir = argc == 2 ? g_dir_open(argv[1], 0, &err) : NULL;
    if (!dir) {
        fprintf(stderr, "replay: %s\n", err ? err->message : "usage: replay FOLDER");
        return 2;
    }
    for (const char *name; (name = g_dir_read_name(dir)); files++) {
        g_autofree char *path = g_build_filename(argv[1], name, NULL), *data = NULL;
        size_t size;
        if (!file_read_all(path, 1 << 20, &data, &size, &err)) {
            fprintf(stderr, "replay: %s\n", err->message);
            return 1;
        }
        replay((const uint8_t *)data, size);
    }
    g_dir_close(dir);
    printf("%u files\n", files);
    return files ? 0 : 1;
}
